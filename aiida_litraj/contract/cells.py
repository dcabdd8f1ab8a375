"""Geometry of cells, of which both sides of the contract must think alike."""

from __future__ import annotations

import numpy as np

from .arrays import Array


def heights(cell: Array) -> Array:
    """Return the distances (3,) in Ang between opposite faces of a cell (3, 3); infinite where a face has no area."""
    faces = np.linalg.norm(np.cross(np.roll(cell, -1, axis=0), np.roll(cell, -2, axis=0)), axis=1)
    result: Array = np.divide(abs(np.linalg.det(cell)), faces, out=np.full(3, np.inf), where=faces > 0.0)
    return result
