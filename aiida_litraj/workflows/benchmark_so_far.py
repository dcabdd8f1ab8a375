"""Benchmarks of a chain that goes on, or was killed: of what its jobs, and those of before, are through."""

from __future__ import annotations

from typing import Any

from aiida.common.links import LinkType
from aiida.orm import Data, WorkChainNode

from ..calculations.functions.compare_benchmark import describe_benchmark
from .neb_benchmark import NEB
from .neb_benchmark_inputs import about_benchmark, covered, materials_of, reference_of
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
    materials, reference = materials_of(plain), reference_of(list(plain['references'].values()))
    # One that has not begun takes of before what the others do: a launch says it for all.
    called = chain.base.links.get_outgoing(link_type=LinkType.CALL_WORK).all()
    chains = {link.link_label: link.node for link in called if link.link_label.startswith(f'{NEB}_')}
    for name, chosen in inputs.potentials.items():
        if name in found:
            continue
        names = covered(plain['paths'], chosen['potential'])[0]
        some = {hop: plain['paths'][hop] for hop in names}
        given_to = chains.get(f'{NEB}_{name}', next(iter(chains.values()), None))
        paths, account = finished_so_far(chosen['code'], chosen['potential'], inputs.parameters, some, given_to)
        if account is not None:
            about = about_benchmark(plain, materials, reference, chosen['potential'])
            nodes = given | {f'path_{hop}': path for hop, path in paths.items()}
            found[name] = describe_benchmark(about, account, chosen['potential'], nodes)
    return found
