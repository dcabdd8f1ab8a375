"""The ``md`` task from its job to its records: known ways, when records are due, independence of replicas."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ase
import numpy as np
import pytest

from aiida_litraj.engine.models import Configuration, Evaluation
from aiida_litraj.engine.models.toy import morse

from .replicas import Replica, assert_same, crystal, gas, hold, parameters
from .trouble import Run, Troubled


def test_free_atoms_fly_straight_on_and_are_not_wrapped(run_md: Run) -> None:
    """With given velocities in Ang/fs, out of the cell of 6 Ang and through others."""
    atoms = gas(5, edge=6.0, seed=3)
    velocities = np.random.default_rng(4).normal(0.0, 0.02, (5, 3))
    replica = Replica(atoms, [hold(2000.0, 1e5)], velocities=velocities)
    ran = run_md({'a': replica}, parameters(initial_velocities='given', frame_dtype='float64'), potential='ideal_gas')
    frames = ran.frames('a')
    assert ran['a'].converged
    np.testing.assert_array_equal(frames['step'], np.arange(0, 1001, 5))
    expected = atoms.positions + frames['time_fs'][:, None, None] * velocities
    assert np.abs(expected).max() > 50.0
    np.testing.assert_allclose(frames['positions'], expected, rtol=0, atol=1e-9)
    np.testing.assert_allclose(ran.arrays['a/positions'], expected[-1], rtol=0, atol=1e-9)
    np.testing.assert_allclose(ran.arrays['a/velocities'], velocities, rtol=0, atol=1e-15)
    kinetic = 0.5 * 39.948 * (velocities**2).sum() * 103.642697  # u Ang^2/fs^2 in eV
    np.testing.assert_allclose(frames['kinetic_ev'], kinetic, rtol=1e-6)
    kelvin = 2.0 * kinetic / (3 * 5 - 3) / 8.617333262e-5
    assert ran['a'].segments[0].temperature_k == pytest.approx(kelvin, rel=1e-6)
    pressure = 2.0 / 3.0 * kinetic / 6.0**3 * 160.2176634
    assert ran['a'].segments[0].pressure_gpa == pytest.approx(pressure, rel=1e-6)
    assert ran['a'].segments[0].drift_ev_per_atom_ps == pytest.approx(0.0, abs=1e-12)


def test_one_call_a_step_and_records_when_they_are_due(run_md: Run) -> None:
    ran = run_md({'a': Replica(crystal(), [hold(50.0), hold(26.0, 400.0)])}, parameters('langevin'))
    assert ran.calls == 1 + 38
    assert ran['a'].n_steps == 38
    assert ran['a'].time_fs == ran['a'].duration_fs == 76.0
    np.testing.assert_array_equal(ran.frames('a')['step'], np.arange(0, 39, 5))
    np.testing.assert_array_equal(ran.thermo('a')['step'], np.arange(0, 39, 2))
    assert [segment.n_samples for segment in ran['a'].segments] == [13, 7]
    assert [segment.time_fs for segment in ran['a'].segments] == [50.0, 26.0]


def test_ramps_reach_their_ends(run_md: Run) -> None:
    """Temperature and pressure at each record are those of the line between the ends."""
    ramp = hold(40.0, 300.0, 0.0) | {'temperature_end_k': 700.0, 'pressure_end_gpa': 2.0}
    schedule = [ramp, hold(20.0, 700.0, 2.0), hold(20.0, 700.0, 2.0) | {'temperature_end_k': 300.0}]
    ran = run_md({'a': Replica(crystal(), schedule)}, parameters('rescaling-isotropic'))
    thermo = ran.thermo('a')
    times = thermo['time_fs']
    np.testing.assert_allclose(thermo['target_temperature_k'], np.interp(times, [0, 40, 60, 80], [300, 700, 700, 300]))
    np.testing.assert_allclose(thermo['target_pressure_gpa'], np.interp(times, [0, 40], [0, 2]), atol=1e-12)
    assert thermo['target_temperature_k'][times == 40.0] == 700.0


def test_hot_starts_are_hot_and_cold_ones_cold(run_md: Run) -> None:
    replicas = {'hot': Replica(gas(60), [hold(4.0, 3000.0)]), 'cold': Replica(gas(60), [hold(4.0, 30.0)])}
    ran = run_md(replicas, parameters('nve'), potential='ideal_gas')
    hot, cold = (ran.thermo(name)['temperature_k'][0] for name in ('hot', 'cold'))
    assert hot == pytest.approx(3000.0, rel=0.3)
    assert hot / cold == pytest.approx(100.0)  # one seed, one noise
    still = run_md({'a': Replica(crystal(), [hold(4.0)])}, parameters('nve', initial_velocities='zero'))
    assert still.thermo('a')['temperature_k'][0] == 0.0


GRID = {f'r{k}': Replica(crystal(1 + k % 2), [hold(60.0, 300.0 + 100.0 * k, 0.5 * k)], seed=k) for k in range(3)}


def test_a_replica_depends_on_its_seed_and_on_nothing_around_it(run_md: Run, with_potential: Any) -> None:
    """Together, alone, in the other order, in worker processes, in batches as on a GPU: the same bytes."""
    settings = parameters('rescaling-full')
    together = run_md(GRID, settings)
    assert together.result.exit.status == 0
    for name, replica in GRID.items():
        assert_same(run_md({name: replica}, settings), together, [name])
    assert_same(run_md(dict(reversed(GRID.items())), settings), together, list(GRID))
    assert_same(run_md(GRID, settings, runtime={'processes': 2}), together)

    class Batches(Troubled):
        device = 'cuda:0'
        sizes: list[int] = []

        def evaluate(self, configurations: Sequence[Configuration]) -> list[Evaluation]:
            self.sizes.append(len(configurations))
            return super().evaluate(configurations)

    with_potential(Batches({}))
    assert_same(run_md(GRID, settings), together)
    assert Batches.sizes.count(3) == 31  # all in one, each step
    other = run_md({'r1': Replica(GRID['r1'].atoms, GRID['r1'].schedule, seed=99)}, settings)
    assert other.bytes_of('r1')[0] != together.bytes_of('r1')[0]


def test_contacts_are_counted_and_not_fatal(run_md: Run) -> None:
    """Two free atoms that pass at 0.5 Ang, 0.1 Ang per frame: |x| <= sqrt(0.75) at 17 of the frames.

    Of two that start in the middle at 8 of them, the start is not counted.
    """
    atoms = ase.Atoms('Ar2', [[0.0, 0.0, 0.0], [2.0, 0.5, 0.0]], cell=20.0 * np.eye(3), pbc=True)
    velocities = np.array([[0.005, 0.0, 0.0], [-0.005, 0.0, 0.0]])
    replica = Replica(atoms, [hold(400.0, 1e5)], velocities=velocities)
    middle = atoms.copy()
    middle.positions[1, 0] = 0.0
    replicas = {'a': replica, 'b': Replica(middle, [hold(400.0, 1e5)], velocities=velocities)}
    ran = run_md(replicas, parameters(initial_velocities='given'), potential='ideal_gas')
    assert ran['a'].converged
    assert ran['a'].n_frames == 41
    assert ran['a'].contact_frames == 17
    assert ran['a'].closest_ang == pytest.approx(0.5, abs=1e-9)
    assert ran['b'].contact_frames == 8
    assert ran['b'].closest_ang == pytest.approx(np.hypot(0.1, 0.5), abs=1e-9)
    expected = np.hypot(2.0 - 0.01 * ran.frames('a')['time_fs'], 0.5)
    np.testing.assert_allclose(ran.frames('a')['closest_ang'], expected, rtol=1e-12)


def test_progress_tells_how_far_each_replica_is(
    run_md: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, with_potential: Any
) -> None:
    monkeypatch.setattr('aiida_litraj.engine.batch.PROGRESS_SECONDS', 0.0)
    seen: list[Any] = []

    def looking(configuration: Configuration) -> Evaluation:
        found = [json.loads(path.read_text())['active'] for path in tmp_path.glob('*/progress.json')]
        seen.extend((one['id'], one['phase'], one['step'], one['max_steps']) for active in found for one in active)
        return morse(configuration)

    with_potential(Troubled({}, looking))
    run_md({'a': Replica(crystal(1), [hold(4.0), hold(6.0)])})
    assert seen == [('a', f'segment {1 + (step > 1)} of 2', step, 5) for step in range(5)]
