"""Messages between the engine and a group of MPI ranks, over the pipes of the program that starts the ranks.

A message is a marker, the lengths of its two parts, a JSON object, and an ``.npz`` without pickled objects. Whatever
a launcher or a library prints between two messages is skipped. A newline ends it, for srun holds back what a program
has written after its last newline (``_task_build_message`` of slurmstepd).
"""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Mapping
from typing import IO, Any

from ...contract.arrays import AnyArray, pack_arrays, unpack_arrays

_MARKER = b'\x00litraj-message\x01'
_LENGTHS = struct.Struct('<II')


def encode(header: Mapping[str, Any], arrays: Mapping[str, Any] | None = None) -> bytes:
    """Return a message as bytes; numbers of the header survive to the last digit."""
    text = json.dumps(dict(header)).encode()
    content = pack_arrays(arrays) if arrays else b''
    return _MARKER + _LENGTHS.pack(len(text), len(content)) + text + content + b'\n'


def decode(message: bytes) -> tuple[dict[str, Any], dict[str, AnyArray]]:
    """Return header and arrays of a message.

    :raises ValueError: if it is none.
    """
    start = len(_MARKER) + _LENGTHS.size
    if not message.startswith(_MARKER) or len(message) < start:
        raise ValueError('this is no message')
    n_text, n_content = _LENGTHS.unpack_from(message, len(_MARKER))
    header = json.loads(message[start : start + n_text])
    content = message[start + n_text : start + n_text + n_content]
    return header, unpack_arrays(io.BytesIO(content)) if content else {}


def read(stream: IO[bytes]) -> bytes:
    """Return the next message of a stream, as bytes.

    :raises EOFError: if the stream ends before.
    """
    _skip_to_marker(stream)
    lengths = _exactly(stream, _LENGTHS.size)
    return _MARKER + lengths + _exactly(stream, sum(_LENGTHS.unpack(lengths)))


def _skip_to_marker(stream: IO[bytes]) -> None:
    seen = b''
    while seen != _MARKER:
        seen = (seen + _exactly(stream, 1))[-len(_MARKER) :]


def _exactly(stream: IO[bytes], number: int) -> bytes:
    content = b''
    while len(content) < number:
        part = stream.read(number - len(content))
        if not part:
            raise EOFError('the other side has hung up')
        content += part
    return content
