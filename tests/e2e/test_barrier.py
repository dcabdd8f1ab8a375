"""From a crystal to a barrier, with the real engine on an analytic potential, in this process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiida.common.links import LinkType
from aiida.engine import run_get_node
from aiida.manage.caching import enable_caching
from aiida.orm import CalcJobNode, CalculationNode, Node, QueryBuilder, StructureData, load_node
from aiida.tools.archive import create_archive, import_archive

from aiida_litraj.data import PathData, PotentialData
from aiida_litraj.workflows.barrier import BarrierWorkChain
from tests.fixtures.nodes import fcc, potential

SAME_EV = 1e-9
"""Energies of the same run, read in another way."""
SYMMETRY_EV = 1e-3
"""The two ends of a hop between equal sites, each relaxed to 0.2 meV."""
ENDS_ANG = 0.1
"""How far the ends of the hop move when they relax into the vacancies."""
HOP = {'source': 0, 'target': 1}


@pytest.fixture
def builder(engine_code: Any, computer: Any) -> Any:
    """The barrier of a vacancy hop in an fcc crystal of 31 atoms."""

    def make(overrides: dict[str, Any] | None = None, options: dict[str, Any] | None = None, **inputs: Any) -> Any:
        return BarrierWorkChain.get_builder_from_protocol(
            engine_code,
            **{'potential': potential(), 'structure': fcc(), 'hop': HOP, **inputs},
            protocol='tight',
            overrides={'geometry': {'min_image_distance_ang': 7.0, 'n_images': 5}, **(overrides or {})},
            options={'processes': 1, **(options or {})},
            computer=computer,
        )

    return make


@pytest.fixture(autouse=True)
def cached() -> Iterator[None]:
    """The hop is the same in most tests: only the first of them computes it."""
    with enable_caching():
        yield


@pytest.mark.storage
def test_barrier_of_a_hop_between_equal_sites(builder: Any) -> None:
    result, node = run_get_node(builder())
    assert node.is_finished_ok, node.exit_message
    barrier, path = result['barrier'].get_dict(), result['path']
    assert barrier['converged']
    assert barrier['barrier_ev'] > 0.1
    assert barrier['saddle_image'] == 2
    assert barrier['reaction_energy_ev'] == pytest.approx(0.0, abs=SYMMETRY_EV)
    assert barrier['barrier_ev'] == pytest.approx(barrier['reverse_barrier_ev'], abs=SYMMETRY_EV)
    assert barrier['natoms'] == path.natoms == 31
    assert barrier['n_images'] == path.n_images == len(barrier['profile_ev']) == 5
    assert barrier['range_ev'] == pytest.approx(float(np.ptp(path.energies)), abs=SAME_EV)
    assert barrier['model_calls'] == result['results']['audit']['model_calls'] > 0
    assert barrier['potential_sha256'] == result['results']['audit']['potential']['sha256']
    np.testing.assert_allclose(barrier['hop_displacement_ang'], result['initial_path'].hop_displacement, atol=ENDS_ANG)


@pytest.mark.storage
def test_graph_leads_from_the_barrier_to_crystal_potential_and_engine(builder: Any, engine_code: Any) -> None:
    result, node = run_get_node(builder())
    for kind, expected in (
        (StructureData, node.inputs.structure.pk),
        (PotentialData, node.inputs.potential.pk),
        (type(engine_code), engine_code.pk),
    ):
        query = QueryBuilder().append(Node, filters={'id': result['barrier'].pk}, tag='barrier')
        query.append(kind, with_descendants='barrier', project='id')
        assert expected in query.all(flat=True)
    # A chain makes no data of its own: each output was created by a calculation.
    for output in node.base.links.get_outgoing(link_type=LinkType.RETURN).all_nodes():
        assert isinstance(output.creator, CalculationNode)


def test_two_structures_give_the_barrier_of_the_hop(builder: Any) -> None:
    """The ends of the path that crystal and hop give are the same hop, given as two structures."""
    first = run_get_node(builder())[0]
    ends = {
        'initial_structure': first['initial_path'].get_step_structure(0),
        'final_structure': first['initial_path'].get_step_structure(4),
    }
    second = run_get_node(builder(structure=None, hop=None, **ends))[0]
    assert second['barrier']['barrier_ev'] == pytest.approx(first['barrier']['barrier_ev'], abs=SAME_EV)
    np.testing.assert_allclose(second['path'].hop_displacement, first['path'].hop_displacement, atol=SYMMETRY_EV)


@pytest.mark.storage
def test_same_hop_costs_nothing_the_second_time(builder: Any) -> None:
    options = {'max_wallclock_seconds': 600, 'device': 'cpu', 'processes': 2}
    first = run_get_node(builder())[0]
    again, node = run_get_node(builder(options=options))
    higher, other = run_get_node(builder(potential=potential('morse', depth=0.31)))
    assert node.is_finished_ok
    assert again['barrier'].get_dict() == first['barrier'].get_dict()
    (job,) = [child for child in node.called_descendants if isinstance(child, CalcJobNode)]
    assert job.base.caching.is_created_from_cache
    (job,) = [child for child in other.called_descendants if isinstance(child, CalcJobNode)]
    assert not job.base.caching.is_created_from_cache
    assert higher['barrier']['barrier_ev'] > first['barrier']['barrier_ev']


def test_path_that_does_not_converge_is_kept_with_its_barrier(builder: Any) -> None:
    result, node = run_get_node(builder(overrides={'parameters': {'band': {'max_steps': 1}}}))
    assert node.exit_status == 500
    assert 'after 1 steps' in node.exit_message
    assert not result['barrier']['converged']
    assert result['barrier']['warnings'][0].startswith('not converged: ')
    assert result['barrier']['barrier_ev'] > 0.0
    assert isinstance(result['path'], PathData)


@pytest.mark.storage
def test_barrier_travels_in_an_archive(builder: Any, tmp_path: Path, aiida_profile: Any) -> None:
    result, node = run_get_node(builder())
    energies, positions = result['path'].energies.copy(), result['path'].get_positions().copy()
    kept = {name: result[name].uuid for name in ('barrier', 'path', 'initial_path')}
    barrier, uuid = result['barrier'].get_dict(), node.uuid
    create_archive([node], filename=tmp_path / 'barrier.aiida')
    aiida_profile.reset_storage()
    assert QueryBuilder().append(PathData).count() == 0
    import_archive(tmp_path / 'barrier.aiida')
    path = load_node(kept['path'])
    assert isinstance(path, PathData)
    np.testing.assert_array_equal(path.energies, energies)
    np.testing.assert_array_equal(path.get_positions(), positions)
    assert load_node(kept['barrier']).get_dict() == barrier
    assert load_node(uuid).inputs.potential.family == 'toy'
