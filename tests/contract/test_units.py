"""Constants beside those of ASE, and the heights of cells that are known by hand."""

from __future__ import annotations

import ase.units
import numpy as np
import pytest

from aiida_litraj.contract import units
from aiida_litraj.contract.cells import heights

ANOTHER_YEAR = 2e-6
"""Relative: ASE's constants are those of 2014."""


def test_constants_are_those_of_ase() -> None:
    assert pytest.approx(ase.units.kB, rel=ANOTHER_YEAR) == units.BOLTZMANN_EV_PER_K
    assert pytest.approx(ase.units.GPa, rel=ANOTHER_YEAR) == units.EV_PER_ANG3_OF_GPA
    assert pytest.approx(ase.units._amu, rel=ANOTHER_YEAR) == units.ATOMIC_MASS_KG
    assert units.FEMTOSECONDS_OF_PS * ase.units.fs == pytest.approx(1e-12 * ase.units.second, rel=1e-12)


def test_heights_of_a_sheared_cell_and_of_a_slab() -> None:
    sheared = np.array([[3.0, 0.0, 0.0], [4.0, 4.0, 0.0], [0.0, 0.0, 5.0]])
    np.testing.assert_allclose(heights(sheared), [3.0 / np.sqrt(2.0), 4.0, 5.0], rtol=1e-14)
    # of a cell that lacks a vector, the faces along that vector have no area
    np.testing.assert_array_equal(heights(np.diag([2.0, 3.0, 0.0])), [np.inf, np.inf, 0.0])
