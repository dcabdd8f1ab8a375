"""Inputs of the chain from a hop to its barrier."""

from __future__ import annotations

from typing import Any

import pytest
from aiida.orm import Dict

from tests.fixtures.crystals import GEOMETRY, HOP
from tests.fixtures.nodes import fcc, neb_parameters, potential


@pytest.fixture
def barrier_inputs(launcher_code: Any, computer: Any) -> Any:
    """``barrier_inputs(**changes)`` are inputs of the chain; a change to ``None`` takes an input away."""

    def make(**changes: Any) -> dict[str, Any]:
        given = {'structure': fcc(), 'hop': HOP, 'geometry': GEOMETRY, 'potential': potential('morse'), **changes}
        inputs = {key: Dict(value) if isinstance(value, dict) else value for key, value in given.items()}
        neb = {
            'code': launcher_code,
            'parameters': neb_parameters(),
            'metadata': {'computer': computer, 'options': {'processes': 1}},
        }
        return {**{key: value for key, value in inputs.items() if value is not None}, 'neb': {'neb': neb}}

    return make
