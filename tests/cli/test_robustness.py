"""``launch robustness`` and ``launch melt-quench``: what the options become, and what is said of a grid."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from ase.build import bulk
from click.testing import CliRunner

from aiida_litraj.cli import launching, main
from aiida_litraj.cli.potentials import labels_of
from aiida_litraj.cli.robustness import print_robustness, robustness_line

pytestmark = pytest.mark.usefixtures('aiida_profile_clean')


@pytest.fixture(autouse=True)
def code(aiida_profile_clean: Any, aiida_localhost: Any) -> Any:
    """A code of the family of two potentials."""
    from aiida_litraj.codes.environment import Environment
    from aiida_litraj.codes.register import register
    from aiida_litraj.contract.potential import FamilyReport, ProbeReport
    from aiida_litraj.data import PotentialData

    PotentialData.packaged('toy', 'morse').store()
    PotentialData.packaged('toy', 'morse', options={'depth': 1.0}, label='deep-morse').store()
    families = [FamilyReport(family='toy', available=True, package='numpy')]
    report = ProbeReport(engine_version='0', python_version='3', python='p', platform='l', families=families)
    return register(Environment('toy', aiida_localhost.label, sys.executable, options={'queue_name': 'q'}), report).code


@pytest.fixture
def launch(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that launches, what it printed, and the builder that would have run."""

    def call(*arguments: str) -> tuple[Any, Any]:
        taken: list[Any] = []
        monkeypatch.setattr(launching, 'run', lambda builder, *rest: taken.append(builder))
        done = CliRunner().invoke(main, ['launch', *arguments])
        return done, taken[0] if taken else None

    return call


def test_options_of_a_grid(launch: Any, code: Any, aiida_localhost: Any) -> None:
    done, builder = launch(
        'robustness', '--potential', 'morse', '--potential', 'deep-morse', '--protocol', 'quick', '--atoms', '16',
        '--temperatures', '500,1e3', '--pressures', '1e5', '--repeats', '2', '--duration', '0.01', '--seed', '5',
        '--processes', '1', '--no-cache', '--override', 'dynamics.timestep_fs=0.5',
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert '2 temperatures x 1 pressure x 2 repeats = 4 replicas of 0.01 ps for 2 potentials' in done.output
    assert builder.grid.get_dict() == {
        'temperatures_k': [500.0, 1000.0], 'pressures_pa': [1e5], 'repeats': 2, 'duration_ps': 0.01, 'seed': 5
    }  # fmt: skip
    assert (builder.packing['n_atoms'], builder.dynamics['timestep_fs']) == (16, 0.5)
    assert set(builder.potentials) == {'morse', 'deep_morse'}
    assert builder.potentials['deep_morse']['code'].uuid == code.uuid
    job = builder.jobs['morse']
    assert (job['computer'], job['disable_cache'], job['options']['processes']) == (aiida_localhost.label, True, 1)
    assert job['options']['queue_name'] == 'q'


def test_given_start(launch: Any, tmp_path: Path) -> None:
    crystal = tmp_path / 'fcc.xyz'
    bulk('Li', 'fcc', a=4.0, cubic=True).write(crystal)
    done, builder = launch('robustness', str(crystal), '--potential', 'morse', '--protocol', 'quick')
    assert done.exit_code == 0, done.output
    assert builder.structure.get_formula() == 'Li4'
    done, builder = launch('robustness', str(crystal), '--potential', 'morse', '--atoms', '16')
    assert (done.exit_code, builder) == (2, None)
    assert 'n_atoms describes a random one' in done.output


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        (('--temperatures', ''), 'grid.temperatures_k = []'),
        (('--temperatures=-5',), 'grid.temperatures_k.0 = -5.0'),
        (('--temperatures', 'hot'), "--temperatures 'hot' does not parse"),
        (('--density', '40'), 'cannot be packed'),
        (('--composition', 'Qq2'), 'not an element'),
        (('--potential', 'morse'), '--potential morse: morse is given twice'),
    ],
)
def test_refusals_as_json(options: tuple[str, ...], words: str, launch: Any) -> None:
    done, builder = launch('robustness', '--potential', 'morse', '--protocol', 'quick', '--json', *options)
    assert builder is None
    assert done.exit_code in (1, 2)
    assert words in json.loads(done.stdout)['error']['message']


