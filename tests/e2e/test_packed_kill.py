"""A packed chain under the daemon: an engine killed, the chain killed and launched again, and its worker killed."""

from __future__ import annotations

import contextlib
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import psutil
import pytest
from aiida.common.links import LinkType
from aiida.engine import submit
from aiida.engine.processes.control import kill_processes
from aiida.orm import Dict, ProcessNode

from aiida_litraj.contract import files, unpack_arrays
from aiida_litraj.workflows.neb import NebPackedWorkChain
from tests.e2e.ender import SLOW, Ender, slow_potential, written
from tests.e2e.test_kill import engines, workers
from tests.e2e.test_packed import assert_same, hops, jobs_of
from tests.fixtures.nodes import neb_parameters, potential

PATIENCE_S = 280
PARTS = 2
SOME_BYTES = 2_000
"""Of the answers to a few questions of a band."""


def on_disk(folders: Iterable[Path], path: Any) -> int:
    """Return how many evaluations the journals in folders of jobs have: a head each, and three numbers an atom."""
    record = 28 + 24 * path.natoms
    return sum(
        journal.stat().st_size // record
        for folder in folders
        for journal in folder.glob(f'{files.CHECKPOINT}/*.journal')
    )


def wait_until(condition: Callable[[], bool], node: ProcessNode) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert not node.is_terminated, f'it was through before: {node.exit_message}'
        assert time.monotonic() < deadline, [(one.process_label, one.process_state) for one in node.called_descendants]
        time.sleep(0.02)


def send(targets: list[psutil.Process], number: signal.Signals) -> None:
    assert targets
    for target in targets:
        with contextlib.suppress(psutil.NoSuchProcess):
            target.send_signal(number)


@pytest.mark.timeout(3 * PATIENCE_S)
@pytest.mark.usefixtures('aiida_profile_clean')
def test_killed_in_every_way_it_gives_the_numbers_of_one_job(
    started_daemon_client: Any, submit_and_await: Any, engine_code: Any, computer: Any, neb_inputs: Any, unbroken: Any,
    ender: Ender,
) -> None:  # fmt: skip
    parameters = neb_parameters().store()
    reference = unpack_arrays(
        unbroken({**neb_inputs(hops(), potential().store(), parameters), 'code': engine_code}) / files.RESULT_ARRAYS
    )
    inputs = {**neb_inputs(hops(), slow_potential(), parameters), 'code': engine_code}
    inputs['metadata']['options'] |= SLOW
    work = Path(computer.get_workdir())

    first = submit(NebPackedWorkChain, neb=inputs, packing=Dict({'max_jobs': PARTS}))
    # Each engine is halted in its first band: both parts, and once more the one that begins again after a kill.
    ender.begin(written('hop_*.journal', SOME_BYTES), PARTS + 1, signal.SIGSTOP)
    wait_until(lambda: len(ender.ended) == PARTS, first)
    send(engines(work)[:1], signal.SIGKILL)
    wait_until(lambda: len(ender.ended) == PARTS + 1, first)
    halted = engines(work)
    assert len(halted) == PARTS
    known = on_disk([Path(engine.cwd()) for engine in halted], hops()['hop_0_1'])
    kill_processes([first], timeout=PATIENCE_S)
    deadline = time.monotonic() + PATIENCE_S
    while not all(node.is_terminated for node in (first, *first.called_descendants)):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert first.is_killed
    send(halted, signal.SIGCONT)
    psutil.wait_procs(halted, timeout=PATIENCE_S)

    second = submit(NebPackedWorkChain, neb=inputs, packing=Dict({'max_jobs': 3}))
    wait_until(lambda: bool(engines(work)), second)
    send(workers(started_daemon_client), signal.SIGKILL)
    second = submit_and_await(second, timeout=PATIENCE_S)
    assert second.is_finished_ok, second.exit_message
    assert_same(second, reference, hops())
    parts = [link.link_label for link in second.base.links.get_outgoing(link_type=LinkType.CALL_WORK).all()]
    assert len(set(parts)) == len(parts), 'a part was submitted twice'
    jobs = jobs_of(second)
    given = [name for job in jobs for name in job.inputs.paths]
    assert sorted(given) == sorted(hops()), 'each of the paths once: none was through'
    assert all('parent_folder' in job.inputs for job in jobs), 'all of them were under way'
    # A path whose turn had not come had nothing yet: all jobs that went on from a folder count together.
    taken_up = Counter[int]()
    for job in jobs:
        taken_up[job.inputs.parent_folder.creator.pk] += job.outputs.results['audit']['resumed_calls']
    assert len(taken_up) == PARTS and min(taken_up.values()) > 0
    assert sum(taken_up.values()) >= known, 'all that was on disk'
