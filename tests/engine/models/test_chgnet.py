"""CHGNet potentials: chgnet's own numbers, every refusal before anything is unpickled."""

from __future__ import annotations

import hashlib
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

from aiida_litraj.contract import LitrajError, PotentialSpec, Runtime
from aiida_litraj.engine.evaluation import Pool
from aiida_litraj.engine.models import Configuration, Evaluator, chgnet, load
from aiida_litraj.engine.testing import EvaluatorContract, assert_same, crystals_for

pytestmark = pytest.mark.chgnet

ROUND_OFF = 1e-6
"""Relative, float32."""


def named(name: str, **options: str) -> PotentialSpec:
    return PotentialSpec(family='chgnet', name=name, options=options)


@pytest.fixture(scope='module')
def potential() -> Evaluator:
    return load(named('0.3.0'), Path.cwd(), device='cpu')


class TestContract(EvaluatorContract):
    @pytest.fixture
    def evaluator(self, potential: Evaluator) -> Evaluator:
        return potential


class TestContractOfBatches(EvaluatorContract):
    """The one call for many graphs that a GPU gets, here on a CPU."""

    @pytest.fixture
    def evaluator(self, potential: Evaluator) -> Evaluator:
        assert isinstance(potential, chgnet.ChgnetEvaluator)
        return chgnet.ChgnetEvaluator(potential.model, potential.report, 'cpu', batched=True)


@pytest.mark.parametrize('name', ['0.3.0', '0.2.0', 'r2scan'])
def test_numbers_of_the_calculator_of_chgnet(name: str) -> None:
    from ase import Atoms
    from chgnet.model import CHGNet, CHGNetCalculator

    evaluator = load(named(name), Path.cwd(), device='cpu')
    calculator = CHGNetCalculator(CHGNet.load(model_name=name, use_device='cpu'), use_device='cpu')
    for crystal in crystals_for(evaluator):
        atoms = Atoms(crystal.numbers, crystal.positions, cell=crystal.cell, pbc=crystal.pbc, calculator=calculator)
        (found,) = evaluator.evaluate([crystal])
        assert found.energy == pytest.approx(atoms.get_potential_energy(), rel=ROUND_OFF)
        scale = np.abs(atoms.get_forces()).max()
        np.testing.assert_allclose(found.forces, atoms.get_forces(), rtol=0, atol=10 * ROUND_OFF * scale)
        stress = atoms.get_stress(voigt=False)
        np.testing.assert_allclose(found.stress, stress, rtol=0, atol=10 * ROUND_OFF * np.abs(stress).max())


def test_report_says_what_it_is(potential: Evaluator) -> None:
    report = potential.report
    path = chgnet._file_of('0.3.0')
    assert path is not None
    assert report.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert report.elements is not None
    assert {'Li', 'O', 'P', 'S', 'Cl', 'Pu'} <= set(report.elements)
    assert not {'Po', 'Ra', 'Am'} & set(report.elements)
    assert (report.dtypes, report.cutoff_ang) == (['float32'], 6.0)


def test_checkpoint_file_is_the_same_potential_as_by_name(tmp_path: Path, potential: Evaluator) -> None:
    shutil.copy(str(chgnet._file_of('0.3.0')), tmp_path / 'mine.pth.tar')
    spec = PotentialSpec(family='chgnet', file='mine.pth.tar', sha256=potential.report.sha256)
    crystals = crystals_for(potential)
    found = load(spec, tmp_path, device='cpu').evaluate(crystals)
    for ours, expected in zip(found, potential.evaluate(crystals), strict=True):
        np.testing.assert_array_equal(ours.forces, expected.forces)


@pytest.mark.parametrize('content', [b'not a checkpoint', pickle.dumps({'a': 1})])
def test_file_that_is_no_potential_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / 'x.pth').write_bytes(content)
    spec = PotentialSpec(family='chgnet', file='x.pth', sha256=hashlib.sha256(content).hexdigest())
    with pytest.raises(LitrajError) as caught:
        load(spec, tmp_path, device='cpu')
    assert caught.value.code.label == 'ERROR_POTENTIAL_NOT_LOADED'


@pytest.mark.parametrize(
    ('spec', 'arguments', 'label', 'message'),
    [
        (named('0.3.0'), {'dtype': 'float64'}, 'ERROR_DTYPE', 'float64: it offers float32'),
        (named('0.3.0'), {'kernels': 'compiled'}, 'ERROR_KERNELS', 'has only plain'),
        (named('0.1.0'), {}, 'ERROR_POTENTIAL_NOT_LOADED', r'here, but 0\.3\.0, 0\.2\.0, r2scan'),
        (named('0.3.0', head='x'), {}, 'ERROR_POTENTIAL_NOT_LOADED', 'no option head'),
        (named('0.3.0').model_copy(update={'sha256': '0' * 64}), {}, 'ERROR_POTENTIAL_CHECKSUM', 'not 0000'),
    ],
)
def test_refusals(spec: PotentialSpec, arguments: dict[str, str], label: str, message: str) -> None:
    with pytest.raises(LitrajError, match=message) as caught:
        load(spec, Path.cwd(), device='cpu', **arguments)
    assert caught.value.code.label == label


def test_element_it_was_not_trained_on_is_refused(potential: Evaluator) -> None:
    polonium = Configuration(np.array([84, 8]), np.array([[0.0, 0, 0], [2, 0, 0]]), 5 * np.eye(3), np.ones(3, bool))
    with pytest.raises(LitrajError, match=r'chgnet:0\.3\.0 does not cover Po'):
        potential.evaluate([polonium])


def test_workers_give_the_same_numbers(tmp_path: Path, potential: Evaluator) -> None:
    crystals = crystals_for(potential)
    with Pool(named('0.3.0'), tmp_path, Runtime(device='cpu', processes=2), 'native') as pool:
        for found, expected in zip(pool.evaluate(crystals), potential.evaluate(crystals), strict=True):
            assert_same(found, expected, 10 * ROUND_OFF)
