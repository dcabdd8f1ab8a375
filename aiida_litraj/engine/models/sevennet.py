"""SevenNet potentials: the checkpoints in the wheel of ``sevenn`` by their names, and any checkpoint file.

Options of the potential: ``modal``, which fidelity of a multi-fidelity model to evaluate.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...contract.arrays import Array
from ...contract.errors import LitrajError
from ...contract.potential import PotentialReport
from .elements import symbols_of
from .interface import Configuration, Evaluation, Evaluator, Family, LoadRequest
from .kernels import verified
from .refusal import not_loaded, resolve_dtype, resolve_kernels, verify_checksum
from .sevennet_compiled import build_compiled
from .torch_evaluator import TorchEvaluator

DTYPES = ('float32',)
"""What sevenn 0.13 evaluates in: its embedding of edges is float32 whatever the weights are."""

_NAMED = {
    '7net-0': 'SevenNet_0__11Jul2024/checkpoint_sevennet_0.pth',
    '7net-0_22May2024': 'SevenNet_0__22May2024/checkpoint_sevennet_0.pth',
    '7net-l3i5': 'SevenNet_l3i5/checkpoint_l3i5.pth',
    '7net-mf-0': 'SevenNet_MF_0/checkpoint_sevennet_mf_0.pth',
    '7net-mf-ompa': 'SevenNet_MF_ompa/checkpoint_sevennet_mf_ompa.pth',
    '7net-omat': 'SevenNet_omat/checkpoint_sevennet_omat.pth',
    '7net-omni': 'SevenNet_omni/checkpoint_sevennet_omni.pth',
    '7net-omni-i8': 'SevenNet_omni_i8/checkpoint_sevennet_omni_i8.pth',
    '7net-omni-i12': 'SevenNet_omni_i12/checkpoint_sevennet_omni_i12.pth',
}
"""Where sevenn keeps the checkpoint of each name: the first four in its wheel, the others once it downloaded them."""

_ACCELERATORS = {
    'cuequivariance': ('cue_helper', 'is_cue_available', 'enable_cueq', 'cuequivariance-torch'),
    'flash': ('flash_helper', 'is_flash_available', 'enable_flash', 'flashTP_e3nn'),
    'openequivariance': ('oeq_helper', 'is_oeq_available', 'enable_oeq', 'openequivariance'),
}
"""Kernels to sevenn's helper module, its test for them, the flag of ``build_model`` and the package they need."""


def _file_of(name: str) -> Path | None:
    """Return the checkpoint of a named potential if this node has it, without importing sevenn or downloading."""
    spec = importlib.util.find_spec('sevenn')
    if spec is None or not spec.submodule_search_locations or name not in _NAMED:
        return None
    package = Path(next(iter(spec.submodule_search_locations))) / 'pretrained_potentials'
    candidates = [package / _NAMED[name], Path.home() / '.cache' / 'sevennet' / _NAMED[name]]
    return next((path for path in candidates if path.is_file()), None)


def names() -> list[str]:
    """Return the named potentials whose checkpoint lies on this node."""
    return [name for name in _NAMED if _file_of(name) is not None]


def _checkpoint_of(request: LoadRequest) -> Path:
    """Return the checkpoint; one that sevenn knows by name but has not fetched yet is fetched by its own loader."""
    if request.path is not None:
        return request.path
    name = str(request.spec.name)
    if name not in _NAMED:
        raise not_loaded(request.spec, f'sevenn has no potential of that name, but {", ".join(_NAMED)}')
    path = _file_of(name)
    if path is not None:
        return path
    from sevenn.util import pretrained_name_to_path

    try:
        return Path(pretrained_name_to_path(name))
    except Exception as error:
        reason = (
            f'it is not on this node and sevenn could not download it ({type(error).__name__}: {error}); where there '
            f'is a network run python -c "from sevenn.util import load_checkpoint as get; get(\'{name}\')" and import '
            'the checkpoint as the potential'
        )
        raise not_loaded(request.spec, reason) from error


