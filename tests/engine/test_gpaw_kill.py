"""A band on GPAW whose engine is killed: what was answered is not asked again, and stands to the last bit."""

from __future__ import annotations

import json
import struct
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aiida_litraj.contract import files
from aiida_litraj.contract.neb import CONFIGURATIONS

from .hops import Hop

pytestmark = pytest.mark.dft

SCF_EV = 1e-4
"""Between the unbroken and the resumed run: positions follow forces that are known to the SCF tolerance."""
POTENTIAL = {
    'family': 'gpaw',
    'name': 'gpaw',
    'options': {
        'functional': 'PBE',
        'cutoff_ev': 200,
        'kpoint_mesh': '1 1 1',
        'smearing': 'fermi-dirac',
        'smearing_width_ev': 0.1,
        'energy_convergence_ev': 1e-6,
        'density_convergence': 1e-6,
        'max_scf_steps': 60,
    },
}
FEW = {
    'ends': {'max_steps': 2, 'optimizer': 'fire'},
    'band': {'max_steps': 2, 'optimizer': 'fire'},
    'acceptance': {'fmax_ev_per_ang': 10.0},
    'initial_path': 'keep',
    'hop_tolerance_ang': None,
}
"""Nine evaluations, and nobody asks whether it is a saddle."""
HEADER, RECORD = 48, 32 + 24 * 2
"""Bytes of a journal's head and of an answer for two atoms."""


def job(job_folder: Any) -> Path:
    """Lithium of a two-atom crystal pushed from one side of its site to the other, all configurations kept."""
    cell = 2.0 * np.array([[0.0, 1.0, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, 0.0]])
    positions = np.array([[[x, 0.0, 0.0], [2.0, 2.0, 2.0]] for x in (-0.3, 0.0, 0.3)])
    hop = Hop(np.array([3, 1]), positions, cell, np.ones(3, dtype=bool), np.zeros(2, dtype=bool), 0)
    folder: Path = job_folder({'hop': hop}, FEW, runtime={'processes': 1, 'device': 'cpu'})
    content = json.loads((folder / files.JOB).read_text())
    (folder / files.JOB).write_text(json.dumps(content | {'potential': POTENTIAL, 'keep_configurations': True}))
    return folder


def answers(folder: Path) -> list[float]:
    """The energies in eV that a run has on disk."""
    found = []
    for path in (folder / files.CHECKPOINT).glob('*.journal'):
        content = path.read_bytes()
        start = HEADER
        while start + RECORD <= len(content):
            found.append(struct.unpack_from('<d', content, start + 24)[0])
            start += RECORD
    return found


def test_a_killed_band_goes_on_from_what_gpaw_has_answered(job_folder: Any, run_engine: Any, rerun: Any) -> None:
    unbroken, folder = rerun(job(job_folder)), job(job_folder)
    total = unbroken.calls
    process = run_engine(folder)
    while len(answers(folder)) < total // 2 and process.poll() is None:
        time.sleep(0.02)
    process.kill()
    assert process.wait() < 0, 'it was through before it was killed'
    before = answers(folder)
    content = json.loads((folder / files.JOB).read_text())
    content['runtime']['ranks_per_process'] = 2  # another number of ranks is the same potential
    (folder / files.JOB).write_text(json.dumps(content))
    ran = rerun(folder)
    assert total // 2 <= ran.resumed_calls == len(before) < ran.calls == total
    recorded = ran.arrays[f'hop/{CONFIGURATIONS}/energies']
    assert set(before) <= set(recorded.tolist())
    for key in ('energies', 'positions'):
        found, expected = (one.arrays[f'hop/{CONFIGURATIONS}/{key}'] for one in (ran, unbroken))
        assert len(found) == total
        np.testing.assert_allclose(found, expected, atol=SCF_EV)
