"""Figure of force errors over the stages of a melt-quench: each snapshot above, the stages below."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .energy_profile import Caption
from .style import GREY, INK, PALE, SETTINGS
from .titles import write_title

_SIZE_INCHES = (8.6, 6.0)
_COLOURS = ('#0b5394', '#d55e00', '#009e73', '#cc79a7', '#56b4e9', '#616e7c')
_MARKERS = 'osD^vP'
_SHADES = ('#616e7c', '#b9c2cc', '#0b5394')
_ALL = 'all'
_SPREAD = 0.5
"""Part of the distance of two stages over which the points of several potentials stand side by side."""
PANELS = (
    ('rmse_force_mev_per_ang', 'RMSE of forces (meV/Å)', 0.0),
    ('slope_force', 'Slope of forces', 1.0),
    ('rmse_energy_mev_per_atom', 'RMSE of energies (meV/atom)', 0.0),
)
"""Number, label, and the value of a perfect potential."""


@dataclass(frozen=True)
class Series:
    """A potential, or the mean of several trainings of one, in all stages.

    :ivar members: the potentials in it, whose snapshots are drawn.
    :ivar values: by number and stage: the value and its interval, or ``None``.
    """

    name: str
    members: tuple[str, ...]
    values: Mapping[tuple[str, str], tuple[float, tuple[float, float] | None] | None]


def series_of(content: Mapping[str, Any], labels: Mapping[str, str]) -> list[Series]:
    """Return what is drawn of the output ``accuracy``: means of ensembles, and potentials that are in none.

    :param labels: by name, what potentials are called.
    """
    stages = [*content['stages'], _ALL]
    ensembles = content.get('ensembles') or {}
    inside = {member for one in ensembles.values() for member in one['members']}
    made = []
    for name, one in ensembles.items():
        values = {(key, stage): _spread(one['stages'][stage].get(key)) for key, _, _ in PANELS for stage in stages}
        made.append(Series(f'{name} (mean of {len(one["members"])})', tuple(one['members']), values))
    for name, one in content['potentials'].items():
        if name not in inside:
            values = {(key, stage): _interval(one['stages'][stage], key) for key, _, _ in PANELS for stage in stages}
            made.append(Series(labels.get(name, name), (name,), values))
    return made


def _spread(one: Mapping[str, Any] | None) -> tuple[float, tuple[float, float] | None] | None:
    if one is None:
        return None
    around = None if one['std'] is None else (one['mean'] - one['std'], one['mean'] + one['std'])
    return one['mean'], around


def _interval(stage: Mapping[str, Any], key: str) -> tuple[float, tuple[float, float] | None] | None:
    if stage.get(key) is None:
        return None
    interval = stage.get(f'{key}_interval')
    return stage[key], None if interval is None else (interval[0], interval[1])


def draw_force_accuracy(content: Mapping[str, Any], labels: Mapping[str, str], caption: Caption) -> Figure:
    """Return the figure of the output ``accuracy`` of ``litraj.force_accuracy``."""
    series = series_of(content, labels)
    with rc_context(SETTINGS):
        figure = Figure(figsize=_SIZE_INCHES, layout='constrained')
        figure.get_layout_engine().set(h_pad=0.07, w_pad=0.07)  # type: ignore[union-attr]
        grid = figure.add_gridspec(2, len(PANELS), height_ratios=(1.0, 1.0))
        _draw_course(figure.add_subplot(grid[0, :]), content, series)
        for column, (key, label, ideal) in enumerate(PANELS):
            _draw_stages(figure.add_subplot(grid[1, column]), content['stages'], series, key, label, ideal)
        write_title(figure, caption)
    return figure


def _draw_course(axes: Axes, content: Mapping[str, Any], series: Sequence[Series]) -> None:
    """Draw the force error of each snapshot over time, or in order if their times are not known."""
    times = content['times_ps']
    places = np.arange(1, len(content['stage_of']) + 1) if times is None else np.array(times)
    _shade(axes, content, places)
    for number, one in enumerate(series):
        for member in one.members:
            values = content['potentials'][member]['snapshots']['rmse_force_mev_per_ang']
            values = [np.nan if value is None else value for value in values]
            axes.plot(
                places, values, linestyle='none', marker=_MARKERS[number % len(_MARKERS)], markersize=5,
                color=_COLOURS[number % len(_COLOURS)], markerfacecolor='white', markeredgewidth=1.3, zorder=3,
                label=one.name if member == one.members[0] else None,
            )  # fmt: skip
    axes.set_xlabel('Snapshot' if times is None else 'Time (ps)')
    axes.set_ylabel('RMSE of forces (meV/Å)')
    axes.margins(y=0.12)  # before the floor, which ends the automatic scaling
    axes.set_ylim(bottom=0.0)
    axes.legend(
        loc='upper left', bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=9, handletextpad=0.3, labelcolor=INK
    )


def _shade(axes: Axes, content: Mapping[str, Any], places: Any) -> None:
    """Shade the stages and write their names above; of snapshots in no order of stages nothing."""
    member = np.array(content['stage_of'])
    order = np.argsort(places, kind='stable')
    runs = [name for k, name in enumerate(member[order]) if k == 0 or member[order][k - 1] != name]
    if len(runs) != len(set(runs)):
        return
    edges = [places[member == name] for name in content['stages']]
    middle = [(left.max() + right.min()) / 2 for left, right in pairwise(edges)]
    width = (places.max() - places.min()) or 1.0
    bounds = [places.min() - 0.03 * width, *middle, places.max() + 0.03 * width]
    axes.set_xlim(bounds[0], bounds[-1])
    for number, (name, start, stop) in enumerate(zip(content['stages'], bounds, bounds[1:])):
        axes.axvspan(start, stop, color=_SHADES[number % len(_SHADES)], alpha=0.08, linewidth=0)
        axes.annotate(
            name, (0.5 * (start + stop), 1.0), xycoords=('data', 'axes fraction'), xytext=(0, 3),
            textcoords='offset points', ha='center', va='bottom', fontsize=8.5, color=GREY, fontweight='bold',
        )  # fmt: skip


def _draw_stages(
    axes: Axes, stages: Sequence[str], series: Sequence[Series], key: str, label: str, ideal: float
) -> None:
    """Draw a number of all potentials in each stage and in all, with intervals."""
    names = [*stages, _ALL]
    axes.axhline(ideal, color=GREY if ideal else PALE, linewidth=0.8, zorder=0)
    axes.axvline(len(stages) - 0.5, color=PALE, linewidth=0.8, zorder=0)
    step = _SPREAD / max(len(series), 1)
    for number, one in enumerate(series):
        colour, offset = _COLOURS[number % len(_COLOURS)], (number - 0.5 * (len(series) - 1)) * step
        for place, stage in enumerate(names):
            found = one.values[key, stage]
            if found is None:
                continue
            value, interval = found
            if interval is not None:
                axes.plot([place + offset] * 2, interval, color=colour, linewidth=1.4, zorder=2)
            axes.plot(
                [place + offset], [value], marker=_MARKERS[number % len(_MARKERS)], markersize=5.5, color=colour,
                markerfacecolor='white', markeredgewidth=1.4, zorder=3,
            )  # fmt: skip
    axes.set_xticks(range(len(names)), names)
    axes.tick_params(axis='x', length=0)
    axes.set_xlim(-0.5, len(names) - 0.5)
    axes.margins(y=0.12)
    if not ideal:
        axes.set_ylim(bottom=0.0)
    axes.set_title(label, fontsize=9.5)
