"""``launch formation-energy``: what the options become, what is said of a result, and SevenNet-0 against ASE."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from aiida_litraj.cli import launching, main
from aiida_litraj.cli.formation_energy import formation_line, print_formation
from tests.cli.conftest import Installation

ROOT = Path(__file__).parents[2]
CRYSTALS = ROOT / 'examples' / 'structures'
PYTHON = Path(os.environ.get('LITRAJ_SEVENNET_PYTHON', ROOT / '.venv-sevennet' / 'bin' / 'python'))
SAME_EV_PER_ATOM = 3e-4
"""Between two optimisers that stop at different forces; formation energies are 50 meV."""
SAME_VOLUME = 0.01
SOFT = ('Li2P2S6',)
"""Between its layers nothing pulls: the optimisers stop at the same energy, and where they happen to be."""


@pytest.fixture
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
    return register(Environment('toy', aiida_localhost.label, sys.executable), report).code


@pytest.fixture
def launch(monkeypatch: pytest.MonkeyPatch, code: Any) -> Any:
    """Return a function that launches, what it printed, and the builder that would have run."""

    def call(*arguments: str) -> tuple[Any, Any]:
        taken: list[Any] = []
        monkeypatch.setattr(launching, 'run', lambda builder, *rest: taken.append(builder))
        done = CliRunner().invoke(main, ['launch', 'formation-energy', *arguments])
        return done, taken[0] if taken else None

    return call


def files(*names: str) -> list[str]:
    return [str(CRYSTALS / f'{name}.cif') for name in names]


def test_crystals_of_the_examples_are_on_their_line(launch: Any, code: Any) -> None:
    """All of Li2S-P2S5 that come with the project, by the names of their files; Li4P2S6 is known not to be."""
    names = ('Li2S', 'Li7PS6', 'Li3PS4_beta', 'Li3PS4_gamma', 'Li7P3S11', 'Li2P2S6', 'P2S5', 'Li4P2S6')
    done, builder = launch(
        *files(*names), '--potential', 'morse', '--reference', 'deep-morse', '--processes', '1', '--no-cache',
        '--override', 'relaxation.max_steps=7',
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert '7 crystals (154 atoms) between Li2S and P2S5 for 2 potentials, protocol balanced' in done.output
    assert 'off the line, left out: Li4P2S6' in done.output
    assert set(builder.structures) == set(names)
    assert builder.reference.value == 'deep_morse' and set(builder.potentials) == {'morse', 'deep_morse'}
    assert builder.relaxation['max_steps'] == 7
    assert builder.jobs['morse']['disable_cache'] is True and builder.jobs['morse']['options']['processes'] == 1


def test_other_end_members_and_published_numbers(launch: Any, tmp_path: Path) -> None:
    published = tmp_path / 'published.yaml'
    published.write_text('source: a paper\nformation_energies_ev_per_atom: {Li3PS4_gamma: -0.05}\n')
    crystals = files('Li2S', 'Li3PS4_gamma', 'Li2P2S6', 'P2S5')
    done, builder = launch(
        *crystals, '--potential', 'morse', '--end-members', 'Li2S,Li2P2S6', '--reference-file', str(published)
    )
    assert done.exit_code == 0, done.output
    assert '3 crystals (38 atoms) between Li2S and Li2P2S6' in done.output and 'left out: P2S5' in done.output
    assert builder.reference_energies['source'] == 'a paper'


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        (['Li2S', 'P2S5'], 'there is none between Li2S and P2S5'),
        (['Li2S', 'Li2S', 'P2S5'], 'Li2S is given twice'),
        (['Li2S', 'Li3PS4_beta', 'P2S5', '--end-members', 'Li2S,S8'], "there is no crystal 'S8'"),
        (['Li2S', 'Li3PS4_beta', 'P2S5', '--reference', 'morse'], 'morse is given twice'),
        (['Li2S', 'Li3PS4_beta', 'P2S5', '--reference-file', 'none.yaml'], '--reference-file none.yaml'),
    ],
)
def test_bad_options(options: list[str], words: str, launch: Any) -> None:
    count = next((number for number, text in enumerate(options) if text.startswith('--')), len(options))
    done, builder = launch(*files(*options[:count]), *options[count:], '--potential', 'morse')
    assert done.exit_code != 0 and builder is None
    assert words in done.output


def result() -> dict[str, Any]:
    formed = {'Li2S': 0.0, 'Li3PS4': -0.1, 'P2S5': 0.0}
    one = {
        'formation_energies_ev_per_atom': formed, 'above_hull_ev_per_atom': dict.fromkeys(formed, 0.0),
        'stable': list(formed), 'polymorphs': [], 'volume_ratios': {'Li2S': 1.01}, 'left_out': {}, 'reason': None,
    }  # fmt: skip
    errors = {
        'n_compared': 1, 'rmse_formation_mev_per_atom': 12.0, 'mae_formation_mev_per_atom': 12.0,
        'differences_mev_per_atom': {'Li3PS4': -12.0},
    }  # fmt: skip
    lost = {
        **one, 'formation_energies_ev_per_atom': {}, 'above_hull_ev_per_atom': {}, 'volume_ratios': {},
        'left_out': {'P2S5': {'label': 'ERROR_NOT_CONVERGED', 'reason': 'residual force 0.3'}},
        'reason': 'without P2S5 there is nothing to compare the others with',
    }  # fmt: skip
    fractions = {'Li2S': 1.0, 'Li3PS4': 0.75, 'P2S5': 0.0}
    return {
        'uuid': 'abc', 'pk': 7, 'protocol': 'lips25', 'exit_status': 501, 'warnings': ['a warning'],
        'end_members': ['Li2S', 'P2S5'], 'formula_units': ['Li2S', 'P2S5'], 'refused': {'Li4P2S6': 'it is no mixture'},
        'crystals': {name: {'mole_fraction': value} for name, value in fractions.items()},
        'potentials': {'net': {**one, **errors}, 'dft': one, 'bad': lost},
        'labels': {'net': '7net-0', 'dft': 'pbesol', 'bad': 'broken'}, 'reference': {'name': 'dft', **one},
    }  # fmt: skip


def test_what_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    line = formation_line(result())
    assert '7net-0: RMSE 12.0 meV/atom over 1 crystal,' in line and 'pbesol: the reference, 1 crystal,' in line
    assert 'broken: none, without P2S5' in line
    print_formation(result())
    said = capsys.readouterr()
    rows = [row.split() for row in said.out.splitlines()]
    assert ['Li3PS4', '75', '-100.0', '-12.0', '0.0'] in rows
    assert ['P2S5', '0', 'residual', 'force', '0.3'] in rows
    assert 'Li4P2S6 is left out: it is no mixture' in said.out and 'Warning: a warning' in said.err


ASE = """
import json, sys
import ase.io
from ase.filters import FrechetCellFilter
from ase.optimize import LBFGS
from sevenn.calculator import SevenNetCalculator

