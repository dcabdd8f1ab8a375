"""Paths of the graph as tracks to draw, many of them at once."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ...contract.arrays import Array
from .paths import Track

_ARRAYS = ('positions', 'cells', 'energies', 'forces')


def load_tracks(uuids: Iterable[str]) -> dict[str, Track]:
    """Return the paths of these nodes by their uuid, read together; what is no longer there is left out."""
    from aiida.orm import QueryBuilder

    from ...data.contents import read_contents
    from ...data.path import PathData

    wanted = sorted(set(uuids))
    query = QueryBuilder().append(
        PathData, filters={'uuid': {'in': wanted}}, project=['uuid', 'attributes', 'repository_metadata']
    )
    rows = query.all() if wanted else []
    keys = {uuid: _keys(metadata) for uuid, _, metadata in rows}
    contents = read_contents((key for one in keys.values() for key in one.values()), check=False)
    return {
        uuid: _track(attributes, {name: _array(contents[key]) for name, key in keys[uuid].items()})
        for uuid, attributes, _ in rows
    }


def _keys(metadata: Mapping[str, Any]) -> dict[str, str]:
    files = metadata.get('o', {})
    return {name: files[f'{name}.npy']['k'] for name in _ARRAYS if f'{name}.npy' in files}


def _array(content: bytes) -> Array:
    return np.load(io.BytesIO(content), allow_pickle=False)


def _track(attributes: Mapping[str, Any], arrays: Mapping[str, Array]) -> Track:
    return Track(
        tuple(attributes['symbols']), arrays['positions'], arrays['cells'][0], all(attributes.get('pbc') or [True]),
        attributes.get('mobile'), arrays.get('energies'), arrays.get('forces'),
    )  # fmt: skip
