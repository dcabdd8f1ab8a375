"""Work shared out among jobs: into parts of near-equal cost, as many as the time that a job has asks for.

A cost is a number proportional to the time that an item takes, in units of the task; what one unit takes is measured.
Nothing here depends on the order in which items are given.
"""

from __future__ import annotations

import hashlib
import heapq
import math
from collections import defaultdict, deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..contract.arrays import Array

END_RESOLUTION_ANG = 1e-3
"""Two ends this close on a grid are taken for the same when paths are shared out; the engine itself is stricter."""


@dataclass(frozen=True)
class Limits:
    """What a job has to keep to; see ``workflows.packing.Packing`` for the fields."""

    max_jobs: int
    walltime_seconds: float | None
    fill: float
    min_job_seconds: float


def components(keys: Mapping[str, Collection[str]]) -> list[list[str]]:
    """Return the items that share a key, directly or through others, each group in the order of a walk through it.

    Neighbours in a group most often share a key, so that a group can be cut between them.
    """
    holders: dict[str, list[str]] = defaultdict(list)
    for name in sorted(keys):
        for key in keys[name]:
            holders[key].append(name)
    groups, seen = [], set()
    for first in sorted(keys):
        if first in seen:
            continue
        seen.add(first)
        group, queue = [], deque([first])
        while queue:
            name = queue.popleft()
            group.append(name)
            for other in sorted({other for key in keys[name] for other in holders[key]} - seen):
                seen.add(other)
                queue.append(other)
        groups.append(group)
    return groups


def pack(costs: Mapping[str, float], n_parts: int, groups: Sequence[Sequence[str]] | None = None) -> list[list[str]]:
    """Return at most ``n_parts`` parts of near-equal cost, each item in one of them, the costliest part first.

    The costliest group that is left goes to the part that has least (longest processing time first): the largest part
    is at most 4/3 - 1/(3 n_parts) of the best there is (R. L. Graham, SIAM J. Appl. Math. 17, 416 (1969)). A group that
    is more than an equal share is cut first, where it can be.

    :param groups: items that are better done together; by default each is a group of its own.
    :raises ValueError: if there is no part.
    """
    if n_parts < 1:
        raise ValueError(f'n_parts = {n_parts}; give at least 1')
    share = sum(costs.values()) / n_parts
    whole = [[name] for name in costs] if groups is None else groups
    chunks = [chunk for group in whole for chunk in _cut(group, costs, share)]
    weighed = sorted((-sum(costs[name] for name in chunk), chunk) for chunk in chunks)
    parts: list[list[str]] = [[] for _ in range(n_parts)]
    loads = [(0.0, number) for number in range(n_parts)]
    for less, chunk in weighed:
        load, number = heapq.heappop(loads)
        parts[number] += chunk
        heapq.heappush(loads, (load - less, number))
    filled = [sorted(part) for part in parts if part]
    return sorted(filled, key=lambda part: (-sum(costs[name] for name in part), part))


def _cut(group: Sequence[str], costs: Mapping[str, float], share: float) -> list[list[str]]:
    """Return a group in pieces of at most ``share``, or of one item."""
    pieces: list[list[str]] = [[]]
    load = 0.0
    for name in group:
        if pieces[-1] and load + costs[name] > share * (1.0 + 1e-9):
            pieces.append([])
            load = 0.0
        pieces[-1].append(name)
        load += costs[name]
    return pieces


def number_of_parts(seconds: float | None, n_items: int, limits: Limits) -> int:
    """Return into how many parts work of so many seconds is shared out.

    Without a walltime, or where nothing is known of the time, as many as may run at a time. Else as many as it takes
    for each to fit into the part ``fill`` of a walltime; more, up to those that may run at a time, while each is still
    worth a place in a queue; and if they cannot all run at a time, a multiple of those that can, so that no round has
    a few stragglers alone.
    """
    if limits.walltime_seconds is None or seconds is None:
        wanted = limits.max_jobs
    else:
        needed = max(1, math.ceil(seconds / (limits.fill * limits.walltime_seconds)))
        worth = int(seconds // limits.min_job_seconds)
        wanted = max(needed, min(limits.max_jobs, worth))
        if wanted > limits.max_jobs:
            wanted = -(-wanted // limits.max_jobs) * limits.max_jobs
    return max(1, min(wanted, n_items))


def share_out(
    costs: Mapping[str, float],
    seconds: float | None,
    limits: Limits,
    groups: Sequence[Sequence[str]] | None = None,
) -> list[list[str]]:
    """Return the parts of work of so many seconds: as :func:`pack`, as many as :func:`number_of_parts` asks for.

    Where items are so coarse that a part would still not fit into its walltime there are more, as far as that helps.
    """
    number = number_of_parts(seconds, len(costs), limits)
    parts = pack(costs, number, groups)
    if seconds is None or limits.walltime_seconds is None:
        return parts
    most = limits.fill * limits.walltime_seconds * sum(costs.values()) / seconds
    while len(parts[0]) > 1 and sum(costs[name] for name in parts[0]) > most and number < len(costs):
        number += limits.max_jobs if number >= limits.max_jobs else 1
        parts = pack(costs, number, groups)
    return parts


def sample(costs: Mapping[str, float], number: int) -> list[str]:
    """Return so many items that stand for all: the middle of each of as many equal slices, ordered by cost."""
    ordered = sorted(costs, key=lambda name: (costs[name], name))
    wanted = min(number, len(ordered))
    return sorted({ordered[(2 * k + 1) * len(ordered) // (2 * wanted)] for k in range(wanted)})


def end_key(numbers: npt.NDArray[np.int64], positions: Array, cell: Array, pbc: npt.NDArray[np.bool_]) -> str:
    """Return what two configurations have in common that are one, whatever the order and images of their atoms.

    :param numbers: atomic numbers (n_atoms,).
    :param positions: (n_atoms, 3) in Ang, inside the cell or not; ``cell`` (3, 3) in Ang, ``pbc`` (3,).
    """
    nudge = 0.25 * END_RESOLUTION_ANG
    places = positions + nudge
    if pbc.any():
        fractional = np.linalg.solve(cell.T, places.T).T
        places = np.where(pbc, fractional - np.floor(fractional), fractional) @ cell
    grid = np.floor(places / END_RESOLUTION_ANG).astype(np.int64)
    order = np.lexsort((grid[:, 2], grid[:, 1], grid[:, 0], numbers))
    digest = hashlib.sha256()
    for part in (np.rint(cell / END_RESOLUTION_ANG).astype(np.int64), pbc, numbers[order], grid[order]):
        digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()[:24]
