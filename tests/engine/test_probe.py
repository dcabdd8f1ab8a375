"""The probe: a report whatever is broken, and only JSON on its stdout."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import aiida_litraj
from aiida_litraj import __version__
from aiida_litraj.contract import ProbeReport
from aiida_litraj.engine.models import registry
from aiida_litraj.engine.probe import probe

PACKAGE = Path(aiida_litraj.__file__).parent
TOY = {'family': 'toy', 'name': 'morse'}


def write(folder: Path, spec: object) -> Path:
    path = folder / 'spec.json'
    path.write_text(json.dumps(spec))
    return path


def test_report_without_a_potential() -> None:
    report = probe()
    by_name = {family.family: family for family in report.families}
    assert report.engine_version == __version__
    assert report.devices[0] == 'cpu'
    assert {'numpy', 'pydantic'} <= set(report.packages)
    assert by_name['toy'].names == ['double_well', 'ideal_gas', 'morse', 'mueller_brown', 'site_lattice']
    assert set(by_name) >= {'sevennet', 'mace', 'chgnet', 'ase', 'toy'}
    assert (by_name['mace'].package, by_name['sevennet'].package) == ('mace-torch', 'sevenn')
    assert not [family.error for family in report.families if family.error]
    assert report.potential is None
    assert report.error is None


def test_report_with_a_potential(tmp_path: Path) -> None:
    report = probe(write(tmp_path, TOY))
    assert report.error is None
    assert report.potential is not None
    assert (report.potential.name, report.potential.dtypes) == ('morse', ['float64'])


@pytest.mark.parametrize(
    ('spec', 'error'),
    [
        ({**TOY, 'sha256': '0' * 64}, 'ERROR_POTENTIAL_CHECKSUM: '),
        ({'family': 'toy', 'file': 'no.model', 'sha256': '0' * 64}, 'no readable file no.model'),
        ({'family': 'unheard_of', 'name': 'x'}, 'ERROR_FAMILY_MISSING: '),
        ({'family': 'toy'}, 'give either a name or a file'),
        ('nonsense', 'does not describe a potential'),
    ],
)
def test_potential_that_does_not_load_is_said_not_raised(tmp_path: Path, spec: object, error: str) -> None:
    report = probe(write(tmp_path, spec))
    assert report.potential is None
    assert error in str(report.error)


def test_broken_families_do_not_hide_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def explode() -> list[str]:
        raise RuntimeError('half installed')

    whole = registry.discover()
    toy = next(found for found in whole if found.name == 'toy')
    assert toy.family is not None
    sick = registry.Found('sick', 'somebody', type(toy.family)('sick', 'numpy', toy.family.load, explode))
    absent = registry.Found('absent', 'somebody', None, 'ImportError: libfoo.so')
    monkeypatch.setattr('aiida_litraj.engine.probe.discover', lambda: (sick, absent, toy))
    reports = {family.family: family for family in probe().families}
    assert (reports['sick'].available, reports['sick'].error) == (False, 'RuntimeError: half installed')
    assert (reports['absent'].available, reports['absent'].error) == (False, 'ImportError: libfoo.so')
    assert reports['toy'].available


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    """A working directory to which the engine has travelled."""
    sources, folder = tmp_path / 'sources', tmp_path / 'a working directory'
    for name in ('contract', 'engine'):
        shutil.copytree(PACKAGE / name, sources / 'aiida_litraj' / name, ignore=shutil.ignore_patterns('__pycache__'))
    (sources / 'aiida_litraj' / '__init__.py').write_text("__version__ = '0.0.0+shipped'\n")
    shutil.make_archive(str(folder / 'aiida_litraj'), 'zip', sources)
    launcher = folder / 'litraj-engine'
    shutil.copy(PACKAGE / 'engine' / 'launcher.sh', launcher)
    launcher.chmod(0o755)
    return folder


def run(command: list[str], cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {'PATH': os.environ['PATH'], 'HOME': str(cwd), 'LITRAJ_PYTHON': sys.executable, **variables}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def test_shipped_engine_runs_from_its_folder_and_from_elsewhere(shipped: Path, tmp_path: Path) -> None:
    spec = write(tmp_path, TOY)
    here = run(['./litraj-engine', 'probe', '--potential', str(spec)], shipped)
    elsewhere = run([str(shipped / 'litraj-engine'), 'probe', '--potential', str(spec)], tmp_path)
    for ran in (here, elsewhere):
        assert ran.returncode == 0, ran.stderr
        report = ProbeReport.model_validate_json(ran.stdout)
        assert report.potential is not None
        assert report.python == sys.executable


def test_shipped_engine_goes_before_an_installed_one(shipped: Path, tmp_path: Path) -> None:
    (tmp_path / 'aiida_litraj').mkdir()
    (tmp_path / 'aiida_litraj' / '__init__.py').write_text("raise RuntimeError('the installed one')\n")
    ran = run([str(shipped / 'litraj-engine'), 'probe'], Path('/'), PYTHONPATH=str(tmp_path))
    assert ProbeReport.model_validate_json(ran.stdout).engine_version == '0.0.0+shipped', ran.stderr


def test_importing_the_engine_imports_neither_aiida_nor_torch_nor_ase() -> None:
    code = (
        'import sys, aiida_litraj.engine.evaluation, aiida_litraj.engine.probe as probe; probe.probe();'
        "print(sorted({'aiida', 'torch', 'ase', 'sevenn', 'mace', 'chgnet'} & set(sys.modules)))"
    )
    ran = run([sys.executable, '-c', code], PACKAGE.parent)
    assert ran.stdout.strip() == '[]', ran.stderr