def test_options_of_a_melt_quench(launch: Any, tmp_path: Path) -> None:
    crystal = tmp_path / 'fcc.xyz'
    bulk('Li', 'fcc', a=4.0, cubic=True).write(crystal)
    done, builder = launch(
        'melt-quench', str(crystal), '--potential', 'morse', '--protocol', 'quick', '--melt-temperature', '900',
        '--quench', '0.2', '--snapshots', '6', '--seed', '3', '--no-cache',
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert '0.08 ps at 900 K, 0.2 ps down to 300 K' in done.output
    schedule = builder.schedule.get_dict()
    assert (schedule['quench_ps'], schedule['n_snapshots'], schedule['seed']) == (0.2, 6, 3)
    assert builder.md.md.metadata.disable_cache is True
    assert builder.md.md.metadata.options['queue_name'] == 'q'
    done, _ = launch('melt-quench', str(crystal), '--potential', 'morse', '--end-temperature', '2000', '--json')
    assert 'nothing would be quenched' in json.loads(done.stdout)['error']['message']


@pytest.mark.parametrize('command', ['robustness', 'melt-quench'])
def test_help_says_what_it_does(command: str, launch: Any) -> None:
    done, _ = launch(command, '--help')
    assert done.exit_code == 0
    assert f'aiida-litraj launch {command}' in done.output
    assert '--daemon' in done.output


REPEATS = 3


def grid_result(*cells: tuple[int, int, str]) -> dict[str, Any]:
    """What a grid of one pressure is shown from; of each cell how many survived, are not finished, and its number."""
    from aiida_litraj.cli.robustness import _summary

    temperatures = [1000.0 * (k + 1) for k in range(len(cells))]
    described = [
        {
            'temperature_k': temperature, 'pressure_pa': 1e6, 'n_survived': survived, 'n_unfinished': unfinished,
            'n_repeats': REPEATS, 'text': text,
        }
        for temperature, (survived, unfinished, text) in zip(temperatures, cells)
    ]  # fmt: skip
    colours = dict.fromkeys(('n_green', 'n_pale', 'n_white', 'n_open'), 0)
    numbers = {'n_survived': sum(cell[0] for cell in cells), 'n_replicas': REPEATS * len(cells)}
    grid = {**colours, **numbers, 'temperatures_k': temperatures, 'pressures_pa': [1e6], 'cells': described}
    return {
        'uuid': 'u', 'pk': 1, 'formula': 'Li3PS4', 'random_start': True, 'duration_ps': 100.0, 'repeats': REPEATS,
        'protocol': 'quick', 'potentials': {'a': 'morse'}, 'grids': {'a': grid}, 'summary': {'a': _summary(grid)},
    }  # fmt: skip


def test_grid_is_printed_with_survivors_and_contacts(capsys: pytest.CaptureFixture[str]) -> None:
    result = grid_result((2, 0, '7'), (0, 0, '–'))
    print_robustness(result)
    said = capsys.readouterr().out
    assert 'morse: replicas that survived: 2 of 6' in said
    assert '2/3 7' in said
    assert '0/3 –' in said
    assert 'finished' not in said
    assert robustness_line(result) == 'Replicas that survived: morse: 2 of 6'


def test_replicas_without_a_verdict_have_not_died(capsys: pytest.CaptureFixture[str]) -> None:
    """As an engine that crashed leaves them."""
    partly = grid_result((1, 1, '7'), (0, 3, ''))
    print_robustness(partly)
    said = capsys.readouterr().out
    assert 'morse: replicas that survived: 1 of 6 (4 not finished)' in said
    assert '1/3 1 open 7' in said
    assert 'open: not finished' in said
    assert '0/3' not in said
    none = grid_result((0, 3, ''), (0, 3, ''))
    print_robustness(none)
    assert 'morse: replicas that survived: not finished' in capsys.readouterr().out
    assert robustness_line(none) == 'Replicas that survived: morse: not finished'


def test_potentials_are_called_by_their_labels_where_these_tell_them_apart() -> None:
    assert labels_of({'potential': 'morse', 'b': 'deep'}) == {'potential': 'morse', 'b': 'deep'}
    assert labels_of({'a': 'morse', 'b': 'morse', 'c': ''}) == {'a': 'a', 'b': 'b', 'c': 'c'}
