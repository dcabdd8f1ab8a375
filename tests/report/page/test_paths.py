"""Paths in a page are those of the graph to half a hundredth of an Ang, and as small as they may be."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from ase.geometry import find_mic
from ase.io import read

from aiida_litraj.report.page.paths import GRID_ANG, Track, elements_of, hop_of, pack, unpack
from aiida_litraj.report.page.stored_paths import load_tracks
from tests.fixtures.benchmarks import tracks_of
from tests.fixtures.nodes import vacancy_path

ROUNDING_ANG = 0.5 * GRID_ANG + 1e-9
PER_PATH_BYTES = 40e6 / (1681 * 4)
"""So that 1,681 hops of nebDFT2k with a reference and three potentials take 40 MB."""


@pytest.fixture(scope='module')
def tracks() -> dict[str, Any]:
    """Tracks in a supercell of 96 atoms less one."""
    return tracks_of(read('examples/structures/Li3PO4_gamma.cif') * (1, 2, 2), n_images=7)


def drawn(hop: dict[str, Any]) -> dict[str, Any]:
    """Return the positions that a page draws, as its script reads them."""
    found: dict[str, Any] = {}
    base: Any = None
    for name, one in hop['tracks'].items():
        steps = unpack(one['xyz']).reshape(one['n'], -1, 3)
        steps[0] += 0 if base is None else base
        found[name] = np.cumsum(steps, axis=0) * GRID_ANG
        base = np.round(found[name][0] / GRID_ANG).astype(int) if base is None else base
    return found


def test_whole_numbers_come_back() -> None:
    numbers = np.array([0, 1, -1, 127, -128, 70_000, -70_000, 2**30, -(2**30)])
    assert unpack(pack(numbers)).tolist() == numbers.tolist()


def test_positions_are_those_of_the_graph(tracks: dict[str, Any]) -> None:
    """Up to whole vectors of the cell, the same for all images of an atom, and one shift of all."""
    hop = hop_of(tracks)
    assert list(hop['tracks']) == ['reference', 'initial', 'p0', 'p1']
    first = tracks['reference']
    middle = 0.5 * (first.positions[0, first.mobile] + first.positions[-1, first.mobile])
    for name, positions in drawn(hop).items():
        away = tracks[name].positions - middle - positions
        assert np.abs(find_mic(away.reshape(-1, 3), first.cell, True)[0]).max() <= ROUNDING_ANG * 3**0.5
        # An atom is in the same copy of the cell in all images: the path is in one piece.
        assert np.ptp(away, axis=0).max() <= 2 * ROUNDING_ANG
    assert hop['mobile'] == first.mobile
    assert sum(number for _, number in hop['symbols']) == len(first.symbols)


def test_the_hop_is_in_the_middle_of_its_atoms(tracks: dict[str, Any]) -> None:
    positions = drawn(hop_of(tracks))['reference']
    mobile = tracks['reference'].mobile
    assert np.abs(positions[0, mobile] + positions[-1, mobile]).max() <= 2 * GRID_ANG
    scaled = positions[0] @ np.linalg.inv(tracks['reference'].cell)
    assert np.abs(scaled).max() <= 0.5 + 0.01


def test_copies_beside_the_reference_are_drawn(tracks: dict[str, Any]) -> None:
    """A potential's path that was wrapped into the cell lies over the reference's, not at its other side."""
    cell = tracks['reference'].cell
    wrapped = replace(tracks['p0'], positions=tracks['p0'].positions + cell[0] - 2 * cell[2])
    before, after = (drawn(hop_of({**tracks, 'p0': one}))['p0'] for one in (tracks['p0'], wrapped))
    assert np.abs(before - after).max() <= GRID_ANG + 1e-9


def test_profile_is_that_of_the_path(tracks: dict[str, Any]) -> None:
    one, track = hop_of(tracks)['tracks']['p0'], tracks['p0']
    assert one['e'] == pytest.approx(track.energies - track.energies[0], abs=5e-5)
    steps = np.linalg.norm(np.diff(track.positions, axis=0).reshape(6, -1), axis=1)
    assert one['s'][-1] == pytest.approx(steps.sum(), abs=1e-3)
    assert max(one['curve']) == pytest.approx(max(one['e']), abs=0.01)
    assert 'e' not in hop_of(tracks)['tracks']['initial']


def test_images_that_coincide_have_energies_without_a_curve(tracks: dict[str, Any]) -> None:
    still = replace(tracks['p0'], positions=np.repeat(tracks['p0'].positions[:1], 7, axis=0))
    one = hop_of({**tracks, 'p0': still})['tracks']['p0']
    assert (one['s'], one.get('curve')) == (list(range(7)), None)


def test_other_atoms_are_not_drawn_together(tracks: dict[str, Any]) -> None:
    fewer = replace(tracks['p0'], symbols=tracks['p0'].symbols[1:], positions=tracks['p0'].positions[:, 1:])
    assert list(hop_of({**tracks, 'p0': fewer})['tracks']) == ['reference', 'initial', 'p1']
    with pytest.raises(ValueError, match='without a path'):
        hop_of({})


def test_real_motion_is_small(tracks: dict[str, Any]) -> None:
    """Atoms that an optimiser has moved by some 0.05 Ang, each image in its own way, and their reference."""
    draws = np.random.default_rng(1)

    def moved(track: Track) -> Track:
        noise = 0.05 * draws.standard_normal(track.positions.shape)
        return replace(track, positions=track.positions + noise)

    hop = hop_of({name: moved(one) for name, one in tracks.items() if name != 'initial'})
    assert sum(len(one['xyz']) for one in hop['tracks'].values()) / 3 < PER_PATH_BYTES


def test_paths_are_read_from_the_graph(aiida_profile: Any) -> None:
    paths = [vacancy_path(n_images=3).store(), vacancy_path(n_images=5, ion=1, site=0).store()]
    found = load_tracks([*(path.uuid for path in paths), '00000000-0000-0000-0000-000000000000'])
    assert set(found) == {path.uuid for path in paths}
    for path in paths:
        one = found[path.uuid]
        assert np.array_equal(one.positions, path.get_positions()) and np.array_equal(one.cell, path.cell)
        assert (list(one.symbols), one.mobile, one.periodic, one.energies) == (list(path.symbols), 0, True, None)


def test_elements_have_colours_and_sizes(tracks: dict[str, Any]) -> None:
    found = elements_of([hop_of(tracks)])
    assert set(found) == {'Li', 'P', 'O'}
    assert found['O']['colour'] == '#ff0d0d' and found['Li']['radius'] > found['O']['radius']
