"""Computers: this machine by default, others from a configuration file."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .asked import FIELDS as ASKED
from .environment import require_no_secret
from .fields import check_fields
from .problems import SetupProblem

if TYPE_CHECKING:
    from aiida.orm import Computer

LOCALHOST = 'localhost'
# At 0 s AiiDA asks `ps` without a pause, which takes half of a core away from the calculation; at 1 s a tenth.
POLL_SECONDS = 1.0
_FIELDS = (
    'label', 'hostname', 'description', 'transport', 'scheduler', 'work_dir', 'mpiprocs_per_machine', 'prepend_text',
    'append_text', 'shebang', 'poll_interval', 'connection', 'scratch', *ASKED,
)  # fmt: skip


def find_computer(label: str) -> Computer:
    """Return the computer with this label.

    :raises SetupProblem: if there is none, or it is not configured for the user.
    """
    from aiida.common.exceptions import NotExistent
    from aiida.orm import Computer, User, load_computer

    try:
        computer = load_computer(label)
    except NotExistent as error:
        known = ', '.join(row[0] for row in Computer.collection.list_labels()) or 'none yet'
        raise SetupProblem(
            f'there is no computer {label!r} (there are: {known})',
            'Describe it under "computers" in a file for --from, or make it with: verdi computer setup',
        ) from error
    if not computer.is_user_configured(User.collection.get_default()):
        raise SetupProblem(
            f'the computer {label!r} is not configured',
            f'Configure it: verdi computer configure {computer.transport_type} {label}',
        )
    return computer


def ensure_localhost(work_dir: str | None = None, poll_interval: float | None = None) -> tuple[Computer, bool]:
    """Return this machine as a computer and whether it was made just now: no queue, work in AiiDA's own folder."""
    from aiida.manage.configuration import get_config, get_profile
    from aiida.orm import Computer

    if [LOCALHOST] in [list(row) for row in Computer.collection.list_labels()]:
        computer = find_computer(LOCALHOST)
        if poll_interval is not None:
            computer.set_minimum_job_poll_interval(poll_interval)
        return computer, False
    profile = get_profile()
    folder = Path(get_config().dirpath) / 'scratch' / (profile.name if profile else 'default')
    entry = {
        'label': LOCALHOST,
        'hostname': 'localhost',
        'description': 'This machine',
        'work_dir': work_dir or str(folder),
        'poll_interval': POLL_SECONDS if poll_interval is None else poll_interval,
    }
    return ensure_computer(entry)


def ensure_computer(entry: Mapping[str, Any]) -> tuple[Computer, bool]:
    """Return the computer of an entry under ``computers`` of a configuration file, and whether it was made just now.

    One that exists with this label is returned as it is, because jobs of the past ran there as it was; only how to
    connect to it and how often to look at jobs is set, if the entry says so. :func:`differences` has the rest.

    :raises SetupProblem: if a field is missing, unknown, or AiiDA refuses it.
    """
    from aiida.common.exceptions import AiidaException, NotExistent
    from aiida.orm import Computer, load_computer

    check_computer(entry)
    label, transport = entry['label'], entry.get('transport', 'core.local')
    try:
        existing = load_computer(str(label))
    except NotExistent:
        pass
    else:
        _configure(existing, entry)
        if entry.get('poll_interval') is not None:  # how often one looks at jobs says nothing of how they ran
            existing.set_minimum_job_poll_interval(float(entry['poll_interval']))
        return existing, False
    try:
        computer = Computer(
            label=str(label),
            hostname=str(entry.get('hostname', 'localhost')),
            description=str(entry.get('description', '')),
            transport_type=str(transport),
            scheduler_type=str(entry.get('scheduler', 'core.direct')),
            workdir=work_dir_of(entry),
        )
        computer.set_default_mpiprocs_per_machine(entry.get('mpiprocs_per_machine') or 1)
        computer.set_prepend_text(str(entry.get('prepend_text') or ''))
        computer.set_append_text(str(entry.get('append_text') or ''))
        if entry.get('shebang'):
            computer.set_shebang(str(entry['shebang']))
        computer.store()
        usual = POLL_SECONDS if transport == 'core.local' else 10.0
        asked = entry.get('poll_interval')
        computer.set_minimum_job_poll_interval(float(usual if asked is None else asked))
    except (AiidaException, ValueError, TypeError) as error:
        raise SetupProblem(f'the computer {label!r} cannot be made: {error}', 'Correct its entry.') from error
    try:
        _configure(computer, entry)
    except SetupProblem:
        Computer.collection.delete(computer.pk)  # no job can have run there, and half a computer stands in the way
        raise
    return computer, True


