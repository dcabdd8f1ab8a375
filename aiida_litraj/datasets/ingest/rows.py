"""What becomes of a chunk: the contents and attributes of its nodes, with their hashes, before any database is asked.

Runs in worker processes, so it knows AiiDA's hashing but no profile.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Literal
from uuid import uuid4

import numpy as np

from ...analysis.frames import finite, summary
from ...contract.frames import FRAMES_FILE, Frames
from ..card import Card
from ..entry import Chunk, Entry, Problem
from ..importers import importer_of
from .hashes import NodeHasher
from .names import printable

Granularity = Literal['entry', 'trajectory']
FRAMES_TYPE = 'data.litraj.frames.FramesData.'
FRAMES_CLASS = "<class 'aiida_litraj.data.frames.FramesData'>"
HASH_EXTRA = '_aiida_hash'
OF_EACH = {'entry_ids', 'material_ids', 'entry_properties', 'source_files', 'source_lines', 'numbers', 'index_rows'}
"""Attributes of a node of many entries that have a value for each."""
hash_of = NodeHasher()


@dataclass(frozen=True)
class Draft:
    """A node to be: what ``Node.store`` would write of it, with the contents of its one file."""

    uuid: str
    label: str
    attributes: dict[str, Any]
    content: bytes
    key: str
    """sha256 of the content, under which the repository knows it."""
    hash: str
    split: str | None


@dataclass(frozen=True)
class Prepared:
    """A chunk ready to be stored."""

    chunk: Chunk
    """Without its payload."""
    drafts: list[Draft]
    paths: list[Entry]
    """Entries that are paths; nodes of several files, which are made by the process that stores."""
    problems: list[Problem]
    ids: list[str] = field(default_factory=list)


def prepare(card: Card, dataset: str, chunk: Chunk, granularity: Granularity) -> Prepared:
    """Return the nodes of a chunk and what was wrong with the entries that are none."""
    parsed = importer_of(card).parse(card, chunk)
    paths = [entry for entry in parsed.entries if entry.initial is not None]
    single = [entry for entry in parsed.entries if entry.initial is None]
    if granularity == 'entry':
        drafts = [draft_of_one(dataset, entry) for entry in single]
    else:
        drafts = [
            _draft_of_many(dataset, run) if len(run) > 1 else draft_of_one(dataset, run[0]) for run in _runs(single)
        ]
    done = Chunk(chunk.part, chunk.split, chunk.start, chunk.end, b'', chunk.file)
    ids = [printable(entry.id) for entry in parsed.entries]
    return Prepared(done, drafts, paths, list(parsed.problems), ids)


def draft_of_one(dataset: str, entry: Entry) -> Draft:
    """Return the node of one entry."""
    attributes = summary(entry.frames) | labels_of(dataset, entry)
    energies = entry.frames.energies
    if entry.frames.n_frames > 1 and energies is not None and np.isfinite(energies).all():
        attributes['range_ev'] = finite(np.ptp(energies))  # of a band: what LiTraj calls its barrier
    return _draft(entry.id, attributes, entry.frames, entry.split)


def without_repeats(ready: Prepared, ids: set[str]) -> Prepared:
    """Return the chunk without entries whose identifier is in ``ids`` already, and add the new ones to these."""
    repeated = {one for one in ready.ids if one in ids}
    ids.update(ready.ids)
    if not repeated:
        return ready
    problems = [
        Problem(ready.chunk.file, 0, one, f'the identifier {one} is in the set already') for one in sorted(repeated)
    ]
    return Prepared(
        chunk=ready.chunk,
        drafts=[left for draft in ready.drafts if (left := _draft_without(draft, repeated)) is not None],
        paths=[entry for entry in ready.paths if printable(entry.id) not in repeated],
        problems=[*ready.problems, *problems],
        ids=[one for one in ready.ids if one not in repeated],
    )


def _draft_without(draft: Draft, repeated: set[str]) -> Draft | None:
    """Return a draft without some entries, ``None`` if there is no other in it."""
    own = draft.attributes.get('entry_ids') or [draft.attributes['entry_id']]
    kept = [index for index, one in enumerate(own) if one not in repeated]
    if len(kept) == len(own):
        return draft
    if not kept:
        return None
    frames = Frames.from_bytes(draft.content)
    left = Frames.stack([frames[index] for index in kept])
    attributes = dict(draft.attributes)
    for name in OF_EACH & attributes.keys():
        attributes[name] = [attributes[name][index] for index in kept]
    attributes |= summary(left)
    ids = attributes['entry_ids']
    return _draft(f'{ids[0]} .. {ids[-1]}', attributes, left, draft.split)


def labels_of(dataset: str, entry: Entry) -> dict[str, Any]:
    """Return the attributes that make a node an entry of a set."""
    labels = {
        'dataset': dataset,
        'entry_id': printable(entry.id),
        'split': entry.split,
        'material_id': _word(entry.material),
        'properties': clean(entry.properties),
        'source_file': entry.file,
        'source_line': entry.line,
        'number': entry.number,
    }
    if entry.row is not None:
        labels['index_row'] = _row(entry.row)
    return labels


def _draft_of_many(dataset: str, entries: Sequence[Entry]) -> Draft:
    frames = Frames.stack([entry.frames for entry in entries])
    first, last = entries[0], entries[-1]
    materials = {entry.material for entry in entries}
    labels = {
        'dataset': dataset,
        'entry_ids': [printable(entry.id) for entry in entries],
        'split': first.split,
        'material_id': _word(first.material) if len(materials) == 1 else None,
        'material_ids': [_word(entry.material) for entry in entries],
        'entry_properties': [clean(entry.properties) for entry in entries],
        'source_file': first.file,
        'source_line': first.line,
        'source_lines': [entry.line for entry in entries],
        'number': first.number,
        'numbers': [entry.number for entry in entries],
    }
    if any(entry.file != first.file for entry in entries):
        labels['source_files'] = [entry.file for entry in entries]
    if any(entry.row is not None for entry in entries):
        labels['index_rows'] = [None if entry.row is None else _row(entry.row) for entry in entries]
    return _draft(f'{first.id} .. {last.id}', summary(frames) | labels, frames, first.split)


def _runs(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    """Yield consecutive entries that can share a node: a configuration each, of one split, with the same arrays."""
    run: list[Entry] = []
    for entry in entries:
        if run and (_kind(entry) != _kind(run[0]) or entry.frames.n_frames > 1):
            yield run
            run = []
        run.append(entry)
    if run:
        yield run


def _kind(entry: Entry) -> tuple[object, ...]:
    return entry.split, entry.frames.n_frames, frozenset(entry.frames.arrays)


def _draft(label: str, attributes: dict[str, Any], frames: Frames, split: str | None) -> Draft:
    content = frames.to_bytes()
    key = hashlib.sha256(content).hexdigest()
    return Draft(
        uuid=str(uuid4()),
        label=printable(label)[:255],
        attributes=attributes,
        content=content,
        key=key,
        hash=hash_of(attributes, {FRAMES_FILE: key}, FRAMES_CLASS),
        split=split,
    )


def clean(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a query can ask for: words, flags and numbers as the database keeps them; no vectors."""
    plain = {name: _plain(value) for name, value in values.items()}
    return {name: value for name, value in plain.items() if not isinstance(value, list | dict | tuple)}


def _word(text: str | None) -> str | None:
    return None if text is None else printable(text)


def _row(row: Mapping[str, str]) -> dict[str, str]:
    return {printable(name): printable(text) for name, text in row.items()}


def _plain(value: Any) -> Any:
    if hasattr(value, 'tolist'):
        value = value.tolist()
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, float):
        if not isfinite(value):
            return None
        rounded = finite(value) or 0.0
        # A database makes an integer of 1e16 and above, and so does the hash.
        return int(rounded) if 'e' in f'{value:.14g}' and rounded.is_integer() else rounded
    return value
