"""Sets of very many small files: read and stored many at a time, for a transaction each is what takes the time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from ..entry import START, Chunk, Cursor, Part
from ..source import Source
from .base import READ_ERRORS

MANY = 20
"""Small files of a split from which on they are one part."""
SMALL = 1 << 18
"""Bytes of a file that is small."""
MOST_BYTES = 1 << 23
"""Of the files of a chunk."""


def together(parts: Iterable[Part], sizes: Mapping[str, int], expected: Mapping[str | None, int | None]) -> list[Part]:
    """Return the parts with those that are one small file each put together, by split, if they are many.

    Such a part has its files in the order of their names, and ``prefixes`` by which the entries of each are called.

    :param sizes: in bytes, by name of the file.
    :param expected: number of entries of each split by the card.
    """
    kept: list[Part] = []
    small: dict[str | None, list[Part]] = defaultdict(list)
    for part in parts:
        (small[part.split] if sizes[part.name] <= SMALL else kept).append(part)
    for split, these in small.items():
        if len(these) < MANY:
            kept += these
            continue
        these.sort(key=lambda part: part.name)
        alone = not any(part.split == split for part in kept)
        known = expected.get(split) if alone else None
        kept.append(
            Part(
                'small files' if split is None else f'small files of {split}',
                split,
                tuple(part.name for part in these),
                len(these) if known is None else known,
                prefixes=tuple(part.prefix for part in these),
            )
        )
    return kept


def chunks_of_files(source: Source, part: Part, start: Cursor, size: int) -> Iterator[Chunk]:
    """Yield whole files, ``size`` at a time at most, from the one whose number is ``start.offset``.

    Files are counted, not what is in them: nobody knows that before they are read.
    """
    payload: list[tuple[str, bytes]] = []
    unreadable: dict[str, str] = {}
    first, n_bytes = start.offset, 0
    for number in range(start.offset, len(part.members)):
        name, content = part.members[number], b''
        try:
            content = source.read(name)
        except (KeyError, *READ_ERRORS) as error:
            unreadable[name] = f'cannot be read: {error}'
        payload.append((name, content))
        n_bytes += len(content)
        if len(payload) == size or n_bytes > MOST_BYTES or number + 1 == len(part.members):
            context = {'prefixes': list(part.prefixes[first : number + 1]), 'unreadable': unreadable}
            here, end = Cursor(first, first, START.line), Cursor(number + 1, number + 1, START.line)
            yield Chunk(part.name, part.split, here, end, payload, payload[0][0], context)
            payload, unreadable, first, n_bytes = [], {}, number + 1, 0
