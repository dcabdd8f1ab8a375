"""Random packings keep every distance, are what they say, and are the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_litraj.analysis.contacts import pairs_within
from aiida_litraj.analysis.random_spheres import Packing, cubic_length, random_spheres

LI7P3S11 = {'Li': 35, 'P': 15, 'S': 55}
"""Five formulas, 105 atoms."""
DENSITY = 1.98
"""Of crystalline Li7P3S11, g/cm^3: 988.5 g/mol in 829.4 Ang^3 (H. Yamane et al., 2007)."""
DISTANCES = {'Li-Li': 2.2, 'Li-P': 2.2, 'Li-S': 2.0, 'P-P': 2.2, 'P-S': 1.9, 'S-S': 2.5}


def check(packing: Packing, distances: dict[str, float]) -> None:
    """Every pair, across the boundary too, is as far apart as its elements ask for."""
    pairs = pairs_within(packing.positions, packing.cell, np.ones(3, dtype=bool), max(distances.values()))
    symbols = packing.symbols
    for one, two, distance in zip(pairs.first, pairs.second, pairs.distances):
        least = distances.get(f'{symbols[one]}-{symbols[two]}', distances.get(f'{symbols[two]}-{symbols[one]}'))
        assert least is not None and distance >= least
    assert (packing.positions >= 0.0).all() and (packing.positions < packing.length_ang).all()


@pytest.mark.parametrize('seed', range(3))
def test_li7p3s11_glass_to_start_from(seed: int) -> None:
    packing = random_spheres(LI7P3S11, DENSITY, DISTANCES, seed)
    assert [packing.symbols.count(symbol) for symbol in LI7P3S11] == list(LI7P3S11.values())
    check(packing, DISTANCES)


def test_edge_of_the_cell_by_hand() -> None:
    """2471.3 g/mol over 0.602214 Ang^-3 cm^3/mol and 1.98 g/cm^3 are 2072.6 Ang^3."""
    assert cubic_length(LI7P3S11, DENSITY) == pytest.approx(2072.6 ** (1 / 3), abs=2e-3)


def test_seed_decides_and_nothing_else() -> None:
    first, again, other = (random_spheres(LI7P3S11, DENSITY, DISTANCES, seed) for seed in (7, 7, 8))
    np.testing.assert_array_equal(first.positions, again.positions)
    assert abs(first.positions - other.positions).max() > 1.0
    reverse = {'-'.join(reversed(name.split('-'))): value for name, value in reversed(DISTANCES.items())}
    np.testing.assert_array_equal(random_spheres(LI7P3S11, DENSITY, reverse, 7).positions, first.positions)


def test_where_addition_jams_spheres_are_pushed_apart() -> None:
    """46 % of the cell in equal spheres; random sequential addition ends at 38 %."""
    packing = random_spheres({'Ar': 100}, 2.6534, {'Ar-Ar': 2.8}, 3)
    assert packing.pushed
    check(packing, {'Ar-Ar': 2.8})
    assert not random_spheres({'Ar': 100}, 2.6534, {'Ar-Ar': 2.0}, 3).pushed


def test_places_are_random() -> None:
    """Without distances to keep: the mean position is the middle, the spread that of an even distribution."""
    packing = random_spheres({'Li': 600}, 0.5, {'Li-Li': 0.0}, 1)
    scaled = packing.positions / packing.length_ang
    np.testing.assert_allclose(scaled.mean(axis=0), 0.5, atol=4 / np.sqrt(12 * 600))
    np.testing.assert_allclose(scaled.var(axis=0), 1 / 12, rtol=0.16)


@pytest.mark.parametrize(
    ('composition', 'density', 'distances', 'words'),
    [
        ({}, 2.0, {}, ['composition is empty']),
        ({'Xx': 3}, 2.0, {}, ["'Xx' is not an element"]),
        ({'Li': 0}, 2.0, {'Li-Li': 1.0}, ['the number of Li atoms is 0']),
        ({'Li': 2.5}, 2.0, {'Li-Li': 1.0}, ['2.5, not a positive integer']),
        ({'Li': 5}, 0.0, {'Li-Li': 1.0}, ['density_g_per_cm3 = 0']),
        ({'Li': 5, 'S': 5}, 2.0, {'Li-Li': 1.0, 'S-S': 1.0}, ['no Li-S', 'every pair']),
        ({'Li': 5}, 2.0, {'Li-Li': -1.0}, ['Li-Li is -1.0']),
        ({'Li': 5}, 2.0, {'LiLi': 1.0}, ["'LiLi' is not a pair"]),
        ({'Li': 5, 'S': 5}, 2.0, {'Li-S': 1.0, 'S-Li': 2.0}, ['S-Li is given twice, as 1 and 2']),
        ({'Li': 1}, 2.0, {'Li-Li': 5.0}, ['Li-Li 5 Ang', 'its own image', 'more atoms']),
        ({'Ar': 100}, 2.6534, {'Ar-Ar': 3.4}, ['density_g_per_cm3 = 2.6534', 'Ar-Ar 3.4', '82%', 'lower the density']),
        (
            {'Ar': 100, 'He': 9},
            2.6534,
            {'Ar-Ar': 3.4, 'Ar-He': 2.2, 'He-He': 1.0},
            ['Equal ones fill 74% at most, and un'],
        ),
        ({'Ar': 40}, 2.6534, {'Ar-Ar': 3.25}, ['cannot be packed at random', 'jams', 'Lower the density']),
    ],
)
def test_what_cannot_be_packed_is_named(
    composition: dict[str, int], density: float, distances: dict[str, float], words: list[str]
) -> None:
    with pytest.raises(ValueError) as caught:
        random_spheres(composition, density, distances, 0)
    for word in words:
        assert word in str(caught.value)
