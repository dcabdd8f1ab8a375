"""A profile on SQLite waits for another process that writes, and not for one that reads."""

from __future__ import annotations

import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

from aiida.manage import get_manager
from aiida.orm import Int
from sqlalchemy import text

from aiida_litraj.codes.profile import LOCK_MILLISECONDS, wait_for_locks
from aiida_litraj.codes.write_ahead import on_network, write_ahead

BY_ITSELF_S = 5.0
"""After which Python's SQLite gives up."""


def test_a_write_waits_for_one_that_takes_long(aiida_profile_clean: Any) -> None:
    session = get_manager().get_profile_storage().get_session()
    if session.get_bind().dialect.name != 'sqlite':
        return
    wait_for_locks()
    wait_for_locks()  # twice is as once
    assert session.execute(text('PRAGMA busy_timeout')).scalar() == LOCK_MILLISECONDS
    Int(1).store()
    file = Path(session.get_bind().url.database)
    held = threading.Event()

    def write() -> None:
        other = sqlite3.connect(file, isolation_level=None)
        other.execute('BEGIN EXCLUSIVE')
        held.set()
        time.sleep(BY_ITSELF_S + 1.0)
        other.execute('COMMIT')
        other.close()

    thread = threading.Thread(target=write)
    thread.start()
    assert held.wait(10.0)
    assert Int(2).store().is_stored
    thread.join()


def test_a_write_does_not_wait_for_one_that_reads(aiida_profile_clean: Any) -> None:
    """Who reads for long keeps the commit of another from its lock, unless there is a write-ahead log."""
    session = get_manager().get_profile_storage().get_session()
    if session.get_bind().dialect.name != 'sqlite':
        assert write_ahead() is None
        return
    Int(1).store()
    other = sqlite3.connect(session.get_bind().url.database, timeout=0.1)
    assert write_ahead() is True
    reading = other.execute('SELECT id FROM db_dbuser UNION ALL SELECT id FROM db_dbnode')
    before = reading.fetchone()
    session.execute(text('PRAGMA busy_timeout = 100'))
    assert Int(2).store().is_stored
    assert write_ahead() is True
    assert before is not None and len(reading.fetchall()) == 1, 'the reader sees what was there when it began'
    other.close()


def test_not_on_a_network(tmp_path: Path) -> None:
    mounts = tmp_path / 'mounts'
    mounts.write_text(f'disk / ext4 rw 0 0\nserver:/home {tmp_path}/my\\040home nfs4 rw 0 0\n')
    assert on_network(tmp_path / 'my home' / 'database.sqlite', mounts)
    assert not on_network(tmp_path / 'database.sqlite', mounts)
    assert not on_network(tmp_path / 'my home' / 'database.sqlite', tmp_path / 'none')
