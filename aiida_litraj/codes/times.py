"""Lengths of time as people and sites write them."""

from __future__ import annotations

import re

_CLOCK = re.compile(r'(?:(\d+)-)?(\d{1,3}):(\d{2})(?::(\d{2}))?')
_SPAN = re.compile(r'(\d+)\s*(s|min|h|d)?')
_SPANS = {None: 1, 's': 1, 'min': 60, 'h': 3600, 'd': 86400}


def seconds_in(text: str) -> int:
    """Return a time in seconds, which may be written as 7200, 2h, 30min, 02:00:00 or 1-12:00:00.

    :raises ValueError: if it is no time, or may mean two; it says how to write one.
    """
    clock = _CLOCK.fullmatch(text.strip())
    if clock and clock[1] is None and clock[4] is None:
        raise ValueError(
            'two parts may be hours and minutes or, as in Slurm, minutes and seconds: write 24h, 30min or "24:00:00"'
        )
    if clock:
        days, hours, minutes, seconds = (int(part or 0) for part in clock.groups())
        return ((24 * days + hours) * 60 + minutes) * 60 + seconds
    if span := _SPAN.fullmatch(text.strip()):
        return int(span[1]) * _SPANS[span[2]]
    raise ValueError('write a time as 7200 (seconds), 30min, 2h, 1d, "02:00:00" or "1-12:00:00"')
