"""Cutoffs below what cores want, and pressures that no crystal has, are told with value and remedy."""

from __future__ import annotations

import numpy as np

from aiida_litraj.analysis.label_warnings import cutoff_warning, pressure_warning
from aiida_litraj.contract.frames import Frames

GPA_PER_EV_ANG3 = 160.2176634


def of_pressures(*pressures: float) -> Frames:
    """Return configurations under these pressures in GPa, with shear that has no part in them."""
    stresses = [[-gpa / GPA_PER_EV_ANG3] * 3 + [9.0, -9.0, 9.0] for gpa in pressures]
    return Frames.stack([
        Frames.of_one([3], np.zeros((1, 3)), 3.0 * np.eye(3), [True] * 3, 0.0, np.zeros((1, 3)), np.array(one))
        for one in stresses
    ])  # fmt: skip


def test_cutoff_below_what_a_core_wants_is_named_with_the_remedy() -> None:
    wanted = {'Li': (340.0, 'A takes'), 'O': (340.0, 'A takes'), 'S': (600.0, 'B suggests')}
    told = cutoff_warning(250.0, wanted)
    assert told is not None
    assert told.startswith('level.cutoff_ev = 250 is less than A takes and B suggests (Li, O 340 eV; S 600 eV)')
    assert '--override level.cutoff_ev=EV' in told
    assert 'S 600 eV' in (cutoff_warning(340.0, wanted) or '') and 'Li' not in (cutoff_warning(340.0, wanted) or '')
    assert cutoff_warning(600.0, wanted) is None and cutoff_warning(1.0, {}) is None


def test_cutoff_far_below_is_said_to_spoil_energies_too() -> None:
    """The wave functions of GPAW at 60 eV, where it takes 340, are another crystal's: 0.75 eV per atom off."""
    wanted = {'Li': (340.0, 'GPAW takes by itself')}
    far, near = cutoff_warning(203.0, wanted), cutoff_warning(205.0, wanted)
    assert far is not None and 'energies are wrong too' in far and 'stresses suffer first' not in far
    assert near is not None and 'stresses suffer first' in near and 'energies' not in near


def test_pressure_of_tens_of_gpa_is_told_and_that_of_a_melt_is_not() -> None:
    assert pressure_warning(of_pressures(1.0, -19.9), 'ab') is None
    told = pressure_warning(of_pressures(3.0, -159.2, 25.0), 'abc')
    assert told is not None and 'the pressure of b is -159 GPa, and 1 more beyond 20 GPa' in told
    assert '--check-convergence' in told
    alone = pressure_warning(of_pressures(25.0), 'a')
    assert alone is not None and 'of a is 25 GPa:' in alone
    frames = of_pressures(1.0)
    assert pressure_warning(frames.__class__(**{**vars(frames), 'stresses': None}), 'a') is None
