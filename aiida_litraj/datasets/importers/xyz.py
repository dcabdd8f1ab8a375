"""Sets that are extended xyz files, one per split or without splits, with or without an index beside them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path, PurePosixPath
from typing import cast

from ..card import Card
from ..entry import START, Chunk, Cursor, Entry, Parsed, Part, Problem
from ..extxyz import Configuration, format_frame, read_block, stretches
from ..source import Source
from .base import (
    CHUNK_SIZE,
    Guarded,
    Importer,
    missing,
    properties_of,
    without_repeats,
)
from .index import Index, plain_value, row_of, write_index
from .streams import Streams

SUFFIXES = ('.xyz', '.extxyz')
SCAN_BYTES = 4 << 20


class XyzImporter(Importer):
    """One part per file; an entry is a configuration of it.

    Without an identifier in the file an entry is called by split and running number, ``train/17``; malformed ones
    count, so that mending one renames no other. A file without a split gives its own name instead.
    """

    indexed = False
    """Whether the layout has ``<name>_index.csv`` with one row per entry."""
    split_files = True
    """Whether each split is one file, called by the set and the split."""

    def parts(self, source: Source, card: Card) -> tuple[list[Part], list[Problem]]:
        names = [name for name in source.members if name.endswith(SUFFIXES)]
        if not names:
            raise ValueError(f'{source.path} has no file that ends with {" or ".join(SUFFIXES)}')
        found = self._distinct([self._part(card, name) for name in names])
        order = {split: number for number, split in enumerate(card.splits)}
        found.sort(key=lambda part: (order.get(part.split or '', len(order)), part.name))
        problems = [
            Problem(source.name, 0, None, f'there is no file of the split {split}')
            for split in card.splits
            if split not in {part.split for part in found}
        ]
        if self.indexed:
            problems += self._check_index(source, card, found)
        return found, problems

    def _part(self, card: Card, member: str) -> Part:
        path = PurePosixPath(member)
        split = next(
            (name for name in (*card.splits, 'train', 'val', 'test') if re.search(rf'(^|[_.-]){name}$', path.stem)),
            None,
        )
        expected = card.splits.get(split) if split else card.n_entries if not card.splits else None
        return Part(member, split, (member,), expected, split or str(path.with_suffix('')))

    @staticmethod
    def _distinct(parts: list[Part]) -> list[Part]:
        """Return the parts so that no two call their entries alike: several files of a split go by their own names."""
        often = Counter(part.prefix for part in parts)
        return [replace(part, prefix=part.name) if often[part.prefix] > 1 else part for part in parts]

    def _index(self, source: Source, card: Card) -> Index | None:
        members = source.find('_index.csv') if self.indexed else []
        return Index(source, members[0], str(card.identifier)) if members else None

    def _check_index(self, source: Source, card: Card, parts: Iterable[Part]) -> list[Problem]:
        """Return the problems of the index, with a row for which no file has an entry among them."""
        index = self._index(source, card)
        if index is None:
            return [Problem(source.name, 0, None, 'there is no *_index.csv')]

        def names_of(part: Part) -> Iterator[str]:
            stream = Guarded(source, part.members[0], 0)
            yield from _names(stream, str(card.identifier))
            stream.close()

        return index.problems + index.unused(parts, names_of)

    def chunks(
        self, source: Source, card: Card, part: Part, start: Cursor = START, size: int = CHUNK_SIZE
    ) -> Iterator[Chunk]:
        member = part.members[0]
        index = self._index(source, card)
        stream = Guarded(source, member, start.offset)
        here = start
        try:
            for stretch in stretches(stream.as_binary(), size, start.offset, start.line):
                end = Cursor(
                    stretch.offset + len(stretch.data), here.number + stretch.n_blocks, stretch.line + stretch.n_lines
                )
                context = {}
                if index is not None:
                    names = names_in(stretch.data, str(card.identifier))
                    context['rows'] = index.rows(part.split, here.number, stretch.n_blocks, names)
                first = Cursor(stretch.offset, here.number, stretch.line)
                yield Chunk(part.name, part.split, first, end, stretch.data, member, context, part.prefix)
                here = end
            if stream.error is not None:
                end = here._replace(number=here.number + 1)
                yield Chunk(part.name, part.split, here, end, b'', member, {'broken': stream.error}, part.prefix)
        finally:
            stream.close()

    def parse(self, card: Card, chunk: Chunk) -> Parsed:
        found = read_block(cast(bytes, chunk.payload), card.keys, chunk.first_line)
        parsed = self._sorted(card, chunk, found)
        if 'broken' in chunk.context:
            parsed.problems.append(Problem(chunk.file, chunk.first_line, None, str(chunk.context['broken'])))
        return parsed

    def _sorted(self, card: Card, chunk: Chunk, found: Iterable[Configuration]) -> Parsed:
        """Return configurations as entries, and those that are none as problems."""
        problems: list[Problem] = []
        entries: list[Entry] = []
        for one in found:
            try:
                entries.append(self._entry(card, chunk, one, chunk.first_number + one.number))
            except _Refused as refused:
                problems.append(Problem(chunk.file, refused.line, refused.entry_id, str(refused)))
        return Parsed(without_repeats(entries, problems), problems)

    def _entry(self, card: Card, chunk: Chunk, one: Configuration, number: int) -> Entry:
        name = f'{chunk.prefix}/{number}'
        if one.frame is None:
            raise _Refused(str(one.reason), one.wrong_line, name)
        info = one.frame.info[0]
        if card.identifier is not None:
            if info.get(card.identifier) is None:
                raise _Refused(f'has no {card.identifier}', one.line + 1, name)
            name = str(info[card.identifier])
        row = None
        rows = chunk.context.get('rows')
        if rows is not None:
            row = row_of(rows, name, number)
            if row is None:
                raise _Refused('stands in no row of the index', one.line + 1, name)
        material = info.get(card.material, (row or {}).get(card.material)) if card.material else None
        if row is not None and card.material in row and material is not None and row[card.material] != str(material):
            raise _Refused(f'its row of the index is of {row[card.material]}', one.line + 1, name)
        try:
            properties = properties_of(card, info, {key: plain_value(text) for key, text in (row or {}).items()})
        except ValueError as error:
            raise _Refused(str(error), one.line + 1, name) from None
        entry = Entry(
            name,
            chunk.split,
            None if material is None else str(material),
            one.frame,
            properties,
            chunk.file,
            one.line,
            number,
            row,
        )
        lacking = missing(card, entry)
        if lacking is not None:
            raise _Refused(lacking, one.line + 1, name)
        return entry

    def write(self, card: Card, entries: Iterable[Entry], folder: Path) -> Path:
        top = folder / card.name
        top.mkdir(parents=True, exist_ok=True)
        rows: list[Mapping[str, str]] = []
        name_of = self._names(card)
        with Streams(top) as streams:
            for split in card.splits if self.split_files else ():
                streams.write(f'{card.name}_{split}.xyz', b'')
            for entry in entries:
                streams.write(name_of(entry), format_frame(entry.frames, card.keys))
                if entry.row is not None:
                    rows.append(entry.row)
        if self.indexed:
            write_index(top / f'{card.name}_index.csv', rows)
        return top

    def _names(self, card: Card) -> Callable[[Entry], str]:
        """Return a function that gives the name of the file to which an entry is written."""
        return lambda entry: f'{card.name}_{entry.split}.xyz' if entry.split else self._file_name(card)

    def _file_name(self, card: Card) -> str:
        """Return the name of the file of a set without splits."""
        return f'{card.name}.xyz'


class _Refused(Exception):
    """An entry that is left out."""

    def __init__(self, reason: str, line: int, entry_id: str | None) -> None:
        super().__init__(reason)
        self.line, self.entry_id = line, entry_id


@cache
def _pattern(identifier: str) -> re.Pattern[bytes]:
    return re.compile(rb'(?<!\S)' + re.escape(identifier).encode() + rb'=(?:"([^"]*)"|(\S+))')


def _names(stream: Guarded, identifier: str) -> Iterator[str]:
    """Return the identifiers in a stream, without reading anything else of it."""
    rest = b''
    while piece := stream.read(SCAN_BYTES):
        text = rest + piece
        whole = text.rfind(b'\n') + 1
        yield from names_in(text[:whole], identifier)
        rest = text[whole:]
    yield from names_in(rest, identifier)


def names_in(data: bytes, identifier: str) -> Iterator[str]:
    """Return the identifiers in a text."""
    for match in _pattern(identifier).finditer(data):
        yield (match[1] or match[2] or b'').decode(errors='replace')
