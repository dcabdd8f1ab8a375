"""``launch dft-neb``: what the options become, and what is said of barriers beside each other."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from ase.build import bulk
from click.testing import CliRunner

from aiida_litraj.cli import launching, main
from aiida_litraj.cli.dft_neb import dft_neb_line, print_dft_neb

pytestmark = pytest.mark.usefixtures('aiida_profile_clean')


@pytest.fixture(autouse=True)
def codes(aiida_profile_clean: Any, aiida_localhost: Any) -> dict[str, Any]:
    """One environment with GPAW, one with the analytic potentials."""
    from aiida_litraj.codes.environment import Environment
    from aiida_litraj.codes.register import register
    from aiida_litraj.contract.potential import FamilyReport, ProbeReport
    from aiida_litraj.data import PotentialData

    PotentialData.packaged('toy', 'morse').store()
    made = {}
    for name, package in (('gpaw', 'gpaw'), ('toy', 'numpy')):
        families = [FamilyReport(family=name, available=True, package=package)]
        report = ProbeReport(engine_version='0', python_version='3', python=name, platform='l', families=families)
        made[name] = register(Environment(f'{name}-engine', aiida_localhost.label, sys.executable), report).code
    return made


@pytest.fixture
def crystal(tmp_path: Path) -> str:
    path = tmp_path / 'LiH.xyz'
    bulk('LiH', 'rocksalt', a=4.0, cubic=True).write(path)
    return str(path)


@pytest.fixture
def launch(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that launches, what it printed, and the builder that would have run."""

    def call(*arguments: str) -> tuple[Any, Any]:
        taken: list[Any] = []
        monkeypatch.setattr(launching, 'run', lambda builder, *rest: taken.append(builder))
        done = CliRunner().invoke(main, ['launch', 'dft-neb', *arguments])
        return done, taken[0] if taken else None

    return call


def test_options_of_a_launch(launch: Any, crystal: str, codes: Any) -> None:
    done, builder = launch(
        crystal, '--hop', '0,2,0,0,0', '--potential', 'morse', '--start-from', 'morse', '--protocol', 'fast',
        '--supercell-min', '3.9', '--images', '3', '--cutoff', '300', '--kpoints', '2,1,1', '--ranks', '2',
        '--processes', '3', '--device', 'cpu', '--dataset', 'mine', '--name', 'LiH_0_2', '--no-cache',
        '--override', 'neb.band.max_steps=7',
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert '7 atoms, 3 images, protocol fast; GPAW PBE, 300 eV, k-points 2 1 1, 2 ranks, beside morse' in done.output
    options = builder.reference.potential.options
    assert (options['cutoff_ev'], options['kpoint_mesh'], options['setups']) == (300, '2 1 1', 'PBE')
    assert 'ranks' not in options  # another number of them is the same potential
    assert builder.jobs['reference']['options']['ranks_per_process'] == 2
    assert 'ranks_per_process' not in builder.jobs['morse']['options']
    assert 'kpoint_spacing_per_ang' not in options
    assert builder.reference.code.uuid == codes['gpaw'].uuid
    assert builder.potentials['morse']['code'].uuid == codes['toy'].uuid
    assert (builder.start_from.value, builder.dataset.value, builder.name.value) == ('morse', 'mine', 'LiH_0_2')
    assert (builder.parameters['band']['max_steps'], builder.parameters['initial_path']) == (7, 'shift')
    assert builder.potential_parameters['band']['max_steps'] == 200
    assert builder.jobs['reference']['options']['processes'] == 3  # of DFT alone: a potential has its own cores
    assert 'processes' not in builder.jobs['morse']['options']
    assert 'device' not in builder.jobs['reference']['options']  # GPAW knows none but the CPU
    assert builder.jobs['morse']['options']['device'] == 'cpu'
    assert builder.jobs['morse']['disable_cache']


def test_the_published_protocol_is_that_of_the_script(launch: Any, crystal: str) -> None:
    done, builder = launch(crystal, '--hop', '0,2,0,0,0', '--protocol', 'litraj-2025', '--supercell-min', '3.9')
    assert done.exit_code == 0, done.output
    options, band = builder.reference.potential.options, builder.parameters['band']
    assert (options['cutoff_ev'], options['kpoint_mesh'], options['smearing_width_ev']) == (520.0, '1 1 1', 0.1)
    assert (band['optimizer'], band['fmax_ev_per_ang'], band['max_steps']) == ('fire', 0.1, 100)
    assert (band['spring_constant_ev_per_ang2'], band['climb'], band['climb_below_ev_per_ang']) == (5.0, True, None)


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (('--hop', '0,2,0,0,0', '--final', 'x.cif'), 'either --hop or --final'),
        (('--hop', '0,2,0,0,0', '--kpoints', '2x2'), 'write three numbers, like 2,2,2'),
        (('--hop', '0,2,0,0,0', '--start-from', 'morse'), 'not among the potentials'),
        (('--hop', '0,2,0,0,0', '--override', 'level.functional=B3LYP'), 'level.functional'),
        (('--hop', '0,2,0,0,0', '--override', 'gpaw.rank=2'), 'gpaw.rank'),
        (('--hop', '0,2,0,0,0', '--override', 'gpaw.ranks=2'), 'give --ranks'),
    ],
)
def test_bad_input_names_the_remedy(launch: Any, crystal: str, arguments: Any, words: str) -> None:
    done, builder = launch(crystal, *arguments)
    assert done.exit_code
    assert builder is None
    assert words in done.output


