"""Extended xyz byte for byte as ASE writes it, but at tens of thousands of configurations a second."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from ase import Atoms
from ase.stress import voigt_6_to_full_3x3_stress

Text = npt.NDArray[np.uint8]
Ticks = npt.NDArray[np.int64]

DECIMALS = 8
TICK = 10.0**-DECIMALS
"""Last decimal of a number in the file: a shift by whole ticks is the same rigid shift after rounding."""
WIDTH = 17
"""Characters of a real number: a blank and sixteen more, eight of them decimals."""
LARGEST = 9999.0
# Tables of text, looked up and moved as whole machine words.
_NUMBER = np.dtype([('whole', np.uint64), ('point', np.uint8), ('upper', np.uint32), ('lower', np.uint32)])
_WHOLE = np.array([f'{n:>8d}' for n in range(10_000)] + [f'{f"-{n}":>8s}' for n in range(10_000)], dtype='S8').view(
    np.uint64
)
_DIGITS = np.array([f'{n:04d}' for n in range(10_000)], dtype='S4').view(np.uint32)


def to_ticks(values: npt.ArrayLike) -> Ticks:
    """Return numbers in units of the last decimal of the file."""
    return np.asarray(np.rint(np.asarray(values, dtype=float) / TICK), dtype=np.int64)


def format_ticks(ticks: Ticks, negative: npt.NDArray[np.bool_] | None = None) -> Text:
    """Return the text (..., k * WIDTH) of numbers (..., k) given in ticks.

    ``negative`` says which ones carry a minus sign, if not just those below zero: ASE writes ``-0.00000000`` too.
    """
    sign = ticks < 0 if negative is None else negative
    size = np.abs(ticks)
    whole = size // 10**DECIMALS
    if whole.size and whole.max() > LARGEST:
        raise ValueError(f'a number of {whole.max()} is too large for this writer; it knows up to {LARGEST:g}')
    decimals = (size - whole * 10**DECIMALS).astype(np.uint32)
    upper = decimals // np.uint32(10_000)
    text = np.empty(ticks.shape, dtype=_NUMBER)
    text['whole'] = _WHOLE[whole + 10_000 * sign]
    text['point'] = ord('.')
    text['upper'] = _DIGITS[upper]
    text['lower'] = _DIGITS[decimals - upper * np.uint32(10_000)]
    return text.view(np.uint8).reshape(*ticks.shape[:-1], ticks.shape[-1] * WIDTH)


def format_reals(values: npt.ArrayLike) -> Text:
    """Return the text (..., k * WIDTH) of real numbers (..., k), in fixed notation with eight decimals."""
    array = np.asarray(values, dtype=float)
    return format_ticks(to_ticks(array), np.signbit(array))


def format_symbols(symbols: Iterable[str]) -> Text:
    """Return the text (n, 2) of chemical symbols; one of a single element is as wide as its symbol, as in ASE."""
    text = np.array(list(symbols), dtype='S')
    padded = np.char.ljust(text, text.dtype.itemsize)
    return padded.view(np.uint8).reshape(len(text), -1)


def format_flags(flags: npt.NDArray[np.bool_]) -> Text:
    """Return the text (n, 3) of truth values."""
    return np.where(flags, b'  T', b'  F').astype('S3').view(np.uint8).reshape(len(flags), 3)


def format_value(value: Any) -> str:
    """Return a value of the comment line: text, truth value, number, or an array of numbers in quotes."""
    if isinstance(value, str):
        return f'"{value}"' if ' ' in value else value
    if isinstance(value, bool):
        return 'T' if value else 'F'
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return repr(float(value))
    numbers = np.asarray(value, dtype=float).ravel(order='F')
    return '"' + ' '.join(repr(float(number)) for number in numbers) + '"'


def comment_line(atoms: Atoms, properties: str, labels: Mapping[str, Any]) -> str:
    """Return the comment line: lattice, columns, what the configuration says of itself, labels, periodicity."""
    words = {'Lattice': np.asarray(atoms.cell).T, 'Properties': properties, **atoms.info, **labels}
    periodic = ' '.join('T' if flag else 'F' for flag in atoms.pbc)
    return ' '.join(f'{key}={format_value(value)}' for key, value in words.items()) + f' pbc="{periodic}"'


def frame_parts(atoms: Atoms) -> tuple[bytes, Text, Text]:
    """Return head (count and comment line), text of the species and text of the columns after the positions.

    Columns are the logical arrays of ``atoms`` and the forces of its calculator.
    """
    properties, columns = 'species:S:1:pos:R:3', []
    for name, array in atoms.arrays.items():
        if array.dtype == bool:
            properties += f':{name}:L:1'
            columns.append(format_flags(array))
    results = dict(atoms.calc.results) if atoms.calc else {}
    labels = {key: results[key] for key in ('energy',) if key in results}
    if 'stress' in results:
        labels['stress'] = voigt_6_to_full_3x3_stress(results['stress'])
    if 'forces' in results:
        properties += ':forces:R:3'
        columns.append(format_reals(results['forces']))
    head = f'{len(atoms)}\n{comment_line(atoms, properties, labels)}\n'.encode()
    rest = np.concatenate(columns, axis=1) if columns else np.empty((len(atoms), 0), dtype=np.uint8)
    return head, format_symbols(atoms.symbols), rest


def frame_bytes(atoms: Atoms) -> bytes:
    """Return one configuration as it stands in the file."""
    head, species, rest = frame_parts(atoms)
    newline = np.full((len(atoms), 1), ord('\n'), dtype=np.uint8)
    return head + np.concatenate([species, format_reals(atoms.positions), rest, newline], axis=1).tobytes()


def write_frames(stream: BinaryIO, frames: Iterable[Atoms]) -> int:
    """Append configurations to an open file and return how many there were."""
    count = 0
    for atoms in frames:
        stream.write(frame_bytes(atoms))
        count += 1
    return count
