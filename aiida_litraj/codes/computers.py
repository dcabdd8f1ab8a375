"""Computers: this machine by default, others from a configuration file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .environment import require_no_secret
from .problems import SetupProblem

if TYPE_CHECKING:
    from aiida.orm import Computer

LOCALHOST = 'localhost'
# At 0 s AiiDA asks `ps` without a pause, which takes half of a core away from the calculation; at 1 s a tenth.
POLL_SECONDS = 1.0
_FIELDS = (
    'label', 'hostname', 'description', 'transport', 'scheduler', 'work_dir', 'mpiprocs_per_machine', 'prepend_text',
    'append_text', 'shebang', 'poll_interval', 'connection',
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
            'Describe it under "computers" in a file for --config, or make it with: verdi computer setup',
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

    One that exists with this label is returned as it is: jobs of the past ran there as it was.

    :raises SetupProblem: if a field is missing, unknown, or AiiDA refuses it.
    """
    from aiida.common.exceptions import AiidaException, NotExistent
    from aiida.orm import Computer, load_computer
    from aiida.plugins.entry_point import get_entry_point_names

    unknown = sorted(set(entry) - set(_FIELDS))
    if unknown:
        raise SetupProblem(
            f'a computer has no field {unknown[0]!r} (in the computer {entry.get("label")!r})',
            f'The fields are {", ".join(_FIELDS)}.',
        )
    label = entry.get('label')
    if not label:
        raise SetupProblem('a computer has no label', 'Give each entry under "computers" a "label".')
    require_no_secret(entry, f'the computer {label!r}')
    try:
        existing = load_computer(str(label))
    except NotExistent:
        pass
    else:
        _configure(existing, entry)
        return existing, False
    transport = entry.get('transport', 'core.local')
    if transport != 'core.local' and not entry.get('hostname'):
        raise SetupProblem(f'the computer {label!r} has no hostname', 'Give the name you use with ssh.')
    for kind, plugin in (('transport', transport), ('scheduler', entry.get('scheduler', 'core.direct'))):
        known = get_entry_point_names(f'aiida.{kind}s')
        if plugin not in known:
            raise SetupProblem(
                f'the {kind} {plugin!r} of the computer {label!r} is not known', f'There are: {", ".join(known)}.'
            )
    try:
        computer = Computer(
            label=str(label),
            hostname=str(entry.get('hostname', 'localhost')),
            description=str(entry.get('description', '')),
            transport_type=str(transport),
            scheduler_type=str(entry.get('scheduler', 'core.direct')),
            workdir=str(entry.get('work_dir', '/scratch/{username}/aiida')),
        )
        computer.set_default_mpiprocs_per_machine(int(entry.get('mpiprocs_per_machine', 1)))
        computer.set_prepend_text(str(entry.get('prepend_text') or ''))
        computer.set_append_text(str(entry.get('append_text') or ''))
        if entry.get('shebang'):
            computer.set_shebang(str(entry['shebang']))
        computer.store()
        local = transport == 'core.local'
        computer.set_minimum_job_poll_interval(float(entry.get('poll_interval', POLL_SECONDS if local else 10.0)))
    except (AiidaException, ValueError, TypeError) as error:
        raise SetupProblem(f'the computer {label!r} cannot be made: {error}', 'Correct its entry.') from error
    _configure(computer, entry)
    return computer, True


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
