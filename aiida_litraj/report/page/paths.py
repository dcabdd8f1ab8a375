"""Paths as the page draws them: positions in hundredths of an Ang, as small as they get, and energy profiles.

A track is one path of a hop: the reference's, the initial guess, or that of a potential. Its first image is written as
it differs from that of the reference, and so is each image from the one before; whole numbers of a grid of 0.01 Ang,
their bytes by significance, deflated. What a band moves little takes little, and nothing that is drawn is lost.
"""

from __future__ import annotations

import base64
import io
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase.data import atomic_numbers, covalent_radii
from ase.data.colors import jmol_colors

from ...analysis.barriers import energy_profile
from ...contract.arrays import Array

GRID_ANG = 0.01
CURVE_POINTS = 41
REFERENCE, INITIAL = 'reference', 'initial'
_ARRAYS = ('positions', 'cells', 'energies', 'forces')


@dataclass(frozen=True)
class Track:
    """What of a path is drawn: positions (n_images, n_atoms, 3) in Ang, energies (n_images,) in eV if they are known.

    :ivar forces: of the potential (n_images, n_atoms, 3) in eV/Ang, the slopes of the profile.
    """

    symbols: tuple[str, ...]
    positions: Array
    cell: Array
    periodic: bool
    mobile: int | None
    energies: Array | None = None
    forces: Array | None = None


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


def hop_of(tracks: Mapping[str, Track]) -> dict[str, Any]:
    """Return a hop as the page draws it: atoms, cell, and each track with its profile.

    Where the ion goes is in the middle, and all atoms are the copies nearest to it. Tracks of other atoms than the
    first one's are left out.

    :raises ValueError: if there is no track.
    """
    if not tracks:
        raise ValueError('a hop without a path cannot be drawn')
    first = next(iter(tracks.values()))
    same = {name: one for name, one in tracks.items() if one.symbols == first.symbols}
    mobile = first.mobile if first.mobile is not None else _most_moved(first.positions)
    middle = 0.5 * (first.positions[0, mobile] + first.positions[-1, mobile])
    base = _nearest(first.positions[0] - middle, first.cell, first.periodic)
    return {
        'symbols': _runs(first.symbols),
        'cell': np.round(first.cell, 3).tolist() if first.periodic else None,
        'mobile': mobile,
        'tracks': {
            name: _drawn(one, one is first, base, middle, first.cell if first.periodic else None)
            for name, one in same.items()
        },
    }


def _drawn(one: Track, is_first: bool, base: Array, middle: Array, cell: Array | None) -> dict[str, Any]:
    begin = one.positions[0] - middle
    off = _nearest(begin - base, one.cell, True) if cell is not None else begin - base
    # Whole vectors of the cell are taken off the first image and so off all: a path stays in one piece.
    positions = one.positions - middle + (base + off - begin)[None]
    steps = np.round(positions / GRID_ANG).astype(np.int64)
    steps[1:] -= steps[:-1].copy()
    if not is_first:
        steps[0] -= np.round(base / GRID_ANG).astype(np.int64)
    return {'n': len(positions), 'xyz': pack(steps.reshape(-1)), **_profile(one)}


def _profile(one: Track) -> dict[str, Any]:
    """Return coordinate in Ang and energy in eV of the images and of the curve through them, if energies are known."""
    if one.energies is None:
        return {}
    try:
        profile = energy_profile(one.positions, one.energies, one.forces)
        curve = np.round(profile.curve(CURVE_POINTS)[1], 4).tolist() if len(one.positions) > 2 else None
    except ValueError:  # images that coincide: energies can be shown, but not over a coordinate
        return {'s': list(range(len(one.energies))), 'e': np.round(one.energies - one.energies[0], 4).tolist()}
    return {
        's': np.round(profile.coordinate_ang, 3).tolist(),
        'e': np.round(profile.energies_ev, 4).tolist(),
        'curve': curve,
    }


def pack(numbers: Array) -> str:
    """Return whole numbers (n,) as text: zigzag, so that small ones are small, bytes by significance, deflated."""
    values = np.asarray(numbers, dtype=np.int64)
    zigzag = np.where(values >= 0, 2 * values, -2 * values - 1).astype('<u4')
    return base64.b64encode(zlib.compress(zigzag.view(np.uint8).reshape(-1, 4).T.tobytes(), 9)).decode('ascii')


def unpack(text: str) -> Array:
    """Return what :func:`pack` was given, as the page does it."""
    planes = np.frombuffer(zlib.decompress(base64.b64decode(text)), dtype=np.uint8).reshape(4, -1)
    zigzag = np.ascontiguousarray(planes.T).view('<u4').reshape(-1).astype(np.int64)
    return np.where(zigzag % 2 == 0, zigzag // 2, -(zigzag + 1) // 2)


def elements_of(hops: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return colour and radius in Ang of each element that is drawn."""
    symbols = sorted({symbol for hop in hops for symbol, _ in hop['symbols']})
    found = {}
    for symbol in symbols:
        number = atomic_numbers.get(symbol, 0)
        red, green, blue = (round(255 * float(part)) for part in jmol_colors[number])
        found[symbol] = {
            'colour': f'#{red:02x}{green:02x}{blue:02x}',
            'radius': round(float(covalent_radii[number]), 2),
        }
    return found


def _most_moved(positions: Array) -> int:
    return int(np.linalg.norm(positions[-1] - positions[0], axis=1).argmax())


def _nearest(away: Array, cell: Array, periodic: bool) -> Array:
    """Return vectors (n, 3) less whole ones of the cell, near to zero."""
    if not periodic or not np.linalg.det(cell):
        return away
    return away - np.round(away @ np.linalg.inv(cell)) @ cell


def _runs(symbols: tuple[str, ...]) -> list[list[Any]]:
    """Return symbols as runs, ``[symbol, number]`` each."""
    runs: list[list[Any]] = []
    for symbol in symbols:
        if runs and runs[-1][0] == symbol:
            runs[-1][1] += 1
        else:
            runs.append([symbol, 1])
    return runs
