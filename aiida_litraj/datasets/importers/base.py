"""What every importer does: list the parts of a source, cut them into chunks, read a chunk, and write entries back."""

from __future__ import annotations

import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from math import isfinite
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, cast

import numpy as np

from ...contract.frames import Frames
from ..card import Card
from ..entry import START, Chunk, Cursor, Entry, Parsed, Part, Problem
from ..source import Source

CHUNK_SIZE = 500
PIECE = 1 << 16
READ_ERRORS = (OSError, EOFError, zlib.error, zipfile.BadZipFile)
"""What reading a damaged file or zip raises."""


class Importer(ABC):
    """Reads one layout of data sets, in pieces that can be read in any process and taken up again at any chunk.

    Malformed entries never raise: they come back as problems, and the entries around them are read.
    """

    layout: ClassVar[str]
    material_is_composition: ClassVar[bool] = False
    """Whether the material of an entry is its composition, and need not be that of the atoms of the structure."""

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

    def remarks(self, source: Source, card: Card) -> list[str]:
        """Return what of a source is no entry and no fault either, in words."""
        return []

    def left_out(self, lines: Mapping[str, tuple[int, int]]) -> tuple[str, ...]:
        """Return what stood in the files of a whole set, was no entry, and is not written back either, in words.

        :param lines: of each file that entries began in, the last line of one and their number.
        """
        return ()


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


def incomplete(frames: Frames) -> str | None:
    """Return what only some images of a path have, in words, or ``None``."""
    there = {'energy': frames.energies, 'forces': frames.forces, 'stress': frames.stresses}
    for name, values in there.items():
        if values is not None and np.isnan(values).any():
            return f'has {name} in some images only'
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

    def read(self, size: int) -> bytes:
        """Return the next bytes; fewer, once, before an error, and then none."""
        pieces: list[bytes] = []
        while self._stream is not None and self.error is None and size > 0:
            try:
                # What was unpacked by the call that fails is lost, so that calls are small.
                piece = self._stream.read(min(size, PIECE))
            except READ_ERRORS as error:
                self.error = f'cannot be read further: {error}'
                break
            if not piece:
                break
            pieces.append(piece)
            size -= len(piece)
        return b''.join(pieces)

    def as_binary(self) -> BinaryIO:
        """Return itself as what functions that only read take."""
        return cast(BinaryIO, self)

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
