"""What is shown, drawn and refused of checks with DFT, on analytic labels through the real chains."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from aiida.engine import run_get_node
from aiida.orm import Dict

from aiida_litraj.cli import barrier_check, force_accuracy
from aiida_litraj.cli.errors import Refusal
from aiida_litraj.cli.processes import result_of
from aiida_litraj.codes.register import COMPUTER
from aiida_litraj.data import PathData
from tests.fixtures.nodes import potential, vacancy_path
from tests.workflows.test_barrier_check import DEEPER, evaluated
from tests.workflows.test_force_accuracy import snapshots

REQUEST = {
    'pseudo_family': None, 'dataset': None, 'max_in_flight': None, 'walltime': None, 'protocol': 'fast',
}  # fmt: skip
pytestmark = pytest.mark.e2e
OVERRIDES = {'label': {'settings': {'toy': {'potential': 'morse', 'options': DEEPER, 'ceiling_ev': None}}}}


def test_check_of_a_path(toy_dft: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = evaluated(vacancy_path()).store()
    request = {**REQUEST, 'path': str(path.pk), 'code': toy_dft.full_label}
    builder = barrier_check.prepare(request, OVERRIDES)
    said = barrier_check.plan_text(builder)
    assert said.startswith(f'3 of 5 images of {path.natoms} atoms; PBE, 340 eV')
    chain = run_get_node(builder)[1]
    result = result_of(chain)
    assert result is not None
    assert result['reference_barrier_ev'] == pytest.approx(1.2 * result['potential_barrier_ev'])
    barrier_check.print_barrier_check(result)
    shown = capsys.readouterr().out
    rows = [line.split() for line in shown.splitlines() if line.strip().startswith(('barrier', '2 '))]
    both = [f'{result[key]:.4f}' for key in ('potential_barrier_ev', 'reference_barrier_ev')]
    assert rows[0][1:3] == both
    assert rows[1][-2:] == ['←', 'saddle']
    assert 'not the barrier of the reference' in shown
    assert barrier_check.barrier_check_line(result).startswith(f'Barrier on single points {float(both[1]):.3f} eV')
    drawn = barrier_check.save_picture(chain, tmp_path / 'check.svg').read_text(encoding='utf-8')
    assert f'{float(both[1]):.3f} eV' in drawn and '3 of 5 images labelled' in drawn


def test_path_of_a_node(aiida_profile: Any) -> None:
    path = evaluated(vacancy_path()).store()
    assert barrier_check.load_path(str(path.pk)).uuid == path.uuid
    other = Dict({}).store()
    with pytest.raises(Refusal, match='neither a path nor a process with an optimised one'):
        barrier_check.load_path(str(other.pk))


def test_paths_of_a_job_are_named(job_node: Any, neb_inputs: Any) -> None:
    from tests.fixtures.nodes import Job

    two = {'a': vacancy_path(), 'b': vacancy_path(ion=1, site=0)}
    node = job_node(neb_inputs(), Job(exit_status=0, outputs={'paths': two}))
    with pytest.raises(Refusal, match=f'process {node.pk} has 2 paths'):
        barrier_check.load_path(str(node.pk))
    one = job_node(neb_inputs(), Job(exit_status=0, outputs={'paths': {'a': vacancy_path()}}))
    assert isinstance(barrier_check.load_path(str(one.pk)), PathData)


def test_errors_of_forces(
    toy_dft: Any, engine_code: Any, computer: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frames = snapshots().store()
    engine_code.base.extras.set(COMPUTER, computer.label)
    soft = potential('morse')
    soft.label = 'soft-one'
    soft.store()
    request = {
        **REQUEST, 'source': str(frames.pk), 'potentials': ('soft-one',), 'driver': None, 'means': ('mean=soft-one',),
        'dft_code': toy_dft.full_label, 'code': engine_code.label, 'processes': 1,
    }  # fmt: skip
    builder = force_accuracy.prepare(request, {**OVERRIDES, 'sample': {'max_frames': 4}})
    assert force_accuracy.plan_text(builder) == '4 of 6 snapshots; PBE, 340 eV; 1 potential, protocol fast'
    chain = run_get_node(builder)[1]
    result = result_of(chain)
    assert result is not None
    rmse = result['potentials']['soft_one']['stages']['all']['rmse_force_mev_per_ang']
    assert result['ensembles']['mean']['stages']['all']['rmse_force_mev_per_ang']['mean'] == rmse
    force_accuracy.print_force_accuracy(result)
    shown = capsys.readouterr().out
    row = next(line.split() for line in shown.splitlines() if line.strip().startswith('all '))
    assert row[:3] == ['all', '4', f'{rmse:.1f}'] and '0.833' in row
    assert f'soft-one: {rmse:.0f} meV/Å' in force_accuracy.force_accuracy_line(result)
    drawn = force_accuracy.save_picture(chain, tmp_path / 'accuracy.svg').read_text(encoding='utf-8')
    assert all(text in drawn for text in ('melt', 'quench', 'glass', 'mean (mean of 1)', '4 snapshots of 4 atoms'))


def test_means_that_do_not_parse_are_refused() -> None:
    for text, words in (('all', 'write NAME=A,B'), ('all=', 'write NAME=A,B'), ('all=a,c', 'c is given by no')):
        with pytest.raises(Exception, match=words):
            force_accuracy._ensembles((text,), {'a': 'a', 'b': 'b'})
    assert force_accuracy._ensembles(('all=a-1, b',), {'a-1': 'a_1', 'b': 'b'}) == {'all': ['a_1', 'b']}
