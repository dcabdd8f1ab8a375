"""The crystals that made data are built from, and materials: such a crystal, strained, under a made-up identity."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.io import read
from ase.optimize import FIRE

from .potential import IonPairs

FOLDER = Path(__file__).parent / 'crystals'
OBELIX = FOLDER / 'obelix'
PARTLY_OCCUPIED = ('jqc', 'nhq', 'oi6', 'u2y')
UNUSED = (*PARTLY_OCCUPIED, 'joc', 'be9')
"""No material is made of these: besides the partly occupied ones, the same crystal again and one without open hops."""
FIRST_NUMBER = 90_000_000
"""Made materials count from here: longer than any number the Materials Project has given, so that no made entry is
taken for a real one."""
MAX_STRAIN = 0.01
SETTLING_STEPS = 80


@dataclass(frozen=True)
class Material:
    """A crystal (sorted by atomic number) with the identity it goes by in a made data set."""

    id: str
    atoms: Atoms

    @property
    def chemsys(self) -> str:
        """Chemical system, as in ``Li-O-P``."""
        return '-'.join(sorted(set(self.atoms.get_chemical_symbols())))

    @property
    def has_transition_metal(self) -> bool:
        """Whether there is an element of groups 3 to 12."""
        return any(21 <= n <= 30 or 39 <= n <= 48 or 57 <= n <= 80 for n in self.atoms.numbers)


def read_crystal(path: Path) -> Atoms:
    """Return the crystal in a CIF, sorted by atomic number, without what else the file says."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # of a space group whose setting is not named
        atoms = read(path)
    assert isinstance(atoms, Atoms)
    order = np.argsort(atoms.numbers, kind='stable')
    return Atoms(atoms.numbers[order], positions=atoms.positions[order], cell=atoms.cell, pbc=True)


@cache
def crystal(name: str) -> Atoms:
    """Return a crystal by the stem of its file, for example ``Li3PO4_gamma`` or ``fwz``; not to be changed."""
    folder = FOLDER if (FOLDER / f'{name}.cif').exists() else OBELIX
    return read_crystal(folder / f'{name}.cif')


@cache
def settled(name: str) -> Atoms:
    """Return a crystal whose ions have come to rest in the toy potential, as the real data's have in their theory."""
    atoms = crystal(name).copy()
    atoms.calc = IonPairs()
    FIRE(atoms, logfile=None).run(fmax=0.02, steps=SETTLING_STEPS)
    atoms.calc = None
    return atoms


@cache
def crystal_names() -> tuple[str, ...]:
    """Return the names of the fully occupied crystals, in a fixed order."""
    own = sorted(path.stem for path in FOLDER.glob('*.cif'))
    obelix = sorted(path.stem for path in OBELIX.glob('*.cif') if path.stem not in UNUSED)
    return (*own, *obelix)


def make_material(number: int, seed: int, toy: bool = True, names: tuple[str, ...] | None = None) -> Material:
    """Return material ``number``: the crystals in turn, each with a strain of its own of at most ``MAX_STRAIN``.

    The strain follows from seed and number alone, so that the first materials of a larger set are the same ones. For
    the toy potential the ions are at rest in the unstrained crystal, for any other they are where the file says.
    """
    chosen = names or crystal_names()
    name = chosen[number % len(chosen)]
    atoms = (settled(name) if toy else crystal(name)).copy()
    strain = np.random.default_rng([seed, number, 1]).uniform(-MAX_STRAIN, MAX_STRAIN, (3, 3))
    cell = np.asarray(atoms.cell) @ (np.eye(3) + 0.5 * (strain + strain.T))
    atoms.set_cell(np.round(cell, 8), scale_atoms=True)
    return Material(material_id(number), atoms)


def material_id(number: int) -> str:
    """Return the made-up identity of material ``number``, in the form of the Materials Project."""
    return f'mp-{FIRST_NUMBER + number}'


def supercell_of(atoms: Atoms, size: int) -> Atoms | None:
    """Return the crystal repeated to exactly ``size`` atoms, as compact as it goes, or ``None`` if it does not go."""
    copies, rest = divmod(size, len(atoms))
    if rest or not copies:
        return None
    lengths = atoms.cell.lengths()
    factors = [
        (a, b, copies // (a * b))
        for a in range(1, copies + 1)
        if copies % a == 0
        for b in range(1, copies // a + 1)
        if copies // a % b == 0
    ]
    best = max(factors, key=lambda repeats: (min(lengths * repeats), -max(lengths * repeats)))
    repeated = atoms.repeat(best)
    order = np.argsort(repeated.numbers, kind='stable')
    return repeated[order]
