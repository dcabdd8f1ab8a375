"""Vacancy hops of made data: which ones, their supercells as the publisher lays them out, and relaxed bands."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import numpy.typing as npt
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.calculators.singlepoint import SinglePointCalculator
from ase.mep import NEB
from ase.neighborlist import neighbor_list
from ase.optimize import FIRE

from ...analysis import Geometry, Hop, build_hop
from .crystals import Material
from .potential import IonPairs

LONGEST_HOP_ANG = 8.0
GEOMETRY = Geometry(min_image_distance_ang=8.0, n_images=7, site_tolerance_ang=0.5)
"""As published: at least 8 Ang between periodic images, five images between the ends."""
CLEARANCE_ANG = 1.3
LITHIUM = 3
SPRING_EV_PER_ANG2 = 5.0
FMAX_EV_PER_ANG = 0.1


@dataclass(frozen=True)
class MadeHop:
    """A hop of a made material: its straight path, ``freezed`` on the framework, and the supercell with centroid.

    As the publisher's tool leaves them: the moving ion is atom 0, the others are sorted by atomic number, the middle
    of the hop is the middle of the cell and everything is wrapped into the cell. ``centroid`` has all ions of the
    crystal, the one at the target too, and ``X`` in the middle of the hop as its last atom.
    """

    material: Material
    edge_id: str
    images: list[Atoms]
    centroid: Atoms
    length_ang: float


@dataclass
class MadeBand:
    """What the optimisation of a hop left behind: both ends' steps and the band's, every configuration labelled."""

    hop: MadeHop
    source: list[Atoms] = field(default_factory=list)
    target: list[Atoms] = field(default_factory=list)
    steps: list[list[Atoms]] = field(default_factory=list)

    @property
    def relaxed(self) -> list[Atoms]:
        """The band after its last step."""
        return self.steps[-1]

    @property
    def barrier_ev(self) -> float:
        """Largest less smallest energy over the images, as the publisher defines a barrier."""
        return barrier([image.get_potential_energy() for image in self.relaxed])


def barrier(energies: list[float]) -> float:
    """Return the largest less the smallest energy over the images, in eV."""
    return float(max(energies) - min(energies))


def list_hops(atoms: Atoms, count: int | None = None, longest_ang: float = LONGEST_HOP_ANG) -> list[Hop]:
    """Return vacancy hops of lithium up to a length, one direction of each: the first ``count``, or all.

    The shortest of each length come first, so that a few hops are different ones, then their equivalents. Of the first
    ``count``, those with another ion in the way come last and only if there are not enough others.

    :raises ValueError: if there are fewer than ``count``.
    """
    i, j, offsets, distances = neighbor_list('ijSd', atoms, longest_ang)
    lithium = atoms.numbers == LITHIUM
    found = sorted(
        (round(float(distance), 3), int(a), int(b), tuple(int(n) for n in offset))
        for a, b, offset, distance in zip(i, j, offsets, distances)
        if lithium[a] and lithium[b] and (a < b or (a == b and tuple(offset) > (0, 0, 0)))
    )
    if count is not None and len(found) < count:
        raise ValueError(f'{atoms.get_chemical_formula()} has {len(found)} hops up to {longest_ang} Ang, not {count}')
    first = {entry[0]: entry for entry in reversed(found)}
    ordered = sorted(found, key=lambda entry: (first[entry[0]] is not entry, entry))
    hops = [Hop(source=a, target=b, offset=(s[0], s[1], s[2])) for _, a, b, s in ordered]
    if count is None:
        return hops
    ions = _images(atoms, longest_ang + CLEARANCE_ANG)
    # Looking at a hop takes longer than listing it: no further than need be.
    chosen: list[Hop] = []
    blocked: list[Hop] = []
    for hop in hops:
        (chosen if _is_open(atoms, hop, ions) else blocked).append(hop)
        if len(chosen) == count:
            break
    return [*chosen, *blocked][:count]


def _images(atoms: Atoms, reach: float) -> npt.NDArray[np.float64]:
    """Return the positions (m, 3) of all atoms of a crystal and of their images up to ``reach`` from its own cell."""
    heights = 1.0 / np.linalg.norm(np.linalg.inv(atoms.cell), axis=0)
    steps = itertools.product(*(range(-n, n + 1) for n in np.ceil(reach / heights).astype(int)))
    translations = np.array(list(steps)) @ np.asarray(atoms.cell)
    return np.asarray((translations[:, None, :] + atoms.positions).reshape(-1, 3))


def _is_open(atoms: Atoms, hop: Hop, ions: npt.NDArray[np.float64]) -> bool:
    """Whether no ion but those at the ends is within ``CLEARANCE_ANG`` of the line between them."""
    assert isinstance(hop.target, int)
    start = atoms.positions[hop.source]
    way = atoms.positions[hop.target] + np.array(hop.offset) @ np.asarray(atoms.cell) - start
    along = np.clip((ions - start) @ way / (way @ way), 0.0, 1.0)
    near = np.linalg.norm(ions - start - along[:, None] * way, axis=1) < CLEARANCE_ANG
    return int(near.sum()) == 2


def lay_out(material: Material, hop: Hop, geometry: Geometry = GEOMETRY) -> MadeHop:
    """Return a hop with its straight path and its centroid, see :class:`MadeHop`."""
    path = build_hop(material.atoms, hop, geometry)
    order = np.array([0, *(1 + np.argsort(path.numbers[1:], kind='stable'))])
    middle = path.positions[0, 0] + 0.5 * path.displacement
    shift = 0.5 * path.cell.sum(axis=0) - middle
    images = []
    for positions in path.positions:
        image = Atoms(path.numbers[order], positions=positions[order] + shift, cell=path.cell, pbc=True)
        image.set_array('freezed', np.arange(len(order)) > 0)
        image.wrap()
        images.append(_rounded(image))
    target = Atoms('Li', positions=[path.positions[-1, 0] + shift], cell=path.cell, pbc=True)
    target.wrap()
    crystal = images[0].copy()
    del crystal.arrays['freezed']
    crystal += target
    # Periodic, so the nearest copies of both ends around the centre are meant: the middle of the cell is theirs.
    crystal = crystal[np.argsort(crystal.numbers, kind='stable')]
    crystal.append('X')
    crystal.positions[-1] = 0.5 * path.cell.sum(axis=0)
    offset = '_'.join(str(n) for n in hop.offset)
    edge_id = f'{material.id}_{hop.source}_{hop.target}_{offset}'
    return MadeHop(material, edge_id, images, _rounded(crystal), float(np.linalg.norm(path.displacement)))


def _rounded(atoms: Atoms) -> Atoms:
    """Return the atoms with positions as a file with eight decimals holds them."""
    atoms.positions = np.round(atoms.positions, 8)
    return atoms


def labelled(atoms: Atoms, calculator: Calculator) -> Atoms:
    """Return a copy that holds energy, forces and (where the calculator has it) stress, free of the calculator."""
    copy = atoms.copy()
    copy.calc = calculator
    results = {'energy': float(copy.get_potential_energy()), 'forces': np.array(copy.get_forces())}
    if 'stress' in calculator.implemented_properties and copy.pbc.all():
        results['stress'] = np.array(copy.get_stress())
    copy.calc = SinglePointCalculator(copy, **results)
    return copy


def frozen_barrier_ev(hop: MadeHop, calculator: Calculator | None = None) -> float:
    """Return the barrier of the straight path in the rigid framework: the stand-in for a bond-valence barrier."""
    potential = calculator or IonPairs()
    return barrier([float(labelled(image, potential).get_potential_energy()) for image in hop.images])


def relax(hop: MadeHop, steps: int, calculator: Calculator | None = None) -> MadeBand:
    """Return the band of a hop after at most ``steps`` steps: ends first, then climbing NEB with FIRE, as published.

    Without a ``calculator`` each image has a toy potential of its own, which then keeps its lists of neighbours.
    """
    band = MadeBand(hop)
    images = [image.copy() for image in hop.images]
    for image in images:
        image.calc = calculator or IonPairs()
    for end, record in ((images[0], band.source), (images[-1], band.target)):
        _run(FIRE(end, logfile=None), steps, partial(_record, record, end))
    neb = NEB(
        images, k=SPRING_EV_PER_ANG2, climb=True, method='improvedtangent', allow_shared_calculator=bool(calculator)
    )
    _run(FIRE(neb, logfile=None), steps, lambda: band.steps.append([_snapshot(image) for image in images]))
    return band


def _run(optimiser: FIRE, steps: int, record: Callable[[], None]) -> None:
    optimiser.attach(record)
    optimiser.run(fmax=FMAX_EV_PER_ANG, steps=steps)


def _record(images: list[Atoms], atoms: Atoms) -> None:
    images.append(_snapshot(atoms))


def _snapshot(atoms: Atoms) -> Atoms:
    return labelled(atoms, atoms.calc)


def moved(atoms: Atoms, shift: npt.NDArray[np.float64], order: npt.NDArray[np.int64]) -> Atoms:
    """Return the atoms rigidly shifted by ``shift`` (3,) Ang and in another ``order`` (n,); labels stay exact."""
    copy = atoms[order]
    copy.positions += shift
    if atoms.calc is not None:
        results = {key: value[order] if key == 'forces' else value for key, value in atoms.calc.results.items()}
        copy.calc = SinglePointCalculator(copy, **results)
    return copy


def permutation(numbers: npt.NDArray[np.int64], rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Return a random order that exchanges like atoms only and leaves the first and the last atom where they are."""
    order = np.arange(len(numbers))
    for number in np.unique(numbers[1:-1]):
        places = 1 + np.flatnonzero(numbers[1:-1] == number)
        order[places] = rng.permutation(places)
    return order
