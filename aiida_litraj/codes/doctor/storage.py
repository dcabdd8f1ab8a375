"""Can the database be read and written."""

from __future__ import annotations

import socket
import sqlite3
import warnings
from pathlib import Path
from typing import Any

from .case import Case
from .finding import Answer, broken, ok, warning

LOCK_S = 3.0
"""How long nobody may keep the file of SQLite to himself; a commit takes milliseconds."""


def check(case: Case) -> Answer:
    """Reach the server, load the profile, ask for something, and see whether SQLite can be written."""
    from aiida.common.exceptions import IncompatibleStorageSchema
    from aiida.manage.configuration import get_config

    profile = get_config().get_profile(case.profile)
    server = _server(profile.storage_config)
    if server is not None:
        problem = _unreachable(*server, case.limits.answer_s)
        if problem is not None:
            return broken(
                f'PostgreSQL at {server[0]}:{server[1]} does not answer: {problem}',
                'Start it (systemctl start postgresql), or see where the profile looks for it: verdi profile show',
            )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            _load(str(case.profile))
    except IncompatibleStorageSchema as error:
        return broken(
            f'the storage is of another version of AiiDA: {error}', 'aiida-litraj daemon stop; verdi storage migrate'
        )
    except Exception as error:
        # A storage plugin may raise anything, from OperationalError to a missing file.
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        return broken(
            f'the storage of {case.profile} does not open: {reason}',
            'If a disk is not mounted, mount it; if it was moved, say where it is: verdi profile show; verdi status',
        )
    return _of_sqlite() or ok(f'{profile.storage_backend} answers')


def _load(name: str) -> None:
    from aiida.orm import QueryBuilder, User

    from ..profile import load

    load(name)
    QueryBuilder().append(User, project='email').limit(1).all()


def _server(config: dict[str, Any]) -> tuple[str, int] | None:
    host = config.get('database_hostname')
    return None if not host or str(host).startswith('/') else (str(host), int(config.get('database_port') or 5432))


def _unreachable(host: str, port: int, seconds: float) -> str | None:
    try:
        with socket.create_connection((host, port), timeout=seconds):
            return None
    except OSError as error:
        return str(error)


def _of_sqlite() -> Answer | None:
    """Return what is to say of the file of SQLite; ``None`` of another database."""
    from aiida.manage import get_manager

    from ..write_ahead import on_network

    engine = get_manager().get_profile_storage().get_session().get_bind()
    if engine.dialect.name != 'sqlite' or not engine.url.database:
        return None
    file = Path(engine.url.database)
    connection = sqlite3.connect(file, timeout=LOCK_S)
    try:
        (mode,) = connection.execute('PRAGMA journal_mode').fetchone()
        connection.execute('BEGIN IMMEDIATE')
        connection.rollback()
    except sqlite3.OperationalError as error:
        return broken(
            f'{file} cannot be written: {error}',
            f'If it is locked, see who has it (fuser {file}); then: aiida-litraj daemon stop; aiida-litraj setup; '
            'aiida-litraj daemon start',
        )
    finally:
        connection.close()
    if on_network(file):
        return warning(
            f'{file} lies on a network file system, where SQLite may lock for ever or lose writes',
            'Move AIIDA_PATH to a local disk, or make a profile with PostgreSQL: verdi profile setup core.psql_dos',
        )
    if mode != 'wal':
        return warning(
            f'{file} has no write-ahead log: a reader can end the daemon with "database is locked"',
            'aiida-litraj daemon stop; aiida-litraj setup; aiida-litraj daemon start',
        )
    return ok(f'SQLite with a write-ahead log, {file}')
