"""Conductivities on the command line: what a launch becomes, what is shown and drawn, and the state of replicas."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from aiida.common.links import LinkType
from aiida.engine import ProcessState
from aiida.orm import CalcJobNode, Dict, WorkChainNode
from ase.build import bulk
from click.testing import CliRunner

from aiida_litraj.cli import conductivity, main
from aiida_litraj.cli import replicas as replicas_module
from aiida_litraj.cli.replicas import MOST_ROWS, replicas_of, rows_for_table
from aiida_litraj.contract.result import ActiveItem, Progress
from tests.calculations.test_conductivity import account, lattice_gas, report, settings
from tests.fixtures.nodes import fcc, md_parameters, potential, replica

pytestmark = pytest.mark.usefixtures('aiida_profile_clean')
PNG = b'\x89PNG'


@pytest.fixture
def crystal(tmp_path: Path) -> str:
    path = tmp_path / 'LiCl.cif'
    bulk('LiCl', 'rocksalt', a=5.1, cubic=True).write(path)
    return str(path)


@pytest.fixture
def toy(aiida_profile_clean: Any, aiida_localhost: Any) -> Any:
    """A code that has the analytic potentials, and one of these."""
    from aiida_litraj.codes.environment import Environment
    from aiida_litraj.codes.register import register
    from aiida_litraj.contract.potential import FamilyReport, ProbeReport
    from aiida_litraj.data import PotentialData

    PotentialData.packaged('toy', 'site_lattice').store()
    families = [FamilyReport(family='toy', available=True, package='numpy')]
    probe = ProbeReport(engine_version='0', python_version='3', python='p', platform='l', families=families)
    return register(Environment('toy', aiida_localhost.label, sys.executable), probe).code


@pytest.fixture
def launched(toy: Any, crystal: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that launches with further options, and the builder that would have been run."""

    def launch_with(*options: str) -> tuple[Any, Any]:
        taken: list[Any] = []
        monkeypatch.setattr(conductivity, 'run_or_submit', lambda builder, *_: taken.append(builder))
        arguments = ('launch', 'conductivity', crystal, '--potential', 'site_lattice', '--protocol', 'quick')
        done = CliRunner().invoke(main, [*arguments, *options])
        return done, taken[0] if taken else None

    return launch_with


