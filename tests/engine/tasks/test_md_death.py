"""Replicas of the ``md`` task that die or are refused, each alone and with its reason."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aiida_litraj.contract import files
from aiida_litraj.engine.models import Configuration, Evaluation
from aiida_litraj.engine.models.toy import ideal_gas, morse

from .replicas import Replica, assert_same, crystal, gas, hold, parameters, write_job
from .trouble import Run, Troubled, spoilt

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
