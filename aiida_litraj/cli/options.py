"""Options and values that several commands share."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from typing import Any

import click

json_option = click.option('--json', 'as_json', is_flag=True, help='Print JSON and nothing else.')


class Walltime(click.ParamType):
    """A length of time in seconds, also written like 10min, 2h, 12:00:00 or 1-12:00:00."""

    name = 'time'

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return whole seconds, at least one."""
        from ..codes.times import seconds_in

        try:
            seconds = seconds_in(str(value))
        except ValueError as error:
            self.fail(f'{value!r} is no time: {error}', param, ctx)
        if seconds < 1:
            self.fail(f'{value!r} leaves a job no time: a second is the least', param, ctx)
        return seconds


walltime_option = click.option(
    '--walltime',
    type=Walltime(),
    metavar='TIME',
    help='Asked of the scheduler, per job: 10min, 2h, 1-12:00:00, or seconds.',
)


def parse_overrides(values: tuple[str, ...]) -> dict[str, Any]:
    """Return nested overrides of a protocol from ``key.path=value`` texts; values are read as YAML.

    :raises click.UsageError: if one has no ``=``, no key, or sets the same key again.
    """
    import yaml

    overrides: dict[str, Any] = {}
    for text in values:
        path, equals, raw = text.partition('=')
        keys = path.strip().split('.')
        if not equals or not all(keys):
            raise click.UsageError(
                f'--override {text!r} does not parse: write key.path=value, for example '
                'parameters.band.fmax_ev_per_ang=0.02'
            )
        try:
            value = yaml.safe_load(raw)
        except yaml.YAMLError as error:
            raise click.UsageError(f'--override {text!r}: the value does not parse: {error}') from error
        if isinstance(value, str):
            # YAML 1.1 takes 1e-3 for a text; in a protocol it is a number.
            with contextlib.suppress(ValueError):
                value = float(value)
        if keys[-1] == 'kpoint_mesh':
            value = _mesh(value, text)
        set_override(overrides, keys, value, f'--override {text}')
    return overrides


def _mesh(value: Any, text: str) -> Any:
    """Return a mesh of k-points as a list; it may be written as 2x2x2, which YAML takes for a text.

    :raises click.UsageError: if it is not three numbers.
    """
    if value is None:
        return None
    if isinstance(value, str):
        value = [int(number) if number.strip().isdigit() else number for number in value.split('x')]
    if not isinstance(value, list) or len(value) != 3 or any(type(one) is not int or one < 1 for one in value):
        raise click.UsageError(f'--override {text}: give three whole numbers, like 2x2x2 or [2, 2, 2]')
    return value


def set_override(overrides: dict[str, Any], keys: list[str], value: Any, origin: str) -> None:
    """Set one value in nested overrides.

    :raises click.UsageError: if the key is set already.
    """
    place = overrides
    for key in keys[:-1]:
        place = place.setdefault(key, {})
        if not isinstance(place, dict):
            raise click.UsageError(f'{origin}: {key!r} is set to a value by another override')
    if keys[-1] in place:
        raise click.UsageError(f'{origin}: {".".join(keys)} is set twice')
    place[keys[-1]] = value


def with_profile(command: Callable[..., Any]) -> Callable[..., Any]:
    """Load the AiiDA profile chosen on the command line before the command runs."""

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        from .errors import refusals

        name = click.get_current_context().find_root().obj
        with refusals():
            from ..codes.profile import load

            load(name)
        return command(*args, **kwargs)

    return wrapped
