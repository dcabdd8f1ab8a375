"""Models of graph-pes, in files as ``graph-pes-train`` or ``torch.save`` writes them.

Foundation models through ``graph_pes.interfaces`` (MatterSim, Orb, MACE-MP) are such files too, once they were saved
where there is a network.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ...contract.potential import PotentialReport
from .elements import SYMBOLS, symbols_of
from .interface import Configuration, Evaluation, Evaluator, Family, LoadRequest
from .refusal import not_loaded, resolve_dtype, resolve_kernels, verify_checksum
from .torch_evaluator import TorchEvaluator


@contextlib.contextmanager
def default_dtype(dtype: str) -> Iterator[None]:
    """Have torch make what has no type of its own in ``dtype``.

    graph-pes makes its graphs so, and what it sums components of a model up in.
    """
    import torch

    before = torch.get_default_dtype()
    torch.set_default_dtype(getattr(torch, dtype))
    try:
        yield
    finally:
        torch.set_default_dtype(before)


class GraphPesEvaluator(TorchEvaluator):
    """A model of graph-pes with its own graphs, and so the numbers of its ASE calculator."""

    def __init__(self, model: Any, report: PotentialReport, device: str, dtype: str, batched: bool) -> None:
        super().__init__(report, device, batched)
        self.dtype = dtype
        self.model = model.to(device).eval()
        for parameter in self.model.parameters():
            parameter.requires_grad = False
        self._cutoff = float(model.cutoff)

    @property
    def n_parameters(self) -> int:
        """How many numbers were fitted, without those of elements that it has not seen."""
        from graph_pes.utils.nn import count_used_parameters

        return int(count_used_parameters(self.model, only_learnable=False))

    def _graph(self, configuration: Configuration) -> Any:
        from ase import Atoms
        from graph_pes import AtomicGraph

        atoms = Atoms(
            numbers=configuration.numbers,
            positions=configuration.positions,
            cell=configuration.cell,
            pbc=configuration.pbc,
        )
        return AtomicGraph.from_ase(atoms, self._cutoff)

    def _evaluate_together(self, configurations: Sequence[Configuration]) -> list[Evaluation]:
        from graph_pes.atomic_graph import to_batch

        asked = any(configuration.stress for configuration in configurations)
        wanted = ['energy', 'forces', *(['stress'] if asked else [])]
        with default_dtype(self.dtype):
            graphs = [self._graph(configuration) for configuration in configurations]
            graph = graphs[0] if len(graphs) == 1 else to_batch(graphs)
            found = self.model.predict(graph.to(self.device), wanted)
        values = {name: value.detach().cpu().numpy().astype(np.float64) for name, value in found.items()}
        energies = values['energy'].reshape(-1)
        parts = np.split(values['forces'], np.cumsum([len(configuration) for configuration in configurations])[:-1])
        if not asked:
            return [Evaluation(float(energy), part) for energy, part in zip(energies, parts, strict=True)]
        stresses = values['stress'].reshape(-1, 3, 3)
        return [
            Evaluation(float(energy), part, stress if configuration.stress else None)
            for configuration, energy, part, stress in zip(configurations, energies, parts, stresses, strict=True)
        ]


def _elements(model: Any) -> list[str] | None:
    """Return what a model was made for, else what it was trained on, ``None`` where it says neither."""
    from graph_pes.interfaces._mace import ZToOneHot
    from graph_pes.utils.nn import AtomicOneHot

    made_for: set[int] = set()
    for module in model.modules():
        if isinstance(module, AtomicOneHot):
            made_for |= {SYMBOLS.index(symbol) for symbol in module.elements}
        elif isinstance(module, ZToOneHot):
            made_for |= {int(number) for number in (module.z_to_index >= 0).nonzero().flatten()}
    return symbols_of(made_for) if made_for else list(model.elements_seen) or None


def _has_forces_of_its_own(model: Any) -> bool:
    """Return whether the forces of a model are not those of its energy."""
    from graph_pes.interfaces._orb import OrbWrapper
    from graph_pes.models import AdditionModel, UnitConverter

    for module in model.modules():
        if isinstance(module, OrbWrapper):
            if type(module.orb_model).__name__ == 'DirectForcefieldRegressor':
                return True
        elif type(module).__module__.startswith('graph_pes.models'):  # those of interfaces take gradients themselves
            forces = 'forces' in getattr(module, 'implemented_properties', ())
            if forces and not isinstance(module, (AdditionModel, UnitConverter)):
                return True
    return False


def load(request: LoadRequest) -> Evaluator:
    """Return a model of graph-pes.

    :raises LitrajError: see :func:`aiida_litraj.engine.models.load`.
    """
    resolve_kernels(request, ('plain',))
    if request.spec.options:
        raise not_loaded(request.spec, f'the family graph_pes has no option {", ".join(request.spec.options)}')
    if request.path is None:
        reason = (
            'the family graph_pes takes files: where there is a network, torch.save a foundation model of '
            'graph_pes.interfaces (mattersim, orb_model, mace_mp) to a file, and import that as the potential'
        )
        raise not_loaded(request.spec, reason)
    sha256 = verify_checksum(request.spec, request.path)

    from graph_pes import GraphPESModel
    from graph_pes.models import load_model

    model = load_model(request.path)
    if not isinstance(model, GraphPESModel):
        raise not_loaded(request.spec, f'the file holds a {type(model).__name__}, not a model with an energy')
    if _has_forces_of_its_own(model):
        reason = (
            'it predicts forces on their own, which are not minus the gradient of its energy; take a conservative one'
        )
        raise not_loaded(request.spec, reason)
    native = next((str(p.dtype).removeprefix('torch.') for p in model.parameters()), 'float32')
    dtypes = [native, *(dtype for dtype in ('float32', 'float64') if dtype != native)]
    dtype = resolve_dtype(request, dtypes)
    import torch

    report = PotentialReport(
        family='graph_pes',
        file=request.spec.file,
        sha256=sha256,
        elements=_elements(model),
        cutoff_ang=round(float(model.cutoff), 6),  # kept in the precision of the model
        dtypes=dtypes,
    )
    converted = model.to(dtype=getattr(torch, dtype))
    return GraphPesEvaluator(converted, report, request.device, dtype, batched=request.device != 'cpu')


FAMILY = Family(name='graph_pes', package='graph-pes', load=load, names=list)
