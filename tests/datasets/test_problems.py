"""What is malformed is told with file and line, costs nothing that is not, and never ends a chunk."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from aiida_litraj.datasets.card import load_card
from aiida_litraj.datasets.entry import Problem
from aiida_litraj.datasets.importers import importer_of
from aiida_litraj.datasets.source import Source

from . import tiny

Change = Callable[[list[str]], None]


def change(path: Path, what: Change) -> None:
    """Change the lines of a file in place."""
    lines = path.read_text().splitlines(keepends=True)
    what(lines)
    path.write_text(''.join(lines))


def starts(path: Path) -> list[int]:
    """Return the line, from 0, at which each configuration begins."""
    return [n for n, line in enumerate(path.read_text().splitlines()) if line.strip().isdigit()]


def set_energy(value: str) -> Change:
    def edit(lines: list[str]) -> None:
        words = lines[1].split(' ')
        lines[1] = ' '.join(value if word.startswith('energy=') else word for word in words)

    return edit


def cut_row(lines: list[str]) -> None:
    lines[3] = lines[3][:-18] + '\n'


def put(old: str, new: str) -> Change:
    def edit(lines: list[str]) -> None:
        lines[2] = new + lines[2][len(old) :]

    return edit


def nan_position(lines: list[str]) -> None:
    words = lines[2].split()
    lines[2] = f'{words[0]} nan {" ".join(words[2:])}\n'


@pytest.mark.parametrize(
    ('edit', 'line', 'reason'),
    [
        (set_energy('nothing=1'), 2, 'has no energy'),
        (set_energy('energy=nan'), 2, 'not finite'),
        (cut_row, 4, 'columns instead of 7'),
        (put('Li', 'Qq'), 3, 'there is no element Qq'),
        (nan_position, 3, 'not finite'),
        (lambda lines: lines.__setitem__(0, 'abc\n'), 1, 'expected a number of atoms'),
        (lambda lines: lines.__setitem__(0, '2\n'), 1, 'announces 2 atoms'),
    ],
)
def test_a_malformed_configuration_is_told_and_the_others_are_read(
    edit: Change, line: int, reason: str, tmp_path: Path
) -> None:
    folder = tiny.mplitrj(tmp_path)
    expected, _ = tiny.read_all(folder, 'MPLiTrj')
    path = folder / 'MPLiTrj_train.xyz'
    first = starts(path)[3]

    def here(lines: list[str]) -> None:
        part = lines[first:]
        edit(part)
        lines[first:] = part

    change(path, here)
    for size in (1, 2, 500):
        entries, problems = tiny.read_all(folder, 'MPLiTrj', size)
        assert len(problems) == 1, problems
        assert problems[0].file == 'MPLiTrj_train.xyz' and problems[0].line == first + line
        assert reason in problems[0].reason and problems[0].entry_id == 'train/3'
        # The others are called as before.
        assert tiny.content(entries) == tiny.content(one for one in expected if one.id != 'train/3')


def test_a_file_that_ends_too_early_keeps_what_came_before(tmp_path: Path) -> None:
    folder = tiny.mplitrj(tmp_path)
    path = folder / 'MPLiTrj_train.xyz'
    path.write_bytes(path.read_bytes()[:-150])
    entries, problems = tiny.read_all(folder, 'MPLiTrj')
    assert [one.id for one in entries if one.split == 'train'] == [f'train/{n}' for n in range(6)]
    assert [(one.line, one.entry_id) for one in problems] == [(starts(path)[-1] + 1, 'train/6')]


def test_a_missing_split_is_told(tmp_path: Path) -> None:
    folder = tiny.mplitrj(tmp_path)
    (folder / 'MPLiTrj_val.xyz').unlink()
    entries, problems = tiny.read_all(folder, 'MPLiTrj')
    assert len(entries) == 10
    assert problems == [Problem('MPLiTrj', 0, None, 'there is no file of the split val')]


def test_an_id_that_comes_twice_is_read_once(tmp_path: Path) -> None:
    folder = tiny.indexed(tmp_path, 'BVEL13k')
    path = folder / 'BVEL13k_train.xyz'
    second = starts(path)[1]
    change(path, lambda lines: lines.__setitem__(second + 1, lines[second + 1].replace('mp-1', 'mp-0')))
    entries, problems = tiny.read_all(folder, 'BVEL13k')
    assert len(entries) == 11
    told = {(one.file, one.entry_id, one.reason) for one in problems}
    assert ('BVEL13k_train.xyz', 'mp-0', 'the same id as at BVEL13k_train.xyz:1') in told
    assert ('BVEL13k_index.csv', 'mp-1', 'stands in the index, but in no file') in told


def test_a_barrier_that_is_no_number_is_told(tmp_path: Path) -> None:
    folder = tiny.indexed(tmp_path, 'BVEL13k')
    path = folder / 'BVEL13k_val.xyz'

    def edit(lines: list[str]) -> None:
        words = lines[1].split(' ')
        lines[1] = ' '.join('E_2D=nan' if word.startswith('E_2D=') else word for word in words)

    change(path, edit)
    entries, problems = tiny.read_all(folder, 'BVEL13k')
    assert len(entries) == 11
    assert problems == [Problem('BVEL13k_val.xyz', 2, 'mp-100', 'E_2D is nan')]


def test_paths_whose_files_or_rows_are_missing_are_told(tmp_path: Path) -> None:
    folder = tiny.nebdft2k(tmp_path)
    expected, _ = tiny.read_all(folder, 'nebDFT2k')
    (folder / 'mp-0_0_3_0_0_-1_init.xyz').unlink()
    change(folder / 'nebDFT2k_index.csv', lambda lines: lines.pop(2))
    change(
        folder / 'mp-1_2_3_0_0_-1_relaxed.xyz',
        lambda lines: lines.__setitem__(
            13, lines[13].replace('Li', 'Qq').replace('P ', 'Qq').replace('S ', 'Qq').replace('O ', 'Qq')
        ),
    )
    entries, problems = tiny.read_all(folder, 'nebDFT2k')
    assert tiny.content(entries) == tiny.content(expected[3:])
    told = {(one.file, one.line, one.entry_id, one.reason) for one in problems}
    assert told == {
        ('nebDFT2k_index.csv', 2, 'mp-0_0_3_0_0_-1', 'mp-0_0_3_0_0_-1_init.xyz: there is no such file'),
        ('mp-0_1_3_0_0_-1_init.xyz', 0, 'mp-0_1_3_0_0_-1', 'stands in no row of the index'),
        ('mp-0_1_3_0_0_-1_relaxed.xyz', 0, 'mp-0_1_3_0_0_-1', 'stands in no row of the index'),
        ('mp-1_2_3_0_0_-1_relaxed.xyz', 14, 'mp-1_2_3_0_0_-1', 'image 1: there is no element Qq'),
    }


def test_a_path_without_its_centroid_is_told_and_a_set_without_any_goes_on(tmp_path: Path) -> None:
    folder = tiny.nebdft2k(tmp_path)
    centroids = folder / 'nebDFT2k_centroids.xyz'
    end = starts(centroids)[1]
    change(centroids, lambda lines: lines.__delitem__(slice(0, end)))
    entries, problems = tiny.read_all(folder, 'nebDFT2k')
    assert len(entries) == 5
    assert [(one.line, one.reason) for one in problems] == [(2, 'has no centroid in nebDFT2k_centroids.xyz')]
    centroids.unlink()
    entries, problems = tiny.read_all(folder, 'nebDFT2k')
    assert len(entries) == 6 and all(entry.centroid is None for entry in entries)
    assert len(problems) == 1


def test_a_damaged_trajectory_is_told(tmp_path: Path) -> None:
    folder = tiny.mplitrj_raw(tmp_path)
    path = folder / 'mp-1_0_1_0_0_0.neb' / 'band_optim_step_3.traj'
    path.write_bytes(path.read_bytes()[:300])
    (folder / 'mp-2_0_1_0_0_0.neb' / 'source.xyz').write_text('nothing')
    (folder / 'mp-2_0_1_0_0_0.neb' / 'target.xyz').unlink()
    entries, problems = tiny.read_all(folder, 'MPLiTrj_raw', 4)
    assert len(entries) == 42
    assert [one.entry_id for one in problems] == [None, 'mp-1_0_1_0_0_0.neb/3', 'mp-2_0_1_0_0_0.neb/source']
    assert problems[0] == Problem('mp-2_0_1_0_0_0.neb', 0, None, 'there is no target.xyz')


def test_a_cif_that_is_missing_or_damaged_is_told(tmp_path: Path) -> None:
    folder = tiny.obelix(tmp_path)
    (folder / 'train_randomized_cifs' / 'a0z.cif').unlink()
    (folder / 'train_randomized_cifs' / 'a1z.cif').write_text('data_x\nnothing\n')
    (folder / 'train_randomized_cifs' / 'new.cif').write_text(tiny.CIF.format(name='new'))
    entries, problems = tiny.read_all(folder, 'OBELiX')
    assert [entry.id for entry in entries] == ['a2z']
    assert [(one.file, one.line, one.entry_id) for one in problems] == [
        ('train_randomized_cifs/new.cif', 0, 'new'),
        ('train.csv', 2, 'a0z'),
        ('train_randomized_cifs/a1z.cif', 0, 'a1z'),
    ]


def test_a_damaged_zip_keeps_what_can_be_read(tmp_path: Path) -> None:
    folder = tmp_path / 'MPLiTrj'
    folder.mkdir()
    text = b''.join((tiny.mplitrj(tmp_path, f'x{n}') / f'x{n}_train.xyz').read_bytes() for n in range(150))
    for split in tiny.SPLITS:
        (folder / f'MPLiTrj_{split}.xyz').write_bytes(text)
    archive = tiny.zipped(folder)
    with zipfile.ZipFile(archive) as whole:
        info = whole.getinfo('MPLiTrj/MPLiTrj_train.xyz')
    content = bytearray(archive.read_bytes())
    middle = info.header_offset + info.compress_size // 2
    content[middle : middle + 64] = b'\xff' * 64
    archive.write_bytes(content)
    entries, problems = tiny.read_all(archive, 'MPLiTrj')
    whole_splits = sum(entry.split != 'train' for entry in entries)
    assert whole_splits == 2 * 150 * 7
    assert 0 < len(entries) - whole_splits < 150 * 7
    assert any('cannot be read further' in one.reason and one.file == 'MPLiTrj_train.xyz' for one in problems)


@pytest.mark.parametrize('name', tiny.MAKERS)
def test_a_source_of_another_layout_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / 'readme.md').write_text('nothing here\n')
    card = load_card(name)
    with Source.open(tmp_path) as source, pytest.raises(ValueError, match=r'has no|has none|holds no'):
        importer_of(card).parts(source, card)