class SevenNetEvaluator(TorchEvaluator):
    """A SevenNet model with the graphs, and so the numbers, of sevenn's own ASE calculator."""

    dtype = 'float32'

    def __init__(self, model: Any, modal: str | None, report: PotentialReport, device: str, batched: bool) -> None:
        super().__init__(report, device, batched)
        self.model = model.to(device).eval()
        self.model.set_is_batch_data(batched)
        self._modal = modal

    def _graph(self, configuration: Configuration) -> dict[str, Any]:
        from ase import Atoms
        from sevenn.train.dataload import unlabeled_atoms_to_graph

        atoms = Atoms(
            numbers=configuration.numbers,
            positions=configuration.positions,
            cell=configuration.cell,
            pbc=configuration.pbc,
        )
        graph: dict[str, Any] = unlabeled_atoms_to_graph(atoms, self.model.cutoff, with_shift=False)
        return graph

    def _forward(self, graph: dict[str, Any], modal: str | list[str] | None) -> Any:
        import sevenn._keys as keys
        from sevenn.atom_graph_data import AtomGraphData

        data = AtomGraphData.from_numpy_dict(graph)
        if modal is not None:
            data[keys.DATA_MODALITY] = modal
        data.to(self.device)
        return self.model(data)

    @staticmethod
    def _forces_of(output: Any, n_atoms: int) -> Array:
        import sevenn._keys as keys

        if keys.PRED_FORCE not in output:  # no edge at all: atoms out of each other's reach feel nothing
            return np.zeros((n_atoms, 3))
        forces: Array = output[keys.PRED_FORCE].detach().cpu().numpy()[:n_atoms].astype(np.float64)
        return forces

    @staticmethod
    def _stresses_of(output: Any, n_graphs: int) -> Array:
        """Return the stresses (n_graphs, 3, 3); sevenn has them as xx yy zz xy yz zx, positive under pressure."""
        import sevenn._keys as keys

        if keys.PRED_STRESS not in output:
            return np.zeros((n_graphs, 3, 3))
        pressures = output[keys.PRED_STRESS].detach().cpu().numpy().astype(np.float64).reshape(n_graphs, 6)
        stresses: Array = -pressures[:, [0, 3, 5, 3, 1, 4, 5, 4, 2]].reshape(n_graphs, 3, 3)
        return stresses

    def _evaluate_one(self, configuration: Configuration) -> Evaluation:
        import sevenn._keys as keys

        output = self._forward(self._graph(configuration), self._modal)
        energy = output[keys.PRED_TOTAL_ENERGY].detach().cpu().item()
        stress = self._stresses_of(output, 1)[0] if configuration.stress else None
        return Evaluation(energy, self._forces_of(output, len(configuration)), stress)

    def _evaluate_together(self, configurations: Sequence[Configuration]) -> list[Evaluation]:
        """Evaluate all configurations as one graph of as many pieces.

        The pieces are joined here rather than by torch_geometric's collater, whose work per graph and key takes
        longer than a GPU needs for a small one.
        """
        import sevenn._keys as keys

        graphs = [self._graph(configuration) for configuration in configurations]
        sizes = np.array([len(configuration) for configuration in configurations])
        offsets = np.concatenate([[0], np.cumsum(sizes)])
        numbers = np.concatenate([graph[keys.ATOMIC_NUMBERS] for graph in graphs])
        joined = {
            keys.NODE_FEATURE: numbers,
            keys.ATOMIC_NUMBERS: numbers,
            keys.POS: np.concatenate([graph[keys.POS] for graph in graphs]),
            keys.EDGE_IDX: np.concatenate(
                [graph[keys.EDGE_IDX] + offset for graph, offset in zip(graphs, offsets)], axis=1
            ),
            keys.EDGE_VEC: np.concatenate([graph[keys.EDGE_VEC] for graph in graphs]),
            keys.CELL_VOLUME: np.array([graph[keys.CELL_VOLUME] for graph in graphs]),
            keys.NUM_ATOMS: sizes,
            keys.BATCH: np.repeat(np.arange(len(graphs)), sizes),
        }
        output = self._forward(joined, None if self._modal is None else [self._modal] * len(graphs))
        energies = output[keys.PRED_TOTAL_ENERGY].detach().cpu().numpy().astype(np.float64)
        forces = self._forces_of(output, len(numbers))
        stresses = self._stresses_of(output, len(graphs))
        return [
            Evaluation(float(energy), forces[start:stop], stress if asked.stress else None)
            for asked, energy, stress, start, stop in zip(configurations, energies, stresses, offsets, offsets[1:])
        ]


def _modal_of(request: LoadRequest, modals: Sequence[str]) -> str | None:
    options = dict(request.spec.options)
    modal = options.pop('modal', None)
    if options:
        raise not_loaded(request.spec, f'the family sevennet has no option {", ".join(options)}, but modal')
    if modal is None and not modals:
        return None
    if modal not in modals:
        known = f'one of {", ".join(modals)}' if modals else 'none: it has a single fidelity'
        example = f'; import it with, for example, --option modal={modals[-1]}' if modals else ''
        raise not_loaded(request.spec, f'option modal is {modal}, it must be {known}{example}')
    return str(modal)


def _flags_of(kernels: str) -> dict[str, bool]:
    """Return sevenn's flags for ``kernels``; sevenn itself would fall back to the plain ones with a warning."""
    if kernels == 'plain':
        return {}
    helper, is_available, flag, package = _ACCELERATORS[kernels]
    if not getattr(importlib.import_module(f'sevenn.nn.{helper}'), is_available)():
        raise LitrajError('ERROR_KERNELS', kernels=kernels, reason=f'they need the package {package} and a GPU')
    return {flag: True}


def load(request: LoadRequest) -> Evaluator:
    """Return a SevenNet potential, its kernels checked against the plain ones.

    :raises LitrajError: see :func:`aiida_litraj.engine.models.load`.
    """
    resolve_dtype(request, DTYPES)
    kernels = resolve_kernels(request, ('plain', 'compiled', *_ACCELERATORS))
    path = _checkpoint_of(request)
    sha256 = verify_checksum(request.spec, path)

    import sevenn._keys as keys
    from sevenn.util import load_checkpoint

    checkpoint = load_checkpoint(str(path))
    config = checkpoint.config
    if keys.TYPE_MAP not in config:
        raise not_loaded(request.spec, 'the file is no checkpoint of a SevenNet potential')
    modal = _modal_of(request, list(config.get(keys.MODAL_MAP) or ()))
    report = PotentialReport(
        family='sevennet',
        name=request.spec.name,
        file=request.spec.file,
        sha256=sha256,
        elements=symbols_of(number for number in config[keys.TYPE_MAP] if number > 0),
        cutoff_ang=float(config[keys.CUTOFF]),
        dtypes=list(DTYPES),
    )

    def build(kernels: str) -> SevenNetEvaluator:
        model = build_compiled(checkpoint) if kernels == 'compiled' else checkpoint.build_model(**_flags_of(kernels))
        return SevenNetEvaluator(model, modal, report, request.device, batched=request.device != 'cpu')

    if kernels == 'plain':
        return build('plain')
    return verified(build(kernels), build('plain'), kernels)


FAMILY = Family(name='sevennet', package='sevenn', load=load, names=names)