def check_computer(entry: Mapping[str, Any]) -> None:
    """Refuse an entry under ``computers`` that AiiDA could make no computer of.

    :raises SetupProblem: naming what is missing or not known, or looks like a secret.
    """
    from aiida.plugins.entry_point import get_entry_point_names

    label = entry.get('label')
    check_fields(entry, _FIELDS, 'a computer', f'the computer {label!r}')
    if not label:
        raise SetupProblem('a computer has no label', 'Give each entry under "computers" a "label".')
    require_no_secret(entry, f'the computer {label!r}')
    transport = entry.get('transport', 'core.local')
    if transport != 'core.local' and not entry.get('hostname'):
        raise SetupProblem(f'the computer {label!r} has no hostname', 'Give the name you use with ssh.')
    for kind, plugin in (('transport', transport), ('scheduler', entry.get('scheduler', 'core.direct'))):
        known = get_entry_point_names(f'aiida.{kind}s')
        if plugin not in known:
            raise SetupProblem(
                f'the {kind} {plugin!r} of the computer {label!r} is not known', f'There are: {", ".join(known)}.'
            )
    _check_number(entry, 'poll_interval', float, 'seconds between two looks at the queue, like 30', 0)
    _check_number(entry, 'mpiprocs_per_machine', int, 'a number of processes, like 4', 1)
    if 'scratch' in entry and 'work_dir' in entry:
        raise SetupProblem(
            f'the computer {label!r} has a scratch ({entry["scratch"]}) and a work_dir ({entry["work_dir"]})',
            'Jobs run in a folder aiida of the scratch, or in the work_dir: leave one of them out.',
        )
    if not work_dir_of(entry).startswith('/'):
        raise SetupProblem(
            f'the {"scratch" if "scratch" in entry else "work_dir"} of the computer {label!r} is a relative path, '
            f'{work_dir_of(entry)!r}',
            'Give an absolute one; {username} in it stands for your name on that computer.',
        )


def _check_number(entry: Mapping[str, Any], field: str, kind: type, wanted: str, least: float) -> None:
    value = entry.get(field)
    if value is None:
        return
    known = (int, float) if kind is float else (int,)
    if isinstance(value, bool) or not isinstance(value, known) or not least <= value < math.inf:
        raise SetupProblem(f'{field} of the computer {entry["label"]!r} is {value!r}', f'Write {wanted}.')


def work_dir_of(entry: Mapping[str, Any]) -> str:
    """Return where the jobs of a computer run: its ``work_dir``, or a folder of its ``scratch``."""
    if entry.get('scratch'):
        return f'{str(entry["scratch"]).rstrip("/")}/aiida'
    return str(entry.get('work_dir', '/scratch/{username}/aiida'))


def differences(computer: Computer, entry: Mapping[str, Any]) -> list[str]:
    """Return what an entry says otherwise than the computer of that label has it, a sentence for each."""
    asked = {
        'hostname': (computer.hostname, entry.get('hostname')),
        'transport': (computer.transport_type, entry.get('transport')),
        'scheduler': (computer.scheduler_type, entry.get('scheduler')),
        'work_dir': (computer.get_workdir(), work_dir_of(entry) if {'scratch', 'work_dir'} & set(entry) else None),
        'mpiprocs_per_machine': (computer.get_default_mpiprocs_per_machine(), entry.get('mpiprocs_per_machine')),
        'prepend_text': (computer.get_prepend_text(), entry.get('prepend_text')),
        'append_text': (computer.get_append_text(), entry.get('append_text')),
        'shebang': (computer.get_shebang(), entry.get('shebang')),
    }
    return [
        f'{field} is {there!r}, the file says {wanted!r}'
        for field, (there, wanted) in asked.items()
        if wanted is not None and wanted != there
    ]


