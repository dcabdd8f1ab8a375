"""The engine as it travels: an archive of the contract and engine, and a launcher, with the same bytes every time.

One archive instead of 120 files: AiiDA hashes every file of a code for every process that has the code as an input, in
turn, and copies every file to the computer with every job.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

EXECUTABLE = 'litraj-engine'
"""Name of the launcher in the bundle; a code runs it as ``./litraj-engine``."""
ARCHIVE = 'aiida_litraj.zip'
"""Name of the engine in the bundle; Python imports from it as from a folder."""
PACKAGE = 'aiida_litraj'
_LAUNCHER = Path('engine', 'launcher.sh')


def engine_files(package: Path | None = None) -> dict[str, bytes]:
    """Return the files of the bundle by name: the launcher, and the archive that it starts.

    :raises FileNotFoundError: if the launcher is not in the package.
    """
    sources = engine_sources(package)
    launcher = sources.pop(f'{PACKAGE}/{_LAUNCHER.as_posix()}', b'')
    if not launcher:
        raise FileNotFoundError(f'the package has no {_LAUNCHER}: install aiida-litraj again')
    return {ARCHIVE: _zip(sources), EXECUTABLE: launcher}


def engine_sources(package: Path | None = None) -> dict[str, bytes]:
    """Return path and content of every file of the engine, sorted by path.

    These are the version, ``contract`` and ``engine`` of ``package`` (this package by default), without anything
    that the interpreter leaves behind, so that the same engine always gives the same bundle.
    """
    root = Path(__file__).resolve().parents[1] if package is None else package
    sources = [root / '__init__.py']
    for room in ('contract', 'engine'):
        sources += [path for path in (root / room).rglob('*') if path.is_file() and not _left_behind(path, root)]
    return {f'{PACKAGE}/{path.relative_to(root).as_posix()}': path.read_bytes() for path in sorted(sources)}


def _zip(files: Mapping[str, bytes]) -> bytes:
    # Not compressed, without times: what deflate makes of the same bytes depends on the version of zlib.
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, 'w', zipfile.ZIP_STORED) as archive:
        for path, content in sorted(files.items()):
            member = zipfile.ZipInfo(path)
            member.create_system = 3
            member.external_attr = 0o644 << 16
            archive.writestr(member, content)
    return stream.getvalue()


def _left_behind(path: Path, root: Path) -> bool:
    parts = path.relative_to(root).parts
    return '__pycache__' in parts or path.suffix == '.pyc' or any(part.startswith('.') for part in parts)


def digest(files: Mapping[str, bytes]) -> str:
    """Return the sha256 over paths and contents, in hexadecimal digits."""
    total = hashlib.sha256()
    for path, content in sorted(files.items()):
        total.update(f'{path}\0{len(content)}\0'.encode())
        total.update(content)
    return total.hexdigest()


def write_folder(files: Mapping[str, bytes], folder: Path) -> None:
    """Write the files under ``folder``, the launcher executable."""
    for path, content in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    if (folder / EXECUTABLE).exists():
        (folder / EXECUTABLE).chmod(0o755)


def pack_archive(files: Mapping[str, bytes]) -> bytes:
    """Return a tar file of the files, without times and owners: one upload."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode='w', format=tarfile.USTAR_FORMAT) as archive:
        for path, content in sorted(files.items()):
            member = tarfile.TarInfo(path)
            member.size = len(content)
            member.mode = 0o755 if path == EXECUTABLE else 0o644
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()
