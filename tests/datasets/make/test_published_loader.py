"""The publisher's own loader reads the made sets: layout, names and columns are those it knows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from litraj import data as litraj

from aiida_litraj.datasets.make import make

MIDDLE_TOLERANCE_ANG = 2e-8  # two roundings to the last decimal


def load(folder: Path, name: str, n: int, **options: Any) -> Any:
    make(name, folder, n=n, **options)
    return litraj.load_data(name, str(folder))


def test_hops(tmp_path: Path) -> None:
    index = load(tmp_path, 'nebDFT2k', 5, distinct=4, steps=2)
    assert list(index.columns[:7]) == [
        'material_id', 'edge_id', 'chemsys', 'has_specific_TM', 'em_bvse', 'em_dft', '_split'
    ]  # fmt: skip
    assert len(index) == 5 and index.edge_id.is_unique
    for row in index.itertuples():
        assert row.edge_id.startswith(f'{row.material_id}_') and row.edge_id.count('_') == 5
        energies = [image.get_potential_energy() for image in row.trajectory_relaxed]
        assert max(energies) - min(energies) == row.em_dft == row.centroid.info['em'] > 0
        assert row.centroid.info['edge_id'] == row.edge_id
        first, last = row.trajectory_init[0], row.trajectory_init[-1]
        assert len(row.trajectory_init) == len(row.trajectory_relaxed) == 7
        assert first.symbols[0] == 'Li'
        assert not first.arrays['freezed'][0] and first.arrays['freezed'][1:].all()
        assert first.calc is None and 'freezed' not in row.trajectory_relaxed[0].arrays
        assert_middle(row.centroid, first, last)
        assert len(row.centroid) == len(first) + 2  # the ion at the target, and X


def assert_middle(centroid: Atoms, first: Atoms, last: Atoms) -> None:
    """The pseudo-atom is the last one and in the middle of the moving ion's way; there is an ion at each end."""
    assert list(centroid.numbers).count(0) == 1 and centroid.numbers[-1] == 0
    middle = 0.5 * (first.positions[0] + last.positions[0])
    assert np.abs(centroid.positions[-1] - middle).max() < MIDDLE_TOLERANCE_ANG
    assert np.abs(first.positions[1:] - last.positions[1:]).max() == 0.0
    for end in (first, last):
        distances = centroid.get_distances(-1, range(len(centroid) - 1), mic=True)
        assert np.abs(distances - np.linalg.norm(end.positions[0] - middle)).min() < 1e-6


@pytest.mark.parametrize('name', ['MPLiTrj', 'MPLiTrj_subsample'])
def test_configurations(tmp_path: Path, name: str) -> None:
    splits = load(tmp_path, name, 24, distinct=12)
    assert [len(split) for split in splits] == [20, 2, 2]
    for atoms in (atoms for split in splits for atoms in split):
        assert np.isfinite(atoms.get_potential_energy())
        assert atoms.get_forces().shape == (len(atoms), 3)
        assert atoms.get_stress().shape == (6,)


def test_percolation(tmp_path: Path) -> None:
    *splits, index = load(tmp_path, 'BVEL13k', 6, distinct=4)
    entries = [atoms for split in splits for atoms in split]
    assert len(entries) == len(index) == 6
    rows = index.set_index('material_id')
    for atoms in entries:
        row = rows.loc[atoms.info['material_id']]
        assert [atoms.info[key] for key in ('E_1D', 'E_2D', 'E_3D')] == [row.E_1D, row.E_2D, row.E_3D]
        assert 0 < row.E_1D <= row.E_2D <= row.E_3D


def test_centroids(tmp_path: Path) -> None:
    *splits, index = load(tmp_path, 'nebBVSE122k', 26, distinct=16)
    assert [len(split) for split in splits] == [list(index._split).count(name) for name in ('train', 'val', 'test')]
    for split in splits:
        for atoms in split:
            assert atoms.symbols[-1] == 'X'
            assert atoms.info['edge_id'].startswith(atoms.info['material_id'])
            assert index.set_index('edge_id').loc[atoms.info['edge_id']].em == atoms.info['em']


def test_spelling_of_the_folder_in_the_documentation(tmp_path: Path) -> None:
    place = make('MPLiTrj', tmp_path, n=3, atoms=12, distinct=3, spelling='MPLiTraj')
    assert sorted(path.name for path in place.iterdir()) == [
        'MPLiTrj_test.xyz', 'MPLiTrj_train.xyz', 'MPLiTrj_val.xyz'
    ]  # fmt: skip
    assert place.name == 'MPLiTraj'
