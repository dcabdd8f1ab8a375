"""What counts as a death in a grid: only what is the same for every potential."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from aiida_litraj.calculations.functions.analyse_robustness import describe_grid, outcome_of
from aiida_litraj.calculations.functions.plan_robustness import Grid
from aiida_litraj.contract.md import Death, MdItemResult

PHYSICS = {'non_finite', 'temperature', 'energy', 'volume', 'atom_lost'}


def entry(death: str | None = None, **fields: Any) -> dict[str, Any]:
    """The entry of a replica that failed, without an id."""
    values = {'status': 'failed', 'converged': False, 'label': 'ERROR_UNSTABLE', 'reason': 'so', **fields}
    return MdItemResult(id='x', death=death, **values).model_dump(mode='json', exclude={'id'})


@pytest.mark.parametrize('death', get_args(Death))
def test_only_physics_kills(death: str) -> None:
    """The number of neighbours goes by the cutoff; exceptions, memory and clocks by code and machine."""
    assert outcome_of(entry(death)) == ('died' if death in PHYSICS else 'unfinished', 'so')


def test_two_potentials_of_one_trajectory_get_one_verdict() -> None:
    """Both are compressed alike; the one with the longer cutoff was stopped for its neighbours, which is no death."""
    grid = Grid(temperatures_k=[1000.0], pressures_pa=[1e12], repeats=2, duration_ps=1.0, seed=0)
    survived = entry(status='finished', converged=True, label=None, reason=None)
    short, long = (
        describe_grid(grid, {'items': {'t0_p0_r1': survived, 't0_p0_r2': other}, 'audit': None}, {}, 1.0)
        for other in (survived, entry('neighbours', time_fs=500.0))
    )
    assert [one['cells'][0]['colour'] for one in (short, long)] == ['green', 'open']
    assert (long['cells'][0]['deaths_ps'], long['n_open'], long['n_white']) == ([], 1, 0)
