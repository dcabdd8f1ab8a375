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
    found = rows(dataset, ['attributes', 'repository_metadata'], **criteria)
    batch = BATCH if found.one_each else BATCH_OF_MANY
    stream = iter(found)
    while some := list(islice(stream, batch)):
        contents = read_contents(key for _, metadata in some for key in _keys(metadata).values())
        for attributes, metadata in some:
            files = {name: Frames.from_bytes(contents[key]) for name, key in _keys(metadata).items()}
            for index, entry in enumerate(_entries(attributes, files)):
                if found.meets(attributes, index, entry.frames):
                    yield entry


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
            attributes.get('properties', {}), attributes['source_file'], attributes['source_line'],
            attributes['number'], attributes.get('index_row'), own['initial'], own['centroid'],
        )  # fmt: skip
        return
    ids: Sequence[str] = attributes['entry_ids']
    indexed = attributes.get('index_rows', [None] * len(ids))
    places: Sequence[str] = attributes.get('source_files') or [attributes['source_file']] * len(ids)
    for index, entry_id in enumerate(ids):
        yield Entry(
            entry_id, attributes.get('split'), attributes['material_ids'][index], files[FRAMES_FILE][index],
            attributes['entry_properties'][index], places[index], attributes['source_lines'][index],
            attributes['numbers'][index], indexed[index],
        )  # fmt: skip
