"""Two codes that share nothing but the level of theory agree on lithium oxide."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiida.engine import run_get_node

from aiida_litraj.workflows.label import LabelWorkChain
from tests.fixtures.dft import dft_code, frames_of, li2o, needs_gpaw, needs_pw, pseudo_family

pytestmark = [pytest.mark.dft, needs_pw, needs_gpaw]

EDGES_ANG = (4.48, 4.56, 4.64, 4.72, 4.80)
"""Around the minimum at these k-points, 4.64 Ang, which is not that of more."""
SETUPS = (('Li', 3), ('O', 6))
"""Electrons that are not frozen: lithium's 1s as in the pseudopotential of pw.x. GPAW's distributed set-up freezes
it, with which the edge is 1.2 % longer (4.697 against 4.643 Ang)."""
LEVEL = {'cutoff_ev': 1000.0, 'kpoint_mesh': [2, 2, 2], 'energy_convergence_ev': 1e-6, 'stress': True}
"""Both codes have the same k-points, so what these lack they lack alike. The cutoff is that of lithium's 1s: at 1000 eV
the forces agree to 3 meV/Ang, at 750 to 30 only, for pw.x has not converged there."""
CONSTANT_SHARE, FORCE_EV_PER_ANG = 0.01, 0.030
FAR_EV_PER_ANG = 0.25
"""Least root mean square force of the rattled cell, so that agreement says something."""


@pytest.fixture
def setups(tmp_path: Path) -> Path:
    """PAW set-ups of PBEsol, by GPAW's own generator."""
    for symbol, electrons in SETUPS:
        subprocess.run(
            ['gpaw', 'dataset', symbol, '-f', 'PBEsol', '-e', str(electrons), '-s', '-w'],
            cwd=tmp_path, check=True, capture_output=True,
        )  # fmt: skip
    return tmp_path


def labelled(kind: str, computer: Any, setups: Path) -> Any:
    """Return the frames: five volumes, and a rattled cell."""
    shell = {'prepend_text': f'export GPAW_SETUP_PATH={setups}'} if kind == 'gpaw' else {}
    images = [li2o(edge) for edge in EDGES_ANG] + [li2o(4.6, rattle=0.06, seed=3)]
    started = LabelWorkChain.get_builder_from_protocol(
        dft_code(kind, computer, **shell),
        frames_of(*images),
        protocol='lips25',
        overrides={'level': LEVEL},
        settings={'pseudo_family': pseudo_family()} if kind == 'pw' else {'setups': 'PBEsol', 'point_group': True},
        max_in_flight=2,
    )
    _, node = run_get_node(started)
    assert node.is_finished_ok, node.exit_message
    return node.outputs.frames.frames


def lattice_constant(frames: Any) -> float:
    """Return the edge of the cube at the lowest energy, by a cubic through the energies of five volumes."""
    polynomial = np.polynomial.Polynomial.fit(EDGES_ANG, frames.energies[: len(EDGES_ANG)], 3)
    minima = [root.real for root in polynomial.deriv().roots() if abs(root.imag) < 1e-9]
    (edge,) = [root for root in minima if polynomial.deriv(2)(root) > 0 and EDGES_ANG[0] < root < EDGES_ANG[-1]]
    return float(edge)


@pytest.mark.timeout(1200)
def test_gpaw_and_quantum_espresso_agree_on_lithium_oxide(aiida_localhost: Any, setups: Path) -> None:
    frames = {kind: labelled(kind, aiida_localhost, setups) for kind in ('pw', 'gpaw')}
    constants = {kind: lattice_constant(one) for kind, one in frames.items()}
    forces = {kind: one[len(EDGES_ANG)].forces for kind, one in frames.items()}
    assert constants['gpaw'] == pytest.approx(constants['pw'], rel=CONSTANT_SHARE), constants
    assert np.sqrt(np.square(forces['pw']).mean()) > FAR_EV_PER_ANG
    np.testing.assert_allclose(forces['gpaw'], forces['pw'], atol=FORCE_EV_PER_ANG)
