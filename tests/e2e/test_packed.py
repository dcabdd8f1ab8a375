"""Items in several jobs beside each other, with the real engine: the numbers of one job, and nothing computed twice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pytest
from aiida.engine import run_get_node
from aiida.orm import CalcJobNode, Dict, Int, ProcessNode

from aiida_litraj.calculations.md import MdCalculation
from aiida_litraj.contract import NebResult, files, unpack_arrays
from aiida_litraj.workflows.evaluate import EvaluateBaseWorkChain, EvaluatePackedWorkChain
from aiida_litraj.workflows.md import MdPackedWorkChain
from aiida_litraj.workflows.neb import NebPackedWorkChain
from tests.e2e.ender import SLOW, Ender, between_items, slow_potential
from tests.fixtures.labels import some_labelled
from tests.fixtures.nodes import md_parameters, neb_parameters, potential, rattled, replica, vacancy_path

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures('aiida_profile_clean')]
SAME_EV = 1e-9
"""An end that two parts relax is relaxed in another order of its atoms: round-off."""
HOPS = ((0, 1), (2, 1), (4, 5), (6, 5), (8, 9), (10, 9))
"""Ion and empty site: two and two begin with the same vacancy, and so share an end."""


def hops(which: Iterable[tuple[int, int]] = HOPS) -> dict[str, Any]:
    return {f'hop_{ion}_{site}': vacancy_path(ion=ion, site=site) for ion, site in which}


def jobs_of(node: ProcessNode) -> list[CalcJobNode]:
    """Return the jobs of a packed chain."""
    return [one for one in node.called_descendants if isinstance(one, CalcJobNode)]


def parts_of(node: ProcessNode) -> list[ProcessNode]:
    return [
        one for one in node.called if not isinstance(one, CalcJobNode) and one.process_label.endswith('BaseWorkChain')
    ]


def computed(jobs: Iterable[CalcJobNode]) -> int:
    """Return how many configurations jobs have evaluated, those that they took up not counted."""
    audits = [job.outputs.results['audit'] for job in jobs if 'results' in job.outputs]
    return sum(audit['model_calls'] - audit['resumed_calls'] for audit in audits)


@pytest.fixture
def neb(engine_code: Any, neb_inputs: Any) -> Any:
    """``neb(paths, potential, options)`` are the inputs of jobs; what is the same is stored once."""
    parameters, quick = neb_parameters().store(), potential().store()

    def make(paths: Mapping[str, Any], evaluated_by: Any = quick, **options: Any) -> dict[str, Any]:
        return {**neb_inputs(paths, evaluated_by, parameters, **options), 'code': engine_code}

    return make


@pytest.fixture
def reference(unbroken: Any, neb: Any) -> Any:
    """The arrays and the audit of all hops in one job, run without AiiDA."""
    folder = unbroken(neb(hops()))
    audit = NebResult.model_validate_json((folder / files.RESULT).read_bytes()).audit
    return unpack_arrays(folder / files.RESULT_ARRAYS), audit


def assert_same(node: ProcessNode, reference: Mapping[str, Any], names: Iterable[str]) -> None:
    for name in names:
        np.testing.assert_allclose(node.outputs.paths[name].energies, reference[f'{name}/energies'], atol=SAME_EV)


@pytest.mark.timeout(300)
def test_parts_give_the_numbers_of_one_job(neb: Any, reference: Any) -> None:
    arrays, audit = reference
    _, node = run_get_node(NebPackedWorkChain, neb=neb(hops()), packing={'max_jobs': 3})
    assert node.is_finished_ok, node.exit_message
    assert_same(node, arrays, hops())
    parts = [set(part.inputs.neb.paths) for part in parts_of(node)]
    assert len(parts) == 3 and sum(map(len, parts)) == len(HOPS)
    assert {'hop_0_1', 'hop_2_1'} in parts
    results = node.outputs.results
    assert results.creator.process_type == 'aiida.calculations:litraj.merge_parts'
    # The shared end is relaxed once here too, so that it takes as many evaluations as one job.
    assert results['audit']['model_calls'] == audit.model_calls == computed(jobs_of(node))
    spent = sum(job.outputs.results['audit']['wall_seconds'] for job in jobs_of(node))
    assert results['audit']['wall_seconds'] == pytest.approx(spent)
    assert set(results['items']) == set(hops()) and results['n_jobs'] == 3


@pytest.mark.timeout(300)
def test_launched_again_it_computes_only_what_is_new_or_was_cut_off(neb: Any, reference: Any, ender: Ender) -> None:
    """With another number of jobs and more paths than before."""
    arrays, _ = reference
    before, slow = dict(list(hops().items())[:5]), slow_potential()

    def inputs(paths: Mapping[str, Any]) -> dict[str, Any]:
        return neb(paths, slow, **SLOW)

    ender.begin(between_items, times=1)
    _, first = run_get_node(NebPackedWorkChain, neb=inputs(before), packing={'max_jobs': 2}, max_iterations=Int(1))
    items = first.outputs.results['items']
    done = {name for name, entry in items.items() if entry['status'] == 'finished'}
    assert first.exit_status not in (0, None) and set() < done < set(before)
    _, second = run_get_node(NebPackedWorkChain, neb=inputs(hops()), packing={'max_jobs': 3})
    assert second.is_finished_ok, second.exit_message
    assert_same(second, arrays, hops())
    for job in jobs_of(second):
        assert not done & set(job.inputs.paths)
    assert {second.outputs.paths[name].creator.pk for name in done} <= {job.pk for job in jobs_of(first)}
    resumed = [job for job in jobs_of(second) if 'parent_folder' in job.inputs]
    assert {job.inputs.parent_folder.creator.pk for job in resumed} <= {job.pk for job in jobs_of(first)}
    assert set(before) - done == {name for job in resumed for name in job.inputs.paths}
    _, third = run_get_node(NebPackedWorkChain, neb=inputs(hops()), packing={'max_jobs': 3})
    assert third.is_finished_ok and not jobs_of(third)
    assert_same(third, arrays, hops())
    assert third.outputs.results['n_earlier'] == len(HOPS)
    _, anew = run_get_node(NebPackedWorkChain, neb=inputs(dict([*hops().items()][:1])), packing={'reuse': False})
    assert len(jobs_of(anew)) == 1


@pytest.mark.timeout(300)
def test_first_job_measures_how_fast_it_goes(neb: Any) -> None:
    """Where there is a walltime; the next launch knows it from there."""
    inputs = neb(hops(), max_wallclock_seconds=3600)
    packing = {'max_jobs': 4, 'sample_items': 1, 'min_job_seconds': 1e-3}
    _, node = run_get_node(NebPackedWorkChain, neb=inputs, packing=packing)
    assert node.is_finished_ok, node.exit_message
    labels = {part.base.links.get_incoming().first().link_label: part for part in parts_of(node)}
    sizes = [len(part.inputs.neb.paths) for part in parts_of(node)]
    assert 'sample' in node.base.links.get_outgoing().all_link_labels() and sum(sizes) == len(HOPS), labels
    assert min(part.ctime for part in parts_of(node)) == next(
        link.node.ctime for link in node.base.links.get_outgoing().all() if link.link_label == 'sample'
    )
    more = neb(
        {'again': vacancy_path(ion=10, site=11), 'other': vacancy_path(ion=12, site=13)}, max_wallclock_seconds=3600
    )
    _, later = run_get_node(NebPackedWorkChain, neb=more, packing={'sample_items': 1})
    assert 'sample' not in later.base.links.get_outgoing().all_link_labels()


LONG, SHORT = ({'duration_fs': fs, 'temperature_k': 300.0} for fs in (400.0, 100.0))


@pytest.mark.timeout(300)
def test_replicas_in_parts_have_the_frames_of_one_job(engine_code: Any, computer: Any) -> None:
    replicas = {f'r{seed}': replica('rattled', seed, LONG if seed % 2 else SHORT) for seed in range(1, 6)}
    inputs = {
        'code': engine_code, 'potential': potential().store(), 'parameters': md_parameters().store(),
        'structures': {'rattled': rattled()}, 'replicas': replicas,
        'metadata': {'computer': computer, 'options': {'processes': 1}},
    }  # fmt: skip
    whole, _ = run_get_node(MdCalculation, **inputs)
    packing = {'max_jobs': 2, 'reuse': False}
    _, node = run_get_node(MdPackedWorkChain, md=inputs, packing=packing)
    assert node.is_finished_ok, node.exit_message
    assert len(jobs_of(node)) == 2
    for name, trajectory in whole['trajectories'].items():
        own = node.outputs.trajectories[name]
        for array in trajectory.get_arraynames():
            assert own.get_array(array).tobytes() == trajectory.get_array(array).tobytes()  # with NaN in it
    assert node.outputs.results['audit']['model_calls'] == whole['results']['audit']['model_calls']
    _, again = run_get_node(MdPackedWorkChain, md=inputs)
    assert again.is_finished_ok and not jobs_of(again)
    other = {**inputs, 'structures': {'rattled': rattled(seed=7)}}  # the same name and replicas, another start
    _, anew = run_get_node(MdPackedWorkChain, md=other, packing={'max_jobs': 1})
    assert {name for job in jobs_of(anew) for name in job.inputs.replicas} == set(replicas)


@pytest.mark.timeout(300)
def test_block_in_pieces_is_predicted_in_its_order(engine_code: Any, computer: Any) -> None:
    frames = some_labelled(11, material_ids=[f'm{index // 2}' for index in range(11)])
    atoms = int(frames.frames.offsets[-1])
    inputs = {
        'code': engine_code, 'potential': potential().store(), 'frames': {'all': frames},
        'parameters': Dict(EvaluateBaseWorkChain.get_protocol_inputs()['parameters']),
        'metadata': {'computer': computer, 'options': {'processes': 1}},
    }  # fmt: skip
    whole, _ = run_get_node(EvaluateBaseWorkChain, evaluate=inputs)
    packing = {'max_jobs': 2, 'piece_atoms': atoms // 3}
    outputs, node = run_get_node(EvaluatePackedWorkChain, evaluate=inputs, packing=packing)
    assert node.is_finished_ok, node.exit_message
    assert len(jobs_of(node)) == 2
    assert list(outputs['predictions']) == ['all']
    one, other = whole['predictions']['all'].frames, outputs['predictions']['all'].frames
    for name in ('energies', 'forces', 'stresses', 'positions', 'offsets'):
        np.testing.assert_array_equal(getattr(other, name), getattr(one, name))
    assert outputs['predictions']['all'].base.attributes.get('material_ids') == [f'm{i // 2}' for i in range(11)]
    entry = outputs['results']['items']['all']
    assert entry == whole['results']['items']['all']
    _, again = run_get_node(EvaluatePackedWorkChain, evaluate=inputs, packing=packing)
    assert again.is_finished_ok and not jobs_of(again)
