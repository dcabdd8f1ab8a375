"""Is there a broker, which hands tasks to the workers."""

from __future__ import annotations

import asyncio
import shlex
import socket
import time
from typing import Any

import psutil

from ..daemon import ZEROMQ, emptied_note, zeromq_layout
from .case import Case
from .deadline import TooSlow
from .finding import Answer, broken, ok

STALE_S = 30.0
"""ZeroMQ's broker writes how it is every five seconds."""


def check(case: Case) -> Answer:
    """Look for the configuration and, as far as that can be told without the daemon, for the broker."""
    from aiida.manage.configuration import get_config

    profile = get_config().get_profile(case.profile)
    backend = profile.process_control_backend
    if backend is None:
        return broken(
            f'the profile {profile.name} has no broker: nothing can be submitted',
            f'verdi profile configure-broker core.zeromq {profile.name}; aiida-litraj -p {profile.name} daemon start',
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
            f'Start it (systemctl start rabbitmq-server), then: aiida-litraj -p {profile.name} daemon restart',
        )
    error = _log_in(profile, case.limits.answer_s)
    return ok(f'RabbitMQ at {host}:{port}') if error is None else _explain(error, profile, f'{host}:{port}')


def _log_in(profile: Any, seconds: float) -> Exception | None:
    """Return why RabbitMQ does not let one in, ``None`` if it does."""
    import aio_pika
    from aiida.brokers.rabbitmq.broker import RabbitmqBroker

    async def log_in() -> None:
        connection = await aio_pika.connect(RabbitmqBroker(profile).get_url())
        await connection.close()

    try:
        asyncio.run(asyncio.wait_for(log_in(), seconds))
    except TooSlow:
        raise
    except Exception as error:
        return error
    return None


def _explain(error: Exception, profile: Any, place: str) -> Answer:
    """Return what is wrong with a login; the password is not in it."""
    config = profile.process_control_config
    user, space = config.get('broker_username'), config.get('broker_virtual_host') or '/'
    # A server that refuses the virtual host closes the connection, and says why in the frame that it closes it with.
    closed = [str(frame.reply_text) for frame in error.args if hasattr(frame, 'reply_text')]
    text = closed[0] if closed else (str(error).strip() or type(error).__name__).splitlines()[0]
    restart = f'aiida-litraj -p {profile.name} daemon restart'
    correct = f'verdi profile configure-broker core.rabbitmq {profile.name}; {restart}'
    if isinstance(error, asyncio.TimeoutError):
        return broken(f'RabbitMQ at {place} does not end the login', 'See its log, or: sudo rabbitmqctl status')
    if 'NOT_ALLOWED' in text or 'vhost' in text or 'OpenOk' in str(error):
        return broken(
            f'RabbitMQ at {place} does not let {user!r} into the virtual host {space!r}: {text}',
            f"sudo rabbitmqctl list_vhosts; sudo rabbitmqctl set_permissions -p '{space}' '{user}' '.*' '.*' '.*'; or "
            f'correct broker_virtual_host: {correct}',
        )
    if 'ACCESS_REFUSED' in text or 'Authentication' in type(error).__name__:
        return broken(
            f'RabbitMQ at {place} does not let {user!r} in: user or password is not the right one ({text})',
            f'Correct broker_username and broker_password: {correct}; or there: '
            f"sudo rabbitmqctl change_password '{user}'",
        )
    return broken(f'the login on RabbitMQ at {place} fails: {text}', f'See its log. If it is the profile: {correct}')


def _zeromq(profile: Any) -> Answer:
    from aiida.engine.daemon.client import get_daemon_client

    restart = f'aiida-litraj -p {profile.name} daemon restart'
    note = emptied_note(profile)
    if note is not None:
        return broken(
            f'{note} is empty, as a full disk leaves it: the next start of the broker deletes the folder in which the '
            'daemon was or is started, with all that is in it',
            f'{restart}, which deletes that file first; or by hand: rm {shlex.quote(str(note))}',
        )
    if not get_daemon_client(profile.name).is_daemon_running:
        return ok('ZeroMQ, which runs with the daemon')
    process = zeromq_process(profile)
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
    try:
        return str(getattr(zeromq_layout(profile), what).read_text(encoding='utf-8'))
    except OSError:
        return ''
