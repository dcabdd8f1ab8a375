"""The chain of labels with springs for a code."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from aiida.orm import InstalledCode

from aiida_litraj.data.frames import FramesData
from aiida_litraj.workflows.backends import base
from tests.fixtures.label_backend import SpringsBackend, springs_level
from tests.fixtures.labelling import code_of


@pytest.fixture(autouse=True)
def springs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Springs are the only back end there is."""
    entry = SimpleNamespace(name='springs', load=lambda: SpringsBackend)
    monkeypatch.setattr(base, 'entry_points', lambda group: [entry] if group == base.GROUP else [])


@pytest.fixture
def code(computer: Any) -> InstalledCode:
    return code_of(computer, 'core.arithmetic.add')


@pytest.fixture
def inputs(code: Any) -> Any:
    """``inputs(frames, endings, **changes)`` are those of the chain."""

    def make(frames: FramesData, endings: Any = None, **changes: Any) -> dict[str, Any]:
        given = {
            'frames': frames, 'code': code, 'level': springs_level(), 'backend': 'springs',
            'settings': {'endings': endings or {}, 'lacking': []}, 'jobs': {'max_in_flight': 2},
        }  # fmt: skip
        return {**given, **changes}

    return make
