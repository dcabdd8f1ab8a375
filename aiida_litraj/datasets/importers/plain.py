"""A person's own set: extended xyz, or anything else that ASE reads, described by a card of a dozen lines."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from ...contract.frames import Frames
from ..card import Card
from ..entry import START, Chunk, Cursor, Entry, Parsed, Part, Problem
from ..extxyz import Configuration
from ..source import Source
from .base import CHUNK_SIZE, READ_ERRORS, without_repeats
from .many import chunks_of_files, together
from .xyz import SUFFIXES, XyzImporter

NO_STRUCTURES = frozenset({'.csv', '.tsv', '.txt', '.md', '.yaml', '.yml', '.pdf', '.png', '.py', '.pkl', '.pickle'})
FORBIDDEN = frozenset({'bundletrajectory', 'pickle'})
"""Formats that can hold pickles: nothing that a stranger wrote is unpickled."""


class PlainImporter(XyzImporter):
    """Extended xyz goes the fast way; a file of another format is read by ASE, image by image.

    A file whose name is, or ends with, the name of a split in the card belongs to it. Very many small files are one
    part, so that they are stored many at a time.
    """

    layout = 'plain'
    split_files = False

    def parts(self, source: Source, card: Card) -> tuple[list[Part], list[Problem]]:
        names = [name for name in source.members if PurePosixPath(name).suffix.lower() not in NO_STRUCTURES]
        if not names:
            raise ValueError(f'{source.path} holds no file with structures')
        found = self._distinct([self._part(card, name) for name in names])
        expected: dict[str | None, int | None] = {None: None if card.splits else card.n_entries}
        expected.update(card.splits)
        found = together(found, source.members, expected)
        order = {split: number for number, split in enumerate(card.splits)}
        found.sort(key=lambda part: (order.get(part.split or '', len(order)), part.name))
        missing = set(card.splits) - {part.split for part in found}
        return found, [
            Problem(source.name, 0, None, f'there is no file of the split {split}') for split in sorted(missing)
        ]

    def chunks(
        self, source: Source, card: Card, part: Part, start: Cursor = START, size: int = CHUNK_SIZE
    ) -> Iterator[Chunk]:
        if part.prefixes:
            yield from chunks_of_files(source, part, start, size)
            return
        member = part.members[0]
        if member.endswith(SUFFIXES):
            yield from super().chunks(source, card, part, start, size)
            return
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / PurePosixPath(member).name
            images = _images(path, start.offset, _copied(source, member, path))
            first, payload = start.offset, []
            broken: list[str] = []
            for image in images:
                if isinstance(image, str):
                    broken.append(image)
                    break
                payload.append(('', image))
                if len(payload) == size:
                    yield self._chunk(part, first, payload, broken)
                    first, payload = first + len(payload), []
            if first == 0 and not payload and not broken:
                broken.append('holds no structure that can be read')
            if payload or broken:
                yield self._chunk(part, first, payload, broken)

    def _chunk(self, part: Part, first: int, payload: list[tuple[str, bytes]], broken: list[str]) -> Chunk:
        last = first + len(payload) + len(broken)
        here, end = Cursor(first, first, 0), Cursor(last, last, 0)
        return Chunk(part.name, part.split, here, end, payload, part.members[0], {'broken': broken}, part.prefix)

    def parse(self, card: Card, chunk: Chunk) -> Parsed:
        if isinstance(chunk.payload, bytes):
            return super().parse(card, chunk)
        if 'prefixes' in chunk.context:
            return self._parse_files(card, chunk)
        found = []
        for number, (_, content) in enumerate(chunk.payload):
            frame = Frames.from_bytes(content)
            reason = _not_finite(frame)
            found.append(Configuration(number, 0, None if reason else frame, reason, 0))
        parsed = self._sorted(card, chunk, found)
        parsed.problems.extend(Problem(chunk.file, 0, None, reason) for reason in chunk.context['broken'])
        return parsed

    def _parse_files(self, card: Card, chunk: Chunk) -> Parsed:
        """Return what is in whole files, each entry called by its own; its number is that of the file."""
        entries: list[Entry] = []
        problems: list[Problem] = []
        assert not isinstance(chunk.payload, bytes)
        with tempfile.TemporaryDirectory() as folder:
            for place, ((name, content), prefix) in enumerate(zip(chunk.payload, chunk.context['prefixes'])):
                if name in chunk.context['unreadable']:
                    problems.append(Problem(name, 0, f'{prefix}/0', chunk.context['unreadable'][name]))
                    continue
                one = self._whole(card, chunk, name, content, prefix, Path(folder))
                number = chunk.first_number + place
                entries += [replace(entry, number=number) for entry in one.entries]
                problems += one.problems
        return Parsed(without_repeats(entries, problems), problems)

    def _whole(self, card: Card, chunk: Chunk, name: str, content: bytes, prefix: str, folder: Path) -> Parsed:
        """Return what is in a file whose content is at hand."""
        here = Chunk(chunk.part, chunk.split, START, START, content, name, {}, prefix)
        if name.endswith(SUFFIXES):
            parsed = super().parse(card, here)
        else:
            path = folder / PurePosixPath(name).name
            path.write_bytes(content)
            images = list(_images(path, 0))
            path.unlink()
            payload = [('', image) for image in images if isinstance(image, bytes)]
            broken = [image for image in images if isinstance(image, str)]
            parsed = self.parse(card, replace(here, payload=payload, context={'broken': broken}))
        if not parsed.entries and not parsed.problems:
            parsed.problems.append(Problem(name, 0, None, 'holds no structure that can be read'))
        return parsed

    def _names(self, card: Card) -> Callable[[Entry], str]:
        """Return a function that gives each file of the source one of its own, in the folders where it was."""
        taken: dict[str, str] = {}

        def name_of(entry: Entry) -> str:
            name = entry.file if entry.file.endswith(SUFFIXES) else str(PurePosixPath(entry.file).with_suffix('.xyz'))
            return name if taken.setdefault(name, entry.file) == entry.file else f'{entry.file}.xyz'

        return name_of


def _not_finite(frame: Frames) -> str | None:
    for name in ('positions', 'cells', 'energies', 'forces', 'stresses'):
        values = getattr(frame, name)
        if values is not None and not np.isfinite(values).all():
            return f'{name} hold a number that is not finite'
    return None


def _copied(source: Source, member: str, path: Path) -> str | None:
    """Copy a member to a file, for ASE tells formats by names and contents of files on disk; return why it failed."""
    try:
        with source.stream(member) as stream, path.open('wb') as copy:
            shutil.copyfileobj(stream, copy, 1 << 20)
    except READ_ERRORS as error:
        return f'cannot be read: {error}'
    return None


def _images(path: Path, first: int, broken: str | None = None) -> Iterator[bytes | str]:
    """Return the images of a file from one on, each as bytes of ``Frames``; last, if so, why it goes no further."""
    if broken is not None:
        yield broken
        return
    from ase.io import iread
    from ase.io.formats import filetype

    from ...analysis.frames import from_ase

    try:
        kind = filetype(str(path))
        if kind in FORBIDDEN:
            raise ValueError(f'the format {kind} can hold pickles')
        for image in iread(str(path), index=slice(first, None), format=kind):
            image.set_constraint()
            image.info = {key: value for key, value in image.info.items() if _is_plain(value)}
            yield from_ase([image]).to_bytes()
    except READ_ERRORS as error:
        yield f'cannot be read: {error}'
    except Exception as error:  # readers of ASE raise whatever occurs to them
        yield f'cannot be read: {type(error).__name__}: {error}'


def _is_plain(value: Any) -> bool:
    """Return whether JSON can hold a value."""
    if isinstance(value, np.ndarray | np.generic):
        return value.dtype.kind in 'bifuU'
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(one) for key, one in value.items())
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, bool | int | float | str)
