"""Folders as the engine leaves them, and the parser on them. It runs once for each kind; damage is done to copies."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiida.engine import CalcJob
from aiida.orm import StructureData

from aiida_litraj.calculations.neb import NebCalculation
from aiida_litraj.data import FramesData, MdTrajectoryData, PathData
from aiida_litraj.parsers.batch import BatchParser
from aiida_litraj.parsers.neb import NebParser
from tests.fixtures.nodes import Job
from tests.parsers.folders import TWO, Parsed

MADE = {'neb': PathData, 'relax': StructureData, 'md': MdTrajectoryData, 'evaluate': FramesData}
"""What the parser of each task makes of an item."""


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
    """``ran(name, inputs, process_class)`` is a copy of the folder in which the engine ran the job of that name."""

    def make(name: str, inputs: dict[str, Any], process_class: type[CalcJob] = NebCalculation) -> Path:
        if not (kept / name).exists():
            shutil.copytree(run_engine_on(process_class, inputs), kept / name)
        return Path(shutil.copytree(kept / name, tmp_path / name))

    return make


@pytest.fixture
def good(ran: Any, two: Any) -> Path:
    """The folder of a job whose two paths converged."""
    return ran('good', two)


@pytest.fixture
def parse(job_node: Any) -> Callable[..., Parsed]:
    """``parse(inputs, folder)`` is what the parser makes of it; ``exit_status`` is that of the scheduler, if any."""

    def make(
        inputs: dict[str, Any],
        folder: Path,
        exit_status: int | None = None,
        parser_class: type[BatchParser] = NebParser,
        **job: Any,
    ) -> Parsed:
        said = Job(exit_status, 'the scheduler said so', retrieved=folder, task=parser_class.task, **job)
        parser = parser_class(job_node(inputs, said))
        code = parser.parse(retrieved_temporary_folder=str(folder))
        outputs = dict(parser.outputs)
        results = outputs.pop('results', None)
        nodes = {label.removeprefix(f'{parser_class.outputs_name}.'): node for label, node in outputs.items()}
        assert all('.' not in name and isinstance(node, MADE[parser_class.task]) for name, node in nodes.items())
        if code is not None:
            assert code.invalidates_cache == (code.status < 500)
        return Parsed(
            None if code is None else code.status,
            None if code is None else code.message,
            None if results is None else results.get_dict(),
            nodes,
        )

    return make
