"""A chain takes up what a job of before it was cut off in, with the real engine, in this process."""

from __future__ import annotations

from typing import Any

import pytest
from aiida.engine import run_get_node

from aiida_litraj.calculations.md import MdCalculation
from aiida_litraj.workflows.md import MdBaseWorkChain
from aiida_litraj.workflows.resume import resumed_from
from tests.e2e.ender import Ender, written
from tests.fixtures.nodes import md_parameters, potential, rattled, replica

LONG = {'duration_fs': 8_000.0, 'temperature_k': 300.0}
SHORT = {'duration_fs': 100.0, 'temperature_k': 300.0}
CHECKPOINT_S = 0.1


def content(outputs: Any) -> dict[tuple[str, str], bytes]:
    return {
        (replica, name): node.get_array(name).tobytes()
        for replica, node in outputs['trajectories'].items()
        for name in node.get_arraynames()
    }


@pytest.mark.timeout(300)
@pytest.mark.usefixtures('aiida_profile_clean')
def test_chain_goes_on_from_a_job_that_was_cut_off(engine_code: Any, computer: Any, ender: Ender) -> None:
    """And gives the frames of an unbroken run, with as many model calls as that in all."""
    inputs = {
        'code': engine_code,
        'potential': potential().store(),
        'parameters': md_parameters(),
        'structures': {'rattled': rattled()},
        'replicas': {'long': replica('rattled', 1, LONG), 'short': replica('rattled', 2, SHORT)},
    }
    how = {'computer': computer, 'disable_cache': True}
    options = {'processes': 1, 'checkpoint_seconds': CHECKPOINT_S}
    whole, whole_node = run_get_node(MdCalculation, **inputs, metadata={**how, 'options': options})
    assert whole_node.is_finished_ok
    ender.begin(written('long.npz'), times=1)
    _, cut = run_get_node(MdCalculation, **inputs, metadata={**how, 'options': options})
    assert cut.exit_status == 400
    metadata = {'computer': computer, 'options': options}
    outputs, chain = run_get_node(MdBaseWorkChain, md={**inputs, 'metadata': metadata})
    assert chain.is_finished_ok, chain.exit_message
    (job,) = chain.called
    assert resumed_from(job).pk == cut.pk
    assert content(outputs) == content(whole)
    audit = outputs['results']['audit']
    assert audit['resumed_calls'] > 0
    assert audit['model_calls'] <= whole['results']['audit']['model_calls'] + len(inputs['replicas'])
