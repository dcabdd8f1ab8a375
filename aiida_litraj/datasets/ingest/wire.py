"""What goes between an import and the processes that parse for it: JSON and raw bytes, nothing pickled."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import IO, Any

from ...contract.frames import Frames
from ..card import Card
from ..entry import Chunk, Cursor, Entry, Problem
from .rows import Draft, Granularity, Prepared

_MARK = b'litraj1\n'
_LENGTHS = struct.Struct('<8sQQ')
_FRAMES = ('frames', 'initial', 'centroid')


@dataclass(frozen=True)
class Settings:
    """What a worker has to know once."""

    card: Card
    dataset: str
    granularity: Granularity

    def as_dict(self) -> dict[str, Any]:
        return {'card': self.card.as_dict(), 'dataset': self.dataset, 'granularity': self.granularity}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Settings:
        return cls(Card.model_validate(content['card']), content['dataset'], content['granularity'])


def send(stream: IO[bytes], head: Any, blobs: Sequence[bytes] = ()) -> None:
    """Write a head as JSON and pieces of bytes."""
    text = json.dumps([head, [len(blob) for blob in blobs]], separators=(',', ':')).encode()
    stream.write(_LENGTHS.pack(_MARK, len(text), sum(map(len, blobs))))
    stream.write(text)
    stream.write(b''.join(blobs))
    stream.flush()


def receive(stream: IO[bytes]) -> tuple[Any, list[bytes]]:
    """Return what ``send`` wrote.

    :raises EOFError: if the other side is gone.
    :raises ValueError: if it wrote something else.
    """
    mark, n_text, n_bytes = _LENGTHS.unpack(_exactly(stream, _LENGTHS.size))
    if mark != _MARK:
        raise ValueError(f'no message begins with {mark!r}')
    head, lengths = json.loads(_exactly(stream, n_text))
    content = _exactly(stream, n_bytes)
    blobs, start = [], 0
    for length in lengths:
        blobs.append(content[start : start + length])
        start += length
    return head, blobs


def _exactly(stream: IO[bytes], size: int) -> bytes:
    content = stream.read(size)
    if len(content) != size:
        raise EOFError(f'{len(content)} of {size} bytes')
    return content


def send_chunk(stream: IO[bytes], chunk: Chunk) -> None:
    """Write a chunk."""
    whole = isinstance(chunk.payload, bytes)
    files = [] if isinstance(chunk.payload, bytes) else list(chunk.payload)
    head = {
        **{one.name: getattr(chunk, one.name) for one in fields(chunk) if one.name != 'payload'},
        'files': None if whole else [name for name, _ in files],
    }
    send(stream, head, [chunk.payload] if isinstance(chunk.payload, bytes) else [content for _, content in files])


def receive_chunk(stream: IO[bytes]) -> Chunk:
    """Return what ``send_chunk`` wrote."""
    head, blobs = receive(stream)
    names = head.pop('files')
    payload = blobs[0] if names is None else list(zip(names, blobs, strict=True))
    return Chunk(**head | {'start': Cursor(*head['start']), 'end': Cursor(*head['end']), 'payload': payload})


def send_prepared(stream: IO[bytes], answer: Prepared | str) -> None:
    """Write a prepared chunk, or why there is none."""
    if isinstance(answer, str):
        send(stream, answer)
        return
    blobs = [draft.content for draft in answer.drafts]
    paths = []
    for entry in answer.paths:
        there = [name for name in _FRAMES if getattr(entry, name) is not None]
        paths.append({one.name: getattr(entry, one.name) for one in fields(entry) if one.name not in _FRAMES})
        paths[-1]['there'] = there
        blobs.extend(getattr(entry, name).to_bytes() for name in there)
    head = {
        'chunk': {one.name: getattr(answer.chunk, one.name) for one in fields(answer.chunk) if one.name != 'payload'},
        'drafts': [[d.uuid, d.label, d.attributes, d.key, d.hash, d.split] for d in answer.drafts],
        'paths': paths,
        'problems': [asdict(problem) for problem in answer.problems],
        'ids': answer.ids,
    }
    send(stream, head, blobs)


def receive_prepared(stream: IO[bytes]) -> Prepared | str:
    """Return what ``send_prepared`` wrote."""
    head, blobs = receive(stream)
    if isinstance(head, str):
        return head
    content = iter(blobs)
    drafts = [
        Draft(uuid, label, attributes, next(content), key, node_hash, split)
        for uuid, label, attributes, key, node_hash, split in head['drafts']
    ]
    paths = []
    for one in head['paths']:
        frames = {name: Frames.from_bytes(next(content)) for name in one.pop('there')}
        paths.append(Entry(**one, **frames))
    chunk = head['chunk']
    return Prepared(
        chunk=Chunk(**chunk | {'start': Cursor(*chunk['start']), 'end': Cursor(*chunk['end']), 'payload': b''}),
        drafts=drafts,
        paths=paths,
        problems=[Problem(**one) for one in head['problems']],
        ids=head['ids'],
    )
