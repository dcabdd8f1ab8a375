"""SevenNet potentials: sevenn's own numbers, every refusal before anything is unpickled."""

from __future__ import annotations

import hashlib
import importlib
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

from aiida_litraj.contract import LitrajError, PotentialSpec, Runtime
from aiida_litraj.engine.evaluation import Pool
from aiida_litraj.engine.models import Configuration, Evaluator, load
from aiida_litraj.engine.models.sevennet import SevenNetEvaluator, names
from aiida_litraj.engine.testing import EvaluatorContract, assert_same, crystals_for

pytestmark = pytest.mark.sevennet

SHA256_7NET_0 = '7052cb42b7b3be42b40b97fa0d21077a48c54b5548948fc4dcf346629f813c36'
ROUND_OFF = 1e-6
"""Relative, float32."""


def packaged(name: str, **options: str) -> PotentialSpec:
    return PotentialSpec(family='sevennet', name=name, options=options)


def path_of(name: str) -> Path:
    module = importlib.import_module('aiida_litraj.engine.models.sevennet')
    return Path(module._file_of(name))


@pytest.fixture(scope='module')
def sevennet_0() -> Evaluator:
    return load(packaged('7net-0'), Path.cwd(), device='cpu')


@pytest.fixture(scope='module')
def sevennet_0_batched(sevennet_0: Evaluator) -> Evaluator:
    from sevenn.util import load_checkpoint

    model = load_checkpoint(str(path_of('7net-0'))).build_model()
    return SevenNetEvaluator(model, None, sevennet_0.report, 'cpu', batched=True)


class TestContract(EvaluatorContract):
    @pytest.fixture
    def evaluator(self, sevennet_0: Evaluator) -> Evaluator:
        return sevennet_0


class TestContractOfBatches(EvaluatorContract):
    """The one call for many graphs that a GPU gets, here on a CPU."""

    @pytest.fixture
    def evaluator(self, sevennet_0_batched: Evaluator) -> Evaluator:
        return sevennet_0_batched

    def test_same_numbers_as_single_graphs(self, evaluator: Evaluator, sevennet_0: Evaluator) -> None:
        crystals = crystals_for(evaluator)
        for found, expected in zip(evaluator.evaluate(crystals), sevennet_0.evaluate(crystals), strict=True):
            assert_same(found, expected, 10 * ROUND_OFF)


@pytest.mark.parametrize(('name', 'modal'), [('7net-0', None), ('7net-l3i5', None), ('7net-mf-0', 'PBE')])
def test_numbers_of_the_calculator_of_sevenn(name: str, modal: str | None) -> None:
    from ase import Atoms
    from sevenn.calculator import SevenNetCalculator

    evaluator = load(packaged(name, **({} if modal is None else {'modal': modal})), Path.cwd(), device='cpu')
    calculator = SevenNetCalculator(name, device='cpu', modal=modal)
    for crystal in crystals_for(evaluator):
        atoms = Atoms(crystal.numbers, crystal.positions, cell=crystal.cell, pbc=crystal.pbc, calculator=calculator)
        (found,) = evaluator.evaluate([crystal])
        assert found.energy == pytest.approx(atoms.get_potential_energy(), rel=ROUND_OFF)
        np.testing.assert_allclose(found.forces, atoms.get_forces(), rtol=0, atol=10 * ROUND_OFF)
        np.testing.assert_allclose(found.stress, atoms.get_stress(voigt=False), rtol=0, atol=ROUND_OFF)


def test_report_says_what_it_is(sevennet_0: Evaluator) -> None:
    report = sevennet_0.report
    assert report.sha256 == SHA256_7NET_0
    assert report.elements is not None
    assert {'Li', 'O', 'P', 'S', 'Cl'} <= set(report.elements)
    assert not {'Po', 'Rn', 'X'} & set(report.elements)
    assert (report.cutoff_ang, report.dtypes, sevennet_0.dtype) == (5.0, ['float32'], 'float32')


def test_names_are_those_in_the_wheel() -> None:
    assert {'7net-0', '7net-0_22May2024', '7net-l3i5', '7net-mf-0'} <= set(names())
    assert all(path_of(name).is_file() for name in names())


