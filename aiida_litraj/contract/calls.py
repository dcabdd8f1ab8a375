"""How many evaluations an item took, of whatever task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

CALLS = ('band_calls', 'endpoint_calls', 'saddle_calls', 'model_calls')
"""Fields of an item that count evaluations."""


def calls_of(item: Mapping[str, Any]) -> int:
    """Return the evaluations of an item; dynamics, which does not count them, evaluates its start and each step."""
    if any(name in item for name in CALLS):
        return sum(int(item.get(name) or 0) for name in CALLS)
    return int(item.get('n_steps') or 0) + 1
