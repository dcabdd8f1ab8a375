"""Protocols on a small MACE in float64: step for step what ASE does, to the last digits that matter."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aiida_litraj.contract import PotentialSpec

from .neb_with_ase import barrier, hop_in, neb_with_ase, neb_with_engine, parameters

pytestmark = [pytest.mark.mace, pytest.mark.slow, pytest.mark.timeout(900)]

PARITY_EV = 1e-4
TIGHT_EV = 1e-3
BALANCED_EV = 5e-3
BALANCED_SHARE_OF_CALLS = 0.45


@pytest.fixture(scope='module')
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small MACE fitted to Li3PO4, bound along its hops."""
    from tests.engine.models.make_small_mace import make

    path = tmp_path_factory.mktemp('mace') / 'small.model'
    make(path)
    return path


def test_protocols(model: Path, tmp_path: Path) -> None:
    from mace.calculators import MACECalculator

    spec = PotentialSpec(family='mace', file=model.name, sha256=hashlib.sha256(model.read_bytes()).hexdigest())
    path = hop_in('Li3PO4_gamma', '0,6,0,0,0', 4.8)

    def engine(protocol: str, **changes: Any) -> tuple[Any, dict[str, Any]]:
        folder = tmp_path / f'{protocol}-{"-".join(map(str, changes.values()))}'
        chosen = parameters(protocol, **changes)
        return neb_with_engine(folder, {'hop': path}, spec, chosen, lambda where: shutil.copy(model, where))

    with_ase = neb_with_ase(
        path,
        MACECalculator(model_paths=str(model), device='cpu', default_dtype='float64'),
        fmax=0.1,
        max_steps=100,
        spring=5.0,
    )
    result, arrays = engine('litraj-2025-dft')
    item, calls = result.items[0], result.audit.model_calls
    assert result.audit.dtype == 'float64'
    assert (item.source_steps, item.target_steps, item.n_steps) == (
        with_ase.source_steps,
        with_ase.target_steps,
        with_ase.band_steps,
    )
    assert calls == with_ase.calls
    assert float(np.ptp(arrays['hop/energies'])) == pytest.approx(with_ase.range, abs=PARITY_EV)

    _, from_idpp = engine('tight')
    _, from_line = engine('tight', initial_path='linear')
    assert barrier(from_line['hop/energies']) == pytest.approx(barrier(from_idpp['hop/energies']), abs=TIGHT_EV)
    result, balanced = engine('balanced')
    assert result.items[0].converged
    assert barrier(balanced['hop/energies']) == pytest.approx(barrier(from_idpp['hop/energies']), abs=BALANCED_EV)
    assert result.audit.model_calls <= BALANCED_SHARE_OF_CALLS * calls
