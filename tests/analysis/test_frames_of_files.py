"""Configurations that ASE has read from files."""

from __future__ import annotations

from pathlib import Path

import ase.io
import numpy as np

from aiida_litraj.analysis.frames import from_ase
from aiida_litraj.contract.frames import Frames


def test_what_json_cannot_hold_is_left_out() -> None:
    """With a CIF comes a space group, an object; the configuration is kept without it."""
    crystal = ase.io.read(Path(__file__).parents[2] / 'examples' / 'structures' / 'Li2O.cif')
    assert 'spacegroup' in crystal.info
    crystal.info['origin'] = 'here'
    kept = Frames.from_bytes(from_ase([crystal]).to_bytes())
    assert kept.info[0]['origin'] == 'here'
    assert 'spacegroup' not in kept.info[0]
    np.testing.assert_array_equal(kept.positions, crystal.positions)
