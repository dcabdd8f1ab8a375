"""Hops and supercells on crystals whose answers can be worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from aiida_litraj.analysis import (
    Geometry,
    Hop,
    build_between,
    build_hop,
    check_crystal,
    choose_repetition,
    closest_pair,
    parse_hop,
    shortest_translation,
)
from aiida_litraj.analysis.hops import check_length
from aiida_litraj.analysis.neighbours import kinds_of_hops, neighbour_hops

EXACT = 1e-12
PERIODIC = np.array([True, True, True])


@pytest.fixture
def rocksalt() -> Atoms:
    """The conventional cell of LiF, 4 Li (0-3) and 4 F (4-7), a = 4 Ang."""
    atoms = bulk('LiF', 'rocksalt', a=4.0, cubic=True)
    return atoms[np.argsort(atoms.numbers != 3, kind='stable')]


def geometry(distance: float = 3.0, n_images: int = 5) -> Geometry:
    return Geometry(min_image_distance_ang=distance, n_images=n_images, site_tolerance_ang=0.5)


@pytest.mark.parametrize(
    ('distance', 'expected'), [(4.8, (1, 1, 1)), (8.0, (2, 2, 1)), (10.0, (3, 2, 1)), (12.0, (3, 2, 2))]
)
def test_orthorhombic_cell_repeats_each_axis_for_itself(distance: float, expected: tuple[int, int, int]) -> None:
    cell = np.diag([4.89264480, 6.07079561, 10.41629663])
    assert choose_repetition(cell, PERIODIC, distance) == expected


def test_shortest_translation_of_a_skewed_cell_is_not_one_of_its_edges() -> None:
    # c = 5 a + (0, 0, 4): reduced, it is (0, 0, 4), shorter than any edge of the cell.
    cell = np.array([[5.0, 0.0, 0.0], [0.0, 6.0, 0.0], [25.0, 0.0, 4.0]])
    assert shortest_translation(cell, PERIODIC) == pytest.approx(4.0, abs=EXACT)
    # Doubling c leaves a = 5 Ang as the shortest; doubling a leaves (0, 6, 0), as c - 2 a' = (5, 0, 4) is longer.
    assert choose_repetition(cell, PERIODIC, 5.0) == (2, 1, 1)
    assert shortest_translation(cell * np.array([[2.0], [1.0], [1.0]]), PERIODIC) == pytest.approx(6.0, abs=EXACT)


def test_directions_that_are_not_periodic_do_not_repeat() -> None:
    assert choose_repetition(np.diag([3.0, 3.0, 3.0]), np.array([True, False, False]), 8.0) == (3, 1, 1)
    assert choose_repetition(np.zeros((3, 3)), np.zeros(3, dtype=bool), 8.0) == (1, 1, 1)


def test_vacancy_hop_moves_the_source_along_the_vector_asked_for(rocksalt: Atoms) -> None:
    hop = Hop(source=0, target=1, offset=(0, -1, 0))
    path = build_hop(rocksalt, hop, geometry(distance=7.0))
    vector = rocksalt.positions[1] + np.array([0.0, -4.0, 0.0]) - rocksalt.positions[0]
    np.testing.assert_allclose(path.displacement, vector, atol=EXACT)
    np.testing.assert_allclose(path.positions[-1, 0] - path.positions[0, 0], vector, atol=EXACT)
    np.testing.assert_allclose(path.positions[2, 0] - path.positions[0, 0], vector / 2, atol=EXACT)
    np.testing.assert_allclose(path.positions[:, 1:] - path.positions[:1, 1:], 0.0, atol=EXACT)
    assert path.positions.shape == (5, 63, 3)
    assert path.labels['repetition'] == [2, 2, 2]


def test_vacancy_is_where_the_ion_arrives(rocksalt: Atoms) -> None:
    """The ion must not land on an atom, whatever the offset: the site it goes to is the one that was emptied."""
    for target in range(4):
        for offset in [(0, 0, 0), (1, 0, 0), (0, -1, 2), (-3, 0, 1)]:
            if target == 0 and np.array_equal(np.mod(offset, 2), [0, 0, 0]):
                continue
            path = build_hop(rocksalt, Hop(source=0, target=target, offset=offset), geometry(distance=7.0))
            for end in (path.positions[0], path.positions[-1]):
                pair = closest_pair(end, path.cell, path.pbc, below=3.0)
                assert pair is not None
                assert pair[2] == pytest.approx(2.0, abs=1e-9)  # a/2, as in the crystal
            # The crystal less one Li: both ends together fill its sites.
            assert (path.numbers == 3).sum() == 31
            assert (path.numbers == 9).sum() == 32


def test_interstitial_hop_keeps_every_atom(rocksalt: Atoms) -> None:
    hop = Hop(source=2, target=(0.25, 0.25, 0.25), mechanism='interstitial')
    path = build_hop(rocksalt, hop, geometry(distance=4.0, n_images=3))
    assert path.positions.shape == (3, 8, 3)
    np.testing.assert_allclose(path.positions[0, 0], rocksalt.positions[2], atol=EXACT)
    np.testing.assert_allclose(path.positions[-1, 0], [1.0, 1.0, 1.0], atol=EXACT)


@pytest.mark.parametrize(
    ('hop', 'message'),
    [
        (Hop(source=4, target=1), r'hop.source = 4: no mobile ion there but F; the Li sites are 0, 1, 2, 3'),
        (
            Hop(source=0, target=1, mobile_element='Na'),
            r'hop.source = 0: .* has no Na but F, Li; name the element that hops',
        ),
        (Hop(source=8, target=1), r'hop.source = 8: the structure has only 8 sites'),
        (Hop(source=0, target=5), r'hop.target = 5: .* has to be a Li site, and it is F; the Li sites are 0, 1, 2, 3'),
        (Hop(source=0, target=9), r'hop.target = 9: .* is not one of 8 sites, from 0; the Li sites are 0, 1, 2, 3'),
        (Hop(source=0, target=(0.1, 0.1, 0.1)), r"use mechanism 'interstitial'"),
        (Hop(source=1, target=1), r'source and target are the same site 1 with offset \[0, 0, 0\]'),
        (Hop(source=0, target=0, offset=(1, 0, 0)), r'periodic image of the ion itself; raise .* above 4.000'),
        (Hop(source=0, target=2, mechanism='interstitial'), r'hop.target = 2: that site is occupied by Li'),
        (Hop(source=0, target=(0.51, 0.5, 0.5), mechanism='interstitial'), r'occupied by F 0.040 Ang away'),
        (Hop(source=0, target=(0.02, 0.0, 0.0), mechanism='interstitial'), r'the same place, 0.080 Ang apart'),
    ],
)
def test_hops_that_cannot_be_are_refused_with_value_and_remedy(rocksalt: Atoms, hop: Hop, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_hop(rocksalt, hop, geometry())


def test_hop_past_its_own_image_is_refused_and_a_larger_cell_takes_it(rocksalt: Atoms) -> None:
    hop = Hop(source=0, target=1, offset=(0, 2, 0))  # (0, 2, 2) + (0, 8, 0): 10.2 Ang
    with pytest.raises(ValueError, match=r'its way is 10.20 Ang long, farther .* image in the supercell \(8.00 Ang\)'):
        check_length(build_hop(rocksalt, hop, geometry(distance=7.0)))
    check_length(build_hop(rocksalt, hop, geometry(distance=11.0)))
    check_length(build_hop(rocksalt, Hop(source=0, target=1), geometry(distance=3.0)))


@pytest.mark.parametrize(('distance', 'atoms'), [(80.0, 64_000), (500.0, 15_625_000)])
def test_supercell_beyond_any_potential_is_refused_before_it_is_built(
    rocksalt: Atoms, distance: float, atoms: int
) -> None:
    with pytest.raises(ValueError, match=rf'min_image_distance_ang = {distance:g}: .* at least {atoms} atoms'):
        build_hop(rocksalt, Hop(source=0, target=1), geometry(distance=distance))


def test_supercell_of_a_flat_cell_is_refused_too() -> None:
    """Its faces are close and its edges long: the size shows only when the repetition is known."""
    flat = np.array([[30.0, 0.0, 0.0], [29.0, 3.0, 0.0], [0.0, 0.0, 30.0]])
    with pytest.raises(ValueError, match='more than 20000'):
        choose_repetition(flat, PERIODIC, 29.0, 3000)


def test_closest_pair_of_many_atoms_is_found_among_its_neighbours(rocksalt: Atoms) -> None:
    """Among 21952 atoms, where all pairs together would take 4 GB."""
    crystal = rocksalt.repeat(14)
    assert closest_pair(crystal.positions, np.asarray(crystal.cell), PERIODIC, below=0.5) is None
    crystal.positions[7000] = crystal.positions[3] - [0.1, 0.0, 0.0] - crystal.cell[0]
    pair = closest_pair(crystal.positions, np.asarray(crystal.cell), PERIODIC, below=0.5)
    assert pair == (3, 7000, pytest.approx(0.1))


def test_neighbours_in_rocksalt(rocksalt: Atoms) -> None:
    """12 at a/sqrt(2) and 6 at a for each of 4 sites; a hop and its way back are one."""
    kinds = kinds_of_hops(neighbour_hops(rocksalt, 'Li', 4.5))
    assert [(len(kind), round(kind[0].distance_ang, 4)) for kind in kinds] == [(24, 2.8284), (12, 4.0)]
    for hop in (hop for kind in kinds for hop in kind):
        parsed = parse_hop(hop.text)
        path = build_hop(rocksalt, parsed, geometry(distance=7.0))
        assert np.linalg.norm(path.displacement) == pytest.approx(hop.distance_ang, abs=1e-9)
    with pytest.raises(ValueError, match='the structure has no Na but F, Li; name the element that hops with --mobile'):
        neighbour_hops(rocksalt, 'Na', 4.0)


def test_offset_along_an_axis_without_periodicity_is_refused(rocksalt: Atoms) -> None:
    rocksalt.pbc = (True, True, False)
    with pytest.raises(ValueError, match=r'hop.offset = \[0, 0, 1\]: the structure is not periodic along axis 2'):
        build_hop(rocksalt, Hop(source=0, target=1, offset=(0, 0, 1)), geometry())


def test_crystal_with_two_atoms_on_one_place_is_refused_across_the_boundary(rocksalt: Atoms) -> None:
    rocksalt.positions[5] = rocksalt.positions[3] + rocksalt.cell[1] + [0.0, 0.0, 0.1]
    with pytest.raises(ValueError, match=r'atoms 3 \(Li\) and 5 \(F\) are on one place \(0.100 Ang apart'):
        check_crystal(rocksalt, 0.5)


def test_unknown_element_is_refused(rocksalt: Atoms) -> None:
    rocksalt.numbers[6] = 0
    with pytest.raises(ValueError, match=r"site 6 is 'X', which is not an element"):
        check_crystal(rocksalt, 0.5)


def test_fewer_than_three_images_are_refused() -> None:
    with pytest.raises(ValueError, match='at least 3 images'):
        geometry(n_images=2)


@pytest.mark.parametrize(
    ('text', 'hop'),
    [
        ('0,6,0,0,0', Hop(source=0, target=6)),
        (' 0, 11, 0,0,-1', Hop(source=0, target=11, offset=(0, 0, -1))),
        ('3,0.5,0.25,1', Hop(source=3, target=(0.5, 0.25, 1.0), mechanism='interstitial')),
    ],
)
def test_hop_parses(text: str, hop: Hop) -> None:
    assert parse_hop(text) == hop


@pytest.mark.parametrize('text', ['', '0,6', '0,6,0,0,x', '0.5,6,0,0,0', '-1,6,0,0,0', '0,6,0,0,0,0', '0;6;0;0;0'])
def test_hop_that_does_not_parse_is_named(text: str) -> None:
    with pytest.raises(ValueError, match=f"hop '{text}' does not parse: write"):
        parse_hop(text)


@pytest.mark.parametrize(
    ('text', 'mechanism', 'message'),
    [
        ('0,6,0,0,0', 'interstitial', 'written as a vacancy hop, .* and the mechanism is interstitial'),
        ('0,0.5,0.5,0.5', 'vacancy', 'written as an interstitial hop, .* and the mechanism is vacancy'),
    ],
)
def test_hop_and_mechanism_that_contradict_each_other(text: str, mechanism: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_hop(text, mechanism)


def test_path_between_two_structures_goes_across_the_boundary(rocksalt: Atoms) -> None:
    final = rocksalt.copy()
    final.positions[1] += [0.9, 0.9, 0.9]
    final.positions[7] += [0.0, 0.2, 0.0]
    final.wrap()
    path = build_between(rocksalt, final, n_images=4, site_tolerance_ang=0.5)
    assert path.mobile == 1
    np.testing.assert_allclose(path.displacement, [0.9, 0.9, 0.9], atol=1e-9)
    np.testing.assert_allclose(path.positions[-1, 7] - path.positions[0, 7], [0.0, 0.2, 0.0], atol=1e-9)


def test_path_between_structures_with_two_equally_long_ways_is_refused(rocksalt: Atoms) -> None:
    final = rocksalt.copy()
    final.positions[1] += [2.0, 0.0, 0.0]
    with pytest.raises(ValueError, match='equally far; use a larger supercell'):
        build_between(rocksalt[[0, 1, 4]], final[[0, 1, 4]], n_images=4, site_tolerance_ang=0.5)


def test_ends_with_other_atoms_are_refused(rocksalt: Atoms) -> None:
    fewer, reordered = rocksalt[[0, 1, 2, 4, 5, 6, 7]], rocksalt[[0, 1, 2, 4, 3, 5, 6, 7]]
    with pytest.raises(ValueError, match='differ in composition: Li 4 and 3'):
        build_between(rocksalt, fewer, n_images=4, site_tolerance_ang=0.5)
    with pytest.raises(ValueError, match='different order: number 3 is Li in the one and F in the other'):
        build_between(rocksalt, reordered, n_images=4, site_tolerance_ang=0.5)
    with pytest.raises(ValueError, match='source and target are the same place'):
        build_between(rocksalt, rocksalt, n_images=4, site_tolerance_ang=0.5)