def correct_unused(entry: Mapping[str, Any]) -> list[str]:
    """Change a computer on which no job has run to what an entry says; return what was changed, a sentence for each.

    A name that was mistyped would otherwise stay with the label. Where jobs ran, or there is no such computer yet,
    nothing is changed.

    :raises SetupProblem: if AiiDA refuses a value.
    """
    from aiida.common.exceptions import AiidaException, NotExistent
    from aiida.orm import AuthInfo, User, load_computer

    try:
        computer = load_computer(str(entry['label']))
    except NotExistent:
        return []
    changes = differences(computer, entry)
    if not changes or was_used(computer):
        return []
    before, transport, user = computer.hostname, computer.transport_type, User.collection.get_default()
    connection = computer.get_configuration(user)
    try:
        for field, value in entry.items():
            if field in _SETTERS and value is not None:
                _SETTERS[field](computer, value)
        if {'scratch', 'work_dir'} & set(entry):
            computer.set_workdir(work_dir_of(entry))
        computer.store()
    except (AiidaException, ValueError, TypeError) as error:
        raise SetupProblem(
            f'the computer {computer.label!r} cannot be changed: {error}', 'Correct its entry.'
        ) from error
    if computer.is_user_configured(user) and computer.transport_type != transport:
        AuthInfo.collection.delete(computer.get_authinfo(user).pk)  # says how to connect by the other one
        _configure(computer, entry)
    elif connection.get('host') == before != computer.hostname:
        computer.configure(host=computer.hostname)
    return changes


def was_used(computer: Computer) -> bool:
    """Return whether anything is known of a computer but its codes: a job has run there, or files are there."""
    from aiida.orm import Computer, Node, QueryBuilder

    query = QueryBuilder().append(Computer, filters={'id': computer.pk}, tag='computer')
    # By its class alone the builder of queries finds codes among all data.
    query.append(Node, with_computer='computer', filters={'node_type': {'!like': 'data.core.code.%'}})
    return bool(query.limit(1).count())


_SETTERS: dict[str, Callable[[Any, Any], None]] = {
    'hostname': lambda computer, value: setattr(computer, 'hostname', str(value)),
    'transport': lambda computer, value: setattr(computer, 'transport_type', str(value)),
    'scheduler': lambda computer, value: setattr(computer, 'scheduler_type', str(value)),
    'mpiprocs_per_machine': lambda computer, value: computer.set_default_mpiprocs_per_machine(value),
    'prepend_text': lambda computer, value: computer.set_prepend_text(str(value)),
    'append_text': lambda computer, value: computer.set_append_text(str(value)),
    'shebang': lambda computer, value: computer.set_shebang(str(value)),
}


def _configure(computer: Computer, entry: Mapping[str, Any]) -> None:
    """Set how to connect to the computer, if the entry says so or it was never set."""
    from aiida.common.exceptions import AiidaException
    from aiida.orm import User

    connection = dict(entry.get('connection') or {})
    if not connection and computer.is_user_configured(User.collection.get_default()):
        return
    if computer.transport_type == 'core.local':
        connection.setdefault('safe_interval', 0)
    elif computer.transport_type == 'core.ssh_async':
        connection.setdefault('host', computer.hostname)
    try:
        computer.configure(**connection)
    except (AiidaException, ValueError, TypeError) as error:
        raise SetupProblem(
            f'the connection of the computer {computer.label!r} cannot be set: {error}', 'Correct its "connection".'
        ) from error
