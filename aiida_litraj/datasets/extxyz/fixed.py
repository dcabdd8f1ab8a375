"""Tables of fixed width, as ASE and most programs write them, by arithmetic on eight characters at a time.

A number of at most 15 digits is an integer below 2^53 divided by a power of ten; both are exact in a double, and the
division rounds once, correctly (W. D. Clinger, PLDI 1990). So each number is what ``float`` makes of its characters.
The eight digits of a word are joined in pairs by three multiplications (D. Lemire, "Quickly parsing eight digits",
2022). Whatever is not exactly as the layout says is left to the reader of any format.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from ...contract.arrays import Array
from .elements import BY_BYTES

ROWS: Final = 1024
"""Rows to read together, so that all that is computed of them stays in the processor's cache."""
WORD: Final = 8
MAX_DECIMALS: Final = 2 * WORD
_EXACT: Final = 2.0**53
_SPACE: Final = np.uint64(0x20)
_SPACES: Final = np.uint64(0x2020202020202020)
_ZEROS: Final = np.uint64(0x3030303030303030)
_SIXES: Final = np.uint64(0x0606060606060606)
_NO_DIGIT: Final = np.uint64(0x1010101010101010)
_BEYOND: Final = np.uint64(0xE0E0E0E0E0E0E0E0)
_HIGH: Final = np.uint64(0xF0F0F0F0F0F0F0F0)
_LOW: Final = np.uint64(0x0F0F0F0F0F0F0F0F)
_MINUSES: Final = np.uint64(0x0D0D0D0D0D0D0D0D)
_LAST: Final = np.uint64(0x10 << 56)
_ONE, _FOUR, _EIGHT = np.uint64(1), np.uint64(4), np.uint64(8)
_ALL: Final = (1 << 64) - 1

Words = npt.NDArray[np.uint64]


class Layout(NamedTuple):
    """Where the columns of a table of fixed width stand."""

    width: int
    """Bytes of a row, with its line end."""
    ends: tuple[int, ...]
    """End of each column behind the symbol."""
    decimals: tuple[int, ...]
    """Digits behind the point; 0 for an integer, -1 for a logical."""


def fixed_layout(first: bytes, kinds: Sequence[str]) -> Layout | None:
    """Return where the columns stand in a row, or ``None`` if it is not a symbol followed by right-aligned numbers.

    :param first: the first row with its line end.
    :param kinds: kind of each column, the symbol's included.
    """
    words = first.split()
    if len(words) != len(kinds) or kinds[0] != 'S' or any(kind not in 'RIL' for kind in kinds[1:]):
        return None
    ends, decimals = [], []
    at = len(words[0])
    for word, kind in zip(words[1:], kinds[1:]):
        at = first.index(word, at) + len(word)
        point = word.find(b'.')
        digits = -1 if kind == 'L' else len(word) - point - 1 if kind == 'R' else 0
        begin = at - 1 if kind == 'L' else at - (digits + 1 if kind == 'R' else 0)
        if (kind == 'R') != (point >= 0) or digits > MAX_DECIMALS or (kind == 'R' and digits < 1) or begin < WORD:
            return None
        ends.append(at)
        decimals.append(digits)
    return Layout(len(first), tuple(ends), tuple(decimals)) if len(first) == at + 1 else None


def parse_fixed(rows: npt.NDArray[np.uint8], layout: Layout) -> tuple[npt.NDArray[np.uint8], Array] | None:
    """Return atomic numbers (N,) and the other columns (N, C) of a table of fixed width, logicals as 0 and 1.

    ``None`` if anything in it is not as the layout says; atomic numbers are ``UNKNOWN`` where the symbol is.

    :param rows: (N, width) characters, contiguous.
    """
    if (rows[:, -1] != 10).any():
        return None
    values = np.empty((len(rows), len(layout.ends)))
    begins = (2, *layout.ends[:-1])
    for decimals in set(layout.decimals):
        columns = [number for number, one in enumerate(layout.decimals) if one == decimals]
        spans = [(begins[column], layout.ends[column]) for column in columns]
        found = _logicals(rows, spans) if decimals < 0 else _numbers(rows, spans, decimals)
        if found is None:
            return None
        if len(columns) == values.shape[1]:
            values[:] = found.T
        else:
            values[:, columns] = found.T
    return BY_BYTES[_strided(rows, 0, '>u2').astype(np.uint16)], values


