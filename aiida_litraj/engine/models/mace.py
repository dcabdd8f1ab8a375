"""MACE potentials: any model file, and the foundation models that ``mace`` knows by name.

Options of the potential: ``head``, which head of a multi-head model to evaluate.
"""

from __future__ import annotations

import importlib.util
import os
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
from .torch_evaluator import TorchEvaluator

_CONVERTERS = {
    'cuequivariance': ('mace.cli.convert_e3nn_cueq', 'cuequivariance-torch'),
    'openequivariance': ('mace.cli.convert_e3nn_oeq', 'openequivariance'),
}
"""Kernels to mace's own converter of a model, and the package that they need."""


def _cache() -> Path:
    return Path(os.environ.get('XDG_CACHE_HOME', Path.home() / '.cache')) / 'mace'


def local_file(name: str) -> Path | None:
    """Return where mace has put the foundation model ``name`` on this node, ``None`` if it has not."""
    from mace.calculators import foundations_models

    if name == 'medium-mpa-0' and Path(foundations_models.local_model_path).is_file():
        return Path(foundations_models.local_model_path)
    stem = ''.join(c for c in os.path.basename(foundations_models.mace_mp_urls[name]) if c.isalnum() or c == '_')
    path = _cache() / stem
    return path if path.is_file() else None


def names() -> list[str]:
    """Return the foundation models whose file lies on this node; imports mace only if there can be any."""
    spec = importlib.util.find_spec('mace')
    if spec is None or not spec.submodule_search_locations:
        return []
    package = Path(next(iter(spec.submodule_search_locations)))
    if not _cache().is_dir() and not (package / 'calculators' / 'foundations_models').is_dir():
        return []
    from mace.calculators.foundations_models import mace_mp_urls

    return [name for name in mace_mp_urls if local_file(name) is not None]


def _file_of(request: LoadRequest) -> Path:
    """Return the model file; a foundation model that is not on this node is fetched by mace's own loader."""
    if request.path is not None:
        return request.path
    from mace.calculators.foundations_models import download_mace_mp_checkpoint, mace_mp_urls

    name = str(request.spec.name)
    if name not in mace_mp_urls:
        raise not_loaded(request.spec, f'mace has no foundation model of that name, but {", ".join(mace_mp_urls)}')
    try:
        return Path(download_mace_mp_checkpoint(name))
    except Exception as error:
        reason = (
            f'it is not on this node and mace could not download it ({type(error).__name__}: {error}); fetch '
            f'{mace_mp_urls[name]} where there is a network and import that file as the potential'
        )
        raise not_loaded(request.spec, reason) from error


class MaceEvaluator(TorchEvaluator):
    """A MACE model with the neighbours, and so the numbers, of mace's own ASE calculator."""

    def __init__(self, model: Any, head: int, report: PotentialReport, device: str, dtype: str, batched: bool) -> None:
        import torch

        super().__init__(report, device, batched)
        self.dtype = dtype
        self.model = model.to(device=device).eval()
        for parameter in self.model.parameters():
            parameter.requires_grad = False
        self._torch_dtype = getattr(torch, dtype)
        self._head = head
        self._cutoff = float(model.r_max)
        self._species = np.array([int(number) for number in model.atomic_numbers])

    def _batch(self, configurations: Sequence[Configuration]) -> dict[str, Any]:
        """Return the graph of all configurations, one unconnected piece each."""
        import torch
        from mace.data.neighborhood import get_neighborhood

        neighbours = [
            # The cell is a copy: it is written to where a direction is not periodic.
            get_neighborhood(c.positions, self._cutoff, tuple(c.pbc.tolist()), np.array(c.cell))
            for c in configurations
        ]
        sizes = [len(configuration) for configuration in configurations]
        offsets = np.concatenate([[0], np.cumsum(sizes)])
        numbers = np.concatenate([configuration.numbers for configuration in configurations])
        order = np.argsort(self._species)
        kinds = order[np.searchsorted(self._species, numbers, sorter=order)]

        def real(values: Sequence[Array]) -> Any:
            return torch.as_tensor(np.concatenate(values), dtype=self._torch_dtype, device=self.device)

        def whole(values: Any) -> Any:
            return torch.as_tensor(values, dtype=torch.long, device=self.device)

        n_graphs = len(configurations)
        edges = np.concatenate([edge + offset for (edge, *_), offset in zip(neighbours, offsets)], axis=1)
        return {
            'positions': real([configuration.positions for configuration in configurations]),
            'node_attrs': torch.nn.functional.one_hot(whole(kinds), len(self._species)).to(self._torch_dtype),
            'edge_index': whole(edges),
            'shifts': real([shifts for _, shifts, _, _ in neighbours]),
            'unit_shifts': real([unit_shifts for _, _, unit_shifts, _ in neighbours]),
            'cell': real([cell for _, _, _, cell in neighbours]),
            'batch': whole(np.repeat(np.arange(n_graphs), sizes)),
            'ptr': whole(offsets),
            'head': whole(np.full(n_graphs, self._head)),
            # Models that know of charge and spin get a neutral singlet, as from atoms without such information.
            'total_charge': torch.zeros(n_graphs, dtype=self._torch_dtype, device=self.device),
            'total_spin': torch.ones(n_graphs, dtype=self._torch_dtype, device=self.device),
        }

    def _evaluate_together(self, configurations: Sequence[Configuration]) -> list[Evaluation]:
        asked = any(configuration.stress for configuration in configurations)
        output = self.model(self._batch(configurations), compute_force=True, compute_stress=asked)
        energies = output['energy'].detach().cpu().numpy().astype(np.float64)
        forces = output['forces'].detach().cpu().numpy().astype(np.float64)
        bounds = np.cumsum([len(configuration) for configuration in configurations])[:-1]
        parts = np.split(forces, bounds)
        if not asked:
            return [Evaluation(float(energy), part) for energy, part in zip(energies, parts, strict=True)]
        stresses = output['stress'].detach().cpu().numpy().astype(np.float64)
        return [
            Evaluation(float(energy), part, stress if configuration.stress else None)
            for configuration, energy, part, stress in zip(configurations, energies, parts, stresses, strict=True)
        ]


