"""What costs nothing scores as well: a constant barrier, and the initial guess as it is. A potential has to be better.

The constant is a median, which of all constants has the smallest MAE: of the barriers that training data give, or, if
there are none, of the benchmark's own other materials, each hop's material left out, so that it is not told the answer.
Its r, slope and R2 are not given: what is left out moves the constant away from it, so that they say something about
the leaving out and nothing about barriers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..contract.arrays import Array
from .benchmark_errors import Outcomes
from .bootstrap import Bootstrap
from .estimates import Estimate, missing, number_materials, share
from .regression import BarrierErrors, barrier_errors, mean_size, ratio_of_means


@dataclass(frozen=True)
class ConstantFloor:
    """A constant barrier in place of a potential.

    :ivar barriers_ev: (n,) the constant of each hop, the same for all hops of a material.
    :ivar source: ``training data`` or ``other materials``.
    """

    barriers_ev: Array
    source: str
    mae_ev: Estimate
    rmse_ev: Estimate


@dataclass(frozen=True)
class InitialFloor:
    """The initial guess, straight or by bond valence, in place of an optimised path.

    :ivar barriers: errors of its barriers, by whatever energies it came with; ``None`` if it has none.
    :ivar path_error_ang: the mean of its path errors.
    """

    barriers: BarrierErrors | None
    path_error_ang: Estimate


def constant_barriers(
    reference_ev: Array, materials: Sequence[str], training_ev: Array | None = None
) -> tuple[Array, str]:
    """Return a constant barrier for each hop, (n,) in eV, and where it comes from.

    :param training_ev: barriers, by the same definition, that are not of the benchmark.
    :raises ValueError: if there are neither training data nor two materials.
    """
    if len(reference_ev) != len(materials):
        raise ValueError(f'{len(reference_ev)} reference barriers of {len(materials)} materials')
    if training_ev is not None:
        if not len(training_ev) or not np.isfinite(training_ev).all():
            raise ValueError('training barriers have to be numbers, one at least')
        return np.full(len(reference_ev), float(np.median(training_ev))), 'training data'
    which, n_materials = number_materials(materials)
    if n_materials < 2:
        raise ValueError(
            f'{n_materials} material(s) leave no others to take a constant barrier from: give those of training data'
        )
    constants = np.array([np.median(reference_ev[which != material]) for material in range(n_materials)])
    return constants[which], 'other materials'


def constant_floor(
    reference_ev: Array,
    materials: Sequence[str],
    training_ev: Array | None = None,
    bootstrap: Bootstrap | None = None,
) -> ConstantFloor:
    """Return what a constant scores on barriers (n,) in eV; its intervals take the constant as it is."""
    barriers, source = constant_barriers(reference_ev, materials, training_ev)
    errors = barrier_errors(reference_ev, barriers, materials, bootstrap)
    return ConstantFloor(barriers, source, errors.mae_ev, errors.rmse_ev)


def initial_floor(
    reference_ev: Array,
    initial_ev: Array | None,
    initial_path_errors_ang: Array | None,
    materials: Sequence[str],
    bootstrap: Bootstrap | None = None,
) -> InitialFloor:
    """Return what initial guesses score as they are.

    :param initial_ev: (n,) their barriers in eV by the same definition as the reference: of bond valences, or of the
        potential's energies on the images as they are.
    :param initial_path_errors_ang: (n,) path errors beside the reference.
    """
    bootstrap = bootstrap or Bootstrap()
    barriers = None if initial_ev is None else barrier_errors(reference_ev, initial_ev, materials, bootstrap)
    if initial_path_errors_ang is None:
        return InitialFloor(barriers, missing('path errors were not computed'))
    return InitialFloor(barriers, mean_size(initial_path_errors_ang, materials, bootstrap))


def mae_over_constant(outcomes: Outcomes, constant_ev: Array, bootstrap: Bootstrap | None = None) -> Estimate:
    """Return the MAE of a potential over that of a constant on the hops that it converged, paired; one is useless.

    :param constant_ev: (n,) of :func:`constant_barriers`.
    """
    here = outcomes.of(outcomes.converged)
    return ratio_of_means(
        np.abs(here.predicted_ev - here.reference_ev),
        np.abs(constant_ev[outcomes.converged] - here.reference_ev),
        here.materials,
        bootstrap or Bootstrap(),
    )


def share_closer_than_initial(
    outcomes: Outcomes, initial_path_errors_ang: Array, bootstrap: Bootstrap | None = None
) -> Estimate:
    """Return the share of all hops whose converged path is closer to the reference than the initial guess was.

    What A. K. Bheemaguli, P. Xiao and G. Sai Gautam, Digital Discovery (2026), doi:10.1039/d5dd00534e, ask of
    geometries; here by the path error, and a failed hop is not closer.

    :raises ValueError: if the outcomes have no path errors.
    """
    if outcomes.path_errors_ang is None:
        raise ValueError('path errors were not computed')
    closer = outcomes.converged & (np.nan_to_num(outcomes.path_errors_ang, nan=np.inf) < initial_path_errors_ang)
    return share(closer, outcomes.materials, bootstrap or Bootstrap())
