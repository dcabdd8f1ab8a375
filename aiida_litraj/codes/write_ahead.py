"""SQLite with a write-ahead log, so that who reads does not stand in the way of who writes.

By itself SQLite can write only while nobody reads, and gives up after five seconds. A daemon's worker whose commit was
given up cannot go on in aiida-core 2.9: its session stays "prepared", its lock stays, and everybody else waits for
ever. On a busy machine a look at the status of a process is enough for that. With a write-ahead log
(https://www.sqlite.org/wal.html) readers and the writer do not meet. It is kept in the file, for all programs that
open it later.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from aiida.manage import get_manager

NETWORK = ('nfs', 'cifs', 'smb', 'lustre', 'gpfs', 'beegfs', 'ceph', 'afs', 'glusterfs', 'fuse.', '9p', 'panfs')
"""How file systems are called on which processes may not share the memory that a write-ahead log needs."""
MOUNTS = Path('/proc/self/mounts')
WAIT_SECONDS = 10.0


def write_ahead(mounts: Path = MOUNTS) -> bool | None:
    """Give the database of the loaded profile a write-ahead log; return whether it has one, ``None`` if it needs none.

    A database on a network file system is left as it is, and so is one that another process is using just now.
    """
    engine = get_manager().get_profile_storage().get_session().get_bind()
    file = engine.url.database
    if engine.dialect.name != 'sqlite' or not file or not Path(file).is_file():
        return None
    connection = sqlite3.connect(file, timeout=WAIT_SECONDS)
    try:
        (mode,) = connection.execute('PRAGMA journal_mode').fetchone()
        if mode != 'wal' and not on_network(Path(file), mounts):
            (mode,) = connection.execute('PRAGMA journal_mode = WAL').fetchone()
    except sqlite3.OperationalError:  # locked
        return False
    finally:
        connection.close()
    return bool(mode == 'wal')


def on_network(path: Path, mounts: Path = MOUNTS) -> bool:
    """Return whether a file lies on a network file system, as far as the system tells (Linux does)."""
    if not mounts.exists():
        return False
    kinds = {}
    for line in mounts.read_text(encoding='utf-8', errors='replace').splitlines():
        _, place, kind, *_ = line.split(' ')
        kinds[Path(place.replace('\\040', ' '))] = kind
    for place in path.resolve().parents:
        if place in kinds:
            return kinds[place].startswith(NETWORK)
    return False