def test_checkpoint_file_is_the_same_potential_as_by_name(tmp_path: Path, sevennet_0: Evaluator) -> None:
    shutil.copy(path_of('7net-0'), tmp_path / 'mine.pth')
    spec = PotentialSpec(family='sevennet', file='mine.pth', sha256=SHA256_7NET_0)
    evaluator = load(spec, tmp_path, device='cpu')
    assert (evaluator.report.file, evaluator.report.name) == ('mine.pth', None)
    crystals = crystals_for(evaluator)
    for found, expected in zip(evaluator.evaluate(crystals), sevennet_0.evaluate(crystals), strict=True):
        assert found.energy == expected.energy
        np.testing.assert_array_equal(found.forces, expected.forces)


class _Bomb:
    """A pickle which touches a file when it is loaded."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (self.target,)  # type: ignore[return-value]


@pytest.mark.parametrize('sha256', ['0' * 64, None])
def test_bytes_that_were_not_promised_are_never_unpickled(tmp_path: Path, sha256: str | None) -> None:
    (tmp_path / 'bomb.pth').write_bytes(pickle.dumps(_Bomb(tmp_path / 'exploded')))
    with pytest.raises(LitrajError) as caught:
        load(PotentialSpec(family='sevennet', file='bomb.pth', sha256=sha256), tmp_path, device='cpu')
    assert caught.value.code.label == ('ERROR_POTENTIAL_CHECKSUM' if sha256 else 'ERROR_POTENTIAL_NOT_LOADED')
    assert not (tmp_path / 'exploded').exists()


def test_packaged_checkpoint_that_is_another_one_is_refused() -> None:
    spec = PotentialSpec(family='sevennet', name='7net-0', sha256='0' * 64)
    with pytest.raises(LitrajError, match=SHA256_7NET_0) as caught:
        load(spec, Path.cwd(), device='cpu')
    assert caught.value.code.label == 'ERROR_POTENTIAL_CHECKSUM'


@pytest.mark.parametrize('content', [b'', b'not a checkpoint', pickle.dumps({'a': 1})])
def test_file_that_is_no_potential_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / 'model.pth').write_bytes(content)
    spec = PotentialSpec(family='sevennet', file='model.pth', sha256=hashlib.sha256(content).hexdigest())
    with pytest.raises(LitrajError, match=r'model\.pth') as caught:
        load(spec, tmp_path, device='cpu')
    assert caught.value.code.label == 'ERROR_POTENTIAL_NOT_LOADED'


@pytest.mark.parametrize(
    ('spec', 'arguments', 'label', 'message'),
    [
        (packaged('7net-0'), {'dtype': 'float64'}, 'ERROR_DTYPE', 'float64: it offers float32'),
        (packaged('7net-1'), {}, 'ERROR_POTENTIAL_NOT_LOADED', 'no potential of that name, but 7net-0, 7net-0_22May'),
        (packaged('7net-mf-0'), {}, 'ERROR_POTENTIAL_NOT_LOADED', 'must be one of R2SCAN, PBE'),
        (packaged('7net-0', modal='PBE'), {}, 'ERROR_POTENTIAL_NOT_LOADED', 'single fidelity'),
        (packaged('7net-0', modul='PBE'), {}, 'ERROR_POTENTIAL_NOT_LOADED', 'no option modul'),
        (packaged('7net-0'), {'kernels': 'flash'}, 'ERROR_KERNELS', 'flashTP_e3nn'),
        (packaged('7net-0'), {'kernels': 'cuequivariance'}, 'ERROR_KERNELS', 'cuequivariance-torch'),
        (packaged('7net-0'), {'kernels': 'openequivariance'}, 'ERROR_KERNELS', 'openequivariance'),
    ],
)
def test_refusals(spec: PotentialSpec, arguments: dict[str, str], label: str, message: str) -> None:
    with pytest.raises(LitrajError, match=message) as caught:
        load(spec, Path.cwd(), device='cpu', **arguments)
    assert caught.value.code.label == label


def test_checkpoint_that_cannot_be_fetched_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import sevenn.util

    def down(*_: object) -> None:
        raise OSError('no route to host')

    monkeypatch.setattr(sevenn.util, 'download_checkpoint', down)
    monkeypatch.setenv('HOME', str(tmp_path))
    assert '7net-omni' not in names()
    with pytest.raises(
        LitrajError, match=r'could not download it .*no route to host.* import the checkpoint'
    ) as caught:
        load(packaged('7net-omni', modal='mpa'), Path.cwd(), device='cpu')
    assert caught.value.code.label == 'ERROR_POTENTIAL_NOT_LOADED'


def test_element_it_does_not_cover_is_refused(sevennet_0: Evaluator) -> None:
    polonium = Configuration(np.array([84, 8]), np.array([[0.0, 0, 0], [2, 0, 0]]), 8 * np.eye(3), np.ones(3, bool))
    with pytest.raises(LitrajError, match='sevennet:7net-0 does not cover Po') as caught:
        sevennet_0.evaluate([polonium])
    assert caught.value.code.label == 'ERROR_ELEMENTS_NOT_COVERED'


def test_atoms_out_of_reach_of_each_other_feel_nothing(sevennet_0: Evaluator) -> None:
    lone = Configuration(np.array([3]), np.zeros((1, 3)), 20 * np.eye(3), np.ones(3, dtype=bool))
    (found,) = sevennet_0.evaluate([lone])
    assert np.isfinite(found.energy)
    np.testing.assert_array_equal(found.forces, np.zeros((1, 3)))


def test_workers_give_the_same_numbers(tmp_path: Path, sevennet_0: Evaluator) -> None:
    crystals = crystals_for(sevennet_0)
    with Pool(packaged('7net-0'), tmp_path, Runtime(device='cpu', processes=2), 'native') as pool:
        assert pool.report == sevennet_0.report
        for found, expected in zip(pool.evaluate(crystals * 2), sevennet_0.evaluate(crystals * 2), strict=True):
            assert_same(found, expected, ROUND_OFF)
        assert pool.peak_memory_mb > 100
        assert pool.worker_cpu_seconds > 1.0  # to import torch alone; the clock would be that of other programs too


@pytest.fixture(scope='module')
def small_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SevenNet of Li, O, P and more with random weights, small enough to compile in seconds."""
    import torch
    from sevenn.model_build import build_E3_equivariant_model
    from sevenn.util import load_checkpoint

    content = torch.load(path_of('7net-0'), map_location='cpu', weights_only=False)
    config = {
        **load_checkpoint(str(path_of('7net-0'))).config,
        **{'channel': 4, 'lmax': 1, 'num_convolution_layer': 2, 'irreps_manual': False, 'conv_denominator': 30.0},
    }
    torch.manual_seed(0)
    model = build_E3_equivariant_model(config)
    path: Path = tmp_path_factory.mktemp('sevennet') / 'small.pth'
    torch.save({**content, 'config': config, 'model_state_dict': model.state_dict()}, path)
    return path


