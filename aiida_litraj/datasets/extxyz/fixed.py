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

ROWS: Final = 2048
"""Rows to read together, so that all that is computed of them stays in the processor's cache."""
WORD: Final = 8
MAX_DECIMALS: Final = 2 * WORD
_EXACT: Final = 2.0**53
_LAST: Final = np.uint64(0x80 << 56)
_TOPS: Final = np.uint64(0x8080808080808080)
_ONE: Final = np.uint64(1)
_LOW_HALVES: Final = np.uint64(0x0F0F0F0F0F0F0F0F)
_ZEROS: Final = np.uint64(0x3030303030303030)
_TO_TOP: Final = np.uint64(0x4646464646464646)
_SPACES: Final = np.uint64(0x2020202020202020)
_MINUSES: Final = np.uint64(0x2D2D2D2D2D2D2D2D)

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
    begin = 2
    for column, (end, decimals) in enumerate(zip(layout.ends, layout.decimals)):
        if decimals < 0:
            last = rows[:, end - 1]
            true = last == ord('T')
            numbers: Array | None = true.astype(float) if (true | (last == ord('F'))).all() else None
            blank = end - 1
        else:
            whole = end - decimals - 1 if decimals else end
            # The point, if there is one, is shifted out and a blank in.
            numbers = _numbers(rows, begin, whole, decimals)
            blank = whole - WORD + (1 if decimals else 0)
        if numbers is None or (rows[:, begin : max(blank, begin + 1)] != ord(' ')).any():
            return None
        values[:, column] = numbers
        begin = end
    return BY_BYTES[_strided(rows, 0, '>u2')], values


def _numbers(rows: npt.NDArray[np.uint8], begin: int, whole: int, decimals: int) -> Array | None:
    """Return the numbers whose digits before the point end at ``whole``, or ``None`` if they are no such numbers."""
    if decimals:
        word = _strided(rows, whole - WORD + 1, '<u8')
        if ((word >> np.uint64(56)) != ord('.')).any():
            return None
        word = (word << np.uint64(8)) | np.uint64(0x20)
        room = whole - begin + 1
    else:
        word = _strided(rows, whole - WORD, '<u8')
        room = whole - begin
    if room < WORD:
        # What the column before it ends with does not belong to it.
        mine = np.uint64((1 << 64) - (1 << (8 * (WORD - room))))
        word = (word & mine) | (_SPACES & ~mine)
    minus = _equal(word, _MINUSES)
    spaces = _equal(word, _SPACES)
    digits = _digits(word)
    # From the left: blanks, at most one minus, digits, of which the last is one.
    leading = spaces | minus
    if (
        (minus & (minus - _ONE)).any()
        or _gaps(leading).any()
        or _gaps(spaces).any()
        or ((leading | digits) != _TOPS).any()
        or not (digits & _LAST).all()
    ):
        return None
    total = _join(word & ~_filled(minus))
    left = decimals
    at = whole + 1
    limit = 10.0**WORD
    while left:
        count = min(left, WORD)
        word = _strided(rows, at + count - WORD, '<u8')
        if count < WORD:
            mine = np.uint64((1 << 64) - (1 << (8 * (WORD - count))))
            word = (word & mine) | (_ZEROS & ~mine)
        if not (_digits(word) == _TOPS).all():
            return None
        limit *= 10.0**count
        if limit > 1e19 and total.max(initial=0) > 2**53 // 10**count:
            return None
        total = total * np.uint64(10**count) + _join(word)
        at += count
        left -= count
    numbers = total.astype(float)
    if limit > _EXACT and numbers.max(initial=0.0) >= _EXACT:
        return None
    if decimals:
        numbers /= 10.0**decimals
    if minus.any():
        np.negative(numbers, out=numbers, where=minus != 0)
    return numbers


def _strided(rows: npt.NDArray[np.uint8], at: int, kind: str) -> npt.NDArray[np.uint64]:
    """Return the bytes from a place of each row on as integers."""
    view: npt.NDArray[np.uint64] = np.ndarray(
        (len(rows),), dtype=kind, buffer=rows.data, offset=at, strides=(rows.shape[1],)
    )
    return view.copy() if view.dtype.isnative else view.astype(view.dtype.newbyteorder('='))


def _equal(word: Words, pattern: np.uint64) -> Words:
    """Return the top bit of each byte that equals the pattern's."""
    different = word ^ pattern
    found: Words = ~(((different & ~_TOPS) + ~_TOPS) | different) & _TOPS
    return found


def _digits(word: Words) -> Words:
    """Return the top bit of each byte that is a digit; a byte above 127 is none."""
    # Per byte without carry, because 0x46 + 0x7F stays below 256 and the subtraction is of a byte with its top bit set.
    low = word & ~_TOPS
    above = (low + _TO_TOP) & _TOPS
    below = ~((low | _TOPS) - _ZEROS) & _TOPS
    found: Words = ~(above | below | word) & _TOPS
    return found


def _gaps(tops: Words) -> Words:
    """Return what is not zero where the marked bytes are not the first ones."""
    filled = _filled(tops)
    found: Words = filled & (filled + _ONE)
    return found


def _filled(tops: Words) -> Words:
    """Return whole bytes of ones where the top bit is set."""
    found: Words = (tops >> np.uint64(7)) * np.uint64(255)
    return found


def _join(word: Words) -> Words:
    """Return the number whose eight digits, most significant first, are the low halves of the bytes."""
    word = word & _LOW_HALVES
    word = (word * np.uint64(2561)) >> np.uint64(8)
    word = ((word & np.uint64(0x00FF00FF00FF00FF)) * np.uint64(6553601)) >> np.uint64(16)
    found: Words = ((word & np.uint64(0x0000FFFF0000FFFF)) * np.uint64(42949672960001)) >> np.uint64(32)
    return found
