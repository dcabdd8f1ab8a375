"""Stages of a melt-quench put together what the parts find."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase.io import read

from aiida_litraj.analysis.melt_quench import analyse_stage, density

CRYSTALS = Path(__file__).parents[2] / 'aiida_litraj' / 'datasets' / 'make' / 'crystals'


def test_density_by_hand() -> None:
    """Li7P3S11: 494.2 g/mol, two formulas in 829.3 Ang^3."""
    symbols = ['Li'] * 14 + ['P'] * 6 + ['S'] * 22
    np.testing.assert_allclose(density(symbols, np.array([829.3, 1658.6])), [1.979, 0.9895], rtol=1e-3)


def test_stage_of_a_crystal() -> None:
    crystal = read(CRYSTALS / 'Li3PS4_gamma.cif')
    cell, symbols = np.asarray(crystal.cell), list(crystal.symbols)
    stage = analyse_stage('solid', symbols, np.array([5.0, 6.0]), [crystal.positions] * 2, [cell] * 2, crystal.pbc)
    assert (stage.start_ps, stage.stop_ps, stage.n_frames) == (5.0, 6.0, 2)
    assert stage.coordination == {'Li-S': {4: 1.0}, 'P-S': {4: 1.0}}
    assert stage.motifs is not None and stage.motifs.shares()['PS4'] == 1.0
    assert stage.distributions['P', 'S'].coordination(2.8) == pytest.approx(4.0)


def test_stage_without_phosphorus_has_no_anions() -> None:
    crystal = read(CRYSTALS / 'Li2S.cif')
    cell = np.asarray(crystal.cell)
    stage = analyse_stage('solid', list(crystal.symbols), np.zeros(1), [crystal.positions], [cell], crystal.pbc)
    assert stage.motifs is None
    assert stage.coordination == {'Li-S': {4: 1.0}}
    with pytest.raises(ValueError, match='stage melt: 0 frames and 1 times'):
        analyse_stage('melt', ['Li'], np.zeros(1), [], [], crystal.pbc)
