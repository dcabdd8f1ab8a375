"""Numbers and nouns that agree, and what barriers are compared with, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_MANY = {'entry': 'entries', 'trajectory': 'trajectories'}


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, like ``1 crystal`` and ``12,000 crystals``."""
    return f'{number:,} {noun if number == 1 else _MANY.get(noun, f"{noun}s")}'


def reference_text(reference: Mapping[str, Any]) -> str:
    """Return in words what barriers are compared with; a potential is said to be one."""
    kind, label = reference['kind'], reference['label']
    protocol = f', protocol {reference["protocol"]}' if reference.get('protocol') else ''
    if kind == 'data set':
        level = reference.get('level_of_theory')
        return f'{label}{f": {level}" if level else ""}'
    return f'{label}{protocol}{", a potential and no DFT" if kind == "potential" else ""}'
