"""Is there a broker, which hands tasks to the workers."""

from __future__ import annotations

import socket
import time
from typing import Any

import psutil

from .case import Case
from .finding import Answer, broken, ok

STALE_S = 30.0
"""ZeroMQ's broker writes how it is every five seconds."""
ZEROMQ = 'core.zeromq'


def check(case: Case) -> Answer:
    """Look for the configuration and, as far as that can be told without the daemon, for the broker."""
    from aiida.manage.configuration import get_config

    profile = get_config().get_profile(case.profile)
    backend = profile.process_control_backend
    if backend is None:
        return broken(
            f'the profile {profile.name} has no broker: nothing can be submitted',
            f'verdi profile configure-broker core.zeromq {profile.name}; verdi daemon start',
        )
    if backend == ZEROMQ:
        return _zeromq(profile)
    config = profile.process_control_config
    host, port = str(config.get('broker_host')), int(config.get('broker_port') or 5672)
    try:
        socket.create_connection((host, port), timeout=case.limits.answer_s).close()
    except OSError as error:
        return broken(
            f'RabbitMQ at {host}:{port} does not answer: {error}',
            'Start it (systemctl start rabbitmq-server), then: verdi daemon restart',
        )
    return ok(f'RabbitMQ at {host}:{port}')


def _zeromq(profile: Any) -> Answer:
    from aiida.engine.daemon.client import get_daemon_client

    if not get_daemon_client(profile.name).is_daemon_running:
        return ok('ZeroMQ, which runs with the daemon')
    process = zeromq_process(profile)
    restart = f'verdi -p {profile.name} daemon restart'
    if process is None:
        return broken('the daemon runs, and its ZeroMQ broker does not', restart)
    if process.status() == psutil.STATUS_STOPPED:
        return broken(f'the ZeroMQ broker, process {process.pid}, is halted', f'kill -CONT {process.pid}; or {restart}')
    age = _last_word_s(profile)
    if age is not None and age > STALE_S:
        return broken(f'the ZeroMQ broker, process {process.pid}, has said nothing for {age:.0f} s', restart)
    return ok(f'ZeroMQ, process {process.pid}')


def zeromq_process(profile: Any) -> psutil.Process | None:
    """Return the process of the ZeroMQ broker of a profile, ``None`` if none runs."""
    words = _read(profile, 'pid_file')
    try:
        process = psutil.Process(int(words.split()[-1]))
        return process if process.status() != psutil.STATUS_ZOMBIE else None
    except (psutil.Error, ValueError, IndexError):
        return None


def _last_word_s(profile: Any) -> float | None:
    import json

    try:
        return time.time() - float(json.loads(_read(profile, 'status_file'))['timestamp'])
    except (ValueError, KeyError, TypeError):
        return None


def _read(profile: Any, what: str) -> str:
    from aiida.brokers.zeromq.service import ZeromqBrokerService
    from aiida.manage.configuration import get_config

    layout = ZeromqBrokerService.FilepathLayout(get_config().filepaths(profile)['broker_service']['dir'])
    try:
        return str(getattr(layout, what).read_text(encoding='utf-8'))
    except OSError:
        return ''
