"""Files of records that a replica writes as it goes: frames and thermodynamic quantities.

A header tells atoms and precision; then come records of one fixed size, each with a checksum, so that a run cut off
at any byte leaves a file whose whole records can be read, and a resumed run can cut it back to what it knows.
Numbers are little-endian; positions are continuous (an atom that leaves the cell is not wrapped back).
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Kind = Literal['frames', 'thermo']
Records = npt.NDArray[np.void]

FRAMES_SUFFIX = '.frames'
THERMO_SUFFIX = '.thermo'
_MAGIC = b'litraj-records-1'
_HEAD = struct.Struct('<II')
"""Length and crc32 of the JSON text of the header."""


@dataclass(frozen=True)
class Header:
    """What the records of a file are of: ``numbers`` (n_atoms,) and ``pbc`` (3,) of the replica."""

    kind: Kind
    numbers: tuple[int, ...]
    pbc: tuple[bool, bool, bool]
    positions: Literal['float32', 'float64'] = 'float32'

    @property
    def dtype(self) -> np.dtype[np.void]:
        """Layout of a record, without its checksum.

        Frames: ``step``, ``time_fs``, ``energy_ev`` (potential), ``kinetic_ev``, ``closest_ang`` (shortest distance
        between two atoms, images included), ``stress`` (3, 3) of the potential in eV/Ang^3 (positive under tension),
        ``cell`` (3, 3) and ``positions`` (n_atoms, 3) in Ang. Thermo: instantaneous ``temperature_k`` and
        ``pressure_gpa`` (with the kinetic part) beside their targets, energies, the conserved quantity, volume. What
        there is not, is not a number.
        """
        if self.kind == 'thermo':
            names = (
                'time_fs temperature_k target_temperature_k pressure_gpa target_pressure_gpa energy_ev kinetic_ev '
                'conserved_ev volume_ang3'
            ).split()
            return np.dtype([('step', '<i8'), *((name, '<f8') for name in names)])
        position = '<f4' if self.positions == 'float32' else '<f8'
        return np.dtype(
            [
                ('step', '<i8'),
                ('time_fs', '<f8'),
                ('energy_ev', '<f8'),
                ('kinetic_ev', '<f8'),
                ('closest_ang', '<f8'),
                ('stress', '<f8', (3, 3)),
                ('cell', '<f8', (3, 3)),
                ('positions', position, (len(self.numbers), 3)),
            ]
        )

    @property
    def stored(self) -> np.dtype[np.void]:
        """Layout of a record on disk, with its checksum in front."""
        return np.dtype([('check', '<u4'), ('record', self.dtype)])

    def packed(self) -> bytes:
        """Return the bytes at the beginning of the file."""
        content = {
            'kind': self.kind,
            'numbers': list(self.numbers),
            'pbc': list(self.pbc),
            'positions': self.positions,
        }
        text = json.dumps(content).encode()
        return _MAGIC + _HEAD.pack(len(text), zlib.crc32(text)) + text


def _header(content: bytes, name: str) -> tuple[Header, int]:
    """Return the header at the beginning of a file and its length.

    :raises ValueError: if there is none.
    """
    start = len(_MAGIC) + _HEAD.size
    if len(content) < start or not content.startswith(_MAGIC):
        raise ValueError(f'{name} is no file of records of this version')
    length, check = _HEAD.unpack_from(content, len(_MAGIC))
    text = content[start : start + length]
    if zlib.crc32(text) != check:
        raise ValueError(f'the header of {name} is damaged')
    try:
        fields = json.loads(text)
        header = Header(fields['kind'], tuple(fields['numbers']), tuple(fields['pbc']), fields['positions'])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f'the header of {name} is damaged: {error}') from error
    return header, start + length


def read_records(path: Path | bytes, name: str = 'the file') -> tuple[Header, Records]:
    """Return header and records (n,) of a file, or of its content: structured arrays as ``Header.dtype`` says.

    What a run that was cut off has left half written at the end is not returned.

    :raises ValueError: if it is no such file, or a record before the last is damaged.
    """
    content = path if isinstance(path, bytes) else path.read_bytes()
    name = name if isinstance(path, bytes) else path.name
    header, start = _header(content, name)
    layout = header.stored
    n_records = (len(content) - start) // layout.itemsize
    records = np.frombuffer(content, dtype=layout, count=n_records, offset=start)
    view = memoryview(content)
    for k in range(n_records):
        first = start + k * layout.itemsize
        if zlib.crc32(view[first + 4 : first + layout.itemsize]) != records['check'][k]:
            if k == n_records - 1:
                n_records = k
                break
            raise ValueError(f'record {k} of {n_records} in {name} is damaged')
    found: Records = records['record'][:n_records].copy()
    return header, found


class RecordWriter:
    """A file of records to append to, cut back to its first ``n_records``.

    It is open only while a record is written: a job on a GPU has more replicas under way than files it may open.

    :raises ValueError: if it has fewer, or belongs to something else.
    """

    def __init__(self, path: Path, header: Header, n_records: int = 0) -> None:
        self._path, self._layout = path, header.stored
        packed = header.packed()
        size = len(packed) + n_records * self._layout.itemsize
        if n_records:
            with path.open('r+b') as handle:
                if handle.read(len(packed)) != packed or os.fstat(handle.fileno()).st_size < size:
                    raise ValueError(f'{path.name} has not the {n_records} records that the checkpoint knows of')
                handle.truncate(size)
        else:
            path.write_bytes(packed)
        self.n_records = n_records

    def append(self, fields: Mapping[str, Any]) -> None:
        """Write one more record."""
        stored = np.zeros((), dtype=self._layout)
        record = stored['record']
        for name, value in fields.items():
            record[name] = value
        content = stored.tobytes()
        with self._path.open('ab', buffering=0) as handle:
            handle.write(struct.pack('<I', zlib.crc32(content[4:])) + content[4:])
        self.n_records += 1

    def sync(self) -> None:
        """Bring what was written to the disk itself, so that a checkpoint may count on it."""
        with self._path.open('rb') as handle:
            os.fsync(handle.fileno())
