"""Which ends count as the same configuration."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from aiida_litraj.contract.arrays import Array
from aiida_litraj.engine.core.endpoints import canonical, carry_over

BELOW_RESOLUTION, ABOVE_RESOLUTION = 1e-7, 1e-4
"""Ang"""


def of(hop: Any, image: int = 0) -> tuple[str, Array]:
    return canonical(hop.numbers, hop.positions[image], hop.cell, hop.pbc, hop.fixed)


@pytest.fixture
def hop(vacancy_hop: Any) -> Any:
    """Rattled, so that no two atoms are alike, with two elements."""
    made = vacancy_hop(noise=0.1)
    return made.replace(numbers=np.where(np.arange(len(made.numbers)) % 3, 3, 8))


def test_order_of_the_atoms_does_not_matter(hop: Any) -> None:
    key, order = of(hop)
    for seed in range(5):
        shuffled = hop.permuted(np.random.default_rng(seed).permutation(len(hop.numbers)))
        other, other_order = of(shuffled)
        assert other == key
        np.testing.assert_array_equal(carry_over(hop.positions[0], order, other_order), shuffled.positions[0])


def test_periodic_images_do_not_matter(hop: Any) -> None:
    """Whole lattice vectors, atom by atom, along periodic directions only."""
    images = np.random.default_rng(0).integers(-3, 4, size=(len(hop.numbers), 3))
    assert of(hop.translated(images @ hop.cell))[0] == of(hop)[0]
    slab = hop.replace(pbc=np.array([True, True, False]))
    flat = images * slab.pbc
    assert of(slab.translated(flat @ hop.cell))[0] == of(slab)[0]
    assert of(slab.translated(images @ hop.cell))[0] != of(slab)[0]


def test_atoms_on_the_face_of_the_cell_are_on_one_side(vacancy_hop: Any) -> None:
    """The sites of a crystal lie at fractional coordinate 0: round-off must not send them to the other face."""
    hop = vacancy_hop()
    noise = BELOW_RESOLUTION * np.random.default_rng(0).choice([-1.0, 1.0], size=(len(hop.numbers), 3))
    assert of(hop.translated(noise))[0] == of(hop)[0]


def test_anything_else_matters(hop: Any) -> None:
    """Position, element, cell, periodicity, which atoms are frozen, a rigid shift of all, the other end of the hop."""
    key = of(hop)[0]
    moved = np.zeros((len(hop.numbers), 3))
    moved[4, 1] = ABOVE_RESOLUTION
    numbers = hop.numbers.copy()
    numbers[[0, 1]] = numbers[[1, 0]]
    fixed = hop.fixed.copy()
    fixed[2] = True
    others = [
        hop.translated(moved),
        hop.replace(numbers=numbers),
        hop.replace(cell=hop.cell * (1.0 + ABOVE_RESOLUTION)),
        hop.replace(pbc=np.array([True, True, False])),
        hop.replace(fixed=fixed),
        hop.replace(fixed=np.ones_like(fixed)),
        hop.translated(np.array([0.1, 0.0, 0.0])),
        hop.reversed(),
    ]
    assert len({key, *(of(other)[0] for other in others)}) == 9


def test_configurations_without_a_lattice(surface_hop: Any) -> None:
    hop = surface_hop((-1.0, 0.0, 0.0), (1.0, 0.0, 0.0))
    assert of(hop)[0] == of(hop.translated(np.full(3, BELOW_RESOLUTION)))[0]
    assert of(hop)[0] != of(hop, -1)[0]
    assert of(hop)[0] != of(hop.translated(np.array([1.0, 0.0, 0.0])))[0]  # a whole cell, but there is no lattice
