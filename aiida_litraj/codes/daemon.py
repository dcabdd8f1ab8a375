"""The daemon, which runs what was submitted: started where nothing can be lost, with the patience of a busy machine."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from .problems import SetupProblem

if TYPE_CHECKING:
    from aiida.engine.daemon.client import DaemonClient

BROKER_ATTEMPTS = 3
"""AiiDA gives each of them ten seconds."""
PATIENCE_S = 60.0
"""In which the daemon has to start or stop. AiiDA gives it two seconds, too few on a busy machine; a worker alone is
given thirty to end what it is at."""
LOOK_S = 0.1
ZEROMQ = 'core.zeromq'


@dataclass(frozen=True)
class Daemon:
    """A daemon as it is found.

    :ivar state: ``running``, ``halted``, ``died`` (its pid file is there, its process is gone) or ``not running``.
    :ivar pid: of the process, or of the one that was.
    :ivar workers: pids of its workers; ``None`` if it does not tell.
    :ivar folder: where it works.
    :ivar at_risk: whether a ZeroMQ broker that starts after a full disk would delete what is in that folder.
    """

    state: str
    pid: int | None = None
    workers: list[int] | None = None
    folder: str | None = None
    at_risk: bool = False


def look_at_daemon(patience_s: float = PATIENCE_S) -> Daemon:
    """Return how the daemon of the profile is.

    :raises SetupProblem: if the profile has no broker, and so no daemon.
    """
    from aiida.engine.daemon.client import DaemonException

    client = _client()
    pid = client.get_daemon_pid()
    if pid is None:
        return Daemon('not running')
    if has_died(client):
        return Daemon('died', pid)
    try:
        process = psutil.Process(pid)
        halted, folder = _is_halted(process), process.cwd()
    except psutil.Error:
        return Daemon('died', pid)
    workers = None
    if not halted:
        with contextlib.suppress(DaemonException, RuntimeError):
            told = client.get_worker_info(timeout=_whole(patience_s)).get('info', {})
            workers = sorted(int(worker) for worker in told)
    return Daemon('halted' if halted else 'running', pid, workers, folder, is_at_risk(client.profile, folder))


def ensure_daemon(workers: int | None = None, patience_s: float = PATIENCE_S) -> str:
    """Return ``running`` if the daemon runs, or start it and return ``started``.

    :param workers: how many, if it has to be started; by default as AiiDA's ``daemon.default_workers`` says.
    :raises SetupProblem: if the profile has no broker, it cannot be reached, or the daemon does not start.
    """
    client = _client()
    state = 'running' if client.is_daemon_running and not has_died(client) else 'started'
    if state == 'started':
        _start(client, workers, patience_s)
    _reach_broker(client.profile.name)
    return state


def stop_daemon(patience_s: float = PATIENCE_S) -> int | None:
    """Stop the daemon with its workers and its broker, and return the pid that it had, ``None`` if none ran.

    Jobs run on, and what was submitted waits.

    :raises SetupProblem: if it, or something that it has started, does not end in time.
    """
    from aiida.engine.daemon.client import DaemonException

    client = _client()
    pid = client.get_daemon_pid()
    if pid is None or has_died(client):
        _end_left_behind(client, patience_s)
        return None
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
    except psutil.Error:
        return None
    halted = [one.pid for one in family if _is_halted(one)]
    if halted:
        pids = ' '.join(map(str, halted))
        raise SetupProblem(
            f'the daemon cannot be stopped: process {pids.replace(" ", ", ")} is halted',
            f'Let it go on: kill -CONT {pids}; then the same command again.',
        )
    try:
        client.stop_daemon(wait=True, timeout=_whole(patience_s))
    except (DaemonException, RuntimeError, OSError):
        # Whoever tidies up /tmp takes away the sockets through which it is told; a signal means the same to it.
        with contextlib.suppress(psutil.Error):
            process.terminate()
    alive = _still_alive(family, patience_s)
    if alive:
        pids = ' '.join(str(one.pid) for one in alive)
        raise SetupProblem(
            f'the daemon, process {pid}, has not stopped within {patience_s:.0f} s: {pids.replace(" ", ", ")} of its '
            'processes run still',
            f'Wait longer: --patience {2 * patience_s:.0f}; or end them: kill -9 {pids}',
        )
    Path(client.circus_pid_file).unlink(missing_ok=True)  # of one that could not: it would pass for running
    return pid


def restart_daemon(workers: int | None = None, patience_s: float = PATIENCE_S) -> int | None:
    """Stop the daemon if it runs, start it with as many workers, and return the pid that it had.

    :param workers: how many; by default as many as there are, or, if it does not run, as AiiDA's
        ``daemon.default_workers`` says.
    :raises SetupProblem: as starting and stopping it do.
    """
    client = _client()
    if workers is None:
        known = look_at_daemon(patience_s).workers
        workers = len(known) if known else None
    forget_sockets(client.profile)  # first: circus may start a broker again at any time
    pid = stop_daemon(patience_s)
    _start(client, workers, patience_s)
    _reach_broker(client.profile.name)
    return pid


def has_died(client: DaemonClient) -> bool:
    """Return whether the process of the pid file is gone, as after a reboot, or is another one by now."""
    pid = client.get_daemon_pid()
    if pid is None:
        return False
    try:
        return not any(word in ('start-circus', 'circusd') for word in psutil.Process(pid).cmdline())
    except psutil.Error:
        return True


def left_behind(client: DaemonClient) -> list[psutil.Process]:
    """Return workers and brokers of the profile, be it that their daemon runs, or that it was killed alone.

    What circus measures with has no profile; that of the installation which has lost its circus is among them.

    Beside those of another daemon, old workers hold on to chains, with the code that they have loaded.
    """
    from aiida.manage.configuration import get_config

    found, folder = [], Path(get_config().dirpath).resolve()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ValueError):
            words = process.cmdline()
            if Path(process.environ().get('AIIDA_PATH', '')).resolve() != folder:
                continue
            if any('from circus import stats' in word for word in words):
                ours = not _has_circus_above(process)
            else:
                at = words.index('daemon')
                ours = words[at - 1] == client.profile.name and words[at + 1 : at + 2] in (['worker'], ['broker'])
            if ours:
                found.append(process)
    return found


def _has_circus_above(process: psutil.Process) -> bool:
    above = process.parent()
    return above is not None and 'start-circus' in above.cmdline()


def is_at_risk(profile: Any, folder: str) -> bool:
    """Return whether there is something to lose in the folder in which the daemon of a profile works."""
    if profile.process_control_backend != ZEROMQ or Path(folder) == _empty_folder():
        return False
    try:
        return any(Path(folder).iterdir())
    except OSError:
        return False


def emptied_note(profile: Any) -> Path | None:
    """Return the note of a ZeroMQ broker of where its sockets are, if a full disk has emptied it."""
    if profile.process_control_backend != ZEROMQ:
        return None
    note = Path(zeromq_layout(profile).sockets_file)
    try:
        return note if not note.read_text(encoding='utf-8').strip() else None
    except OSError:
        return None


def forget_sockets(profile: Any) -> Path | None:
    """Delete a note that a full disk has emptied, and return it: the next broker would delete its own folder by it."""
    note = emptied_note(profile)
    if note is not None:
        note.unlink(missing_ok=True)
    return note


def zeromq_layout(profile: Any) -> Any:
    """Return where the ZeroMQ broker of a profile keeps what."""
    from aiida.brokers.zeromq.service import ZeromqBrokerService
    from aiida.manage.configuration import get_config

    return ZeromqBrokerService.FilepathLayout(get_config().filepaths(profile)['broker_service']['dir'])


@contextlib.contextmanager
def in_empty_folder() -> Iterator[Path]:
    """Work in a folder in which there is nothing: what is started there works there.

    A ZeroMQ broker of aiida-core 2.9 that starts deletes the folder that the last one has noted for its sockets. After
    a full disk the note is empty, and then that is the folder in which the daemon was started, with all in it.
    """
    folder, back = _empty_folder(), os.getcwd()
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    try:
        yield folder
    finally:
        os.chdir(back)


def _empty_folder() -> Path:
    from aiida.manage.configuration import get_config

    return Path(get_config().dirpath).resolve() / 'daemon' / 'empty'


def _client() -> DaemonClient:
    from aiida.manage.configuration import get_profile

    profile = get_profile()
    if profile is None or profile.process_control_backend is None:
        name = profile.name if profile else '(none)'
        raise SetupProblem(
            f'the profile {name!r} has no broker, so that nothing can be submitted',
            'Launch without --daemon, or give it one: verdi profile configure-broker core.zeromq',
        )
    # The client looks for verdi in PATH, where it isn't if this program was called by its full path.
    os.environ['PATH'] = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get('PATH', '')])
    from aiida.engine.daemon.client import get_daemon_client

    return get_daemon_client(profile.name)


def _start(client: DaemonClient, workers: int | None, patience_s: float) -> None:
    from aiida.common.exceptions import AiidaException
    from aiida.engine.daemon.client import DaemonException
    from aiida.manage.configuration import get_config

    try:
        _end_left_behind(client, patience_s)
        number = workers or get_config().get_option('daemon.default_workers', client.profile.name)
        forget_sockets(client.profile)
        with in_empty_folder():
            client.start_daemon(number, timeout=_whole(patience_s))
    except (AiidaException, DaemonException, OSError) as error:
        raise SetupProblem(
            f'the daemon does not start: {error}',
            f'See its log, {client.circus_log_file}; then: aiida-litraj -p {client.profile.name} daemon start',
        ) from error


def _end_left_behind(client: DaemonClient, patience_s: float) -> None:
    """End what a daemon that was killed alone has left.

    :raises SetupProblem: if it does not end in time.
    """
    family = left_behind(client)
    for process in family:
        with contextlib.suppress(psutil.Error):
            process.terminate()
    if alive := _still_alive(family, patience_s):
        pids = ' '.join(str(one.pid) for one in alive)
        raise SetupProblem(
            f'the daemon has died, and {pids.replace(" ", ", ")} of its processes have not ended within '
            f'{patience_s:.0f} s',
            f'Wait longer: --patience {2 * patience_s:.0f}; or end them: kill -9 {pids}',
        )


def _still_alive(family: list[psutil.Process], patience_s: float) -> list[psutil.Process]:
    """Wait until processes have ended, and return those that have not in time."""
    until = time.monotonic() + patience_s
    while (alive := [one for one in family if _lives(one)]) and time.monotonic() < until:
        time.sleep(LOOK_S)
    return alive


def _reach_broker(name: str) -> None:
    """Wait until the broker can be reached: it comes up with the daemon, which a busy machine delays."""
    from aiida.manage import get_manager

    for attempt in range(1, BROKER_ATTEMPTS + 1):
        try:
            get_manager().get_communicator()
            return
        except ConnectionError as error:
            if attempt == BROKER_ATTEMPTS:
                raise SetupProblem(
                    f'nothing was submitted: the broker of the profile {name!r} cannot be reached: {error}',
                    f'See what is down with: verdi status. Begin anew with: aiida-litraj -p {name} daemon restart, and '
                    'launch again.',
                ) from error


def _is_halted(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_STOPPED
    except psutil.Error:
        return False


def _lives(process: psutil.Process) -> bool:
    """Return whether a process has not ended; one whose end nobody has asked for has, too."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _whole(seconds: float) -> int:
    """Return a time as AiiDA takes it: at least a second, for 0 is its own default."""
    return max(int(seconds), 1)
