"""Makes ``li3po4_frames.npz``: what a small potential needs to see to describe lithium hops in one cell of Li3PO4.

Run once, in the environment of sevenn: ``python tests/engine/models/make_li3po4_frames.py``; takes some minutes. The
frames are 31-atom cells with a vacancy, labelled by SevenNet-0: images of two bands at every few steps of their
optimisation, and the relaxed ends rattled. Arrays: ``numbers`` (n_atoms,), ``cell`` (3, 3) Ang, ``positions``
(n_frames, n_atoms, 3) Ang, ``energies`` (n_frames,) eV, ``forces`` (n_frames, n_atoms, 3) eV/Ang.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ase import Atoms
from ase.io import read
from ase.mep import NEB
from ase.optimize import FIRE
from sevenn.calculator import SevenNetCalculator

from aiida_litraj.contract import pack_arrays, write_atomic

STRUCTURE = Path(__file__).parents[3] / 'examples' / 'structures' / 'Li3PO4_gamma.cif'
TARGET = Path(__file__).with_name('li3po4_frames.npz')
HOPS = ((0, 6), (0, 1))
N_IMAGES = 5
BAND_STEPS = (0, 4, 8, 12, 18, 26, 36)
RATTLES_ANG = (0.02, 0.04, 0.06, 0.08)

Frame = tuple[np.ndarray, float, np.ndarray]


def frame_of(atoms: Atoms) -> Frame:
    """Return positions, energy and forces."""
    return atoms.get_positions(), atoms.get_potential_energy(), atoms.get_forces()


def frames_of_hop(crystal: Atoms, source: int, target: int, calculator: SevenNetCalculator) -> list[Frame]:
    """Return the frames of one vacancy hop inside the cell, the hopping ion first."""
    rng = np.random.default_rng(11)
    others = [index for index in range(len(crystal)) if index not in (source, target)]
    start = crystal[[source, *others]]
    end = start.copy()
    end.positions[0] = crystal.positions[target]
    frames = []
    for atoms in (start, end):
        atoms.calc = calculator
        FIRE(atoms, logfile=None).run(fmax=0.1)
        for scale in RATTLES_ANG:
            rattled = atoms.copy()
            rattled.positions += rng.normal(scale=scale, size=rattled.positions.shape)
            rattled.calc = calculator
            frames.append(frame_of(rattled))
        frames.append(frame_of(atoms))
    images = [start, *(start.copy() for _ in range(N_IMAGES - 2)), end]
    for index, image in enumerate(images):
        image.positions = start.positions + index / (N_IMAGES - 1) * (end.positions - start.positions)
        image.calc = SevenNetCalculator(calculator.model, file_type='model_instance', device='cpu')
    optimizer = FIRE(NEB(images, k=5.0, climb=True, method='improvedtangent'), logfile=None)
    for steps in np.diff((0, *BAND_STEPS)):
        optimizer.run(fmax=0.0, steps=int(steps))
        frames += [frame_of(image) for image in images[1:-1]]
    return frames


def main() -> None:
    """Label the frames and write them."""
    crystal = read(STRUCTURE)
    calculator = SevenNetCalculator('7net-0', device='cpu')
    frames = [frame for hop in HOPS for frame in frames_of_hop(crystal, *hop, calculator)]
    positions, energies, forces = (np.array(values) for values in zip(*frames, strict=True))
    numbers = np.delete(crystal.numbers, 0).astype(np.int64)  # both sites of a hop are of one kind
    arrays = {'numbers': numbers, 'cell': np.array(crystal.cell), 'positions': positions}
    write_atomic(TARGET, pack_arrays({**arrays, 'energies': energies, 'forces': forces.astype(float)}))


if __name__ == '__main__':
    main()
