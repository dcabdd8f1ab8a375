"""Numbers of the benchmark of barriers: those of a protocol, or those of a benchmark of before, to go on with it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from aiida.orm import Dict, WorkChainNode

from ..analysis.benchmark_numbers import BenchmarkSettings
from ..calculations.functions.compare_benchmark import read_settings
from ..calculations.validation import validated
from ..contract.neb import NebParameters
from .children import resolved
from .neb import NebBaseWorkChain
from .protocols.mixin import merge

SECTIONS = {
    'neb': ('parameters', NebParameters),
    'tight': ('tight_parameters', NebParameters),
    'analysis': ('analysis', BenchmarkSettings),
}
"""Section of a protocol -> the input that is made of it, and its model."""
SAME = ('initial_path', 'dtype', 'hop_tolerance_ang', 'end_tolerance_ang')
"""What the sample that is converged tightly has in common with the rest."""


def numbers_of(inputs: Mapping[str, Any], label: str, known: Mapping[str, Dict] | None = None) -> dict[str, Dict]:
    """Return ``analysis``, ``parameters`` and, where a sample is converged tightly, ``tight_parameters``.

    :param inputs: of the protocol, every number filled in.
    :param known: what is taken as it is instead.
    :raises ValueError: naming each field that is not known or out of range.
    """
    found = dict(known or {})
    if 'analysis' not in found:
        found['analysis'] = Dict(read_settings(inputs['analysis']).model_dump(mode='json'), label=label)
    for section in ('neb', 'tight'):
        name, model = SECTIONS[section]
        if name not in found:
            values = resolved(NebBaseWorkChain, inputs[section], model)
            found[name] = Dict(values, label=inputs[section].get('protocol') or label)
    if not found['analysis']['tight_sample']:
        return {name: found[name] for name in ('analysis', 'parameters')}
    # From the same images in the same precision: else it would be the error of something else as well.
    tight, same = found['tight_parameters'], {key: found['parameters'][key] for key in SAME}
    if any(tight[key] != value for key, value in same.items()):
        found['tight_parameters'] = Dict({**tight.get_dict(), **same}, label=tight.label)
    return found


def taken_over(like: WorkChainNode, changes: Mapping[str, Any]) -> dict[str, Dict]:
    """Return the numbers of a benchmark of before, by input; the very nodes, where nothing in them changes.

    :param changes: by section of a protocol; one that says of which ``protocol`` it is has nothing of the old ones.
    :raises ValueError: naming each field that is not known or out of range.
    """
    found = {}
    for section, (name, model) in SECTIONS.items():
        change = changes.get(section) or {}
        if name not in like.inputs or 'protocol' in change:
            continue
        node = like.inputs[name]
        if change:
            values = validated(merge(node.get_dict(), change), model, section).model_dump(mode='json')
            node = Dict(values, label=node.label)
        found[name] = node
    return found


def materials_taken_over(like: WorkChainNode, hops: Collection[str]) -> dict[str, str] | None:
    """Return of what materials a benchmark of before was told that hops are, ``None`` if it was told nothing."""
    if 'materials' not in like.inputs:
        return None
    return {hop: material for hop, material in like.inputs.materials.get_dict().items() if hop in hops}
