"""Models of graph-pes: graph-pes's own numbers, and a foundation model through its interfaces."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aiida_litraj.contract import LitrajError, PotentialSpec
from aiida_litraj.engine.models import Configuration, Evaluator, load
from aiida_litraj.engine.models.graph_pes import GraphPesEvaluator, default_dtype
from aiida_litraj.engine.testing import EvaluatorContract, assert_same, crystals_for

from .make_small_mace import MODEL

pytestmark = pytest.mark.mace

ROUND_OFF = {'float32': 2e-5, 'float64': 1e-9}
FLOAT32_AGAINST_FLOAT64 = 1e-4
CUTOFF_ANG = 4.2
OFFSETS_EV = {'Li': -190.0, 'O': -430.0}
"""As large as with some codes: in single precision a sum of these is known to some meV only."""


def saved(model: Any, path: Path) -> Path:
    import torch

    torch.save(model, path)
    return path


def untrained() -> Any:
    """A PaiNN of Li and O with random weights, and energies of the elements: for the numbers' sake any will do."""
    import torch
    from graph_pes.models import AdditionModel, FixedOffset, PaiNN

    torch.manual_seed(0)
    with default_dtype('float64'):
        return AdditionModel(offset=FixedOffset(**OFFSETS_EV), many_body=PaiNN(channels=8, layers=2, cutoff=CUTOFF_ANG))


@pytest.fixture(scope='module')
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(untrained(), tmp_path_factory.mktemp('graph_pes') / 'random.pt')


def spec_of(path: Path, **options: str) -> PotentialSpec:
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return PotentialSpec(family='graph_pes', file=path.name, sha256=sha256, options=options)


def opened(path: Path, dtype: str = 'native') -> Evaluator:
    return load(spec_of(path), path.parent, 'cpu', dtype)


@pytest.fixture(scope='module')
def potential(model_file: Path) -> Evaluator:
    return opened(model_file)


class TestContract(EvaluatorContract):
    @pytest.fixture
    def evaluator(self, potential: Evaluator) -> Evaluator:
        return potential

    def test_numbers_of_the_calculator_of_graph_pes(self, evaluator: Evaluator, model_file: Path) -> None:
        from ase import Atoms
        from graph_pes.models import load_model

        calculator = load_model(model_file).ase_calculator()
        for crystal in crystals_for(evaluator):
            for pbc in (crystal.pbc, np.array([True, True, False])):
                asked = Configuration(crystal.numbers, crystal.positions, crystal.cell, pbc, stress=bool(pbc.all()))
                atoms = Atoms(asked.numbers, asked.positions, cell=asked.cell, pbc=pbc, calculator=calculator)
                (found,) = evaluator.evaluate([asked])
                with default_dtype('float64'):
                    forces = atoms.get_forces()
                    energy = atoms.get_potential_energy()
                    stress = atoms.get_stress(voigt=False)
                tolerance = ROUND_OFF['float64'] * max(1.0, np.abs(forces).max())
                assert found.energy == pytest.approx(energy, abs=tolerance * len(atoms))
                np.testing.assert_allclose(found.forces, forces, rtol=0, atol=tolerance)
                if asked.stress:
                    np.testing.assert_allclose(found.stress, stress, rtol=0, atol=tolerance)


class TestContractOfBatches(EvaluatorContract):
    """The one call for many graphs that a GPU gets, here on a CPU."""

    @pytest.fixture
    def evaluator(self, potential: Evaluator) -> Evaluator:
        assert isinstance(potential, GraphPesEvaluator)
        return GraphPesEvaluator(potential.model, potential.report, 'cpu', 'float64', batched=True)


