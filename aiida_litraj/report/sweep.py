"""Figure of a sweep: the force error of each point over what it costs, and the Pareto front."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..analysis.pareto import NOISE, alike, beyond_noise
from .energy_profile import Caption
from .log_axis import label_readably
from .series import around
from .style import BLUE, GREY, INK, PALE, SETTINGS
from .titles import write_title

_SIZE_INCHES = (8.6, 4.4)
_ROW_INCHES, _LETTERS_PER_INCH, _LETTERS_BESIDE = 0.19, 14.0, 8
"""Of the names under the panels; beside each are its number and a space."""
_ROOM = 0.12
"""Left and right of the points, of the width that they take."""
ERROR = 'rmse_force_mev_per_ang'
PANELS = (
    ('seconds_per_evaluation', 'Use', 'Model seconds per configuration'),
    ('seconds_of_training', 'Training', 'Seconds of all epochs'),
)
"""Cost, title and axis."""


def named(changes: Mapping[str, Any]) -> str:
    """Return what a point is called: the last part of each option with its value."""
    return ', '.join(f'{name.rpartition(".")[2]} {value}' for name, value in changes.items())


def front_of(content: Mapping[str, Any], cost: str) -> tuple[list[str], str]:
    """Return the points of a front whose costs can be told apart, or none and why there is no front."""
    costs = {name: one[cost] for name, one in content['points'].items() if one.get(cost) is not None}
    part = alike([one['mean'] for one in costs.values()], [one['std'] for one in costs.values()])
    if part is not None:
        return [], f'costs within {max(1, round(100 * part))} % of each other: no front'
    front = [name for name in content['fronts'].get(cost, []) if name in costs]
    kept = beyond_noise([costs[name]['mean'] for name in front], [costs[name]['std'] for name in front])
    return [front[place] for place in kept], ''


def draw_sweep(content: Mapping[str, Any], caption: Caption) -> Figure:
    """Return the figure of the output ``comparison`` of ``litraj.sweep``; points have numbers, named under it.

    :raises ValueError: if no point has an error and a cost.
    """
    numbers = {name: number for number, name in enumerate(content['points'], start=1)}
    shown = {name: one for name, one in content['points'].items() if one[ERROR] is not None}
    panels = [panel for panel in PANELS if any(one.get(panel[0]) is not None for one in shown.values())]
    if not panels:
        raise ValueError('there is nothing to draw: no point has an error and a cost')
    texts = {name: named(one['changes']) for name, one in shown.items()}
    columns = max(1, int(_SIZE_INCHES[0] * _LETTERS_PER_INCH / (max(map(len, texts.values())) + _LETTERS_BESIDE)))
    rows = math.ceil(len(shown) / columns)
    with rc_context(SETTINGS):
        figure = Figure(figsize=(_SIZE_INCHES[0], _SIZE_INCHES[1] + rows * _ROW_INCHES), layout='constrained')
        figure.get_layout_engine().set(h_pad=0.08, w_pad=0.1)  # type: ignore[union-attr]
        for number, (cost, title, label) in enumerate(panels):
            axes = figure.add_subplot(1, len(panels), number + 1)
            points = {name: one for name, one in shown.items() if one.get(cost) is not None}
            _draw(axes, points, numbers, front_of(content, cost), cost)
            axes.set_title(title, fontsize=9.5)
            axes.set_xlabel(label)
            axes.set_ylabel('RMSE of forces (meV/Å)' if number == 0 else '')
        handles = [
            Line2D([], [], linestyle='none', marker=f'${numbers[name]}$', markeredgewidth=0, color=INK, label=text)
            for name, text in texts.items()
        ]
        figure.legend(handles=handles, loc='outside lower left', ncols=columns, frameon=False, fontsize=8)
        write_title(figure, caption)
    return figure


def _draw(
    axes: Axes, points: Mapping[str, Any], numbers: Mapping[str, int], found: tuple[list[str], str], cost: str
) -> None:
    front = [name for name in found[0] if name in points]
    if front:
        costs = [points[name][cost]['mean'] for name in front]
        errors = [points[name][ERROR]['mean'] for name in front]
        axes.plot(costs, errors, drawstyle='steps-post', color=BLUE, linewidth=1.0, zorder=1, label='Pareto front')
    for name, one in points.items():
        x, y, on_it = one[cost]['mean'], one[ERROR]['mean'], name in front
        colour = BLUE if on_it else GREY
        ends, sides = around(one[ERROR]), around(one[cost])
        if ends is not None:
            axes.plot([x, x], ends, color=colour, linewidth=1.2, zorder=2)
        if sides is not None and sides[0] > 0.0:
            axes.plot(sides, [y, y], color=colour, linewidth=1.2, zorder=2)
        axes.plot(
            [x], [y], 'o', color=colour, markerfacecolor=colour if on_it else 'white', markersize=5.5, zorder=3,
            markeredgewidth=1.3,
        )  # fmt: skip
        axes.annotate(
            str(numbers[name]), (x, y), xytext=(5, 3), textcoords='offset points', fontsize=8,
            color=INK if on_it else GREY,
        )  # fmt: skip
    axes.set_xscale('log')
    low, high = (end(one[cost]['mean'] for one in points.values()) for end in (min, max))
    room = max(_ROOM * math.log(high / low), math.log(1.0 + NOISE))
    axes.set_xlim(low * math.exp(-room), high * math.exp(room))
    label_readably(axes.xaxis)
    axes.margins(y=0.15)
    axes.grid(color=PALE, linewidth=0.5)
    axes.set_axisbelow(True)
    axes.set_ylim(bottom=0.0)
    if front:
        handle = Line2D([], [], color=BLUE, linewidth=1.0, marker='o', markersize=5.5, label='Pareto front')
        axes.legend(handles=[handle], frameon=False, fontsize=8, loc='lower left')
    elif found[1]:
        axes.text(0.03, 0.03, found[1], transform=axes.transAxes, color=GREY, fontsize=8)
