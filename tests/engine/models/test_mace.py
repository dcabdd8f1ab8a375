"""MACE potentials: mace's own numbers in both precisions, foundation models through mace's own loader."""

from __future__ import annotations

import hashlib
import pickle
import urllib.error
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aiida_litraj.contract import LitrajError, PotentialSpec, Runtime
from aiida_litraj.engine.evaluation import Pool
from aiida_litraj.engine.models import Configuration, Evaluator, load
from aiida_litraj.engine.models.mace import MaceEvaluator, names
from aiida_litraj.engine.testing import EvaluatorContract, assert_same, crystals_for

from .make_small_mace import CUTOFF_ANG, FRAMES, MODEL, held_out, untrained

pytestmark = pytest.mark.mace

ROUND_OFF = {'float32': 2e-5, 'float64': 1e-9}
FLOAT32_AGAINST_FLOAT64 = 1e-4
UNSEEN_FORCE_ERROR = 0.2
"""Of the small trained model, in units of the forces themselves (root mean squares)."""


@pytest.fixture(scope='module')
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A MACE of Li and O with random weights: for the numbers' sake any will do."""
    import torch

    path: Path = tmp_path_factory.mktemp('mace') / 'random.model'
    torch.save(untrained(), path)
    return path


def spec_of(path: Path, **options: str) -> PotentialSpec:
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return PotentialSpec(family='mace', file=path.name, sha256=sha256, options=options)


@pytest.fixture(scope='module', params=['float64', 'float32'])
def potential(request: pytest.FixtureRequest, model_file: Path) -> Evaluator:
    return load(spec_of(model_file), model_file.parent, device='cpu', dtype=request.param)


class TestContract(EvaluatorContract):
    @pytest.fixture
    def evaluator(self, potential: Evaluator) -> Evaluator:
        return potential

    def test_numbers_of_the_calculator_of_mace(self, evaluator: Evaluator, model_file: Path) -> None:
        from ase import Atoms
        from mace.calculators import MACECalculator

        calculator = MACECalculator(model_paths=str(model_file), device='cpu', default_dtype=evaluator.dtype)
        for crystal in crystals_for(evaluator):
            for pbc in (crystal.pbc, np.array([True, True, False])):
                asked = Configuration(crystal.numbers, crystal.positions, crystal.cell, pbc, stress=bool(pbc.all()))
                atoms = Atoms(asked.numbers, asked.positions, cell=asked.cell, pbc=pbc, calculator=calculator)
                (found,) = evaluator.evaluate([asked])
                scale = max(1.0, np.abs(atoms.get_forces()).max())
                tolerance = ROUND_OFF[evaluator.dtype] * scale
                assert found.energy == pytest.approx(atoms.get_potential_energy(), abs=tolerance * len(atoms))
                np.testing.assert_allclose(found.forces, atoms.get_forces(), rtol=0, atol=tolerance)
                if asked.stress:
                    np.testing.assert_allclose(found.stress, atoms.get_stress(voigt=False), rtol=0, atol=tolerance)


class TestContractOfBatches(EvaluatorContract):
    """The one call for many graphs that a GPU gets, here on a CPU."""

    @pytest.fixture
    def evaluator(self, model_file: Path) -> Evaluator:
        alone = load(spec_of(model_file), model_file.parent, device='cpu')
        assert isinstance(alone, MaceEvaluator)
        return MaceEvaluator(alone.model, 0, alone.report, 'cpu', 'float64', batched=True)


def test_float32_is_close_to_the_native_float64(model_file: Path) -> None:
    double, single = (load(spec_of(model_file), model_file.parent, 'cpu', dtype) for dtype in ('native', 'float32'))
    assert (double.dtype, single.dtype) == ('float64', 'float32')
    crystals = crystals_for(double)
    for found, expected in zip(single.evaluate(crystals), double.evaluate(crystals), strict=True):
        assert_same(found, expected, FLOAT32_AGAINST_FLOAT64)
        assert found.energy != expected.energy


def test_report_says_what_it_is(model_file: Path) -> None:
    report = load(spec_of(model_file), model_file.parent, device='cpu').report
    assert (report.elements, report.cutoff_ang) == (['Li', 'O'], CUTOFF_ANG)
    assert report.dtypes == ['float64', 'float32']
    assert report.sha256 == hashlib.sha256(model_file.read_bytes()).hexdigest()


def test_atoms_out_of_reach_of_each_other_feel_nothing(model_file: Path) -> None:
    lone = Configuration(np.array([3]), np.zeros((1, 3)), 20 * np.eye(3), np.ones(3, dtype=bool))
    (found,) = load(spec_of(model_file), model_file.parent, device='cpu').evaluate([lone])
    assert np.isfinite(found.energy)
    np.testing.assert_array_equal(found.forces, np.zeros((1, 3)))


