"""``launch neb``: which hops are meant, what the options become, and what is said of the paths."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiida.common.links import LinkType
from aiida.engine import ProcessState
from aiida.orm import Dict, QueryBuilder
from click.testing import CliRunner

from aiida_litraj.cli import launching, main
from aiida_litraj.cli.neb import paths_line, paths_of, print_paths, save_picture
from aiida_litraj.data import PathData
from aiida_litraj.datasets.ingest.run import import_dataset
from tests.datasets.tiny import nebdft2k
from tests.fixtures.nodes import chain, vacancy_path

pytestmark = pytest.mark.usefixtures('aiida_profile_clean')


@pytest.fixture(autouse=True)
def code(aiida_profile_clean: Any, aiida_localhost: Any) -> Any:
    """A code of the family of the analytic potential."""
    from aiida_litraj.codes.environment import Environment
    from aiida_litraj.codes.register import register
    from aiida_litraj.contract.potential import FamilyReport, ProbeReport
    from aiida_litraj.data import PotentialData

    PotentialData.packaged('toy', 'morse').store()
    families = [FamilyReport(family='toy', available=True, package='numpy')]
    report = ProbeReport(engine_version='0', python_version='3', python='p', platform='l', families=families)
    return register(Environment('toy', aiida_localhost.label, sys.executable), report).code


@pytest.fixture
def launch(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that launches, what it printed, and the builder that would have run."""

    def call(*arguments: str) -> tuple[Any, Any]:
        taken: list[Any] = []
        monkeypatch.setattr(launching, 'run', lambda builder, *rest: taken.append(builder))
        done = CliRunner().invoke(main, ['launch', 'neb', *arguments])
        return done, taken[0] if taken else None

    return call


def test_hops_of_a_set_are_shared_out_as_asked(launch: Any, tmp_path: Path) -> None:
    import_dataset(nebdft2k(tmp_path), 'nebDFT2k', workers=0)
    done, builder = launch(
        'nebDFT2k', '--potential', 'morse', '--limit', '4', '--protocol', 'litraj-2025', '--max-jobs', '3',
        '--walltime', '7200', '--processes', '1', '--no-cache',
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert done.stderr == '4 paths of 8 atoms and 5 images; morse, protocol litraj-2025\n'
    assert sorted(builder.neb.paths) == [f'mp_{n // 2}_{n}_3_0_0_m1' for n in range(4)]
    assert builder.packing.get_dict() == {'max_jobs': 3}
    options = builder.neb.metadata.options
    assert (options['max_wallclock_seconds'], options['processes']) == (7200, 1)
    assert builder.neb.metadata.disable_cache
    assert builder.neb.parameters['initial_path'] == 'keep' and builder.neb.parameters.label == 'litraj-2025'
    made = builder.neb.paths['mp_0_0_3_0_0_m1'].creator
    assert made.inputs.entry.base.attributes.get('dataset') == 'nebDFT2k'


def test_without_max_jobs_there_is_one_at_a_time(launch: Any) -> None:
    """Jobs of before are taken all the same: a launch with a path more computes that alone."""
    paths = [vacancy_path(ion=ion).store() for ion in (0, 2)]
    done, builder = launch(*(str(path.pk) for path in paths), '--potential', 'morse')
    assert done.exit_code == 0, done.output
    assert builder.packing.get_dict() == {'max_jobs': 1}
    assert set(builder.neb.paths) == {f'path_{path.pk}' for path in paths}
    assert 'disable_cache' not in builder.neb.metadata


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (('nothing',), ["there is no data set 'nothing' in the profile", 'known are: none yet']),
        (('999999',), ["there is no node with the pk or uuid '999999'"]),
        (('{other}',), ['is a Dict without paths', 'Give a data set of paths such as nebDFT2k/test']),
        (('{path}', '{path}'), ['another hop is called path_', 'give each hop once']),
        (('{path}', '--protocol', 'quick'), ["protocol 'quick' is not known", 'balanced']),
    ],
)
def test_bad_input_is_refused(arguments: tuple[str, ...], words: list[str], launch: Any, count_processes: Any) -> None:
    nodes = {'other': Dict({}).store().pk, 'path': vacancy_path().store().pk}
    before = count_processes()
    done, builder = launch(*(one.format(**nodes) for one in arguments), '--potential', 'morse')
    assert done.exit_code == 1 and builder is None
    for word in words:
        assert word in done.stderr
    assert count_processes() == before


