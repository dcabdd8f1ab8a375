"""Noise, schedules and distances, which everything stands on."""

from __future__ import annotations

import ase
import numpy as np
import pytest

from aiida_litraj.contract.md import Segment
from aiida_litraj.engine.core.dynamics import geometry
from aiida_litraj.engine.core.dynamics.geometry import closest, wrapped
from aiida_litraj.engine.core.dynamics.noise import Purpose, normal
from aiida_litraj.engine.core.dynamics.schedule import Schedule
from aiida_litraj.engine.core.dynamics.units import BOLTZMANN, GIGAPASCAL

CELLS = {
    'cube': 6.0 * np.eye(3),
    'skewed': np.array([[6.0, 0.0, 0.0], [2.5, 5.5, 0.0], [-2.0, 1.5, 6.5]]),
    'left-handed': np.diag([6.0, 5.0, -7.0]),
}


@pytest.mark.parametrize('pbc', [(1, 1, 1), (1, 0, 1), (0, 0, 0)])
@pytest.mark.parametrize('name', CELLS)
def test_the_shortest_distance_is_that_of_ase(name: str, pbc: tuple[int, int, int]) -> None:
    """Atoms far outside the cell, in blocks of a few rows as well."""
    cell = CELLS[name]
    positions = np.random.default_rng(3).uniform(-20.0, 20.0, (40, 3))
    atoms = ase.Atoms('H40', positions=positions, cell=cell, pbc=pbc)
    distances = atoms.get_all_distances(mic=True)
    expected = distances[np.triu_indices(40, 1)].min()
    assert closest(positions, cell, np.array(pbc, dtype=bool)) == pytest.approx(expected, abs=1e-12)


def test_large_systems_are_looked_at_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    positions = np.random.default_rng(3).uniform(0.0, 6.0, (23, 3))
    whole = closest(positions, CELLS['skewed'], np.ones(3, dtype=bool))
    monkeypatch.setattr(geometry, '_PAIRS_AT_ONCE', 50)
    assert closest(positions, CELLS['skewed'], np.ones(3, dtype=bool)) == whole


def test_an_atom_is_close_to_its_own_image() -> None:
    cell = np.diag([9.0, 9.0, 0.8])
    assert closest(np.array([[0.0, 0.0, 0.0], [4.0, 4.0, 0.4]]), cell, np.ones(3, dtype=bool)) == pytest.approx(0.8)


@pytest.mark.parametrize('pbc', [(1, 1, 1), (1, 0, 1), (0, 1, 0), (0, 0, 0)])
@pytest.mark.parametrize('name', CELLS)
def test_wrapping_moves_by_lattice_vectors_of_periodic_directions(name: str, pbc: tuple[int, int, int]) -> None:
    cell, periodic = CELLS[name], np.array(pbc, dtype=bool)
    positions = np.random.default_rng(3).uniform(-50.0, 50.0, (30, 3))
    moved = (positions - wrapped(positions, cell, periodic)) @ np.linalg.inv(cell)
    np.testing.assert_allclose(moved, np.rint(moved), rtol=0, atol=1e-9)
    assert np.abs(moved[:, ~periodic]).max(initial=0.0) < 1e-9
    if periodic.all():
        fractional = wrapped(positions, cell, periodic) @ np.linalg.inv(cell)
        assert fractional.min() > -1e-12
        assert fractional.max() < 1.0 + 1e-12


def test_noise_is_a_function_of_seed_step_and_purpose() -> None:
    first = normal(7, 3, Purpose.THERMOSTAT, (500, 3))
    np.testing.assert_array_equal(first, normal(7, 3, Purpose.THERMOSTAT, (500, 3)))
    others = [
        normal(8, 3, Purpose.THERMOSTAT, (500, 3)),
        normal(7, 4, Purpose.THERMOSTAT, (500, 3)),
        normal(7, 3, Purpose.BAROSTAT, (500, 3)),
        normal(2**63 - 1, 2**40, Purpose.VELOCITIES, (500, 3)),
    ]
    for other in others:
        assert abs((first * other).mean()) < 4.0 / np.sqrt(first.size)


def test_noise_of_many_steps_is_normal_and_remembers_nothing() -> None:
    series = np.array([normal(1, step, Purpose.BAROSTAT, (1,))[0] for step in range(20000)])
    assert abs(series.mean()) < 4.0 / np.sqrt(20000)
    assert abs(series.var() - 1.0) < 4.0 * np.sqrt(2.0 / 20000)
    assert abs((series**4).mean() - 3.0) < 4.0 * np.sqrt(96.0 / 20000)
    for lag in (1, 2, 7):
        assert abs((series[lag:] * series[:-lag]).mean()) < 4.0 / np.sqrt(20000)


def test_a_schedule_holds_and_ramps() -> None:
    segments = [
        Segment(duration_fs=4.0, temperature_k=300.0, pressure_gpa=1.0),
        Segment(
            duration_fs=8.0, temperature_k=300.0, temperature_end_k=1100.0, pressure_gpa=1.0, pressure_end_gpa=-1.0
        ),
        Segment(duration_fs=2.0, temperature_k=50.0, pressure_gpa=0.0),
    ]
    schedule = Schedule(segments, 2.0)
    assert schedule.n_steps == 7
    kelvin = [schedule.at(step).kt / BOLTZMANN for step in range(8)]
    gigapascal = [schedule.at(step).pressure / GIGAPASCAL for step in range(8)]
    assert kelvin == pytest.approx([300, 300, 300, 500, 700, 900, 1100, 50])
    assert gigapascal == pytest.approx([1, 1, 1, 0.5, 0, -0.5, -1, 0])
    assert [schedule.segment(step) for step in range(8)] == [0, 0, 0, 1, 1, 1, 1, 2]
    assert schedule.at(6).kt == BOLTZMANN * 1100.0
