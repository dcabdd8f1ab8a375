"""What tests of dynamics share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aiida_litraj.contract import files
from aiida_litraj.engine import run as run_module

from .replicas import Ran, parameters, write_job
from .trouble import Run


@pytest.fixture
def run_md(tmp_path: Path, rerun: Any) -> Run:
    """``run_md(replicas, parameters, potential, runtime)`` runs a job in a new folder; ``again=folder`` an old one."""

    def go(replicas: Any = None, settings: Any = None, again: Path | None = None, **keywords: Any) -> Ran:
        folder = again or write_job(
            tmp_path / f'job_{len(list(tmp_path.iterdir()))}', replicas, settings or parameters(), **keywords
        )
        with rerun.restored_signals():
            run_module.run(folder / files.JOB)
        return Ran.read(folder)

    return go
