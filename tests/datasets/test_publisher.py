"""The publisher's own loader reads what we write, and returns the same numbers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from litraj import data as publisher

from aiida_litraj.analysis.frames import from_ase
from aiida_litraj.datasets.card import load_card
from aiida_litraj.datasets.importers import importer_of

from . import tiny

NAMES = ('nebDFT2k', 'MPLiTrj', 'MPLiTrj_subsample', 'BVEL13k', 'nebBVSE122k')


def flat(loaded: Any) -> Iterator[Atoms]:
    """All configurations in what the loader returns."""
    if isinstance(loaded, Atoms):
        yield loaded
    elif isinstance(loaded, list | tuple):
        for one in loaded:
            yield from flat(one)
    else:
        for name in ('trajectory_init', 'trajectory_relaxed', 'centroid'):
            if name in loaded:
                yield from flat(list(loaded[name]))


@pytest.mark.parametrize('name', NAMES)
def test_the_publishers_loader_returns_the_same_numbers(name: str, tmp_path: Path) -> None:
    original = tiny.MAKERS[name](tmp_path)
    entries, _ = tiny.read_all(original, name)
    card = load_card(name)
    importer_of(card).write(card, entries, tmp_path / 'ours')
    theirs = publisher.load_data(name, str(tmp_path))
    ours = publisher.load_data(name, str(tmp_path / 'ours'))
    expected, found = list(flat(theirs)), list(flat(ours))
    assert len(found) == len(expected) > 0
    for one, other in zip(found, expected):
        assert from_ase([one]).to_bytes() == from_ase([other]).to_bytes()
    tables = [table for table in (theirs if isinstance(theirs, tuple) else (theirs,)) if hasattr(table, 'columns')]
    again = [table for table in (ours if isinstance(ours, tuple) else (ours,)) if hasattr(table, 'columns')]
    for before, after in zip(tables, again, strict=True):
        plain = [
            column for column in before.columns if column not in {'trajectory_init', 'trajectory_relaxed', 'centroid'}
        ]
        assert before[plain].equals(after[plain])


def test_ours_and_the_publishers_loader_agree_on_a_path(tmp_path: Path) -> None:
    folder = tiny.nebdft2k(tmp_path)
    entries, _ = tiny.read_all(folder, 'nebDFT2k')
    table = publisher.load_data('nebDFT2k', str(tmp_path))
    for entry, (_, row) in zip(entries, table.iterrows()):
        assert entry.id == row.edge_id and entry.properties['em_dft'] == row.em_dft
        assert entry.initial is not None and entry.centroid is not None and entry.frames.forces is not None
        assert entry.frames.to_bytes() == from_ase(row.trajectory_relaxed).to_bytes()
        assert entry.initial.to_bytes() == from_ase(row.trajectory_init).to_bytes()
        assert entry.centroid.to_bytes() == from_ase([row.centroid]).to_bytes()
        assert np.array_equal(entry.frames.positions.reshape(5, 8, 3)[2], row.trajectory_relaxed[2].positions)
