"""nebDFT2k: one path per row of the index, in files of its own, with a file of centroids for all."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np

from ...contract.frames import Frames
from ..card import Card
from ..entry import START, Chunk, Cursor, Entry, Parsed, Part, Problem
from ..extxyz import format_frame, read_block, stretches
from ..source import Source
from .base import (
    CHUNK_SIZE,
    READ_ERRORS,
    Guarded,
    Importer,
    incomplete,
    missing,
    properties_of,
    without_repeats,
)
from .index import SPLIT_COLUMN, IndexRow, plain_value, read_index, write_index
from .xyz import names_in

KEY: Final = 'edge_id'
MAX_FILES: Final = 200
"""Rows in one chunk at most: a path is dozens of configurations."""
_RELAXED, _INITIAL, _CENTROIDS = '_relaxed.xyz', '_init.xyz', '_centroids.xyz'


class TrajectoryImporter(Importer):
    """An entry is a row: its relaxed images, its initial images, its supercell with the centroid.

    A path is refused as a whole if any of its files is missing or malformed: half a path would look like one.
    """

    layout = 'nebdft2k'

    def parts(self, source: Source, card: Card) -> tuple[list[Part], list[Problem]]:
        index = self._index_member(source)
        rows, problems = read_index(source, index, KEY)
        known = {row.values[KEY] for row in rows}
        for ending in (_INITIAL, _RELAXED):
            for name in source.find(ending):
                edge = name.rsplit('/', 1)[-1].removesuffix(ending)
                if edge not in known:
                    problems.append(Problem(name, 0, edge, 'stands in no row of the index'))
        if not source.find(_CENTROIDS):
            problems.append(Problem(source.name, 0, None, f'there is no *{_CENTROIDS}: paths come without centroids'))
        return [Part('paths', None, (index, *source.find(_CENTROIDS)[:1]), card.n_entries)], problems

    def _index_member(self, source: Source) -> str:
        found = source.find('_index.csv')
        if not found:
            raise ValueError(f'{source.path} has no *_index.csv')
        return found[0]

    def chunks(
        self, source: Source, card: Card, part: Part, start: Cursor = START, size: int = CHUNK_SIZE
    ) -> Iterator[Chunk]:
        index = part.members[0]
        folder = index.rpartition('/')[0]
        prefix = f'{folder}/' if folder else ''
        rows, _ = read_index(source, index, KEY)
        with contextlib.ExitStack() as stack:
            centroids = None
            if len(part.members) > 1:
                centroids = stack.enter_context(_Centroids.open(source, part.members[1], len(rows)))
            for first in range(start.offset, len(rows), min(size, MAX_FILES)):
                these = rows[first : first + min(size, MAX_FILES)]
                payload: list[tuple[str, bytes]] = []
                unreadable: dict[str, str] = {}
                for row in these:
                    for ending in (_RELAXED, _INITIAL):
                        name = f'{prefix}{row.values[KEY]}{ending}'
                        try:
                            payload.append((name, source.read(name)))
                        except KeyError:
                            unreadable[name] = 'there is no such file'
                        except READ_ERRORS as error:
                            unreadable[name] = f'cannot be read: {error}'
                context: dict[str, Any] = {
                    'rows': [[row.values, row.line] for row in these],
                    'folder': prefix,
                    'unreadable': unreadable,
                    'centroids': None if centroids is None else [part.members[1], {}],
                }
                if centroids is not None:
                    for number, row in enumerate(these, first):
                        text, line = centroids.find(row.values[KEY], number)
                        if text:
                            payload.append((_centroid_name(row.values[KEY]), text))
                            context['centroids'][1][row.values[KEY]] = line
                last = first + len(these)
                end_line = rows[last].line if last < len(rows) else these[-1].line + 1
                yield Chunk(
                    part.name,
                    None,
                    Cursor(first, first, these[0].line),
                    Cursor(last, last, end_line),
                    payload,
                    index,
                    context,
                )

    def parse(self, card: Card, chunk: Chunk) -> Parsed:
        assert not isinstance(chunk.payload, bytes)
        files = dict(chunk.payload)
        problems: list[Problem] = []
        entries: list[Entry] = []
        for number, (values, line) in enumerate(chunk.context['rows'], chunk.first_number):
            found = self._entry(card, chunk, files, IndexRow(values, line), number)
            if isinstance(found, Problem):
                problems.append(found)
            else:
                entries.append(found)
        return Parsed(without_repeats(entries, problems), problems)

    def _entry(self, card: Card, chunk: Chunk, files: dict[str, bytes], row: IndexRow, number: int) -> Entry | Problem:
        edge = row.values[KEY]
        names = [f'{chunk.context["folder"]}{edge}{ending}' for ending in (_RELAXED, _INITIAL)]
        for name in names:
            if name not in files:
                return Problem(chunk.file, row.line, edge, f'{name}: {chunk.context["unreadable"][name]}')
        images = [_images(card, edge, name, files[name]) for name in names]
        centroid: Frames | Problem | None = None
        if chunk.context['centroids'] is not None:
            member, lines = chunk.context['centroids']
            if edge not in lines:
                return Problem(chunk.file, row.line, edge, f'has no centroid in {member}')
            centroid = _images(card, edge, member, files[_centroid_name(edge)], lines[edge])
        for one in (*images, centroid):
            if isinstance(one, Problem):
                return one
        relaxed, initial = images
        assert isinstance(relaxed, Frames) and isinstance(initial, Frames) and not isinstance(centroid, Problem)
        if not np.array_equal(relaxed[0].numbers, initial[0].numbers):
            return Problem(names[1], 1, edge, f'its atoms are not those of {names[0]}')
        split = row.values.get(SPLIT_COLUMN) or None
        material = row.values.get(card.material) if card.material else None
        try:
            properties = properties_of(card, {key: plain_value(text) for key, text in row.values.items()})
        except ValueError as error:
            return Problem(chunk.file, row.line, edge, str(error))
        entry = Entry(edge, split, material, relaxed, properties, names[0], 1, number, row.values, initial, centroid)
        lacking = missing(card, entry) or incomplete(entry.frames)
        return entry if lacking is None else Problem(names[0], 2, edge, lacking)

    def write(self, card: Card, entries: Iterable[Entry], folder: Path) -> Path:
        top = folder / card.name
        top.mkdir(parents=True, exist_ok=True)
        rows = []
        with (top / f'{card.name}{_CENTROIDS}').open('wb') as centroids:
            for entry in entries:
                for ending, frames in ((_RELAXED, entry.frames), (_INITIAL, entry.initial)):
                    if frames is not None:
                        text = b''.join(format_frame(frame, card.keys) for frame in frames)
                        (top / f'{entry.id}{ending}').write_bytes(text)
                if entry.centroid is not None:
                    centroids.write(format_frame(entry.centroid, card.keys))
                if entry.row is not None:
                    rows.append(entry.row)
        write_index(top / f'{card.name}_index.csv', rows)
        return top


def _centroid_name(edge: str) -> str:
    return f'{edge}/centroid'


def _images(card: Card, edge: str, name: str, text: bytes, first_line: int = 1) -> Frames | Problem:
    """Return the images in a file, or what is wrong with one of them."""
    found = read_block(text, card.keys, first_line)
    if not found:
        return Problem(name, first_line, edge, 'is empty')
    for image in found:
        if image.frame is None:
            return Problem(name, image.wrong_line, edge, f'image {image.number}: {image.reason}')
    frames = [image.frame for image in found if image.frame is not None]
    for image in found:
        assert image.frame is not None
        if not np.array_equal(image.frame.numbers, frames[0].numbers):
            return Problem(name, image.line, edge, f'image {image.number} has other atoms than the first one')
    try:
        return Frames.stack(frames)
    except ValueError as error:
        return Problem(name, first_line, edge, str(error))


class _Centroids:
    """Texts of the supercells in the file of all centroids, found by identifier, else by their place.

    Only a window of the file is kept: paths are asked for in the order of the index, which is the file's order.
    """

    def __init__(self, source: Source, member: str, n_rows: int) -> None:
        self._source, self._member = source, member
        named: dict[str, tuple[int, int, int]] = {}
        placed: list[tuple[int, int, int]] = []
        stream = Guarded(source, member, 0)
        for stretch in stretches(stream.as_binary(), 1):
            place = (stretch.offset, len(stretch.data), stretch.line)
            placed.append(place)
            for name in islice(names_in(stretch.data, KEY), 1):
                named.setdefault(name, place)
        stream.close()
        self._named = named
        # Without identifiers the order counts, as it does for the publisher's loader.
        self._placed = placed if not named and len(placed) == n_rows else []
        self._stream = source.stream(member)
        self._at = 0

    @classmethod
    def open(cls, source: Source, member: str, n_rows: int) -> contextlib.closing[_Centroids]:
        return contextlib.closing(cls(source, member, n_rows))

    def find(self, edge: str, number: int) -> tuple[bytes, int]:
        """Return the text and its line; no text if there is none."""
        place = self._placed[number] if self._placed else self._named.get(edge)
        if place is None:
            return b'', 0
        offset, length, line = place
        if offset < self._at:
            self._stream.close()
            self._stream, self._at = self._source.stream(self._member), 0
        while self._at < offset:
            self._at += len(self._stream.read(min(offset - self._at, 1 << 20)))
        text = self._stream.read(length)
        self._at += len(text)
        return text, line

    def close(self) -> None:
        self._stream.close()
