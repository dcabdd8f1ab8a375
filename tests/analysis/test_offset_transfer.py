"""Offsets of the elements are taken only to compositions that their fit determines."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_litraj.analysis.energy_offsets import fit_offsets
from aiida_litraj.analysis.offset_transfer import element_counts, transfer
from aiida_litraj.contract.frames import Frames

LI, OXYGEN, P, S = 3, 8, 15, 16
TRUE_EV = {'Li': 0.4, 'P': -1.5, 'S': 0.9}


def frames(*compositions: list[int]) -> Frames:
    """Return configurations of these atoms, wherever they are."""
    cell = 10.0 * np.eye(3)
    return Frames.stack(
        [
            Frames.of_one(numbers, np.arange(3.0 * len(numbers)).reshape(-1, 3), cell, [True] * 3)
            for numbers in compositions
        ]
    )


def test_line_of_compositions() -> None:
    """Li2S and P2S5 fix the sum for what lies between them, and nothing off the line or with another element."""
    learnt = frames([LI, LI, S], [P, P, S, S, S, S, S])
    elements, counts = element_counts(learnt)
    assert elements == ('Li', 'P', 'S')
    true = np.array([TRUE_EV[symbol] for symbol in elements])
    fit = fit_offsets(counts, counts @ true, elements)
    li3ps4, lis, oxide = [LI] * 3 + [P] + [S] * 4, [LI, S], [LI, LI, OXYGEN]
    said = transfer(fit, frames(li3ps4, lis, oxide, [LI, LI, S]))
    assert said.determined.tolist() == [True, False, False, True]
    assert (said.safe, said.unsafe) == (('Li2S', 'Li3PS4'), ('Li2O', 'LiS'))
    expected = [3 * 0.4 - 1.5 + 4 * 0.9, 2 * 0.4 + 0.9]
    assert said.shift_ev[said.determined] == pytest.approx(expected, abs=1e-9)


def test_without_a_fit_nothing_is_shifted_and_all_are_compared() -> None:
    fit = fit_offsets(np.zeros((0, 1)), np.zeros(0), ('Li',), 'none')
    said = transfer(fit, frames([LI], [OXYGEN]))
    assert said.determined.all() and not said.shift_ev.any()
