"""Every launch makes a process that AiiDA takes, whose inputs it freezes before they are validated."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiida.common.links import LinkType
from aiida.orm import Dict, InstalledCode, WorkChainNode
from ase.build import bulk
from click.testing import CliRunner

from aiida_litraj.cli import foreground, main
from aiida_litraj.cli.chains import CHAINS
from aiida_litraj.cli.processes import entry_point
from aiida_litraj.data.frames import FramesData
from tests.fixtures.nodes import vacancy_path
from tests.workflows.test_barrier_check import evaluated
from tests.workflows.test_force_accuracy import snapshots

pytestmark = pytest.mark.usefixtures('aiida_profile_clean')


class NotRun(Exception):
    """Raised in place of running a process."""


@pytest.fixture
def toy(aiida_profile_clean: Any, aiida_localhost: Any) -> Any:
    """A code that has the analytic potentials, and two of these."""
    from aiida_litraj.codes.environment import Environment
    from aiida_litraj.codes.register import register
    from aiida_litraj.contract.potential import FamilyReport, ProbeReport
    from aiida_litraj.data import PotentialData

    for name in ('morse', 'site_lattice'):
        PotentialData.packaged('toy', name).store()
    families = [FamilyReport(family=name, available=True, package=name) for name in ('toy', 'gpaw')]
    probe = ProbeReport(engine_version='0', python_version='3', python='p', platform='l', families=families)
    return register(Environment('toy', aiida_localhost.label, sys.executable, options={'queue_name': 'q'}), probe).code


@pytest.fixture
def dft(aiida_profile_clean: Any, aiida_localhost: Any) -> Any:
    """A code that gives labels."""
    code = InstalledCode(aiida_localhost, '/bin/true', label='dft', default_calc_job_plugin='ase.ase')
    return code.store()


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """The processes that would have been run."""
    from aiida.manage import get_manager

    made: list[Any] = []

    def keep(process: Any, title: str) -> None:
        made.append(process)
        raise NotRun

    monkeypatch.setattr(foreground, 'run_with_progress', keep)
    yield made
    get_manager().reset_runner()


CRYSTALS = {'fcc.cif': bulk('Li', 'fcc', a=4.0, cubic=True), 'LiCl.cif': bulk('LiCl', 'rocksalt', a=5.1, cubic=True)}
LAUNCHES = {
    'litraj.barrier': ('barrier', 'fcc.cif', '--hop', '0,1,0,0,0', '--potential', 'morse'),
    'litraj.neb.packed': ('neb', '{straight}', '--potential', 'morse'),
    'litraj.neb_benchmark': ('neb-benchmark', '{optimised}', '--potential', 'morse'),
    'litraj.conductivity': ('conductivity', 'LiCl.cif', '--potential', 'site_lattice', '--protocol', 'quick'),
    'litraj.robustness': ('robustness', 'fcc.cif', '--potential', 'morse', '--protocol', 'quick'),
    'litraj.melt_quench': ('melt-quench', 'fcc.cif', '--potential', 'morse', '--protocol', 'quick'),
    'litraj.formation_energy': ('formation-energy', 'Li2S.cif', 'Li3PS4.cif', 'P2S5.cif', '--potential', 'morse'),
    'litraj.dft_neb': ('dft-neb', 'fcc.cif', '--hop', '0,1,0,0,0', '--potential', 'morse'),
    'litraj.train.base': ('train', '{labelled}', '--trainer', 'toy', '--protocol', 'fast', '--held-out', 'frames'),
    'litraj.finetune': (
        'finetune', '{labelled}', '--potential', 'morse', '--protocol', 'fast', '--from-scratch', '--elsewhere',
        '{others}',
    ),
    'litraj.learning_curve': ('learning-curve', '{labelled}', '--trainer', 'toy', '--protocol', 'fast'),
    'litraj.sweep': ('sweep', '{labelled}', '--trainer', 'toy', '--protocol', 'fast', '--vary', 'epochs=1,2'),
    'litraj.evaluate': ('evaluate', '--frames', '{labelled}', '--potential', 'morse'),
}  # fmt: skip
LABELS = {
    'litraj.label': ('label', 'LiCl.cif'),
    'litraj.convergence': ('label', 'LiCl.cif', '--check-convergence', '--cutoffs', '300,400'),
    'litraj.barrier_check': ('barrier-check', '{path}'),
    'litraj.force_accuracy': ('force-accuracy', '{frames}', '--potential', 'morse'),
}
"""Of a DFT code, which is never run here."""
SHARED = Path(__file__).parents[2] / 'examples' / 'structures'


def test_every_chain_is_launched() -> None:
    assert set(LAUNCHES) | set(LABELS) == set(CHAINS)


@pytest.mark.parametrize('chain', [*LAUNCHES, *LABELS])
def test_launch_makes_a_process(
    chain: str, toy: Any, dft: Any, processes: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, crystal in CRYSTALS.items():
        crystal.write(name)
    for name, source in (('Li2S', 'Li2S'), ('Li3PS4', 'Li3PS4_gamma'), ('P2S5', 'P2S5')):
        Path(f'{name}.cif').write_bytes((SHARED / f'{source}.cif').read_bytes())
    frames = snapshots(3)
    known = replace(frames.frames, energies=np.zeros(frames.n_frames), forces=np.ones_like(frames.frames.positions))
    made = {
        'path': evaluated(vacancy_path()),
        'straight': vacancy_path(),
        'frames': frames,
        'labelled': FramesData.from_frames(known),
    }
    shifted = replace(known, positions=known.positions + 0.1)
    made['others'] = FramesData.from_frames(shifted)
    made['optimised'] = optimised_chain(vacancy_path(), evaluated(vacancy_path()))
    nodes = {name: node.store().pk for name, node in made.items()}
    given = [one.format(**nodes) for one in {**LAUNCHES, **LABELS}[chain]]
    if chain in LABELS:
        given += ['--dft-code' if chain == 'litraj.force_accuracy' else '--code', dft.full_label, '--protocol', 'fast']
    else:
        given += ['--processes', '1', '--no-cache']
    done = CliRunner().invoke(main, ['launch', *given])
    assert isinstance(done.exception, NotRun), done.output
    (process,) = processes
    assert entry_point(process.node) == chain
    assert process.node.is_stored and not process.has_terminated()


def optimised_chain(start: Any, path: Any) -> Any:
    """Return a chain that has optimised a path."""
    node = WorkChainNode(process_type='aiida.workflows:litraj.neb.packed')
    node.base.links.add_incoming(start.store(), link_type=LinkType.INPUT_WORK, link_label='neb__paths__hop')
    account = Dict({'items': {'hop': {'status': 'finished', 'converged': True}}})
    for label, one in {'paths__hop': path, 'results': account}.items():
        one.store().base.links.add_incoming(node.store(), link_type=LinkType.RETURN, link_label=label)
    return node


def test_packed_start_makes_a_process(toy: Any, processes: list[Any]) -> None:
    arguments = ('launch', 'robustness', '--potential', 'morse', '--protocol', 'quick', '--atoms', '16')
    done = CliRunner().invoke(main, arguments)
    assert isinstance(done.exception, NotRun), done.output
    assert processes[0].node.inputs.packing['n_atoms'] == 16
