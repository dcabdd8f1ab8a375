"""Figure of a fine-tuning: predictions beside labels, errors and slopes before and after, and barriers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..analysis.parity import Parity
from .energy_profile import Caption
from .finetune_words import KINDS, PARENT, kind_of, ordered
from .parity import draw_forces, draw_pairs, numbers_of, share_limits, write_numbers
from .series import COLOURS, draw_point
from .style import BLUE, GREY, INK, PALE, SETTINGS
from .titles import write_title

_WIDTH, _HEIGHT, _TITLE = 9.6, 2.6, 0.7
_PARITY, _BARRIERS = 2.95, 2.5
"""Heights of rows in inches."""
SETS = {'test': 'Held-out test set', 'elsewhere': 'Elsewhere'}
PANELS = (
    ('rmse_force_mev_per_ang', 'RMSE of forces (meV/Å)', 0.0),
    ('slope_force', 'Slope of forces', 1.0),
    ('rmse_energy_mev_per_atom', 'RMSE of energies (meV/atom)', 0.0),
)
"""Number, title, and the value of a perfect potential."""
_SPREAD = 0.5
"""Part of the distance of two kinds over which their repeats stand side by side."""


def draw_finetune(
    content: Mapping[str, Any], caption: Caption, points: Mapping[str, Parity] | None = None, answer: str = ''
) -> Figure:
    """Return the figure of the output ``comparison`` of ``litraj.finetune``.

    Above are predictions of the test set beside its labels, the parent's and those of one that was fine-tuned; below
    errors and slopes, a row for each set and a point for each seed; then the barriers, if there are any.

    :param points: of the parent and of one that was fine-tuned, by the names of the comparison, in this order.
    :param answer: whether it was worth it, in words, which stand under the title.
    :raises ValueError: if there is nothing to draw.
    """
    rows = [name for name in SETS if content.get(name)]
    if not rows:
        raise ValueError('there is nothing to draw: no potential was compared')
    hops = (content.get('barriers') or {}).get('hops', {})
    heights = [_PARITY] * bool(points) + [_HEIGHT * len(rows)] + [_BARRIERS] * bool(hops)
    with rc_context(SETTINGS):
        figure = Figure(figsize=(_WIDTH, sum(heights) + _TITLE), layout='constrained')
        figure.get_layout_engine().set(h_pad=0.08, w_pad=0.08)  # type: ignore[union-attr]
        parts = iter(figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0])
        if points:
            _draw_parity(next(parts), points, content['test']['potentials'])
        grid = next(parts).subplots(len(rows), len(PANELS), squeeze=False)
        for row, name in enumerate(rows):
            for column, (key, title, ideal) in enumerate(PANELS):
                _draw(grid[row, column], content[name], key, ideal)
                grid[row, column].set_title(title if row == 0 else '', fontsize=9.5)
            grid[row, 0].set_ylabel(SETS[name], color=GREY, fontweight='bold')
        if hops:
            _draw_barriers(next(parts).subplots(), hops)
        write_title(figure, caption, answer)
    return figure


def _draw_parity(part: Any, points: Mapping[str, Parity], errors: Mapping[str, Mapping[str, Any]]) -> None:
    """Draw forces of both potentials side by side, and energies."""
    row = part.subplots(1, 2 * len(points), squeeze=False)[0]
    forces, energies = row[: len(points)], row[len(points) :]
    for place, (name, one) in enumerate(points.items()):
        draw_forces(forces[place], one)
        slope = errors[name]['slope_force']
        if slope is not None:
            forces[place].axline((0.0, 0.0), slope=slope, color=GREY, linewidth=0.9, linestyle='--', gid='slope')
        if len(one.energies):
            draw_pairs(energies[place], one.energies, BLUE)
        else:  # without labels, or where the offsets do not hold
            energies[place].text(
                0.25, 0.65, 'not compared', transform=energies[place].transAxes, color=GREY, ha='center'
            )
        write_numbers(forces[place], numbers_of(errors[name], 'force', 'mev_per_ang', 'meV/Å'))
        write_numbers(energies[place], numbers_of(errors[name], 'energy', 'mev_per_atom', 'meV/atom'))
        above = ' above lowest' if one.above else ''  # of its composition
        words = KINDS[kind_of(name)] + ('' if name == PARENT else f' ({name})')
        for axes, what in ((forces[place], 'Force component\n(eV/Å)'), (energies[place], f'Energy{above}\n(eV/atom)')):
            axes.set_title(words[0].upper() + words[1:], fontsize=9.5)
            axes.set_xlabel(f'Label: {what[0].lower()}{what[1:]}', fontsize=8.5)
            axes.xaxis.set_major_locator(MaxNLocator(4))
            axes.yaxis.set_major_locator(MaxNLocator(4))
    for panels, unit in ((forces, 'eV/Å'), (energies, 'eV/atom')):
        share_limits(panels[:, None])
        panels[0].set_ylabel(f'Potential ({unit})')


def _draw_barriers(axes: Axes, hops: Mapping[str, Mapping[str, Any]]) -> None:
    """Draw the barriers of each hop: the reference as a line across, a point for each potential."""
    for place, one in enumerate(hops.values()):
        if one['reference'] is not None:
            height = one['reference']['barrier_ev']
            dashes = '-' if one['reference']['kind'] == 'path' else '--'
            axes.plot([place - 0.4, place + 0.4], [height] * 2, color=INK, linewidth=1.2, linestyle=dashes, zorder=1)
        found = {name: own for name, own in one['potentials'].items() if own['barrier_ev'] is not None}
        names = [name for name in ordered(one['potentials']) if name != PARENT]
        for name, own in found.items():
            kind = kind_of(name)
            at = place - 0.22 if kind == 'before' else place + 0.22 + _aside(names.index(name), len(names))
            colour = COLOURS[list(KINDS).index(kind)]
            draw_point(axes, at, own['barrier_ev'], None, colour, filled=not own['converged'])
        lacking = len(one['potentials']) - len(found)
        if lacking:
            axes.annotate(f'{lacking} without a path', (place, 0.02), xycoords=('data', 'axes fraction'), color=GREY,
                          ha='center', fontsize=7.5)  # fmt: skip
    for kind in ('before', 'fine_tuned'):
        draw_point(axes, float('nan'), 0.0, None, COLOURS[list(KINDS).index(kind)], label=KINDS[kind])
    if any(one['reference'] is not None for one in hops.values()):
        axes.plot([], [], color=INK, linewidth=1.2, label='reference')
    axes.legend(frameon=False, fontsize=8, loc='upper left', bbox_to_anchor=(1.0, 1.0))
    axes.set_xticks(range(len(hops)), list(hops), rotation=20 if len(hops) > 6 else 0)
    axes.tick_params(axis='x', length=0, labelsize=8)
    axes.set_xlim(-0.6, len(hops) - 0.4)
    axes.margins(y=0.15)
    axes.set_title('Barriers (eV)', fontsize=9.5)


def _aside(number: int, many: int) -> float:
    return (number - 0.5 * (many - 1)) * 0.3 / max(many, 1)


def _draw(axes: Axes, content: Mapping[str, Any], key: str, ideal: float) -> None:
    potentials = content['potentials']
    kinds = [kind for kind in KINDS if any(kind_of(name) == kind for name in potentials)]
    axes.axhline(ideal, color=GREY if ideal else PALE, linewidth=0.8, zorder=0)
    for place, kind in enumerate(kinds):
        colour = COLOURS[list(KINDS).index(kind)]
        names = [name for name in ordered(potentials) if kind_of(name) == kind and potentials[name][key] is not None]
        step = _SPREAD / max(len(names), 1)
        for number, name in enumerate(names):
            one = potentials[name]
            at = place + (number - 0.5 * (len(names) - 1)) * step
            draw_point(axes, at, one[key], one[f'{key}_interval'], colour)
        if len(names) > 1:
            mean = sum(potentials[name][key] for name in names) / len(names)
            axes.plot([place - 0.5 * _SPREAD, place + 0.5 * _SPREAD], [mean, mean], color=colour, linewidth=0.8)
        if not names:
            axes.annotate('not compared', (place, 0.5), xycoords=('data', 'axes fraction'), color=GREY, ha='center')
    axes.set_xticks(range(len(kinds)), [KINDS[kind] for kind in kinds])
    axes.tick_params(axis='x', length=0, labelsize=8)
    axes.set_xlim(-0.5, len(kinds) - 0.5)
    axes.margins(y=0.12)
    if all(one[key] is None for one in potentials.values()):
        axes.set_yticks([])
    if not ideal:
        axes.set_ylim(bottom=0.0)
