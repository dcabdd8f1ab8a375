"""Damage to a made set costs the entry that was damaged, and is told with its file and line."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from aiida_litraj.datasets.card import load_card
from aiida_litraj.datasets.entry import Entry, Problem
from aiida_litraj.datasets.importers import importer_of
from aiida_litraj.datasets.make import KINDS, make, spoil
from aiida_litraj.datasets.source import Source

FEW = {'nebDFT2k': 3, 'MPLiTrj_raw': 2, 'MPLiTrj': 20, 'MPLiTrj_subsample': 20}
WITHOUT_INDEX = tuple(kind for kind in KINDS if kind not in {'duplicated_id', 'row_without_file', 'file_without_row'})
WITHOUT_ENERGY = tuple(kind for kind in KINDS if kind != 'no_energy')
DAMAGE = {
    'nebDFT2k': KINDS,
    'MPLiTrj': WITHOUT_INDEX,
    'MPLiTrj_subsample': WITHOUT_INDEX,
    'BVEL13k': WITHOUT_ENERGY,
    'nebBVSE122k': WITHOUT_ENERGY,
    'LiPS-25': WITHOUT_INDEX,
}
"""What can be broken; the files of MPLiTrj_raw and OBELiX are damaged by hand in test_problems.py."""
EXTRA = {'duplicated_id', 'file_without_row', 'row_without_file'}
"""Damage that adds something or takes a file away, which need not cost an entry of its own."""


def read(place: Path, name: str) -> tuple[list[Entry], list[Problem]]:
    card = load_card(name)
    importer = importer_of(card)
    entries: list[Entry] = []
    with Source.open(place) as source:
        parts, problems = importer.parts(source, card)
        for part in parts:
            for chunk in importer.chunks(source, card, part, size=7):
                parsed = importer.parse(card, chunk)
                entries += parsed.entries
                problems += parsed.problems
    return entries, problems


@pytest.fixture(scope='module')
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, list[Entry]]]:
    """Each set, made and read once."""

    @cache
    def of(name: str) -> tuple[Path, list[Entry]]:
        place = make(name, tmp_path_factory.mktemp('made'), n=FEW.get(name, 8))
        entries, problems = read(place, name)
        assert problems == []
        return place, entries

    return of


@pytest.mark.parametrize(('name', 'kind'), [(name, kind) for name, kinds in DAMAGE.items() for kind in kinds])
def test_damage(name: str, kind: str, made: Any, tmp_path: Path) -> None:
    original, whole = made(name)
    place = tmp_path / original.name
    shutil.copytree(original, place) if original.is_dir() else shutil.copy(original, place)
    damage = spoil(place, kind)

    entries, problems = read(place, name)

    assert problems, 'went unnoticed'
    lost = {entry.id for entry in whole} - {entry.id for entry in entries}
    if kind == 'file_without_row':
        assert damage.entry_id in {one.entry_id for one in problems}
    else:
        places = {(Path(one.file).name, one.line) for one in problems}
        assert places & {(damage.file.name, damage.line), (damage.file.name, damage.at)}
    # What comes after the end of a truncated file is lost with it.
    assert len(lost) <= 1 or kind == 'truncated'
    assert lost or kind in EXTRA
    kept = {entry.id: entry.frames.to_bytes() for entry in entries}
    assert all(kept[entry.id] == entry.frames.to_bytes() for entry in whole if entry.id not in lost)
