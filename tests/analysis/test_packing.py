"""Work shared out: bounds that are known, everything once, nothing that depends on an order, equal ends together."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from aiida_litraj.analysis.packing import Limits, components, end_key, number_of_parts, pack, sample, share_out

HOUR = 3600.0


def loads(costs: dict[str, float], parts: list[list[str]]) -> list[float]:
    return [sum(costs[name] for name in part) for part in parts]


def best(costs: list[float], n_parts: int) -> float:
    """Return the smallest largest load there is, by trying all ways."""
    return min(
        max(sum(cost for cost, part in zip(costs, chosen, strict=True) if part == k) for k in range(n_parts))
        for chosen in itertools.product(range(n_parts), repeat=len(costs))
    )


@pytest.mark.parametrize('seed', range(12))
@pytest.mark.parametrize('n_parts', [2, 3])
def test_largest_part_is_within_the_bound_of_graham(seed: int, n_parts: int) -> None:
    values = np.random.default_rng(seed).integers(1, 30, size=7).astype(float).tolist()
    costs = {f'i{k}': value for k, value in enumerate(values)}
    largest = max(loads(costs, pack(costs, n_parts)))
    assert largest <= (4.0 / 3.0 - 1.0 / (3.0 * n_parts)) * best(values, n_parts) + 1e-9


def test_worst_case_of_graham_is_met() -> None:
    """Of 2 m + 1 jobs of 2m-1, 2m-1, 2m-2, 2m-2, ..., m, m, m: exactly the bound."""
    costs = {f'i{k}': float(value) for k, value in enumerate([5, 5, 4, 4, 3, 3, 3])}
    assert max(loads(costs, pack(costs, 3))) == 11.0 and best(list(costs.values()), 3) == 9.0


@pytest.mark.parametrize('n_parts', [1, 4, 24, 200])
def test_every_item_is_in_one_part_whatever_the_order(n_parts: int) -> None:
    random = np.random.default_rng(n_parts)
    costs = {f'path_{k}': float(cost) for k, cost in enumerate(random.integers(100, 1500, size=120))}
    groups = [list(costs)[k : k + 3] for k in range(0, 120, 3)]
    parts = pack(costs, n_parts, groups)
    assert sorted(itertools.chain(*parts)) == sorted(costs)
    assert len(parts) <= n_parts and all(parts)
    shuffled = {name: costs[name] for name in random.permutation(list(costs)).tolist()}
    assert pack(shuffled, n_parts, [groups[k] for k in random.permutation(len(groups))]) == parts


def test_real_sizes_make_parts_of_nearly_the_same_cost() -> None:
    """1,681 paths of 5 to 9 images of 40 to 200 atoms in 24 parts."""
    random = np.random.default_rng(3)
    costs = {
        f'p{k}': float(images * atoms)
        for k, (images, atoms) in enumerate(
            zip(random.integers(5, 10, 1681), random.integers(40, 201, 1681), strict=True)
        )
    }
    found = loads(costs, pack(costs, 24))
    # Small ones come last, and fill up what large ones have left uneven.
    assert max(found) - min(found) <= 2.0 * min(costs.values())


def test_group_stays_together_unless_it_is_more_than_a_share() -> None:
    costs = dict.fromkeys('abcdefgh', 1.0)
    parts = pack(costs, 4, [['a', 'e'], ['b', 'f'], ['c', 'g'], ['d', 'h']])
    assert parts == [['a', 'e'], ['b', 'f'], ['c', 'g'], ['d', 'h']]
    cut = pack(costs, 4, [list('abcdef'), ['g', 'h']])
    assert loads(costs, cut) == [2.0] * 4
    assert ['g', 'h'] in cut
    with pytest.raises(ValueError, match='n_parts = 0; give at least 1'):
        pack(costs, 0)


def test_items_that_share_a_key_are_one_group_also_through_others() -> None:
    keys = {'d': ['4', '5'], 'a': ['1', '2'], 'c': ['2', '3'], 'b': ['9', '8'], 'e': ['3', '7']}
    assert components(keys) == [['a', 'c', 'e'], ['b'], ['d']]
    assert components(dict(reversed(keys.items()))) == components(keys)


def limits(max_jobs: int, walltime: float | None = 24 * HOUR, least: float = HOUR) -> Limits:
    return Limits(max_jobs=max_jobs, walltime_seconds=walltime, fill=0.8, min_job_seconds=least)


@pytest.mark.parametrize(
    ('hours', 'max_jobs', 'walltime', 'parts'),
    [
        (412.0, 100, 24.0, 100),  # 22 would do, but 100 run at a time, each of four hours
        (412.0, 10, 24.0, 30),  # 22 are needed: three rounds of ten
        (412.0, 22, 24.0, 22),
        (10.0, 8, 24.0, 8),
        (3.5, 8, 24.0, 3),  # less than an hour is not worth a job
        (0.2, 8, 24.0, 1),
        (412.0, 10, None, 10),
        (None, 10, 24.0, 10),
    ],
)
def test_number_of_parts(hours: float | None, max_jobs: int, walltime: float | None, parts: int) -> None:
    chosen = limits(max_jobs, None if walltime is None else walltime * HOUR)
    assert number_of_parts(None if hours is None else hours * HOUR, 1681, chosen) == parts


def test_no_part_is_empty() -> None:
    assert number_of_parts(412 * HOUR, 3, limits(10)) == 3
    assert number_of_parts(None, 1, limits(10)) == 1


def test_sample_stands_for_all_sizes() -> None:
    costs = {f'i{k:03d}': float(k) for k in range(100)}
    chosen = sample(dict(reversed(costs.items())), 4)
    assert chosen == ['i012', 'i037', 'i062', 'i087']
    assert np.mean([costs[name] for name in chosen]) == pytest.approx(49.5)
    assert sample({'a': 1.0, 'b': 1.0}, 8) == ['a', 'b']


def test_end_is_the_same_in_any_order_and_image() -> None:
    random = np.random.default_rng(0)
    cell = np.array([[6.0, 0.0, 0.0], [2.0, 7.0, 0.0], [0.5, 0.3, 8.0]])
    numbers, pbc = np.array([3, 3, 16, 15, 16]), np.ones(3, dtype=bool)
    places = random.uniform(size=(5, 3)) @ cell
    places[0] = 0.0  # on the border of the cell
    key = end_key(numbers, places, cell, pbc)
    order = np.array([4, 1, 0, 3, 2])
    images = random.integers(-2, 3, size=(5, 3)) @ cell
    noise = random.uniform(-1e-9, 1e-9, size=(5, 3))
    assert end_key(numbers[order], (places + images + noise)[order], cell, pbc) == key
    moved = places.copy()
    moved[1, 0] += 0.01
    assert end_key(numbers, moved, cell, pbc) != key
    assert end_key(np.array([3, 16, 3, 15, 16]), places, cell, pbc) != key
    assert end_key(numbers, places + images, cell, np.zeros(3, dtype=bool)) != key


def test_every_part_fits_into_its_walltime_also_where_items_are_coarse() -> None:
    """Of six items of 500 s four parts would do by their sum, but then two of them would have two items."""
    costs = {f'i{k}': 5.0 for k in range(6)}
    chosen = Limits(max_jobs=2, walltime_seconds=1000.0, fill=0.8, min_job_seconds=1.0)
    assert loads(costs, share_out(costs, 3000.0, chosen)) == [5.0] * 6
    assert len(share_out({**costs, 'huge': 50.0}, 8000.0, chosen)) == 8 - 1  # one alone does not fit whatever is done
    random = np.random.default_rng(1)
    costs = {f'i{k}': float(cost) for k, cost in enumerate(random.integers(1, 79, size=300))}
    parts = share_out(costs, 10.0 * sum(costs.values()), chosen)
    assert max(loads(costs, parts)) * 10.0 <= 800.0 and len(parts) % 2 == 0
    assert len(parts) <= 1.2 * sum(costs.values()) * 10.0 / 800.0
