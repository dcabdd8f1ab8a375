"""CHGNet potentials: the models in the wheel of ``chgnet`` by their names, and any model file in its format."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...contract.potential import PotentialReport
from ...contract.units import EV_PER_ANG3_OF_GPA
from .elements import symbols_of
from .interface import Configuration, Evaluation, Evaluator, Family, LoadRequest
from .refusal import not_loaded, resolve_dtype, resolve_kernels, verify_checksum
from .torch_evaluator import TorchEvaluator

DTYPES = ('float32',)
"""What chgnet 0.4 evaluates in: its graphs are float32 whatever the weights are."""

_NAMED = {
    '0.3.0': '0.3.0/chgnet_0.3.0_e29f68s314m37.pth.tar',
    '0.2.0': '0.2.0/chgnet_0.2.0_e30f77s348m32.pth.tar',
    'r2scan': 'r2scan/chgnet_r2scan_transfer_learning_e15f36s161m23.pth.tar',
}
"""Names of ``CHGNet.load``, with where the wheel keeps their weights."""

_UNTRAINED = range(84, 89)
"""Po to Ra: the embedding has rows for them, the training set (MPtrj, 89 elements up to Pu) has no structures."""


def _file_of(name: str) -> Path | None:
    """Return the weights of a named potential, without importing chgnet; ``None`` if they are not there."""
    spec = importlib.util.find_spec('chgnet')
    if spec is None or not spec.submodule_search_locations or name not in _NAMED:
        return None
    path = Path(next(iter(spec.submodule_search_locations))) / 'pretrained' / _NAMED[name]
    return path if path.is_file() else None


def names() -> list[str]:
    """Return the named potentials whose weights lie on this node."""
    return [name for name in _NAMED if _file_of(name) is not None]


class ChgnetEvaluator(TorchEvaluator):
    """A CHGNet model with the graphs, and so the numbers, of its own ASE calculator."""

    dtype = 'float32'

    def __init__(self, model: Any, report: PotentialReport, device: str, batched: bool) -> None:
        super().__init__(report, device, batched)
        self.model = model.to(device).eval()
        self.model.graph_converter.set_isolated_atom_response('ignore')

    def _evaluate_together(self, configurations: Sequence[Configuration]) -> list[Evaluation]:
        graphs = [self._graph(configuration) for configuration in configurations]
        task = 'efs' if any(configuration.stress for configuration in configurations) else 'ef'
        found = self.model.predict_graph(graphs, task=task, batch_size=len(graphs))
        predictions = [found] if len(graphs) == 1 else found
        return [self._evaluation(*both) for both in zip(predictions, configurations, strict=True)]

    def _graph(self, configuration: Configuration) -> Any:
        from pymatgen.core import Lattice, Structure

        lattice = Lattice(configuration.cell, pbc=tuple(configuration.pbc.tolist()))
        structure = Structure(
            lattice, configuration.numbers.tolist(), configuration.positions, coords_are_cartesian=True
        )
        return self.model.graph_converter(structure).to(self.device)

    def _evaluation(self, prediction: dict[str, Any], configuration: Configuration) -> Evaluation:
        forces = prediction['f'].astype(np.float64)
        per_energy = len(forces) if self.model.is_intensive else 1
        stress = prediction['s'].astype(np.float64) * EV_PER_ANG3_OF_GPA if configuration.stress else None
        return Evaluation(float(prediction['e']) * per_energy, forces, stress)


def load(request: LoadRequest) -> Evaluator:
    """Return a CHGNet potential.

    :raises LitrajError: see :func:`aiida_litraj.engine.models.load`.
    """
    resolve_dtype(request, DTYPES)
    resolve_kernels(request, ('plain',))
    if request.spec.options:
        raise not_loaded(request.spec, f'the family chgnet has no option {", ".join(request.spec.options)}')
    name = request.spec.name
    path = request.path or _file_of(str(name))
    if path is None:
        raise not_loaded(request.spec, f'chgnet has no potential of that name here, but {", ".join(names())}')
    sha256 = verify_checksum(request.spec, path)

    import torch
    from chgnet.model import CHGNet

    state = torch.load(path, map_location='cpu', weights_only=False)
    if not isinstance(state, dict) or 'model_args' not in state.get('model', {}):
        raise not_loaded(request.spec, 'the file is no checkpoint of a CHGNet potential')
    # The first release had a bias in its last layer that its file does not mention; CHGNet.load does the same.
    named = {} if name is None else {'mlp_out_bias': name == '0.2.0', 'version': name}
    model = CHGNet.from_dict(state['model'], **named)
    report = PotentialReport(
        family='chgnet',
        name=name,
        file=request.spec.file,
        sha256=sha256,
        elements=symbols_of(number for number in range(1, 95) if number not in _UNTRAINED),
        cutoff_ang=float(model.graph_converter.atom_graph_cutoff),
        dtypes=list(DTYPES),
    )
    return ChgnetEvaluator(model, report, request.device, batched=request.device != 'cpu')


FAMILY = Family(name='chgnet', package='chgnet', load=load, names=names)
