"""Entries of a stored set as importers know them, to be written out, checked or drawn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from ..contract.frames import FRAMES_FILE, PATH_FILES, Frames
from ..data.contents import read_contents
from ..datasets.entry import Entry
from .query import rows

BATCH = 500
BATCH_OF_MANY = 4


def stored_entries(dataset: str, **criteria: Any) -> Iterator[Entry]:
    """Yield the entries that meet the criteria of :func:`..groups.query.query`, in the order in which they were read.

    :raises ValueError: if there is no such set, or a criterion cannot be met.
    :raises FileNotFoundError: if the repository lacks a file.
    """
    for entry, _ in described_entries(dataset, **criteria):
        yield entry


def described_entries(dataset: str, **criteria: Any) -> Iterator[tuple[Entry, dict[str, Any]]]:
    """Yield the same, each with what its node says of it if it was computed here: ``level`` and ``uuid``."""
    found = rows(dataset, ['attributes', 'repository_metadata', 'uuid'], **criteria)
    batch = BATCH if found.one_each else BATCH_OF_MANY
    stream = iter(found)
    while some := list(islice(stream, batch)):
        contents = read_contents(key for _, metadata, _ in some for key in _keys(metadata).values())
        for attributes, metadata, uuid in some:
            said = {'level': attributes['level'], 'uuid': uuid} if 'level' in attributes else {}
            files = {name: Frames.from_bytes(contents[key]) for name, key in _keys(metadata).items()}
            for index, entry in enumerate(_entries(attributes, files)):
                if found.meets(attributes, index, entry.frames):
                    yield entry, said


def _keys(metadata: Mapping[str, Any]) -> dict[str, str]:
    """Return the sha256 of the files of a node that are frames, by name."""
    return {
        name: one['k'] for name, one in metadata.get('o', {}).items() if name in (FRAMES_FILE, *PATH_FILES.values())
    }


def _entries(attributes: Mapping[str, Any], files: Mapping[str, Frames]) -> Iterator[Entry]:
    if 'entry_ids' not in attributes:
        own = {field: files.get(name) for field, name in PATH_FILES.items()}
        frames = files.get(FRAMES_FILE) or own['frames']
        assert frames is not None, 'an entry has frames'
        yield Entry(
            attributes['entry_id'], attributes.get('split'), attributes.get('material_id'), frames,
            attributes.get('properties', {}), attributes.get('source_file', ''), attributes.get('source_line', 0),
            attributes.get('number', 0), attributes.get('index_row'), own['initial'], own['centroid'],
        )  # fmt: skip
        return
    ids: Sequence[str] = attributes['entry_ids']
    indexed = attributes.get('index_rows', [None] * len(ids))
    places: Sequence[str] = attributes.get('source_files') or [attributes.get('source_file', '')] * len(ids)
    # What was computed was read from no file, and is of one material.
    materials = attributes.get('material_ids') or [attributes.get('material_id')] * len(ids)
    lines, numbers = attributes.get('source_lines') or [0] * len(ids), attributes.get('numbers') or range(len(ids))
    own_properties = attributes.get('entry_properties') or [{}] * len(ids)
    for index, entry_id in enumerate(ids):
        yield Entry(
            entry_id, attributes.get('split'), materials[index], files[FRAMES_FILE][index], own_properties[index],
            places[index], lines[index], numbers[index], indexed[index],
        )  # fmt: skip
