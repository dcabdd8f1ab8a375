"""Times as a person writes them: so long ago, or a day."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

import click

_UNITS = {'h': 'hours', 'd': 'days', 'w': 'weeks'}


class Age(click.ParamType):
    """A length of time, like 12h, 7d and 2w: the moment that is so long ago; or a day, like 2026-11-01: its start."""

    name = 'age'

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Return the moment, with a time zone."""
        if isinstance(value, datetime):
            return value
        now = datetime.now().astimezone()
        found = re.fullmatch(r'(\d+)([hdw])', value.strip())
        try:
            if found is not None:
                return now - timedelta(**{_UNITS[found[2]]: int(found[1])})
            return datetime.strptime(value.strip(), '%Y-%m-%d').astimezone()
        except (OverflowError, ValueError):
            self.fail(f'{value!r} is no time: write 12h, 7d or 2w, or a day like {now:%Y-%m-%d}', param, ctx)
