"""Reading a file that describes computers and codes, and what an environment must have to be accepted."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .asked import DIRECT, FIELDS, read_asked
from .computers import LOCALHOST, check_computer, find_computer, was_used
from .environment import CONDA_PYTHON, Environment, absolute_here
from .fields import check_fields
from .problems import SetupProblem

if TYPE_CHECKING:
    from aiida.orm import Computer

    from ..contract.potential import ProbeReport


@dataclass(frozen=True)
class Configuration:
    """Entries of computers, as written, and the environments of codes."""

    computers: tuple[Mapping[str, Any], ...] = ()
    environments: tuple[Environment, ...] = ()

    def settled(self) -> tuple[Environment, ...]:
        """Return the environments with options and lines of shell in the place of what their sites are asked for.

        A profile has to be loaded. Nothing is made: what a file lacks is said before anything is stored.

        :raises SetupProblem: if a code is for a computer that is neither in the file nor known to AiiDA, its scheduler
            has not what is asked for, or an option is not known.
        """
        described = {str(entry['label']): entry for entry in self.computers}
        settled = []
        for environment in self.environments:
            settled.append(environment.settled(_scheduler_of(environment.computer, described)))
            _check_options(settled[-1])
        return tuple(settled)


def _scheduler_of(label: str, described: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the scheduler of a computer: AiiDA's, which stays once a job has run, or as a file describes it."""
    from aiida.orm import Computer, QueryBuilder

    computer = QueryBuilder().append(Computer, filters={'label': label}).first(flat=True)
    wanted = described.get(label)
    if computer is None:
        if wanted is not None or label == LOCALHOST:
            return str((wanted or {}).get('scheduler', DIRECT))
        return str(find_computer(label).scheduler_type)
    if wanted is not None and wanted.get('scheduler') and not was_used(computer):
        return str(wanted['scheduler'])
    return str(computer.scheduler_type)


def _check_options(environment: Environment) -> None:
    """Refuse options that no job has.

    :raises SetupProblem: naming the first, and the nearest that there is.
    """
    from ..calculations.neb import NebCalculation

    check_fields(
        environment.options,
        NebCalculation.spec().inputs['metadata']['options'],
        'a job',
        f'options of the code {environment.name!r}',
    )


def read_configuration(path: Path) -> Configuration:
    """Return what a YAML file says under ``computers`` and ``codes``.

    :raises SetupProblem: if it is not such a file; the message names the field.
    """
    import yaml

    try:
        content = yaml.load(path.read_text(encoding='utf-8'), Loader=_loader())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SetupProblem(
            f'{path} cannot be read: {error}', 'A template: aiida-litraj setup --template slurm-gpu'
        ) from error
    if not isinstance(content, dict) or set(content) - {'computers', 'codes'}:
        found = sorted(map(str, set(content) - {'computers', 'codes'})) if isinstance(content, dict) else [content]
        raise SetupProblem(
            f'{path} has {found[0]!r} at its top, where only "computers" and "codes" may be',
            'A template: aiida-litraj setup --template slurm-gpu',
        )
    for key in ('computers', 'codes'):
        entries = content.get(key) or []
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise SetupProblem(f'"{key}" in {path} is not a list of entries', 'Begin each entry with a dash.')
    computers, codes = content.get('computers') or [], content.get('codes') or []
    for entry in computers:
        check_computer(entry)
        read_asked(entry, f'the computer {entry["label"]!r}')
    usual = {str(entry['label']): {key: entry[key] for key in FIELDS if key in entry} for entry in computers}
    merged = [_merged(usual.get(str(entry.get('computer', LOCALHOST)), {}), entry) for entry in codes]
    return Configuration(tuple(computers), tuple(Environment.read(entry) for entry in merged))


def _loader() -> Any:
    """Return a safe loader of YAML that leaves 24:00:00 a text.

    YAML 1.1 takes numbers with colons for such to the base 60: a walltime of 24:00 would be 1440 without quotes.
    """
    import yaml

    class Loader(yaml.SafeLoader):
        pass

    numbers = {'tag:yaml.org,2002:int', 'tag:yaml.org,2002:float'}
    base60 = re.compile(r'[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?$')
    # The first that fits counts, so that this one comes before those of numbers.
    Loader.yaml_implicit_resolvers = {
        first: [('tag:yaml.org,2002:str', base60), *known] if numbers & {tag for tag, _ in known} else list(known)
        for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    return Loader


def _merged(usual: Mapping[str, Any], entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entry of a code with what is usual on its computer where it says nothing else.

    Of ``gpus`` each field counts by itself, and a code that mentions none asks for none: how they are asked for is the
    site's, how many is the code's.
    """
    merged = {**{key: value for key, value in usual.items() if key != 'gpus'}, **entry}
    own, of_site = entry.get('gpus'), usual.get('gpus')
    if isinstance(own, Mapping) and isinstance(of_site, Mapping):
        merged['gpus'] = {**of_site, **own}
    return merged


def settle_python(environment: Environment, computer: Computer) -> Environment:
    """Return the environment with the path of its interpreter absolute, where it is on this machine.

    :raises SetupProblem: if it isn't there, or is relative although the computer is another machine.
    """
    python = environment.engine_python
    if python is None or (environment.asked.conda is not None and python == CONDA_PYTHON):
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
