"""What a potential makes of a set of hops with known barriers: how many bands converge, and how far off they are.

Two definitions of a barrier, by name: ``range`` is the highest image minus the lowest, the barrier of LiTraj
(Dembitskiy et al., npj Comput. Mater. 11, 131 (2025)), ``forward`` the highest minus the first, what an ion has to
climb from where it started. They differ where an image lies below the first one, such as a lower end.

Two populations. LiTraj judges converged bands only; what a potential fails on then costs it nothing, and each potential
is judged on hops of its own. Over all hops a failure, that is a band which the protocol did not converge, is charged
with what its user is left with: a constant for the barrier, the initial guess for the path (``floors``). So to fail on
all of them scores just the floor. That would still flatter a potential that fails where it would have been worse than
the floor; so there are two numbers besides that assume nothing about a failure, which is further off than anything
else: the median of the errors, and the share of all hops that are within a tolerance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from ..contract.arrays import Array
from .barrier_check import heights
from .bootstrap import Bootstrap
from .estimates import Estimate, Mask, missing, number_materials, share
from .regression import BarrierErrors, barrier_errors, mean_size, ratio_of_means

Definition = Literal['range', 'forward']
DEFINITIONS: tuple[Definition, ...] = get_args(Definition)

TOLERANCES_EV = (0.05, 0.1, 0.2)
"""The best MAE that has been reported on LiTraj's hops is 0.1 eV; half of it, and twice."""


@dataclass(frozen=True)
class Outcomes:
    """What a potential made of n hops, all barriers by one ``definition``.

    :ivar materials: (n,) of which material each hop is.
    :ivar reference_ev: (n,) barriers of the reference.
    :ivar predicted_ev: (n,) of the potential, NaN where it has none.
    :ivar converged: (n,) whether the protocol's criterion was met by band and ends.
    :ivar path_errors_ang: (n,) path error beside the reference, NaN where there is no path; ``None`` if not computed.
    :raises ValueError: if lengths differ, a reference is not finite or a converged band has no barrier.
    """

    definition: Definition
    materials: tuple[str, ...]
    reference_ev: Array
    predicted_ev: Array
    converged: Mask
    path_errors_ang: Array | None = None

    def __post_init__(self) -> None:
        if self.definition not in DEFINITIONS:
            raise ValueError(f'barriers are by {" or ".join(DEFINITIONS)}, not {self.definition!r}')
        n = len(self.materials)
        for name in ('reference_ev', 'predicted_ev', 'converged', 'path_errors_ang'):
            values = getattr(self, name)
            if values is not None and values.shape != (n,):
                raise ValueError(f'{name} has the shape {values.shape}, there are {n} hops')
        _must_be_finite('reference_ev', self.reference_ev, np.ones(n, dtype=bool))
        _must_be_finite('predicted_ev', self.predicted_ev, self.converged)
        if self.path_errors_ang is not None:
            _must_be_finite('path_errors_ang', self.path_errors_ang, self.converged)

    @property
    def n_paths(self) -> int:
        return len(self.materials)

    def of(self, here: Mask) -> Outcomes:
        """Return those of the hops ``here`` (n,)."""
        return Outcomes(
            self.definition,
            tuple(name for name, taken in zip(self.materials, here) if taken),
            self.reference_ev[here],
            self.predicted_ev[here],
            self.converged[here],
            None if self.path_errors_ang is None else self.path_errors_ang[here],
        )


@dataclass(frozen=True)
class Fallback:
    """What the user of a potential is left with on each hop where it fails, (n,) each; see ``floors``.

    :ivar barriers_ev: by the same definition as the outcomes.
    :ivar path_errors_ang: of the initial guess, ``None`` if not computed.
    """

    barriers_ev: Array
    path_errors_ang: Array | None = None

    def of(self, here: Mask) -> Fallback:
        """Return that of the hops ``here`` (n,)."""
        return Fallback(self.barriers_ev[here], None if self.path_errors_ang is None else self.path_errors_ang[here])


@dataclass(frozen=True)
class ChargedErrors:
    """Errors over all hops; names say what a failed one is taken for.

    :ivar share_within_failed_as_missed: by tolerance in eV the share of all hops that converged to within it.
    :ivar median_error_ev_failed_as_infinite: of the sizes of errors, none if it is a failed one; an end of its interval
        that is one is infinite.
    """

    n_paths: int
    n_failed: int
    mae_ev_failed_as_constant: Estimate
    rmse_ev_failed_as_constant: Estimate
    path_error_ang_failed_as_initial: Estimate
    median_error_ev_failed_as_infinite: Estimate
    share_within_failed_as_missed: Mapping[float, Estimate]


@dataclass(frozen=True)
class BenchmarkErrors:
    """What a potential is off on a set of hops.

    :ivar n_unconverged: bands with a barrier that the protocol did not converge; failures, like those without one.
    :ivar converged_only: as LiTraj publishes them.
    :ivar path_error_ang_converged_only: LiTraj's PA_MAE averaged over hops.
    :ivar charged: over all hops, ``None`` without a fallback.
    """

    definition: Definition
    n_paths: int
    n_materials: int
    n_converged: int
    n_unconverged: int
    n_without_barrier: int
    convergence_rate: Estimate
    converged_only: BarrierErrors
    path_error_ang_converged_only: Estimate
    charged: ChargedErrors | None


def barrier_of(energies_ev: Array, definition: Definition) -> float:
    """Return the barrier in eV of a path with the energies (n_images,); NaN if an energy is not finite."""
    if definition not in DEFINITIONS:
        raise ValueError(f'barriers are by {" or ".join(DEFINITIONS)}, not {definition!r}')
    if not len(energies_ev) or not np.isfinite(energies_ev).all():
        return float('nan')
    found = heights(energies_ev, np.ones(len(energies_ev), dtype=bool))
    return found.range_ev if definition == 'range' else found.barrier_ev


