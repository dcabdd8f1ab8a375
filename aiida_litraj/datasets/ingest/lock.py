"""One import at a time in a profile, and order after one that was killed."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from disk_objectstore import Container

LOCK = 'litraj-import.lock'
_BUSY = b'busy'


@contextmanager
def only_import(container: Container) -> Iterator[None]:
    """Hold the profile's repository for this import, or for the deletion of what imports have made.

    The system lets go of the lock when the process ends, however it ends. A pack's own lock file does not go away with
    a killed process, and would keep everybody from packing; if the last import died, it is removed here.

    :raises RuntimeError: if another import or deletion is under way.
    """
    folder = Path(container.get_folder())
    with (folder.parent / LOCK).open('a+b') as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise RuntimeError(
                'another import into this profile is under way, or the deletion of a set; wait for it, then try again'
            ) from error
        handle.seek(0)
        if handle.read().startswith(_BUSY):
            for stale in (folder / 'packs').glob('*.lock'):
                stale.unlink(missing_ok=True)
        _write(handle.fileno(), _BUSY + b' %d' % os.getpid())
        try:
            yield
        finally:  # what Python sees has let go of its packs itself; the mark is for what it does not
            _write(handle.fileno(), b'')


def _write(descriptor: int, content: bytes) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, content, 0)
    os.fsync(descriptor)
