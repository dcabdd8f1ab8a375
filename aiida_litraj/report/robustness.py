"""Figure of robustness grids, several potentials side by side, in the manner of LiPS-25 (arXiv 2511.16569)."""

from __future__ import annotations

from collections.abc import Mapping
from math import log10

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from ..analysis.robustness import GridCell, RobustnessGrid
from .energy_profile import Caption
from .style import GREY, INK, SETTINGS
from .titles import write_title
from .words import counted

GREEN, PALE_GREEN, WHITE, OPEN = '#4fae74', '#cdead6', '#ffffff', '#eef1f4'
_COLOURS = {'green': GREEN, 'pale': PALE_GREEN, 'white': WHITE, 'open': OPEN}
_CELL_INCHES = (0.52, 0.42)
_SIDE_INCHES, _ABOVE_INCHES, _NARROWEST_INCHES = 0.75, 2.0, 5.0


def draw_robustness(grids: Mapping[str, RobustnessGrid], caption: Caption) -> Figure:
    """Return the figure: one panel for each potential by its name, temperature to the right and pressure upwards.

    All panels have the cells that any of them has, so that they can be compared.

    :raises ValueError: if there is none.
    """
    if not grids:
        raise ValueError('there is no grid to draw')
    temperatures = sorted({one for grid in grids.values() for one in grid.temperatures_k})
    pressures = sorted({one for grid in grids.values() for one in grid.pressures_pa})
    size = (
        len(grids) * (max(len(temperatures) * _CELL_INCHES[0], 1.9) + 0.35) + _SIDE_INCHES,
        max(len(pressures) * _CELL_INCHES[1], 1.2) + _ABOVE_INCHES,
    )
    with rc_context(SETTINGS):
        figure = Figure(figsize=(max(size[0], _NARROWEST_INCHES), size[1]), layout='constrained')
        panels = figure.subplots(1, len(grids), squeeze=False, sharey=True)[0]
        for axes, (name, grid) in zip(panels, grids.items()):
            _draw_panel(axes, name, grid, temperatures, pressures)
        panels[0].set_ylabel('Pressure (Pa)')
        write_title(figure, caption)
        _legend(figure, list(grids.values()))
    return figure


def _draw_panel(axes: Axes, name: str, grid: RobustnessGrid, temperatures: list[float], pressures: list[float]) -> None:
    for column, temperature in enumerate(temperatures):
        for row, pressure in enumerate(pressures):
            cell = grid.cells.get((temperature, pressure))
            if cell is not None:
                _draw_cell(axes, column, row, cell)
    axes.set_xlim(-0.5, len(temperatures) - 0.5)
    axes.set_ylim(-0.5, len(pressures) - 0.5)
    axes.set_xticks(range(len(temperatures)), [_thousands(one) for one in temperatures])
    if len(temperatures) > 6:
        axes.tick_params(axis='x', rotation=90)
    axes.set_yticks(range(len(pressures)), [_power(one) for one in pressures])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel('Temperature (K)')
    axes.set_title(f'{name}: {_survivors(grid)}', fontsize=9.5)


def _survivors(grid: RobustnessGrid) -> str:
    """Return how many replicas survive; those whose end nobody knows have not died."""
    unfinished = sum(cell.n_unfinished for cell in grid.cells.values())
    if unfinished == grid.n_replicas:
        return 'not finished'
    known = f'{grid.n_survived} of {counted(grid.n_replicas, "replica")} survive'
    return f'{known}\n{unfinished} not finished' if unfinished else known


def _draw_cell(axes: Axes, column: int, row: int, cell: GridCell) -> None:
    axes.add_patch(
        Rectangle(
            (column - 0.46, row - 0.45), 0.92, 0.9, facecolor=_COLOURS[cell.colour], edgecolor=GREY, linewidth=0.7,
            hatch='////' if cell.colour == 'open' else None, gid=f'{cell.colour}',
        )
    )  # fmt: skip
    box = {'facecolor': OPEN, 'edgecolor': 'none', 'pad': 1.0} if cell.colour == 'open' and cell.text else None
    axes.text(column, row, cell.text, ha='center', va='center', fontsize=9, color=INK, bbox=box)


def _legend(figure: Figure, grids: list[RobustnessGrid]) -> None:
    repeats = {cell.n_repeats for grid in grids for cell in grid.cells.values()}
    once = repeats == {1}
    number = f'all {repeats.pop()} repeats' if len(repeats) == 1 else 'all repeats'
    names = {'green': f'{number} survive', 'pale': 'some do', 'white': 'none does', 'open': 'not finished'}
    if once:
        names = {'green': 'survives', 'white': 'dies', 'open': names['open']}
    there = {cell.colour for grid in grids for cell in grid.cells.values()}
    handles = [
        Patch(
            facecolor=_COLOURS[colour], edgecolor=GREY, linewidth=0.7, hatch='////' if colour == 'open' else None,
            label=name,
        )
        for colour, name in names.items()
        if colour != 'open' or colour in there
    ]  # fmt: skip
    title = 'Number: frames with a contact of at most 1 Å (%); –: no frame was reached'
    legend = figure.legend(
        handles=handles, loc='outside lower center', ncols=4, frameon=False, fontsize=8.5, title=title,
        title_fontsize=8.5, handlelength=1.6, handleheight=1.1,
    )  # fmt: skip
    legend.get_title().set_color(GREY)


def _thousands(number: float) -> str:
    return f'{number:,.0f}' if number >= 10 else f'{number:g}'


def _power(pressure: float) -> str:
    """Return a pressure in Pa as a power of ten, with its factor where it has one."""
    if pressure <= 0.0:
        return f'{pressure:g}'
    exponent = int(f'{pressure:.2e}'.partition('e')[2])
    factor = pressure / 10.0**exponent
    if abs(exponent) < 3:
        return f'{pressure:g}'
    return f'$10^{{{exponent}}}$' if abs(log10(factor)) < 1e-3 else f'${factor:.3g}\\times10^{{{exponent}}}$'
