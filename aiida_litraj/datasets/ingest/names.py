"""Names of files as a database takes them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from ..source import FileRecord, Progress, Source

_NOT_TAKEN = re.compile('[\0\ud800-\udfff]')


def printable(text: str) -> str:
    """Return a text without NUL, which PostgreSQL does not take, and without surrogates, which cannot be encoded.

    Python has the latter for bytes of a file's name that are no UTF-8. They become a backslash, x and two digits, so
    that two names that differ still do.
    """
    return _NOT_TAKEN.sub(_written, text)


def _written(found: re.Match[str]) -> str:
    code = ord(found[0])
    if not code:
        return '\N{REPLACEMENT CHARACTER}'
    return f'\\x{code - 0xDC00:02x}' if 0xDC80 <= code <= 0xDCFF else f'\\u{code:04x}'


class NamedSource(Source):
    """A source whose members are called as they can be stored; they are opened by the names that they have on disk."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._names = {printable(name): name for name in source.members}
        if len(self._names) < len(source.members):
            raise ValueError(f'{source.path} has two files that cannot be told apart by name: rename one')
        self.kind, self.path = source.kind, source.path
        self.members = {name: source.members[true] for name, true in self._names.items()}

    @staticmethod
    def open(path: str | Path | Sequence[str | Path]) -> Source:
        """Return the source at ``path``, see ``Source.open``."""
        return NamedSource(Source.open(path))

    @property
    def name(self) -> str:
        return printable(self._source.name)

    def stream(self, member: str, offset: int = 0) -> BinaryIO:
        return self._source.stream(self._names[member], offset)

    def manifest(self, progress: Progress | None = None) -> list[FileRecord]:
        files = self._source.manifest(progress)
        return [FileRecord(name=printable(one['name']), size=one['size'], sha256=one['sha256']) for one in files]

    def close(self) -> None:
        self._source.close()