def test_element_it_does_not_cover_is_refused(model_file: Path) -> None:
    sulphur = Configuration(np.array([3, 16]), np.array([[0.0, 0, 0], [2.4, 0, 0]]), 8 * np.eye(3), np.ones(3, bool))
    with pytest.raises(LitrajError, match='does not cover S') as caught:
        load(spec_of(model_file), model_file.parent, device='cpu').evaluate([sulphur])
    assert caught.value.code.label == 'ERROR_ELEMENTS_NOT_COVERED'


def test_head_is_chosen_by_name(tmp_path: Path) -> None:
    import torch

    model: Any = untrained()
    model.heads = ['pbe', 'r2scan']
    torch.save(model, tmp_path / 'heads.model')
    with pytest.raises(LitrajError, match='must be one of pbe, r2scan'):
        load(spec_of(tmp_path / 'heads.model'), tmp_path, device='cpu')
    chosen = load(spec_of(tmp_path / 'heads.model', head='r2scan'), tmp_path, device='cpu')
    assert isinstance(chosen, MaceEvaluator)
    assert chosen._head == 1


@pytest.mark.parametrize('content', [b'not a model', pickle.dumps({'a': 1})])
def test_file_that_is_no_potential_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / 'x.model').write_bytes(content)
    with pytest.raises(LitrajError, match=r'x\.model') as caught:
        load(spec_of(tmp_path / 'x.model'), tmp_path, device='cpu')
    assert caught.value.code.label == 'ERROR_POTENTIAL_NOT_LOADED'


@pytest.mark.parametrize('kernels', ['cuequivariance', 'openequivariance', 'flash'])
def test_kernels_that_are_not_there_are_refused(model_file: Path, kernels: str) -> None:
    with pytest.raises(LitrajError) as caught:
        load(spec_of(model_file), model_file.parent, device='cpu', kernels=kernels)
    assert caught.value.code.label == 'ERROR_KERNELS'


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of mace, and a network that is down."""
    from mace.calculators import foundations_models

    def down(*_: object, **__: object) -> None:
        raise urllib.error.URLError('no route to host')

    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    monkeypatch.setattr(foundations_models, '_urlretrieve_with_timeout', down)
    return tmp_path / 'mace'


def test_foundation_model_that_cannot_be_fetched_says_what_to_do(cache: Path) -> None:
    with pytest.raises(LitrajError, match=r'could not download it .*no route to host.* import that file') as caught:
        load(PotentialSpec(family='mace', name='medium-mpa-0'), Path.cwd(), device='cpu')
    assert caught.value.code.label == 'ERROR_POTENTIAL_NOT_LOADED'
    with pytest.raises(LitrajError, match='no foundation model of that name, but small, medium'):
        load(PotentialSpec(family='mace', name='enormous'), Path.cwd(), device='cpu')
    assert names() == []


def test_foundation_model_in_the_cache_is_loaded_by_name(cache: Path, model_file: Path) -> None:
    cache.mkdir()
    (cache / 'macempa0mediummodel').write_bytes(model_file.read_bytes())
    assert names() == ['medium-mpa-0']
    by_name = load(PotentialSpec(family='mace', name='medium-mpa-0'), Path.cwd(), device='cpu')
    by_file = load(spec_of(model_file), model_file.parent, device='cpu')
    assert by_name.report.sha256 == by_file.report.sha256
    crystals = crystals_for(by_file)
    for found, expected in zip(by_name.evaluate(crystals), by_file.evaluate(crystals), strict=True):
        np.testing.assert_array_equal(found.forces, expected.forces)
    wrong = PotentialSpec(family='mace', name='medium-mpa-0', sha256='0' * 64)
    with pytest.raises(LitrajError) as caught:
        load(wrong, Path.cwd(), device='cpu')
    assert caught.value.code.label == 'ERROR_POTENTIAL_CHECKSUM'


def test_workers_give_the_same_numbers(model_file: Path) -> None:
    alone = load(spec_of(model_file), model_file.parent, device='cpu')
    crystals = crystals_for(alone)
    with Pool(spec_of(model_file), model_file.parent, Runtime(device='cpu', processes=2), 'native') as pool:
        for found, expected in zip(pool.evaluate(crystals), alone.evaluate(crystals), strict=True):
            assert_same(found, expected, ROUND_OFF['float64'])


def test_small_trained_model_describes_frames_that_it_did_not_see() -> None:
    data = np.load(FRAMES)
    unseen = held_out(len(data['positions']))
    evaluator = load(spec_of(MODEL), MODEL.parent, device='cpu')
    periodic = np.ones(3, dtype=bool)
    frames = [Configuration(data['numbers'], p, data['cell'], periodic) for p in data['positions'][unseen]]
    forces = np.array([evaluation.forces for evaluation in evaluator.evaluate(frames)])
    expected = data['forces'][unseen]
    assert np.sqrt(((forces - expected) ** 2).mean()) < UNSEEN_FORCE_ERROR * np.sqrt((expected**2).mean())