def test_potentials_of_one_label_keep_a_row_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """By their labels alone the table and the figure would lose one."""
    from aiida.common import AttributeDict
    from aiida.orm import Dict

    from aiida_litraj.cli.dft_neb import dft_neb_of
    from aiida_litraj.data import PotentialData

    monkeypatch.setattr('aiida_litraj.cli.processes.jobs_of', lambda chain: [])
    toy = PotentialData.packaged('toy', 'morse', label='net')
    chain: Any = AttributeDict(
        {
            'uuid': 'u', 'pk': 1, 'exit_status': 0,
            'outputs': {'barrier': Dict({}), 'path': {'symbols': ['Li']}},
            'inputs': {
                'reference': {'potential': toy},
                'potentials': {'one': {'potential': toy}, 'two': {'potential': toy}},
                'parameters': Dict({}),
            },
        }
    )  # fmt: skip
    result = dft_neb_of(chain)
    assert result is not None
    assert result['potentials'] == {'one': 'one', 'two': 'two'}


def test_what_is_said_of_a_result(capsys: pytest.CaptureFixture[str]) -> None:
    own = {
        'barrier_ev': 0.33,
        'range_ev': 0.36,
        'converged': False,
        'profile_ev': [0.0, 0.33, -0.03],
        'warnings': ['w'],
    }
    result = {
        'natoms': 11, 'formula': 'Li2O', 'reference': 'GPAW', 'protocol': 'fast', 'converged': True, 'pk': 1,
        'uuid': 'u', 'exit_status': 0, 'n_configurations': 12, 'dataset': 'mine', 'joined': True, 'barrier_ev': 0.42,
        'range_ev': 0.42, 'warnings': [],
        'profile_ev': [0.0, 0.42, 0.01], 'potentials': {'seven': '7net-0'}, 'barriers': {'seven': own},
        'comparison': {
            'seven': {'barrier_difference_ev': -0.09, 'range_difference_ev': -0.06, 'path_error_ang': 0.0321}
        },
    }  # fmt: skip
    assert dft_neb_line(result) == 'DFT barrier 0.420 eV, 7net-0 -0.090 eV'
    print_dft_neb(result)
    said = capsys.readouterr()
    for row in (('7net-0', '0.330', '0.360', '-0.090', '-0.060', '0.032', 'NO'), ('1', '0.4200', '0.3300')):
        assert any(all(cell in line for cell in row) for line in said.out.splitlines()), said.out
    assert '12, in mine' in said.out
    print_dft_neb({**result, 'joined': False})
    assert '12, not in mine' in capsys.readouterr().out
    assert '7net-0: w' in said.err
