"""Chains under a real daemon, over the ZeroMQ broker."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from aiida.orm import CalcFunctionNode, CalcJobNode

from aiida_litraj.contract import NebResult, files, unpack_arrays
from aiida_litraj.workflows.barrier import BarrierWorkChain
from aiida_litraj.workflows.neb import NebBaseWorkChain
from tests.fixtures.nodes import fcc, neb_parameters, potential, vacancy_path

SAME_EV = 1e-9
"""A resumed run repeats the unbroken one step for step."""
PATIENCE_S = 280
START_S, CLOCK_SHARE = 1.0, 0.2
"""Time each job gets: to start, and of what the unbroken one took; no job gets through all paths."""


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
def test_paths_cut_off_by_the_clock_are_resumed_and_the_others_left_alone(
    submit_and_await: Any, engine_code: Any, neb_inputs: Any, unbroken: Any
) -> None:
    paths = {f'hop_{site}': vacancy_path(site=site) for site in (1, 2, 3, 6, 7, 9)}
    inputs = {**neb_inputs(paths, potential(), neb_parameters()), 'code': engine_code}
    folder = unbroken(inputs)
    reference = unpack_arrays(folder / files.RESULT_ARRAYS)
    audit = NebResult.model_validate_json((folder / files.RESULT).read_bytes()).audit
    assert audit is not None
    inputs['metadata']['options']['max_seconds'] = START_S + CLOCK_SHARE * audit.wall_seconds
    node = submit_and_await(NebBaseWorkChain, neb=inputs, timeout=PATIENCE_S)
    assert node.is_finished_ok, node.exit_message
    jobs = jobs_of(node)
    assert len(jobs) > 1
    assert [job.exit_status for job in jobs[:-1]] == [400] * (len(jobs) - 1)
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