def _logicals(rows: npt.NDArray[np.uint8], spans: Sequence[tuple[int, int]]) -> Array | None:
    found = np.empty((len(spans), len(rows)))
    for column, (begin, end) in enumerate(spans):
        last = rows[:, end - 1]
        found[column] = true = last == ord('T')
        if not (true | (last == ord('F'))).all() or (rows[:, begin : end - 1] != _SPACE).any() or end - begin < 2:
            return None
    return found


def _numbers(rows: npt.NDArray[np.uint8], spans: Sequence[tuple[int, int]], decimals: int) -> Array | None:
    """Return the numbers (columns, N) with as many decimals, or ``None`` if one of them is no such number.

    A byte of a digit, blank or minus becomes its value, 0x10 or 0x1D by one exclusive or with zeros.
    """
    words = np.empty((len(spans), len(rows)), dtype=np.uint64)
    for column, (begin, end) in enumerate(spans):
        whole = end - decimals - 1 if decimals else end
        first = whole - WORD + 1 if decimals else whole - WORD
        words[column] = _strided(rows, first, '<u8')
        # Before the word there are blanks; what the column before ends with does not belong to it.
        if begin < first:
            if (rows[:, begin:first] != _SPACE).any():
                return None
        elif begin > first:
            mine = np.uint64(_ALL ^ ((1 << 8 * (begin - first)) - 1))
            words[column] = (words[column] & mine) | (_SPACES & ~mine)
            if ((words[column] >> np.uint64(8 * (begin - first))) & np.uint64(0xFF) != _SPACE).any():
                return None
    if decimals:
        if ((words >> np.uint64(56)) != ord('.')).any():
            return None
        words <<= _EIGHT
        words |= _SPACE
    words ^= _ZEROS
    blank = words & _NO_DIGIT
    # Whole bytes of ones where there is no digit; they come first, so that this plus one is a power of two.
    filled = (blank >> _FOUR) * np.uint64(255)
    sign = words & (filled & _LOW)
    bad = (words & _BEYOND) | (filled & (filled + _ONE)) | (blank & _LAST)
    bad |= ((words + _SIXES) & _NO_DIGIT) & ~blank & ~filled
    # A minus is the last of them, all others are blanks.
    negative = sign != 0
    bad |= sign ^ ((filled ^ (filled >> _EIGHT)) & _MINUSES) * negative
    if bad.any():
        return None
    total = _join(words & ~filled)
    limit = 10.0**WORD
    for start in range(0, decimals, WORD):
        count = min(decimals - start, WORD)
        for column, (_, end) in enumerate(spans):
            words[column] = _strided(rows, end - decimals + start + count - WORD, '<u8')
        words ^= _ZEROS
        if count < WORD:
            words &= np.uint64(_ALL ^ ((1 << 8 * (WORD - count)) - 1))
        if ((words | (words + _SIXES)) & _HIGH).any():
            return None
        limit *= 10.0**count
        if limit > 1e19 and total.max(initial=0) > 2**53 // 10**count:
            return None
        total *= np.uint64(10**count)
        total += _join(words)
    numbers = total.astype(float)
    if limit > _EXACT and numbers.max(initial=0.0) >= _EXACT:
        return None
    if decimals:
        numbers /= 10.0**decimals
    np.negative(numbers, out=numbers, where=negative)
    return numbers


def _strided(rows: npt.NDArray[np.uint8], at: int, kind: str) -> npt.NDArray[np.uint64]:
    """Return the bytes from a place of each row on as integers, without copying them."""
    view: npt.NDArray[np.uint64] = np.ndarray(
        (len(rows),), dtype=kind, buffer=rows.data, offset=at, strides=(rows.shape[1],)
    )
    return view


def _join(digits: Words) -> Words:
    """Return the number whose eight digits, most significant first, are the bytes."""
    pairs = (digits * np.uint64(2561)) >> np.uint64(8)
    fours = ((pairs & np.uint64(0x00FF00FF00FF00FF)) * np.uint64(6553601)) >> np.uint64(16)
    found: Words = ((fours & np.uint64(0x0000FFFF0000FFFF)) * np.uint64(42949672960001)) >> np.uint64(32)
    return found