RESULT = {
    'uuid': 'u', 'pk': 7, 'n_paths': 3, 'n_finished': 2, 'n_converged': 1, 'n_earlier': 1, 'potential': 'morse',
    'protocol': 'tight', 'model_calls': 90, 'n_jobs': 2,
    'paths': {
        'a': {'status': 'finished', 'converged': True, 'reason': None, 'label': None, 'n_steps': 7, 'formula': 'Li30',
              'barrier_ev': 0.4, 'range_ev': 0.45},
        'b': {'status': 'finished', 'converged': False, 'reason': '200 steps', 'label': 'ERROR_NOT_CONVERGED',
              'n_steps': 200, 'formula': 'Li30', 'barrier_ev': 0.9, 'range_ev': 0.9},
        'c': {'status': 'unfinished', 'converged': False, 'reason': None, 'label': 'ERROR_OUT_OF_TIME', 'n_steps': 3,
              'formula': None, 'barrier_ev': None, 'range_ev': None},
    },
}  # fmt: skip


def test_what_did_not_converge_comes_first(capsys: Any) -> None:
    print_paths(RESULT)
    said = capsys.readouterr().out
    lines = [line for line in said.splitlines() if line.lstrip().startswith(('a ', 'b ', 'c '))]
    assert [line.split()[0] for line in lines] == ['b', 'c', 'a']
    assert '200 steps' in lines[0] and 'not finished' in lines[1]
    assert lines[2].split()[2:4] == ['0.400', '0.450']
    assert 'converged    1 of 3' in said and '1 taken from earlier jobs' in said
    assert paths_line(RESULT) == '1 of 3 paths converged'


def test_a_chain_that_has_not_begun_has_no_paths() -> None:
    done = CliRunner().invoke(main, ['show', str(started().pk), '--json'])
    assert done.exit_code == 1
    assert 'has not ended yet' in json.loads(done.stdout)['error']['message']


def test_paths_of_a_chain_that_has_ended(tmp_path: Path) -> None:
    """Its barriers are those of its outputs; what has no path is told all the same, and a picture is of the others."""
    energies = [0.0, -0.1, 0.5, 0.1, 0.0]
    start = vacancy_path()
    found = PathData.from_arrays(
        list(start.symbols), start.get_positions(), start.cell, start.pbc, mobile=0, energies=energies,
        forces=np.zeros_like(start.get_positions()),
    )  # fmt: skip
    ended = {'status': 'finished', 'n_steps': 3, 'fmax_ev_per_ang': 0.01, 'label': None, 'reason': None}
    items = {
        'hop': {**ended, 'converged': True},
        'lost': {**ended, 'status': 'failed', 'converged': False, 'label': 'ERROR_EXPLODED'},
    }
    node = started()
    node.set_process_state(ProcessState.FINISHED)
    for label, one in {'paths__hop': found, 'results': Dict({'items': items, 'audit': {'model_calls': 9}})}.items():
        one.store().backend_entity.add_incoming(node.backend_entity, LinkType.RETURN, label)
    result = paths_of(node)
    assert (result['n_paths'], result['n_finished'], result['n_converged'], result['complete']) == (2, 2, 1, True)
    hop = result['paths']['hop']
    assert (hop['barrier_ev'], hop['range_ev'], hop['formula']) == (0.5, 0.6, 'Li31')
    assert hop['path_uuid'] == found.uuid and result['paths']['lost']['path_uuid'] is None
    print_paths(result)
    assert save_picture(node, tmp_path / 'paths.png').stat().st_size > 1000


def started() -> Any:
    """Return a chain of a path of which no job has ended."""
    from aiida_litraj.codes.choose import choose_code
    from aiida_litraj.data import PotentialData
    from tests.fixtures.nodes import neb_parameters

    node = chain('litraj.neb.packed', status=None)
    potential = QueryBuilder().append(PotentialData).first(flat=True)
    given = {
        'code': choose_code(None, 'toy'), 'potential': potential, 'parameters': neb_parameters().store(),
        'paths__hop': vacancy_path().store(),
    }  # fmt: skip
    for label, one in given.items():
        node.backend_entity.add_incoming(one.backend_entity, LinkType.INPUT_WORK, f'neb__{label}')
    return node
