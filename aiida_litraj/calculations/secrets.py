"""Secrets have no place in the graph: what is stored there is in each of its archives, and cannot be taken back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_SECRET = re.compile(
    r'passw(or)?d|passphrase|secret|token(?!iz)|credential|(api|access|private|auth)_?key', re.IGNORECASE
)
_HARMLESS = re.compile(r'_(file|path|dir)$', re.IGNORECASE)
"""Names that say where a secret is, not what it is."""
_ASSIGNED = re.compile(r"""(?<![\w$-])(?P<name>\w+)=(?P<value>"[^"]*"|'[^']*'|[^\s;&|]*)""")
_HANDED_OVER = re.compile(r"""sshpass(?=\s+-p\s*["']?[^\s"'$`])|\w+(?=://[^/\s:@]+:[^/\s@$`]+@)""")
"""Before a password on a command line, or in an address."""
TEXTS = ('prepend_text', 'append_text', 'custom_scheduler_commands', 'proxy_command', 'proxy_jump')
"""Options and fields that are shell, or that shell is made of."""


def is_secret(name: str) -> bool:
    """Return whether something of this name is most likely one."""
    return bool(_SECRET.search(name)) and not _HARMLESS.search(name)


def in_shell(text: str) -> str | None:
    """Return what in lines of shell looks like a secret, ``None`` if nothing does: a name, or how it is handed over.

    A value that the shell is to find out on the computer, ``$(cat ~/.token)`` or ``$TOKEN``, is none.
    """
    for found in _ASSIGNED.finditer(text):
        value = found['value'].strip('"\'')
        if is_secret(found['name']) and value and not value.startswith(('$', '`')):
            return found['name']
    handed = _HANDED_OVER.search(text)
    return None if handed is None else handed[0]


def secret_in(values: Mapping[str, Any]) -> str | None:
    """Return which of some options or fields looks like a secret, by its path, ``None`` if none does."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            within = secret_in(value)
            if within is not None:
                return f'{name}.{within}'
        elif value and is_secret(name):
            return name
        elif name in TEXTS and isinstance(value, str):
            within = in_shell(value)
            if within is not None:
                return f'{name}, {within}'
    return None


def remedy(where: str) -> str:
    """Return what to do about a secret at a path."""
    name = re.split(r'[., ]+', where)[-1]
    shown = name if name.isupper() else 'TOKEN'
    return (
        'keep it on the computer, in a file that you alone can read, and have prepend_text fetch it, as in: '
        f'export {shown}=$(cat ~/.{shown.lower()})'
    )


def refuse_secrets(options: Mapping[str, Any], where: str = 'metadata.options') -> None:
    """Refuse options with what looks like a secret.

    :raises ValueError: naming it, without its value.
    """
    found = secret_in(options)
    if found is not None:
        raise ValueError(
            f'{where}.{found} looks like a secret, which would be stored with the calculation and be in each archive '
            f'of it: {remedy(found)}'
        )
