"""What launches have in common: options of their jobs, reuse of equal ones, running here or by the daemon."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click

from ..codes.profile import CACHED
from .console import emit_json
from .errors import refusals
from .options import json_option, walltime_option, with_profile

if TYPE_CHECKING:
    from aiida.engine import ProcessBuilder
    from aiida.orm import AbstractCode

JOB_OPTIONS = ('max_seconds', 'walltime', 'device', 'processes', 'ranks', 'gpus')
"""Parameters of a command that :func:`job_options` reads."""


def launch_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add to a command what every launch can be told of its jobs, and where and how it runs; it gets the profile."""
    options = (
        click.option(
            '--override',
            'overrides',
            metavar='KEY.PATH=VALUE',
            multiple=True,
            help='Change one number of the protocol. Repeatable.',
        ),
        click.option('--max-seconds', type=click.FloatRange(min=0, min_open=True), help="Engine's own clock, per job."),
        walltime_option,
        click.option('--device', metavar='DEVICE', help='auto, cpu, cuda or cuda:N.'),
        click.option('--gpus', type=click.IntRange(min=1), metavar='N', help='Of each job; a process for each.'),
        click.option('--processes', type=click.IntRange(min=1), metavar='N', help='Worker processes on a CPU.'),
        click.option(
            '--cache/--no-cache',
            default=None,
            help='Reuse equal jobs of before; without, begin anew also where one was stopped.  '
            '[default: as the profile says]',
        ),
        click.option('--daemon', is_flag=True, help='Leave it to the daemon and return at once.'),
        json_option,
    )
    command = with_profile(command)
    for option in reversed(options):
        command = option(command)
    return command


def packing_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add to a command of many items how many jobs they are shared out among; it gets ``max_jobs``."""
    return click.option(
        '--max-jobs', type=click.IntRange(min=1), metavar='N',
        help='Share the work out among several jobs, at most so many at a time.  [default: all in one]',
    )(command)  # fmt: skip


def packing_of(request: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the packing that a command was asked for, ``None`` if all shall be in one job."""
    return None if request.get('max_jobs') is None else {'max_jobs': request['max_jobs']}


def job_options(code: AbstractCode, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``metadata.options`` of the jobs: those of the code, and over them what is ``asked`` for.

    :param asked: parameters of the command, of which only ``JOB_OPTIONS`` count.
    """
    from ..codes.choose import require_device
    from ..codes.register import OPTIONS

    options = dict(code.base.extras.get(OPTIONS, {}))
    names = {'walltime': 'max_wallclock_seconds', 'ranks': 'ranks_per_process'}
    options.update({names.get(key, key): asked[key] for key in JOB_OPTIONS if asked.get(key) is not None})
    require_device(code, options.get('device'))
    if options:  # setting any of them sets them all, and AiiDA wants these
        options.setdefault('resources', {'num_machines': 1, 'num_mpiprocs_per_machine': 1})
    return options


def run_or_submit(builder: ProcessBuilder, cache: bool | None, daemon: bool, as_json: bool, title: str) -> None:
    """Run a chain here, with a progress bar, or hand it to the daemon; say what came of it.

    The builder's jobs have been told of ``cache=False`` already.
    """
    with reusing() if cache else contextlib.nullcontext():
        if daemon:
            submit(builder, as_json)
        else:
            run(builder, as_json, title)


def require_caching(job: str = 'litraj.neb') -> None:
    """Refuse to leave to the daemon what only the profile can tell it: that equal jobs are to be reused.

    :raises click.UsageError: if the profile does not say so; it names the command that makes it.
    """
    from aiida.manage.caching import get_use_cache
    from aiida.manage.configuration import get_profile
    from aiida.plugins import CalculationFactory

    if get_use_cache(identifier=CalculationFactory(job).build_process_type()):
        return
    profile = get_profile()
    name = profile.name if profile is not None else ''
    raise click.UsageError(
        f'--cache does not reach the daemon, which goes by the profile, and {name!r} reuses no jobs of this plugin; '
        f"type once: verdi -p {name} config set --append caching.enabled_for '{CACHED}', "
        f'then: aiida-litraj -p {name} daemon restart'
    )


@contextlib.contextmanager
def reusing() -> Iterator[None]:
    """Reuse equal calculations that run in this interpreter."""
    from aiida.manage.caching import enable_caching

    with enable_caching(identifier=CACHED):
        yield


def run(builder: ProcessBuilder, as_json: bool, title: str = 'Barrier') -> None:
    """Run the chain here, with a progress bar, and print its result."""
    from .foreground import instantiate, run_with_progress
    from .processes import failure_of, kind_of, result_of

    with refusals():
        process = instantiate(builder)
    if not as_json:
        click.echo(f'Chain {process.pid}. From elsewhere: aiida-litraj status {process.pid}', err=True)
    chain = run_with_progress(process, title)
    result = result_of(chain)
    if result is None:
        raise failure_of(chain)
    if as_json:
        emit_json(result)
    else:
        kind_of(chain).call('show', result)
        if result.get('from_cache'):
            click.echo('From the cache: an equal job of before was found, nothing was computed. Anew: --no-cache')
        click.echo(f'Next, a picture: aiida-litraj plot {chain.pk}')
    if chain.exit_status:
        click.echo(f'Ended with [{chain.exit_status}]: {chain.exit_message}', err=True)
        click.get_current_context().exit(1)


def submit(builder: ProcessBuilder, as_json: bool) -> None:
    """Hand the chain to the daemon, which is started if it does not run, and say what to type next."""
    from aiida.engine import submit as send

    from ..codes.daemon import ensure_daemon
    from .foreground import tidy_up

    tidy_up()
    with refusals():
        state = ensure_daemon()
        chain = send(builder)
    if as_json:
        emit_json({'uuid': chain.uuid, 'pk': chain.pk, 'state': 'submitted', 'daemon': state})
        return
    if state == 'started':
        click.echo('Started the daemon.')
    click.echo(f'Submitted chain {chain.pk}.')
    click.echo(f'Next: aiida-litraj status {chain.pk}; when it has ended: aiida-litraj show {chain.pk}')
