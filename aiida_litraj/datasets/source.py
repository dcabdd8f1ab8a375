"""Where a data set is read from: a zip as it was downloaded, its unpacked folder, or plain files."""

from __future__ import annotations

import hashlib
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, TypedDict, cast

from .intact import content_problem

BLOCK = 1 << 20
REMEDY = (
    'Remove it and fetch it again: aiida-litraj dataset fetch goes on where a download broke off and checks what comes'
)
_ARCHIVES = ('.tar', '.tgz', '.tar.gz', '.tar.bz2', '.tar.xz', '.tar.zst', '.7z', '.rar')
Progress = Callable[[int, int], None]
"""Called with the number of bytes done and of all bytes."""


class FileRecord(TypedDict):
    """What identifies a source file for good."""

    name: str
    size: int
    sha256: str


class Source(ABC):
    """Files of a data set by name, whatever they are kept in.

    A zip of one folder, that folder, and a folder above nothing else look the same: names are relative to the folder.
    """

    kind: str
    path: Path
    """The zip, the folder, or the folder of the first of several files."""
    members: Mapping[str, int]
    """Sizes in bytes by name, in the order of the names."""

    @staticmethod
    def open(path: str | Path | Sequence[str | Path]) -> Source:
        """Return the source at ``path``.

        :raises FileNotFoundError: naming what is not there.
        :raises ValueError: if there is no file in it, two files share a name, a zip is damaged or a file is a web page.
        """
        paths = [Path(path)] if isinstance(path, str | Path) else [Path(one) for one in path]
        for one in paths:
            if not one.exists():
                raise FileNotFoundError(f'{one} does not exist')
            if one.is_file() and (problem := content_problem(one)) is not None:
                raise ValueError(f'{one}: {problem}. {REMEDY}')
            if one.is_file() and one.name.lower().endswith(_ARCHIVES):
                raise ValueError(f'{one} is an archive, but no zip: unpack it and give the folder')
        source: Source
        if len(paths) == 1 and paths[0].is_dir():
            source = FolderSource(paths[0])
        elif len(paths) == 1 and zipfile.is_zipfile(paths[0]):
            source = ZipSource(paths[0])
        else:
            if zips := [one for one in paths if one.is_file() and zipfile.is_zipfile(one)]:
                raise ValueError(f'{zips[0]} is one of {len(paths)} sources: give one zip at a time, or unpack them')
            source = FileSource(paths)
        if not source.members:
            raise ValueError(f'{paths[0] if paths else "no path"} holds no file')
        return source

    @property
    def name(self) -> str:
        return self.path.resolve().name

    @property
    def size(self) -> int:
        """Sum of the members' sizes in bytes, unpacked."""
        return sum(self.members.values())

    @abstractmethod
    def stream(self, member: str, offset: int = 0) -> BinaryIO:
        """Return a member opened for reading at ``offset`` bytes; in a zip what comes before is read and dropped.

        :raises KeyError: if there is no such member.
        """

    @abstractmethod
    def manifest(self, progress: Progress | None = None) -> list[FileRecord]:
        """Return name, size and sha256 of what the source consists of on disk: of the zip itself, or of each file."""

    def read(self, member: str) -> bytes:
        """Return the whole content of a member."""
        with self.stream(member) as stream:
            return stream.read()

    def find(self, ending: str) -> list[str]:
        """Return the members whose name ends so, in order."""
        return [name for name in self.members if name.endswith(ending)]

    def close(self) -> None:  # noqa: B027 - most have nothing to let go of
        """Let go of what is open."""

    def __enter__(self) -> Source:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class FileSource(Source):
    """One or more files, each under its own name."""

    kind = 'files'

    _others = 0
    _first = ''

    def __init__(self, paths: Sequence[Path]) -> None:
        self.path = paths[0] if len(paths) == 1 else paths[0].parent
        self._others = len(paths) - 1
        self._first = paths[0].name
        self._files: dict[str, Path] = {}
        for path in paths:
            if path.is_dir():
                raise ValueError(f'{path} is a folder; give one folder, one zip, or files')
            if path.name in self._files:
                raise ValueError(f'{path} and {self._files[path.name]} share a name')
            self._files[path.name] = path
        self.members = {name: path.stat().st_size for name, path in self._files.items()}

    @property
    def name(self) -> str:
        return self.path.resolve().name if not self._others else f'{self._first} and {self._others} more'

    def stream(self, member: str, offset: int = 0) -> BinaryIO:
        stream = self._files[member].open('rb')
        stream.seek(offset)
        return stream

    def manifest(self, progress: Progress | None = None) -> list[FileRecord]:
        tick = _Tick(self.size, progress)
        return [
            FileRecord(name=name, size=path.stat().st_size, sha256=_sha256(path, tick))
            for name, path in self._files.items()
        ]


