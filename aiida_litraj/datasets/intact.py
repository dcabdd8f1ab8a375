"""Whether a file is whole: its checksum, and those that a zip has of its members."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

BLOCK = 1 << 20


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
    except zipfile.BadZipFile:
        with path.open('rb') as file:
            head = file.read(20)
        return f'it is no zip or is cut off (it begins with {head!r})'
    return None


def _member_problem(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> str | None:
    try:
        with archive.open(member) as stream:
            while stream.read(BLOCK):
                pass
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError) as error:
        return str(error)
    return None