def _head_of(request: LoadRequest, heads: Sequence[str]) -> int:
    """Return the index of the head to evaluate: the one in the options, the only one, or the one called default."""
    options = dict(request.spec.options)
    head = options.pop('head', None)
    if options:
        raise not_loaded(request.spec, f'the family mace has no option {", ".join(options)}, but head')
    if head is None:
        candidates = list(heads) if len(heads) == 1 else [name for name in heads if name.lower() == 'default']
    else:
        candidates = [name for name in heads if name == head]
    if not candidates:
        raise not_loaded(request.spec, f'option head is {head}, it must be one of {", ".join(heads)}')
    return heads.index(candidates[0])


def _converted(model: Any, kernels: str, device: str) -> Any:
    """Return a copy of ``model`` on other kernels."""
    module, package = _CONVERTERS[kernels]
    try:
        return importlib.import_module(module).run(model, device=device)
    except Exception as error:  # a missing library, a missing GPU, a model that the kernels do not know
        reason = f'they need the package {package} and a GPU ({type(error).__name__}: {error})'
        raise LitrajError('ERROR_KERNELS', kernels=kernels, reason=reason) from error


def load(request: LoadRequest) -> Evaluator:
    """Return a MACE potential, its kernels checked against the plain ones.

    :raises LitrajError: see :func:`aiida_litraj.engine.models.load`.
    """
    kernels = resolve_kernels(request, ('plain', *_CONVERTERS))
    path = _file_of(request)
    sha256 = verify_checksum(request.spec, path)

    import torch

    # Importing mace tells torch to unpickle whole objects, which is what its model files are.
    from mace.modules import MACE

    model = torch.load(path, map_location='cpu', weights_only=False)
    if not isinstance(model, MACE):
        raise not_loaded(request.spec, f'the file holds a {type(model).__name__}, not a MACE model with an energy')
    native = str(next(model.parameters()).dtype).removeprefix('torch.')
    dtypes = [native, *(dtype for dtype in ('float32', 'float64') if dtype != native)]
    dtype = resolve_dtype(request, dtypes)
    model = model.to(dtype=getattr(torch, dtype))
    head = _head_of(request, list(getattr(model, 'heads', None) or ['Default']))
    report = PotentialReport(
        family='mace',
        name=request.spec.name,
        file=request.spec.file,
        sha256=sha256,
        elements=symbols_of(int(number) for number in model.atomic_numbers),
        cutoff_ang=float(model.r_max),
        dtypes=dtypes,
    )

    def evaluator(model: Any) -> MaceEvaluator:
        return MaceEvaluator(model, head, report, request.device, dtype, batched=request.device != 'cpu')

    if kernels == 'plain':
        return evaluator(model)
    return verified(evaluator(_converted(model, kernels, request.device)), evaluator(model), kernels)


FAMILY = Family(name='mace', package='mace-torch', load=load, names=names)
