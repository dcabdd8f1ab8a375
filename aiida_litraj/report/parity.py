"""Figure of predictions beside labels: energies after offsets, forces by element, stresses; potentials in rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..analysis.parity import Parity
from .energy_profile import Caption
from .style import BLUE, GREY, INK, SETTINGS
from .titles import write_title

COLOURS = {
    'Li': '#0b5394', 'P': '#d55e00', 'S': '#c99700', 'O': '#b3261e', 'Cl': '#2e8b57', 'N': '#6a3d9a', 'H': '#616e7c',
}  # fmt: skip
OTHERS = ('#009e73', '#cc79a7', '#56b4e9', '#8c564b', '#1f2933', '#999933')
MOST_POINTS = 20_000
"""More are drawn as a density."""
_PANEL_INCHES, _ABOVE_INCHES, _WIDTH_INCHES = 2.75, 1.15, 9.2
_MARGIN = 0.04
_TICKS = 5
_CODES = {'gpaw': 'GPAW', 'quantumespresso': 'Quantum ESPRESSO'}


def energies_mean_nothing(points: Mapping[str, Parity], errors: Mapping[str, Mapping[str, Any]]) -> bool:
    """Return whether as many offsets were fitted as there are energies: all lie on the diagonal then."""
    return bool(points) and all(
        len(one.energies) and errors[name].get('rmse_energy_mev_per_atom') is None for name, one in points.items()
    )


def draw_parity(
    points: Mapping[str, Parity], errors: Mapping[str, Mapping[str, Any]], caption: Caption, code: str | None = None
) -> Figure:
    """Return the figure: a row for each potential, by its name; without energies where :func:`energies_mean_nothing`.

    :param errors: of each potential the content of its output ``errors``, whose numbers are written into the panels.
    :param code: what the labels were computed with, if that is known.
    :raises ValueError: if there is none.
    """
    if not points:
        raise ValueError('there are no predictions to draw')
    with rc_context(SETTINGS):
        height = len(points) * _PANEL_INCHES + _ABOVE_INCHES
        columns = 2 if energies_mean_nothing(points, errors) else 3
        figure = Figure(figsize=(_WIDTH_INCHES * columns / 3, height), layout='constrained')
        figure.get_layout_engine().set(w_pad=0.08, wspace=0.04, h_pad=0.06)  # type: ignore[union-attr]
        rows = figure.subplots(len(points), columns, squeeze=False)
        for number, (name, row) in enumerate(zip(points, rows, strict=True), start=1):
            _draw_row(row, name, points[name], errors[name], code, last=number == len(points))
        share_limits(rows)
        write_title(figure, caption)
    return figure


def _draw_row(row: Any, name: str, one: Parity, errors: Mapping[str, Any], code: str | None, last: bool) -> None:
    labels = 'Reference' if code is None else f'DFT ({_CODES.get(code, code)}),'
    *energies, force, stress = row
    for energy in energies:
        draw_pairs(energy, one.energies, BLUE)
        write_numbers(energy, numbers_of(errors, 'energy', 'mev_per_atom', 'meV/atom'))
    draw_forces(force, one)
    draw_pairs(stress, one.stresses, BLUE)
    above = 'Energy above lowest of composition' if one.above else 'Energy'
    for axes, quantity, unit in (
        *((energy, above, 'eV/atom') for energy in energies),
        (force, 'Force component', 'eV/Å'), (stress, 'Stress component', 'GPa'),
    ):  # fmt: skip
        axes.set_ylabel('Potential')
        if last:
            axes.set_xlabel(f'{labels} {quantity[0].lower()}{quantity[1:]}\n({unit})')
        axes.xaxis.set_major_locator(MaxNLocator(_TICKS))
        axes.yaxis.set_major_locator(MaxNLocator(_TICKS))
    row[0].set_title(name, fontsize=10, fontweight='bold')
    for axes, quantity in ((force, 'force'), (stress, 'stress')):
        slope = errors.get(f'slope_{quantity}')
        if slope is not None:
            axes.axline((0.0, 0.0), slope=slope, color=GREY, linewidth=0.9, linestyle='--', zorder=1, gid='slope')
    write_numbers(force, numbers_of(errors, 'force', 'mev_per_ang', 'meV/Å'))
    write_numbers(stress, numbers_of(errors, 'stress', 'gpa', 'GPa'))


def draw_pairs(axes: Axes, pairs: Any, colour: str) -> None:
    """Draw pairs of reference and prediction (n, 2) as points, many as a density, and that there are none."""
    if not len(pairs):
        axes.text(0.5, 0.5, 'no labels', transform=axes.transAxes, ha='center', color=GREY)
        return
    if len(pairs) > MOST_POINTS:
        axes.hexbin(pairs[:, 0], pairs[:, 1], gridsize=70, bins='log', cmap='Blues', mincnt=1, linewidths=0.1, zorder=2)
    else:
        axes.scatter(pairs[:, 0], pairs[:, 1], **_style(len(pairs)), color=colour)


def draw_forces(axes: Axes, one: Parity) -> None:
    """Draw the components of each element in its colour, all mixed, so that none hides another."""
    if not len(one.forces) or len(one.forces) > MOST_POINTS:
        draw_pairs(axes, one.forces, BLUE)
        return
    colours = colours_of(sorted(set(one.symbols.tolist())))
    order = np.random.default_rng(0).permutation(len(one.forces))
    axes.scatter(
        one.forces[order, 0], one.forces[order, 1], **_style(len(one.forces)),
        c=[colours[symbol] for symbol in one.symbols[order]],
    )  # fmt: skip
    for symbol, colour in colours.items():
        axes.scatter([], [], s=16, color=colour, label=symbol)
    axes.legend(
        loc='lower right', frameon=False, fontsize=8, handletextpad=0.1, borderpad=0.1, labelspacing=0.25,
        markerfirst=True,
    )  # fmt: skip


def colours_of(symbols: list[str]) -> dict[str, str]:
    """Return a colour for each element, the same in every figure for those that are common here."""
    others = iter(OTHERS * (1 + len(symbols) // len(OTHERS)))
    return {symbol: COLOURS.get(symbol) or next(others) for symbol in symbols}


def _style(number: int) -> dict[str, Any]:
    """Return size and opacity of points: few are seen one by one, many as a cloud."""
    size = float(np.clip(1200.0 / max(number, 1), 4.0, 22.0))
    return {
        's': size, 'alpha': float(np.clip(400.0 / max(number, 1), 0.25, 0.8)), 'linewidths': 0, 'zorder': 2,
        'rasterized': number > 2000,
    }  # fmt: skip


def share_limits(rows: Any) -> None:
    """Give all panels of a column the same limits, a square around the diagonal: so potentials can be compared."""
    for column in rows.T:
        ends = [axes.dataLim for axes in column if np.isfinite(axes.dataLim.get_points()).all()]
        low = min((min(box.x0, box.y0) for box in ends), default=0.0)
        high = max((max(box.x1, box.y1) for box in ends), default=1.0)
        room = _MARGIN * ((high - low) or 1.0)
        for axes in column:
            axes.set_xlim(low - room, high + room)
            axes.set_ylim(low - room, high + room)
            axes.set_aspect('equal')
            axes.axline((0.0, 0.0), slope=1.0, color=INK, linewidth=0.7, zorder=1)


def numbers_of(errors: Mapping[str, Any], quantity: str, key: str, unit: str) -> list[str]:
    """Return the lines that a panel says: RMSE, its interval and the slope, as far as they are known."""
    rmse = errors.get(f'rmse_{quantity}_{key}')
    if rmse is None:
        return []
    lines = [f'RMSE {digits(rmse)} {unit}']
    interval = errors.get(f'rmse_{quantity}_{key}_interval')
    if interval is not None:
        lines.append(f'[{digits(interval[0])}, {digits(interval[1])}]')
    slope = errors.get(f'slope_{quantity}')
    return lines if slope is None else [*lines, f'slope {slope:.2f}']


def digits(value: float) -> str:
    """Return a number with as many digits as an error deserves: three before it is 100, none after the point then."""
    if value == 0.0:
        return '0'
    return f'{value:,.0f}' if abs(value) >= 100 else f'{value:.1f}' if abs(value) >= 10 else f'{value:.2f}'


def write_numbers(axes: Axes, lines: list[str]) -> None:
    """Write lines into the upper left of a panel."""
    axes.text(
        0.03, 0.97, '\n'.join(lines), transform=axes.transAxes, va='top', fontsize=8, color=INK, linespacing=1.35,
        bbox={'facecolor': 'white', 'edgecolor': 'none', 'alpha': 0.75, 'pad': 1.0}, zorder=4,
    )  # fmt: skip
