"""Cutting an extended xyz file into the texts of its configurations, without reading a number but their sizes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

READ_BYTES = 4 << 20
MAX_BYTES = 32 << 20
"""A stretch is handed on at this size even if it holds fewer configurations than asked for."""
ROW_BYTES = 400
"""A row of a large configuration is not longer than this on average."""
MAX_DIGITS = 6
"""A line is taken for a number of atoms up to this many digits."""
SHOWN = 40


class Block(NamedTuple):
    """Text of one configuration, or of what should have been one."""

    start: int
    """Bytes from the beginning of the text it was cut from."""
    end: int
    line: int
    """Line of the number of atoms, from 0."""
    n_atoms: int
    reason: str | None
    """What is wrong with it as a whole; ``None`` if nothing is."""


class Stretch(NamedTuple):
    """Consecutive blocks of a file as one text, with where it lies in the file."""

    data: bytes
    offset: int
    line: int
    n_blocks: int
    n_lines: int


class Lines:
    """Lines of a text by number."""

    def __init__(self, data: bytes, final: bool) -> None:
        self.data = data
        ends = np.flatnonzero(np.frombuffer(data, dtype=np.uint8) == 10)
        if final and data and data[-1] != 10:
            ends = np.append(ends, len(data))
        self.ends: npt.NDArray[np.int64] = ends
        self.count = len(ends)

    def start(self, line: int) -> int:
        """Return where a line begins, in bytes; for the line after the last one where that one ends."""
        return 0 if line == 0 else min(int(self.ends[line - 1]) + 1, len(self.data))

    def text(self, line: int) -> bytes:
        return self.data[self.start(line) : int(self.ends[line])].strip()

    def next_count(self, line: int, end: int | None = None) -> int | None:
        """Return the first line from ``line`` on, and before ``end``, that holds a number of atoms and nothing else."""
        for candidate in range(line, self.count if end is None else end):
            if number_of_atoms(self.text(candidate)) is not None:
                return candidate
        return None


def number_of_atoms(text: bytes) -> int | None:
    """Return the number on a line that holds nothing else, or ``None``."""
    return int(text) if text.isdigit() and len(text) <= MAX_DIGITS else None


def cut(data: bytes, final: bool = True) -> tuple[list[Block], int, int]:
    """Return the blocks of a text, and how many bytes and lines they take.

    Without ``final`` more text may follow, and what is not yet complete is left. After a wrong number of atoms it
    goes on at the next line that holds nothing but an integer, so that one bad configuration costs no good one.
    """
    lines = Lines(data, final)
    blocks: list[Block] = []
    line = 0
    done = 0
    while line < lines.count:
        text = lines.text(line)
        if not text:
            line += 1
            if not final or line < lines.count:
                done = line
            continue
        n_atoms = number_of_atoms(text)
        following = line + 2 + n_atoms if n_atoms is not None else line
        if n_atoms is not None and following < lines.count:
            reason = None if _ends(lines, line, following) else 'goes on'
        elif not final:
            break
        else:
            reason = None if following == lines.count else 'cut off'
        if n_atoms is None or reason is not None:
            found = lines.next_count(line + 1)
            if found is None and not final:
                break
            following = lines.count if found is None else found
            reason = _what(text, n_atoms, following - line - 2)
        blocks.append(Block(lines.start(line), lines.start(following), line, n_atoms or 0, reason))
        line = done = following
    return blocks, lines.start(done) if not final else len(data), done if not final else lines.count


def _ends(lines: Lines, line: int, following: int) -> bool:
    """Return whether the configuration that begins at ``line`` ends before ``following``.

    After it comes another one, or nothing, or something that is no row of its table either.
    """
    text = lines.text(following)
    if not text or number_of_atoms(text) is not None:
        return True
    if lines.next_count(line + 1, following) is not None:
        return False
    return len(text.split()) != len(lines.text(following - 1).split())


def _what(text: bytes, n_atoms: int | None, n_lines: int) -> str:
    if n_atoms is None:
        return f'expected a number of atoms, found "{text[:SHOWN].decode(errors="replace")}"'
    follow = '1 line follows' if n_lines == 1 else f'{max(n_lines, 0)} lines follow'
    return f'announces {n_atoms} {"atom" if n_atoms == 1 else "atoms"}, but {follow}'


def stretches(stream: BinaryIO, size: int, offset: int = 0, line: int = 1) -> Iterator[Stretch]:
    """Return a stream's configurations, ``size`` at a time, as they stand; the stream is at byte ``offset``.

    Memory stays below a few ``MAX_BYTES`` whatever the stream holds.

    :param line: number of the stream's next line, from 1.
    """
    pending = b''
    final = False
    blocks: list[Block] = []
    taken = n_lines = 0
    while not final or pending:
        if not final:
            piece = stream.read(READ_BYTES)
            final = not piece
            pending += piece
        more, n_bytes, further = cut(pending[taken:] if taken else pending, final)
        blocks += [_moved(block, taken, n_lines) for block in more]
        taken, n_lines = taken + n_bytes, n_lines + further
        while len(blocks) >= size:
            end = blocks[size].start if len(blocks) > size else taken
            lines_here = blocks[size].line if len(blocks) > size else n_lines
            yield Stretch(pending[:end], offset, line, size, lines_here)
            pending, offset, line = pending[end:], offset + end, line + lines_here
            taken, n_lines = taken - end, n_lines - lines_here
            blocks = [_moved(block, -end, -lines_here) for block in blocks[size:]]
        over = len(pending) > MAX_BYTES
        if final or (over and blocks):
            if blocks:
                yield Stretch(pending[:taken], offset, line, len(blocks), n_lines)
            pending, offset, line = pending[taken:], offset + taken, line + n_lines
            blocks, taken, n_lines = [], 0, 0
            if final:
                return
        elif over and not _promising(pending):
            # A line without an end, or noise: handed on to be reported.
            found, _, _ = cut(pending)
            ends = pending.count(b'\n')
            yield Stretch(pending, offset, line, len(found), ends)
            pending, offset, line, taken, n_lines = b'', offset + len(pending), line + ends, 0, 0


def _moved(block: Block, n_bytes: int, n_lines: int) -> Block:
    return Block(block.start + n_bytes, block.end + n_bytes, block.line + n_lines, block.n_atoms, block.reason)


def _promising(pending: bytes) -> bool:
    """Return whether a text that is not complete may be one configuration that is larger than usual."""
    n_atoms = number_of_atoms(pending[: pending.find(b'\n') + 1].strip())
    return n_atoms is not None and len(pending) < MAX_BYTES + ROW_BYTES * n_atoms
