"""``aiida-litraj doctor``: each link from a launch to a compute node and back, who is at fault, what to type."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from .console import console, emit_json, print_table
from .errors import refusals
from .options import json_option

if TYPE_CHECKING:
    from ..codes.doctor import Finding

SIGNS = {'ok': 'ok', 'warning': 'warning', 'broken': 'BROKEN', 'not checked': 'not checked'}


@click.command(short_help='Check each link from a launch to a compute node and back.')
@click.option('--code', 'codes', metavar='NAME', multiple=True, help='Check this code and its computer. Repeatable.')
@click.option(
    '--computer', 'computers', metavar='LABEL', multiple=True, help='Check this computer and its codes. Repeatable.'
)
@click.option('--quick', is_flag=True, help='Submit nothing: neither a task for the daemon nor a job.')
@click.option(
    '--wait',
    type=click.FloatRange(min=1),
    default=300.0,
    show_default=True,
    metavar='S',
    help='Seconds in which the job has to come back; a queue may be long.',
)
@click.option(
    '--patience',
    type=click.FloatRange(min=1),
    default=20.0,
    show_default=True,
    metavar='S',
    help='Seconds in which anything else has to answer.',
)
@json_option
@click.pass_context
def doctor(
    ctx: click.Context,
    codes: tuple[str, ...],
    computers: tuple[str, ...],
    quick: bool,
    wait: float,
    patience: float,
    as_json: bool,
) -> None:
    """Check each link from a launch to a compute node and back: who is at fault, and what to type.

    Profile, storage, broker, daemon, whether its workers take tasks, ssh, scheduler, accounting, and with the options
    of each code a small job on a compute node, which says what is there and whether torch sees the GPU. What cannot be
    checked because something before it is broken says which. What it has submitted is deleted by its next run. The
    exit status is 1 if a link is broken.

    \b
    Examples:
      aiida-litraj doctor
      aiida-litraj doctor --code sevennet-gpu --wait 3600
      aiida-litraj doctor --computer cluster --quick --json
    """
    with refusals(), _quietly(), _telling(as_json) as say:
        from ..codes.doctor import Limits, examine

        limits = Limits(answer_s=patience, task_s=max(1.5 * patience, 10.0), job_s=wait)
        findings = list(examine(ctx.find_root().obj, codes, computers, limits, quick, say))
    whole = all(finding.status != 'broken' for finding in findings)
    if as_json:
        emit_json({'whole': whole, 'links': [_plain(finding) for finding in findings]})
    else:
        _draw(findings)
    ctx.exit(0 if whole else 1)


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Let AiiDA and what it stands on keep to themselves what fails: the findings say it."""
    import logging
    import warnings

    loggers = [logging.getLogger(name) for name in ('aiida', 'asyncssh', 'asyncio')]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        try:
            for logger in loggers:
                logger.setLevel(logging.CRITICAL)
            yield
        finally:
            for logger, level in zip(loggers, levels):
                logger.setLevel(level)


@contextlib.contextmanager
def _telling(as_json: bool) -> Iterator[Callable[[str], None]]:
    """Give a function that tells in a terminal which link is looked at."""
    screen = console(stderr=True)
    if as_json or not screen.is_terminal:
        yield lambda _: None
        return
    with screen.status('') as status:
        yield lambda name: status.update(f'Looking at {name} ...')


def _plain(finding: Finding) -> dict[str, Any]:
    answer = asdict(finding.answer)
    return {
        'link': finding.link,
        'of': finding.of or None,
        **{key: answer[key] for key in ('status', 'message', 'remedy', 'facts')},
        'waits_for': finding.waits_for,
        'seconds': finding.seconds,
    }


def _draw(findings: list[Finding]) -> None:
    """Print the table, or where nobody sees its width a line for each link, and below it what to do."""
    if console().is_terminal:
        rows = [(SIGNS[one.status], one.link, one.of, one.answer.message) for one in findings]
        print_table(None, ('', 'link', 'of', 'what was found'), rows)
    else:
        width = max(map(len, SIGNS.values()))
        for one in findings:
            click.echo(f'{SIGNS[one.status]:{width}}  {one.name}: {" ".join(one.answer.message.split())}')
    ill = [one for one in findings if one.status in ('broken', 'warning')]
    for finding in sorted(ill, key=lambda one: one.status != 'broken'):
        colour = 'red' if finding.status == 'broken' else 'yellow'
        click.echo(f'{click.style(f"{SIGNS[finding.status]}: {finding.name}", fg=colour, bold=True)}')
        click.echo(f'  {finding.answer.message}')
        click.echo(f'  Next: {finding.answer.remedy}')
    waiting = sum(1 for one in findings if one.waits_for)
    if waiting:
        click.echo(
            f'{waiting} link{"s" if waiting > 1 else ""} not checked for that; mend it, and: aiida-litraj doctor'
        )
    elif not ill:
        click.echo('The chain is whole.')
