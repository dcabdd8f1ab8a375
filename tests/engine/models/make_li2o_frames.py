"""Makes ``li2o_frames.npz``: what a small potential needs to see to describe one lithium hop in Li2O.

Run once, in the environment of sevenn: ``python tests/engine/models/make_li2o_frames.py``; takes some minutes. The
frames are 11-atom cells with a vacancy, labelled by SevenNet-0: the ends while they relax, bands from three starts at
every few steps of their optimisation, the relaxed path rattled, and displacements along each coordinate and along the
soft modes of an end and of the top. Arrays:
``numbers`` (n_atoms,), ``cell`` (3, 3) Ang, ``positions`` (n_frames, n_atoms, 3) Ang, ``energies`` (n_frames,) eV,
``forces`` (n_frames, n_atoms, 3) eV/Ang.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.io import read
from ase.mep import NEB
from ase.optimize import FIRE
from scipy.interpolate import CubicSpline
from sevenn.calculator import SevenNetCalculator

ROOT = Path(__file__).parents[3]
TARGET = Path(__file__).with_name('li2o_frames.npz')
SOURCE_SITE, TARGET_SITE = 0, 1
N_IMAGES = 5
FMAX_EV_PER_ANG = 0.02
EVERY = 3
"""Steps of a band between two that are kept."""
N_ALONG = 17
RATTLES_ANG = (0.0, *(0.01,) * 2, *(0.02,) * 3, *(0.03,) * 3, *(0.05,) * 4, *(0.08,) * 4)
SEED = 11
STEP_ANG = 0.03
"""Along one coordinate, for the modes."""
N_SOFT = 5
"""Three of them move the crystal as a whole."""
SOFT_ANG = (-0.2, -0.1, -0.05, 0.05, 0.1, 0.2)
"""Along a soft mode."""


class Labels:
    """Configurations with energy and forces, in the order in which they were asked for."""

    def __init__(self, like: Atoms) -> None:
        self._calculator = SevenNetCalculator('7net-0', device='cpu')
        self._like = like
        self.frames: list[tuple[np.ndarray, float, np.ndarray]] = []

    def atoms(self, positions: np.ndarray) -> Atoms:
        """Return atoms there with a calculator, and so a cache, of their own."""
        atoms = self._like.copy()
        atoms.positions = positions
        atoms.calc = SevenNetCalculator(self._calculator.model, file_type='model_instance', device='cpu')
        return atoms

    def keep(self, *images: Atoms) -> None:
        self.frames += [(i.get_positions(), i.get_potential_energy(), i.get_forces().astype(float)) for i in images]


def relaxed(labels: Labels, positions: np.ndarray) -> np.ndarray:
    """Return the relaxed end; keeps what it passes."""
    atoms = labels.atoms(positions)
    optimizer = FIRE(atoms, logfile=None)
    optimizer.attach(lambda: labels.keep(atoms), interval=EVERY)
    optimizer.run(fmax=FMAX_EV_PER_ANG, steps=200)
    return atoms.get_positions()


def band(labels: Labels, ends: tuple[np.ndarray, np.ndarray], start: np.ndarray | None) -> np.ndarray:
    """Return the relaxed path from the images ``start``, an IDPP one if ``None``; keeps what it passes."""
    weights = np.linspace(0.0, 1.0, N_IMAGES)[:, None, None]
    images = [labels.atoms(positions) for positions in (ends[0] + weights * (ends[1] - ends[0]))]
    climbing = NEB(images, k=5.0, climb=True, method='improvedtangent')
    if start is None:
        climbing.interpolate('idpp')
    else:
        for image, positions in zip(images[1:-1], start[1:-1], strict=True):
            image.positions = positions
    optimizer = FIRE(climbing, logfile=None)
    optimizer.attach(lambda: labels.keep(*images[1:-1]), interval=EVERY)
    optimizer.run(fmax=FMAX_EV_PER_ANG, steps=200)
    return np.array([image.get_positions() for image in images])


def straight(ends: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Return images (n_images, n_atoms, 3) on the line between the ends."""
    return ends[0] + np.linspace(0.0, 1.0, N_IMAGES)[:, None, None] * (ends[1] - ends[0])


def modes(labels: Labels, centre: np.ndarray) -> np.ndarray:
    """Return the modes (3 n_atoms, n_atoms, 3) about ``centre``, softest first; keeps the displacements."""
    hessian = np.zeros((centre.size, centre.size))
    for row, axis in zip(hessian, np.eye(centre.size).reshape(-1, *centre.shape), strict=True):
        there, back = (labels.atoms(centre + sign * STEP_ANG * axis) for sign in (1.0, -1.0))
        labels.keep(there, back)
        row[:] = (back.get_forces() - there.get_forces()).ravel() / (2 * STEP_ANG)
    curvatures, vectors = np.linalg.eigh((hessian + hessian.T) / 2)
    print(f'curvatures {np.round(curvatures[:N_SOFT], 2)} eV/Ang^2')
    return vectors.T.reshape(-1, *centre.shape)


def main() -> None:
    """Label the frames and write them."""
    from aiida_litraj.contract import pack_arrays, write_atomic

    crystal = read(ROOT / 'examples' / 'structures' / 'Li2O.cif')
    others = [index for index in range(len(crystal)) if index not in (SOURCE_SITE, TARGET_SITE)]
    first = crystal[[SOURCE_SITE, *others]]
    last = first.get_positions()
    last[0] = crystal.positions[TARGET_SITE]
    unrelaxed = (first.get_positions(), last)
    labels = Labels(first)
    ends = (relaxed(labels, unrelaxed[0]), relaxed(labels, unrelaxed[1]))
    for start in (straight(unrelaxed), None):
        band(labels, ends, start)
    path = band(labels, ends, straight(ends))
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=(1, 2)))])
    along = CubicSpline(length, path)(np.linspace(0.0, length[-1], N_ALONG))
    rng = np.random.default_rng(SEED)
    for positions in along:
        for scale in RATTLES_ANG:
            labels.keep(labels.atoms(positions + rng.normal(scale=scale, size=positions.shape)))
    for centre in (along[0], along[N_ALONG // 2]):
        for mode in modes(labels, centre)[:N_SOFT]:
            labels.keep(*(labels.atoms(centre + amplitude * mode) for amplitude in SOFT_ANG))
    positions, energies, forces = (np.array(values) for values in zip(*labels.frames, strict=True))
    arrays = {'numbers': first.numbers.astype(np.int64), 'cell': np.array(crystal.cell), 'positions': positions}
    write_atomic(TARGET, pack_arrays({**arrays, 'energies': energies, 'forces': forces}))


if __name__ == '__main__':
    sys.path.insert(0, str(ROOT))  # the engine need not be installed beside sevenn
    main()
