"""Errors of barriers and paths are those that the publisher's own code computes."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from litraj import metrics as publisher

from aiida_litraj.analysis.path_error import litraj_path_error, path_error
from aiida_litraj.analysis.regression import barrier_errors
from aiida_litraj.datasets.make.crystals import Material, crystal
from aiida_litraj.datasets.make.hops import lay_out, list_hops, relax

EQUAL = 1e-10
NUMBERS = {'mae': 'mae_ev', 'rmse': 'rmse_ev', 'Rp': 'pearson_r', 'slope': 'slope', 'R2': 'r2'}
SKEWED = np.array([[4.0, 0.0, 0.0], [3.6, 1.0, 0.0], [0.0, 0.0, 9.0]])
"""Second less first edge is 1.08 Ang long, shorter than each edge."""


def images(positions: np.ndarray, cell: np.ndarray) -> list[Atoms]:
    return [Atoms(f'Li{len(one)}', positions=one, cell=cell, pbc=False) for one in positions]


def triclinic(rng: np.random.Generator) -> np.ndarray:
    """Edges of 5 to 12 Ang with angles down to some 40 degrees."""
    return np.diag(rng.uniform(5.0, 12.0, 3)) + np.tril(rng.uniform(-4.0, 4.0, (3, 3)), -1)


@pytest.mark.parametrize('seed', range(5))
def test_errors_of_barriers(seed: int) -> None:
    rng = np.random.default_rng(seed)
    reference = rng.gamma(2.0, 0.3, 40)
    predicted = (0.8, 1.3, -0.2, 1.0, 0.0)[seed] * reference + rng.normal(0.1, 0.3, 40)
    theirs = publisher.get_metrics(reference, predicted)
    ours = barrier_errors(reference, predicted, [str(one) for one in range(40)])
    for name, own in NUMBERS.items():
        assert getattr(ours, own).value == pytest.approx(float(theirs[name]), abs=EQUAL), name


@pytest.mark.parametrize('seed', range(8))
def test_path_error_in_triclinic_cells(seed: int) -> None:
    """Atoms anywhere, many of them more than half a cell apart, and in other periodic images."""
    rng = np.random.default_rng(seed)
    cell = triclinic(rng)
    reference = rng.uniform(0.0, 1.0, (3, 7, 3)) @ cell
    own = reference + rng.normal(0.0, (0.2, 4.0)[seed % 2], (3, 7, 3)) + rng.integers(-2, 3, (3, 7, 3)) @ cell
    theirs = publisher.PA_MAE(images(reference, cell), images(own, cell))
    assert litraj_path_error(own, reference, cell) == pytest.approx(theirs, abs=EQUAL)
    assert path_error(own, reference, cell, True) == pytest.approx(theirs, abs=EQUAL)


def test_path_error_uses_the_cell_of_the_reference_image_by_image() -> None:
    rng = np.random.default_rng(3)
    cells = np.array([triclinic(rng) for _ in range(3)])
    reference, own = rng.uniform(0.0, 9.0, (2, 3, 4, 3))
    theirs = publisher.PA_MAE(
        [images(one[None], cell)[0] for one, cell in zip(reference, cells)], images(own, np.eye(3))
    )
    assert litraj_path_error(own, reference, cells) == pytest.approx(theirs, abs=EQUAL)


def test_where_the_publishers_misses_the_nearest_image_it_is_followed() -> None:
    """In a skewed cell theirs is not the shortest way for some atoms, whichever others are in the path."""
    rng = np.random.default_rng(0)
    reference = rng.uniform(0.0, 9.0, (4, 60, 3))
    own = reference + rng.normal(0.0, 1.5, (4, 60, 3))
    theirs = publisher.PA_MAE(images(reference, SKEWED), images(own, SKEWED))
    assert litraj_path_error(own, reference, SKEWED) == pytest.approx(theirs, abs=EQUAL)
    assert path_error(own, reference, SKEWED, True) < theirs - 1e-4


@pytest.mark.parametrize('name', ['Li2P2S6', 'Li7P3S11', '4kt', '0iv'])
def test_path_error_and_barriers_of_real_crystals(name: str) -> None:
    """Hops of a triclinic, a monoclinic and a hexagonal crystal: the straight path beside one that was relaxed."""
    material = Material('mp-1', crystal(name))
    hop = lay_out(material, list_hops(material.atoms, 1)[0])
    band = relax(hop, steps=2).relaxed
    assert not np.allclose(np.asarray(band[0].cell), np.diag(band[0].cell.lengths()))
    own, reference = (np.stack([image.positions for image in one]) for one in (hop.images, band))
    theirs = publisher.PA_MAE(band, hop.images)
    assert theirs > 0.001
    assert litraj_path_error(own, reference, np.asarray(band[0].cell)) == pytest.approx(theirs, abs=EQUAL)


def test_paths_that_do_not_match_are_refused() -> None:
    """The publisher's leaves out the images that one of them lacks, and divides by all of them."""
    with pytest.raises(ValueError, match='2 images of 5 atoms and 3 images of 5 atoms'):
        litraj_path_error(np.zeros((2, 5, 3)), np.zeros((3, 5, 3)), np.eye(3))
