"""A hop in a small cell, labelled by GPAW through the chain and by hand: energies and forces of both are the same."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiida.engine import run_get_node
from aiida.orm import InstalledCode

from aiida_litraj.analysis.barriers import path_tangents
from aiida_litraj.data import PathData
from aiida_litraj.engine.models.interface import Configuration
from aiida_litraj.engine.models.toy import ToyEvaluator
from aiida_litraj.workflows.barrier_check import BarrierCheckWorkChain

PYTHON = '/usr/bin/python3'
"""Which has Debian's GPAW."""
pytestmark = [
    pytest.mark.dft,
    pytest.mark.skipif(shutil.which('gpaw') is None or not Path(PYTHON).exists(), reason='GPAW is not installed'),
]
CONSTANT_ANG = 4.08
"""Of lithium hydride."""
BOW_ANG = 0.3
"""By which the ion keeps away from the anions between which it goes."""
LEVEL = {
    'cutoff_ev': 200.0, 'kpoint_mesh': [1, 1, 1], 'smearing_width_ev': 0.1, 'stress': False,
    'energy_convergence_ev': 1e-4, 'force_convergence_ev_per_ang': None,
}  # fmt: skip
ENERGY_EV, FORCE_EV_PER_ANG = 2e-4, 5e-3
"""What both may differ by: each stops at a change of the energy of 1e-4 eV and of the density of 1e-4 an electron."""
BY_HAND = """
import json, sys
from ase import Atoms
from gpaw import GPAW, PW
job, found = json.load(open('job.json')), []
for positions in job['positions']:
    atoms = Atoms(job['symbols'], positions=positions, cell=job['cell'], pbc=True)
    smearing = {'name': 'methfessel-paxton', 'order': 0, 'width': 0.1}
    atoms.calc = GPAW(mode=PW(200), xc='PBE', kpts={'size': (1, 1, 1), 'gamma': True}, occupations=smearing, txt=None,
                      symmetry={'point_group': False})
    energy = atoms.get_potential_energy(force_consistent=True)
    found.append({'energy': energy, 'forces': atoms.get_forces().tolist()})
json.dump(found, open('found.json', 'w'))
"""


def hop() -> PathData:
    """A lithium ion on its way into a vacancy of LiH, in a cell of two formula units, with Morse energies.

    Half a turn about the bow of the path swaps its ends, so both are one in energy and the middle image is its top.
    """
    edge = CONSTANT_ANG / np.sqrt(2.0)
    cell = np.diag([edge, edge, CONSTANT_ANG])
    lithium, hydrogen = (
        np.array([[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]]) @ cell,
        np.array([[0, 0, 0.5], [0.5, 0.5, 0]]) @ cell,
    )
    middle = lithium.mean(axis=0) + BOW_ANG * np.array([1.0, -1.0, 0.0]) / np.sqrt(2.0)
    positions = np.array([np.vstack([place, hydrogen]) for place in (lithium[0], middle, lithium[1])])
    numbers, symbols = np.array([3, 1, 1]), ['Li', 'H', 'H']
    images = [Configuration(numbers, image, cell, np.ones(3, dtype=bool)) for image in positions]
    known = ToyEvaluator('morse', {'radius': 2.0}).evaluate(images)
    energies, forces = [one.energy for one in known], [one.forces for one in known]
    return PathData.from_arrays(symbols, positions, cell, [True] * 3, mobile=0, energies=energies, forces=forces)


def by_hand(path: PathData, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Energies and forces of the images by GPAW in a process of its own."""
    job = {'symbols': path.symbols, 'positions': path.get_positions().tolist(), 'cell': path.cell.tolist()}
    (folder / 'job.json').write_text(json.dumps(job))
    environment = {**os.environ, 'OMP_NUM_THREADS': '1'}
    subprocess.run([PYTHON, '-c', BY_HAND], cwd=folder, env=environment, check=True, timeout=200)
    found = json.loads((folder / 'found.json').read_text())
    return np.array([one['energy'] for one in found]), np.array([one['forces'] for one in found])


def test_single_points_are_those_of_gpaw_by_hand(computer: Any, tmp_path: Path) -> None:
    path = hop()
    assert int(np.argmax(path.energies)) == 1
    code = InstalledCode(
        label='gpaw-of-debian', computer=computer, filepath_executable=PYTHON, default_calc_job_plugin='ase.ase',
        prepend_text='export OMP_NUM_THREADS=1', with_mpi=False,
    ).store()  # fmt: skip
    builder = BarrierCheckWorkChain.get_builder_from_protocol(code, path, overrides={'label': {'level': LEVEL}})
    outputs, node = run_get_node(builder)
    assert node.is_finished_ok, (node.exit_status, node.exit_message, outputs['report']['items'])
    energies, forces = by_hand(path, tmp_path)
    labelled, found = outputs['labelled'].frames, outputs['check'].get_dict()
    np.testing.assert_allclose(labelled.energies, energies, atol=ENERGY_EV)
    np.testing.assert_allclose(labelled.forces.reshape(forces.shape), forces, atol=FORCE_EV_PER_ANG)
    assert found['reference']['barrier_ev'] == pytest.approx(energies[1] - energies[0], abs=2 * ENERGY_EV)
    assert found['reference']['reverse_barrier_ev'] == pytest.approx(energies[1] - energies[2], abs=2 * ENERGY_EV)
    # The ends are one configuration, but for the grid; the middle is a top by symmetry.
    assert energies[0] == pytest.approx(energies[2], abs=5e-3)
    assert found['reference']['barrier_ev'] > 0.05
    slopes = -np.einsum('iax,iax->i', forces, path_tangents(path.get_positions()))
    assert [one['reference_slope_ev_per_ang'] for one in found['images']] == pytest.approx(slopes, abs=0.02)
    assert slopes[1] == pytest.approx(0.0, abs=0.05)
    off = np.sqrt(np.square(path.image_forces - forces).mean())
    assert found['rmse_force_mev_per_ang'] == pytest.approx(1e3 * off, abs=1e3 * FORCE_EV_PER_ANG)
    assert (found['level']['code'], found['level']['functional']) == ('gpaw', 'PBE')
