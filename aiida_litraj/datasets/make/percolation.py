"""Made BVEL13k: crystals with the barriers at which lithium percolates in one, two and three dimensions."""

from __future__ import annotations

from contextlib import ExitStack
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.data import covalent_radii

from ...analysis import Hop
from .crystals import Material, make_material, material_id
from .hops import LITHIUM, list_hops, moved
from .layout import SPLITS, fresh_folder, random_shift, slots, write_table
from .potential import ANIONS, CUTOFF_ANG, pair_energy
from .writing import write_frames

COLUMNS = ('material_id', 'chemsys', '_split', 'E_1D', 'E_2D', 'E_3D')
POINTS = 9


def make_bvel13k(
    folder: Path,
    n: int,
    seed: int,
    calculator: Calculator | None = None,
    distinct: int = 60,
    name: str = 'BVEL13k',
    spelling: str | None = None,
) -> Path:
    """Write ``n`` made materials with their percolation barriers and return their folder.

    The barriers are those of :func:`percolation_barriers_ev`; a ``calculator`` has no part in them.
    """
    place = fresh_folder(folder, spelling or name)

    @cache
    def model(number: int) -> tuple[Material, tuple[float, float, float]]:
        material = make_material(number, seed)
        return material, percolation_barriers_ev(material.atoms)

    rows = []
    with ExitStack() as stack:
        files = {split: stack.enter_context((place / f'{name}_{split}.xyz').open('wb')) for split in SPLITS}
        for slot in slots(n, 1, distinct, seed):
            material, barriers = model(slot.model)
            shift = random_shift(seed, slot.material) if slot.is_copy else np.zeros(3)
            atoms = moved(material.atoms, shift, np.arange(len(material.atoms)))
            atoms.info = {'material_id': material_id(slot.material), **dict(zip(('E_1D', 'E_2D', 'E_3D'), barriers))}
            write_frames(files[slot.split], [atoms])
            rows.append({**atoms.info, 'chemsys': material.chemsys, '_split': slot.split})
    write_table(place / f'{name}_index.csv', COLUMNS, rows)
    return place


def percolation_barriers_ev(atoms: Atoms, longest_ang: float = 4.5) -> tuple[float, float, float]:
    """Return the lowest barriers (eV) at which the hops of lithium make an endless way in 1, 2 and 3 dimensions.

    A hop's barrier is largest less smallest energy of the ion on the straight line in the rigid framework. Hops are
    admitted from the lowest barrier on; those within a connected set of sites that lead back to a site's periodic image
    give its directions of percolation, and the set percolates in as many dimensions as these span.
    """
    hops = list_hops(atoms, longest_ang=longest_ang)
    graded = sorted((hop_barrier_ev(atoms, hop), number) for number, hop in enumerate(hops))
    network = Network(len(atoms))
    reached: list[float] = []
    for height, number in graded:
        dimensions = network.connect(hops[number])
        reached += [round(height, 4)] * (dimensions - len(reached))
        if len(reached) == 3:
            return reached[0], reached[1], reached[2]
    if longest_ang > 12.0:
        raise ValueError(f'lithium does not percolate in three dimensions in {atoms.get_chemical_formula()}')
    return percolation_barriers_ev(atoms, longest_ang + 1.5)


def hop_barrier_ev(atoms: Atoms, hop: Hop) -> float:
    """Return the barrier (eV) of one lithium ion on the straight line of a hop between two empty sites."""
    cell = np.asarray(atoms.cell)
    start = atoms.positions[hop.source]
    assert isinstance(hop.target, int)
    end = atoms.positions[hop.target] + np.array(hop.offset) @ cell
    points = start + np.linspace(0.0, 1.0, POINTS)[:, None] * (end - start)
    ions, numbers = _surroundings(atoms, 0.5 * (start + end), CUTOFF_ANG + 0.5 * float(np.linalg.norm(end - start)))
    ends = np.array([start, end])
    kept = np.linalg.norm(ions[:, None] - ends, axis=2).min(axis=1) > 0.01
    ions, numbers = ions[kept], numbers[kept]
    distances = np.linalg.norm(points[:, None] - ions, axis=2)
    like = np.broadcast_to(~np.isin(numbers, ANIONS), distances.shape)
    bond = np.broadcast_to(covalent_radii[numbers] + covalent_radii[LITHIUM], distances.shape)
    energies = pair_energy(distances, like, bond)[0].sum(axis=1)
    return float(energies.max() - energies.min())


def _surroundings(atoms: Atoms, centre: npt.NDArray[np.float64], reach: float) -> tuple[npt.NDArray[np.float64], ...]:
    """Return positions (m, 3) and atomic numbers (m,) of the crystal's atoms within ``reach`` of a point."""
    cell = np.asarray(atoms.cell)
    limits = np.floor(reach * np.linalg.norm(np.linalg.inv(cell), axis=0) + 0.5).astype(int)
    grid = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in limits), indexing='ij'), axis=-1).reshape(-1, 3)
    fractional = atoms.cell.scaled_positions(atoms.positions - centre)
    near = (fractional - np.round(fractional)) @ cell
    ions = (near[None] + (grid @ cell)[:, None]).reshape(-1, 3)
    numbers = np.tile(atoms.numbers, len(grid))
    inside = np.linalg.norm(ions, axis=1) < reach
    return ions[inside] + centre, numbers[inside]


class Network:
    """Sites of a crystal joined by hops: sets of connected sites, and the lattice translations their loops make."""

    def __init__(self, n_sites: int) -> None:
        self._parent = list(range(n_sites))
        # A site in cell 0 belongs together with its parent in this cell.
        self._cell = [np.zeros(3, dtype=int) for _ in range(n_sites)]
        self._loops: list[list[npt.NDArray[np.int64]]] = [[] for _ in range(n_sites)]

    def connect(self, hop: Hop) -> int:
        """Join source and target and return in how many dimensions their set now percolates."""
        assert isinstance(hop.target, int)
        first, first_cell = self._root(hop.source)
        second, second_cell = self._root(hop.target)
        step = np.array(hop.offset) + second_cell - first_cell
        if first == second:
            self._loops[first].append(step)
        else:
            self._parent[second], self._cell[second] = first, -step
            self._loops[first] += self._loops[second]
        loops = self._loops[first]
        return int(np.linalg.matrix_rank(np.array(loops))) if loops else 0

    def _root(self, site: int) -> tuple[int, npt.NDArray[np.int64]]:
        cell = np.zeros(3, dtype=int)
        while self._parent[site] != site:
            cell = cell + self._cell[site]
            site = self._parent[site]
        return site, cell
