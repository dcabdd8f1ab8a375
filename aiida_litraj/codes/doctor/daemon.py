"""Does the daemon run, and are its workers alive."""

from __future__ import annotations

from typing import Any

import psutil

from ..daemon import ZEROMQ, is_at_risk
from .broker import zeromq_process
from .case import Case
from .finding import Answer, broken, ok, warning

LEAD_S = 30.0
"""The daemon starts its broker together with the workers; on a busy machine one of them is late."""


def check(case: Case) -> Answer:
    """Look at the daemon and at each of its workers, as processes."""
    from aiida.engine.daemon.client import DaemonException, get_daemon_client

    name = str(case.profile)
    client = get_daemon_client(name)
    pid = client.get_daemon_pid()
    if pid is None:
        return broken('the daemon does not run', f'aiida-litraj -p {name} daemon start')
    if not psutil.pid_exists(pid):
        return broken(
            f'the daemon has died: process {pid} of its pid file is gone', f'aiida-litraj -p {name} daemon start'
        )
    restart = f'aiida-litraj -p {name} daemon restart'
    if psutil.Process(pid).status() == psutil.STATUS_STOPPED:
        return broken(f'the daemon, process {pid}, is halted', f'kill -CONT {pid}')
    try:
        workers = workers_of(client, case.limits.answer_s)
    except DaemonException as error:
        return broken(f'the daemon, process {pid}, does not answer: {error}', restart)
    if not workers:
        return broken('the daemon has no worker', f'verdi -p {name} daemon incr 1')
    halted = [str(one.pid) for one in workers if one.status() == psutil.STATUS_STOPPED]
    if halted:
        who = 'a worker of the daemon is' if len(halted) == 1 else f'{len(halted)} workers of the daemon are'
        return broken(f'{who} halted (process {", ".join(halted)})', f'kill -CONT {" ".join(halted)}; or {restart}')
    folder = psutil.Process(pid).cwd()
    if is_at_risk(client.profile, folder):
        return warning(
            f'the daemon, process {pid}, works in {folder}, in which there are files: after a full disk its ZeroMQ '
            'broker may delete them',
            f'{restart}, which starts it in an empty folder',
            workers=len(workers),
        )
    return ok(f'process {pid} with {len(workers)} worker{"s" if len(workers) > 1 else ""}', workers=len(workers))


def workers_of(client: Any, seconds: float) -> list[psutil.Process]:
    """Return the processes of the workers.

    :raises DaemonException: if the daemon does not tell them.
    """
    told = client.get_worker_info(timeout=max(int(seconds), 1)).get('info', {})
    found = []
    for pid in told:
        try:
            process = psutil.Process(int(pid))
            if process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.Error, ValueError):
            continue
    return found


def deaf(profile: Any, seconds: float) -> str | None:
    """Return why workers may not hear their broker: one that was started after them is not the one they know."""
    from aiida.engine.daemon.client import get_daemon_client

    if profile.process_control_backend != ZEROMQ:
        return None
    server = zeromq_process(profile)
    if server is None:
        return None
    workers = workers_of(get_daemon_client(profile.name), seconds)
    earlier = [one for one in workers if one.create_time() < server.create_time() - LEAD_S]
    if not earlier:
        return None
    return (
        f'the broker, process {server.pid}, was started again after the workers, which do not know that and stay deaf'
    )
