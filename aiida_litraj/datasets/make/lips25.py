"""Made LiPS-25: one extended-xyz file with configurations of the Li-P-S system, family after family."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.optimize import FIRE
from ase.stress import voigt_6_to_full_3x3_stress

from .crystals import crystal, settled
from .hops import labelled, moved, permutation
from .layout import random_shift
from .potential import IonPairs
from .writing import write_frames

CRYSTALS = ('Li2S', 'Li3PS4_beta', 'Li3PS4_gamma', 'Li7P3S11', 'Li2P2S6', '0iv')
FAMILIES = {'crystalline': 0.1, 'AIMD': 0.3, 'Iter1': 0.2, 'Iter2': 0.2, 'RHS': 0.12, 'dimer': 0.08}
"""Families as the paper names them; their shares are made up, the published ones are not known."""
GENERATIONS = 3
RATTLE_ANG = {'AIMD': 0.15, 'Iter1': 0.5, 'Iter2': 0.8}
QUENCH_STEPS = 12
SPHERE_ANG = 1.9
BOX_ANG = 20.0
VOLUME_PER_ATOM_ANG3 = 20.0


def make_lips25(
    folder: Path, n: int, seed: int, calculator: Calculator | None = None, distinct: int = 240, name: str = 'LiPS-25'
) -> Path:
    """Write ``n`` configurations into ``<name>.xyz`` and return that file.

    Each has ``energy``, ``energy_per_at``, ``virial`` (that is minus stress times volume), ``label`` (its family, with
    the generation of an iterative one as in ``Iter1-2``) and ``cell_origin``. About ``distinct`` are computed; further
    ones repeat them, shifted rigidly and with like atoms exchanged.
    """
    path = folder / f'{name}.xyz'
    potential = calculator or IonPairs()
    with path.open('wb', buffering=1 << 20) as stream:
        for family, count in _counts(n).items():
            models: list[Atoms] = []
            computed = max(1, min(count, round(distinct * count / n)))
            for number in range(count):
                if number < computed:
                    rng = np.random.default_rng([seed, list(FAMILIES).index(family), number])
                    models.append(_finished(_draw(family, number, rng, potential), family, number, potential))
                    write_frames(stream, [models[-1]])
                    continue
                model = models[number % computed]
                order = permutation(model.numbers, np.random.default_rng([seed, number, 7]))
                write_frames(stream, [_with_info(moved(model, random_shift(seed, number), order), model)])
    return path


def _counts(n: int) -> dict[str, int]:
    """Return the number of configurations of each family; what the shares leave over is AIMD."""
    counts = {family: int(n * share) for family, share in FAMILIES.items()}
    counts['AIMD'] += n - sum(counts.values())
    return {family: count for family, count in counts.items() if count}


def _draw(family: str, number: int, rng: np.random.Generator, potential: Calculator) -> Atoms:
    """Return a configuration of a family, without labels."""
    if family == 'dimer':
        pair = rng.choice(['Li', 'P', 'S'], 2)
        middle, half = np.full(3, 0.5 * BOX_ANG), np.array([0.5 * rng.uniform(1.6, 4.0), 0.0, 0.0])
        return Atoms(pair, positions=[middle - half, middle + half], cell=[BOX_ANG] * 3, pbc=True)
    if family == 'RHS':
        return _hard_spheres(rng)
    name = CRYSTALS[number % len(CRYSTALS)]
    atoms = (settled(name) if isinstance(potential, IonPairs) else crystal(name)).copy()
    atoms.set_cell(atoms.cell * rng.uniform(0.98, 1.03), scale_atoms=True)
    if family in RATTLE_ANG:
        atoms.positions += rng.normal(0.0, RATTLE_ANG[family], atoms.positions.shape)
    if family.startswith('Iter'):
        atoms.calc = potential
        FIRE(atoms, logfile=None).run(fmax=0.1, steps=QUENCH_STEPS)
        atoms.calc = None
    return atoms


def _hard_spheres(rng: np.random.Generator) -> Atoms:
    """Return atoms dropped at random into a cube, none closer to another than ``SPHERE_ANG``."""
    symbols = ['Li'] * int(rng.integers(4, 14)) + ['P'] * int(rng.integers(2, 8)) + ['S'] * int(rng.integers(8, 24))
    length = float((len(symbols) * VOLUME_PER_ATOM_ANG3) ** (1.0 / 3.0))
    positions: list[np.ndarray] = []
    while len(positions) < len(symbols):
        place = rng.uniform(0.0, length, 3)
        ways = np.array(positions).reshape(-1, 3) - place
        ways -= length * np.round(ways / length)
        if (np.linalg.norm(ways, axis=1) > SPHERE_ANG).all():
            positions.append(place)
    return Atoms(symbols, positions=positions, cell=[length] * 3, pbc=True)


def _finished(atoms: Atoms, family: str, number: int, potential: Calculator) -> Atoms:
    """Return the configuration with its labels, as the file has them."""
    atoms.positions = np.round(atoms.positions, 8)
    result = labelled(atoms, potential)
    generation = f'-{1 + number % GENERATIONS}' if family.startswith('Iter') else ''
    energy = float(result.get_potential_energy())
    virial = -result.get_volume() * voigt_6_to_full_3x3_stress(result.calc.results.pop('stress'))
    result.info = {
        'energy_per_at': energy / len(result),
        'virial': virial,
        'label': f'{family}{generation}',
        'cell_origin': np.zeros(3),
    }
    return result


def _with_info(atoms: Atoms, model: Atoms) -> Atoms:
    atoms.info = model.info
    return atoms