def benchmark_errors(
    outcomes: Outcomes,
    fallback: Fallback | None = None,
    bootstrap: Bootstrap | None = None,
    tolerances_ev: Sequence[float] = TOLERANCES_EV,
) -> BenchmarkErrors:
    """Return what a potential is off, over converged hops and over all."""
    bootstrap = bootstrap or Bootstrap()
    good = outcomes.of(outcomes.converged)
    finite = np.isfinite(outcomes.predicted_ev)
    return BenchmarkErrors(
        definition=outcomes.definition,
        n_paths=outcomes.n_paths,
        n_materials=number_materials(outcomes.materials)[1],
        n_converged=good.n_paths,
        n_unconverged=int((finite & ~outcomes.converged).sum()),
        n_without_barrier=int((~finite).sum()),
        convergence_rate=share(outcomes.converged, outcomes.materials, bootstrap),
        converged_only=barrier_errors(good.reference_ev, good.predicted_ev, good.materials, bootstrap),
        path_error_ang_converged_only=_path_error(good.path_errors_ang, good.materials, bootstrap),
        charged=None if fallback is None else charged_errors(outcomes, fallback, bootstrap, tolerances_ev),
    )


def charged_errors(
    outcomes: Outcomes,
    fallback: Fallback,
    bootstrap: Bootstrap | None = None,
    tolerances_ev: Sequence[float] = TOLERANCES_EV,
) -> ChargedErrors:
    """Return the errors over all hops, failures counted against the potential.

    :raises ValueError: if the fallback is not of the same hops or not finite.
    """
    bootstrap = bootstrap or Bootstrap()
    if fallback.barriers_ev.shape != outcomes.reference_ev.shape:
        raise ValueError(f'a fallback of {len(fallback.barriers_ev)} hops for {outcomes.n_paths}')
    failed, materials = ~outcomes.converged, outcomes.materials
    _must_be_finite('fallback barriers_ev', fallback.barriers_ev, failed)
    left = barrier_errors(
        outcomes.reference_ev, np.where(failed, fallback.barriers_ev, outcomes.predicted_ev), materials, bootstrap
    )
    paths = None
    if outcomes.path_errors_ang is not None and fallback.path_errors_ang is not None:
        _must_be_finite('fallback path_errors_ang', fallback.path_errors_ang, failed)
        paths = np.where(failed, fallback.path_errors_ang, outcomes.path_errors_ang)
    sizes = np.where(failed, np.inf, np.abs(outcomes.predicted_ev - outcomes.reference_ev))
    return ChargedErrors(
        n_paths=outcomes.n_paths,
        n_failed=int(failed.sum()),
        mae_ev_failed_as_constant=left.mae_ev,
        rmse_ev_failed_as_constant=left.rmse_ev,
        path_error_ang_failed_as_initial=_path_error(paths, materials, bootstrap),
        median_error_ev_failed_as_infinite=_median(sizes, materials, bootstrap),
        share_within_failed_as_missed={
            tolerance: share(sizes <= tolerance, materials, bootstrap) for tolerance in tolerances_ev
        },
    )


def mae_ratio(one: Outcomes, other: Outcomes, bootstrap: Bootstrap | None = None) -> Estimate:
    """Return the MAE of a potential over that of another on the hops that both converged, with its paired interval.

    Below one, interval and all, the first is the better one on these hops; their number says how much that is worth.

    :raises ValueError: if the outcomes are not of the same hops, or by different definitions of the barrier.
    """
    if one.definition != other.definition:
        raise ValueError(f'barriers by {one.definition} cannot be compared with those by {other.definition}')
    if one.materials != other.materials or not np.array_equal(one.reference_ev, other.reference_ev):
        raise ValueError('the two potentials were not given the same hops in the same order')
    both = one.converged & other.converged
    first, second = one.of(both), other.of(both)
    return ratio_of_means(
        np.abs(first.predicted_ev - first.reference_ev),
        np.abs(second.predicted_ev - second.reference_ev),
        first.materials,
        bootstrap or Bootstrap(),
    )


def _path_error(path_errors_ang: Array | None, materials: Sequence[str], bootstrap: Bootstrap) -> Estimate:
    if path_errors_ang is None:
        return missing('path errors were not computed')
    return mean_size(path_errors_ang, materials, bootstrap)


def _median(sizes: Array, materials: Sequence[str], bootstrap: Bootstrap) -> Estimate:
    """Return the median of sizes (n,), which may be infinite, by the interval of the share that lies below it.

    The ends are the quantiles at the ends of that share's interval (R. S. Woodruff, J. Am. Stat. Assoc. 47, 635
    (1952)).
    """
    if not len(sizes):
        return missing('there is no path')
    ordered = np.sort(sizes)
    middle = 0.5 * (ordered[(len(sizes) - 1) // 2] + ordered[len(sizes) // 2])
    below = share(sizes <= middle, materials, bootstrap)
    if not np.isfinite(middle):
        return missing('the median is a failed path', below.n_materials)
    if below.interval is None:
        return Estimate(float(middle), None, below.n_materials, below.reason)
    low, high = (int(np.clip(np.ceil(end * len(sizes)), 1, len(sizes))) - 1 for end in below.interval)
    return Estimate(float(middle), (float(ordered[low]), float(ordered[high])), below.n_materials)


def _must_be_finite(name: str, values: Array, where: Mask) -> None:
    wrong = np.flatnonzero(where & ~np.isfinite(values))
    if len(wrong):
        raise ValueError(f'{name} of hop {wrong[0]} is {values[wrong[0]]}, and has to be a number there')
