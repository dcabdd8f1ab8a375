"""The ``md`` task from its job to its records: known ways, independence of replicas, restarts, deaths, refusals."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import ase
import numpy as np
import pytest

from aiida_litraj.contract import PotentialReport, files
from aiida_litraj.contract.trajectory import read_records
from aiida_litraj.engine import run as run_module
from aiida_litraj.engine.evaluation import Pool
from aiida_litraj.engine.models import Configuration, Evaluation
from aiida_litraj.engine.models.toy import ideal_gas, morse

from .replicas import COUPLINGS, Ran, Replica, assert_same, crystal, gas, hold, parameters, write_job

Run = Callable[..., Ran]


@pytest.fixture
def run_md(tmp_path: Path, rerun: Any) -> Run:
    """``run_md(replicas, parameters, potential, runtime)`` runs a job in a new folder; ``again=folder`` an old one."""

    def go(replicas: Any = None, settings: Any = None, again: Path | None = None, **keywords: Any) -> Ran:
        folder = again or write_job(
            tmp_path / f'job_{len(list(tmp_path.iterdir()))}', replicas, settings or parameters(), **keywords
        )
        with rerun.restored_signals():
            run_module.run(folder / files.JOB)
        return Ran.read(folder)

    return go


class Troubled:
    """The Morse potential or an ideal gas, with trouble at a call of configurations with a certain number of atoms."""

    device = 'cpu'
    dtype = 'float64'

    def __init__(
        self, trouble: dict[tuple[int, int], Any], potential: Any = morse, cutoff: float | None = None
    ) -> None:
        self.report = PotentialReport(family='toy', name='troubled', sha256='0' * 64, elements=None, cutoff_ang=cutoff)
        self.trouble, self.potential = trouble, potential
        self.seen: dict[int, int] = {}

    def evaluate(self, configurations: Sequence[Configuration]) -> list[Evaluation]:
        return [self._one(configuration) for configuration in configurations]

    def _one(self, configuration: Configuration) -> Evaluation:
        n_atoms = len(configuration)
        self.seen[n_atoms] = self.seen.get(n_atoms, 0) + 1
        trouble = self.trouble.get((n_atoms, self.seen[n_atoms] - 1))
        if isinstance(trouble, Exception):
            raise trouble
        answer: Evaluation = self.potential(configuration)
        return answer if trouble is None else trouble(answer)


@pytest.fixture
def with_potential(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], Any]:
    def use(evaluator: Any, runtime: Any = None) -> Any:
        monkeypatch.setattr(run_module, 'Pool', lambda *_: Pool.of(evaluator, runtime))
        return evaluator

    return use


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


class StopAfter(Troubled):
    """The same, and it has the job stopped after a number of calls, as a signal would."""

    def __init__(self, calls: int, monkeypatch: pytest.MonkeyPatch, trouble: Any = None) -> None:
        super().__init__(trouble or {})
        self.left = calls
        monkeypatch.setattr(run_module, 'Pool', lambda *_: Pool.of(self))
        monkeypatch.setattr('aiida_litraj.engine.folder.Stop.keep_running', lambda _: self.left > 0)

    def evaluate(self, configurations: Sequence[Configuration]) -> list[Evaluation]:
        self.left -= len(configurations)
        return super().evaluate(configurations)


@pytest.mark.parametrize('coupling', COUPLINGS)
def test_stopped_again_and_again_it_comes_to_the_same_last_bit(
    coupling: str, run_md: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    pressure = 1.0 if COUPLINGS[coupling]['ensemble'] == 'npt' else None
    ramp = {} if coupling == 'nve' else {'temperature_end_k': 500.0}
    replicas = {f'r{k}': Replica(crystal(1), [hold(40.0, 300.0, pressure) | ramp], seed=k) for k in range(2)}
    settings = parameters(coupling)
    StopAfter(10**9, monkeypatch)
    unbroken = run_md(replicas, settings)
    assert unbroken.result.exit.status == 0
    StopAfter(7, monkeypatch)
    ran = run_md(replicas, settings)
    assert ran.result.exit.label == 'ERROR_OUT_OF_TIME'
    assert ran['r0'].status == 'unfinished'
    assert ran['r0'].time_fs == 12.0  # the start and six steps
    times = 1
    while ran.result.exit.label == 'ERROR_OUT_OF_TIME':
        StopAfter(7, monkeypatch)
        ran = run_md(again=ran.folder)
        times += 1
    assert times == 6
    assert_same(ran, unbroken)


def broken_off(replicas: Any, settings: Any, run_md: Run, monkeypatch: pytest.MonkeyPatch, calls: int = 15) -> Path:
    StopAfter(calls, monkeypatch)
    folder = run_md(replicas, settings).folder
    StopAfter(10**9, monkeypatch)
    return folder


ONE = {'a': Replica(crystal(1), [hold(60.0)])}


@pytest.mark.parametrize('damage', ['checkpoint', 'records', 'short', 'gone', 'other seed'])
def test_a_checkpoint_that_does_not_fit_is_not_gone_on_from(
    damage: str, run_md: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The replica starts anew, and comes to what it would have come to."""
    settings = parameters('langevin')
    StopAfter(10**9, monkeypatch)
    replicas = ONE if damage != 'other seed' else {'a': Replica(crystal(1), [hold(60.0)], seed=5)}
    unbroken = run_md(replicas, settings)
    folder = broken_off(ONE, settings, run_md, monkeypatch)
    checkpoint, frames = folder / files.CHECKPOINT / 'a.npz', folder / files.ITEMS / 'a.frames'
    if damage == 'checkpoint':
        content = bytearray(checkpoint.read_bytes())
        content[len(content) // 2] ^= 255
        checkpoint.write_bytes(content)
    elif damage == 'records':
        frames.write_bytes(b'x' + frames.read_bytes()[1:])
    elif damage == 'short':
        frames.write_bytes(frames.read_bytes()[:-100])
    elif damage == 'gone':
        frames.unlink()
    else:
        write_job(folder, replicas, settings)
    ran = run_md(again=folder)
    assert ran.result.audit is not None
    assert ran.result.audit.resumed_calls == 0
    assert_same(ran, unbroken)


def test_records_beyond_the_checkpoint_are_written_once(run_md: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a killed run has written after its last checkpoint, down to half a record, is cut off."""
    settings = parameters('langevin')
    StopAfter(10**9, monkeypatch)
    unbroken = run_md(ONE, settings)
    folder = broken_off(ONE, settings, run_md, monkeypatch)
    frames = folder / files.ITEMS / 'a.frames'
    layout = read_records(frames)[0].stored.itemsize
    frames.write_bytes(frames.read_bytes() + unbroken.bytes_of('a')[0][-layout - 33 :][: layout + 20])
    ran = run_md(again=folder)
    assert ran.result.audit is not None
    assert ran.result.audit.resumed_calls == 15
    assert_same(ran, unbroken)


def spoilt(**changes: Any) -> Callable[[Evaluation], Evaluation]:
    def spoil(answer: Evaluation) -> Evaluation:
        return Evaluation(changes.get('energy', answer.energy), changes.get('forces', answer.forces), answer.stress)

    return spoil


PUSHED = np.zeros((4, 3))
PUSHED[2, 0], PUSHED[3, 0] = 300.0, -300.0
"""eV/Ang: in a step of 2 fs 0.3 Ang."""
DEATHS: dict[str, tuple[Any, dict[str, Any], str, int, int]] = {
    # trouble at the evaluation of step 5; changes of limits; what the reason says; last whole step; frames kept
    'non_finite': (spoilt(energy=float('nan')), {}, 'not finite', 4, 4),
    'energy': (spoilt(energy=1000.0), {}, r'changed by 2\d\d eV/atom since the start, above 100', 4, 4),
    'temperature': (spoilt(forces=PUSHED), {'max_displacement_ang': 10.0}, r'K, above 6000', 4, 4),
    'atom_lost': (
        spoilt(forces=PUSHED),
        {'max_displacement_ang': 0.1, 'temperature_factor': 1e9},
        r'atom [23] moved 0\.\d+ Ang in one step, above 0\.1',
        5,
        4,
    ),
    'evaluation': (RuntimeError('no bananas'), {}, 'no bananas', 4, 4),
}


@pytest.mark.parametrize('death', DEATHS)
def test_a_replica_that_dies_ends_alone_with_its_reason_and_last_frames(
    death: str, run_md: Run, with_potential: Any
) -> None:
    trouble, limits, said, n_steps, kept = DEATHS[death]
    replicas = {
        'before': Replica(crystal(2), [hold(20.0)], seed=1),
        'dies': Replica(crystal(1), [hold(20.0)], seed=2),
        'after': Replica(crystal(2), [hold(20.0)], seed=3),
    }
    settings = parameters(limits=limits)
    healthy = run_md(replicas, settings)
    with_potential(Troubled({(4, 5): trouble}))
    ran = run_md(replicas, settings)
    assert_same(ran, healthy, ['before', 'after'])
    entry = ran['dies']
    assert (entry.status, entry.label, entry.death) == ('failed', 'ERROR_UNSTABLE', death)
    assert entry.n_steps == n_steps
    assert entry.time_fs == 2.0 * n_steps
    assert entry.reason is not None
    assert f'died after {2 * n_steps} fs' in entry.reason
    assert re.search(said, entry.reason), entry.reason
    assert ran.result.exit.label == 'ERROR_PARTIAL'
    assert ran.result.exit.message == '2 of 3 replicas converged'
    steps = ran.arrays['dies/last/steps']
    assert len(steps) == kept
    np.testing.assert_array_equal(steps, np.arange(n_steps - 2, n_steps + 2))
    positions = ran.arrays['dies/last/positions']
    np.testing.assert_array_equal(positions[-2], ran.arrays['dies/positions'])
    assert np.abs(np.diff(positions, axis=0)).max() > 0.0
    assert np.isfinite(ran.arrays['dies/last/energies'][:-1]).all()
    assert ran.arrays['dies/last/velocities'].shape == ran.arrays['dies/last/forces'].shape == (kept, 4, 3)


def test_the_dead_stay_dead_when_the_others_are_gone_on_with(run_md: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their last frames too are in the result of the run that comes to the end of the job."""
    replicas = {'dies': Replica(crystal(1), [hold(20.0)]), 'lives': Replica(crystal(2), [hold(20.0)])}
    trouble = {(4, 5): spoilt(energy=1000.0)}
    StopAfter(10**9, monkeypatch, trouble)
    unbroken = run_md(replicas)
    StopAfter(10, monkeypatch, trouble)
    ran = run_md(replicas)
    assert [item.status for item in ran.result.items] == ['failed', 'unfinished']
    evaluator = StopAfter(10**9, monkeypatch)
    ran = run_md(again=ran.folder)
    assert 4 not in evaluator.seen
    assert 'dies/last/positions' in ran.arrays
    assert_same(ran, unbroken)


@pytest.mark.parametrize(('gigapascal', 'said'), [(80.0, 'outside 0.5 to 8'), (-80.0, 'outside 0.1 to 2')])
def test_a_cell_that_collapses_or_blows_up(gigapascal: float, said: str, run_md: Run) -> None:
    limits = {'volume_ratio_min': 0.5} if gigapascal > 0 else {'volume_ratio_max': 2.0}
    settings = parameters('rescaling-isotropic', limits=limits)
    ran = run_md({'a': Replica(gas(8), [hold(400.0, 300.0, gigapascal)])}, settings, potential='ideal_gas')
    assert ran['a'].death == 'volume'
    assert ran['a'].reason is not None
    assert said in ran['a'].reason
    assert 0 < ran['a'].time_fs < 400.0


def test_too_many_neighbours_are_never_shown_to_the_potential(run_md: Run, with_potential: Any) -> None:
    """Squeezed until a sphere of the cutoff holds more atoms than allowed; the largest asked about holds fewer."""
    densest = 0.0

    def watching(configuration: Configuration) -> Evaluation:
        nonlocal densest
        density = len(configuration) / abs(np.linalg.det(configuration.cell))
        densest = max(densest, density * 4.0 / 3.0 * np.pi * 6.0**3)
        return ideal_gas(configuration)

    with_potential(Troubled({}, watching, cutoff=6.0))
    settings = parameters('rescaling-isotropic', limits={'max_neighbours': 3.0})
    ran = run_md({'a': Replica(gas(8), [hold(1000.0, 300.0, 30.0)])}, settings)
    assert ran['a'].death == 'neighbours'
    assert ran['a'].reason is not None
    assert 'neighbours per atom within 6 Ang, above 3' in ran['a'].reason
    assert 1.0 < densest <= 3.0
    assert np.isnan(ran.arrays['a/last/energies'][-1])


def test_a_start_beyond_the_limits_costs_no_evaluation(run_md: Run, with_potential: Any) -> None:
    evaluator = with_potential(Troubled({}, cutoff=6.0))
    ran = run_md({'a': Replica(crystal(1), [hold(20.0)])}, parameters(limits={'max_neighbours': 10.0}))
    assert (ran['a'].death, ran['a'].n_steps, ran.calls, evaluator.seen) == ('neighbours', 0, 0, {})


def test_what_cannot_be_evaluated_at_the_start_is_no_death(run_md: Run, with_potential: Any) -> None:
    with_potential(Troubled({(4, 0): ValueError('no bananas')}))
    ran = run_md({'a': Replica(crystal(1), [hold(20.0)]), 'b': Replica(crystal(2), [hold(20.0)])})
    assert (ran['a'].label, ran['a'].death) == ('ERROR_EVALUATION', None)
    assert ran['b'].converged


def test_npt_without_a_stress_is_refused(run_md: Run, with_potential: Any) -> None:
    def without(configuration: Configuration) -> Evaluation:
        answer = morse(configuration)
        return Evaluation(answer.energy, answer.forces)

    with_potential(Troubled({}, without))
    ran = run_md({'a': Replica(crystal(1), [hold(20.0, 300.0, 0.0)])}, parameters('mtk-full'))
    assert ran['a'].label == 'ERROR_NO_STRESS'
    ran = run_md({'a': Replica(crystal(1), [hold(20.0)])}, parameters('nose-hoover'))
    assert ran['a'].converged
    assert np.isnan(ran.thermo('a')['pressure_gpa']).all()
    assert ran['a'].segments[0].pressure_gpa is None


def test_a_replica_out_of_its_time_is_gone_on_with_by_the_next_run(run_md: Run) -> None:
    settings = parameters('nose-hoover')
    replicas = {'a': Replica(crystal(1), [hold(200.0)])}
    unbroken = run_md(replicas, settings)
    ran = run_md(replicas, settings, runtime={'max_item_seconds': 0.02})
    assert (ran['a'].label, ran['a'].death) == ('ERROR_ITEM_OUT_OF_TIME', 'wall_time')
    assert ran['a'].reason is not None
    assert 'segment 1 of 1, step' in ran['a'].reason
    assert ran['a'].time_fs < 200.0
    write_job(ran.folder, replicas, settings)
    assert_same(run_md(again=ran.folder), unbroken)


def test_contacts_are_counted_and_not_fatal(run_md: Run) -> None:
    """Two free atoms that pass at 0.5 Ang, 0.1 Ang per frame: |x| <= sqrt(0.75) at 17 of the frames."""
    atoms = ase.Atoms('Ar2', [[0.0, 0.0, 0.0], [2.0, 0.5, 0.0]], cell=20.0 * np.eye(3), pbc=True)
    velocities = np.array([[0.005, 0.0, 0.0], [-0.005, 0.0, 0.0]])
    replica = Replica(atoms, [hold(400.0, 1e5)], velocities=velocities)
    ran = run_md({'a': replica}, parameters(initial_velocities='given'), potential='ideal_gas')
    assert ran['a'].converged
    assert ran['a'].n_frames == 41
    assert ran['a'].contact_frames == 17
    assert ran['a'].closest_ang == pytest.approx(0.5, abs=1e-9)
    expected = np.hypot(2.0 - 0.01 * ran.frames('a')['time_fs'], 0.5)
    np.testing.assert_allclose(ran.frames('a')['closest_ang'], expected, rtol=1e-12)


BAD: dict[str, tuple[dict[str, Any], str]] = {
    'missing': ({'positions': None}, 'the array positions is missing'),
    'shape': ({'cell': np.eye(2)}, 'cell of shape'),
    'nan': ({'positions': np.full((4, 3), np.nan)}, 'not finite'),
    'thin': ({'cell': np.diag([3.95, 3.95, 1.5])}, 'thin, less than twice contact_distance_ang'),
    'flat': ({'cell': np.zeros((3, 3))}, 'volume of 0'),
    'slab': ({'pbc': np.array([True, True, False])}, 'three periodic directions; use nvt'),
    'numbers': ({'numbers': np.array([18, 18, 18, 200])}, 'atomic numbers'),
}


@pytest.mark.parametrize('fault', BAD)
def test_a_malformed_replica_is_refused_alone(fault: str, run_md: Run, tmp_path: Path) -> None:
    changes, said = BAD[fault]
    replicas = {name: Replica(crystal(1), [hold(8.0, 300.0, 0.0)]) for name in ('bad', 'good')}
    settings = parameters('rescaling-full')
    folder = write_job(tmp_path / 'job', replicas, settings)
    arrays = {f'{name}/{key}': value for name in replicas for key, value in replicas[name].arrays.items()}
    arrays |= {f'bad/{key}': value for key, value in changes.items() if value is not None}
    arrays = {
        key: value for key, value in arrays.items() if not (key[:4] == 'bad/' and changes.get(key[4:], 0) is None)
    }
    np.savez(folder / files.ARRAYS, **arrays)
    ran = run_md(again=folder)
    assert ran['bad'].label == 'ERROR_ITEM_INVALID'
    assert ran['bad'].reason is not None
    assert said in ran['bad'].reason
    assert ran['good'].converged


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