def test_compiled_convolutions_give_the_numbers_of_the_plain_ones(small_checkpoint: Path) -> None:
    sha256 = hashlib.sha256(small_checkpoint.read_bytes()).hexdigest()
    spec = PotentialSpec(family='sevennet', file=small_checkpoint.name, sha256=sha256)
    plain, compiled = (load(spec, small_checkpoint.parent, 'cpu', kernels=kernels) for kernels in ('plain', 'compiled'))
    crystals = crystals_for(plain)
    rng = np.random.default_rng(3)
    for scale in (0.9, 1.0, 1.2):  # other numbers of edges than those of the check at loading
        for crystal in crystals:
            moved = scale * crystal.positions + rng.normal(scale=0.1, size=crystal.positions.shape)
            asked = Configuration(crystal.numbers, moved, scale * crystal.cell, crystal.pbc)
            assert_same(compiled.evaluate([asked])[0], plain.evaluate([asked])[0], 10 * ROUND_OFF)
    lone = Configuration(np.array([3]), np.zeros((1, 3)), 20 * np.eye(3), np.ones(3, dtype=bool))
    assert compiled.evaluate([lone])[0].energy == plain.evaluate([lone])[0].energy


def test_compiled_convolutions_without_a_compiler_are_refused(
    small_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    torch._dynamo.reset()
    monkeypatch.setenv('TORCHINDUCTOR_CACHE_DIR', str(tmp_path))
    monkeypatch.setattr(torch._inductor.config.cpp, 'cxx', ('no-such-compiler',))
    sha256 = hashlib.sha256(small_checkpoint.read_bytes()).hexdigest()
    spec = PotentialSpec(family='sevennet', file=small_checkpoint.name, sha256=sha256)
    with pytest.raises(LitrajError, match='compiled') as caught:
        load(spec, small_checkpoint.parent, 'cpu', kernels='compiled')
    assert caught.value.code.label == 'ERROR_KERNELS'
