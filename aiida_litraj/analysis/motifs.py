"""Anions of lithium thiophosphates, told by which atoms are neighbours.

PS4 3-: one P with four S of its own. P2S7 4-: two PS4 that share one S. P2S6 4-: two PS3 with a bond between their P.
Everything else around phosphorus is ``other``: two PS4 that share an edge (P2S6 2- of Li2P2S6), longer chains, P with
too few or too many S.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ..contract.arrays import Array
from .contacts import pairs_within
from .crystals import Flags

P_S_ANG = 2.8
"""Up to here P and S are bonded: the middle of the gap between the longest bond (2.32 Ang, bridging S of Li7P3S11) and
the shortest distance without one (3.38 Ang, across P-P in Li4P2S6) in the crystals of the Li-P-S system."""
P_P_ANG = 2.6
"""Up to here P and P are bonded: the middle of the gap between the bond in Li4P2S6 (2.25 Ang) and the distance across
the shared edge in Li2P2S6 (2.94 Ang)."""

MOTIFS = ('PS4', 'P2S7', 'P2S6', 'other')


@dataclass(frozen=True)
class Motifs:
    """Anions in each of F frames.

    :ivar ps4: (F,), number of PS4 groups.
    :ivar p2s7: (F,), number of P2S7 groups.
    :ivar p2s6: (F,), number of P2S6 groups with a P-P bond.
    :ivar other: (F,), number of P atoms in anything else.
    :ivar free_sulfur: (F,), number of S atoms without any P.
    :ivar n_phosphorus: number of P atoms.
    """

    ps4: npt.NDArray[np.int64]
    p2s7: npt.NDArray[np.int64]
    p2s6: npt.NDArray[np.int64]
    other: npt.NDArray[np.int64]
    free_sulfur: npt.NDArray[np.int64]
    n_phosphorus: int

    def shares(self) -> dict[str, float]:
        """Return the mean share of the P atoms in each of ``MOTIFS``; they add up to one."""
        atoms = (self.ps4, 2 * self.p2s7, 2 * self.p2s6, self.other)
        return {name: float(number.mean()) / self.n_phosphorus for name, number in zip(MOTIFS, atoms)}


def count_motifs(
    symbols: Sequence[str],
    frames: Sequence[Array],
    cells: Sequence[Array],
    pbc: Flags,
    p_s_ang: float = P_S_ANG,
    p_p_ang: float = P_P_ANG,
) -> Motifs:
    """Return the anions of frames: positions (n, 3) and cells (3, 3) in Ang.

    :param symbols: (n,) of the atoms.
    :raises ValueError: if there is no P or no S, no frame, or a cutoff is not positive.
    """
    if not {'P', 'S'} <= set(symbols):
        raise ValueError(f'motifs are made of P and S; the structure has {", ".join(sorted(set(symbols)))}')
    if not len(frames):
        raise ValueError('there are no frames')
    if not (p_s_ang > 0.0 and p_p_ang > 0.0):
        raise ValueError(f'cutoffs must be positive: P-S {p_s_ang:g} Ang, P-P {p_p_ang:g} Ang')
    kinds = np.array(list(symbols))
    counts = [_count(kinds, one, cell, pbc, p_s_ang, p_p_ang) for one, cell in zip(frames, cells)]
    ps4, p2s7, p2s6, other, free = np.array(counts, dtype=np.int64).T
    return Motifs(ps4, p2s7, p2s6, other, free, int((kinds == 'P').sum()))


def _count(
    kinds: npt.NDArray[np.str_], positions: Array, cell: Array, pbc: Flags, p_s: float, p_p: float
) -> tuple[int, int, int, int, int]:
    """Return the numbers of PS4, P2S7, P2S6, of P in others, and of S without P in one frame."""
    phosphorus, sulfur = np.flatnonzero(kinds == 'P'), np.flatnonzero(kinds == 'S')
    number_of = np.zeros(len(kinds), dtype=np.int64)
    number_of[phosphorus], number_of[sulfur] = np.arange(len(phosphorus)), np.arange(len(sulfur))
    pairs = pairs_within(positions, cell, pbc, max(p_s, p_p))
    left, right = kinds[pairs.first], kinds[pairs.second]
    bond = (left == 'P') & (right == 'S') & (pairs.distances <= p_s)
    p_of, s_of = number_of[pairs.first[bond]], number_of[pairs.second[bond]]
    link = (left == 'P') & (right == 'P') & (pairs.distances <= p_p)
    one, two = number_of[pairs.first[link]], number_of[pairs.second[link]]
    n_p, n_s = len(phosphorus), len(sulfur)
    groups = _groups(p_of, s_of, one, two, n_p, n_s)
    of_p, of_s = groups[:n_p], groups[n_p:]
    free = int((np.bincount(s_of, minlength=n_s) == 0).sum())
    n_groups = int(groups.max()) + 1
    p_in, s_in = np.bincount(of_p, minlength=n_groups), np.bincount(of_s, minlength=n_groups)
    bonds = np.bincount(of_p[p_of], minlength=n_groups)  # P-S bonds
    links = np.bincount(of_p[one], minlength=n_groups)  # P-P bonds, each from both sides
    # Every P with as many S as it should have, whatever the sums say.
    per_p = np.bincount(p_of, minlength=n_p)
    fewest, most = np.full(n_groups, 99), np.zeros(n_groups, dtype=np.int64)
    np.minimum.at(fewest, of_p, per_p)
    np.maximum.at(most, of_p, per_p)
    fours, threes = (fewest == 4) & (most == 4), (fewest == 3) & (most == 3)
    ps4 = (p_in == 1) & (s_in == 4) & fours & (links == 0)
    p2s7 = (p_in == 2) & (s_in == 7) & fours & (links == 0) & (bonds == 8)
    p2s6 = (p_in == 2) & (s_in == 6) & threes & (links == 2)
    n_ps4, n_p2s7, n_p2s6 = int(ps4.sum()), int(p2s7.sum()), int(p2s6.sum())
    return n_ps4, n_p2s7, n_p2s6, n_p - n_ps4 - 2 * (n_p2s7 + n_p2s6), free


def _groups(
    p_of: npt.NDArray[np.int64],
    s_of: npt.NDArray[np.int64],
    one: npt.NDArray[np.int64],
    two: npt.NDArray[np.int64],
    n_p: int,
    n_s: int,
) -> npt.NDArray[np.int64]:
    """Return for every P, then every S, the number of the group of bonded atoms it is in."""
    rows, columns = np.concatenate([p_of, one]), np.concatenate([n_p + s_of, two])
    graph = coo_array((np.ones(len(rows)), (rows, columns)), shape=(n_p + n_s, n_p + n_s))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)
