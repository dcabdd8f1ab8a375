"""What the trainers of the engine cannot do of what the parameters of a training can ask for: said on both sides.

Of the toy only what no trainer of the engine does: a protocol of another can be looked at with it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from .base import Model
from .train import TrainingParameters

TRAINERS = ('sevennet', 'mace', 'graph_pes', 'toy')
"""Those of the engine, each called after the family of its potentials; of another's family the engine judges."""
GRAPH_PES_LMAX = {'SchNet': 0, 'PaiNN': 1, 'TensorNet': 2}
"""Models of graph-pes whose messages are of one degree, and no other."""
GRAPH_PES_MODELS = (*GRAPH_PES_LMAX, 'MACE', 'NequIP')
NO_REPLAY = ('sevennet', 'graph_pes', 'toy')
"""Trainers that have no multi-head fine-tuning."""


class Lack(NamedTuple):
    """What some trainers cannot do: a parameter by its path, the values that are too much, and why, with the remedy."""

    trainers: tuple[str, ...]
    option: str
    too_much: Callable[[Any], bool]
    why: str


def _given(value: Any) -> bool:
    return value is not None


def _makes_objects(value: Any) -> bool:
    """Return whether the configuration language of graph-pes takes a part of a value for an import or a reference."""
    if isinstance(value, str):
        return value.startswith(('+', '='))
    if isinstance(value, dict):
        return any(_makes_objects(part) for pair in value.items() for part in pair)
    return isinstance(value, (list, tuple)) and any(_makes_objects(part) for part in value)


LACKS = (
    Lack(('sevennet',), 'dtype', lambda dtype: dtype == 'float64', 'it trains in float32 only; take native'),
    Lack(
        ('sevennet', 'graph_pes'), 'ema_decay', _given,
        'it has no moving average of the weights; set it to null',
    ),
    Lack(
        NO_REPLAY, 'replay', _given,
        'it does not offer that, mace does; leave it out, and put configurations that the parent knew into the '
        'training set',
    ),
    Lack(
        ('sevennet',), 'loss.energy_weight', lambda weight: weight == 0.0,
        'it counts by the weight of energies, which cannot be zero; take a small one',
    ),
    Lack(('sevennet', 'mace'), 'architecture.model', _given, 'it has one model only; set it to null'),
    Lack(
        ('graph_pes',), 'architecture.model', lambda model: model not in GRAPH_PES_MODELS,
        f'it has several models, of which this is none; take {", ".join(GRAPH_PES_MODELS)}',
    ),
    Lack(
        ('graph_pes',), 'native', _makes_objects,
        'its configuration would import and call what begins with +, and copy what begins with =, and a job names no '
        'code; give plain names and numbers',
    ),
)  # fmt: skip


def not_offered(parameters: TrainingParameters) -> list[str]:
    """Return what a trainer of the engine cannot do of what it is asked for, each with parameter, value and remedy.

    What a trainer of another package cannot do is not known before it is started.
    """
    found = []
    for lack in LACKS:
        if parameters.trainer not in lack.trainers:
            continue
        section, _, name = lack.option.rpartition('.')
        within = getattr(parameters, section) if section else parameters
        value = getattr(within, name, None)
        if within is not None and lack.too_much(value):
            found.append(f'{lack.option} = {_shown(value)}: {lack.why}')
    architecture = parameters.architecture
    if parameters.trainer == 'graph_pes' and architecture is not None:
        only = GRAPH_PES_LMAX.get(str(architecture.model), architecture.lmax)
        if architecture.lmax != only:
            found.append(
                f'architecture.lmax = {architecture.lmax}: its {architecture.model} has {only} only; take that, or '
                'another architecture.model'
            )
    replay = parameters.replay
    if parameters.trainer == 'mace' and parameters.loss.kind == 'huber' and replay is not None and replay.weight != 1.0:
        found.append(
            f'replay.weight = {replay.weight!r}: its huber loss counts all configurations alike; take 1.0, or '
            'loss.kind mse'
        )
    return found


def _shown(value: Any) -> str:
    return repr(value.model_dump() if isinstance(value, Model) else value)
