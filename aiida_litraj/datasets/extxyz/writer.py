"""Frames to extended xyz, each number with the fewest digits from which the same double is read back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, BinaryIO

import numpy as np
from pydantic_core import to_json

from ...contract.arrays import AnyArray
from ...contract.frames import Frames
from ..card import Keys
from .comment import format_comment
from .elements import SYMBOLS
from .reader import DEFAULT_KEYS

_KINDS = {'f': 'R', 'i': 'I', 'u': 'I', 'b': 'L', 'U': 'S'}
_SYMBOL = [f'{symbol} '.encode() for symbol in SYMBOLS]
_LOGICAL = np.array(['F', 'T'])


def write_frames(stream: BinaryIO, frames: Frames, keys: Keys = DEFAULT_KEYS) -> None:
    """Write each frame to a stream.

    :param keys: names that energy, forces and stress get in the file.
    :raises ValueError: if a word among the arrays has a blank, which the format cannot hold.
    """
    stream.writelines(format_frame(frame, keys) for frame in frames)


def write_many(stream: BinaryIO, many: Iterable[Frames], keys: Keys = DEFAULT_KEYS) -> None:
    """Write several frames after each other."""
    for frames in many:
        write_frames(stream, frames, keys)


def format_frame(frame: Frames, keys: Keys = DEFAULT_KEYS) -> bytes:
    """Return the text of one frame: number of atoms, comment, table."""
    words = ['species:S:1']
    tables: list[AnyArray] = []
    named: list[tuple[str, AnyArray]] = [('pos', frame.positions)]
    if frame.forces is not None:
        named.append((keys.forces or 'forces', frame.forces))
    named.extend(frame.arrays.items())
    for name, values in named:
        table = values.reshape(len(values), -1)
        words.append(f'{name}:{_KINDS[table.dtype.kind]}:{table.shape[1]}')
        tables.append(_printable(table, name))
    head = f'{frame.n_atoms()}\n{_comment(frame, ":".join(words), keys)}\n'.encode()
    return head + _table(frame.numbers.tolist(), tables)


def _comment(frame: Frames, properties: str, keys: Keys) -> str:
    values: dict[str, Any] = {}
    cell = frame.cells[0]
    if cell.any():
        values['Lattice'] = cell.ravel().tolist()
    values['Properties'] = properties
    values.update(frame.info[0])
    if frame.energies is not None and keys.energy:
        values[keys.energy] = float(frame.energies[0])
    stress_known = keys.stress is None or keys.stress in values
    from_virial = keys.virial is not None and keys.virial in values
    if frame.stresses is not None and not stress_known and not from_virial:
        xx, yy, zz, yz, xz, xy = frame.stresses[0].tolist()
        matrix = [[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]
        values[str(keys.stress)] = matrix if keys.stress == 'stress' else [*matrix[0], *matrix[1], *matrix[2]]
    values['pbc'] = frame.pbc[0].tolist()
    return format_comment(values)


def _printable(table: AnyArray, name: str) -> AnyArray:
    if table.dtype.kind == 'b':
        logical: AnyArray = _LOGICAL[table.astype(int)]
        return logical
    if table.dtype.kind == 'U' and any(not word or word.split() != [word] for word in table.ravel().tolist()):
        raise ValueError(f'a word of the array {name} is empty or has a blank: extended xyz cannot hold it')
    return table


def _table(numbers: list[int], tables: list[AnyArray]) -> bytes:
    """Return the rows of atoms.

    The shortest digits come from a JSON writer, by far the fastest at hand; its brackets and commas become line ends
    and blanks.
    """
    if all(table.dtype == float for table in tables):
        text = to_json(np.hstack(tables).tolist(), inf_nan_mode='constants')
        rows = text[2:-2].replace(b',', b' ').split(b'] [')
    else:
        lists = [table.tolist() for table in tables]
        rows = [' '.join([str(value) for row in parts for value in row]).encode() for parts in zip(*lists)]
    return b''.join([_SYMBOL[number] + row + b'\n' for number, row in zip(numbers, rows)])
