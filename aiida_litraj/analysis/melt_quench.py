"""The stages of a melt-quench: where temperature and density go, and what the structure is in each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from ase.data import atomic_masses, atomic_numbers

from ..contract.arrays import Array
from .crystals import Flags
from .motifs import P_P_ANG, P_S_ANG, Motifs, count_motifs
from .random_spheres import AVOGADRO_ANG3_PER_CM3
from .rdf import RadialDistribution, coordination_numbers, radial_distributions

LI_S_ANG = 3.1
"""Up to here S is a neighbour of Li: behind most of the first shell in the crystals (2.2-2.9 Ang), before the next."""
CUTOFFS_ANG: Mapping[str, float] = {'Li-S': LI_S_ANG, 'P-S': P_S_ANG}
"""Of the coordination numbers: P-S as for the anions."""


@dataclass(frozen=True)
class Trace:
    """Course of a simulation: instantaneous values at (m,) times.

    :ivar target_k: (m,) that the thermostat was set to, or ``None``.
    :ivar density_g_per_cm3: (m,).
    """

    times_ps: Array
    temperatures_k: Array
    target_k: Array | None
    density_g_per_cm3: Array


@dataclass(frozen=True)
class Stage:
    """Structure in one stage of the schedule.

    :ivar name: such as ``melt``.
    :ivar start_ps: of the time that was averaged over.
    :ivar stop_ps: of the same.
    :ivar distributions: radial distributions by pair of elements.
    :ivar coordination: share of atoms with each number of neighbours, by pair such as ``Li-S`` (S around Li).
    :ivar motifs: anions in each frame, ``None`` where there is no P or no S.
    """

    name: str
    start_ps: float
    stop_ps: float
    n_frames: int
    distributions: dict[tuple[str, str], RadialDistribution]
    coordination: dict[str, dict[int, float]]
    motifs: Motifs | None


def density(symbols: Sequence[str], volumes_ang3: Array) -> Array:
    """Return densities (m,) in g/cm^3 of these atoms in volumes (m,) in Ang^3."""
    mass = sum(float(atomic_masses[atomic_numbers[symbol]]) for symbol in symbols)
    return np.asarray(mass / AVOGADRO_ANG3_PER_CM3 / np.asarray(volumes_ang3, dtype=float))


def analyse_stage(
    name: str,
    symbols: Sequence[str],
    times_ps: Array,
    frames: Sequence[Array],
    cells: Sequence[Array],
    pbc: Flags,
    max_distance_ang: float = 8.0,
    shell_ang: float = 0.05,
    cutoffs_ang: Mapping[str, float] = CUTOFFS_ANG,
) -> Stage:
    """Return the structure averaged over frames: positions (n, 3) and cells (3, 3) in Ang.

    :param times_ps: (F,) of the frames.
    :param cutoffs_ang: of the coordination numbers; pairs of elements that are not there are left out.
    :raises ValueError: if there are no frames, or as ``radial_distributions`` and ``coordination_numbers``.
    """
    if not len(frames) or len(frames) != len(times_ps):
        raise ValueError(f'stage {name}: {len(frames)} frames and {len(times_ps)} times')
    there = set(symbols)
    pairs = {pair: cutoff for pair, cutoff in cutoffs_ang.items() if set(pair.split('-')) <= there}
    return Stage(
        name=name,
        start_ps=float(times_ps[0]),
        stop_ps=float(times_ps[-1]),
        n_frames=len(frames),
        distributions=radial_distributions(symbols, frames, cells, pbc, max_distance_ang, shell_ang),
        coordination=coordination_numbers(symbols, frames, cells, pbc, pairs),
        motifs=count_motifs(symbols, frames, cells, pbc, P_S_ANG, P_P_ANG) if {'P', 'S'} <= there else None,
    )
