"""Radial distribution functions and coordination numbers, averaged over frames whose cells may change."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from ase.data import atomic_numbers

from ..contract.arrays import Array
from .contacts import pairs_within
from .crystals import Flags


@dataclass(frozen=True)
class RadialDistribution:
    """Surroundings of the atoms of one element by those of another.

    :ivar centre: element of the atoms in the middle.
    :ivar around: element of the atoms around them.
    :ivar edges_ang: (n + 1,), of the shells.
    :ivar g: (n,), density of ``around`` in each shell over its mean density N/V: without a self-exclusion, so that an
        ideal gas of N atoms of one element has 1 - 1/N, and the integral below is exact.
    :ivar neighbours: (n,), mean number of atoms closer than the outer edge of each shell,
        the integral of 4 pi r^2 (N/V) g.
    """

    centre: str
    around: str
    edges_ang: Array
    g: Array
    neighbours: Array

    @property
    def radii_ang(self) -> Array:
        """Middles (n,) of the shells."""
        return np.asarray(0.5 * (self.edges_ang[1:] + self.edges_ang[:-1]))

    def coordination(self, cutoff_ang: float) -> float:
        """Return the mean number of neighbours within a distance, interpolated in its shell."""
        return float(np.interp(cutoff_ang, self.edges_ang, np.concatenate([[0.0], self.neighbours])))


def radial_distributions(
    symbols: Sequence[str],
    frames: Sequence[Array],
    cells: Sequence[Array],
    pbc: Flags,
    max_distance_ang: float,
    shell_ang: float = 0.05,
    pairs: Sequence[tuple[str, str]] | None = None,
) -> dict[tuple[str, str], RadialDistribution]:
    """Return radial distributions of pairs of elements, all of them if not named, up to a distance of any length.

    Every image within the distance counts, so the result is right in skewed and small cells too; beyond half the
    shortest translation it shows the periodicity of the cell.

    :param symbols: (n,) of the atoms.
    :param frames: positions (n, 3) in Ang of each frame.
    :param cells: (3, 3) of each frame, in Ang; all three directions periodic.
    :raises ValueError: if there are no frames, a cell is not periodic, a length is not positive, or an element is not
        there.
    """
    if not len(frames) or len(frames) != len(cells):
        raise ValueError(f'{len(frames)} frames and {len(cells)} cells')
    if not np.asarray(pbc).all():
        raise ValueError('a radial distribution needs a cell that is periodic in all directions: it has no density')
    if not (max_distance_ang > 0.0 and shell_ang > 0.0):
        raise ValueError(f'distances must be positive: up to {max_distance_ang:g} Ang in shells of {shell_ang:g} Ang')
    there = sorted(set(symbols), key=lambda symbol: int(atomic_numbers[symbol]))
    chosen = list(pairs) if pairs is not None else list(itertools.combinations_with_replacement(there, 2))
    for symbol in {symbol for pair in chosen for symbol in pair} - set(there):
        raise ValueError(f'there is no {symbol} but {", ".join(there)}')
    index = {symbol: number for number, symbol in enumerate(there)}
    kind = np.array([index[symbol] for symbol in symbols])
    n_shells = max(1, round(max_distance_ang / shell_ang))
    edges = np.linspace(0.0, max_distance_ang, n_shells + 1)
    found, scaled = _count(kind, len(there), frames, cells, edges)
    shells = 4.0 / 3.0 * np.pi * np.diff(edges**3)
    numbers = np.bincount(kind)
    result = {}
    for centre, around in chosen:
        a, b = index[centre], index[around]
        g = scaled[a, b] / (len(frames) * numbers[a] * numbers[b] * shells)
        neighbours = np.cumsum(found[a, b]) / (len(frames) * numbers[a])
        result[centre, around] = RadialDistribution(centre, around, edges, g, neighbours)
    return result


def _count(
    kind: npt.NDArray[np.int64], n_kinds: int, frames: Sequence[Array], cells: Sequence[Array], edges: Array
) -> tuple[Array, Array]:
    """Return pairs (kinds, kinds, shells) summed over frames, and the same times the volume of each frame."""
    shape = (n_kinds, n_kinds, len(edges) - 1)
    found, scaled = np.zeros(shape), np.zeros(shape)
    for positions, cell in zip(frames, cells):
        pairs = pairs_within(positions, cell, np.ones(3, dtype=bool), float(edges[-1]))
        shell = np.minimum(np.searchsorted(edges, pairs.distances, side='right') - 1, shape[2] - 1)
        place = np.ravel_multi_index((kind[pairs.first], kind[pairs.second], shell), shape)
        counted = np.bincount(place, minlength=found.size).reshape(shape)
        found += counted
        scaled += counted * abs(float(np.linalg.det(cell)))
    return found, scaled


def coordination_numbers(
    symbols: Sequence[str], frames: Sequence[Array], cells: Sequence[Array], pbc: Flags, cutoffs: Mapping[str, float]
) -> dict[str, dict[int, float]]:
    """Return for pairs such as ``P-S`` (S around P) the share of atoms with each number of neighbours.

    :param cutoffs: distance in Ang up to which an atom is a neighbour, for each pair.
    :raises ValueError: if a pair is not of two elements that are there.
    """
    kinds = np.array(list(symbols))
    result: dict[str, dict[int, float]] = {}
    for name, cutoff in cutoffs.items():
        centre, _, around = name.partition('-')
        if not {centre, around} <= set(symbols):
            raise ValueError(f'{name} is not a pair of {", ".join(sorted(set(symbols)))}, such as P-S')
        tally = np.zeros(1, dtype=np.int64)
        for positions, cell in zip(frames, cells):
            pairs = pairs_within(positions, cell, pbc, cutoff)
            of_pair = (kinds[pairs.first] == centre) & (kinds[pairs.second] == around)
            numbers = np.bincount(pairs.first[of_pair], minlength=len(kinds))[kinds == centre]
            counted = np.bincount(numbers, minlength=len(tally))
            counted[: len(tally)] += tally
            tally = counted
        result[name] = {int(n): float(tally[n] / tally.sum()) for n in np.flatnonzero(tally)}
    return result
