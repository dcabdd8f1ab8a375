"""Whether a file is whole and what it is called: its first bytes, its checksum, and those that a zip has inside."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

BLOCK = 1 << 20
_HEAD = 512
_PAGE = (b'<!doctype html', b'<html')
_ZIP = b'PK\x03\x04'
_PACKED = {b'\x1f\x8b': 'gzip', b'BZh': 'bzip2', b'\xfd7zXZ': 'xz', b'7z\xbc\xaf': '7z', b'(\xb5/\xfd': 'zstd'}


def content_problem(path: Path, suffix: str | None = None) -> str | None:
    """Return why a file is not what its name says, or None; looks at its ends only.

    Told are what downloads end in: a web page, a zip that is cut off or is none.

    :param suffix: ending of the name that the file is to have, its own if not given.
    """
    ending = (path.suffix if suffix is None else suffix).lower()
    size = path.stat().st_size
    with path.open('rb') as file:
        head = file.read(_HEAD)
    if ending not in ('.html', '.htm') and head.lstrip(b'\xef\xbb\xbf \t\r\n').lower().startswith(_PAGE):
        return f'it is a web page, not the file that was asked for (it begins with {head.lstrip()[:40]!r})'
    if ending != '.zip' and not head.startswith(_ZIP):
        return None
    if not size:
        return 'it is empty'
    if zipfile.is_zipfile(path):
        return None
    if head.startswith(_ZIP):
        return f'it is a zip that is cut off: its {size:,} bytes lack the list of members at the end'
    kind = next((name for magic, name in _PACKED.items() if head.startswith(magic)), None)
    return f'it is no zip but {kind}' if kind else f'it is no zip (it begins with {head[:20]!r})'


def file_sha256(path: Path, progress: Callable[[int], None] | None = None) -> str:
    """Return the sha256 of a file, read block by block; ``progress`` is told the bytes read."""
    digest, done = hashlib.sha256(), 0
    with path.open('rb') as file:
        while block := file.read(BLOCK):
            digest.update(block)
            done += len(block)
            if progress is not None:
                progress(done)
    return digest.hexdigest()


def zip_problem(path: Path, progress: Callable[[int], None] | None = None) -> str | None:
    """Return what is wrong with a zip, reading every member, or None; ``progress`` is told the packed bytes read."""
    try:
        with zipfile.ZipFile(path) as archive:
            done = 0
            for member in archive.infolist():
                if (problem := _member_problem(archive, member)) is not None:
                    return f'its member {member.filename} is damaged: {problem}'
                done += member.compress_size
                if progress is not None:
                    progress(done)
    except zipfile.BadZipFile as error:
        return content_problem(path, '.zip') or f'the list of its members is damaged: {error}'
    return None


def _member_problem(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> str | None:
    try:
        with archive.open(member) as stream:
            while stream.read(BLOCK):
                pass
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError) as error:
        return str(error)
    return None
