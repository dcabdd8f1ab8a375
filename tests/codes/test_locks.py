"""A profile on SQLite waits for another process that writes, longer than SQLite would by itself."""

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
