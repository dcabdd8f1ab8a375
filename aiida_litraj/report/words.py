"""Numbers and nouns that agree."""

from __future__ import annotations

_MANY = {'entry': 'entries', 'trajectory': 'trajectories'}


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, like ``1 crystal`` and ``12,000 crystals``."""
    return f'{number:,} {noun if number == 1 else _MANY.get(noun, f"{noun}s")}'
