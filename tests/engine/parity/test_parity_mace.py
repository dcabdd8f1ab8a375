"""The published protocol on a small MACE in float64: step for step what ASE does.

What `tight` and `balanced` promise is tested on SevenNet-0: the landscape of a model trained in half a minute has
dips of its own along the hop, and so several saddles.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest

from aiida_litraj.contract import PotentialSpec

from .neb_with_ase import hop_in, neb_with_ase, neb_with_engine, parameters

pytestmark = [pytest.mark.mace, pytest.mark.slow, pytest.mark.timeout(900)]

PARITY_EV = 1e-4


@pytest.fixture(scope='module')
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small MACE fitted to Li3PO4."""
    from tests.engine.models.make_small_mace import make

    path = tmp_path_factory.mktemp('mace') / 'small.model'
    make(path)
    return path


def test_published_protocol(model: Path, tmp_path: Path) -> None:
    from mace.calculators import MACECalculator

    spec = PotentialSpec(family='mace', file=model.name, sha256=hashlib.sha256(model.read_bytes()).hexdigest())
    path = hop_in('Li3PO4_gamma', '0,6,0,0,0', 4.8)

    with_ase = neb_with_ase(
        path,
        MACECalculator(model_paths=str(model), device='cpu', default_dtype='float64'),
        fmax=0.1,
        max_steps=100,
        spring=5.0,
    )
    result, arrays = neb_with_engine(
        tmp_path, {'hop': path}, spec, parameters('litraj-2025-dft'), lambda where: shutil.copy(model, where)
    )
    item, calls = result.items[0], result.audit.model_calls
    assert result.audit.dtype == 'float64'
    assert (item.source_steps, item.target_steps, item.n_steps) == (
        with_ase.source_steps,
        with_ase.target_steps,
        with_ase.band_steps,
    )
    assert calls == with_ase.calls
    assert float(np.ptp(arrays['hop/energies'])) == pytest.approx(with_ase.range, abs=PARITY_EV)
