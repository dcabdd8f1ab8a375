"""Which hops are in which group, and that errors are those of the group alone."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms

from aiida_litraj.analysis.benchmark_errors import Fallback, Outcomes, benchmark_errors
from aiida_litraj.analysis.benchmark_groups import barrier_groups, benchmark_groups, element_groups
from aiida_litraj.analysis.chemistry import anion_class


def numbers(formula: str) -> list[int]:
    return Atoms(formula).numbers.tolist()


@pytest.mark.parametrize(
    ('formula', 'expected'),
    [
        ('Li3PO4', 'oxide'), ('Li2SO4', 'oxide'), ('LiNO3', 'oxide'), ('LiClO4', 'oxide'), ('Li3PS4', 'sulfide'),
        ('Li6PS5Cl', 'sulfide'), ('Li3YCl6', 'chloride'), ('Li3N', 'nitride'), ('LiPF6', 'fluoride'),
        ('Li3OCl', 'mixed anions'), ('LiPO2F2', 'mixed anions'), ('Li3YBr3Cl3', 'mixed anions'), ('Li3P', 'other'),
        ('Li2Se', 'selenide'), ('LiI', 'iodide'), ('LiNO2', 'oxide'), ('Li2S2O3', 'mixed anions'),
    ],
)  # fmt: skip
def test_class_of_the_anion(formula: str, expected: str) -> None:
    assert anion_class(numbers(formula)) == expected


OUTCOMES = Outcomes(
    'range',
    ('a', 'a', 'b', 'c'),
    np.array([0.2, 0.25, 0.6, 1.5]),
    np.array([0.3, 0.35, 0.7, np.nan]),
    np.array([True, True, True, False]),
)
COMPOSITIONS = [numbers('Li3PS4'), numbers('Li3PS4'), numbers('Li3PO4'), numbers('Li2O')]


def test_elements_that_all_compounds_have_are_no_group() -> None:
    groups = element_groups(COMPOSITIONS)
    assert {name: here.tolist() for name, here in groups.items()} == {
        'P': [True, True, True, False],
        'O': [False, False, True, True],
        'S': [True, True, False, False],
    }
    assert list(groups) == ['P', 'O', 'S']


def test_ranges_go_up_to_their_edge_and_take_the_flat_one() -> None:
    groups = barrier_groups(np.array([0.0, 0.25, 0.26, 1.5]), (0.0, 0.25, 0.5, 1.0, np.inf))
    assert {name: here.tolist() for name, here in groups.items()} == {
        '0-0.25 eV': [True, True, False, False],
        '0.25-0.5 eV': [False, False, True, False],
        'above 1 eV': [False, False, False, True],
    }
    with pytest.raises(ValueError, match='have to rise'):
        barrier_groups(np.zeros(2), (0.5, 0.5))


def test_errors_of_a_group_are_those_of_its_hops_alone() -> None:
    fallback = Fallback(np.array([0.6, 0.6, 0.25, 0.25]))
    found = benchmark_groups(OUTCOMES, COMPOSITIONS, fallback)
    assert list(found.by_anion) == ['oxide', 'sulfide']
    oxide = found.by_anion['oxide']
    here = np.array([False, False, True, True])
    assert oxide == benchmark_errors(OUTCOMES.of(here), fallback.of(here))
    assert (oxide.n_paths, oxide.n_converged, oxide.n_materials) == (2, 1, 2)
    assert oxide.charged is not None
    assert oxide.charged.mae_ev_failed_as_constant.value == pytest.approx((0.1 + 1.25) / 2)
    assert found.by_anion['sulfide'].n_materials == 1
    interval = found.by_anion['sulfide'].converged_only.mae_ev
    assert interval.interval is None and interval.reason == 'no interval: 1 material(s), at least 5 are needed'
    assert sum(group.n_paths for group in found.by_barrier.values()) == 4


def test_compositions_of_other_hops_are_refused() -> None:
    with pytest.raises(ValueError, match='3 compositions for 4 hops'):
        benchmark_groups(OUTCOMES, COMPOSITIONS[:3])
