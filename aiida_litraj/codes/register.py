"""One code per environment: made once, found again, replaced when the engine or its environment has changed."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..calculations.validation import PROBE_EXTRA
from ..contract.potential import ProbeReport
from .bundle import EXECUTABLE, digest, engine_files, write_folder
from .computers import find_computer
from .environment import Environment
from .problems import SetupProblem

if TYPE_CHECKING:
    from aiida.orm import AbstractCode, Computer

COMPUTER = 'litraj_computer'
"""Extra of a code: label of its computer. A code that ships the engine has no computer of its own."""
OPTIONS = 'litraj_options'
"""Extra of a code: ``metadata.options`` its jobs get where the launch says nothing else."""
NAME = 'litraj_name'
"""Extra of a code: the name it was set up under, also after a newer one took that label."""


@dataclass(frozen=True)
class Registration:
    """A code, and what became of it: ``new``, ``same`` (nothing changed) or ``replaced`` (an older one was hidden).

    ``options`` are those of its jobs that are others than before, each with the old value and the new one, ``None``
    for none. They are no part of a code: one with other options is the same.
    """

    code: AbstractCode
    state: str
    hidden_label: str | None = None
    options: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)


def register(environment: Environment, report: ProbeReport) -> Registration:
    """Return the code of an environment, making it only if there is none with the same settings, engine and packages.

    A code of the same name with other settings keeps its jobs but gets another label and is hidden.

    :raises SetupProblem: if another code has that label which was not set up so.
    """
    files = engine_files() if environment.installed is None else {}
    shell = shell_of(environment, report)
    earlier = _named(environment.name)
    require_free(environment.name, earlier, f'--name {environment.name}-engine')
    same = next((code for code in earlier if _matches(code, environment, shell, files)), None)
    current = next((code for code in earlier if code.label == environment.name and not code.is_hidden), None)
    before = None if current is None else dict(current.base.extras.get(OPTIONS, {}))
    hidden = None
    if current is not None and (same is None or current.pk != same.pk):
        hidden = retire(current, environment.name)
    if same is None:
        code, state = _make(environment, shell, files), 'new' if current is None else 'replaced'
    else:
        code, state = same, 'same' if current is not None and current.pk == same.pk else 'replaced'
        code.label = environment.name
        code.is_hidden = False
    _remember(code, environment, report)
    return Registration(code, state, hidden, {} if before is None else _changes(before, environment.options))


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    names = sorted(set(before) | set(now))
    return {name: (before.get(name), now.get(name)) for name in names if before.get(name) != now.get(name)}


def shell_of(environment: Environment, report: ProbeReport) -> str:
    """Return the lines of shell before the engine in every job of a code, the first a comment with versions.

    They are part of the code's hash, so that a job is not taken from the cache of another version of what computes
    it: of the available families' packages, of torch, and of an engine that does not travel (one that does is in the
    hash itself, file by file). What the environment says of itself is reduced to characters that shell leaves alone.
    """
    packages = {family.package: family.version for family in report.families if family.available}
    packages['torch'] = report.packages.get('torch')
    known = [f'{name} {version}' for name, version in sorted(packages.items()) if version]
    engine = [] if environment.installed is None else [f'engine {report.engine_version}']
    versions = ', '.join(re.sub(r'[^A-Za-z0-9 ._+-]', '_', text) for text in [*engine, *known])
    return '\n'.join(filter(None, [f'# litraj: {versions}' if versions else '', environment.script]))


def _remember(code: AbstractCode, environment: Environment, report: ProbeReport) -> None:
    code.base.extras.set_many(
        {
            NAME: environment.name,
            COMPUTER: environment.computer,
            OPTIONS: dict(environment.options),
            PROBE_EXTRA: report.model_dump(mode='json'),
        }
    )


def _named(name: str) -> list[AbstractCode]:
    """Return the codes of the engine set up under a name, the newest first."""
    from aiida.orm import AbstractCode, QueryBuilder

    named = {'or': [{f'extras.{NAME}': name}, {'label': name}]}
    filters = {'and': [{'extras': {'has_key': PROBE_EXTRA}}, named]}
    query = QueryBuilder().append(AbstractCode, filters=filters, project='*', tag='code')
    return query.order_by({'code': {'id': 'desc'}}).all(flat=True)


def require_free(label: str, own: list[Any], other: str, computer: Computer | None = None) -> None:
    """Refuse a label that another code has than one's own, which is never given another label nor hidden.

    :param own: codes that were set up under that name.
    :param other: what to write on the command line for another name.
    :param computer: only codes there, and those of no computer, are in the way; by default all are.
    :raises SetupProblem: naming the code.
    """
    from aiida.orm import AbstractCode, QueryBuilder

    mine = {code.pk for code in own}
    # By its class alone the builder of queries finds all data of aiida-core.
    codes = {'label': label, 'node_type': {'like': 'data.core.code.%'}}
    for code in QueryBuilder().append(AbstractCode, filters=codes).all(flat=True):
        where = getattr(code, 'computer', None)
        elsewhere = computer is not None and where is not None and where.pk != computer.pk
        if code.pk not in mine and not code.is_hidden and not elsewhere:
            raise SetupProblem(
                f'the name {label!r} is taken by the code {code.full_label} (pk {code.pk}) of the plugin '
                f'{code.default_calc_job_plugin}, which stays as it is',
                f'Give another name, such as {other}',
            )


def _matches(code: AbstractCode, environment: Environment, shell: str, files: dict[str, bytes]) -> bool:
    from aiida.orm import InstalledCode, PortableCode

    if code.prepend_text != shell or code.base.extras.get(COMPUTER, None) != environment.computer:
        return False
    if isinstance(code, PortableCode):
        return environment.installed is None and digest(shipped_files(code)) == digest(files)
    return isinstance(code, InstalledCode) and str(code.filepath_executable) == environment.installed


def shipped_files(code: AbstractCode) -> dict[str, bytes]:
    """Return path and content of the files a code ships."""
    repository = code.base.repository
    return {
        str(root / name): repository.get_object_content(str(root / name), mode='rb')
        for root, _, names in repository.walk()
        for name in names
    }


def retire(code: AbstractCode, name: str) -> str:
    """Give an outdated code another label, so that the name finds one code, and hide it from lists."""
    code.label = f'{name}-old-{code.uuid[:8]}'
    code.is_hidden = True
    return str(code.label)


def _make(environment: Environment, shell: str, files: dict[str, bytes]) -> AbstractCode:
    from aiida.orm import InstalledCode, PortableCode

    common: dict[str, Any] = {
        'label': environment.name,
        'default_calc_job_plugin': 'litraj.neb',
        'prepend_text': shell,
        'with_mpi': False,
    }
    computer = find_computer(environment.computer)
    if environment.installed is not None:
        description = f'litraj-engine installed on {computer.label}'
        return InstalledCode(
            computer=computer, filepath_executable=environment.installed, description=description, **common
        ).store()
    with tempfile.TemporaryDirectory() as folder:
        write_folder(files, Path(folder))
        code = PortableCode(
            filepath_executable=EXECUTABLE,
            filepath_files=folder,
            description=f'litraj-engine shipped with each job, engine {digest(files)[:12]}',
            **common,
        )
        return code.store()
