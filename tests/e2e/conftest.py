"""Every test here runs real AiiDA processes with the real engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from aiida.engine import CalcJob
from aiida.manage import get_manager

from aiida_litraj.calculations.neb import NebCalculation
from tests.e2e.ender import Ender

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.e2e)


@pytest.fixture
def unbroken(run_engine_on: Callable[..., Path]) -> Callable[..., Path]:
    """``unbroken(inputs, process_class)`` is the folder where the engine has run a job in one go, without AiiDA."""

    def make(inputs: Mapping[str, Any], process_class: type[CalcJob] = NebCalculation) -> Path:
        folder = run_engine_on(process_class, inputs)
        get_manager().reset_runner()  # it was made without a broker, and could not submit
        return folder

    return make


@pytest.fixture
def ender(computer: Any) -> Iterator[Ender]:
    """Whoever ends engines of the tests' computer, once it is told where."""
    made = Ender(Path(computer.get_workdir()))
    yield made
    made.close()
