"""Where a potential survives: grids of temperature and pressure as in task 4 of LiPS-25 (arXiv 2511.16569).

A cell of the grid is green if all its repeats reach the end, pale if some do, white if none. Its number is the share
of frames, one per frame interval, in which any two atoms are 1 Ang or less apart; a dash stands where every repeat
died before the first frame. The frame at time zero is the start, made by nobody's dynamics, and does not count.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Outcome = Literal['survived', 'died', 'unfinished']
Colour = Literal['green', 'pale', 'white', 'open']


@dataclass(frozen=True)
class Fate:
    """What became of one replica.

    :ivar repeat: its number among those of the same temperature and pressure.
    :ivar outcome: ``unfinished`` if it was cut off by the clock, or is still running.
    :ivar time_ps: reached; where it died, the time of death.
    :ivar n_frames: frames written up to then, without that at time zero.
    :ivar frames_with_contact: of them, with a contact.
    :ivar reason: why it died.
    """

    temperature_k: float
    pressure_pa: float
    repeat: int
    outcome: Outcome
    time_ps: float
    n_frames: int
    frames_with_contact: int
    reason: str = ''


@dataclass(frozen=True)
class GridCell:
    """All repeats at one temperature and pressure.

    :ivar colour: ``open`` as long as an unfinished repeat can change it.
    :ivar contact_percent: of the frames of all repeats, ``None`` where there are none: the dash.
    :ivar deaths_ps: times of death, ascending.
    """

    temperature_k: float
    pressure_pa: float
    colour: Colour
    n_repeats: int
    n_survived: int
    n_unfinished: int
    n_frames: int
    contact_percent: float | None
    deaths_ps: tuple[float, ...]

    @property
    def text(self) -> str:
        """The number as the figure shows it: a percentage, or a dash."""
        if self.contact_percent is None:
            return '' if self.colour == 'open' else '–'
        if 0.0 < self.contact_percent < 1.0:
            return '<1'
        # All but a few frames are not all of them.
        return '>99' if 99.0 < self.contact_percent < 100.0 else f'{self.contact_percent:.0f}'


@dataclass(frozen=True)
class RobustnessGrid:
    """Cells of a grid, by temperature and pressure; those that nobody asked for are missing.

    :ivar temperatures_k: ascending.
    :ivar pressures_pa: ascending.
    """

    temperatures_k: tuple[float, ...]
    pressures_pa: tuple[float, ...]
    cells: dict[tuple[float, float], GridCell]

    @property
    def n_replicas(self) -> int:
        """Number of replicas that are wanted in all."""
        return sum(cell.n_repeats for cell in self.cells.values())

    @property
    def n_survived(self) -> int:
        """Number of replicas that reached the end."""
        return sum(cell.n_survived for cell in self.cells.values())

    def count(self, colour: Colour) -> int:
        """Return the number of cells of a colour."""
        return sum(cell.colour == colour for cell in self.cells.values())


def build_grid(fates: Iterable[Fate], n_repeats: int | None = None) -> RobustnessGrid:
    """Return the grid of the fates of all replicas.

    :param n_repeats: wanted for each cell; those of which no fate is known count as unfinished. Without it each cell
        has the repeats that it has.
    :raises ValueError: if there are none, a repeat occurs twice, a cell has more than are wanted, or the numbers of
        frames are impossible.
    """
    groups: dict[tuple[float, float], list[Fate]] = defaultdict(list)
    for fate in fates:
        if not 0 <= fate.frames_with_contact <= fate.n_frames:
            raise ValueError(
                f'{_where(fate)}: {fate.frames_with_contact} frames with a contact of {fate.n_frames} frames'
            )
        group = groups[fate.temperature_k, fate.pressure_pa]
        if any(fate.repeat == other.repeat for other in group):
            raise ValueError(f'{_where(fate)} occurs twice')
        group.append(fate)
    if not groups:
        raise ValueError('there are no replicas to draw a grid of')
    cells = {}
    for (temperature, pressure), group in sorted(groups.items()):
        wanted = len(group) if n_repeats is None else n_repeats
        if len(group) > wanted:
            raise ValueError(f'{_where(group[0])}: {len(group)} repeats, but {wanted} are wanted')
        cells[temperature, pressure] = _cell(group, wanted)
    return RobustnessGrid(
        temperatures_k=tuple(sorted({temperature for temperature, _ in cells})),
        pressures_pa=tuple(sorted({pressure for _, pressure in cells})),
        cells=cells,
    )


def _where(fate: Fate) -> str:
    return f'repeat {fate.repeat} at {fate.temperature_k:g} K and {fate.pressure_pa:g} Pa'


def _cell(group: list[Fate], wanted: int) -> GridCell:
    survived = sum(fate.outcome == 'survived' for fate in group)
    deaths = tuple(sorted(fate.time_ps for fate in group if fate.outcome == 'died'))
    frames = sum(fate.n_frames for fate in group)
    contacts = sum(fate.frames_with_contact for fate in group)
    return GridCell(
        temperature_k=group[0].temperature_k,
        pressure_pa=group[0].pressure_pa,
        colour=_colour(survived, len(deaths), wanted),
        n_repeats=wanted,
        n_survived=survived,
        n_unfinished=wanted - survived - len(deaths),
        n_frames=frames,
        contact_percent=100.0 * contacts / frames if frames else None,
        deaths_ps=deaths,
    )


def _colour(survived: int, died: int, wanted: int) -> Colour:
    if survived and died:
        return 'pale'
    if survived + died < wanted:
        return 'open'
    return 'green' if survived else 'white'
