"""Damage is where it is said to be and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiida_litraj.datasets.make import KINDS, make, spoil


def changed_lines(before: str, after: str) -> list[int]:
    pairs = zip(before.splitlines(), after.splitlines())
    return [number for number, (old, new) in enumerate(pairs, start=1) if old != new]


@pytest.mark.parametrize('kind', ['no_energy', 'wrong_force_count', 'nan', 'unknown_element'])
def test_one_line_of_one_entry(tmp_path: Path, kind: str) -> None:
    file = make('MPLiTrj', tmp_path, n=6, atoms=12) / 'MPLiTrj_train.xyz'
    before = file.read_text()
    spoiled = spoil(file.parent, kind, entry=2)
    assert (spoiled.file, spoiled.line, spoiled.number, spoiled.entry_id) == (file, 2 * 14 + 1, 2, None)
    assert changed_lines(before, file.read_text()) == [spoiled.at]
    assert spoiled.line < spoiled.at <= spoiled.line + 13
    line = file.read_text().splitlines()[spoiled.at - 1]
    if kind == 'no_energy':
        assert 'energy' not in line and 'stress' in line
    elif kind == 'nan':
        assert line.split()[-1] == 'nan' and len(line.split()) == 7
    elif kind == 'unknown_element':
        assert line.split()[0] == 'Qq' and len(line.split()) == 7
    else:
        assert len(line.split()) == 6


def test_cut_off(tmp_path: Path) -> None:
    file = make('MPLiTrj', tmp_path, n=6, atoms=12) / 'MPLiTrj_train.xyz'
    before = file.read_text()
    spoiled = spoil(file, 'truncated', entry=3)
    after = file.read_text()
    assert before.startswith(after) and len(after.splitlines()) == spoiled.at < spoiled.line + 13
    assert not after.endswith('\n')


def test_identity_twice(tmp_path: Path) -> None:
    place = make('nebBVSE122k', tmp_path, n=6, distinct=6)
    spoiled = spoil(place, 'duplicated_id', entry=2)
    lines = spoiled.file.read_text().splitlines()
    found = [line.split('edge_id=')[1].split()[0] for line in lines if 'edge_id=' in line]
    assert found[2] == found[1] == spoiled.entry_id and len(set(found)) == 5
    with pytest.raises(ValueError, match='identity'):
        spoil(make('MPLiTrj', tmp_path, n=6, atoms=12), 'duplicated_id')


def test_index_and_files_disagree(tmp_path: Path) -> None:
    place = make('nebDFT2k', tmp_path, n=3, steps=0)
    index = place / 'nebDFT2k_index.csv'
    lost = spoil(place, 'row_without_file', entry=1)
    assert index.read_text().splitlines()[lost.line - 1].split(',')[1] == lost.entry_id
    assert not (place / f'{lost.entry_id}_relaxed.xyz').exists()
    extra = spoil(place, 'file_without_row', entry=2)
    assert extra.file.exists() and extra.entry_id not in index.read_text()
    twice = spoil(place, 'duplicated_id', entry=0)
    rows = index.read_text().splitlines()
    assert rows[twice.line - 1] == rows[twice.line - 2] and len(rows) == 4


def test_index_and_split_files_disagree(tmp_path: Path) -> None:
    place = make('BVEL13k', tmp_path, n=6, distinct=3)
    index = place / 'BVEL13k_index.csv'
    lost = spoil(place, 'row_without_file', entry=1)
    assert index.read_text().splitlines()[lost.line - 1].startswith(lost.entry_id)
    assert lost.entry_id not in (place / 'BVEL13k_train.xyz').read_text()
    extra = spoil(place, 'file_without_row', entry=2)
    lines = extra.file.read_text().splitlines()
    assert f'material_id={extra.entry_id} ' in lines[extra.line] and extra.entry_id not in index.read_text()


def test_energy_can_be_taken_only_from_where_there_is_one(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='no energy'):
        spoil(make('BVEL13k', tmp_path, n=6, distinct=3), 'no_energy')


def test_unknown_damage_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=KINDS[0]):
        spoil(tmp_path, 'fire')
