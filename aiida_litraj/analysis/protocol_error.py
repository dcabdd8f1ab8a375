"""What a protocol costs in accuracy: the same potential on the same hops, converged much more tightly.

Bands stop where the largest force is below a bound, not where the path is; on a soft crystal the barrier of a protocol
that stops at 0.1 eV/Ang has been seen to move by 80 meV on the way to 0.02. Differences between potentials that are no
larger than this say nothing about potentials.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..contract.arrays import Array
from .bootstrap import Bootstrap
from .estimates import Estimate, number_materials
from .regression import barrier_errors


@dataclass(frozen=True)
class ProtocolError:
    """Barriers of a protocol beside those of the same potential converged tightly, in eV, both by one definition.

    :ivar n_paths: hops of the sample that both converged; ``n_lost`` those that one of them did not.
    :ivar n_benchmark: hops of the benchmark that the sample was drawn from.
    :ivar mean_ev: of protocol minus tight: positive where the protocol stops too early on the way down.
    :ivar mean_absolute_ev: the protocol's own error.
    :ivar max_ev: the largest size of a difference, of the hop ``worst``; that of the sample, so at most that of all.
    """

    n_paths: int
    n_materials: int
    n_lost: int
    n_benchmark: int
    mean_ev: Estimate
    mean_absolute_ev: Estimate
    max_ev: float
    worst: str


def protocol_error(
    ids: Sequence[str],
    materials: Sequence[str],
    barriers_ev: Array,
    tight_ev: Array,
    n_benchmark: int,
    bootstrap: Bootstrap | None = None,
) -> ProtocolError:
    """Return the protocol's own error on a sample of hops.

    :param ids: (n,) what the hops are called.
    :param barriers_ev: (n,) of the protocol, NaN where it did not converge; ``tight_ev`` the same converged tightly.
    :raises ValueError: if lengths differ, the sample is larger than the benchmark, or no hop converged in both.
    """
    if not len(ids) == len(materials) == len(barriers_ev) == len(tight_ev):
        raise ValueError(
            f'{len(ids)} names and {len(materials)} materials for {len(barriers_ev)} barriers and {len(tight_ev)} tight'
        )
    if len(ids) > n_benchmark:
        raise ValueError(f'a sample of {len(ids)} hops cannot be of {n_benchmark}')
    both = np.flatnonzero(np.isfinite(barriers_ev) & np.isfinite(tight_ev)).tolist()
    if not len(both):
        raise ValueError('no hop of the sample has converged in both')
    theirs = [materials[hop] for hop in both]
    errors = barrier_errors(tight_ev[both], barriers_ev[both], theirs, bootstrap)
    sizes = np.abs(barriers_ev - tight_ev)[both]
    return ProtocolError(
        n_paths=len(both),
        n_materials=number_materials(theirs)[1],
        n_lost=len(ids) - len(both),
        n_benchmark=n_benchmark,
        mean_ev=errors.mean_error_ev,
        mean_absolute_ev=errors.mae_ev,
        max_ev=float(sizes.max()),
        worst=ids[both[int(sizes.argmax())]],
    )
