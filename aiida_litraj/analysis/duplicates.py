"""Configurations that are there more than once: as evidence they are one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..contract.arrays import Array
from ..contract.frames import Frames

SAME_PLACE_ANG = 1e-6


def same_configuration(one: Frames, other: Frames) -> bool:
    """Return whether two single configurations have the same atoms in the same places of the same cell."""
    return bool(
        np.array_equal(one.numbers, other.numbers)
        and np.allclose(one.cells, other.cells, rtol=0.0, atol=SAME_PLACE_ANG)
        and np.allclose(one.positions, other.positions, rtol=0.0, atol=SAME_PLACE_ANG)
    )


def same_configurations(frames: Sequence[Frames]) -> list[list[int]]:
    """Return the indices of single configurations that are the same, in groups of two and more, in their order.

    Each is compared with those alone of which one random projection of all coordinates agrees: of n configurations that
    takes a sort, and no n squared comparisons.
    """
    alike: dict[bytes, list[int]] = {}
    for index, frame in enumerate(frames):
        alike.setdefault(np.asarray(frame.numbers, dtype=np.int64).tobytes(), []).append(index)
    found = []
    for indices in alike.values():
        if len(indices) > 1:
            found += _groups(frames, indices)
    return sorted(found)


def _groups(frames: Sequence[Frames], indices: list[int]) -> list[list[int]]:
    coordinates = [np.concatenate([frames[i].cells[0].ravel(), frames[i].positions.ravel()]) for i in indices]
    weights: Array = np.random.default_rng(0).normal(size=len(coordinates[0]))
    values = np.array([weights @ one for one in coordinates])
    window = SAME_PLACE_ANG * np.abs(weights).sum()
    groups: list[list[int]] = []
    near: list[tuple[float, list[int]]] = []  # what may be the same as the next, with the group that it is of
    for place in np.argsort(values, kind='stable').tolist():
        value, frame = float(values[place]), frames[indices[place]]
        near = [one for one in near if value - one[0] <= window]
        group = next((one for _, one in near if same_configuration(frames[one[0]], frame)), None)
        if group is None:
            group = []
            groups.append(group)
        group.append(indices[place])
        near.append((value, group))
    return [sorted(group) for group in groups if len(group) > 1]


def duplicates_text(names: Sequence[Sequence[str]], most: int = 3) -> str | None:
    """Return in words which names are of one configuration, like ``a = b; c = d = e``; ``None`` if there are none.

    :param most: groups that are told; of more there is the number.
    """
    if not names:
        return None
    told = '; '.join(' = '.join(group) for group in names[:most])
    more = f' and {len(names) - most} more' if len(names) > most else ''
    number = sum(len(group) - 1 for group in names)
    what = '1 configuration is' if number == 1 else f'{number} configurations are'
    return f'{what} there again under another name: {told}{more}'
