"""A conductivity as AiiDA processes with the real engine: a toy conductor whose barrier is known."""

from __future__ import annotations

from typing import Any

import pytest
from aiida.common.links import LinkType
from aiida.engine import run_get_node
from aiida.manage.caching import enable_caching
from aiida.orm import CalcJobNode, Dict

from aiida_litraj.codes.profile import CACHED
from aiida_litraj.workflows.conductivity import ConductivityWorkChain
from tests.workflows.test_conductivity import conductor, sites

BARRIER_EV = 0.25
TOLERANCE_EV = 0.12
"""Of a run of seconds on 32 ions: twice its interval, and kT/2 for the prefactor of the hops."""
SHORT: dict[str, Any] = {
    'settings': {
        'min_image_distance_ang': 10.0,
        'temperatures_k': [900.0, 1400.0],
        'repeats': 2,
        'equilibration': {'duration_ps': 0.4, 'discard_ps': 0.2},
        'production': {'duration_ps': 4.0, 'discard_ps': 0.5},
    },
    # Ions of the toy collide with nothing: only friction makes them forget their way.
    'nvt': {'protocol': 'nvt-langevin'},
}


def builder(code: Any, computer: Any, overrides: dict[str, Any]) -> Any:
    return ConductivityWorkChain.get_builder_from_protocol(
        code, sites(options={'barrier': BARRIER_EV}), conductor(), 'quick', overrides, {'processes': 1}, computer
    )


def makers(node: Any) -> set[str]:
    """Entry points of all processes that had a part in making a node."""
    found, left = set(), [node]
    while left:
        creator = left.pop().creator
        if creator is not None:
            found.add(creator.process_type.partition(':')[2])
            left += [link.node for link in creator.base.links.get_incoming(link_type=LinkType.INPUT_CALC).all()]
    return found


@pytest.mark.slow
def test_conductivity_of_a_toy_conductor(engine_code: Any, computer: Any) -> None:
    outputs, chain = run_get_node(builder(engine_code, computer, SHORT))
    assert chain.exit_status == 0, chain.exit_message
    found: Dict = outputs['conductivity']
    assert found['activation_energy_ev'] == pytest.approx(BARRIER_EV, abs=TOLERANCE_EV)
    assert found['sigma_298_low'] < found['sigma_298_s_per_cm'] < found['sigma_298_high']
    assert (found['natoms'], found['n_runs'], found['lost']) == (96, 4, [])
    assert all(entry['diffused'] for entry in found['temperatures'])
    assert max(entry['framework_msd_ang2'] for entry in found['temperatures']) < 0.2
    assert makers(found) == {
        'litraj.analyse_conductivity', 'litraj.md', 'litraj.mean_cells', 'litraj.plan_equilibration'
    }  # fmt: skip
    jobs = [node for node in chain.called_descendants if isinstance(node, CalcJobNode)]
    assert len(jobs) == 2

    with enable_caching(identifier=CACHED):
        again, second = run_get_node(builder(engine_code, computer, SHORT))
    jobs = [node for node in second.called_descendants if isinstance(node, CalcJobNode)]
    assert [job.base.caching.is_created_from_cache for job in jobs] == [True, True]
    assert again['conductivity'].get_dict() == found.get_dict()


def test_a_temperature_at_which_all_die_leaves_the_other(engine_code: Any, computer: Any) -> None:
    """Atoms at 3000 K go more than 0.08 Ang in a step, those at 300 K never do."""
    overrides = {
        **SHORT,
        'settings': {**SHORT['settings'], 'temperatures_k': [300.0, 3000.0], 'min_image_distance_ang': 6.0},
        'nvt': {'protocol': 'nvt-langevin', 'parameters': {'limits': {'max_displacement_ang': 0.08}}},
    }
    outputs, chain = run_get_node(builder(engine_code, computer, overrides))
    assert chain.exit_status == 0, chain.exit_message
    found = outputs['conductivity']
    assert {entry['replica'] for entry in found['lost']} == {'T3000_r1', 'T3000_r2'}
    assert 'the replica died after' in found['lost'][0]['reason']
    assert found['sigma_298_s_per_cm'] is None
    assert [entry['temperature_k'] for entry in found['temperatures']] == [300.0]
    assert any('have not diffused' in warning for warning in found['warnings'])
    assert {'T300_r1', 'T300_r2'} <= set(outputs['trajectories'])
