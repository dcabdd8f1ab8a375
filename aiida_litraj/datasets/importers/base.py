"""What every importer does: list the parts of a source, cut them into chunks, read a chunk, and write entries back."""

from __future__ import annotations

import csv
import io
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from math import isfinite
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, NamedTuple, cast

from ..card import Card
from ..entry import START, Chunk, Cursor, Entry, Parsed, Part, Problem
from ..source import Source

CHUNK_SIZE = 500
SPLIT_COLUMN = '_split'
READ_ERRORS = (OSError, EOFError, zlib.error, zipfile.BadZipFile)
"""What reading a damaged file or zip raises."""
_BOOLEANS = {'True': True, 'False': False}


class Importer(ABC):
    """Reads one layout of data sets, in pieces that can be read in any process and taken up again at any chunk.

    Malformed entries never raise: they come back as problems, and the entries around them are read.
    """

    layout: ClassVar[str]

    @abstractmethod
    def parts(self, source: Source, card: Card) -> tuple[list[Part], list[Problem]]:
        """Return what is to be read one after the other, and what is wrong with the source as a whole.

        :raises ValueError: if nothing in the source looks like this layout.
        """

    @abstractmethod
    def chunks(
        self, source: Source, card: Card, part: Part, start: Cursor = START, size: int = CHUNK_SIZE
    ) -> Iterator[Chunk]:
        """Return a part's raw entries, ``size`` at a time, from a cursor on; cheap, and in bounded memory.

        :param start: beginning of the part, or ``end`` of the last chunk that is done with.
        """

    @abstractmethod
    def parse(self, card: Card, chunk: Chunk) -> Parsed:
        """Return the entries of a chunk and its problems; depends on nothing but its arguments."""

    @abstractmethod
    def write(self, card: Card, entries: Iterable[Entry], folder: Path) -> Path:
        """Write entries in the publisher's layout and return the folder with the set's name, below ``folder``.

        Entries come in the order given; reading them again gives the same numbers to the last digit.
        """


class IndexRow(NamedTuple):
    """A row of a set's index."""

    values: dict[str, str]
    line: int


def read_index(source: Source, member: str, key: str) -> tuple[list[IndexRow], list[Problem]]:
    """Return the rows of a CSV file as they stand in it, and what is wrong with it.

    :param key: column that names the entry; a row without it, or with one that was there before, is left out.
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
            if key not in names:
                return [], [Problem(member, line, None, f'the index has no column {key}: {", ".join(names)}')]
            continue
        values = dict(zip(names, fields))
        name = values.get(key)
        if len(fields) != len(names):
            problems.append(Problem(member, line, name, f'{len(fields)} fields instead of {len(names)}'))
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


def properties_of(card: Card, *places: Mapping[str, Any]) -> dict[str, Any]:
    """Return the card's properties of an entry that are numbers or words, each from the first place that has it.

    :raises ValueError: naming a property that is not a finite number.
    """
    found: dict[str, Any] = {}
    for name in card.properties:
        value = next((place[name] for place in places if place.get(name) is not None), None)
        if isinstance(value, float) and not isfinite(value):
            raise ValueError(f'{name} is {value}')
        if isinstance(value, bool | int | float | str):
            found[name] = value
    return found


def missing(card: Card, entry: Entry) -> str | None:
    """Return what the card requires and the entry lacks, in words, or ``None``."""
    frames = entry.frames
    there = {'energy': frames.energies, 'forces': frames.forces, 'stress': frames.stresses}
    for name in card.required:
        if there[name] is None:
            key = getattr(card.keys, name)
            return f'has no {name}' if key in {name, None} else f'has no {name} ({key})'
    return None


def without_repeats(entries: Iterable[Entry], problems: list[Problem]) -> list[Entry]:
    """Return the entries without those whose id came before; these become problems."""
    seen: dict[str, Entry] = {}
    for entry in entries:
        if entry.id in seen:
            first = seen[entry.id]
            problems.append(Problem(entry.file, entry.line, entry.id, f'the same id as at {first.file}:{first.line}'))
        else:
            seen[entry.id] = entry
    return list(seen.values())


class Guarded:
    """A stream that ends where it cannot be read further, and remembers why."""

    def __init__(self, source: Source, member: str, offset: int) -> None:
        self.error: str | None = None
        self._stream: BinaryIO | None = None
        try:
            self._stream = source.stream(member, offset)
        except (KeyError, *READ_ERRORS) as error:
            self.error = f'cannot be read: {error}'

    def read(self, size: int = -1) -> bytes:
        if self._stream is None or self.error is not None:
            return b''
        try:
            return self._stream.read(size)
        except READ_ERRORS as error:
            self.error = f'cannot be read further: {error}'
            return b''

    def as_binary(self) -> BinaryIO:
        """Return itself as what functions that only read take."""
        return cast(BinaryIO, self)

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
