"""Random packings of hard spheres in a cubic cell: the structures from which glasses and robustness tests start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from ase.data import atomic_masses, atomic_numbers
from scipy.optimize import minimize

from ..contract.arrays import Array

AVOGADRO_ANG3_PER_CM3 = 0.602214076
"""Of the Avogadro constant times 1e-24: g/mol per Ang^3 is 1/0.602 g/cm^3."""
DENSEST_FRACTION = 0.7405
"""Volume fraction of the densest packing of equal spheres (Kepler; proved by T. C. Hales). Unequal ones can fill more
if small ones are put into the holes between large ones, which random places do not find."""
RANDOM_FRACTION = 0.64
"""Of the densest random packing of equal spheres (J. D. Bernal, G. D. Scott)."""
ATTEMPTS = (10, 40, 150, 300)
"""Places tried for an atom, in turns, before all are put in at random and pushed apart."""
PACKINGS = 6
"""Packings pushed apart before giving up."""
SLACK = 1e-3
"""Spheres are pushed apart to so much more than asked for, relatively, so that round-off takes nothing away."""


@dataclass(frozen=True)
class Packing:
    """Atoms in a cubic cell.

    :ivar symbols: (n,), in the order of the composition.
    :ivar positions: (n, 3) in Ang, inside the cell.
    :ivar length_ang: of the cell's edge.
    :ivar pushed: whether spheres had to be pushed apart, instead of all being put in one after another.
    """

    symbols: tuple[str, ...]
    positions: Array
    length_ang: float
    pushed: bool

    @property
    def cell(self) -> Array:
        """Cell vectors (3, 3) in Ang."""
        return np.asarray(self.length_ang * np.eye(3))


def cubic_length(composition: Mapping[str, int], density_g_per_cm3: float) -> float:
    """Return the edge in Ang of the cube in which so many atoms have this density."""
    mass = sum(number * float(atomic_masses[atomic_numbers[symbol]]) for symbol, number in composition.items())
    return float((mass / (density_g_per_cm3 * AVOGADRO_ANG3_PER_CM3)) ** (1.0 / 3.0))


def random_spheres(
    composition: Mapping[str, int],
    density_g_per_cm3: float,
    min_distances_ang: Mapping[str, float],
    seed: int,
) -> Packing:
    """Return atoms at random in a cube such that no two are closer than the least distance of their elements.

    Atoms are put in one after another at random places that are free (random sequential addition), the largest first.
    Where that jams, all are put in anywhere and overlaps are removed by minimising their squares. The numbers come
    from numpy's PCG64 with the seed alone, so that the same input gives the same cell.

    :param composition: number of atoms of each element.
    :param min_distances_ang: of every pair of elements, such as ``{'Li-Li': 2.0, 'Li-P': 2.2}``, in any order.
    :raises ValueError: naming what is wrong with the input, or what cannot be packed and what would help.
    """
    table = _table(composition, min_distances_ang)
    if not (np.isfinite(density_g_per_cm3) and density_g_per_cm3 > 0.0):
        raise ValueError(f'density_g_per_cm3 = {density_g_per_cm3:g} is not positive')
    elements = list(composition)
    kind = np.repeat(np.arange(len(elements)), [composition[symbol] for symbol in elements])
    length = cubic_length(composition, density_g_per_cm3)
    _check_room(composition, table, length, density_g_per_cm3)
    limits = table[kind[:, None], kind[None, :]]
    generator = np.random.default_rng(seed)
    positions, pushed = _add_one_by_one(limits, length, generator), False
    for _ in range(PACKINGS):
        if positions is not None:
            symbols = tuple(elements[number] for number in kind)
            return Packing(symbols, positions, length, pushed)
        positions, pushed = _push_apart(generator.uniform(0.0, length, (len(kind), 3)), limits, length), True
    share = _share(composition, np.diag(table), length)
    raise ValueError(
        f'{_formula(composition)} at density_g_per_cm3 = {density_g_per_cm3:g} cannot be packed at random with '
        f'{_distances(elements, table)}: it jams, after {PACKINGS - 1} attempts to push the atoms apart. Spheres as '
        f'wide as the distances of like atoms would fill {share:.0%} of the cell; equal ones jam at '
        f'{RANDOM_FRACTION:.0%}, and distances of unlike atoms that are more than the mean of both jam earlier. '
        'Lower the density or the distances'
    )


def _table(composition: Mapping[str, int], min_distances_ang: Mapping[str, float]) -> Array:
    """Return the least distances (elements, elements) in Ang.

    :raises ValueError: if an element, a number of atoms or a distance is wrong or missing.
    """
    if not composition:
        raise ValueError('composition is empty; give the number of atoms of each element')
    for symbol, number in composition.items():
        if symbol not in atomic_numbers or not atomic_numbers[symbol]:
            raise ValueError(f'composition: {symbol!r} is not an element')
        if not isinstance(number, int | np.integer) or isinstance(number, bool) or number < 1:
            raise ValueError(f'composition: the number of {symbol} atoms is {number!r}, not a positive integer')
    elements = list(composition)
    table = np.full((len(elements), len(elements)), np.nan)
    for name, distance in min_distances_ang.items():
        pair = name.split('-')
        if len(pair) != 2 or not all(symbol in atomic_numbers for symbol in pair):
            raise ValueError(f'min_distances_ang: {name!r} is not a pair of elements such as Li-S')
        if not (np.isfinite(distance) and distance >= 0.0):
            raise ValueError(f'min_distances_ang: {name} is {distance!r}, not a distance in Ang')
        if set(pair) <= set(elements):
            one, two = (elements.index(symbol) for symbol in pair)
            if np.isfinite(table[one, two]) and table[one, two] != distance:
                raise ValueError(f'min_distances_ang: {name} is given twice, as {table[one, two]:g} and {distance:g}')
            table[one, two] = table[two, one] = distance
    for one, two in zip(*np.nonzero(np.isnan(np.triu(table)))):
        raise ValueError(f'min_distances_ang has no {elements[one]}-{elements[two]}; give every pair of elements')
    return table


def _check_room(composition: Mapping[str, int], table: Array, length: float, density: float) -> None:
    """Refuse what cannot be packed, of unequal spheres also what random places would not find.

    :raises ValueError: naming what is too large.
    """
    elements = list(composition)
    for index, symbol in enumerate(elements):
        if table[index, index] > length:
            raise ValueError(
                f'min_distances_ang: {symbol}-{symbol} {table[index, index]:g} Ang is more than the edge of the cell, '
                f'{length:.2f} Ang, at which an atom meets its own image; take more atoms or a smaller distance'
            )
    fraction = _share(composition, _additive(table), length)
    if fraction > DENSEST_FRACTION:
        raise ValueError(
            f'{_formula(composition)} at density_g_per_cm3 = {density:g} cannot be packed with '
            f'{_distances(elements, table)}: spheres of these sizes would fill {fraction:.0%} of the cell. Equal '
            f'ones fill {DENSEST_FRACTION:.0%} at most, and unequal ones at random places no more; lower the density '
            'or the distances'
        )


def _additive(table: Array) -> Array:
    """Return diameters (elements,) whose means are nowhere more than the least distances: what is hard in any case."""
    diameters = np.diag(table).copy()
    for index in range(len(table)):
        others = [2.0 * table[index, other] - table[other, other] for other in range(len(table)) if other != index]
        diameters[index] = max(0.0, min([diameters[index], *others]))
    return np.asarray(diameters)


def _share(composition: Mapping[str, int], diameters: Array, length: float) -> float:
    """Return the share of the cell that spheres of these diameters (elements,) fill."""
    numbers = np.array(list(composition.values()))
    return float((numbers * np.pi / 6.0 * diameters**3).sum() / length**3)


def _formula(composition: Mapping[str, int]) -> str:
    return ''.join(f'{symbol}{number if number > 1 else ""}' for symbol, number in composition.items())


def _distances(elements: list[str], table: Array) -> str:
    pairs = [(one, two) for one in range(len(elements)) for two in range(one, len(elements))]
    return ', '.join(f'{elements[one]}-{elements[two]} {table[one, two]:g}' for one, two in pairs) + ' Ang'


def _add_one_by_one(limits: Array, length: float, generator: np.random.Generator) -> Array | None:
    """Return positions (n, 3) with every atom at a random free place, or ``None`` if one finds no place."""
    order = np.argsort(-limits.max(axis=1), kind='stable')
    positions = np.empty((len(order), 3))
    for count, atom in enumerate(order):
        placed = order[:count]
        for number in ATTEMPTS:
            trials = generator.uniform(0.0, length, (number, 3))
            apart = trials[:, None, :] - positions[None, placed, :]
            apart -= length * np.round(apart / length)
            free = (np.square(apart).sum(axis=-1) >= np.square(limits[atom, placed])).all(axis=1)
            if free.any():
                positions[atom] = trials[int(free.argmax())]
                break
        else:
            return None
    return positions


def _push_apart(positions: Array, limits: Array, length: float) -> Array | None:
    """Return positions (n, 3) without overlaps, from any to start with, or ``None`` if some overlap stays."""
    one, two = np.triu_indices(len(positions), 1)
    least = limits[one, two]
    target = least * (1.0 + SLACK)

    def apart(places: Array) -> tuple[Array, Array]:
        vectors = places[one] - places[two]
        vectors -= length * np.round(vectors / length)
        return vectors, np.maximum(np.linalg.norm(vectors, axis=1), 1e-12)

    def overlap(flat: Array) -> tuple[float, Array]:
        vectors, distances = apart(flat.reshape(-1, 3))
        inside = np.flatnonzero(distances < target)
        depth = target[inside] - distances[inside]
        pull = (-2.0 * depth / distances[inside])[:, None] * vectors[inside]
        gradient = np.zeros((len(positions), 3))
        np.add.at(gradient, one[inside], pull)
        np.subtract.at(gradient, two[inside], pull)
        return float(np.square(depth).sum()), gradient.ravel()

    flat = positions.ravel()
    options = {'maxiter': 3000, 'maxfun': 6000, 'ftol': 0.0, 'gtol': 1e-9}
    result = minimize(overlap, flat, jac=True, method='L-BFGS-B', options=options)
    places = np.asarray(result.x).reshape(-1, 3) % length
    return places if (apart(places)[1] >= least).all() else None
