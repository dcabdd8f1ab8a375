"""Paths as the page draws them: positions in hundredths of an Ang, as small as they get, and energy profiles.

A track is one path of a hop: the reference's, the initial guess, or that of a potential. Its first image is written as
it differs from that of the reference, and so is each image from the one before; whole numbers of a grid of 0.01 Ang,
their bytes by significance, deflated. What a band moves little takes little, and nothing that is drawn is lost.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import numpy as np
from ase.data import atomic_numbers, covalent_radii
from ase.data.colors import jmol_colors

from ...analysis.barriers import energy_profile
from ...contract.arrays import Array

GRID_ANG = 0.01
CURVE_POINTS = 41
REFERENCE, INITIAL = 'reference', 'initial'
_AT_ONCE = 50
"""Hops whose paths are held in memory together."""


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


def draw_paths(
    points: Mapping[str, Any], load: Callable[[list[str]], Mapping[str, Track]], most_bytes: float
) -> dict[str, Any]:
    """Return hops as the page draws them, by their number, the worst first until the room is full.

    :param points: of the benchmark, column by column.
    :param load: paths by the uuids of their nodes.
    """
    drawn: dict[str, Any] = {}
    used = 0
    order = by_error(points)
    for begin in range(0, len(order), _AT_ONCE):
        some = order[begin : begin + _AT_ONCE]
        named = {hop: dict(_uuids(points, hop)) for hop in some}
        tracks = load([uuid for one in named.values() for uuid in one.values()])
        for hop in some:
            found = {name: tracks[uuid] for name, uuid in named[hop].items() if uuid in tracks}
            if not found:
                continue
            content = hop_of(found)
            used += len(json.dumps(content, separators=(',', ':')))
            if used > most_bytes:
                return drawn
            drawn[str(hop)] = content
    return drawn


def by_error(points: Mapping[str, Any]) -> list[int]:
    """Return the numbers of the hops, by turns one that failed and one of those whose barriers are furthest off.

    Failed ones are in the order of how many potentials failed, the others in that of the largest error of any.
    """
    reference = points['reference_range_ev']
    failed, error = [0] * len(reference), [0.0] * len(reference)
    for one in points['potentials']:
        for hop, (known, own, done) in enumerate(zip(reference, one['range_ev'], one['converged'])):
            failed[hop] += done is False
            if done and own is not None and known is not None:
                error[hop] = max(error[hop], abs(own - known))
    hops = range(len(reference))
    lost = sorted((hop for hop in hops if failed[hop]), key=lambda hop: -failed[hop])
    off = sorted(hops, key=lambda hop: -error[hop])
    turns = (hop for pair in zip_longest(off, lost) for hop in pair if hop is not None)
    return list(dict.fromkeys(turns))


def _uuids(points: Mapping[str, Any], hop: int) -> Iterator[tuple[str, str]]:
    """Yield the tracks of a hop and the uuid of the node of each; potentials by their number."""
    for name in (REFERENCE, INITIAL):
        if points[f'{name}_uuid'][hop]:
            yield name, points[f'{name}_uuid'][hop]
    for number, one in enumerate(points['potentials']):
        if one['path_uuid'][hop]:
            yield f'p{number}', one['path_uuid'][hop]  # not a bare number: a browser would take it out of order
