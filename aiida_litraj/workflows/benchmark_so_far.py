"""Benchmarks of a chain that goes on, or was killed: of what its jobs, and those of before, are through."""

from __future__ import annotations

from typing import Any

from aiida.orm import Data, WorkChainNode

from ..calculations.functions.compare_benchmark import describe_benchmark
from .neb_benchmark_inputs import about_benchmark, covered, materials_of
from .so_far import finished_so_far


def benchmarks_so_far(chain: WorkChainNode) -> dict[str, dict[str, Any]]:
    """Return by potential what the output ``benchmark`` of a chain has, or would have if it ended now.

    A potential of which no job has ended is not among them. The protocol's own error comes with the outputs.
    """
    inputs = chain.inputs
    made = chain.outputs.benchmark if 'benchmark' in chain.outputs else {}
    found = {name: node.get_dict() for name, node in made.items()}
    given: dict[str, Data] = {f'reference_{name}': path for name, path in inputs.references.items()}
    given |= {f'initial_{name}': path for name, path in inputs.paths.items()}
    plain = {'paths': dict(inputs.paths), 'references': dict(inputs.references), 'parameters': inputs.parameters}
    plain |= {'analysis': inputs.analysis, 'materials': inputs.materials if 'materials' in inputs else None}
    materials = materials_of(plain)
    for name, chosen in inputs.potentials.items():
        if name in found:
            continue
        names = covered(plain['paths'], chosen['potential'])[0]
        some = {hop: plain['paths'][hop] for hop in names}
        paths, account = finished_so_far(chosen['code'], chosen['potential'], inputs.parameters, some)
        if account is not None:
            about = about_benchmark(plain, materials, chosen['potential'])
            nodes = given | {f'path_{hop}': path for hop, path in paths.items()}
            found[name] = describe_benchmark(about, account, chosen['potential'], nodes)
    return found
