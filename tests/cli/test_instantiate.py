"""Every launch makes a process that AiiDA takes, whose inputs it freezes before they are validated."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ase.build import bulk
from click.testing import CliRunner

from aiida_litraj.cli import foreground, main
from aiida_litraj.cli.chains import CHAINS
from aiida_litraj.cli.processes import entry_point

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
    families = [FamilyReport(family='toy', available=True, package='numpy')]
    probe = ProbeReport(engine_version='0', python_version='3', python='p', platform='l', families=families)
    return register(Environment('toy', aiida_localhost.label, sys.executable, options={'queue_name': 'q'}), probe).code


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
    'litraj.conductivity': ('conductivity', 'LiCl.cif', '--potential', 'site_lattice', '--protocol', 'quick'),
    'litraj.robustness': ('robustness', 'fcc.cif', '--potential', 'morse', '--protocol', 'quick'),
    'litraj.melt_quench': ('melt-quench', 'fcc.cif', '--potential', 'morse', '--protocol', 'quick'),
}


def test_every_chain_is_launched() -> None:
    assert set(LAUNCHES) == set(CHAINS)


@pytest.mark.parametrize('chain', LAUNCHES)
def test_launch_makes_a_process(chain: str, toy: Any, processes: list[Any], tmp_path: Path) -> None:
    for name, crystal in CRYSTALS.items():
        crystal.write(tmp_path / name)
    command, structure, *options = LAUNCHES[chain]
    arguments = ('launch', command, str(tmp_path / structure), *options, '--processes', '1', '--no-cache')
    done = CliRunner().invoke(main, arguments)
    assert isinstance(done.exception, NotRun), done.output
    (process,) = processes
    assert entry_point(process.node) == chain
    assert process.node.is_stored and not process.has_terminated()


def test_packed_start_makes_a_process(toy: Any, processes: list[Any]) -> None:
    arguments = ('launch', 'robustness', '--potential', 'morse', '--protocol', 'quick', '--atoms', '16')
    done = CliRunner().invoke(main, arguments)
    assert isinstance(done.exception, NotRun), done.output
    assert processes[0].node.inputs.packing['n_atoms'] == 16