def test_float32_is_close_to_the_native_float64(model_file: Path) -> None:
    double, single = opened(model_file), opened(model_file, 'float32')
    assert (double.dtype, single.dtype) == ('float64', 'float32')
    crystals = crystals_for(double)
    for found, expected in zip(single.evaluate(crystals), double.evaluate(crystals), strict=True):
        assert found.energy == pytest.approx(expected.energy, rel=FLOAT32_AGAINST_FLOAT64)
        assert found.energy != expected.energy
        scale = max(1.0, np.abs(expected.forces).max())
        np.testing.assert_allclose(found.forces, expected.forces, rtol=0, atol=FLOAT32_AGAINST_FLOAT64 * scale)


def test_report_says_what_it_is(model_file: Path) -> None:
    evaluator = opened(model_file)
    report = evaluator.report
    assert (report.elements, report.cutoff_ang) == (['Li', 'O'], CUTOFF_ANG)
    assert report.dtypes == ['float64', 'float32']
    sulphur = Configuration(np.array([3, 16]), np.array([[0.0, 0, 0], [2.4, 0, 0]]), 8 * np.eye(3), np.ones(3, bool))
    with pytest.raises(LitrajError, match='does not cover S'):
        evaluator.evaluate([sulphur])


def test_lone_atom_has_the_energy_of_its_element(model_file: Path) -> None:
    """Whatever a network says of an atom without neighbours comes on top of it, and pulls nowhere."""
    lone = Configuration(np.array([3]), np.zeros((1, 3)), 20 * np.eye(3), np.ones(3, dtype=bool), stress=True)
    (found,) = opened(model_file).evaluate([lone])
    assert found.energy == pytest.approx(OFFSETS_EV['Li'], abs=10.0)
    np.testing.assert_array_equal(found.forces, np.zeros((1, 3)))
    np.testing.assert_array_equal(found.stress, np.zeros((3, 3)))


def test_foundation_model_through_the_interfaces_is_what_it_is(tmp_path: Path) -> None:
    """The way of MatterSim, Orb and MACE-MP: a wrapped model saved to a file; here the small MACE of these tests."""
    import torch
    from graph_pes.interfaces._mace import MACEWrapper

    wrapped = saved(MACEWrapper(torch.load(MODEL, weights_only=False)), tmp_path / 'wrapped.pt')
    sha256 = hashlib.sha256(MODEL.read_bytes()).hexdigest()
    itself = load(PotentialSpec(family='mace', file=MODEL.name, sha256=sha256), MODEL.parent, 'cpu')
    evaluator = opened(wrapped)
    assert (evaluator.report.elements, evaluator.dtype) == (itself.report.elements, itself.dtype)
    crystals = crystals_for(itself)
    for found, expected in zip(evaluator.evaluate(crystals), itself.evaluate(crystals), strict=True):
        assert_same(found, expected, ROUND_OFF[itself.dtype])


def test_forces_that_are_no_gradient_are_refused(tmp_path: Path) -> None:
    from graph_pes.models import Orb

    small = {'channels': 4, 'layers': 1, 'mlp_hidden_dim': 4, 'mlp_layers': 1}
    with pytest.raises(LitrajError, match='not minus the gradient') as caught:
        opened(saved(Orb(conservative=False, **small), tmp_path / 'direct.pt'))
    assert caught.value.code.label == 'ERROR_POTENTIAL_NOT_LOADED'
    assert opened(saved(Orb(conservative=True, **small), tmp_path / 'conservative.pt')).report.elements is None


def test_name_says_how_to_make_a_file() -> None:
    with pytest.raises(LitrajError, match=r'takes files: .*graph_pes\.interfaces \(mattersim') as caught:
        load(PotentialSpec(family='graph_pes', name='mattersim-v1.0.0-1m'), Path.cwd(), device='cpu')
    assert caught.value.code.label == 'ERROR_POTENTIAL_NOT_LOADED'


@pytest.mark.parametrize('content', [b'not a model', pickle.dumps({'a': 1})])
def test_file_that_is_no_potential_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / 'x.pt').write_bytes(content)
    with pytest.raises(LitrajError, match=r'x\.pt') as caught:
        opened(tmp_path / 'x.pt')
    assert caught.value.code.label == 'ERROR_POTENTIAL_NOT_LOADED'
