"""The daemon, which runs what was submitted."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from .problems import SetupProblem

BROKER_ATTEMPTS = 3
"""AiiDA gives each of them ten seconds."""


def ensure_daemon() -> str:
    """Return ``running`` if the daemon runs, or start it and return ``started``.

    :raises SetupProblem: if the profile has no broker, it cannot be reached, or the daemon does not start.
    """
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
    from aiida.common.exceptions import AiidaException
    from aiida.engine.daemon.client import DaemonException, get_daemon_client

    try:
        client = get_daemon_client(profile.name)
        state = 'running' if client.is_daemon_running else 'started'
        if state == 'started':
            with in_empty_folder():
                client.start_daemon()
    except (AiidaException, DaemonException, OSError) as error:
        raise SetupProblem(f'the daemon does not start: {error}', 'Start it by hand: verdi daemon start') from error
    _reach_broker(profile.name)
    return state


@contextlib.contextmanager
def in_empty_folder() -> Iterator[Path]:
    """Work in a folder in which there is nothing: what is started there works there.

    A ZeroMQ broker of aiida-core 2.9 that starts deletes the folder that the last one has noted for its sockets. After
    a full disk the note is empty, and then that is the folder in which the daemon was started, with all in it.
    """
    from aiida.manage.configuration import get_config

    folder, back = Path(get_config().dirpath).resolve() / 'daemon' / 'empty', os.getcwd()
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    try:
        yield folder
    finally:
        os.chdir(back)


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
                    'See what is down with: verdi status. Begin anew with: verdi daemon restart, and launch again.',
                ) from error
