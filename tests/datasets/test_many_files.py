"""Thousands of files of one structure each: read many at a time, written with few of them open."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path

import pytest
from ase.io import write

from aiida_litraj.datasets.card import Card
from aiida_litraj.datasets.entry import START, Cursor
from aiida_litraj.datasets.importers import importer_of
from aiida_litraj.datasets.importers.streams import MOST_OPEN, Streams
from aiida_litraj.datasets.source import Source

from . import tiny

CARD = Card(name='mine', title='My own')
N_XYZ, N_CIF = 60, 6
FEW_FILES = 100


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Extended xyz and CIF files in two folders, with equal names among them, and one file of several structures."""
    top = tmp_path_factory.mktemp('many') / 'mine'
    for number in range(N_XYZ):
        place = top / f'run_{number % 2}' / f'frame_{number // 2:03d}.xyz'
        place.parent.mkdir(parents=True, exist_ok=True)
        write(place, tiny.atoms_of(number), format='extxyz')
    for number in range(N_CIF):
        write(top / 'run_1' / f'cell_{number}.cif', tiny.atoms_of(number, labelled=False))
    write(top / 'run_0' / 'frame_000.xyz', [tiny.atoms_of(0), tiny.atoms_of(500)], format='extxyz')
    return top


def test_many_small_files_are_one_part_with_entries_called_by_their_files(folder: Path) -> None:
    with Source.open(folder) as source:
        parts, problems = importer_of(CARD).parts(source, CARD)
    assert problems == [] and [(part.split, len(part.members)) for part in parts] == [(None, N_XYZ + N_CIF)]
    entries, problems = tiny.read_all(folder, CARD)
    assert problems == []
    ids = [entry.id for entry in entries]
    assert len(set(ids)) == len(ids) == N_XYZ + N_CIF + 1
    assert {'run_0/frame_000/0', 'run_0/frame_000/1', 'run_1/frame_000/0', 'run_1/cell_5/0'} <= set(ids)
    for entry in entries:
        assert f'{entry.id.rpartition("/")[0]}.' in entry.file


@pytest.mark.parametrize('size', [1, 7, 500])
def test_any_chunk_is_where_to_go_on(size: int, folder: Path) -> None:
    whole, _ = tiny.read_all(folder, CARD)
    importer = importer_of(CARD)
    with Source.open(folder) as source:
        (part,), _ = importer.parts(source, CARD)
        ends = [chunk.end for chunk in importer.chunks(source, CARD, part, START, size)]
        assert ends[-1].offset == N_XYZ + N_CIF
        for end in ends[::9]:
            rest = list(importer.chunks(source, CARD, part, Cursor(*end), size))
            found = [entry for chunk in rest for entry in importer.parse(CARD, chunk).entries]
            assert tiny.content(found) == tiny.content([entry for entry in whole if entry.number >= end.number])


def test_what_is_wrong_with_one_of_many_is_told_by_its_name(folder: Path, tmp_path: Path) -> None:
    top = tmp_path / 'mine'
    top.mkdir()
    for number in range(30):
        write(top / f'{number:02d}.xyz', tiny.atoms_of(number), format='extxyz')
    text = (top / '03.xyz').read_text()
    (top / '03.xyz').write_text(text.replace('Li', 'Qq', 1))
    (top / '04.xyz').write_text('')
    (top / '05.cif').write_text('data_\nloop_\n')
    entries, problems = tiny.read_all(top, CARD)
    assert len(entries) == 28
    assert [(one.file, one.line) for one in problems] == [('03.xyz', 3), ('04.xyz', 0), ('05.cif', 0)]


def test_splits_and_large_files_stay_apart(tmp_path: Path) -> None:
    top = tmp_path / 'mine'
    top.mkdir()
    for number in range(30):
        write(top / f'{number:02d}_train.xyz', tiny.atoms_of(number), format='extxyz')
    write(top / 'a_test.xyz', [tiny.atoms_of(1)], format='extxyz')
    write(top / 'b_train.xyz', [tiny.atoms_of(n, n_atoms=60) for n in range(50)], format='extxyz')
    card = Card(name='mine', title='My own', splits={'train': 80, 'test': None})
    with Source.open(top) as source:
        parts, _ = importer_of(card).parts(source, card)
    assert [(part.name, part.split, part.n_expected) for part in parts] == [
        ('b_train.xyz', 'train', 80), ('small files of train', 'train', 30), ('a_test.xyz', 'test', None)
    ]  # fmt: skip
    entries, problems = tiny.read_all(top, card)
    assert problems == [] and len(entries) == 81
    assert {entry.split for entry in entries if entry.file.endswith('_train.xyz')} == {'train'}


@pytest.fixture
def few_open_files() -> Iterator[None]:
    """The limit of a small system, or what is in use already and some more."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = len(list(Path('/proc/self/fd').iterdir())) if Path('/proc/self/fd').exists() else 0
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + FEW_FILES, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_files_come_back_one_by_one_where_they_were(folder: Path, tmp_path: Path) -> None:
    entries, _ = tiny.read_all(folder, CARD)
    written = importer_of(CARD).write(CARD, entries, tmp_path)
    names = {path.relative_to(written).as_posix() for path in written.rglob('*') if path.is_file()}
    assert len(names) == N_XYZ + N_CIF and {'run_0/frame_001.xyz', 'run_1/frame_001.xyz', 'run_1/cell_0.xyz'} <= names
    again, problems = tiny.read_all(written, CARD)
    assert problems == []
    kept = [entry for entry in entries if entry.file.endswith('.xyz')]
    same = [entry for entry in again if 'cell_' not in entry.file]
    assert [(one.id, one.frames.to_bytes()) for one in same] == [(one.id, one.frames.to_bytes()) for one in kept]


def test_equal_stems_are_not_merged(tmp_path: Path) -> None:
    top = tmp_path / 'mine'
    top.mkdir()
    write(top / 'a.cif', tiny.atoms_of(1, labelled=False))
    write(top / 'a.vasp', tiny.atoms_of(2, labelled=False), format='vasp')
    entries, _ = tiny.read_all(top, CARD)
    written = importer_of(CARD).write(CARD, entries, tmp_path / 'again')
    assert sorted(path.name for path in written.iterdir()) == ['a.vasp.xyz', 'a.xyz']
    again, _ = tiny.read_all(written, CARD)
    assert sorted(len(entry.frames.numbers) for entry in again) == sorted(
        len(entry.frames.numbers) for entry in entries
    )


@pytest.mark.usefixtures('few_open_files')
def test_more_files_than_a_process_may_open(tmp_path: Path) -> None:
    names = [f'{number // 100}/{number}.xyz' for number in range(5 * MOST_OPEN)]
    with Streams(tmp_path) as streams:
        for text in (b'first ', b'second'):
            for name in names:
                streams.write(name, text)
    assert all((tmp_path / name).read_bytes() == b'first second' for name in names)


def test_nothing_is_written_above_the_folder(tmp_path: Path) -> None:
    with Streams(tmp_path / 'set') as streams:
        streams.write('../outside.xyz', b'1')
        streams.write('/absolute.xyz', b'1')
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob('*.xyz')) == [
        'set/absolute.xyz', 'set/outside.xyz',
    ]  # fmt: skip
