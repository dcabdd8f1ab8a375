"""Damage to the folder of a job, and what a parser has made of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from aiida_litraj.contract import files, pack_arrays, unpack_arrays
from aiida_litraj.data import PathData
from tests.fixtures.nodes import surface_path

TWO = {'first': surface_path, 'second': lambda: surface_path((-0.9, 0.0, 0.1), (0.8, 0.3, 0.0))}
KILLED = 'Killed'


class Parsed(NamedTuple):
    status: int | None
    message: str | None
    results: dict[str, Any] | None
    nodes: dict[str, Any]

    @property
    def paths(self) -> dict[str, PathData]:
        return self.nodes


def edit(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    content = json.loads((folder / files.RESULT).read_text())
    change(content)
    (folder / files.RESULT).write_text(json.dumps(content))


def edit_arrays(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    arrays = dict(unpack_arrays(folder / files.RESULT_ARRAYS))
    change(arrays)
    (folder / files.RESULT_ARRAYS).write_bytes(pack_arrays(arrays))


def lose_result(folder: Path, stderr: str = KILLED) -> None:
    """Leave what a kill -9 leaves: no result, but what was finished."""
    (folder / files.RESULT).unlink()
    (folder / files.RESULT_ARRAYS).unlink()
    (folder / files.STDERR).write_text(stderr)


def label_of(parsed: Parsed) -> str:
    assert parsed.results is not None
    return str(parsed.results['exit']['label'])