def test_options_become_settings(launched: Any, toy: Any) -> None:
    done, builder = launched(
        '--temperatures', '900,700', '--repeats', '2', '--duration', '20', '--supercell-min', '9',
        '--override', 'nvt.parameters.timestep_fs=1.0', '--device', 'cpu', '--no-cache',
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    chosen = builder.settings
    assert (chosen['temperatures_k'], chosen['repeats']) == ([700.0, 900.0], 2)
    assert (chosen['production']['duration_ps'], chosen['min_image_distance_ang']) == (20.0, 9.0)
    assert builder.nvt.md.parameters['timestep_fs'] == 1.0
    for stage in (builder.npt, builder.nvt):
        assert stage.md.code.uuid == toy.uuid
        assert stage.md.metadata.options['device'] == 'cpu'
        assert stage.md.metadata.disable_cache is True
    # at 2 temperatures, 2 repeats each: 1000 steps at constant pressure and 20,000 in the mean cell
    assert 'Li in 64 atoms at 700, 900 K, 2 x 20 ps each, 8.4e+04 steps in all, protocol quick' in done.stderr


@pytest.mark.parametrize(
    ('options', 'status', 'message'),
    [
        (('--temperatures', '600;800'), 2, "'600;800' are not numbers with commas between"),
        (('--temperatures', '600,-800'), 1, 'settings.temperatures_k.1 = -800.0'),
        (('--mobile', 'Na'), 1, "settings.mobile_element = 'Na': there is none in Li4Cl4"),
        (('--duration', '1'), 1, 'leaves nothing of 1 ps'),
        (('--duration', '1.2'), 1, 'is shorter than the window of its analysis'),
        (('--repeats', '0'), 2, '0 is not in the range'),
        (('--protocol', 'fast'), 1, "protocol 'fast' is not known"),
        (('--override', 'nvt.parameters.timestep_fs=0'), 1, 'nvt.parameters.timestep_fs = 0'),
        (('--duration', '9', '--override', 'settings.production.duration_ps=8'), 2, 'is set twice'),
    ],
)
def test_bad_requests_are_refused(options: tuple[str, ...], status: int, message: str, launched: Any) -> None:
    done, builder = launched(*options)
    assert (done.exit_code, builder) == (status, None), done.output
    assert message in done.stderr
    as_json, _ = launched(*options, '--json')
    assert message in json.loads(as_json.stdout)['error']['message']


@pytest.fixture
def chain(tmp_path: Path, toy: Any) -> WorkChainNode:
    """A chain at its end, whose conductivity was measured on a lattice gas."""
    from aiida_litraj.calculations.functions.analyse_conductivity import analyse_conductivity
    from aiida_litraj.data import PotentialData

    folder = tmp_path / 'runs'
    folder.mkdir()
    runs, chosen = lattice_gas(folder), settings()
    chosen.label = 'quick'
    found = analyse_conductivity(chosen, account(runs), report('900 K: left out'), **runs)
    node = WorkChainNode(process_type='aiida.workflows:litraj.conductivity')
    node.set_process_state(ProcessState.FINISHED)
    given = {'structure': fcc(), 'settings': chosen, 'potential': PotentialData.collection.all()[0]}
    for label, value in given.items():
        node.base.links.add_incoming(value.store(), link_type=LinkType.INPUT_WORK, link_label=label)
    node.store()
    node.set_exit_status(0)
    outputs = {'conductivity': found, **{f'trajectories__{name}': one for name, one in runs.items()}}
    for label, value in outputs.items():
        value.base.links.add_incoming(node, link_type=LinkType.RETURN, link_label=label)
    return node


def test_conductivity_is_shown(chain: WorkChainNode) -> None:
    done = CliRunner().invoke(main, ['show', str(chain.pk), '--json'])
    content = json.loads(done.stdout)
    assert list(content)[2:7] == [
        'sigma_298_s_per_cm', 'sigma_298_low', 'sigma_298_high', 'activation_energy_ev', 'warnings'
    ]  # fmt: skip
    assert (content['uuid'], content['protocol'], content['potential']) == (chain.uuid, 'quick', 'site_lattice')
    shown = CliRunner().invoke(main, ['show', str(chain.pk)])
    assert f'{content["sigma_298_s_per_cm"]:.2g} S/cm' in shown.stdout
    assert f'{content["activation_energy_ev"]:.3f} eV' in shown.stdout
    assert 'Warning: 900 K: left out' in shown.stderr
    status = CliRunner().invoke(main, ['status', str(chain.pk)])
    assert f'Conductivity at 298 K {content["sigma_298_s_per_cm"]:.2g} S/cm' in status.stdout


def test_conductivity_is_drawn(chain: WorkChainNode, tmp_path: Path) -> None:
    picture = tmp_path / 'sigma.png'
    done = CliRunner().invoke(main, ['plot', str(chain.pk), '-o', str(picture)])
    assert done.exit_code == 0, done.output
    assert picture.read_bytes().startswith(PNG)


def test_nothing_to_be_said_is_said() -> None:
    nothing = {'sigma_298_s_per_cm': None, 'activation_energy_ev': None}
    assert conductivity.conductivity_line(nothing) == 'No conductivity at 298 K'


@pytest.fixture
def jobs(aiida_localhost: Any) -> Any:
    """Return a function that makes a job of dynamics below a chain, without running it."""

    def make(caller: WorkChainNode | None, names: dict[str, float], results: dict[str, Any] | None) -> CalcJobNode:
        node = CalcJobNode(computer=aiida_localhost, process_type=replicas_module.JOB)
        given = {'structures__fcc': fcc(), 'parameters': md_parameters(), 'potential': potential()}
        for name, duration in names.items():
            given[f'replicas__{name}'] = replica('fcc', 1, {'duration_fs': duration, 'temperature_k': 300.0})
        for label, value in given.items():
            node.base.links.add_incoming(value.store(), link_type=LinkType.INPUT_CALC, link_label=label)
        if caller is not None:
            node.base.links.add_incoming(caller, link_type=LinkType.CALL_CALC, link_label='iteration_01')
        node.store()
        if results is not None:
            made = Dict({'items': results})
            made.base.links.add_incoming(node, link_type=LinkType.CREATE, link_label='results')
            made.store()
        return node

    return make


def test_state_of_each_replica(jobs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that ended with one dead and one cut off, and its successor, in which this one runs and another died."""
    top = WorkChainNode(process_type='aiida.workflows:litraj.conductivity')
    top.store()
    base = WorkChainNode(process_type='aiida.workflows:litraj.md.base')
    base.base.links.add_incoming(top, link_type=LinkType.CALL_WORK, link_label='nvt')
    base.store()
    ended = {
        'a': {'status': 'failed', 'reason': 'an atom was lost', 'time_fs': 400.0},
        'b': {'status': 'unfinished', 'reason': 'max_seconds', 'time_fs': 100.0},
    }
    jobs(base, {'a': 1000.0, 'b': 1000.0, 'c': 1000.0, 'd': 2000.0}, ended)
    running = jobs(base, {'b': 1000.0, 'c': 1000.0, 'd': 2000.0}, None)
    progress = Progress(
        task='md', n_items=3, n_finished=1, n_converged=0, n_active=1, model_calls=300, wall_seconds=10.0,
        updated_at='2026-01-01T00:00:00', active=[ActiveItem(id='b', phase='segment 1 of 1', step=250, max_steps=500)],
    )  # fmt: skip
    died = {'c': {'status': 'failed', 'reason': 'too hot', 'time_fs': 20.0}}
    monkeypatch.setattr(replicas_module, '_ended', lambda *_: died)
    rows = replicas_of(top, {running.pk: progress})
    assert {(row['stage'], row['replica'], row['state'], row['time_ps'], row['reason']) for row in rows} == {
        ('nvt', 'a', 'died', 0.4, 'an atom was lost'),
        ('nvt', 'b', 'running', 0.5, None),
        ('nvt', 'c', 'died', 0.02, 'too hot'),
        ('nvt', 'd', 'waiting', 0.0, None),
    }
    assert [row['duration_ps'] for row in rows] == [1.0, 1.0, 1.0, 2.0]


def test_long_tables_keep_what_matters() -> None:
    row = {'stage': '', 'state': 'done', 'time_ps': 1.0, 'duration_ps': 1.0, 'reason': None}
    many = [{**row, 'replica': f'r{k}'} for k in range(MOST_ROWS + 10)]
    many[-1] = {**many[-1], 'state': 'died', 'reason': 'too hot'}
    rows = rows_for_table(many)
    assert len(rows) == MOST_ROWS + 1
    assert rows[-2][1:3] == (f'r{MOST_ROWS + 9}', 'died')
    assert rows[-1][1] == 'and 10 more'
