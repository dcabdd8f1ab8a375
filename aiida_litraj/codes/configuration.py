"""Reading a file that describes computers and codes, and what an environment must have to be accepted."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .environment import Environment, absolute_here
from .problems import SetupProblem

if TYPE_CHECKING:
    from aiida.orm import Computer

    from ..contract.potential import ProbeReport


@dataclass(frozen=True)
class Configuration:
    """Entries of computers, as written, and the environments of codes."""

    computers: tuple[Mapping[str, Any], ...] = ()
    environments: tuple[Environment, ...] = ()


def read_configuration(path: Path) -> Configuration:
    """Return what a YAML file says under ``computers`` and ``codes``.

    :raises SetupProblem: if it is not such a file; the message names the field.
    """
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding='utf-8'))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SetupProblem(f'{path} cannot be read: {error}', 'A template: aiida-litraj setup --template') from error
    if not isinstance(content, dict) or set(content) - {'computers', 'codes'}:
        found = sorted(map(str, set(content) - {'computers', 'codes'})) if isinstance(content, dict) else [content]
        raise SetupProblem(
            f'{path} has {found[0]!r} at its top, where only "computers" and "codes" may be',
            'A template: aiida-litraj setup --template',
        )
    for key in ('computers', 'codes'):
        entries = content.get(key) or []
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise SetupProblem(f'"{key}" in {path} is not a list of entries', 'Begin each entry with a dash.')
    return Configuration(
        tuple(content.get('computers') or []), tuple(Environment.read(entry) for entry in content.get('codes') or [])
    )


def settle_python(environment: Environment, computer: Computer) -> Environment:
    """Return the environment with the path of its interpreter absolute, where it is on this machine.

    :raises SetupProblem: if it isn't there, or is relative although the computer is another machine.
    """
    python = environment.engine_python
    if python is None:
        return environment
    if computer.transport_type != 'core.local':
        if '/' in python and not python.startswith(('/', '~/', '$')):
            raise SetupProblem(
                f'the Python {python!r} of the code {environment.name!r} is a relative path on {computer.label!r}',
                'Give its absolute path on that computer.',
            )
        return environment
    found = shutil.which(python) if '/' not in python else absolute_here(python)
    if found is None or not Path(found).is_file():
        raise SetupProblem(
            f'there is no Python at {found or python}',
            'Give the interpreter that has the potential to --engine-python, for example .venv-sevennet/bin/python',
        )
    return replace(environment, engine_python=str(found))


def require_families(environment: Environment, report: ProbeReport) -> None:
    """Refuse an environment that lacks a family it is meant to have.

    Meant are the families it names, or, if it names none, the one it is called after.

    :raises SetupProblem: naming the family and what to install.
    """
    known = {family.family: family for family in report.families}
    named_after = (environment.name,) if environment.name in known else ()
    for name in environment.families or named_after:
        family = known.get(name)
        if family is None:
            raise SetupProblem(
                f'the engine knows no family {name!r}', f'It knows {", ".join(known)}; others come as plugins.'
            )
        if not family.available:
            reason = f' ({family.error})' if family.error else ''
            raise SetupProblem(
                f'the environment of {environment.name!r} lacks the family {name!r}{reason}',
                f'Install it there: {report.python} -m pip install {family.package}',
            )
