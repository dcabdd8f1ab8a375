"""Do the workers take tasks: a process that does nothing is submitted, and has to end."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator
from typing import Any

from .case import Case
from .daemon import deaf
from .finding import Answer, broken, ok, unchecked

LOOK_S = 0.2
KILL_S = 5.0
LABEL = 'aiida-litraj doctor'
"""Of the nodes of processes that are submitted for a check."""


def check(case: Case) -> Answer:
    """Submit the process, wait for its end, and delete those of earlier runs."""
    from aiida.engine import submit
    from aiida.manage.configuration import get_config

    profile = get_config().get_profile(case.profile)
    litraj, verdi = f'aiida-litraj -p {case.profile}', f'verdi -p {case.profile}'
    again = f'{litraj} daemon restart'
    repair = f'What stays Created then: {litraj} daemon stop; {verdi} process repair; {litraj} daemon start'
    if case.quick:
        lost = deaf(profile, case.limits.answer_s)
        return (
            broken(lost, f'{again}. {repair}') if lost else unchecked('--quick submits nothing', 'aiida-litraj doctor')
        )
    from ...workflows.heartbeat import HeartbeatWorkChain

    begin = time.monotonic()
    node = submit(HeartbeatWorkChain, metadata={'label': LABEL})
    try:
        ended = wait_for_end(node, case.limits.task_s)
    except BaseException:
        kill(node, KILL_S)
        raise
    seconds, state = time.monotonic() - begin, str(node.process_state)
    said = node.exception if node.is_excepted else None
    forget_earlier(node.pk)
    if not ended:
        kill(node, KILL_S)
        lost = deaf(profile, case.limits.answer_s)
        slots = f'. Or are all slots in use? {verdi} process list; {verdi} daemon incr 1'
        return broken(
            f'a process that does nothing was still {state.rpartition(".")[2].capitalize()} after '
            f'{case.limits.task_s:.0f} s: {lost or "the workers take no tasks"}',
            f'{again}. {repair}{"" if lost else slots}',
        )
    if not node_ok(state, said):
        return broken(
            f'a process that does nothing ended badly: {str(said or state).strip().splitlines()[-1]}',
            f'{again}; its log: {verdi} daemon logshow',
        )
    return ok(f'a process ended {seconds:.1f} s after it was submitted', seconds=round(seconds, 2), pk=node.pk)


def node_ok(state: str, exception: str | None) -> bool:
    """Return whether a process has ended as it should."""
    return exception is None and state.lower().endswith('finished')


def wait_for_end(node: Any, seconds: float) -> bool:
    """Return whether a process has ended within a time."""
    until = time.monotonic() + seconds
    while not node.is_terminated:
        if time.monotonic() > until:
            return False
        time.sleep(LOOK_S)
    return True


def kill(node: Any, seconds: float) -> bool:
    """Return whether a process was killed and has ended, its job with it."""
    from aiida.engine.processes.control import kill_processes

    with contextlib.suppress(Exception), quiet():
        kill_processes([node], msg_text='the doctor has waited long enough', timeout=seconds)
    return wait_for_end(node, seconds)


def forget_earlier(newest: int) -> None:
    """Delete what earlier runs of the doctor have submitted and has ended; that of the last run stays.

    SQLite gives the number of a node that was the last one to the next node, and a worker that still has the deleted
    one in mind takes a new process for that: it drops its task, and the process stays Created. So nothing is ever
    deleted but what has a newer node after it.
    """
    from aiida.orm import ProcessNode, QueryBuilder
    from aiida.tools import delete_nodes

    ended = {'attributes.process_state': {'in': ['finished', 'excepted', 'killed']}}
    filters = {'label': LABEL, 'id': {'<': newest}, **ended}
    pks = QueryBuilder().append(ProcessNode, filters=filters, project='id').all(flat=True)
    if pks:
        with quiet():
            delete_nodes(pks, dry_run=False)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Let AiiDA not tell of each deletion."""
    from aiida.tools.graph.deletions import DELETE_LOGGER

    level = DELETE_LOGGER.level
    DELETE_LOGGER.setLevel(logging.WARNING)
    try:
        yield
    finally:
        DELETE_LOGGER.setLevel(level)
