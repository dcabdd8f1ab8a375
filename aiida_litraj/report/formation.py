"""Figure of formation energies over composition, with the lower hull of each potential and of the reference."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..analysis.formation import MEV, Line, formula_unit, hull_of, plain
from .energy_profile import Caption
from .style import INK, PALE, SETTINGS
from .titles import write_title

_SIZE_INCHES = (9.4, 4.6)
_COLOURS = ('#0b5394', '#d55e00', '#009e73', '#cc79a7', '#56b4e9', '#e69f00')
_MARKERS = ('o', 's', '^', 'D', 'v', 'P')
_GREEK = {'alpha': 'α', 'beta': 'β', 'gamma': 'γ', 'delta': 'δ', 'epsilon': 'ε'}
_DIGITS = str.maketrans('0123456789', '₀₁₂₃₄₅₆₇₈₉')
_NEAREST = 0.1
"""Two ticks that are closer than this share of the axis are written on two heights."""
_LEAST_MEV = 1.0
"""The axis of heights above the hull is at least so long."""
_ROWS = 0.64
"""The part of a row over which the potentials are spread."""


def subscripts(text: str) -> str:
    """Return a formula with its numbers as subscripts, for example Li₃PS₄."""
    return re.sub(r'(?<=[A-Za-z)])\d+', lambda found: found.group().translate(_DIGITS), text)


def draw_formation(
    line: Line, series: Mapping[str, Mapping[str, float]], caption: Caption, reference: str | None = None
) -> Figure:
    """Return the figure: formation energies with the lower hull of each potential, and heights above the hull.

    The axis of composition is linear in the atoms that the first end member brings, so that tie lines are straight;
    its ticks are the crystals, with the mole fraction as chemists give it.

    :param series: formation energies in eV per atom by crystal, by the name of the potential.
    :param reference: the name of that of the reference, which is drawn in black.
    :raises ValueError: if there is none.
    """
    if not series:
        raise ValueError('there are no formation energies to draw')
    ordered = sorted(series, key=lambda name: name == reference)
    looks = {
        name: (INK if name == reference else _COLOURS[number % len(_COLOURS)], _MARKERS[number % len(_MARKERS)])
        for number, name in enumerate(ordered)
    }
    with rc_context(SETTINGS):
        figure = Figure(figsize=_SIZE_INCHES, layout='constrained')
        energies, heights = figure.subplots(1, 2, width_ratios=(2.1, 1.0))
        for name in ordered:
            _draw_series(energies, line, name, series[name], looks[name])
        _draw_ticks(energies, line)
        energies.axhline(0.0, color=PALE, linewidth=0.8, zorder=0)
        energies.set_xlim(-0.04, 1.04)
        energies.margins(y=0.12)
        energies.set_ylabel('Formation energy (meV/atom)')
        units = [subscripts(plain(unit)) for unit in line.units]
        energies.set_xlabel(f'mol% {units[0]} in {units[0]}–{units[1]}, axis linear in atoms')
        energies.legend(frameon=False, fontsize=8.5, loc='best', title='filled: on the hull', title_fontsize=8.5)
        _draw_heights(heights, line, {name: series[name] for name in ordered}, looks)
        write_title(figure, caption)
    return figure


def _draw_series(axes: Axes, line: Line, name: str, formed: Mapping[str, float], look: tuple[str, str]) -> None:
    """Draw the points of a potential and its hull."""
    (colour, marker), hull = look, hull_of(line, formed)
    corners = [(float(line.places[one].atom_share), MEV * formed[one]) for one in hull.vertices]
    axes.plot(*zip(*corners, strict=True), color=colour, linewidth=1.0, alpha=0.75, zorder=2, gid=f'hull {name}')
    axes.plot([], [], color=colour, marker=marker, markersize=6, linewidth=1.0, label=name)
    for crystal, value in formed.items():
        stable = crystal in hull.vertices
        axes.plot(
            [float(line.places[crystal].atom_share)], [MEV * value], linestyle='none', marker=marker, markersize=6.5,
            color=colour, zorder=4 if stable else 3, markerfacecolor=colour if stable else 'white',
            markeredgewidth=1.3, gid=f'{name} {crystal}',
        )  # fmt: skip


def _draw_heights(
    axes: Axes, line: Line, series: Mapping[str, Mapping[str, float]], looks: Mapping[str, tuple[str, str]]
) -> None:
    """Draw how far above the hull of each potential each crystal is, a row for each, by falling mole fraction."""
    names = sorted(line.between, key=lambda name: (-line.places[name].atom_share, name))
    for number, (name, formed) in enumerate(series.items()):
        colour, marker = looks[name]
        above = hull_of(line, formed).above_ev_per_atom
        shift = _ROWS * ((number + 0.5) / len(series) - 0.5)
        for row, crystal in enumerate(names):
            if crystal in above:
                stable = above[crystal] == 0.0
                axes.plot(
                    [MEV * above[crystal]], [row + shift], linestyle='none', marker=marker, markersize=6, color=colour,
                    markerfacecolor=colour if stable else 'white', markeredgewidth=1.3, clip_on=False, zorder=3,
                    gid=f'above {name} {crystal}',
                )  # fmt: skip
    for row in range(1, len(names)):
        axes.axhline(row - 0.5, color=PALE, linewidth=0.6, zorder=0)
    axes.set_yticks(range(len(names)), [title_of(name, line) for name in names], fontsize=8.5)
    axes.tick_params(axis='y', length=0, pad=8)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlim(0.0, max(axes.get_xlim()[1], _LEAST_MEV))
    axes.set_xlabel('Above the hull (meV/atom)')


def _draw_ticks(axes: Axes, line: Line) -> None:
    """Write the formula and the mole fraction of each composition; two that stand too close go on two heights."""
    places = {place.atom_share: (name, place) for name, place in line.places.items()}
    ticks, last, low = [], -1.0, False
    for share in sorted(places):
        name, place = places[share]
        low = float(share) - last < _NEAREST and not low
        last = float(share)
        formula = _formula(name, line)
        ticks.append((float(share), f'{chr(10) * 2 if low else ""}{formula}\n{_percent(place.mole_fraction)}'))
    axes.set_xticks([share for share, _ in ticks], [text for _, text in ticks], fontsize=8.5)


def _formula(name: str, line: Line) -> str:
    """Return the formula of a crystal, for example Li₃PS₄."""
    place = line.places[name]
    counts: dict[str, Fraction] = {}
    for amount, unit in zip(place.amounts, line.units, strict=True):
        for symbol, number in unit.items():
            counts[symbol] = counts.get(symbol, Fraction(0)) + amount * number
    return subscripts(plain(formula_unit({symbol: int(number) for symbol, number in counts.items() if number})))


def title_of(name: str, line: Line) -> str:
    """Return a crystal's formula, with the word of its name that tells it from others of its composition: γ-Li₃PS₄."""
    same = [one for one, place in line.places.items() if place.mole_fraction == line.places[name].mole_fraction]
    if len(same) == 1:
        return _formula(name, line)
    word = name.partition('_')[2]
    if not word:
        return name
    return f'{_GREEK.get(word.lower(), word.replace("_", " "))}-{_formula(name, line)}'


def _percent(fraction: Fraction) -> str:
    return f'{float(100 * fraction):.4g}'
