"""Configurations of atoms with what is known about each, many in one block of arrays."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from .arrays import AnyArray, Array

FRAMES_FILE = 'frames.npy'
"""The one file of a node of configurations."""
PATH_FILES = {'frames': 'relaxed.frames', 'initial': 'initial.frames', 'centroid': 'centroid.frames'}
"""Field of a data set's entry that is a path -> the file of its node that has it to the last digit."""
_ARRAY = 'array:'
_PADDING = 64
"""Bytes to whose multiple the info is filled up, so that few different headers occur."""
_MAGIC = b'\x93NUMPY\x01\x00'


@dataclass(frozen=True)
class Frames:
    """Configurations (frames) of any sizes, one after the other: F frames with N atoms in all.

    Frame i has the atoms ``offsets[i]:offsets[i + 1]``. What a stack knows of some frames only is NaN for the others.

    :ivar offsets: (F + 1,) integers.
    :ivar numbers: (N,) atomic numbers; 0 is a centroid, ``X``.
    :ivar positions: (N, 3) in Ang.
    :ivar cells: (F, 3, 3) in Ang, rows are the lattice vectors.
    :ivar pbc: (F, 3), periodic or not.
    :ivar energies: (F,) in eV, or None.
    :ivar forces: (N, 3) in eV/Ang, or None.
    :ivar stresses: (F, 6) in eV/Ang^3, xx yy zz yz xz xy, positive under tension, as ASE has it; or None.
    :ivar arrays: other properties of atoms, (N, ...) each, by their names in the file.
    :ivar info: for each frame what else is known, as JSON can hold it, by the names in the file.
    """

    offsets: npt.NDArray[np.int64]
    numbers: npt.NDArray[np.uint8]
    positions: Array
    cells: Array
    pbc: npt.NDArray[np.bool_]
    energies: Array | None = None
    forces: Array | None = None
    stresses: Array | None = None
    arrays: dict[str, AnyArray] = field(default_factory=dict)
    info: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def of_one(
        cls,
        numbers: npt.ArrayLike,
        positions: npt.ArrayLike,
        cell: npt.ArrayLike,
        pbc: npt.ArrayLike,
        energy: float | None = None,
        forces: npt.ArrayLike | None = None,
        stress: npt.ArrayLike | None = None,
        arrays: dict[str, AnyArray] | None = None,
        info: dict[str, Any] | None = None,
    ) -> Frames:
        """Return one frame; shapes as in the class, without the leading F."""
        atoms = np.asarray(numbers, dtype=np.uint8)
        return cls(
            offsets=np.array([0, len(atoms)]),
            numbers=atoms,
            positions=np.asarray(positions, dtype=float),
            cells=np.asarray(cell, dtype=float).reshape(1, 3, 3),
            pbc=np.asarray(pbc, dtype=bool).reshape(1, 3),
            energies=None if energy is None else np.array([energy], dtype=float),
            forces=None if forces is None else np.asarray(forces, dtype=float),
            stresses=None if stress is None else np.asarray(stress, dtype=float).reshape(1, 6),
            arrays=arrays or {},
            info=[info or {}],
        )

    @classmethod
    def stack(cls, parts: Sequence[Frames]) -> Frames:
        """Return all frames of ``parts``, in order.

        :raises ValueError: if there are none, or if an array of ``arrays`` is not in every part.
        """
        if not parts:
            raise ValueError('there are no frames to stack')
        names = set(parts[0].arrays)
        for part in parts:
            if set(part.arrays) != names:
                raise ValueError(f'some frames have the arrays {sorted(names)}, others {sorted(part.arrays)}')
        sizes = np.concatenate([np.diff(part.offsets) for part in parts])
        return cls(
            offsets=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
            numbers=np.concatenate([part.numbers for part in parts]),
            positions=np.concatenate([part.positions for part in parts]),
            cells=np.concatenate([part.cells for part in parts]),
            pbc=np.concatenate([part.pbc for part in parts]),
            energies=_joined([part.energies for part in parts], [(part.n_frames,) for part in parts]),
            forces=_joined([part.forces for part in parts], [part.positions.shape for part in parts]),
            stresses=_joined([part.stresses for part in parts], [(part.n_frames, 6) for part in parts]),
            arrays={name: np.concatenate([part.arrays[name] for part in parts]) for name in sorted(names)},
            info=[info for part in parts for info in part.info],
        )

    @property
    def n_frames(self) -> int:
        """Number of configurations."""
        return len(self.cells)

    def __len__(self) -> int:
        return self.n_frames

    def n_atoms(self, index: int = 0) -> int:
        """Return the number of atoms of one frame."""
        return int(self.offsets[index + 1] - self.offsets[index])

    def __getitem__(self, index: int) -> Frames:
        """Return one frame.

        :raises IndexError: if there is no such frame.
        """
        if not -self.n_frames <= index < self.n_frames:
            raise IndexError(f'there is no frame {index}, only {self.n_frames}')
        frame = index % self.n_frames
        atoms = slice(self.offsets[frame], self.offsets[frame + 1])
        here = slice(frame, frame + 1)
        return Frames(
            offsets=np.array([0, self.n_atoms(frame)]),
            numbers=self.numbers[atoms],
            positions=self.positions[atoms],
            cells=self.cells[here],
            pbc=self.pbc[here],
            energies=_unless_nan(None if self.energies is None else self.energies[here]),
            forces=_unless_nan(None if self.forces is None else self.forces[atoms]),
            stresses=_unless_nan(None if self.stresses is None else self.stresses[here]),
            arrays={name: values[atoms] for name, values in self.arrays.items()},
            info=self.info[here],
        )

    def __iter__(self) -> Iterator[Frames]:
        return (self[index] for index in range(self.n_frames))

    def to_bytes(self) -> bytes:
        """Return a ``.npy`` file: one structured record with the fields of the class, exact, nothing pickled."""
        info = json.dumps(self.info, separators=(',', ':'), ensure_ascii=True).encode()
        info = info.ljust(-(-len(info) // _PADDING) * _PADDING, b'\0')
        fields: list[tuple[str, str, tuple[int, ...]]] = [('info', f'|S{len(info)}', ())]
        content = [b'', info]
        for name, kind, values in self._fields():
            if values is not None:
                fields.append((name, kind, values.shape))
                content.append(np.ascontiguousarray(values, dtype=kind).tobytes())
        content[0] = _header(tuple(fields))
        return b''.join(content)

    def _fields(self) -> Iterator[tuple[str, str, AnyArray | None]]:
        yield 'offsets', '<i8', self.offsets
        yield 'numbers', '|u1', self.numbers
        yield 'positions', '<f8', self.positions
        yield 'cells', '<f8', self.cells
        yield 'pbc', '|b1', self.pbc
        yield 'energies', '<f8', self.energies
        yield 'forces', '<f8', self.forces
        yield 'stresses', '<f8', self.stresses
        for name in sorted(self.arrays):
            yield _ARRAY + name, self.arrays[name].dtype.newbyteorder('<').str, self.arrays[name]

    @classmethod
    def from_bytes(cls, content: bytes) -> Frames:
        """Return what ``to_bytes`` wrote; the arrays are read-only views.

        :raises ValueError: if the bytes are not such a record, or are cut off.
        """
        if content[: len(_MAGIC)] != _MAGIC or len(content) < 10:
            raise ValueError('these are no frames: not a .npy file of version 1')
        start = 10 + int.from_bytes(content[8:10], 'little')
        kind = _kind(content[:start])
        names = kind.names or ()
        if kind.itemsize + start != len(content) or not {'info', 'offsets', 'numbers', 'positions'} <= set(names):
            raise ValueError(f'these are no frames: {len(content)} bytes with the fields {", ".join(names) or "none"}')
        record = np.frombuffer(content, dtype=kind, count=1, offset=start)[0]
        plain = {name: record[name] for name in names if name != 'info' and not name.startswith(_ARRAY)}
        arrays = {name.removeprefix(_ARRAY): record[name] for name in names if name.startswith(_ARRAY)}
        return cls(**plain, arrays=arrays, info=json.loads(record['info'].decode()))


def _joined(parts: Sequence[Array | None], shapes: Sequence[tuple[int, ...]]) -> Array | None:
    if all(part is None for part in parts):
        return None
    return np.concatenate(
        [np.full(shape, np.nan) if part is None else part for part, shape in zip(parts, shapes, strict=True)]
    )


def _unless_nan(values: Array | None) -> Array | None:
    return None if values is None or (values.size and np.isnan(values).all()) else values


@lru_cache(maxsize=4096)
def _header(fields: tuple[tuple[str, str, tuple[int, ...]], ...]) -> bytes:
    """Return the head of a version 1 ``.npy`` file with one record of these fields (NumPy enhancement proposal 1)."""
    text = repr({'descr': list(fields), 'fortran_order': False, 'shape': ()})
    length = -(-(10 + len(text) + 1) // 64) * 64 - 10
    return _MAGIC + length.to_bytes(2, 'little') + text.ljust(length - 1).encode('latin1') + b'\n'


@lru_cache(maxsize=4096)
def _kind(header: bytes) -> np.dtype[Any]:
    import ast

    try:
        fields = ast.literal_eval(header[10:].decode('latin1'))
        kind = np.dtype([tuple(entry) for entry in fields['descr']])
    except (ValueError, SyntaxError, KeyError, TypeError) as error:
        raise ValueError(f'these are no frames: {error}') from error
    if fields['shape'] != () or kind.hasobject:
        raise ValueError('these are no frames: not one record of plain numbers')
    return kind
