"""The table beside a set's files: one row per entry, kept as it stands."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ..entry import Part, Problem
from ..source import Source
from .base import READ_ERRORS

SPLIT_COLUMN = '_split'
_BOOLEANS = {'True': True, 'False': False}


class IndexRow(NamedTuple):
    """A row of a set's index."""

    values: dict[str, str]
    line: int


def read_index(source: Source, member: str, key: str | None) -> tuple[list[IndexRow], list[Problem]]:
    """Return the rows of a CSV file as they stand in it, and what is wrong with it.

    :param key: column that names the entry; a row without it, or with one that was there before, is left out. Without
        a key rows have no name.
    """
    try:
        text = source.read(member).decode('utf-8-sig')
    except (*READ_ERRORS, UnicodeDecodeError) as error:
        return [], [Problem(member, 0, None, f'cannot be read: {error}')]
    rows: list[IndexRow] = []
    problems: list[Problem] = []
    seen: dict[str, int] = {}
    reader = csv.reader(io.StringIO(text, newline=''))
    names: list[str] = []
    before = 0
    for fields in reader:
        line, before = before + 1, reader.line_num
        if not fields:
            continue
        if not names:
            names = fields
            if key is not None and key not in names:
                return [], [Problem(member, line, None, f'the index has no column {key}: {", ".join(names)}')]
            continue
        values = dict(zip(names, fields))
        name = None if key is None else values.get(key)
        if len(fields) != len(names):
            problems.append(Problem(member, line, name, f'{len(fields)} fields instead of {len(names)}'))
        elif key is None:
            rows.append(IndexRow(values, line))
        elif not name:
            problems.append(Problem(member, line, None, f'{key} is empty'))
        elif name in seen:
            problems.append(Problem(member, line, name, f'stands in line {seen[name]} already'))
        else:
            seen[name] = line
            rows.append(IndexRow(values, line))
    return rows, problems


def write_index(path: Path, rows: Iterable[Mapping[str, str]]) -> None:
    """Write rows as CSV with the columns of the first one; nothing if there are none."""
    with path.open('w', newline='', encoding='utf-8') as stream:
        writer = None
        for row in rows:
            if writer is None:
                writer = csv.DictWriter(stream, list(row), lineterminator='\n', restval='', extrasaction='ignore')
                writer.writeheader()
            writer.writerow(row)


def plain_value(text: str) -> Any:
    """Return a field of an index as a number or a boolean if it is one, as ``None`` if it is empty, else as it is."""
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if not text.strip():
        return None
    for kind in (int, float):
        try:
            return kind(text) if '_' not in text else text
        except ValueError:
            continue
    return text


class Index:
    """Rows of a set's index, each with its entry: by the identifier, or where the index has none by the place.

    By place means that the rows of a split come in the order of its file.
    """

    def __init__(self, source: Source, member: str, key: str) -> None:
        self.member = member
        self._named: dict[str, IndexRow] | None = None
        self._placed: dict[str, list[IndexRow]] = {}
        rows, self.problems = read_index(source, member, key if key in _columns(source, member) else None)
        if rows and key in rows[0].values:
            self._named = {row.values[key]: row for row in rows}
        else:
            for row in rows:
                self._placed.setdefault(row.values.get(SPLIT_COLUMN, ''), []).append(row)

    def rows(self, split: str | None, first: int, n_entries: int, names: Iterable[str]) -> dict[str, dict[str, str]]:
        """Return the rows of consecutive entries by ``row_key``.

        :param names: identifiers of these entries, and perhaps of more.
        """
        if self._named is not None:
            return {name: self._named[name].values for name in names if name in self._named}
        placed = self._placed.get(split or '', [])
        return {f'#{n}': placed[n].values for n in range(first, min(first + n_entries, len(placed)))}

    def unused(self, parts: Iterable[Part], names_of: Callable[[Part], Iterator[str]]) -> list[Problem]:
        """Return a problem for each row for which no file has an entry."""
        named = dict(self._named or {})
        left: list[IndexRow] = []
        placed = dict(self._placed)
        for part in parts:
            if self._named is None:
                rows = placed.pop(part.split or '', [])
                left += rows[sum(1 for _ in names_of(part)) :]
            else:
                for name in names_of(part):
                    named.pop(name, None)
        for rows in (*placed.values(), list(named.values())):
            left += rows
        key = None if self._named is None else {id(row): name for name, row in self._named.items()}
        return [
            Problem(self.member, row.line, None if key is None else key[id(row)], 'stands in the index, but in no file')
            for row in left
        ]


def row_of(rows: Mapping[str, dict[str, str]], name: str, number: int) -> dict[str, str] | None:
    """Return an entry's row among those of its chunk."""
    return rows.get(name, rows.get(f'#{number}'))


def _columns(source: Source, member: str) -> list[str]:
    try:
        first = source.read(member).split(b'\n', 1)[0].decode('utf-8-sig')
    except (*READ_ERRORS, UnicodeDecodeError):
        return []
    return next(csv.reader([first.strip('\r')]), [])
