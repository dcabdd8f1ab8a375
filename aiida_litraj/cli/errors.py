"""Errors as a person meets them: one message that names the input, its value and the remedy; JSON with ``--json``."""

from __future__ import annotations

import contextlib
import json
import re
import sys
from collections.abc import Iterator
from typing import Any

import click

INTERRUPTED = 130
"""Exit status after Ctrl-C, as a shell has it: 128 and the number of the signal."""


LOCKED = 'database is locked'
"""How SQLite, and whoever passes it on, says that it has waited long enough for another process."""
LOCKED_REMEDY = (
    'Another process was writing to the SQLite file of the profile for longer than a minute. Try again; a launch goes '
    'on where it was. If it stays so: aiida-litraj daemon stop, aiida-litraj setup, aiida-litraj daemon start.'
)


class Refusal(click.ClickException):
    """A request that cannot be met; ``remedy`` says what to do instead. Exit status 1."""

    title = 'Error'

    def __init__(self, message: str, remedy: str | None = None, **details: Any) -> None:
        super().__init__(message)
        self.remedy = remedy
        self.details = details


@contextlib.contextmanager
def refusals(*more: type[Exception]) -> Iterator[None]:
    """Turn what the rooms below raise on bad input into a :class:`Refusal`; ``more`` are further such exceptions."""
    from aiida.common.exceptions import InputValidationError, MultipleObjectsError, NotExistent, ValidationError

    from ..codes import SetupProblem
    from ..contract.errors import LitrajError

    expected = (ValueError, LitrajError, NotExistent, MultipleObjectsError, InputValidationError, ValidationError)
    try:
        yield
    except SetupProblem as problem:
        raise Refusal(problem.message, problem.remedy) from problem
    except (*expected, *more) as error:
        # AiiDA puts the name of the port before what a validator said; the message names the input itself.
        message = re.sub(r"^Error occurred validating port '[^']*': ", '', str(error).strip())
        raise Refusal(message or type(error).__name__) from error


class Program(click.Group):
    """A group whose errors go to the standard error stream as a sentence, or, with ``--json``, out as an object."""

    def main(self, args: Any = None, prog_name: str | None = None, *rest: Any, **extra: Any) -> Any:
        """Leave with 0, 1 (refused or failed), 2 (the command line does not parse) or 130 and the like (a signal)."""
        arguments = list(sys.argv[1:] if args is None else args)
        extra['standalone_mode'] = False
        try:
            status = super().main(arguments, prog_name, *rest, **extra)
        except click.ClickException as error:
            _show(error, '--json' in arguments)
            status = error.exit_code
        except click.Abort:
            click.echo('Aborted.', err=True)
            status = INTERRUPTED
        except Exception as error:
            if LOCKED not in str(error):
                raise
            _show(Refusal(f'the {LOCKED}', LOCKED_REMEDY), '--json' in arguments)
            status = 1
        sys.exit(status if isinstance(status, int) else 0)


def _show(error: click.ClickException, as_json: bool) -> None:
    message, remedy = error.format_message(), getattr(error, 'remedy', None)
    if as_json:
        content = {'message': message, 'remedy': remedy, 'exit_code': error.exit_code}
        content.update(getattr(error, 'details', {}))
        click.echo(json.dumps({'error': content}, default=str))
        return
    if isinstance(error, click.UsageError) and error.ctx is not None:
        click.echo(f'{error.ctx.get_usage()}\n', err=True)
        remedy = remedy or f'Help: {error.ctx.command_path} --help'
    text = message.rstrip().rstrip('.')
    title = getattr(error, 'title', 'Error')
    end = '' if text.endswith(('?', '!')) else '.'
    click.echo(f'{click.style(f"{title}:", fg="red", bold=True)} {text}{end}', err=True)
    if remedy:
        click.echo(remedy, err=True)