calculator, found = SevenNetCalculator('7net-0', device='cpu'), {}
for path in sys.argv[1:]:
    atoms = ase.io.read(path)
    atoms.calc = calculator
    LBFGS(FrechetCellFilter(atoms), logfile=None).run(fmax=0.01, steps=150)
    found[path] = [atoms.get_potential_energy() / len(atoms), atoms.get_volume() / len(atoms)]
print(json.dumps(found))
"""


@pytest.mark.e2e
@pytest.mark.sevennet
@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(not PYTHON.exists(), reason=f'no environment with sevenn at {PYTHON}')
def test_sevennet_relaxes_to_where_ase_does(tmp_path: Path) -> None:
    """Li2S and LiPS3 as end members, gamma-Li3PS4 between."""
    installation = Installation(tmp_path)
    installation.json('setup', '--name', 'sevennet', '--engine-python', str(PYTHON))
    installation.json('potential', 'import', '--family', 'sevennet', '--name', '7net-0')
    crystals = files('Li2S', 'Li3PS4_gamma', 'Li2P2S6')
    arguments = ('launch', 'formation-energy', *crystals, '--potential', '7net-0', '--processes', '1', '--json')
    launched = subprocess.run(
        [sys.executable, '-m', 'aiida_litraj.cli', *arguments],
        cwd=tmp_path, env=installation.environment, capture_output=True, text=True, check=True, timeout=800,
    )  # fmt: skip
    found = json.loads(launched.stdout)
    one = found['potentials']['7net_0']
    done = subprocess.run(
        [str(PYTHON), '-c', ASE, *crystals],
        env=installation.environment, capture_output=True, text=True, check=True, timeout=900,
    )  # fmt: skip
    theirs = {Path(path).stem: values for path, values in json.loads(done.stdout.splitlines()[-1]).items()}
    for name, (energy, volume) in theirs.items():
        assert one['energies_ev_per_atom'][name] == pytest.approx(energy, abs=SAME_EV_PER_ATOM), name
        assert name in SOFT or one['volumes_ang3_per_atom'][name] == pytest.approx(volume, rel=SAME_VOLUME), name
    # Li3PS4 = Li2S + LiPS3: three of its eight atoms from the first.
    by_hand = theirs['Li3PS4_gamma'][0] - 3 / 8 * theirs['Li2S'][0] - 5 / 8 * theirs['Li2P2S6'][0]
    assert one['formation_energies_ev_per_atom']['Li3PS4_gamma'] == pytest.approx(by_hand, abs=SAME_EV_PER_ATOM)
    assert by_hand < -0.03
    picture = tmp_path / 'hull.png'
    assert installation.call('plot', str(found['pk']), '-o', str(picture)).returncode == 0
    assert picture.stat().st_size > 10000
