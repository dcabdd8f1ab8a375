"""Choice of a few among many: at random, spread over a descriptor, spread over materials, and split without leaks.

All of it depends on the identifiers of the entries, never on the order in which a database gives them.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..contract.arrays import Array
from ..contract.frames import Frames

Indices = npt.NDArray[np.int64]
SPREAD_FLOOR = 1e-12
"""Relative spread below which a column of a descriptor is taken as constant: rounding, not information."""


def shuffled(ids: Sequence[str], seed: int) -> Indices:
    """Return the order of entries by the sha256 of ``seed`` and identifier: random, and the same on any machine."""
    keys = [hashlib.sha256(f'{seed}:{one}'.encode()).digest() for one in ids]
    return np.array(sorted(range(len(ids)), key=lambda index: (keys[index], ids[index])), dtype=np.int64)


def random_choice(ids: Sequence[str], number: int, seed: int) -> Indices:
    """Return ``number`` entries in random order.

    :raises ValueError: if there are not so many.
    """
    _demand(number, len(ids))
    return shuffled(ids, seed)[:number]


def farthest_points(descriptor: Array, number: int) -> Indices:
    """Return points of which each is the farthest from those before it, beginning with the one nearest to the mean.

    Gonzalez, Theor. Comput. Sci. 38, 293 (1985). Of equally far points the first is taken, so sort them beforehand.

    :param descriptor: (n, d), in units in which distances mean something (:func:`standardised`).
    :raises ValueError: if there are not so many different points, or a number is not finite.
    """
    _demand(number, len(descriptor))
    if not np.isfinite(descriptor).all():
        row, column = np.argwhere(~np.isfinite(descriptor))[0]
        raise ValueError(
            f'the descriptor of entry {row} is not finite in column {column}: nothing is near or far of it'
        )
    if number == 0:
        return np.zeros(0, dtype=np.int64)
    chosen = [int(np.argmin(_squared(descriptor, descriptor.mean(axis=0))))]
    nearest = _squared(descriptor, descriptor[chosen[0]])
    while len(chosen) < number:
        following = int(np.argmax(nearest))
        if nearest[following] == 0.0:
            raise ValueError(
                f'{number} entries are wished for, but only {len(chosen)} differ in the descriptor; '
                'ask for fewer, or use another descriptor or strategy random'
            )
        chosen.append(following)
        nearest = np.minimum(nearest, _squared(descriptor, descriptor[following]))
    return np.array(chosen, dtype=np.int64)


def _squared(points: Array, point: Array) -> Array:
    difference = points - point
    return np.asarray(np.einsum('ij,ij->i', difference, difference))


def standardised(columns: Array) -> Array:
    """Return columns (n, d) with mean 0 and standard deviation 1; those that do not vary become 0."""
    centred = columns - columns.mean(axis=0)
    spread = centred.std(axis=0)
    constant = spread <= SPREAD_FLOOR * np.abs(columns).max(axis=0, initial=0.0)
    return np.where(constant, 0.0, centred / np.where(constant, 1.0, spread))


def fractions_of(compositions: Sequence[Mapping[str, float]]) -> Array:
    """Return atomic fractions (n, elements) of compositions, columns in the alphabetical order of the elements."""
    elements = sorted({symbol for one in compositions for symbol in one})
    counts = np.array([[one.get(symbol, 0.0) for symbol in elements] for one in compositions], dtype=float)
    return np.asarray(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1.0))


def facts_descriptor(compositions: Sequence[Mapping[str, float]], columns: Sequence[Array]) -> Array:
    """Return the standardised descriptor (n, d) of entries: atomic fractions and numbers known of each.

    :param columns: (n,) each, such as energy per atom and largest force.
    """
    return standardised(np.column_stack([fractions_of(compositions), *columns]))


def radial_features(frame: Frames) -> tuple[dict[str, float], Array]:
    """Return of a configuration what :func:`radial_descriptor` needs: its composition and radial histogram."""
    composition = {str(z): float(n) for z, n in enumerate(np.bincount(frame.numbers)) if n and z}
    return composition, radial_histogram(frame)


def radial_descriptor(features: Sequence[tuple[Mapping[str, float], Array]]) -> Array:
    """Return the standardised descriptor (n, d) of configurations: atomic fractions and :func:`radial_histogram`.

    :param features: :func:`radial_features` of each.
    """
    fractions = fractions_of([composition for composition, _ in features])
    return standardised(np.column_stack([fractions, [histogram for _, histogram in features]]))


def radial_histogram(frame: Frames, cutoff_ang: float = 6.0, n_bins: int = 24, width_ang: float = 0.3) -> Array:
    """Return the smooth number of neighbours per atom (n_bins,) at distances up to the cutoff, over r^2.

    A Gaussian of ``width_ang`` for each pair: the radial distribution of a configuration but for a factor.
    """
    real = frame.numbers > 0
    distances = _distances(frame.positions[real], frame.cells[0], frame.pbc[0], cutoff_ang)
    centres = (np.arange(n_bins) + 0.5) * cutoff_ang / n_bins
    weights = np.exp(-0.5 * ((distances[:, None] - centres) / width_ang) ** 2).sum(axis=0)
    return np.asarray(weights / (max(1, int(real.sum())) * centres**2))


def _distances(positions: Array, cell: Array, pbc: npt.NDArray[np.bool_], cutoff: float) -> Array:
    """Return the distances below a cutoff from each atom to all others and to their periodic images.

    All pairs are looked at, which for some hundred atoms is twenty times as fast as ASE's list of neighbours.
    """
    from ase.geometry import complete_cell

    whole = complete_cell(cell)
    scaled = np.linalg.solve(whole.T, positions.T).T
    steps = scaled[:, None] - scaled[None]
    steps -= np.round(steps) * pbc
    vectors = steps @ whole
    heights = 1.0 / np.linalg.norm(np.linalg.inv(whole), axis=0)
    reach = np.where(pbc, np.floor(cutoff / heights + 0.5), 0).astype(int)
    found = []
    for shift in np.ndindex(*(2 * reach + 1)):
        offset = np.array(shift) - reach
        if tuple(offset) < (0, 0, 0):  # the opposite one has the same distances
            continue
        moved = vectors + offset @ whole
        squared = np.einsum('ijk,ijk->ij', moved, moved)
        if not offset.any():
            np.fill_diagonal(squared, np.inf)
        near = np.sqrt(squared[squared < cutoff**2])
        found += [near] if not offset.any() else [near, near]
    return np.concatenate(found)


def stratified(ids: Sequence[str], materials: Sequence[str], number: int, seed: int) -> Indices:
    """Return ``number`` entries, from each material as evenly as its size allows, at random within each.

    Materials give in turns: all one, then all that have more a second one, and so on.

    :raises ValueError: if there are not so many entries.
    """
    _demand(number, len(ids))
    turn: dict[str, int] = {}
    ranked: list[tuple[int, int, int]] = []
    for rank, index in enumerate(shuffled(ids, seed)):
        material = materials[index]
        turn[material] = turn.get(material, -1) + 1
        ranked.append((turn[material], rank, int(index)))
    return np.array([index for _, _, index in sorted(ranked)[:number]], dtype=np.int64)


def _demand(number: int, there: int) -> None:
    if number < 0:
        raise ValueError(f'{number} entries are wished for: give a number of 0 or more')
    if number > there:
        raise ValueError(
            f'{number} entries are wished for, but only {there} meet the criteria: ask for fewer, or widen them'
        )


@dataclass(frozen=True)
class Parting:
    """Entries in parts that share no material.

    :ivar parts: entries of each part, in ascending order.
    :ivar materials: number of materials of each part.
    """

    parts: Mapping[str, Indices]
    materials: Mapping[str, int]


def part_by_material(
    materials: Sequence[str],
    fractions: Mapping[str, float],
    seed: int,
    kind: str = 'material',
    elements: Sequence[Collection[str]] | None = None,
) -> Parting:
    """Return entries split in parts of about these fractions, each material whole in one of them.

    Materials come in random order, each to the part that lacks most of what it is to have; no part stays empty.

    :param materials: of each entry.
    :param fractions: of each part, which sum to 1.
    :param kind: what ``materials`` are, if not that, for messages.
    :param elements: of each entry, for two parts: the first then has all of them, unless each material has one of its
        own. A draw by which it has them anyway stays as it is.
    :raises ValueError: if the fractions are none, or there are fewer materials than parts.
    """
    if not fractions or any(value <= 0 for value in fractions.values()) or abs(sum(fractions.values()) - 1) > 1e-6:
        text = ', '.join(f'{name}={value:g}' for name, value in fractions.items())
        raise ValueError(f'the parts {text or "(none)"} are no split: give positive fractions that sum to 1')
    members: dict[str, list[int]] = {}
    for index, material in enumerate(materials):
        members.setdefault(material, []).append(index)
    if len(members) < len(fractions):
        raise ValueError(
            f'{len(members)} {kind}(s) cannot be split in {len(fractions)} parts without tearing one apart: '
            'widen the criteria or ask for fewer parts'
        )
    names = sorted(members)
    order = [names[index] for index in shuffled(names, seed)]
    first, keeper = next(iter(fractions)), _Keeper(members, elements)
    n_free = len(keeper.free)
    parts: dict[str, list[int]] = {name: [] for name in fractions}
    owned = dict.fromkeys(fractions, 0)
    for done, material in enumerate(order):
        empty = [name for name in fractions if not owned[name]]
        open_to = empty if len(order) - done <= len(empty) else list(fractions)
        if not keeper.may_leave(material):
            open_to = [first]
        elif n_free <= len(others := [name for name in empty if name != first]) and others:
            open_to = others
        n_free -= material in keeper.free
        name = max(open_to, key=lambda one: fractions[one] * len(materials) - len(parts[one]))
        parts[name] += members[material]
        owned[name] += 1
        if name != first:
            keeper.leave(material)
    return Parting({name: np.array(sorted(part), dtype=np.int64) for name, part in parts.items()}, owned)


class _Keeper:
    """Which materials can leave the first part, so that each element stays there.

    :ivar free: those that can at the beginning: all of their elements are in others too.
    """

    def __init__(self, members: Mapping[str, Sequence[int]], elements: Sequence[Collection[str]] | None) -> None:
        self._of = {
            name: set() if elements is None else {symbol for index in some for symbol in elements[index]}
            for name, some in members.items()
        }
        self._left = Counter(symbol for some in self._of.values() for symbol in some)
        self.free = {name for name in members if self.may_leave(name)}
        if not self.free:
            self._of, self.free = {name: set() for name in members}, set(members)

    def may_leave(self, material: str) -> bool:
        """Return whether each of its elements is in another material that has not left."""
        return all(self._left[symbol] > 1 for symbol in self._of[material])

    def leave(self, material: str) -> None:
        """Note that a material is in another part."""
        self._left.subtract(self._of[material])
