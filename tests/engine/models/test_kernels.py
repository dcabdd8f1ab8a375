"""Faster kernels are refused unless they give the plain ones' numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from aiida_litraj.contract import LitrajError, PotentialSpec
from aiida_litraj.engine.models import Configuration, Evaluation, load, verified
from aiida_litraj.engine.models.elements import SYMBOLS
from aiida_litraj.engine.models.kernels import ENERGY_TOLERANCE_EV_PER_ATOM, FORCE_TOLERANCE, verification_crystals

PLAIN = load(PotentialSpec(family='toy', name='morse'), Path.cwd())


class Fast:
    """Kernels that change the plain ones' evaluations by ``change``."""

    device = 'cpu'
    dtype = 'float64'
    report = PLAIN.report

    def __init__(self, change: Callable[[Evaluation], Evaluation]) -> None:
        self.change = change

    def evaluate(self, configurations: Sequence[Configuration]) -> list[Evaluation]:
        return [self.change(evaluation) for evaluation in PLAIN.evaluate(configurations)]


def energy_off(per_atom: float) -> Callable[[Evaluation], Evaluation]:
    return lambda e: dataclasses.replace(e, energy=e.energy + per_atom * len(e.forces))


def force_off(by: float) -> Callable[[Evaluation], Evaluation]:
    def change(evaluation: Evaluation) -> Evaluation:
        forces = evaluation.forces.copy()
        forces[-1, 2] += by * max(1.0, np.abs(forces).max())
        return dataclasses.replace(evaluation, forces=forces)

    return change


@pytest.mark.parametrize('change', [energy_off(0.5 * ENERGY_TOLERANCE_EV_PER_ATOM), force_off(0.5 * FORCE_TOLERANCE)])
def test_round_off_is_accepted(change: Callable[[Evaluation], Evaluation]) -> None:
    fast = Fast(change)
    assert verified(fast, PLAIN, 'fast') is fast


@pytest.mark.parametrize(
    'change',
    [
        energy_off(2.0 * ENERGY_TOLERANCE_EV_PER_ATOM),
        force_off(2.0 * FORCE_TOLERANCE),
        energy_off(float('nan')),
        force_off(float('nan')),
    ],
)
def test_other_numbers_are_refused(change: Callable[[Evaluation], Evaluation]) -> None:
    with pytest.raises(LitrajError, match='the fast kernels failed their check') as caught:
        verified(Fast(change), PLAIN, 'fast')
    assert caught.value.code.label == 'ERROR_KERNELS'


def test_kernels_that_are_wrong_only_in_a_batch_are_refused() -> None:
    class WrongInABatch(Fast):
        def evaluate(self, configurations: Sequence[Configuration]) -> list[Evaluation]:
            found = super().evaluate(configurations)
            return found if len(found) == 1 else found[::-1]

    with pytest.raises(LitrajError) as caught:
        verified(WrongInABatch(lambda evaluation: evaluation), PLAIN, 'fast')
    assert caught.value.code.label == 'ERROR_KERNELS'


def test_kernels_that_do_not_run_are_refused_with_their_reason() -> None:
    def crash(evaluation: Evaluation) -> Evaluation:
        raise RuntimeError('no C++ compiler')

    with pytest.raises(LitrajError, match='RuntimeError: no C'):
        verified(Fast(crash), PLAIN, 'fast')


@pytest.mark.parametrize('symbols', [['Li', 'S', 'Cl'], ['Cu'], ['H', 'C', 'N', 'O', 'F']])
def test_crystals_are_of_covered_elements(symbols: list[str]) -> None:
    covered = frozenset(SYMBOLS.index(symbol) for symbol in symbols)
    crystals = verification_crystals(covered)
    assert all(set(crystal.numbers.tolist()) <= covered for crystal in crystals)
    assert len({len(crystal) for crystal in crystals}) == len(crystals)
    evaluations = [evaluation for crystal in crystals for evaluation in PLAIN.evaluate([crystal])]
    assert all(np.abs(evaluation.forces).max() > 0.1 for evaluation in evaluations)  # no force is zero by symmetry
