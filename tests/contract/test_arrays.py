"""Arrays on the wire: exact, never pickled, the same bytes for the same numbers."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest

from aiida_litraj.contract import pack_arrays, unpack_arrays, write_atomic


def test_arrays_survive_to_the_last_bit() -> None:
    arrays = {
        'a/positions': np.random.default_rng(0).normal(size=(3, 4, 3)) / 3,
        'a/pbc': np.array([True, False, True]),
        'a/numbers': np.array([3, 15, 8]),
        'transposed': np.arange(6.0).reshape(2, 3).T,
        'a/energies': np.array([0.1 + 0.2, -0.0, 5e-324]),
    }
    found = unpack_arrays(io.BytesIO(pack_arrays(arrays)))
    assert list(found) == list(arrays)
    for name, value in arrays.items():
        assert found[name].dtype == value.dtype
        assert found[name].tobytes() == np.ascontiguousarray(value).tobytes()


def test_equal_arrays_give_equal_bytes() -> None:
    """The cache compares bytes, so no time stamp may get into the archive."""
    first, second = np.linspace(0, 1, 7), np.linspace(0, 1, 7)
    assert pack_arrays({'x': first}) == pack_arrays({'x': second})
    assert pack_arrays({'x': first}) != pack_arrays({'x': np.nextafter(first, 2)})


def test_objects_are_neither_written_nor_read() -> None:
    with pytest.raises(ValueError, match='Object arrays'):
        pack_arrays({'x': np.array([{'a': 1}], dtype=object)})
    stream = io.BytesIO()
    np.savez(stream, x=np.array([{'a': 1}], dtype=object))
    stream.seek(0)
    with pytest.raises(ValueError, match='pickle'):
        unpack_arrays(stream)


@pytest.mark.parametrize('keep', [0, 10, 200, -1])
def test_a_truncated_file_is_named_as_such(tmp_path: Path, keep: int) -> None:
    path = tmp_path / 'result.npz'
    path.write_bytes(pack_arrays({'x': np.arange(100.0)})[:keep])
    with pytest.raises(ValueError):  # numpy words the cases differently
        unpack_arrays(path)


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / 'result.json'
    write_atomic(path, b'old')

    def broken(_: int) -> None:
        raise OSError('no space left')

    monkeypatch.setattr(os, 'fsync', broken)
    with pytest.raises(OSError, match='no space'):
        write_atomic(path, b'new and longer')
    assert path.read_bytes() == b'old'
