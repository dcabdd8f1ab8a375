"""A child that a killed worker has submitted is found again, and no other."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from aiida.common.links import LinkType
from aiida.engine import ProcessState
from aiida.orm import CalcFunctionNode, CalcJobNode, Int, WorkChainNode

from aiida_litraj.workflows.submission import made_before, submitted_before

pytestmark = pytest.mark.usefixtures('aiida_profile')
LABEL = 'iteration_01'


class Controller:
    """Stands for the broker; remembers what was sent."""

    def __init__(self) -> None:
        self.sent: list[int] = []

    def continue_process(self, pk: int, **_: Any) -> None:
        self.sent.append(pk)


@pytest.fixture
def chain() -> Any:
    """A chain as far as it matters here: its node, and the controller of its runner."""
    return SimpleNamespace(node=WorkChainNode().store(), runner=SimpleNamespace(controller=Controller()))


@pytest.fixture
def child(chain: Any, computer: Any) -> CalcJobNode:
    node = CalcJobNode(computer=computer)
    node.set_option('resources', {'num_machines': 1})
    node.base.links.add_incoming(chain.node, link_type=LinkType.CALL_CALC, link_label=LABEL)
    return node.store()


@pytest.mark.parametrize('state', [None, ProcessState.CREATED])
def test_child_that_was_never_sent_is_not_waited_for(
    chain: Any, child: CalcJobNode, state: ProcessState | None
) -> None:
    if state is not None:
        child.set_process_state(state)
    assert submitted_before(chain, LABEL) is None
    assert chain.runner.controller.sent == []


@pytest.mark.parametrize('state', [ProcessState.RUNNING, ProcessState.WAITING, ProcessState.FINISHED])
def test_child_under_way_or_done_is_taken(chain: Any, child: CalcJobNode, state: ProcessState) -> None:
    child.set_process_state(state)
    found = submitted_before(chain, LABEL)
    assert found is not None
    assert found.pk == child.pk
    assert chain.runner.controller.sent == []


@pytest.mark.parametrize('state', [None, ProcessState.CREATED])
def test_child_that_may_have_been_sent_is_taken_and_sent(
    chain: Any, child: CalcJobNode, state: ProcessState | None
) -> None:
    if state is not None:
        child.set_process_state(state)
    child.set_checkpoint('before its first step')
    found = submitted_before(chain, LABEL)
    assert found is not None
    assert found.pk == child.pk
    assert chain.runner.controller.sent == [child.pk]


def test_child_the_chain_knows_or_of_another_step_is_not_meant(chain: Any, child: CalcJobNode) -> None:
    child.set_process_state(ProcessState.RUNNING)
    assert submitted_before(chain, 'iteration_02') is None
    assert submitted_before(chain, LABEL, known=[child]) is None


def test_child_whose_name_only_looks_alike_is_not_taken(chain: Any, child: CalcJobNode) -> None:
    """To the database ``iteration_01`` fits ``iteration101``: an underscore is any character."""
    child.set_process_state(ProcessState.FINISHED)
    assert submitted_before(chain, 'iteration_0_') is None


def test_function_that_finished_and_left_nothing_is_called_once_more(chain: Any) -> None:
    """Its worker was killed between its end and its result; that of the call before it counts."""
    calls = []
    for _ in range(2):
        called = CalcFunctionNode()
        called.base.links.add_incoming(chain.node, link_type=LinkType.CALL_CALC, link_label='extract_a')
        called.store()
        called.set_process_state(ProcessState.FINISHED)
        called.set_exit_status(0)
        calls.append(called)
    assert made_before(chain, 'extract_a') is None
    made = Int(3)
    made.base.links.add_incoming(calls[1], link_type=LinkType.CREATE, link_label='result')
    made.store()
    found = made_before(chain, 'extract_a')
    assert found is not None
    assert found.uuid == made.uuid
