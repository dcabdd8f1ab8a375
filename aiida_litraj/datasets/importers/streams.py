"""Files that are written in any order, however many they are, with a bounded number of them open."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import BinaryIO

MOST_OPEN = 64
"""Systems allow a process 256 to 1,024 files, of which others are in use."""


class Streams:
    """Files below a folder, each begun anew when it is first written to."""

    def __init__(self, top: Path) -> None:
        self._top = top
        self._open: OrderedDict[str, BinaryIO] = OrderedDict()
        self._begun: set[str] = set()

    def write(self, name: str, content: bytes) -> None:
        """Add to the end of a file, by its path relative to the folder; folders between are made."""
        if name in self._open:
            self._open.move_to_end(name)
        else:
            if len(self._open) >= MOST_OPEN:
                self._open.popitem(last=False)[1].close()
            path = below(self._top, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            self._open[name] = path.open('ab' if name in self._begun else 'wb')
            self._begun.add(name)
        self._open[name].write(content)

    def close(self) -> None:
        while self._open:
            self._open.popitem()[1].close()

    def __enter__(self) -> Streams:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def below(top: Path, name: str) -> Path:
    """Return the path of a file that lies below a folder, whatever a stranger has called it."""
    return top.joinpath(*(piece for piece in PurePosixPath(name).parts if piece not in ('/', '..')))
