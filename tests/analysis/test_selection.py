"""Choices whose answers are known."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from ase.neighborlist import primitive_neighbor_list

from aiida_litraj.analysis.frames import from_ase
from aiida_litraj.analysis.selection import (
    _distances,
    facts_descriptor,
    farthest_points,
    part_by_material,
    radial_histogram,
    random_choice,
    standardised,
    stratified,
)

TOLERANCE = 1e-12


def test_farthest_points_on_a_line() -> None:
    line = np.arange(11.0)[:, None]
    # The mean, then both ends, then the middles of what is left: of 2.5 and 7.5 the nearest points that come first.
    assert farthest_points(line, 5).tolist() == [5, 0, 10, 2, 7]
    assert farthest_points(line, 0).tolist() == []
    assert sorted(farthest_points(line, 11)) == list(range(11))


def test_farthest_points_of_clusters_takes_one_of_each() -> None:
    generator = np.random.default_rng(1)
    centres = 100.0 * generator.normal(size=(7, 3))
    points = np.repeat(centres, 50, axis=0) + generator.normal(size=(350, 3))
    assert sorted(index // 50 for index in farthest_points(points, 7)) == list(range(7))


def test_points_that_coincide_are_not_chosen_twice() -> None:
    points = np.repeat(np.arange(3.0), 4)[:, None]
    with pytest.raises(ValueError, match='5 entries are wished for, but only 3 differ'):
        farthest_points(points, 5)
    with pytest.raises(ValueError, match='entry 1 is not finite in column 0'):
        farthest_points(np.array([[0.0], [np.nan]]), 1)


def test_standardised_leaves_what_does_not_vary_at_zero() -> None:
    columns = np.column_stack([np.arange(5.0), np.full(5, 1 / 3)])
    made = standardised(columns)
    np.testing.assert_allclose(made.mean(axis=0), 0, atol=TOLERANCE)
    np.testing.assert_allclose(made.std(axis=0), [1, 0], atol=TOLERANCE)


def test_facts_are_fractions_and_columns() -> None:
    made = facts_descriptor([{'Li': 3, 'P': 1}, {'Li': 6, 'P': 2}, {'S': 1}], [np.array([1.0, 2.0, 3.0])])
    assert made.shape == (3, 4)
    np.testing.assert_allclose(made[0, :3], made[1, :3], atol=TOLERANCE)
    assert made[0, 3] == -made[2, 3] < 0


def test_random_choice_does_not_depend_on_the_order_of_storage() -> None:
    ids = [f'mp-{number}' for number in range(200)]
    there = [ids[index] for index in random_choice(ids, 20, seed=3)]
    back = [ids[::-1][index] for index in random_choice(ids[::-1], 20, seed=3)]
    assert there == back and len(set(there)) == 20
    assert there != [ids[index] for index in random_choice(ids, 20, seed=4)]
    assert there[:5] == [ids[index] for index in random_choice(ids, 5, seed=3)]


def test_random_choice_takes_each_as_often_as_any() -> None:
    ids = [str(number) for number in range(10)]
    taken = Counter(index for seed in range(2000) for index in random_choice(ids, 3, seed).tolist())
    expected, deviation = 600, np.sqrt(2000 * 0.3 * 0.7)
    assert all(abs(taken[index] - expected) < 5 * deviation for index in range(10))


def test_stratified_takes_from_each_as_evenly_as_it_can() -> None:
    materials = ['a'] * 1 + ['b'] * 5 + ['c'] * 10
    ids = [str(number) for number in range(16)]
    for number, counts in [(2, None), (3, (1, 1, 1)), (5, (1, 2, 2)), (9, (1, 4, 4)), (16, (1, 5, 10))]:
        chosen = stratified(ids, materials, number, seed=0)
        taken = Counter(materials[index] for index in chosen)
        assert len(set(chosen.tolist())) == number
        assert counts is None or tuple(taken[name] for name in 'abc') == counts


def test_no_more_than_there_is() -> None:
    for choose in (
        lambda: random_choice(['a', 'b'], 3, 0),
        lambda: stratified(['a', 'b'], ['m', 'm'], 3, 0),
        lambda: farthest_points(np.zeros((2, 1)), 3),
    ):
        with pytest.raises(ValueError, match='3 entries are wished for, but only 2 meet the criteria: ask for fewer'):
            choose()


def test_parts_share_no_material_and_have_about_their_sizes() -> None:
    generator = np.random.default_rng(0)
    materials = [f'mp-{number}' for number, size in enumerate(generator.integers(1, 40, 300)) for _ in range(size)]
    wished = {'train': 0.8, 'val': 0.1, 'test': 0.1}
    made = part_by_material(materials, wished, seed=5)
    owners = [{materials[index] for index in part} for part in made.parts.values()]
    assert not owners[0] & owners[1] and not owners[0] & owners[2] and not owners[1] & owners[2]
    assert sorted(np.concatenate(list(made.parts.values()))) == list(range(len(materials)))
    for name, fraction in wished.items():
        # The largest material has 39 entries: no part is farther from its size.
        assert abs(len(made.parts[name]) - fraction * len(materials)) <= 39
    assert sum(made.materials.values()) == 300


def test_no_part_stays_empty_even_beside_a_giant() -> None:
    made = part_by_material(['giant'] * 1000 + ['a', 'b'], {'train': 0.9, 'val': 0.05, 'test': 0.05}, seed=1)
    assert set(made.materials.values()) == {1}


def test_a_split_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match=r'2 material\(s\) cannot be split in 3 parts'):
        part_by_material(['a', 'b', 'b'], {'x': 0.4, 'y': 0.3, 'z': 0.3}, seed=0)
    with pytest.raises(ValueError, match=r'the parts x=0\.4, y=0\.3 are no split'):
        part_by_material(['a', 'b'], {'x': 0.4, 'y': 0.3}, seed=0)


def test_radial_histogram_counts_the_shells_of_fcc() -> None:
    from ase.build import bulk

    frame = from_ase([bulk('Cu', 'fcc', a=4.0)])
    width, n_bins, cutoff = 0.05, 600, 6.0
    centres = (np.arange(n_bins) + 0.5) * cutoff / n_bins
    counts = (
        radial_histogram(frame, cutoff, n_bins, width) * centres**2 * cutoff / n_bins / (width * np.sqrt(2 * np.pi))
    )
    for distance, neighbours in [(4 / np.sqrt(2), 12), (4.0, 6), (4 * np.sqrt(1.5), 24)]:
        assert counts[np.abs(centres - distance) < 0.25].sum() == pytest.approx(neighbours, abs=0.01)


def test_radial_histogram_is_of_a_crystal_not_of_its_cell() -> None:
    from ase.build import bulk

    small, large = bulk('Cu', 'fcc', a=3.7), bulk('Cu', 'fcc', a=3.7).repeat((2, 1, 3))
    first, second = (radial_histogram(from_ase([one])) for one in (small, large))
    np.testing.assert_allclose(first, second, rtol=1e-9)


@pytest.mark.parametrize('pbc', [(True, True, True), (True, False, True), (False, False, False)])
def test_distances_are_those_of_ase(pbc: tuple[bool, bool, bool]) -> None:
    """In a skewed cell smaller than the cutoff, with atoms outside it, and where some directions do not repeat."""
    generator = np.random.default_rng(3)
    cell = np.array([[4.0, 0.3, 0.0], [-1.9, 5.0, 0.4], [0.7, 1.1, 9.0]])
    positions = generator.uniform(-6, 12, (9, 3))
    expected = primitive_neighbor_list('d', pbc, cell, positions, 6.0, self_interaction=False)
    np.testing.assert_allclose(np.sort(_distances(positions, cell, np.array(pbc), 6.0)), np.sort(expected), atol=1e-10)


def test_distances_without_a_cell() -> None:
    positions = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 2.5], [0.0, 7.0, 0.0]])
    assert _distances(positions, np.zeros((3, 3)), np.zeros(3, dtype=bool), 6.0).tolist() == [2.5, 2.5]


SALTS = {
    'a': 'Li', 'b': 'Li', 'c': 'Li S', 'd': 'Li S', 'e': 'Li P S', 'f': 'Li Cl', 'g': 'Li Cl', 'h': 'Na',
}  # fmt: skip


@pytest.mark.parametrize('share', [0.2, 0.5, 0.8])
def test_the_first_part_keeps_every_element(share: float) -> None:
    """Of e and h each has an element of its own; without being told, most seeds would let one of them go."""
    names = [name for name in SALTS for _ in range(3)]
    fractions, elements = {'train': 1.0 - share, 'valid': share}, [SALTS[name].split() for name in names]
    torn = 0
    for seed in range(40):
        plain, kept = (part_by_material(names, fractions, seed, elements=some) for some in (None, elements))
        there = {symbol for index in kept.parts['train'] for symbol in elements[index]}
        assert there == {'Li', 'S', 'P', 'Cl', 'Na'} and len(kept.parts['valid'])
        assert sorted([*kept.parts['train'], *kept.parts['valid']]) == list(range(24))
        if {symbol for index in plain.parts['train'] for symbol in elements[index]} == there:
            for part in fractions:
                np.testing.assert_array_equal(plain.parts[part], kept.parts[part])
        else:
            torn += 1
    assert 0 < torn < 40 if share < 0.8 else torn > 0


def test_elements_are_kept_with_few_materials() -> None:
    """Of three only a can go, whatever the order; where none can, it is drawn as ever."""
    for seed in range(12):
        made = part_by_material('abc', {'x': 0.9, 'y': 0.1}, seed, elements=[['Li'], ['Li', 'S'], ['Li', 'P']])
        assert made.parts['y'].tolist() == [0]
        plain, own = (part_by_material('ab', {'x': 0.5, 'y': 0.5}, seed, elements=e) for e in (None, [['Li'], ['Na']]))
        assert plain.parts['y'].tolist() == own.parts['y'].tolist()
