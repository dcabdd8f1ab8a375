"""Reading and writing of arrays and JSON on the wire: atomic, never pickled."""

from __future__ import annotations

import io
import os
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
AnyArray = npt.NDArray[np.generic]

_UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    KeyError,
    ValueError,
    NotImplementedError,
    RuntimeError,
)


def write_atomic(path: Path, content: bytes) -> None:
    """Write ``content`` so that the file is either the old or the new one, even across a power cut."""
    temporary = path.with_name(f'.{path.name}.{os.getpid()}')
    with temporary.open('wb') as handle:
        handle.write(content)
        handle.flush()
        os.fsync(handle.fileno())
    os.replace(temporary, path)


def pack_arrays(arrays: Mapping[str, npt.ArrayLike]) -> bytes:
    """Return the bytes of an ``.npz`` with ``arrays``; equal arrays give equal bytes (no time stamps)."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, 'w', zipfile.ZIP_STORED) as archive:
        for name, value in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, np.ascontiguousarray(value), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f'{name}.npy', date_time=(1980, 1, 1, 0, 0, 0)), member.getvalue())
    return stream.getvalue()


def unpack_arrays(source: Path | IO[bytes]) -> dict[str, AnyArray]:
    """Return the arrays of an ``.npz``.

    :raises ValueError: if it is not one, is truncated, or holds pickled objects.
    """
    name = source.name if isinstance(source, Path) else 'the stream'
    try:
        archive = np.load(source, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise ValueError('one array, not an archive of them')
        with archive:
            arrays = {member: archive[member] for member in archive.files}
        for member, value in arrays.items():
            if not isinstance(value, np.ndarray):  # numpy hands out the bytes of a member that is no array
                raise ValueError(f'{member} is no array')
    except _UNREADABLE as error:
        # numpy takes what it does not know for a pickle, and advises to load it unsafely
        reason = 'no archive, or with pickled objects' if 'pickle' in str(error) else error
        raise ValueError(f'{name} is not a readable array file: {reason}') from error
    return arrays
