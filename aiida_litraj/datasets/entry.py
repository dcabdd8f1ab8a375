"""What importers hand on: an entry of a data set, a piece of its files, and what was wrong with the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from ..contract.frames import Frames


class Cursor(NamedTuple):
    """Place in a part where the next chunk begins; three integers, so that a database keeps it as a list."""

    offset: int = 0
    """Bytes from the beginning of the part's file; for sets of many files the number of the next one."""
    number: int = 0
    """Running number of the next entry in its part, from 0; malformed entries count too."""
    line: int = 1
    """Line of the part's file, from 1."""


START: Final = Cursor()


@dataclass(frozen=True)
class Part:
    """A piece of a data set that is read in one go from beginning to end: a split's file, or a folder of files."""

    name: str
    split: str | None
    members: tuple[str, ...]
    """Names of the files in the source."""
    n_expected: int | None = None
    """Number of entries the card announces."""
    prefix: str = ''
    """What its entries are called by before their running number, where the files do not name them."""
    prefixes: tuple[str, ...] = ()
    """The same for each file of a part of many small files, in which entries are numbered file by file."""


@dataclass(frozen=True)
class Chunk:
    """Raw bytes of some consecutive entries of a part, to be parsed anywhere: it can be pickled."""

    part: str
    split: str | None
    start: Cursor
    end: Cursor
    """What ``Importer.chunks`` takes to go on after this chunk."""
    payload: bytes | Sequence[tuple[str, bytes]]
    """A stretch of one file, or whole files with their names."""
    file: str
    """Member of the source that ``start`` refers to."""
    context: Mapping[str, Any] = field(default_factory=dict)
    """What else the importer needs to know for parsing, such as rows of an index."""
    prefix: str = ''
    """That of the part."""

    @property
    def first_number(self) -> int:
        return self.start.number

    @property
    def first_line(self) -> int:
        return self.start.line

    @property
    def n_entries(self) -> int:
        """Number of entries, malformed ones included."""
        return self.end.number - self.start.number

    @property
    def n_bytes(self) -> int:
        if isinstance(self.payload, bytes):
            return len(self.payload)
        return sum(len(content) for _, content in self.payload)


@dataclass(frozen=True)
class Entry:
    """One entry of a data set: a configuration, a path, a structure or a supercell with its centroid."""

    id: str
    split: str | None
    material: str | None
    """Which material it belongs to; what must not be torn apart between training and test data."""
    frames: Frames
    """One configuration, or the images of a path."""
    properties: Mapping[str, Any]
    """Scalars of the entry by name, with units and meanings in the card."""
    file: str
    line: int
    """Where the entry begins in its file, from 1; 0 for binary files."""
    number: int
    """Running number in its part, from 0."""
    row: Mapping[str, str] | None = None
    """Row of the set's index, as it stands there."""
    initial: Frames | None = None
    """Images of a path before it was optimised."""
    centroid: Frames | None = None
    """Supercell of a path with the pseudo-atom X in the middle of the hop."""


@dataclass(frozen=True)
class Problem:
    """Why something of the source did not become an entry."""

    file: str
    line: int
    """From 1; 0 where the file as a whole is meant or has no lines."""
    entry_id: str | None
    reason: str

    def __str__(self) -> str:
        place = f'{self.file}:{self.line}' if self.line else self.file
        return f'{place}: {self.reason}' if self.entry_id is None else f'{place}: {self.entry_id}: {self.reason}'


@dataclass(frozen=True)
class Parsed:
    """Entries and problems of one chunk, in the order of the file."""

    entries: list[Entry]
    problems: list[Problem]
