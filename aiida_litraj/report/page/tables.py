"""The words of the model: tables, columns and cells, plain enough for JSON, and what they look like as text."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Cell = Any
"""A text, a number, ``None``, or an estimate as a mapping of ``value``, ``interval`` and ``reason``."""
KINDS = ('text', 'number', 'estimate', 'uuid')
NOTHING = '–'
_TINY, _HUGE = 1e-3, 1e6
"""Beyond these a number is written with a power of ten."""


def column(name: str, kind: str = 'text', digits: int | None = None, unit: str = '', about: str = '') -> dict[str, Any]:
    """Return a column of a table.

    :param digits: behind the point; ``None`` for three that count.
    :param about: what it is, in a sentence, for who asks.
    :raises ValueError: if the kind is not known.
    """
    if kind not in KINDS:
        raise ValueError(f'a column is of {", ".join(KINDS)}, not {kind!r}')
    return {'name': name, 'kind': kind, 'digits': digits, 'unit': unit, 'about': about}


def table(
    title: str, columns: Sequence[Mapping[str, Any]], rows: Iterable[Sequence[Cell]], **more: Any
) -> dict[str, Any]:
    """Return a table; ``more`` may hold what the page does with it.

    That is ``note``, a sentence under it; ``definition``, of the barrier, with which it is shown; ``hops``, of each row
    the hop it opens; ``muted``, rows that are no results; ``role``, what else the page has to know of it.

    :raises ValueError: if a row has not as many cells as there are columns.
    """
    found = [[plain(cell) for cell in row] for row in rows]
    for row in found:
        if len(row) != len(columns):
            raise ValueError(f'table {title!r}: a row of {len(row)} cells for {len(columns)} columns')
    return {'title': title, 'columns': [dict(one) for one in columns], 'rows': found, **more}


def plain(value: Any) -> Any:
    """Return a value as JSON can hold it: what is not finite is nothing, and what is not known by JSON is its text."""
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if hasattr(value, 'item') and getattr(value, 'ndim', None) == 0:
        return plain(value.item())
    return str(value)


def number_text(value: Any, digits: int | None = None) -> str:
    """Return a number as it stands in a table; a dash for none.

    :param digits: behind the point; ``None`` for three that count, with a power of ten where that is shorter.
    """
    if value is None or isinstance(value, str):
        return NOTHING if value is None else value
    if isinstance(value, bool):
        return 'yes' if value else 'no'
    if isinstance(value, int):
        return f'{value:,}'
    size = abs(value)
    if digits is not None and (size == 0.0 or size >= 0.5 * 10.0**-digits) and size < _HUGE:
        return f'{value:.{digits}f}'
    if size and not _TINY <= size < _HUGE:
        return f'{value:.2e}'
    return f'{value:.3g}' if size < 100 else f'{value:,.0f}'


def cell_text(cell: Cell, digits: int | None = None) -> str:
    """Return a cell as text: an estimate with its interval in brackets."""
    if isinstance(cell, Mapping) and 'value' in cell:
        ends = cell.get('interval')
        around = f' [{number_text(ends[0], digits)}, {number_text(ends[1], digits)}]' if ends else ''
        return f'{number_text(cell["value"], digits)}{around}'
    if isinstance(cell, (Mapping, list)):
        return ', '.join(f'{key}={one}' for key, one in flat(cell)) or NOTHING
    return number_text(cell, digits)


def flat(content: Any, prefix: str = '') -> list[tuple[str, Any]]:
    """Return the leaves of nested content by their dotted names; short lists of values are one leaf."""
    if isinstance(content, Mapping):
        inside = [(f'{prefix}.{key}' if prefix else str(key), one) for key, one in content.items()]
        return [leaf for name, one in inside for leaf in flat(one, name)]
    if isinstance(content, (list, tuple)):
        if any(isinstance(one, (Mapping, list, tuple)) for one in content):
            return [leaf for k, one in enumerate(content) for leaf in flat(one, f'{prefix}.{k}' if prefix else str(k))]
        return [(prefix, ', '.join(cell_text(plain(one)) for one in content))]
    return [(prefix, plain(content))]


def estimate(value: Any, low: Any = None, high: Any = None) -> dict[str, Any] | None:
    """Return a number with the ends of its interval, ``None`` if there is no number."""
    if value is None:
        return None
    return {'value': value, 'interval': None if low is None or high is None else [low, high], 'reason': None}
