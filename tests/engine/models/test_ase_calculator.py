"""Calculators of ASE: only what the administrator of the node registered, with ASE's own numbers."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aiida_litraj.contract import LitrajError, PotentialSpec, Runtime
from aiida_litraj.engine.evaluation import Pool
from aiida_litraj.engine.models import Configuration, Evaluator, load
from aiida_litraj.engine.models.ase_calculator import FILE_VARIABLE, names
from aiida_litraj.engine.testing import EvaluatorContract

ROUND_OFF = 1e-12
REGISTERED = {
    'emt': {'calculator': 'EMT'},
    'argon': {
        'calculator': 'LennardJones',
        'arguments': {'sigma': 3.4, 'epsilon': 0.0104, 'rc': 8.0, 'smooth': True},
        'elements': ['Ar'],
    },
}


@pytest.fixture(autouse=True)
def registered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / 'calculators.json'
    path.write_text(json.dumps(REGISTERED))
    monkeypatch.setenv(FILE_VARIABLE, str(path))
    return path


def named(name: str, **options: Any) -> PotentialSpec:
    return PotentialSpec(family='ase', name=name, options=options)


def distorted_copper() -> list[Configuration]:
    from ase.build import bulk

    rng = np.random.default_rng(0)
    found = []
    for repeats in ((2, 2, 2), (3, 2, 2)):
        atoms = bulk('Cu', cubic=True).repeat(repeats)
        atoms.numbers[::3] = 47
        positions = atoms.positions + rng.normal(scale=0.05, size=atoms.positions.shape)
        found.append(Configuration(atoms.numbers.astype(np.int64), positions, np.array(atoms.cell), atoms.pbc))
    return found


class TestEmt(EvaluatorContract):
    @pytest.fixture
    def evaluator(self, registered: Path) -> Evaluator:
        return load(named('emt'), Path.cwd())

    def configurations(self, evaluator: Evaluator) -> list[Configuration]:
        return distorted_copper()

    def test_numbers_of_ase(self, evaluator: Evaluator) -> None:
        from ase import Atoms
        from ase.calculators.emt import EMT

        for configuration in distorted_copper():
            atoms = Atoms(configuration.numbers, configuration.positions, cell=configuration.cell, pbc=True)
            atoms.calc = EMT()
            (found,) = evaluator.evaluate([configuration])
            assert found.energy == pytest.approx(atoms.get_potential_energy(), rel=ROUND_OFF)
            np.testing.assert_allclose(found.forces, atoms.get_forces(), rtol=0, atol=ROUND_OFF)
            (found,) = evaluator.evaluate([replace(configuration, stress=True)])
            np.testing.assert_allclose(found.stress, atoms.get_stress(voigt=False), rtol=0, atol=ROUND_OFF)

    def test_elements_are_those_with_parameters(self, evaluator: Evaluator) -> None:
        assert evaluator.report.elements is not None
        assert 'Cu' in evaluator.report.elements
        assert 'Li' not in evaluator.report.elements


def test_arguments_come_from_the_registration(registered: Path) -> None:
    pair = Configuration(np.array([18, 18]), np.array([[0.0, 0, 0], [3.8163, 0, 0]]), np.eye(3), np.zeros(3, bool))
    deep = {**REGISTERED['argon'], 'arguments': {'sigma': 3.4, 'epsilon': 0.0208, 'rc': 8.0, 'smooth': True}}
    before = load(named('argon'), Path.cwd())
    registered.write_text(json.dumps({'argon': deep}))
    after = load(named('argon'), Path.cwd())
    assert after.evaluate([pair])[0].energy == pytest.approx(2.0 * before.evaluate([pair])[0].energy)
    assert before.report.sha256 != after.report.sha256
    with pytest.raises(LitrajError) as caught:
        load(named('argon').model_copy(update={'sha256': before.report.sha256}), Path.cwd())
    assert caught.value.code.label == 'ERROR_POTENTIAL_CHECKSUM'


def test_file_of_the_home_folder_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(FILE_VARIABLE)
    monkeypatch.setenv('XDG_CONFIG_HOME', str(tmp_path))
    assert names() == []
    (tmp_path / 'litraj').mkdir()
    (tmp_path / 'litraj' / 'ase_calculators.json').write_text(json.dumps(REGISTERED))
    assert names() == ['argon', 'emt']


def test_toml_says_the_same(registered: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip('tomllib', reason='Python 3.10 reads no TOML')
    expected = load(named('argon'), Path.cwd()).report
    path = registered.with_suffix('.toml')
    path.write_text(
        '[argon]\ncalculator = "LennardJones"\nelements = ["Ar"]\n'
        '[argon.arguments]\nsigma = 3.4\nepsilon = 0.0104\nrc = 8.0\nsmooth = true\n'
    )
    monkeypatch.setenv(FILE_VARIABLE, str(path))
    assert load(named('argon'), Path.cwd()).report == expected


@pytest.mark.parametrize(
    ('spec', 'label', 'message'),
    [
        (named('gpaw'), 'ERROR_POTENTIAL_NOT_LOADED', 'registered on this node, but argon, emt'),
        (named('ase.calculators.emt.EMT'), 'ERROR_POTENTIAL_NOT_LOADED', 'no such calculator'),
        (named('emt', fixed_cutoff=True), 'ERROR_POTENTIAL_NOT_LOADED', 'takes no options'),
    ],
)
def test_a_job_gives_a_name_and_nothing_else(spec: PotentialSpec, label: str, message: str) -> None:
    with pytest.raises(LitrajError, match=message) as caught:
        load(spec, Path.cwd())
    assert caught.value.code.label == label


@pytest.mark.parametrize(
    'content',
    ['{"mine": {"calculator": "os.system"}}', '{"mine": {"calculator": "EMT", "module": "os"}}', '{"mine": ', '[]'],
)
def test_registration_of_anything_else_is_refused(registered: Path, content: str) -> None:
    registered.write_text(content)
    with pytest.raises(LitrajError) as caught:
        load(named('mine'), Path.cwd())
    assert caught.value.code.label == 'ERROR_POTENTIAL_NOT_LOADED'


def test_element_without_parameters_is_refused() -> None:
    lithium = Configuration(np.array([3]), np.zeros((1, 3)), 5 * np.eye(3), np.ones(3, dtype=bool))
    with pytest.raises(LitrajError, match='ase:emt does not cover Li'):
        load(named('emt'), Path.cwd()).evaluate([lithium])


def test_workers_find_the_registration(tmp_path: Path) -> None:
    configurations = distorted_copper()
    expected = load(named('emt'), tmp_path).evaluate(configurations)
    with Pool(named('emt'), tmp_path, Runtime(processes=2), 'native') as pool:
        for found, wanted in zip(pool.evaluate(configurations), expected, strict=True):
            np.testing.assert_array_equal(found.forces, wanted.forces)
