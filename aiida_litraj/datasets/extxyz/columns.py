"""Columns of a table of atoms in any format, word by word; each number as ``float`` returns it."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from pydantic_core import from_json

from ...contract.arrays import AnyArray, Array
from .elements import ATOMIC_NUMBERS, UNKNOWN


class Property(NamedTuple):
    """Some columns of the table of atoms: name, R(eal), I(nteger), S(tring) or L(ogical), and how many."""

    name: str
    kind: str
    columns: int


def parse_properties(text: str) -> tuple[Property, ...]:
    """Return the columns that the word ``Properties`` of a comment line announces.

    :raises ValueError: if it is not a list of name:kind:number.
    """
    fields = text.split(':')
    if len(fields) % 3 or not text:
        raise ValueError(f'Properties={text} is not a list of name:kind:number')
    found = []
    for name, kind, number in zip(fields[::3], fields[1::3], fields[2::3]):
        if kind not in {'R', 'I', 'S', 'L'} or not number.isdigit() or int(number) < 1:
            raise ValueError(f'Properties={text}: {name}:{kind}:{number} is no column')
        found.append(Property(name, kind, int(number)))
    return tuple(found)


def parse_reals(words: list[bytes]) -> Array:
    """Return the numbers in a list of words.

    :raises ValueError: if one of them is not a number.
    """
    text = b'[' + b','.join(words) + b']'
    # A minus zero without a point is an integer for JSON, and loses its sign.
    if b'-0,' not in text and b'-0]' not in text:
        try:
            return np.array(from_json(text, allow_inf_nan=True), dtype=float)
        except (ValueError, TypeError):
            pass
    if b'_' in text:
        raise ValueError('not a number')
    return np.array([float(word) for word in words])


def parse_symbols(words: list[bytes]) -> list[int]:
    """Return the atomic number of each symbol, ``UNKNOWN`` where there is no such element."""
    return [ATOMIC_NUMBERS.get(word, UNKNOWN) for word in words]


def parse_column(words: list[bytes], kind: str) -> AnyArray:
    """Return a column of integers, logicals or strings.

    :raises ValueError: naming the first word that is none.
    """
    if kind == 'I':
        return np.array([int(word) for word in words], dtype=np.int64)
    if kind == 'L':
        if not set(words) <= _LOGICAL.keys():
            raise ValueError('neither T nor F')
        return np.array([_LOGICAL[word] for word in words], dtype=bool)
    return np.array([word.decode() for word in words])


_LOGICAL: Final = {b'T': True, b'F': False, b'True': True, b'False': False}
