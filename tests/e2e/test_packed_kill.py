"""A packed chain under the daemon: an engine killed, the chain killed and launched again, and its worker killed."""

from __future__ import annotations

import contextlib
import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from aiida.common.links import LinkType
from aiida.engine import submit
from aiida.engine.processes.control import kill_processes
from aiida.orm import Dict, ProcessNode

from aiida_litraj.contract import NebResult, files, unpack_arrays
from aiida_litraj.workflows.neb import NebPackedWorkChain
from tests.e2e.test_kill import engines, workers
from tests.e2e.test_packed import assert_same, hops, jobs_of
from tests.fixtures.nodes import neb_parameters, potential

PATIENCE_S = 280
PARTS = 2


def calls(node: ProcessNode) -> list[int]:
    """Return how many evaluations the running jobs of a chain have on disk.

    By the journals themselves, for the engine says how far it is every two seconds only, and may be through by then.
    """
    found = []
    for job in jobs_of(node):
        folder = job.get_remote_workdir()
        if folder is None or job.is_terminated:
            continue
        count = 0
        for path in Path(folder, files.CHECKPOINT).glob('*'):
            with contextlib.suppress(OSError, ValueError, KeyError):  # it may be gone by now
                if path.suffix == '.journal':
                    count += path.stat().st_size // record(job)
                elif path.suffix == '.done':
                    count += sum(json.loads(path.read_text())['calls'].values())
        found.append(count)
    return found


def record(job: ProcessNode) -> int:
    """Return the bytes of an answer in a journal: a head, and three numbers an atom."""
    return 28 + 24 * next(iter(job.inputs.paths.values())).natoms


def wait_until(condition: Callable[[], bool], node: ProcessNode) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert not node.is_terminated, f'it was through before: {node.exit_message}'
        assert time.monotonic() < deadline, [(one.process_label, one.process_state) for one in node.called_descendants]
        time.sleep(0.02)


def kill(targets: list[psutil.Process]) -> None:
    assert targets
    send(targets, signal.SIGKILL)


def send(targets: list[psutil.Process], number: signal.Signals) -> None:
    for target in targets:
        with contextlib.suppress(psutil.NoSuchProcess):
            target.send_signal(number)


@pytest.mark.chaos
@pytest.mark.timeout(3 * PATIENCE_S)
@pytest.mark.usefixtures('aiida_profile_clean')
def test_killed_in_every_way_it_gives_the_numbers_of_one_job(
    started_daemon_client: Any, submit_and_await: Any, engine_code: Any, computer: Any, neb_inputs: Any, unbroken: Any
) -> None:
    inputs = {**neb_inputs(hops(), potential().store(), neb_parameters().store()), 'code': engine_code}
    folder = unbroken(inputs)
    reference = unpack_arrays(folder / files.RESULT_ARRAYS)
    audit = NebResult.model_validate_json((folder / files.RESULT).read_bytes()).audit
    assert audit is not None
    work = Path(computer.get_workdir())

    first = submit(NebPackedWorkChain, neb=inputs, packing=Dict({'max_jobs': PARTS}))
    wait_until(lambda: max(calls(first), default=0) > audit.model_calls // 10, first)
    kill(engines(work)[:1])
    # All parts are under way, so that each has something to go on from.
    enough = audit.model_calls // 5
    wait_until(lambda: min(calls(first), default=0) > 0 and max(calls(first), default=0) > enough, first)
    # Halted first: by the time the kill is there they would be through.
    halted = engines(work)
    send(halted, signal.SIGSTOP)
    kill_processes([first], timeout=PATIENCE_S)
    deadline = time.monotonic() + PATIENCE_S
    while not all(node.is_terminated for node in (first, *first.called_descendants)):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert first.is_killed
    send(halted, signal.SIGCONT)
    psutil.wait_procs(halted, timeout=PATIENCE_S)

    second = submit(NebPackedWorkChain, neb=inputs, packing=Dict({'max_jobs': 3}))
    wait_until(lambda: bool(engines(work)), second)  # its interpreter starts: a moment later it may be through
    kill(workers(started_daemon_client))
    second = submit_and_await(second, timeout=PATIENCE_S)
    assert second.is_finished_ok, second.exit_message
    assert_same(second, reference, hops())
    parts = [link.link_label for link in second.base.links.get_outgoing(link_type=LinkType.CALL_WORK).all()]
    assert len(set(parts)) == len(parts), 'a part was submitted twice'
    finished = {
        name
        for job in jobs_of(first)
        if 'results' in job.outputs
        for name, entry in job.outputs.results['items'].items()
        if entry['status'] == 'finished'
    }
    given = [name for job in jobs_of(second) for name in job.inputs.paths]
    assert sorted(given) == sorted(set(hops()) - finished), 'each of the open paths once, and no other'
    resumed = [job for job in jobs_of(second) if 'parent_folder' in job.inputs]
    assert {name for job in resumed for name in job.inputs.paths} == set(given), 'all of them were under way'
    assert all(job.outputs.results['audit']['resumed_calls'] > 0 for job in resumed)
    # A pair of hops shares an end, and each pair is whole in a part of the first launch or was parted for good.
    total = second.outputs.results['audit']['model_calls']
    print(f'{audit.model_calls} evaluations in one job, {total} in parts, {sum(calls(first))} before the kill')
