"""Do the workers take tasks: a process that does nothing is submitted, and has to end."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator
from typing import Any

from .case import Case
from .finding import Answer, broken, ok, unchecked

LOOK_S = 0.2


def check(case: Case) -> Answer:
    """Submit the process, wait for its end, and delete it."""
    if case.quick:
        return unchecked('--quick submits nothing', 'aiida-litraj doctor')
    from aiida.engine import submit

    from ...workflows.heartbeat import HeartbeatWorkChain

    begin = time.monotonic()
    node = submit(HeartbeatWorkChain)
    ended = wait_for_end(node, case.limits.task_s)
    seconds, state = time.monotonic() - begin, str(node.process_state)
    said = node.exception if node.is_excepted else None
    forget([node.pk])
    verdi = f'verdi -p {case.profile}'
    if not ended:
        return broken(
            f'a process that does nothing was still {state.rpartition(".")[2].capitalize()} after '
            f'{case.limits.task_s:.0f} s: the workers take no tasks, or all their slots are in use',
            f'{verdi} daemon restart; what stays Created then: {verdi} daemon stop; {verdi} process repair; '
            f'{verdi} daemon start. Are there too many processes? {verdi} process list; {verdi} daemon incr 1',
        )
    if not node_ok(state, said):
        return broken(
            f'a process that does nothing ended badly: {str(said or state).strip().splitlines()[-1]}',
            f'{verdi} daemon restart; its log: {verdi} daemon logshow',
        )
    return ok(f'a process ended {seconds:.1f} s after it was submitted', seconds=round(seconds, 2))


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


def forget(pks: list[int]) -> None:
    """Delete what was submitted for a check; a task that is still in a queue is dropped by the worker that gets it."""
    from aiida.tools import delete_nodes

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
