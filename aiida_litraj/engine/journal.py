"""Checkpoints as journals: what the potential answered, in the order of the questions.

A stage is a function of the evaluations it has received (``core.stages``), so the log of these is its checkpoint:
fed again, the stage stands where it stood, to the last bit. Records are appended as they come; a kill in the middle
of one costs that record alone.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ..contract.arrays import Array
from .models.interface import Evaluation

_MAGIC = b'litraj-journal-2'
_HEAD = struct.Struct('<IIIIIId')
"""crc32 of the record, demand, image, crc32 of what was asked, rows of forces, rows of stress, energy in eV."""


def question_key(positions: Array, cell: Array | None = None) -> int:
    """Return a checksum to recognise a question by: positions, and the cell where that varies."""
    key = zlib.crc32(np.ascontiguousarray(positions, dtype=np.float64).tobytes())
    return key if cell is None else zlib.crc32(np.ascontiguousarray(cell, dtype=np.float64).tobytes(), key)


class Journal:
    """Answers to one task, in ``path``; those under another ``fingerprint`` are not its own and are dropped.

    Opening reads what is there; :meth:`recall` returns an answer, :meth:`append` adds one.
    """

    def __init__(self, path: Path, fingerprint: str) -> None:
        self._path = path
        self._header = _MAGIC + bytes.fromhex(fingerprint)
        self._answers: dict[tuple[int, int, int], Evaluation] = {}
        self._handle: BinaryIO | None = None
        good = len(self._header)
        content = path.read_bytes() if path.exists() else b''
        if content.startswith(self._header):
            for end, key, answer in self._records(content):
                self._answers[key] = answer
                good = end
            with path.open('r+b') as handle:
                handle.truncate(good)
        else:
            # an empty one too, left by a kill before the first write: it would be appended to without its header
            path.unlink(missing_ok=True)

    def _records(self, content: bytes) -> Iterator[tuple[int, tuple[int, int, int], Evaluation]]:
        start = len(self._header)
        while start + _HEAD.size <= len(content):
            check, demand, image, asked, n_forces, n_stress, energy = _HEAD.unpack_from(content, start)
            n_rows = n_forces + n_stress
            end = start + _HEAD.size + 24 * n_rows
            if end > len(content) or zlib.crc32(content[start + 4 : end]) != check:
                return
            rows = np.frombuffer(content, dtype='<f8', count=3 * n_rows, offset=start + _HEAD.size).reshape(-1, 3)
            stress = rows[n_forces:].copy() if n_stress else None
            yield end, (demand, image, asked), Evaluation(energy, rows[:n_forces].copy(), stress)
            start = end

    def __len__(self) -> int:
        return len(self._answers)

    def recall(self, demand: int, image: int, positions: Array, cell: Array | None = None) -> Evaluation | None:
        """Return the answer to a question asked before, or ``None``."""
        return self._answers.pop((demand, image, question_key(positions, cell)), None) if self._answers else None

    def append(self, demand: int, image: int, positions: Array, answer: Evaluation, cell: Array | None = None) -> None:
        """Put an answer on disk."""
        if self._handle is None:
            fresh = not self._path.exists()
            self._handle = self._path.open('ab')
            if fresh:
                self._handle.write(self._header)
        stress = np.zeros((0, 3)) if answer.stress is None else answer.stress
        rows = np.ascontiguousarray(np.concatenate([answer.forces, stress]), dtype='<f8')
        asked = question_key(positions, cell)
        body = _HEAD.pack(0, demand, image, asked, len(answer.forces), len(stress), answer.energy)[4:] + rows.tobytes()
        self._handle.write(struct.pack('<I', zlib.crc32(body)) + body)
        self._handle.flush()

    def close(self) -> None:
        """Close the file; it stays."""
        if self._handle is not None:
            self._handle.close()
            self._handle = None

    def discard(self) -> None:
        """Remove the file: the task has its result."""
        self.close()
        self._path.unlink(missing_ok=True)
