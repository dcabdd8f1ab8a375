"""The recipe in ``docs/source/howto/add_a_potential.md``, followed: a family that another package brings."""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from aiida_litraj.contract import LitrajError, PotentialSpec, ProbeReport, Runtime
from aiida_litraj.engine.evaluation import Pool
from aiida_litraj.engine.models import Evaluator, Family, families, load, registry
from aiida_litraj.engine.testing import EvaluatorContract, assert_same, crystals_for

PACKAGE = Path(__file__).parents[2] / 'fixtures' / 'third_party_family'
ROOT = Path(__file__).parents[3]
ROUND_OFF = 1e-14


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The third party's package as pip would leave it: importable, with its metadata beside it."""
    monkeypatch.syspath_prepend(str(PACKAGE))
    monkeypatch.setenv('PYTHONPATH', str(PACKAGE))
    importlib.invalidate_caches()
    registry.discover.cache_clear()
    yield
    registry.discover.cache_clear()
    sys.modules.pop('litraj_springs', None)


@pytest.fixture
def spec(tmp_path: Path) -> PotentialSpec:
    path = tmp_path / 'soft.json'
    path.write_text(json.dumps({'stiffness': 2.0, 'radius': 3.5, 'elements': ['Li', 'O', 'P']}))
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return PotentialSpec(family='springs', file=path.name, sha256=sha256)


class TestContract(EvaluatorContract):
    @pytest.fixture
    def evaluator(self, installed: None, spec: PotentialSpec, tmp_path: Path) -> Evaluator:
        return load(spec, tmp_path)


def test_metadata_is_what_the_project_file_builds() -> None:
    project = (PACKAGE / 'pyproject.toml').read_text()
    entry_points = (PACKAGE / 'litraj_springs-0.1.dist-info' / 'entry_points.txt').read_text()
    assert f'[project.entry-points."{registry.ENTRY_POINTS}"]\nsprings = "litraj_springs:FAMILY"' in project
    assert entry_points == f'[{registry.ENTRY_POINTS}]\nsprings = litraj_springs:FAMILY\n'


def test_without_the_package_the_family_is_missing(spec: PotentialSpec, tmp_path: Path) -> None:
    registry.discover.cache_clear()
    with pytest.raises(LitrajError, match=r'family springs: pip install .*litraj\.potential_families') as caught:
        load(spec, tmp_path)
    assert caught.value.code.label == 'ERROR_FAMILY_MISSING'


def test_evaluation_in_worker_processes(installed: None, spec: PotentialSpec, tmp_path: Path) -> None:
    assert isinstance(families()['springs'], Family)
    alone = load(spec, tmp_path)
    crystals = crystals_for(alone) * 2
    with Pool(spec, tmp_path, Runtime(processes=2), 'native') as pool:
        assert pool.report == alone.report
        for found, expected in zip(pool.evaluate(crystals), alone.evaluate(crystals), strict=True):
            assert_same(found, expected, ROUND_OFF)


def test_bytes_are_checked_before_the_family_sees_them(installed: None, spec: PotentialSpec, tmp_path: Path) -> None:
    (tmp_path / 'soft.json').write_text('{}')
    with pytest.raises(LitrajError) as caught:
        load(spec, tmp_path)
    assert caught.value.code.label == 'ERROR_POTENTIAL_CHECKSUM'


def test_probe_lists_the_family(spec: PotentialSpec, tmp_path: Path) -> None:
    (tmp_path / 'spec.json').write_text(spec.model_dump_json())
    ran = subprocess.run(
        [sys.executable, '-m', 'aiida_litraj.engine.cli', 'probe', '--potential', str(tmp_path / 'spec.json')],
        env={**os.environ, 'PYTHONPATH': os.pathsep.join([str(ROOT), str(PACKAGE)])},
        capture_output=True,
        text=True,
        check=True,
    )
    report = ProbeReport.model_validate_json(ran.stdout)
    (family,) = (family for family in report.families if family.family == 'springs')
    assert (family.available, family.package, family.version) == (True, 'litraj-springs', '0.1')
    assert report.potential is not None, report.error
    assert report.potential.elements == ['Li', 'O', 'P']