class FolderSource(FileSource):
    """A folder with everything below it; members are relative paths with slashes."""

    kind = 'folder'

    def __init__(self, folder: Path) -> None:
        found = sorted(path for path in folder.rglob('*') if path.is_file())
        names = {path.relative_to(folder).as_posix(): path for path in found}
        root = _only_folder([name for name in names if _wanted(name)])
        self.path = folder
        self._files = {name[len(root) :]: path for name, path in names.items() if _wanted(name)}
        self.members = {name: path.stat().st_size for name, path in self._files.items()}


class ZipSource(Source):
    """A zip read in place: nothing is unpacked to disk, and members are streamed."""

    kind = 'zip'

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._zip = zipfile.ZipFile(path)
        except zipfile.BadZipFile as error:
            raise ValueError(f'{path} is damaged: {error}') from error
        infos = [info for info in self._zip.infolist() if not info.is_dir() and _wanted(info.filename)]
        root = _only_folder([info.filename for info in infos])
        self._infos = {info.filename[len(root) :]: info for info in sorted(infos, key=lambda info: info.filename)}
        self.members = {name: info.file_size for name, info in self._infos.items()}

    def stream(self, member: str, offset: int = 0) -> BinaryIO:
        stream = self._zip.open(self._infos[member])
        left = offset
        while left > 0:
            dropped = len(stream.read(min(left, BLOCK)))
            if not dropped:
                break
            left -= dropped
        return cast(BinaryIO, stream)

    def manifest(self, progress: Progress | None = None) -> list[FileRecord]:
        size = self.path.stat().st_size
        return [FileRecord(name=self.path.name, size=size, sha256=_sha256(self.path, _Tick(size, progress)))]

    def close(self) -> None:
        self._zip.close()


def set_of(source: Source, names: Iterable[str]) -> str | None:
    """Return which of these sets a zip or folder is by the names of its files and its folder, None if it does not say.

    The publisher's files are called ``<set>_index.csv``, ``<set>_train.xyz`` and the like.
    """
    if source.kind == 'files':
        return None
    files = [name.rpartition('/')[2].lower().replace('mplitraj', 'mplitrj') for name in source.members]
    kinds = ('_index.csv', '_centroids.xyz', '_train.xyz', '_val.xyz', '_test.xyz')
    found = {name for name in names if any(f'{name.lower()}{kind}' in files for kind in kinds)}
    return found.pop() if len(found) == 1 else None


class _Tick:
    """Adds up bytes and tells a progress callback."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self.done, self.total, self.progress = 0, total, progress

    def add(self, n_bytes: int) -> None:
        self.done += n_bytes
        if self.progress is not None:
            self.progress(self.done, self.total)


def _sha256(path: Path, tick: _Tick) -> str:
    digest = hashlib.sha256()
    with path.open('rb') as stream:
        while block := stream.read(BLOCK):
            digest.update(block)
            tick.add(len(block))
    return digest.hexdigest()


def _wanted(name: str) -> bool:
    """Return false for what operating systems leave in folders and archives."""
    return not any(piece == '__MACOSX' or piece.startswith('.') for piece in name.split('/'))


def _only_folder(names: Sequence[str]) -> str:
    """Return the one folder that everything lies in, with a slash, or nothing."""
    tops = {name.split('/', 1)[0] for name in names}
    return f'{tops.pop()}/' if len(tops) == 1 and all('/' in name for name in names) else ''
