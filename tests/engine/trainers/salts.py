"""Crystals of Li, P and S, labelled by a Morse potential or by DFT, and how far a potential is from labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from ase.io import read

from aiida_litraj.contract.frames import Frames
from aiida_litraj.engine.models import Configuration, Evaluator
from aiida_litraj.engine.models.toy import morse
from aiida_litraj.engine.trainers.interface import Order
from tests.engine.tasks.blocks import VOIGT, crystals
from tests.engine.tasks.trainings import parameters

CUTOFF = 4.5
"""Of the Morse potential that labels, in Ang."""
KINDS = np.array([3, 15, 16, 16])
ENERGIES = {3: -1.5, 15: -4.0, 16: -3.0}
"""What an atom of each element has beside the Morse potential, in eV."""
GPA = 160.2176634
"""An eV/Ang^3 in GPa."""
_LIPS = Path(__file__).parents[3] / 'examples' / 'data' / 'lips_pbe_gpaw.extxyz'


def labelled(n_frames: int, seed: int, depth: float = 0.3) -> Frames:
    """Sheared cells of four atoms of Li, P and S off their sites, labelled by a Morse potential."""
    parts = []
    for atoms in crystals([1] * n_frames, seed):
        pbc = np.array(atoms.pbc)
        asked = Configuration(KINDS, atoms.positions, atoms.cell.array, pbc, stress=True)
        found = morse(asked, depth=depth, cutoff=CUTOFF)
        energy = found.energy + sum(ENERGIES[kind] for kind in KINDS)
        stress = found.stress[VOIGT]
        parts.append(Frames.of_one(KINDS, atoms.positions, atoms.cell.array, pbc, energy, found.forces, stress))
    return Frames.stack(parts)


def lips() -> dict[str, Frames]:
    """Rattled crystals of Li-P-S, labelled by GPAW: every fifth tells the best epoch."""
    frames = [
        Frames.of_one(a.numbers, a.positions, a.cell.array, a.pbc, a.get_potential_energy(), a.get_forces())
        for a in read(_LIPS, ':')
    ]
    learnt = [frame for index, frame in enumerate(frames) if index % 5]
    return {'train.a': Frames.stack(learnt), 'valid.a': Frames.stack(frames[::5])}


def errors(potential: Evaluator, frames: Frames) -> dict[str, float]:
    """Root mean squares in meV/atom, meV/Ang and GPa, the last over the nine components of the matrix."""
    deviations: dict[str, list[Any]] = {'energy': [], 'force': [], 'stress': []}
    for frame in frames:
        asked = Configuration(
            frame.numbers.astype(np.int64), frame.positions, frame.cells[0], frame.pbc[0], stress=True
        )
        found = potential.evaluate([asked])[0]
        deviations['energy'].append(1e3 * (found.energy - frame.energies[0]) / frame.n_atoms())
        deviations['force'].append(1e3 * (found.forces - frame.forces).ravel())
        difference = found.stress[VOIGT] - frame.stresses[0]
        deviations['stress'].append(GPA * difference[[0, 1, 2, 3, 3, 4, 4, 5, 5]])
    return {name: float(np.sqrt(np.mean(np.square(values)))) for name, values in deviations.items()}


def order(work: Path, settings: dict[str, Any], **changes: Any) -> Order:
    """What a trainer is asked for from scratch; the sets are not there yet."""
    asked: dict[str, Any] = {
        'work': work,
        'parameters': parameters(**settings),
        'seed': 1,
        'train': work / 'train.set',
        'valid': work / 'valid.set',
        'replay': None,
        'symbols': ('Li', 'P', 'S'),
        'references_ev': {'Li': -1.5, 'P': -4.0, 'S': -3.0},
        'offsets_ev': None,
        'parent': None,
        'parent_file': None,
        'device': 'cpu',
        **changes,
    }
    return Order(**asked)
