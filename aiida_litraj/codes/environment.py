"""An environment of a compute node, as a person describes it: which computer, which Python or which engine."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..calculations.secrets import remedy, secret_in
from .asked import FIELDS as ASKED
from .asked import Asked, read_asked
from .fields import check_fields
from .problems import SetupProblem

_NAME = re.compile(r'[A-Za-z0-9_][A-Za-z0-9_.-]*')
_NOT_A_VARIABLE = re.compile(r'\$(?![A-Za-z_]|\{[A-Za-z_][A-Za-z0-9_]*\})')
_FIELDS = ('name', 'computer', 'engine_python', 'installed', 'prepend_text', 'families', 'options', *ASKED)
CONDA_PYTHON = 'python'
"""The interpreter of a conda environment that has been activated."""


@dataclass(frozen=True)
class Environment:
    """Where and with what the engine of one code runs.

    Either ``engine_python``, the interpreter that has the potential's package (the code then ships the engine), or
    ``installed``, the path of a ``litraj-engine`` on the computer. ``options`` are the usual ``metadata.options`` of
    its jobs (queue, wall time, ...), ``asked`` what the site is asked for in its own words, which :meth:`settled` turns
    into options and lines of shell. ``families`` must all be there for the code to be accepted.
    """

    name: str
    computer: str = 'localhost'
    engine_python: str | None = None
    installed: str | None = None
    prepend_text: str = ''
    families: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    asked: Asked = field(default_factory=Asked)

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise SetupProblem(
                f'{self.name!r} cannot be the name of a code', 'Use letters, digits, dots, dashes and underscores.'
            )
        if (self.engine_python is None) == (self.installed is None):
            raise SetupProblem(
                f'the code {self.name!r} needs either a Python or an installed engine, not '
                f'engine_python={self.engine_python!r} and installed={self.installed!r}',
                'Give the Python that has the potential (--engine-python), or the path of litraj-engine (--installed).',
            )

        require_no_secret({'prepend_text': self.prepend_text, 'options': self.options}, f'the code {self.name!r}')

    @property
    def script(self) -> str:
        """Lines of shell before the engine, in every job of the code."""
        lines = [self.prepend_text.rstrip()] if self.prepend_text.strip() else []
        if self.engine_python is not None:
            lines.append(f'export LITRAJ_PYTHON={_quote(self.engine_python)}')
        return '\n'.join(lines)

    def settled(self, scheduler: str) -> Environment:
        """Return the environment with options and lines of shell in the place of what the site is asked for.

        :raises SetupProblem: if the scheduler has no such thing, or the same is said twice.
        """
        lines = [text.rstrip() for text in (self.asked.script, self.prepend_text) if text.strip()]
        options = self.asked.options(scheduler, self.options, self.name)
        return replace(self, prepend_text='\n'.join(lines), options=options, asked=Asked(conda=self.asked.conda))

    @classmethod
    def read(cls, entry: Mapping[str, Any]) -> Environment:
        """Return the environment of an entry under ``codes`` of a configuration file.

        :raises SetupProblem: if a field is missing, unknown or of the wrong type.
        """
        check_fields(entry, _FIELDS, 'a code', f'the code {entry.get("name")!r}')
        if 'name' not in entry:
            raise SetupProblem('a code has no name', 'Give each entry under "codes" a "name".')
        families = entry.get('families') or ()
        options = entry.get('options') or {}
        if not isinstance(options, Mapping):
            raise SetupProblem(
                f'options of the code {entry["name"]!r} is {options!r}', 'Write "name: value" pairs there.'
            )
        asked = read_asked(entry, f'the code {entry["name"]!r}')
        python = _text(entry, 'engine_python')
        if asked.conda is not None and python is None and entry.get('installed') is None:
            python = CONDA_PYTHON
        return cls(
            name=str(entry['name']),
            computer=str(entry.get('computer', 'localhost')),
            engine_python=python,
            installed=_text(entry, 'installed'),
            prepend_text=_text(entry, 'prepend_text') or '',
            families=(families,) if isinstance(families, str) else tuple(str(name) for name in families),
            options=dict(options),
            asked=asked,
        )


def require_no_secret(fields: Mapping[str, Any], whose: str) -> None:
    """Refuse fields with what looks like a secret.

    :raises SetupProblem: naming it, without its value.
    """
    found = secret_in(fields)
    if found is not None:
        raise SetupProblem(
            f'{found} of {whose} looks like a secret, which would be stored in the database and its archives',
            f'{remedy(found)[0].upper()}{remedy(found)[1:]}',
        )


def _text(entry: Mapping[str, Any], key: str) -> str | None:
    value = entry.get(key)
    if value is not None and not isinstance(value, str):
        raise SetupProblem(f'{key} of the code {entry.get("name")!r} is {value!r}', 'Write a text there.')
    return value


def _quote(path: str) -> str:
    """Return a path for the shell, in which only a leading ``~/``, ``$NAME`` and ``${NAME}`` are still expanded."""
    if path.startswith('~/'):
        path = f'$HOME/{path[2:]}'
    escaped = path.replace('\\', '\\\\').replace('"', '\\"').replace('`', '\\`')
    escaped = _NOT_A_VARIABLE.sub(r'\\$', escaped)
    return f'"{escaped}"'


def absolute_here(path: str) -> str:
    """Return a path on this machine made absolute, *without* following links: a venv's python is a link."""
    return os.path.abspath(os.path.expanduser(path))
