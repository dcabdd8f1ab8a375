"""A person's own set: extended xyz, or anything else that ASE reads, described by a card of a dozen lines."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from ...contract.frames import Frames
from ..card import Card
from ..entry import START, Chunk, Cursor, Entry, Parsed, Part, Problem
from ..extxyz import Configuration
from ..source import Source
from .base import CHUNK_SIZE, READ_ERRORS
from .xyz import SUFFIXES, XyzImporter

NO_STRUCTURES = frozenset({'.csv', '.tsv', '.txt', '.md', '.yaml', '.yml', '.pdf', '.png', '.py', '.pkl', '.pickle'})
FORBIDDEN = frozenset({'bundletrajectory', 'pickle'})
"""Formats that can hold pickles: nothing that a stranger wrote is unpickled."""


class PlainImporter(XyzImporter):
    """Extended xyz goes the fast way; a file of another format is read by ASE, image by image.

    A file whose name is, or ends with, the name of a split in the card belongs to it.
    """

    layout = 'plain'

    def parts(self, source: Source, card: Card) -> tuple[list[Part], list[Problem]]:
        names = [name for name in source.members if PurePosixPath(name).suffix.lower() not in NO_STRUCTURES]
        if not names:
            raise ValueError(f'{source.path} holds no file with structures')
        found = self._distinct([self._part(card, name) for name in names])
        order = {split: number for number, split in enumerate(card.splits)}
        found.sort(key=lambda part: (order.get(part.split or '', len(order)), part.name))
        missing = set(card.splits) - {part.split for part in found}
        return found, [
            Problem(source.name, 0, None, f'there is no file of the split {split}') for split in sorted(missing)
        ]

    def chunks(
        self, source: Source, card: Card, part: Part, start: Cursor = START, size: int = CHUNK_SIZE
    ) -> Iterator[Chunk]:
        member = part.members[0]
        if member.endswith(SUFFIXES):
            yield from super().chunks(source, card, part, start, size)
            return
        with tempfile.TemporaryDirectory() as folder:
            images = _images(source, member, Path(folder), start.offset)
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
        found = []
        for number, (_, content) in enumerate(chunk.payload):
            frame = Frames.from_bytes(content)
            reason = _not_finite(frame)
            found.append(Configuration(number, 0, None if reason else frame, reason, 0))
        parsed = self._sorted(card, chunk, found)
        parsed.problems.extend(Problem(chunk.file, 0, None, reason) for reason in chunk.context['broken'])
        return parsed

    def _file_name(self, card: Card, entry: Entry) -> str:
        return f'{PurePosixPath(entry.file).stem}.xyz'


def _not_finite(frame: Frames) -> str | None:
    for name in ('positions', 'cells', 'energies', 'forces', 'stresses'):
        values = getattr(frame, name)
        if values is not None and not np.isfinite(values).all():
            return f'{name} hold a number that is not finite'
    return None


def _images(source: Source, member: str, folder: Path, first: int) -> Iterator[bytes | str]:
    """Return the images of a file from one on, each as bytes of ``Frames``; last, if so, why it goes no further."""
    from ase.io import iread
    from ase.io.formats import filetype

    from ...analysis.frames import from_ase

    # Ase tells formats by names and contents of files on disk.
    path = folder / PurePosixPath(member).name
    try:
        with source.stream(member) as stream, path.open('wb') as copy:
            shutil.copyfileobj(stream, copy, 1 << 20)
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
