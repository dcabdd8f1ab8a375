"""Chains under a real daemon, over the ZeroMQ broker."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from aiida.orm import CalcFunctionNode, CalcJobNode

from aiida_litraj.contract import files, unpack_arrays
from aiida_litraj.workflows.barrier import BarrierWorkChain
from aiida_litraj.workflows.neb import NebBaseWorkChain
from tests.e2e.ender import SLOW, Ender, between_items, slow_potential
from tests.fixtures.nodes import fcc, neb_parameters, potential, vacancy_path

SAME_EV = 1e-9
"""A resumed run repeats the unbroken one step for step."""
PATIENCE_S = 280
TIMES = 2


def jobs_of(node: Any) -> list[CalcJobNode]:
    return sorted((child for child in node.called if isinstance(child, CalcJobNode)), key=lambda job: job.pk)


def test_barrier_under_the_daemon(submit_and_await: Any, engine_code: Any, computer: Any) -> None:
    builder = BarrierWorkChain.get_builder_from_protocol(
        engine_code,
        potential=potential(),
        structure=fcc(),
        hop={'source': 0, 'target': 1},
        overrides={'geometry': {'min_image_distance_ang': 7.0, 'n_images': 3}},
        options={'processes': 1},
        computer=computer,
    )
    node = submit_and_await(builder, timeout=PATIENCE_S)
    assert node.is_finished_ok, node.exit_message
    assert node.outputs.barrier['converged']
    assert node.outputs.barrier['barrier_ev'] > 0.1


@pytest.mark.timeout(PATIENCE_S + 120)
def test_paths_that_were_cut_off_are_resumed_and_the_others_left_alone(
    submit_and_await: Any, engine_code: Any, neb_inputs: Any, unbroken: Any, ender: Ender
) -> None:
    paths = {f'hop_{site}': vacancy_path(site=site) for site in (1, 2, 3, 6, 7, 9)}
    quick = {**neb_inputs(paths, potential(), neb_parameters()), 'code': engine_code}
    reference = unpack_arrays(unbroken(quick) / files.RESULT_ARRAYS)
    inputs = {**neb_inputs(paths, slow_potential(), neb_parameters(), **SLOW), 'code': engine_code}
    ender.begin(between_items, TIMES)
    node = submit_and_await(NebBaseWorkChain, neb=inputs, timeout=PATIENCE_S)
    assert node.is_finished_ok, node.exit_message
    jobs = jobs_of(node)
    assert [job.exit_status for job in jobs] == [*[400] * TIMES, 0]
    for name in paths:
        np.testing.assert_allclose(node.outputs.paths[name].energies, reference[f'{name}/energies'], atol=SAME_EV)
        done_by = [job for job in jobs if 'paths' in job.outputs and name in job.outputs.paths]
        assert len(done_by) == 1
        # Once done, a path is not in the next job.
        later = jobs[jobs.index(done_by[0]) + 1 :]
        assert not [job for job in later if name in job.inputs.paths]
    results = node.outputs.results
    assert results.creator.process_label == 'merge_results'
    assert isinstance(results.creator, CalcFunctionNode)
    assert results['n_jobs'] == len(jobs)
    assert all(entry['converged'] for entry in results['items'].values())
