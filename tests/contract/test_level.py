"""Levels of theory: meshes of cells, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from aiida_litraj.contract.level import Level

FIELDS: dict[str, Any] = {
    'functional': 'PBE', 'cutoff_ev': 520.0, 'kpoint_mesh': None, 'kpoint_spacing_per_ang': 0.4,
    'smearing': 'gaussian', 'smearing_width_ev': 0.1, 'spin_polarized': False, 'energy_convergence_ev': 1e-5,
    'density_convergence': 1e-4, 'force_convergence_ev_per_ang': None, 'max_scf_steps': 100, 'stress': True,
}  # fmt: skip
FCC = np.array([[0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]])


def level(**changes: Any) -> Level:
    return Level.model_validate({**FIELDS, **changes})


def test_spacing_holds_along_every_vector_and_no_point_is_too_many() -> None:
    """The factor 2 pi counts; a skewed cell goes by its reciprocal vectors, not by its edges."""
    rng = np.random.default_rng(1)
    for _ in range(50):
        cell = np.diag(rng.uniform(2.0, 12.0, size=3)) + rng.uniform(-1.0, 1.0, size=(3, 3))
        mesh = np.array(level().mesh(cell))
        reciprocal = 2.0 * np.pi * np.linalg.inv(cell).T
        lengths = np.linalg.norm(reciprocal, axis=1)
        assert (lengths / mesh <= 0.4 * (1.0 + 1e-6)).all()
        assert all(n == 1 or length / (n - 1) > 0.4 for n, length in zip(mesh, lengths, strict=True))


def test_meshes_of_known_cells() -> None:
    # b of a cubic cell of 5.708 Ang is 1.1008 per Ang; of its primitive cell sqrt(3) times that.
    assert level().mesh(5.708 * np.eye(3)) == (3, 3, 3)
    assert level().mesh(5.708 * FCC) == (5, 5, 5)
    assert level(kpoint_spacing_per_ang=1.2).mesh(5.708 * np.eye(3)) == (1, 1, 1)


def test_cell_a_hair_longer_has_the_same_mesh() -> None:
    spacing = 2.0 * np.pi / 8.0
    for edge in (4.0 - 1e-12, 4.0, 4.0 + 1e-12):
        assert level(kpoint_spacing_per_ang=spacing).mesh(edge * np.eye(3)) == (2, 2, 2)


def test_mesh_is_that_of_the_level_if_it_has_one() -> None:
    assert level(kpoint_mesh=[1, 2, 3], kpoint_spacing_per_ang=None).mesh(np.eye(3)) == (1, 2, 3)


def test_cell_without_volume_has_no_mesh() -> None:
    with pytest.raises(ValueError, match='no volume'):
        level().mesh(np.diag([4.0, 4.0, 0.0]))


@pytest.mark.parametrize(
    ('changes', 'words'),
    [
        ({'kpoint_mesh': [2, 2, 2]}, 'both are given'),
        ({'kpoint_spacing_per_ang': None}, 'none is given'),
        ({'smearing': 'fixed'}, 'fixed occupations have the width 0'),
        ({'smearing_width_ev': 0.0}, 'smearing = gaussian with smearing_width_ev = 0'),
        ({'functional': 'SCAN'}, 'functional'),
        ({'spin_polarized': True}, 'spin_polarized'),
        ({'cutoff': 300.0}, 'cutoff'),
    ],
)
def test_level_that_contradicts_itself_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        level(**changes)


def test_level_survives_json() -> None:
    one = level(kpoint_mesh=(2, 2, 2), kpoint_spacing_per_ang=None)
    assert Level.model_validate_json(one.model_dump_json()) == one
