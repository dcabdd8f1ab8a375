"""Figure of a data set: composition, barriers and energies, energy above the hull, sizes."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..analysis.overview import Overview, usual_range
from ..contract.arrays import Array
from .energy_profile import Caption
from .style import BLUE, GREY, INK, PALE, RED, SETTINGS
from .words import counted

PANEL_INCHES = (4.3, 3.5)
MOST_POINTS = 20_000
"""Points drawn at most; more of them only make the file large."""
MOST_ELEMENTS = 18
MOST_OUTLINES = 3
"""Histograms of more groups are filled and stand upon each other."""
CHARACTERS_PER_INCH = 13.5
"""Of the details in the title."""
LABEL_WIDTH = 46
"""Characters of a panel's label in a line."""
STEPS = (1, 2, 5, 10)
LEAST_HULL = 0.01
"""eV per atom that the axis of the energies above the hull has at least."""
ON_HULL = 1e-3
"""eV per atom up to which an entry is on the hull: if all are, as the images of one path, there is nothing to draw."""
FEW = 20
"""Entries of which numbers are drawn, for a share would make much of one."""
LINEAR_TO = 0.1
"""eV per atom up to which the axis of the energies above the hull is linear."""
# Okabe and Ito's colours, which people of all kinds of sight tell apart, after the house's own blue.
_COLOURS = (BLUE, '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#6b5b95', GREY)
_MARKERS = ('o', '^', 's', 'D', 'v', 'P', 'X', '.')
_LINES = ('-', '--', ':', '-.', (0, (5, 1)), (0, (1, 1)), (0, (3, 1, 1, 1)), '-')
_CORNERS = {'S': (0.0, 0.0), 'Li': (1.0, 0.0), 'P': (0.5, np.sqrt(3) / 2)}
"""Of the triangle, as in the set's own picture: Li2S lies on its base."""
_LINE_OF_PHASES = {'Li₂S': {'Li': 2, 'S': 1}, 'P₂S₅': {'P': 2, 'S': 5}}


