"""Relaxations as AiiDA processes with the real engine, in this process."""

from __future__ import annotations

from typing import Any

import numpy as np
from aiida.engine import run_get_node
from aiida.manage.caching import enable_caching
from aiida.orm import CalcJobNode

from aiida_litraj.workflows.relax import RelaxBaseWorkChain
from tests.fixtures.nodes import FCC_CONSTANT, fcc, potential, rattled

CONSTANT_TOLERANCE_ANG = 0.011
"""The constant of the fixtures is good to 0.01, and the relaxation to 0.001."""


def test_crystals_relax_to_the_known_lattice_constant(engine_code: Any, computer: Any) -> None:
    """One from a cell that is too large, one from atoms off their sites; the same again comes from the cache."""

    def builder() -> Any:
        return RelaxBaseWorkChain.get_builder_from_protocol(
            engine_code,
            {'large': fcc(FCC_CONSTANT + 0.2), 'off': rattled()},
            potential(),
            'tight',
            options={'processes': 1},
            computer=computer,
        )

    with enable_caching():
        result, node = run_get_node(builder())
        assert node.is_finished_ok, node.exit_message
        for structure in result['structures'].values():
            np.testing.assert_allclose(structure.cell_lengths, [FCC_CONSTANT] * 3, atol=CONSTANT_TOLERANCE_ANG)
        _, again = run_get_node(builder())
    (job,) = [child for child in again.called if isinstance(child, CalcJobNode)]
    assert job.base.caching.is_created_from_cache
