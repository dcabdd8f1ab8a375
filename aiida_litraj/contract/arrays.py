"""Reading and writing of arrays and JSON on the wire: atomic, never pickled."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
AnyArray = npt.NDArray[np.generic]


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
    try:
        with np.load(source, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (zipfile.BadZipFile, EOFError, OSError, KeyError) as error:
        raise ValueError(f'not a readable array file: {error}') from error
