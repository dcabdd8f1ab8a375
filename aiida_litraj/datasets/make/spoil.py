"""Damage to data files in known ways, and what an importer should then say: for tests of importers."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .writing import WIDTH


@dataclass(frozen=True)
class Spoiled:
    """What was damaged: an importer should skip this entry, keep all others, and name this file and line.

    ``line`` is where the entry begins in ``file``, from 1, ``at`` the damaged line itself; both are 0 where a whole
    file is concerned. ``entry_id`` is the entry's own identity, if the set has identities, and ``number`` its running
    number in the file, from 0.
    """

    kind: str
    file: Path
    line: int
    at: int
    number: int
    entry_id: str | None


def spoil(place: Path, kind: str, entry: int = 1, split: str = 'train') -> Spoiled:
    """Damage entry number ``entry`` of a made, unpacked set (its folder, or one file) and return what was done.

    ``kind`` is one of :data:`KINDS`. In a folder of splits the file of ``split`` is taken, in nebDFT2k the relaxed path
    of row ``entry`` of the index.

    :raises ValueError: if there is no such damage, or this set cannot have it.
    """
    place = Path(place)
    if kind not in KINDS:
        raise ValueError(f'kind = {kind!r}: there are {", ".join(KINDS)}')
    if kind in INDEX_KINDS:
        return INDEX_KINDS[kind](place, entry, split)
    if kind == 'duplicated_id' and _is_paths(place):
        return _duplicate_row(place, entry)
    file = _file_of(place, entry, split)
    number = 0 if _is_paths(place) else entry
    lines = file.read_text(encoding='utf-8').splitlines(keepends=True)
    start = _frame_starts(lines)[number]
    at = FRAME_KINDS[kind](lines, start)
    file.write_text(''.join(lines), encoding='utf-8')
    return Spoiled(kind, file, start + 1, at + 1, number, _identity(lines[start + 1]) or _id_of_file(place, file))


def _is_paths(place: Path) -> bool:
    return place.is_dir() and any(place.glob('*_relaxed.xyz'))


def _index_of(place: Path) -> Path:
    found = sorted(place.glob('*_index.csv')) if place.is_dir() else []
    if not found:
        raise ValueError(f'{place} has no index')
    return found[0]


def _read_index(place: Path) -> tuple[list[str], list[dict[str, str]]]:
    with _index_of(place).open(newline='', encoding='utf-8') as stream:
        reader = csv.DictReader(stream)
        return list(reader.fieldnames or ()), list(reader)


def _write_index(place: Path, columns: list[str], rows: list[dict[str, str]]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator='\n')
    writer.writeheader()
    writer.writerows(rows)
    _index_of(place).write_text(text.getvalue(), encoding='utf-8')


def _file_of(place: Path, entry: int, split: str) -> Path:
    if place.is_file():
        return place
    if _is_paths(place):
        return place / f'{_read_index(place)[1][entry]["edge_id"]}_relaxed.xyz'
    found = sorted(place.glob(f'*_{split}.xyz'))
    if not found:
        raise ValueError(f'{place} has no file of the split {split}')
    return found[0]


def _id_of_file(place: Path, file: Path) -> str | None:
    return file.name.removesuffix('_relaxed.xyz') if _is_paths(place) else None


def _frame_starts(lines: list[str]) -> list[int]:
    starts, line = [], 0
    while line < len(lines):
        starts.append(line)
        line += 2 + int(lines[line])
    return starts


def _identity(comment: str) -> str | None:
    found = re.search(r'\bedge_id=(\S+)', comment) or re.search(r'\bmaterial_id=(\S+)', comment)
    return found[1] if found else None


def _no_energy(lines: list[str], start: int) -> int:
    comment = re.sub(r' energy=\S+', '', lines[start + 1])
    if comment == lines[start + 1]:
        raise ValueError('no energy to take away: the set has none')
    lines[start + 1] = comment
    return start + 1


def _wrong_force_count(lines: list[str], start: int) -> int:
    """The last number of the second atom is not there."""
    lines[start + 3] = lines[start + 3].rstrip('\n')[:-WIDTH] + '\n'
    return start + 3


def _nan(lines: list[str], start: int) -> int:
    """The last number of the second atom is none."""
    lines[start + 3] = lines[start + 3].rstrip('\n')[:-WIDTH] + 'nan'.rjust(WIDTH) + '\n'
    return start + 3


def _unknown_element(lines: list[str], start: int) -> int:
    lines[start + 3] = 'Qq' + lines[start + 3][2:]
    return start + 3


def _truncated(lines: list[str], start: int) -> int:
    """The file ends in the middle of the entry, in the middle of a line."""
    last = start + 2 + int(lines[start]) // 2
    lines[last] = lines[last][: len(lines[last]) // 2]
    del lines[last + 1 :]
    return last


def _duplicated_id(lines: list[str], start: int) -> int:
    """The entry carries the identity of the one before it."""
    starts = _frame_starts(lines)
    number = starts.index(start)
    own, other = _identity(lines[start + 1]), _identity(lines[starts[number - 1] + 1])
    if own is None or other is None or number == 0:
        raise ValueError('no identity to duplicate: the set has none, or this is the first entry')
    lines[start + 1] = re.sub(rf'(_id=){re.escape(own)}(?=\s)', rf'\g<1>{other}', lines[start + 1])
    return start + 1


def _duplicate_row(place: Path, entry: int) -> Spoiled:
    """The row of the index stands there a second time, right after the first."""
    columns, rows = _read_index(place)
    rows.insert(entry + 1, rows[entry])
    _write_index(place, columns, rows)
    line = entry + 3  # after the header, from 1
    return Spoiled('duplicated_id', _index_of(place), line, line, entry + 1, rows[entry]['edge_id'])


def _row_without_file(place: Path, entry: int, split: str) -> Spoiled:
    """What row ``entry`` of the index (of those of ``split``) tells of is not there."""
    _, rows = _read_index(place)
    if _is_paths(place):
        (place / f'{rows[entry]["edge_id"]}_relaxed.xyz').unlink()
        return Spoiled('row_without_file', _index_of(place), entry + 2, entry + 2, entry, rows[entry]['edge_id'])
    file = _file_of(place, entry, split)
    lines = file.read_text(encoding='utf-8').splitlines(keepends=True)
    starts = _frame_starts(lines)
    identity = _identity(lines[starts[entry] + 1])
    del lines[starts[entry] : [*starts, len(lines)][entry + 1]]
    file.write_text(''.join(lines), encoding='utf-8')
    number = _row_of(rows, identity, split, entry)
    return Spoiled('row_without_file', _index_of(place), number + 2, number + 2, number, identity)


def _file_without_row(place: Path, entry: int, split: str) -> Spoiled:
    """The row of the index that tells of entry ``entry`` is not there."""
    columns, rows = _read_index(place)
    if _is_paths(place):
        edge_id = rows.pop(entry)['edge_id']
        _write_index(place, columns, rows)
        return Spoiled('file_without_row', place / f'{edge_id}_relaxed.xyz', 0, 0, entry, edge_id)
    file = _file_of(place, entry, split)
    lines = file.read_text(encoding='utf-8').splitlines()
    start = _frame_starts(lines)[entry]
    identity = _identity(lines[start + 1])
    del rows[_row_of(rows, identity, split, entry)]
    _write_index(place, columns, rows)
    return Spoiled('file_without_row', file, start + 1, start + 1, entry, identity)


def _row_of(rows: list[dict[str, str]], identity: str | None, split: str, entry: int) -> int:
    """Return the number of an entry's row: by its identity, or where the index has none by the order."""
    column = 'edge_id' if 'edge_id' in rows[0] else 'material_id'
    named = [number for number, row in enumerate(rows) if row[column] == identity]
    if len(named) == 1:
        return named[0]
    return [number for number, row in enumerate(rows) if row['_split'] == split][entry]


FRAME_KINDS: dict[str, Callable[[list[str], int], int]] = {
    'no_energy': _no_energy,
    'wrong_force_count': _wrong_force_count,
    'nan': _nan,
    'unknown_element': _unknown_element,
    'truncated': _truncated,
    'duplicated_id': _duplicated_id,
}
INDEX_KINDS: dict[str, Callable[[Path, int, str], Spoiled]] = {
    'row_without_file': _row_without_file,
    'file_without_row': _file_without_row,
}
KINDS = (*FRAME_KINDS, *INDEX_KINDS)
