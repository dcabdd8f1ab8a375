"""Formulas and hops as a chemist writes them."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any

import pytest

from aiida_litraj.report.captions import barrier_caption, formula, hop_text, plain_formula, plan_text

LABELS = {'source': 0, 'target': 6, 'offset': [0, 0, 0], 'mobile_element': 'Li'}


@pytest.mark.parametrize(
    ('symbols', 'expected'),
    [
        (['Li'] * 12 + ['P'] * 4 + ['O'] * 16, 'Li₃PO₄'),
        (['S'] + ['Li'] * 2, 'Li₂S'),
        (['Cl'] * 4 + ['S'] * 20 + ['P'] * 4 + ['Li'] * 24, 'Li₆PS₅Cl'),
        (['Zr'] * 2 + ['Li'] * 7 + ['La'] * 3 + ['O'] * 12, 'La₃Li₇Zr₂O₁₂'),
    ],
)
def test_formula(symbols: Sequence[str], expected: str) -> None:
    assert formula(symbols) == expected
    assert plain_formula(symbols) == unicodedata.normalize('NFKC', expected)


@pytest.mark.parametrize(
    ('labels', 'expected'),
    [
        (LABELS, 'site 0 → 6'),
        ({'source': 0, 'target': 11, 'offset': [0, 0, 1]}, 'site 0 → 11 in cell (0 0 1)'),
        ({'source': 2, 'target': [0.5, 0.25, 0.0], 'offset': [0, 0, 0]}, 'site 2 → (0.5, 0.25, 0)'),
        ({'mobile_element': 'Li'}, ''),
    ],
)
def test_hop(labels: dict[str, Any], expected: str) -> None:
    assert hop_text(labels) == expected


def test_plan_says_what_will_be_computed() -> None:
    labels = {**LABELS, 'offset': [0, 1, 0], 'repetition': [2, 2, 1]}
    expected = 'Li site 0 → 6 in cell (0 1 0), 3.05 Å, supercell 2x2x1, 127 atoms, 7 images, protocol tight'
    assert plan_text(labels, (0.0, 3.054, 0.0), 127, 7, 'tight') == expected
    between = plan_text({'mobile_element': 'Na'}, (2.0, 0.0, 0.0), 64, 5, 'balanced')
    assert between == 'Na hop between two structures, 2.00 Å, 64 atoms, 5 images, protocol balanced'


def test_caption_warns_of_what_is_not_converged() -> None:
    barrier = {'natoms': 31, 'n_images': 5, 'converged': False, 'fmax_ev_per_ang': 0.214}
    caption = barrier_caption(['Li', 'Li', 'S'], LABELS, ('sevennet', '7net-0'), barrier)
    assert caption.title == 'Li hop in Li₂S'
    assert caption.details == 'site 0 → 6 · SevenNet 7net-0 · 31 atoms · 5 images'
    assert caption.warning == 'not converged: residual force 0.21 eV/Å'
    assert barrier_caption(['Li'], LABELS, ('toy', 'morse'), {**barrier, 'converged': True}).warning == ''
