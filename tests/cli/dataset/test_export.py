"""A data set or a part of it as files to train on, as published, and as an archive."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase.io import read

from tests.cli.dataset.conftest import N_TRAIN, Call
from tests.fixtures.sets import entry_frames


@pytest.mark.parametrize(
    ('kind', 'energy', 'forces'),
    [('extxyz-mace', 'REF_energy', 'REF_forces'), ('extxyz-sevennet', 'energy', 'forces')],
)
def test_export_for_training(
    imported: Any, ask: Callable[..., Any], tmp_path: Path, kind: str, energy: str, forces: str
) -> None:
    path = tmp_path / 'train.xyz'
    done = ask('export', 'own/train', '--format', kind, '-o', path)
    assert done['entries'] == done['configurations'] == N_TRAIN
    first = path.read_text().splitlines()[1]
    assert f'{energy}=' in first and f':{forces}:R:3' in first
    for number, atoms in enumerate(read(path, ':')):
        expected = entry_frames(number)
        ours = atoms.arrays[forces] if kind == 'extxyz-mace' else atoms.get_forces()
        np.testing.assert_array_equal(ours, np.round(expected.forces, 8))
        assert (atoms.info[energy] if kind == 'extxyz-mace' else atoms.get_potential_energy()) == expected.energies[0]


def test_export_as_published_reads_back_the_same(
    imported: Any, ask: Callable[..., Any], folder: Path, tmp_path: Path
) -> None:
    made = Path(ask('export', 'own', '-o', tmp_path)['path'])
    for name in ('own_train.xyz', 'own_test.xyz'):
        good = read(folder / name, ':')[:N_TRAIN]
        for there, back in zip(good, read(made / name, ':'), strict=True):
            np.testing.assert_array_equal(there.positions, back.positions)
            assert there.get_potential_energy() == back.get_potential_energy()
            assert there.info == back.info


def test_a_selection_is_exported_with_the_names_of_its_entries(
    imported: Any, ask: Callable[..., Any], tmp_path: Path
) -> None:
    made = ask('select', 'own', '-n', 6, '--strategy', 'stratified', '--part', 'train=0.5', '--part', 'val=0.5')
    assert made['selected'] == 6 and made['candidates'] == 30
    part = made['parts']['train']
    done = ask('export', part['pk'], '--format', 'extxyz-mace', '-o', tmp_path / 'part.xyz')
    assert done['configurations'] == part['frames']
    assert [atoms.info['entry_id'] for atoms in read(tmp_path / 'part.xyz', ':')] == part['ids']


def test_archive_holds_where_everything_came_from(imported: Any, ask: Callable[..., Any], tmp_path: Path) -> None:
    from aiida.tools.archive.implementations.sqlite_zip.main import ArchiveFormatSqlZip

    path = tmp_path / 'own.aiida'
    ask('export', 'own', '--format', 'archive', '-o', path)
    with ArchiveFormatSqlZip().open(path, 'r') as reader:
        query = reader.querybuilder().append(entity_type='data.litraj.source.SourceData.', tag='source')
        query.append(
            entity_type='process.calculation.calcfunction.CalcFunctionNode.', with_incoming='source', tag='made'
        )
        query.append(entity_type='data.litraj.frames.FramesData.', with_incoming='made')
        assert query.count() == 30


def test_an_archive_says_what_comes_along(imported: Any, ask: Callable[..., Any], call: Call, tmp_path: Path) -> None:
    done = ask('export', 'own', '--material', 'mp-2', '--format', 'archive', '-o', tmp_path / 'some.aiida')
    # Each of the two chunks comes whole, with its import; card and source once.
    assert (done['entries'], done['other_entries'], done['nodes']) == (6, 24, 30 + 2 + 2)
    whole = ask('export', 'own', '--format', 'archive', '-o', tmp_path / 'whole.aiida')
    assert (whole['entries'], whole['other_entries'], whole['nodes']) == (30, 0, 34)
    one = ask('select', 'own/test', '-n', 1)['parts']['selected']['pk']
    said = call('export', one, '--format', 'archive', '-o', tmp_path / 'one.aiida').stdout
    assert '9 entries more than asked for' in said
    assert 'REPORT' not in said


def test_rows_that_are_not_written_back_are_counted(ask: Callable[..., Any], tmp_path: Path) -> None:
    from aiida_litraj.datasets.make import make

    folder = make('OBELiX', tmp_path, n=60)
    rows = len((folder / 'train.csv').read_text().splitlines()) - 1
    stored = ask('import', folder, '--card', 'OBELiX', '--name', 'measured', '--workers', 0)['entries']
    last = ask('query', 'measured', '--limit', 1000)['entries'][-1]['entry']
    upto = ask('query', 'measured', '--id', last)['entries'][0]['source_line'] - 1
    assert stored < upto <= rows
    notes = ask('import', folder, '--card', 'OBELiX', '--name', 'measured', '--workers', 0)['notes']
    assert notes[0].startswith(f'train.csv: {rows - stored} of its {rows} rows have a conductivity but no structure')
    assert 'they lack elements of the measured composition' in notes[1]
    assert ask('show', 'measured')['remarks'] == notes[1:]
    (note,) = ask('export', 'measured', '-o', tmp_path / 'out')['notes']
    assert note.startswith(f'train.csv: {upto - stored} rows up to line {upto + 1} were no entries')
    assert ask('export', 'measured', '--split', 'train', '-o', tmp_path / 'part')['notes'] == []
