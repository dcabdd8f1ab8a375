"""Whatever is wrong with a launch is refused before anything is queued: one sentence with input, value and remedy."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from ase import Atoms
from ase.build import bulk
from click.testing import CliRunner

from aiida_litraj.cli import main

CRYSTALS = Path(__file__).parents[2] / 'examples' / 'structures'
GOOD = {'--hop': '0,1,0,0,0', '--potential': 'morse'}


@pytest.fixture(scope='module')
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Crystals, good and bad, by name."""
    folder = tmp_path_factory.mktemp('crystals')
    fcc = bulk('Li', 'fcc', a=4.0, cubic=True)
    made = {
        'fcc': fcc,
        'moved': fcc.copy(),
        'salt': bulk('NaCl', 'rocksalt', a=5.64, cubic=True),
        'doubled': fcc + Atoms('Li', [[0.0, 0.0, 0.05]]),
        'larger': fcc.repeat(2),
        'mixed': fcc.copy(),
    }
    made['moved'].positions[0] += [0.4, 0.4, 0.0]
    made['mixed'].symbols[1] = 'Na'
    made['mixed'].positions[0] += [0.4, 0.4, 0.0]
    paths = {}
    for name, atoms in made.items():
        paths[name] = str(folder / f'{name}.xyz')
        atoms.write(paths[name])
    (folder / 'partial.cif').write_text(
        (CRYSTALS / 'Li2S.cif').read_text().replace('  1.0\n', '  0.5\n').replace('  1\n', '  0.5\n')
    )
    paths['partial'] = str(folder / 'partial.cif')
    return paths