def draw_overview(overview: Overview, caption: Caption) -> Figure:
    """Return the figure of a set; panels for which nothing is known are left out."""
    panels: list[Callable[[Axes, Overview], None]] = [draw_triangle if _has_triangle(overview) else draw_elements]
    if overview.barriers is not None:
        panels.append(draw_barriers)
    if overview.conductivities is not None:
        panels.append(draw_conductivities)
    if overview.energies is not None:
        panels.append(draw_energies)
    if _is_above(overview):
        panels.append(draw_hull)
    panels.append(draw_sizes)
    columns = 2 if len(panels) in (2, 4) else min(3, len(panels))
    lines = -(-len(panels) // columns)
    with rc_context(SETTINGS):
        figure = Figure(figsize=(PANEL_INCHES[0] * columns, PANEL_INCHES[1] * lines + 0.9), layout='constrained')
        figure.get_layout_engine().set(w_pad=0.12, h_pad=0.1)  # type: ignore[union-attr]
        for number, draw in enumerate(panels):
            draw(figure.add_subplot(lines, columns, number + 1), overview)
        _title(figure, caption)
        _legend(figure, overview)
    return figure


def _is_above(overview: Overview) -> bool:
    """Return whether any entry is above the hull by as much as can be seen."""
    return overview.above_hull is not None and bool(np.nanmax(overview.above_hull) > ON_HULL)


def _has_triangle(overview: Overview) -> bool:
    return set(overview.elements) <= set(_CORNERS) and len(overview.elements) > 1


def _title(figure: Figure, caption: Caption) -> None:
    width, height = figure.get_size_inches()
    lines = textwrap.wrap(caption.details, int(width * CHARACTERS_PER_INCH))
    # Empty lines keep the room in which the details stand, smaller.
    figure.suptitle('\n'.join([caption.title, *[''] * len(lines)]), x=0.012, ha='left', fontsize=12, fontweight='bold')
    below = 0.98 - 0.24 / height
    figure.text(0.012, below, '\n'.join(lines), fontsize=8.5, color=GREY, va='top', linespacing=1.35)


def _legend(figure: Figure, overview: Overview) -> None:
    if len(overview.groups) < 2:
        return
    handles = [_handle(index, overview) for index in range(len(overview.groups))]
    counts = np.bincount(overview.member, minlength=len(overview.groups))
    labels = [f'{name} ({number:,})' for name, number in zip(overview.groups, counts, strict=True)]
    figure.legend(handles, labels, loc='outside lower center', ncols=min(4, len(labels)), frameon=False, fontsize=8.5)


def _handle(index: int, overview: Overview) -> Any:
    """Return what stands for a group in the legend: what the panels draw of it, be it points, an outline or bars."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    marker = _MARKERS[index] if _has_triangle(overview) or _is_above(overview) else None
    colour = _COLOURS[index]
    if len(overview.groups) <= MOST_OUTLINES:
        return Line2D([], [], color=colour, marker=marker, linestyle=_LINES[index], markersize=4.5)
    bar = Patch(color=colour, alpha=0.85, linewidth=0)
    if marker is None:
        return bar
    points = Line2D([], [], color=INK, marker=marker, linestyle='', markersize=4.5, markerfacecolor='white')
    return bar, points


def _points(overview: Overview, known: Array) -> list[tuple[int, Array]]:
    """Return for each group the entries to draw, every so-manieth if there are too many."""
    there = np.flatnonzero(known)
    there = there[:: max(1, -(-len(there) // MOST_POINTS))]
    return [(index, there[overview.member[there] == index]) for index in range(len(overview.groups))]


def _scatter(axes: Axes, horizontal: Array, vertical: Array, overview: Overview, known: Array) -> None:
    for index, these in _points(overview, known):
        axes.scatter(
            horizontal[these], vertical[these], s=14, marker=_MARKERS[index], color=_COLOURS[index], alpha=0.55,
            linewidths=0, rasterized=len(these) > 2000, zorder=3 + index / 10, clip_on=False,
        )  # fmt: skip


def draw_triangle(axes: Axes, overview: Overview) -> None:
    """Draw where entries lie in the triangle of Li, P and S, with the line from Li2S to P2S5."""
    corners = np.array([_CORNERS[name] for name in ('S', 'Li', 'P', 'S')])
    for fraction in (0.2, 0.4, 0.6, 0.8):
        for first, second, third in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
            ends = corners[first] + fraction * (corners[[second, third]] - corners[first])
            axes.plot(*ends.T, color=PALE, linewidth=0.6, zorder=1)
    axes.plot(*corners.T, color=INK, linewidth=0.9, zorder=2)
    ends = np.array([_place(one) for one in _LINE_OF_PHASES.values()])
    axes.plot(*ends.T, color=GREY, linewidth=0.9, linestyle='--', zorder=2)
    for (name, _), at, shift, side in zip(
        _LINE_OF_PHASES.items(), ends, ((0, -11), (-6, 2)), ('center', 'right'), strict=True
    ):
        axes.annotate(name, at, shift, textcoords='offset points', ha=side, fontsize=8.5, color=GREY)
    for name, at in _CORNERS.items():
        shift, side = {'S': ((-5, -4), 'right'), 'Li': ((5, -4), 'left'), 'P': ((0, 5), 'center')}[name]
        axes.annotate(name, at, shift, textcoords='offset points', ha=side, fontsize=10, fontweight='bold')
    place = sum(overview.fraction_of(name)[:, None] * np.array(at) for name, at in _CORNERS.items())
    _scatter(axes, place[:, 0], place[:, 1], overview, np.ones(len(place), dtype=bool))
    axes.set_aspect('equal')
    axes.set_axis_off()
    axes.set_title('Composition', fontsize=10)


def _place(composition: dict[str, int]) -> Array:
    total = sum(composition.values())
    return np.asarray(sum(number / total * np.array(_CORNERS[name]) for name, number in composition.items()))


def draw_elements(axes: Axes, overview: Overview) -> None:
    """Draw in which share of the entries the commonest elements occur; of a few groups, in which of each of them."""
    occurs = overview.fractions > 0
    order = np.argsort(-occurs.sum(axis=0), kind='stable')[:MOST_ELEMENTS]
    names = [overview.elements[index] for index in order]
    count = len(overview.groups)
    floor = np.zeros(len(order))
    for group in range(count):
        if count > MOST_OUTLINES:
            share = 100 * occurs[overview.member == group][:, order].sum(axis=0) / len(occurs)
            axes.bar(range(len(order)), share, bottom=floor, color=_COLOURS[group], alpha=0.85, linewidth=0)
            floor += share
            continue
        mine = occurs[overview.member == group][:, order]
        share = 100 * mine.mean(axis=0) if len(mine) else np.zeros(len(order))
        places = np.arange(len(order)) + (group - (count - 1) / 2) * 0.8 / count
        axes.bar(places, share, width=0.8 / count, color=_COLOURS[group], linewidth=0)
    axes.set_xticks(range(len(names)), names)
    axes.tick_params(axis='x', length=0)
    axes.set_ylabel('Entries with the element (%)')
    rest = len(overview.elements) - len(names)
    axes.set_title('Composition' + (f', {rest} rarer elements not shown' if rest > 0 else ''), fontsize=10)


def _histogram(axes: Axes, values: Array, overview: Overview, bins: Array) -> None:
    """Draw outlines of a few groups, each 100 % in all; of many their shares of the whole, one upon the other.

    Of groups with few entries their numbers are drawn.
    """
    there = [values[(overview.member == group) & np.isfinite(values)] for group in range(len(overview.groups))]
    counts = [np.histogram(mine, bins)[0] for mine in there]
    stacked, numbers = len(there) > MOST_OUTLINES, _are_few(overview)
    total = max(1, sum(len(mine) for mine in there))
    floor = np.zeros(len(bins) - 1)
    for group, heights in enumerate(counts):
        style: dict[str, Any] = {'color': _COLOURS[group], 'zorder': 3}
        shown = heights if numbers else 100 * heights / (total if stacked else max(1, len(there[group])))
        if stacked:
            axes.stairs(floor + shown, bins, baseline=floor, alpha=0.85, fill=True, linewidth=0, **style)
            floor = floor + shown
            continue
        axes.stairs(shown, bins, linestyle=_LINES[group], linewidth=1.4, **style)
        if len(there) == 1:
            axes.stairs(shown, bins, color=_COLOURS[group], alpha=0.15, fill=True)
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(7, steps=STEPS))
    _count_axis(axes, numbers, 'Share of each split (%)' if 1 < len(there) <= MOST_OUTLINES else None)


def _are_few(overview: Overview) -> bool:
    """Return whether any group that is drawn by itself has too few entries for shares."""
    counts = np.bincount(overview.member, minlength=len(overview.groups))
    return bool((counts.sum() if len(counts) > MOST_OUTLINES else counts.min()) < FEW)


def _count_axis(axes: Axes, numbers: bool, of_each: str | None = None) -> None:
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=STEPS, integer=numbers, min_n_ticks=1))
    axes.set_ylabel('Number of entries' if numbers else of_each or 'Share of the entries (%)')


def _outside(values: Array, bins: Array, unit: str) -> str:
    """Return in words how many values lie outside the bins, empty if none does."""
    finite = values[np.isfinite(values)]
    below, above = int((finite < bins[0]).sum()), int((finite > bins[-1]).sum())
    parts = [f'{below:,} below {bins[0]:.3g}'] * (below > 0) + [f'{above:,} above {bins[-1]:.3g}'] * (above > 0)
    return f'not drawn: {" and ".join(parts)} {unit}' if parts else ''


def _bins(values: Array) -> Array:
    """Return bins over the usual range of the values, their number growing with the root of how many there are."""
    low, high = usual_range(values)
    if high - low < 1e-9:
        return np.linspace(low - 0.5, high + 0.5, 4)
    number = int(np.isfinite(values).sum())
    return np.linspace(low, high, int(np.clip(1.5 * np.sqrt(number), 8, 60)) + 1)


def draw_barriers(axes: Axes, overview: Overview) -> None:
    """Draw the distribution of the barriers of each group."""
    assert overview.barriers is not None
    median, bins = float(np.nanmedian(overview.barriers)), _bins(overview.barriers)
    _histogram(axes, overview.barriers, overview, bins)
    axes.axvline(median, color=RED, linewidth=0.9, zorder=2)
    axes.set_xlabel(textwrap.fill(f'{overview.barrier_name} (eV)', LABEL_WIDTH))
    _head(axes, f'Barriers, median {median:.2f} eV (red)', _outside(overview.barriers, bins, 'eV'))


def draw_conductivities(axes: Axes, overview: Overview) -> None:
    """Draw the distribution of the decadic logarithms of the measured conductivities of each group."""
    assert overview.conductivities is not None
    positive = np.where(overview.conductivities > 0, overview.conductivities, np.nan)
    if not np.isfinite(positive).any():
        axes.set_axis_off()
        return
    powers = np.log10(positive)
    bins = _bins(powers)
    _histogram(axes, powers, overview, bins)
    axes.set_xlabel('log₁₀ of the conductivity in S/cm')
    bounded = f'not drawn: {overview.bounded:,} of which only a bound is known' if overview.bounded else ''
    _head(axes, 'Measured conductivities', '; '.join(filter(None, (bounded, _outside(powers, bins, 'in log₁₀')))))


def _head(axes: Axes, title: str, remark: str) -> None:
    """Put the title above a panel and under it, if there is any, a remark in grey."""
    axes.set_title(title, fontsize=10, pad=16 if remark else 6)
    if remark:
        axes.annotate(remark, (0, 1), (0, 5), 'axes fraction', 'offset points', fontsize=7.5, color=GREY)


def draw_energies(axes: Axes, overview: Overview) -> None:
    """Draw the distribution of the energies per atom of each group."""
    assert overview.energies is not None
    bins = _bins(overview.energies)
    _histogram(axes, overview.energies, overview, bins)
    axes.set_xlabel('Energy of the lowest image (eV/atom)' if overview.of_bands else 'Energy (eV/atom)')
    _head(axes, 'Energies', _outside(overview.energies, bins, 'eV/atom'))


def draw_hull(axes: Axes, overview: Overview) -> None:
    """Draw the energy above the hull of the set's own entries against the fraction of lithium."""
    assert overview.above_hull is not None
    known = np.isfinite(overview.above_hull)
    _scatter(axes, overview.fraction_of('Li'), overview.above_hull, overview, known)
    highest = float(overview.above_hull[known].max())
    if highest > 0.2:
        # What is stable and what is molten in one picture: linear near the hull, logarithmic above.
        axes.set_yscale('symlog', linthresh=LINEAR_TO)
        axes.axhline(LINEAR_TO, color=GREY, linewidth=0.7, linestyle=':', zorder=1)
        ticks = [0, 0.05, 0.1, *(tick for tick in (0.2, 0.5, 1, 2, 5, 10, 20, 50) if tick < highest)]
        axes.set_yticks(ticks, [f'{tick:g}' for tick in ticks], minor=False)
        axes.set_yticks([], minor=True)
    # Images of one path are all but on the hull: no axis of millionths of an electronvolt.
    axes.set_ylim(bottom=-0.02 * min(highest, 0.2), top=None if highest > LEAST_HULL else LEAST_HULL)
    axes.set_xlabel('Atomic fraction of Li')
    axes.set_ylabel('Energy above hull (eV/atom)')
    scale = f'axis linear to {LINEAR_TO:g} eV/atom (dotted), logarithmic above' if highest > 0.2 else ''
    _head(axes, "Above the hull of the set's own entries", scale)


def draw_sizes(axes: Axes, overview: Overview) -> None:
    """Draw the distribution of the numbers of atoms of each group; of one size only a bar that says which it is."""
    sizes = overview.sizes.astype(float)
    low, high = int(sizes.min()), int(sizes.max())
    if low == high:
        _draw_one_size(axes, overview, low)
    else:
        step = max(1, -(-(high - low + 1) // 40))
        _histogram(axes, sizes, overview, np.arange(low - 0.5, high + step + 0.5, step))
        axes.xaxis.set_major_locator(MaxNLocator(7, steps=STEPS, integer=True, min_n_ticks=1))
    axes.set_xlabel('Number of atoms')
    axes.set_title('Sizes', fontsize=10)


def _draw_one_size(axes: Axes, overview: Overview, size: int) -> None:
    floor = 0
    for group, number in enumerate(np.bincount(overview.member, minlength=len(overview.groups)).tolist()):
        axes.bar([size], [number], bottom=floor, width=0.3, color=_COLOURS[group], alpha=0.85, linewidth=0)
        floor += number
    words = f'all {counted(floor, "entry")}'
    axes.annotate(words, (size, floor), (0, 4), textcoords='offset points', ha='center', fontsize=8.5)
    axes.set_xlim(size - 1, size + 1)
    axes.set_xticks([size])
    axes.set_ylim(0, 1.1 * floor)
    _count_axis(axes, numbers=True)


def overview_caption(name: str, overview: Overview, level_of_theory: str | None) -> Caption:
    """Return the caption of a set's figure; it says what the hull is made of."""
    parts = [f'{counted(len(overview.sizes), "entry")} of {counted(len(overview.elements), "element")}']
    if level_of_theory:
        parts.append(_in_print(level_of_theory.strip().partition(';')[0]))
    if _is_above(overview):
        parts.append("hull: the lowest energy that a mixture of the set's own entries has at a composition")
    elif overview.above_hull is not None:
        parts.append(f"no entry is more than {1000 * ON_HULL:g} meV/atom above the hull of the set's own entries")
    return Caption(name, ' · '.join(parts))


def _in_print(text: str) -> str:
    """Return a text of plain letters with the signs that print has for units."""
    return re.sub(r'\bAng\b', 'Å', text).replace('^2', '²').replace('^3', '³')
