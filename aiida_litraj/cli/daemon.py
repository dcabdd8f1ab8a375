"""``aiida-litraj daemon``: start, restart, stop and look at what runs submitted chains."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from ..report.words import counted
from .console import emit_json
from .errors import refusals
from .options import json_option, with_profile

if TYPE_CHECKING:
    from ..codes.daemon import Daemon

AT_RISK = 'Careful: there are files in that folder, and the ZeroMQ broker may delete them after the disk was full.'


@click.group(short_help='Start, restart or stop what runs submitted chains.')
def daemon() -> None:
    """Start, restart, stop or look at AiiDA's daemon, which runs what was submitted.

    As `verdi daemon` does, but in a folder in which nothing can be lost, and with the patience that a busy machine
    wants. Jobs on computers run on while it is stopped, and their chains find them.

    \b
    Examples:
      aiida-litraj daemon start
      aiida-litraj daemon restart --workers 4
      aiida-litraj daemon status --json
    """


def _patience(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        '--patience', type=click.FloatRange(min=1), default=60.0, show_default=True, metavar='S',
        help='Seconds in which it has to do so; a busy machine may want more.',
    )(command)  # fmt: skip


def _workers(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        '--workers', type=click.IntRange(min=1), metavar='N',
        help='How many.  [default: as many as there are, or AiiDA\'s daemon.default_workers]',
    )(command)  # fmt: skip


@daemon.command()
@_workers
@_patience
@json_option
@with_profile
def start(workers: int | None, patience: float, as_json: bool) -> None:
    """Start the daemon unless it runs.

    \b
    Examples:
      aiida-litraj daemon start
      aiida-litraj daemon start --workers 4
    """
    with refusals():
        from ..codes.daemon import ensure_daemon, look_at_daemon

        state = ensure_daemon(workers, patience)
        found = look_at_daemon(patience)
    _tell(found, {'started': 'Started.', 'running': 'It runs already.'}[state], as_json, done=state)
    if state == 'running' and not as_json and workers not in (None, len(found.workers or ())):
        click.echo(f'For {counted(workers, "worker")}: {_call("daemon restart")} --workers {workers}')


@daemon.command()
@_workers
@_patience
@json_option
@with_profile
def restart(workers: int | None, patience: float, as_json: bool) -> None:
    """Stop the daemon if it runs, and start it, with as many workers as it has.

    \b
    Examples:
      aiida-litraj daemon restart
      aiida-litraj daemon restart --patience 300
    """
    with refusals():
        from ..codes.daemon import look_at_daemon, restart_daemon

        before = restart_daemon(workers, patience)
        found = look_at_daemon(patience)
    said = 'Started; it did not run.' if before is None else f'Stopped, process {before}, and started again.'
    _tell(found, said, as_json, done='started' if before is None else 'restarted', before=before)


@daemon.command()
@_patience
@json_option
@with_profile
def stop(patience: float, as_json: bool) -> None:
    """Stop the daemon, its workers and its broker. Jobs run on.

    \b
    Example:
      aiida-litraj daemon stop
    """
    with refusals():
        from ..codes.daemon import stop_daemon

        pid = stop_daemon(patience)
    if as_json:
        emit_json({'done': 'nothing' if pid is None else 'stopped', 'pid': pid})
    else:
        click.echo('It does not run.' if pid is None else f'Stopped, process {pid}. Next: {_call("daemon start")}')


@daemon.command()
@_patience
@json_option
@with_profile
@click.pass_context
def status(ctx: click.Context, patience: float, as_json: bool) -> None:
    """Say whether the daemon runs, with which workers, and in which folder. The exit status is 1 if it does not run.

    \b
    Examples:
      aiida-litraj daemon status
      aiida-litraj daemon status --json
    """
    with refusals():
        from ..codes.daemon import look_at_daemon

        found = look_at_daemon(patience)
    _tell(found, None, as_json)
    ctx.exit(0 if found.state == 'running' else 1)


def _tell(found: Daemon, first: str | None, as_json: bool, **more: Any) -> None:
    if as_json:
        emit_json({**more, **asdict(found)})
        return
    if first is not None:
        click.echo(first)
    if found.state in ('not running', 'died'):
        said = 'The daemon does not run' if found.pid is None else f'The daemon, process {found.pid}, has died'
        click.echo(f'{said}. Next: {_call("daemon start")}')
        return
    if found.state == 'halted':
        click.echo(f'The daemon, process {found.pid}, is halted. Next: kill -CONT {found.pid}')
    elif found.workers is None:
        click.echo(f'The daemon, process {found.pid}, does not answer. Next: {_call("daemon restart")}')
    else:
        workers = counted(len(found.workers), 'worker') if found.workers else 'no worker'
        pids = f' ({", ".join(map(str, found.workers))})' if found.workers else ''
        click.echo(f'The daemon is process {found.pid} with {workers}{pids}, and works in {found.folder}.')
    if found.at_risk:
        click.echo(f'{AT_RISK} Next: {_call("daemon restart")}')
    if first is None:
        click.echo(f'Whether its workers take tasks: {_call("doctor")}')


def _call(command: str) -> str:
    """Return what to type, with the profile if this command was told of one."""
    name = click.get_current_context().find_root().obj
    return f'aiida-litraj {f"-p {name} " if name else ""}{command}'
