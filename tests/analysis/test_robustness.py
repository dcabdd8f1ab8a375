"""From the fates of replicas to the colours and numbers of LiPS-25's grid."""

from __future__ import annotations

import pytest

from aiida_litraj.analysis.robustness import Fate, GridCell, Outcome, build_grid

HOT, COLD, HIGH = 8000.0, 1000.0, 1e12


def fate(repeat: int, outcome: Outcome = 'survived', time: float = 100.0, frames: int = 100, contacts: int = 0) -> Fate:
    return Fate(HOT, HIGH, repeat, outcome, time, frames, contacts)


def cell(*fates: Fate, n_repeats: int | None = None) -> GridCell:
    return build_grid(fates, n_repeats).cells[HOT, HIGH]


def test_all_survive() -> None:
    found = cell(fate(0), fate(1, contacts=30), fate(2, contacts=60))
    assert (found.colour, found.contact_percent, found.text) == ('green', pytest.approx(30.0), '30')


def test_some_survive_and_frames_of_the_dead_count() -> None:
    found = cell(fate(0), fate(1, 'died', 20.4, 20, 10), fate(2, 'died', 0.3, 0, 0))
    assert found.colour == 'pale'
    assert found.contact_percent == pytest.approx(100 * 10 / 120)
    assert found.deaths_ps == (0.3, 20.4)


def test_none_survives() -> None:
    found = cell(*(fate(repeat, 'died', 5.0, 5, 5) for repeat in range(3)))
    assert (found.colour, found.text) == ('white', '100')


def test_dash_where_all_died_before_the_first_frame() -> None:
    found = cell(*(fate(repeat, 'died', 0.1, 0, 0) for repeat in range(3)))
    assert (found.colour, found.contact_percent, found.text) == ('white', None, '–')


@pytest.mark.parametrize(
    ('fates', 'colour', 'n_unfinished'),
    [
        ([fate(0), fate(1)], 'open', 1),
        ([fate(0), fate(1), fate(2, 'unfinished', 50.0, 50, 0)], 'open', 1),
        ([fate(0), fate(1, 'died', 3.0, 3, 0)], 'pale', 1),  # whatever becomes of the third
        ([fate(0, 'died', 3.0, 3, 0)], 'open', 2),
    ],
)
def test_unfinished_repeats_leave_open_what_they_can_change(fates: list[Fate], colour: str, n_unfinished: int) -> None:
    found = cell(*fates, n_repeats=3)
    assert (found.colour, found.n_unfinished) == (colour, n_unfinished)


@pytest.mark.parametrize(
    ('frames', 'contacts', 'text'),
    [(1000, 0, '0'), (1000, 1, '<1'), (1000, 999, '>99'), (1000, 1000, '100'), (1000, 125, '12')],
)
def test_numbers_are_rounded_but_not_to_none_or_all(frames: int, contacts: int, text: str) -> None:
    assert cell(fate(0, frames=frames, contacts=contacts)).text == text


def test_open_cell_without_frames_is_empty_not_a_dash() -> None:
    assert cell(fate(0, 'unfinished', 0.2, 0, 0)).text == ''


def test_axes_are_ascending_and_cells_may_be_missing() -> None:
    grid = build_grid([fate(0), Fate(COLD, 1e6, 0, 'died', 1.0, 1, 1), Fate(COLD, HIGH, 0, 'survived', 100.0, 100, 0)])
    assert grid.temperatures_k == (COLD, HOT)
    assert grid.pressures_pa == (1e6, HIGH)
    assert (HOT, 1e6) not in grid.cells
    assert (grid.n_survived, grid.n_replicas) == (2, 3)
    assert [grid.count(colour) for colour in ('green', 'pale', 'white')] == [2, 0, 1]


def test_impossible_fates_are_refused() -> None:
    with pytest.raises(ValueError, match='no replicas'):
        build_grid([])
    with pytest.raises(ValueError, match='repeat 0 at 8000 K and 1e\\+12 Pa occurs twice'):
        build_grid([fate(0), fate(0)])
    with pytest.raises(ValueError, match='101 frames with a contact of 100'):
        build_grid([fate(0, contacts=101)])
    with pytest.raises(ValueError, match='2 repeats, but 1 are wanted'):
        build_grid([fate(0), fate(1)], 1)
