"""Fields of entries that a person has written: one that is not known gets the nearest that is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from .problems import SetupProblem


def check_fields(entry: Mapping[str, Any], known: Iterable[str], kind: str, name: str) -> None:
    """Refuse an entry with a field that is not known.

    :param kind: what has such fields, like ``a code``; ``name`` is that one.
    :raises SetupProblem: naming the first such field and the nearest known one.
    """
    names = list(known)
    for field in sorted(map(str, set(entry) - set(names))):
        near = get_close_matches(field, names, n=1, cutoff=0.6)
        meant = f'Did you mean {near[0]!r}? ' if near else ''
        raise SetupProblem(f'{kind} has no field {field!r} (in {name})', f'{meant}The fields are {", ".join(names)}.')
