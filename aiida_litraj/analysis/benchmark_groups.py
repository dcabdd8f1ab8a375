"""Errors of a potential by what the hops are of: elements, class of the anion, and range of the barrier.

Groups of many are judged more surely than those of few, and among twenty groups one lies outside its interval for 95 %
by chance alone. Elements overlap: a hop counts for each one of its compound. Ranges are of the reference's barrier, in
which a potential has no say; the reference's own scatter still moves hops from one range to the next, so that the outer
ranges look worse than they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ..contract.arrays import Array
from .benchmark_errors import TOLERANCES_EV, BenchmarkErrors, Fallback, Outcomes, benchmark_errors
from .bootstrap import Bootstrap
from .chemistry import anion_class, elements
from .estimates import Mask

BARRIER_EDGES_EV = (0.0, 0.25, 0.5, 1.0, np.inf)
"""Half an eV is the threshold of ``classification``; a quarter that of what conducts well at room temperature."""


@dataclass(frozen=True)
class BenchmarkGroups:
    """Errors by group: elements and anions with the most hops first, ranges in their order."""

    by_element: Mapping[str, BenchmarkErrors]
    by_anion: Mapping[str, BenchmarkErrors]
    by_barrier: Mapping[str, BenchmarkErrors]


def benchmark_groups(
    outcomes: Outcomes,
    numbers: Sequence[Sequence[int]],
    fallback: Fallback | None = None,
    bootstrap: Bootstrap | None = None,
    edges_ev: Sequence[float] = BARRIER_EDGES_EV,
) -> BenchmarkGroups:
    """Return the errors of a potential in each group that has a hop.

    :param numbers: of each hop the atomic numbers of its supercell.
    :param edges_ev: between the ranges of barriers, rising.
    :raises ValueError: if compositions and hops differ in number, or edges don't rise.
    """
    if len(numbers) != outcomes.n_paths:
        raise ValueError(f'{len(numbers)} compositions for {outcomes.n_paths} hops')

    def errors(groups: Mapping[str, Mask]) -> dict[str, BenchmarkErrors]:
        return {
            name: benchmark_errors(
                outcomes.of(here), None if fallback is None else fallback.of(here), bootstrap, TOLERANCES_EV
            )
            for name, here in groups.items()
        }

    return BenchmarkGroups(
        errors(element_groups(numbers)),
        errors(anion_groups(numbers)),
        errors(barrier_groups(outcomes.reference_ev, edges_ev)),
    )


def element_groups(numbers: Sequence[Sequence[int]]) -> dict[str, Mask]:
    """Return of each element which hops (n,) are of compounds with it, the commonest first; not those all have."""
    found = [elements(one) for one in numbers]
    names = frozenset().union(*found) if found else frozenset()
    groups = {name: np.array([name in one for one in found]) for name in sorted(names)}
    return _by_size({name: here for name, here in groups.items() if not here.all()})


def anion_groups(numbers: Sequence[Sequence[int]]) -> dict[str, Mask]:
    """Return of each class of anions which hops (n,) are of it, the commonest first."""
    classes = np.array([anion_class(one) for one in numbers], dtype=str)
    return _by_size({str(name): classes == name for name in np.unique(classes)})


def barrier_groups(reference_ev: Array, edges_ev: Sequence[float] = BARRIER_EDGES_EV) -> dict[str, Mask]:
    """Return of each range of barriers, above an edge up to the next one, which hops (n,) are in it; not empty ones.

    :raises ValueError: if there are fewer than two edges, or they don't rise.
    """
    edges = np.asarray(edges_ev, dtype=float)
    if len(edges) < 2 or not np.all(np.diff(edges) > 0.0):
        raise ValueError(f'edges of ranges have to rise, and be two at least: {", ".join(map(str, edges_ev))}')
    groups = {}
    for low, high in pairwise(edges):
        # A flat profile has a barrier of nothing, which is in the first range.
        here = (reference_ev <= high) & ((reference_ev > low) if low != edges[0] else (reference_ev >= low))
        if here.any():
            groups[f'{low:g}-{high:g} eV' if np.isfinite(high) else f'above {low:g} eV'] = here
    return groups


def _by_size(groups: Mapping[str, Mask]) -> dict[str, Mask]:
    return dict(sorted(groups.items(), key=lambda item: -int(item[1].sum())))
