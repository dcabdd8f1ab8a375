"""Potentials that make trouble, or have the job stopped, in dynamics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from aiida_litraj.contract import PotentialReport
from aiida_litraj.engine import batch as batch_module
from aiida_litraj.engine.evaluation import Pool
from aiida_litraj.engine.models import Configuration, Evaluation
from aiida_litraj.engine.models.toy import morse

from .replicas import Ran

Run = Callable[..., Ran]


class Troubled:
    """The Morse potential or an ideal gas, with trouble at a call of configurations with a certain number of atoms."""

    device = 'cpu'
    dtype = 'float64'

    def __init__(
        self, trouble: dict[tuple[int, int], Any], potential: Any = morse, cutoff: float | None = None
    ) -> None:
        self.report = PotentialReport(family='toy', name='troubled', sha256='0' * 64, elements=None, cutoff_ang=cutoff)
        self.trouble, self.potential = trouble, potential
        self.seen: dict[int, int] = {}

    def evaluate(self, configurations: Sequence[Configuration]) -> list[Evaluation]:
        return [self._one(configuration) for configuration in configurations]

    def _one(self, configuration: Configuration) -> Evaluation:
        n_atoms = len(configuration)
        self.seen[n_atoms] = self.seen.get(n_atoms, 0) + 1
        trouble = self.trouble.get((n_atoms, self.seen[n_atoms] - 1))
        if isinstance(trouble, Exception):
            raise trouble
        answer: Evaluation = self.potential(configuration)
        return answer if trouble is None else trouble(answer)


class StopAfter(Troubled):
    """The same, and it has the job stopped after a number of calls, as a signal would."""

    def __init__(self, calls: int, monkeypatch: pytest.MonkeyPatch, trouble: Any = None) -> None:
        super().__init__(trouble or {})
        self.left = calls
        monkeypatch.setattr(batch_module, 'Pool', lambda *_: Pool.of(self))
        monkeypatch.setattr('aiida_litraj.engine.folder.Stop.keep_running', lambda _: self.left > 0)

    def evaluate(self, configurations: Sequence[Configuration]) -> list[Evaluation]:
        self.left -= len(configurations)
        return super().evaluate(configurations)


def spoilt(**changes: Any) -> Callable[[Evaluation], Evaluation]:
    def spoil(answer: Evaluation) -> Evaluation:
        return Evaluation(changes.get('energy', answer.energy), changes.get('forces', answer.forces), answer.stress)

    return spoil