@pytest.fixture(scope='module')
def nodes(aiida_profile: Any, files: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> None:
    """A code that has the analytic potentials only, and potentials it can and cannot run."""
    aiida_profile.reset_storage()
    from aiida_litraj.codes.computers import ensure_localhost
    from aiida_litraj.codes.environment import Environment
    from aiida_litraj.codes.register import register
    from aiida_litraj.contract.potential import FamilyReport, ProbeReport
    from aiida_litraj.data import PotentialData

    ensure_localhost(str(tmp_path_factory.mktemp('scratch')))
    report = ProbeReport(
        engine_version='0.1.0',
        python_version='3.11.0',
        python='/envs/toy/bin/python',
        platform='Linux',
        devices=['cpu'],
        families=[
            FamilyReport(family='toy', available=True, package='numpy', version='2.0', names=['morse']),
            FamilyReport(family='sevennet', available=False, package='sevenn'),
        ],
    )
    register(Environment('toy', 'localhost', sys.executable), report)
    PotentialData.packaged('toy', 'morse').store()
    PotentialData.packaged('toy', 'double_well', elements=['Na', 'Cl'], label='salt-only').store()
    PotentialData.packaged('sevennet', '7net-0', sha256='ab' * 32).store()


CASES = [
    # a hop or override that does not parse, options that exclude each other: the command line is wrong
    ('fcc', {'--hop': '0,1'}, 2, "'0,1'"),
    ('fcc', {'--hop': 'a,b,0,0,0'}, 2, "'a,b,0,0,0'"),
    ('fcc', {'--hop': '0,1,0,0,0.5'}, 2, "'0,1,0,0,0.5'"),
    ('fcc', {'--hop': None}, 2, 'give either --hop or --final'),
    ('fcc', {'--final': 'moved'}, 2, 'give either --hop or --final'),
    ('fcc', {'--override': 'parameters.seed'}, 2, "'parameters.seed'"),
    ('fcc', {'--mechanism': 'magic'}, 2, "'magic'"),
    # sites
    ('fcc', {'--hop': '9,1,0,0,0'}, 1, '9'),
    ('fcc', {'--hop': '0,9,0,0,0'}, 1, 'the Li sites are 0, 1, 2, 3'),
    ('fcc', {'--hop': '0,1,3,0,0'}, 1, 'farther than the ion is from its own periodic image'),
    ('fcc', {'--hop': '0,0,0,0,0'}, 1, 'same site 0'),
    ('salt', {}, 1, 'no Li but Cl, Na; name the element that hops'),
    ('salt', {'--mobile': 'Na', '--hop': '0,1,0,0,0'}, 1, 'Na site'),
    ('salt', {'--mobile': 'Na', '--hop': '1,0,0,0,0'}, 1, 'Cl'),
    ('fcc', {'--hop': '0,0.5,0.5,0.0', '--mechanism': 'interstitial'}, 1, 'occupied'),
    # structures
    ('doubled', {}, 1, 'on one place'),
    ('partial', {}, 1, 'only partially occupied'),
    ('nowhere.cif', {}, 1, 'nowhere.cif is not there'),
    ('fcc', {'--hop': None, '--final': 'larger'}, 1, 'composition'),
    ('fcc', {'--hop': None, '--final': 'mixed'}, 1, 'composition'),
    # numbers and names
    ('fcc', {'--images': '2'}, 1, 'at least 3'),
    ('fcc', {'--supercell-min': '-3'}, 1, '-3'),
    ('fcc', {'--supercell-min': '500'}, 1, 'at least 7812500 atoms'),
    ('fcc', {'--protocol': 'magic'}, 1, "'magic'"),
    (
        'fcc',
        {'--override': 'parameters.band.fmux=3'},
        1,
        'parameters.band.fmux = 3 is not known, but fmax_ev_per_ang is',
    ),
    ('fcc', {'--override': 'colour=3'}, 1, 'colour'),
    ('fcc', {'--override': 'parameters.band.fmax_ev_per_ang=-1'}, 1, 'fmax_ev_per_ang'),
    ('fcc', {'--device': 'abacus'}, 1, 'abacus'),
    ('fcc', {'--device': 'cuda'}, 1, "'cuda' is not there: the environment of the code 'toy' on localhost has cpu"),
    # potential and code
    ('fcc', {'--potential': 'magic'}, 1, "no potential 'magic' (there are: 7net-0, morse, salt-only)"),
    ('fcc', {'--potential': 'salt-only'}, 1, 'Li'),
    ('fcc', {'--potential': '7net-0'}, 1, "no code with the family 'sevennet'"),
    ('fcc', {'--potential': '7net-0', '--code': 'toy'}, 1, 'pip install sevenn'),
    ('fcc', {'--code': 'magic'}, 1, "no code 'magic'"),
]


def command(files: dict[str, str], structure: str, changes: dict[str, Any]) -> list[str]:
    options = {key: value for key, value in {**GOOD, **changes}.items() if value is not None}
    if '--final' in options:
        options['--final'] = files[options['--final']]
    return ['launch', 'barrier', files.get(structure, structure), *(word for pair in options.items() for word in pair)]


@pytest.mark.usefixtures('nodes')
@pytest.mark.parametrize(('structure', 'changes', 'status', 'message'), CASES)
def test_refused_by_name_and_nothing_is_queued(
    files: dict[str, str], structure: str, changes: dict[str, Any], status: int, message: str
) -> None:
    from aiida.orm import ProcessNode, QueryBuilder

    arguments = command(files, structure, changes)
    said = CliRunner().invoke(main, arguments)
    assert said.exit_code == status, said.output
    assert message in said.stderr
    assert 'Traceback' not in said.stderr
    assert said.stdout == ''
    as_json = CliRunner().invoke(main, [*arguments, '--json'])
    error = json.loads(as_json.stdout)['error']
    assert (as_json.exit_code, error['exit_code']) == (status, status)
    assert message in f'{error["message"]} {error["remedy"]}'
    assert QueryBuilder().append(ProcessNode).count() == 0


@pytest.mark.usefixtures('nodes')
@pytest.mark.parametrize('name', ['status', 'show', 'plot'])
def test_node_that_is_not_there_is_named(name: str) -> None:
    said = CliRunner().invoke(main, [name, '987654'])
    assert said.exit_code == 1
    assert "no node with the pk or uuid '987654'" in said.stderr


@pytest.mark.usefixtures('nodes')
@pytest.mark.parametrize('name', ['status', 'show', 'plot'])
def test_node_of_another_kind_is_named(name: str) -> None:
    from aiida.orm import Int

    said = CliRunner().invoke(main, [name, str(Int(3).store().pk)])
    assert said.exit_code == 1
    assert 'is a Int that no process made' in said.stderr
