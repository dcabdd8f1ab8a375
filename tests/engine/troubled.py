"""A potential that makes trouble, and what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiida_litraj.contract import PotentialReport
from aiida_litraj.engine.models import Configuration, Evaluation
from aiida_litraj.engine.models.toy import morse

LOOSE = {
    'ends': {'fmax_ev_per_ang': 0.1},
    'band': {'fmax_ev_per_ang': 0.1},
    'acceptance': {'fmax_ev_per_ang': 0.2},
}


class Troubled:
    """The Morse potential, with trouble for configurations of certain sizes: ``{n_atoms: answer or exception}``."""

    device = 'cpu'
    dtype = 'float64'

    def __init__(self, trouble: dict[int, Any] | None = None, elements: list[str] | None = None) -> None:
        self.report = PotentialReport(family='toy', name='troubled', sha256='0' * 64, elements=elements)
        self.trouble = trouble or {}
        self.calls = 0

    def evaluate(self, configurations: Sequence[Configuration]) -> list[Evaluation]:
        self.calls += len(configurations)
        return [self._one(configuration) for configuration in configurations]

    def _one(self, configuration: Configuration) -> Evaluation:
        trouble = self.trouble.get(len(configuration))
        if isinstance(trouble, Exception):
            raise trouble
        return morse(configuration) if trouble is None else trouble(configuration)


def costs(ran: Any) -> int:
    """The model calls that the items have cost by their own account."""
    return sum(item.endpoint_calls + item.band_calls + item.saddle_calls for item in ran.result.items)
