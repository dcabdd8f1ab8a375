"""A chain of labels that is stopped while it takes a label submits nothing more, and leaves nothing under way."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from aiida.manage import get_manager
from aiida.orm import ProcessNode, QueryBuilder
from plumpy.greenback_bridge import run_until_complete

from aiida_litraj.cli.foreground import Stopped, instantiate, run_with_progress
from aiida_litraj.cli.label_state import labels_so_far
from aiida_litraj.cli.stopping import foreground_runner
from aiida_litraj.cli.under_way import NOT_ENDED
from aiida_litraj.workflows.label import LabelWorkChain
from tests.fixtures.labelling import children, configuration, frames_of

SIGNAL_TAKES_SECONDS = 0.5


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl-C means something also where a shell has put the tests in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures('aiida_profile_clean', 'interruptible')
def test_signal_while_a_label_is_taken(inputs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a calculation function lets in, the loop going round, comes in the middle of the step that submits."""
    judge = LabelWorkChain._judge

    def interrupted(chain: LabelWorkChain, key: str, node: Any) -> None:
        judge(chain, key, node)
        os.kill(os.getpid(), signal.SIGINT)
        run_until_complete(chain.loop, asyncio.sleep(SIGNAL_TAKES_SECONDS))

    monkeypatch.setattr(LabelWorkChain, '_judge', interrupted)
    builder = LabelWorkChain.get_builder()
    given = inputs(frames_of(*[configuration(n) for n in (2, 3, 4)]), jobs={'max_in_flight': 1})
    for name, value in given.items():
        builder[name] = value
    monkeypatch.setattr(foreground_runner(), '_poll_interval', 0.05)  # without the broker, which tells of an end
    try:
        with pytest.raises(Stopped) as stopped:
            run_with_progress(instantiate(builder), 'Labels')
    finally:
        get_manager().reset_runner()
    chain = QueryBuilder().append(ProcessNode, filters={'attributes.process_label': 'LabelWorkChain'}).one()[0]
    assert chain.is_killed and len(children(chain)) == 1
    assert QueryBuilder().append(ProcessNode, filters=NOT_ENDED).all(flat=True) == []
    # The label that it had is counted, and nothing else is under way.
    assert labels_so_far(chain) == [{'pk': chain.pk, 'total': 3, 'labelled': 1, 'failed': 0, 'in_flight': 0}]
    assert stopped.value.remedy.startswith('1 finished label kept. The same launch')
