"""A child that a killed worker has submitted is found again, and no other."""

from __future__ import annotations

from typing import Any

import pytest
from aiida.common.links import LinkType
from aiida.engine import ProcessState
from aiida.orm import CalcJobNode, WorkChainNode

from aiida_litraj.workflows.submission import submitted_before

pytestmark = pytest.mark.usefixtures('aiida_profile')
LABEL = 'iteration_01'


@pytest.fixture
def chain() -> WorkChainNode:
    return WorkChainNode().store()


@pytest.fixture
def child(chain: WorkChainNode, computer: Any) -> CalcJobNode:
    node = CalcJobNode(computer=computer)
    node.set_option('resources', {'num_machines': 1})
    node.base.links.add_incoming(chain, link_type=LinkType.CALL_CALC, link_label=LABEL)
    node.set_process_state(ProcessState.CREATED)
    return node.store()


def test_child_that_was_never_sent_is_not_waited_for(chain: WorkChainNode, child: CalcJobNode) -> None:
    assert submitted_before(chain, LABEL) is None


@pytest.mark.parametrize('state', [ProcessState.RUNNING, ProcessState.WAITING, ProcessState.FINISHED])
def test_child_under_way_or_done_is_taken(chain: WorkChainNode, child: CalcJobNode, state: ProcessState) -> None:
    child.set_process_state(state)
    found = submitted_before(chain, LABEL)
    assert found is not None
    assert found.pk == child.pk


def test_child_that_waits_in_the_queue_is_taken(chain: WorkChainNode, child: CalcJobNode) -> None:
    child.set_checkpoint('somewhere in its first step')
    found = submitted_before(chain, LABEL)
    assert found is not None
    assert found.pk == child.pk


def test_child_the_chain_knows_or_of_another_step_is_not_meant(chain: WorkChainNode, child: CalcJobNode) -> None:
    child.set_process_state(ProcessState.RUNNING)
    assert submitted_before(chain, 'iteration_02') is None
    assert submitted_before(chain, LABEL, known=[child]) is None
    assert submitted_before(WorkChainNode().store(), LABEL) is None
