"""Folders as the engine leaves them, and the parser on them. It runs once for each kind; damage is done to copies."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aiida_litraj.calculations.neb import NebCalculation
from aiida_litraj.data import PathData
from aiida_litraj.parsers.neb import NebParser
from tests.fixtures.nodes import Job
from tests.parsers.folders import TWO, Parsed


@pytest.fixture
def two(neb_inputs: Any) -> dict[str, Any]:
    """Inputs of two hops over the double well."""
    return neb_inputs({name: make() for name, make in TWO.items()})


@pytest.fixture(scope='session')
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the folders that the engine has written are kept for all tests."""
    return tmp_path_factory.mktemp('kept')


@pytest.fixture
def ran(kept: Path, run_engine_on: Any, tmp_path: Path) -> Callable[..., Path]:
    """``ran(name, inputs)`` is a copy of the folder in which the engine ran the job of that name."""

    def make(name: str, inputs: dict[str, Any]) -> Path:
        if not (kept / name).exists():
            shutil.copytree(run_engine_on(NebCalculation, inputs), kept / name)
        return Path(shutil.copytree(kept / name, tmp_path / name))

    return make


@pytest.fixture
def good(ran: Any, two: Any) -> Path:
    """The folder of a job whose two paths converged."""
    return ran('good', two)


@pytest.fixture
def parse(job_node: Any) -> Callable[..., Parsed]:
    """``parse(inputs, folder)`` is what the parser makes of it; ``exit_status`` is that of the scheduler, if any."""

    def make(inputs: dict[str, Any], folder: Path, exit_status: int | None = None) -> Parsed:
        job = Job(exit_status=exit_status, exit_message='the scheduler said so', retrieved=folder)
        parser = NebParser(job_node(inputs, job))
        code = parser.parse(retrieved_temporary_folder=str(folder))
        outputs = dict(parser.outputs)
        results = outputs.pop('results', None)
        paths = {label.removeprefix('paths.'): node for label, node in outputs.items()}
        assert all(isinstance(node, PathData) for node in paths.values())
        if code is not None:
            assert code.invalidates_cache == (code.status < 500)
        return Parsed(
            None if code is None else code.status,
            None if code is None else code.message,
            None if results is None else results.get_dict(),
            paths,
        )

    return make
