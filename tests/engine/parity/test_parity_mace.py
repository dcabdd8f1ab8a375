"""Protocols on a small MACE in float64: step for step what ASE does, and the accuracy that each of them promises.

The order of the saddle is not asked of this model: see ``make_small_mace.py``.
"""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aiida_litraj.analysis.hops import HopPath
from aiida_litraj.contract import PotentialSpec
from aiida_litraj.contract.neb import NebResult

from .neb_with_ase import barrier, hop_in, neb_with_ase, neb_with_engine, parameters

pytestmark = [pytest.mark.mace, pytest.mark.slow, pytest.mark.timeout(900)]

MODEL = Path(__file__).parents[1] / 'models' / 'small_mace.model'
CRYSTAL, HOP, MIN_IMAGE_DISTANCE_ANG = 'Li2O', '0,1,0,0,0', 4.0
"""The one that the model was made for."""
RATTLES_ANG = (0.0, 0.05)
"""Noise on the crystal: without any, the symmetry of the hop alone would keep every band on one line."""
PARITY_EV = 1e-4
TIGHT_EV = 1e-3
BALANCED_EV = 5e-3
BALANCED_SHARE_OF_CALLS = 0.45


@pytest.fixture(scope='module', params=RATTLES_ANG, ids='rattled by {} Ang'.format)
def path(request: pytest.FixtureRequest) -> HopPath:
    """The hop, all images displaced alike."""
    ideal = hop_in(CRYSTAL, HOP, MIN_IMAGE_DISTANCE_ANG)
    noise = np.random.default_rng(0).normal(scale=request.param, size=ideal.positions.shape[1:])
    return dataclasses.replace(ideal, positions=ideal.positions + noise)


@pytest.fixture(scope='module')
def engine(path: HopPath, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """``engine(protocol, **changes)`` is result and arrays of the hop."""
    spec = PotentialSpec(family='mace', file=MODEL.name, sha256=hashlib.sha256(MODEL.read_bytes()).hexdigest())

    def run(protocol: str, **changes: Any) -> tuple[NebResult, dict[str, Any]]:
        folder = tmp_path_factory.mktemp(protocol)
        return neb_with_engine(
            folder, {'hop': path}, spec, parameters(protocol, **changes), lambda where: shutil.copy(MODEL, where)
        )

    return run


@pytest.fixture(scope='module')
def published(engine: Any) -> tuple[NebResult, dict[str, Any]]:
    result: tuple[NebResult, dict[str, Any]] = engine('litraj-2025-dft')
    return result


@pytest.fixture(scope='module')
def tight(engine: Any) -> tuple[NebResult, dict[str, Any]]:
    result: tuple[NebResult, dict[str, Any]] = engine('tight')
    return result


def test_published_protocol(path: HopPath, published: tuple[NebResult, dict[str, Any]]) -> None:
    from mace.calculators import MACECalculator

    with_ase = neb_with_ase(
        path,
        MACECalculator(model_paths=str(MODEL), device='cpu', default_dtype='float64'),
        fmax=0.1,
        max_steps=100,
        spring=5.0,
    )
    result, arrays = published
    item = result.items[0]
    assert result.audit.dtype == 'float64'
    assert item.converged
    assert (item.source_steps, item.target_steps, item.n_steps) == (
        with_ase.source_steps,
        with_ase.target_steps,
        with_ase.band_steps,
    )
    assert result.audit.model_calls == with_ase.calls
    assert float(np.ptp(arrays['hop/energies'])) == pytest.approx(with_ase.range, abs=PARITY_EV)
    assert barrier(arrays['hop/energies']) == pytest.approx(barrier(with_ase.energies), abs=PARITY_EV)


def test_tight_from_a_line_and_from_idpp(engine: Any, tight: tuple[NebResult, dict[str, Any]]) -> None:
    from_idpp, arrays_from_idpp = tight
    from_line, arrays_from_line = engine('tight', initial_path='linear')
    assert from_idpp.items[0].converged
    assert from_line.items[0].converged
    assert barrier(arrays_from_line['hop/energies']) == pytest.approx(
        barrier(arrays_from_idpp['hop/energies']), abs=TIGHT_EV
    )


def test_balanced(
    engine: Any, published: tuple[NebResult, dict[str, Any]], tight: tuple[NebResult, dict[str, Any]]
) -> None:
    result, arrays = engine('balanced')
    assert result.items[0].converged
    assert barrier(arrays['hop/energies']) == pytest.approx(barrier(tight[1]['hop/energies']), abs=BALANCED_EV)
    assert result.audit.model_calls <= BALANCED_SHARE_OF_CALLS * published[0].audit.model_calls
