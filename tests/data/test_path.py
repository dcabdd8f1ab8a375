"""Paths as nodes: what goes in comes out, the hop stays a vector, other plugins can read it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from aiida.common.exceptions import ValidationError
from aiida.orm import QueryBuilder, StructureData, load_node
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms, FixedLine

from aiida_litraj.data import PathData

pytestmark = pytest.mark.usefixtures('aiida_profile')
CELL = np.array([[4.0, 0.0, 0.0], [1.0, 5.0, 0.0], [0.0, 0.0, 6.0]])


def images(n: int = 5, wrap: bool = False) -> list[Atoms]:
    """Li crosses the boundary of the cell along x beside a fixed O."""
    made = []
    for step in np.linspace(0.0, 1.0, n):
        atoms = Atoms('LiO', positions=[[3.2 + 1.6 * step, 1.0, 1.0], [2.0, 2.0, 3.0]], cell=CELL, pbc=True)
        atoms.set_constraint(FixAtoms([1]))
        if wrap:
            atoms.wrap()
        atoms.calc = SinglePointCalculator(atoms, energy=float(step), forces=np.full((2, 3), step))
        made.append(atoms)
    return made


def test_images_survive_the_way_through_the_database() -> None:
    labels = {'mechanism': 'vacancy', 'offset': [0, 0, 1]}
    stored = PathData.from_images(images(), mobile=0, labels=labels).store()
    path = load_node(stored.pk)
    assert (path.n_images, path.natoms, path.mobile, path.labels) == (5, 2, 0, labels)
    np.testing.assert_array_equal(path.numbers, [3, 8])
    np.testing.assert_array_equal(path.energies, np.linspace(0.0, 1.0, 5))
    for before, after in zip(images(), path.to_images()):
        np.testing.assert_array_equal(after.positions, before.positions)
        np.testing.assert_array_equal(after.cell, before.cell)
        assert after.get_potential_energy() == before.get_potential_energy()
        np.testing.assert_array_equal(
            after.get_forces(apply_constraint=False), before.get_forces(apply_constraint=False)
        )
        assert after.constraints[0].get_indices().tolist() == [1]


def test_wrapped_images_are_made_continuous_once() -> None:
    path = PathData.from_images(images(wrap=True), mobile=0)
    assert path.hop_displacement is not None
    np.testing.assert_allclose(path.hop_displacement, [1.6, 0.0, 0.0], atol=1e-12)
    np.testing.assert_allclose(path.get_positions()[:, 1], path.get_positions()[:1, 1].repeat(5, axis=0), atol=1e-12)


def test_hop_longer_than_half_the_cell_keeps_its_vector_from_arrays() -> None:
    positions = np.zeros((3, 1, 3))
    positions[:, 0, 0] = [0.0, 1.5, 3.0]
    path = PathData.from_arrays(['Li'], positions, CELL, [True] * 3, mobile=0).store()
    np.testing.assert_array_equal(load_node(path.pk).hop_displacement, [3.0, 0.0, 0.0])


def test_other_plugins_read_it_as_a_trajectory() -> None:
    path = PathData.from_images(images(), mobile=0).store()
    structure = path.get_step_structure(-1)
    assert isinstance(structure, StructureData)
    assert structure.get_formula() == 'LiO'
    np.testing.assert_allclose(structure.sites[0].position, [4.8, 1.0, 1.0])
    assert path.get_stepids().tolist() == [0, 1, 2, 3, 4]
    assert tuple(path.pbc) == (True, True, True)


def test_same_path_has_the_same_hash() -> None:
    first, second = (PathData.from_images(images(), mobile=0).store() for _ in range(2))
    moved = PathData.from_images(images(), mobile=1).store()
    assert first.base.caching.get_hash() == second.base.caching.get_hash()
    assert first.base.caching.get_hash() != moved.base.caching.get_hash()


def test_paths_are_found_by_their_labels() -> None:
    path = PathData.from_images(images(), mobile=0, labels={'source': 4711}).store()
    query = QueryBuilder().append(PathData, filters={'attributes.labels.source': 4711}, project='id')
    assert query.all(flat=True) == [path.pk]
    query = QueryBuilder().append(PathData, filters=PathData.fields.labels.has_key('source'), project='id')
    assert path.pk in query.all(flat=True)


def broken(change: str) -> list[Atoms]:
    made = images()
    if change == 'composition':
        made[2].symbols[1] = 'S'
    elif change == 'order':
        made[2] = made[2][[1, 0]]
    elif change == 'cell':
        made[2].cell[0, 0] = 4.1
    elif change == 'constraint':
        made[0].set_constraint(FixedLine(0, [1, 0, 0]))
    elif change == 'finite':
        made[2].positions[0, 0] = np.nan
    return made


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ('composition', 'image 0 and image 2 differ in composition: O 1 and 0, S 0 and 1'),
        ('order', 'image 0 and image 2 have their atoms in different order: number 0 is Li in the one and O'),
        ('cell', 'image 2 has another cell'),
        ('constraint', 'FixedLine'),
        ('finite', 'positions of the path holds numbers that are not finite'),
    ],
)
def test_images_that_do_not_belong_together_are_refused(change: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PathData.from_images(broken(change))


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'mobile': 2}, 'mobile = 2: the path has 2 atoms'),
        ({'energies': [0.0, 1.0]}, r'energies of the path has shape \(2,\), not \(3,\)'),
        ({'forces': np.zeros((3, 1, 3))}, r'forces of the path has shape \(3, 1, 3\)'),
        ({'fixed': [True]}, 'fixed has 1 entries for 2 atoms'),
        ({'stresses': np.zeros(3)}, 'a path has no array stresses'),
        ({'curvatures': [-1.0, 2.0], 'modes': np.zeros((1, 2, 3))}, r'modes of the path has shape \(1, 2, 3\)'),
    ],
)
def test_arrays_that_do_not_fit_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PathData.from_arrays(['Li', 'O'], np.zeros((3, 2, 3)), CELL, [True] * 3, **arguments)


def test_a_trajectory_changed_behind_its_back_does_not_store() -> None:
    path = PathData.from_images(images(), mobile=0)
    path.set_array('energies', np.zeros(2))
    with pytest.raises(ValidationError, match='energies'):
        path.store()
    with pytest.raises(ValidationError):
        PathData().store()
