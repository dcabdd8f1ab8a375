"""Hops of an ion in a crystal: from sites to a supercell with the two ends of a path and a straight line between.

A hop is a vector, not a pair of sites: the displacement is fixed here, from the offset that was asked for, and never
shortened to another periodic image afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from ase import Atoms
from ase.geometry import find_mic
from pydantic import NonNegativeInt, PositiveFloat, field_validator

from ..contract.arrays import Array
from ..contract.base import Model
from .crystals import (
    Flags,
    check_crystal,
    choose_repetition,
    minimum_image,
    nearest_images,
    shortest_translation,
)

Mechanism = Literal['vacancy', 'interstitial']
MIN_IMAGES = 3
AMBIGUITY_ANG = 0.01
"""Two ways of a hop that differ by less are equally long: which one is meant cannot be told."""
LONG_HOP_ANG = 6.0
"""Neighbouring sites of an ion in a crystal are 2 to 5 Ang apart; a longer way most likely passes through others."""


class Hop(Model):
    """A hop: the ion at site ``source`` goes to ``target`` in the cell ``offset`` away from the one it is in.

    ``vacancy``: ``target`` is the index of a site of the same element, whose atom is taken out. ``interstitial``:
    ``target`` is an empty place in fractional coordinates, nothing is taken out. Sites count from 0 in the order of
    the structure; positions are taken as the structure gives them, without wrapping them into the cell.
    """

    source: NonNegativeInt
    target: NonNegativeInt | tuple[float, float, float]
    offset: tuple[int, int, int] = (0, 0, 0)
    mechanism: Mechanism = 'vacancy'
    mobile_element: str = 'Li'


class Geometry(Model):
    """Numbers of the model of a hop.

    ``min_image_distance_ang``: shortest translation of the supercell, how far the ion is from its own image.
    ``n_images``: images of the path, both ends included. ``site_tolerance_ang``: atoms closer than this are on one
    place.
    """

    min_image_distance_ang: PositiveFloat
    n_images: int
    site_tolerance_ang: PositiveFloat

    @field_validator('n_images')
    @classmethod
    def _inner_image(cls, value: int) -> int:
        if value < MIN_IMAGES:
            raise ValueError(f'a path needs at least {MIN_IMAGES} images, both ends included')
        return value


@dataclass(frozen=True)
class HopPath:
    """A straight path in a supercell: ``numbers`` (n,), ``positions`` (n_images, n, 3) Ang, ``cell``, ``pbc``.

    ``mobile`` is the index of the ion that hops, ``displacement`` (3,) its way in Ang.
    """

    numbers: npt.NDArray[np.int64]
    positions: Array
    cell: Array
    pbc: Flags
    mobile: int
    displacement: Array
    labels: dict[str, Any] = field(default_factory=dict)

    def to_images(self) -> list[Atoms]:
        """Return the images as ASE atoms."""
        return [Atoms(self.numbers, positions=image, cell=self.cell, pbc=self.pbc) for image in self.positions]


def parse_hop(text: str, mechanism: Mechanism | None = None, mobile_element: str = 'Li') -> Hop:
    """Return the hop written as ``source,target,i,j,k`` (vacancy) or ``source,x,y,z`` (interstitial, fractional).

    :raises ValueError: if it does not parse.
    """
    forms = "write 'source,target,i,j,k' (sites and cell offset, e.g. 0,6,0,0,0) or 'source,x,y,z' for an empty place"
    words = [word.strip() for word in text.split(',')]
    try:
        if len(words) == 5 and mechanism in (None, 'vacancy'):
            source, target, *offset = (int(word) for word in words)
            return Hop(
                source=source, target=target, offset=(offset[0], offset[1], offset[2]), mobile_element=mobile_element
            )
        if len(words) == 4 and mechanism in (None, 'interstitial'):
            x, y, z = (float(word) for word in words[1:])
            return Hop(source=int(words[0]), target=(x, y, z), mechanism='interstitial', mobile_element=mobile_element)
    except ValueError as error:
        raise ValueError(f'hop {text!r} does not parse: {forms}') from error
    if len(words) == 5 and mechanism == 'interstitial':
        raise ValueError(
            f'hop {text!r} is written as a vacancy hop, from site to site, and the mechanism is interstitial: give an '
            f'empty place, source,x,y,z in fractional coordinates, or leave the mechanism out'
        )
    if len(words) == 4 and mechanism == 'vacancy':
        raise ValueError(
            f'hop {text!r} is written as an interstitial hop, to an empty place, and the mechanism is vacancy: give '
            'two sites, source,target,i,j,k, or leave the mechanism out'
        )
    raise ValueError(f'hop {text!r} does not parse: {forms}')


def straight_line(start: Array, end: Array, n_images: int) -> Array:
    """Return ``n_images`` configurations (n_images, n, 3) evenly spaced from ``start`` to ``end`` (n, 3), in Ang."""
    fraction = np.linspace(0.0, 1.0, n_images)[:, None, None]
    return np.asarray((1.0 - fraction) * start + fraction * end)


def check_source(atoms: Atoms, hop: Hop) -> None:
    """Refuse a hop whose source is not a mobile ion.

    :raises ValueError: naming site, element and remedy.
    """
    element = hop.mobile_element
    where = _where(atoms, element)
    if hop.source >= len(atoms):
        raise ValueError(f'hop.source = {hop.source}: the structure has only {len(atoms)} sites, from 0; {where}')
    if atoms.symbols[hop.source] != element:
        raise ValueError(f'hop.source = {hop.source}: no mobile ion there but {atoms.symbols[hop.source]}; {where}')


def check_target(atoms: Atoms, hop: Hop) -> None:
    """Refuse a target that the mechanism cannot use.

    :raises ValueError: naming site, element and remedy.
    """
    crossed = [axis for axis in range(3) if hop.offset[axis] and not atoms.pbc[axis]]
    if crossed:
        raise ValueError(f'hop.offset = {list(hop.offset)}: the structure is not periodic along axis {crossed[0]}')
    if hop.mechanism == 'interstitial':
        if isinstance(hop.target, int):
            occupant = f'occupied by {atoms.symbols[hop.target]}' if hop.target < len(atoms) else 'no site'
            raise ValueError(
                f'hop.target = {hop.target}: that site is {occupant}; the target of an interstitial hop is an empty '
                "place in fractional coordinates, [x, y, z] (or use mechanism 'vacancy')"
            )
        return
    if not isinstance(hop.target, int):
        raise ValueError(
            f'hop.target = {list(hop.target)}: the target of a vacancy hop is the index of a site (for an empty place '
            "use mechanism 'interstitial')"
        )
    if hop.target >= len(atoms) or atoms.symbols[hop.target] != hop.mobile_element:
        found = atoms.symbols[hop.target] if hop.target < len(atoms) else f'one of {len(atoms)} sites, from 0'
        verb = 'is' if hop.target < len(atoms) else 'is not'
        raise ValueError(
            f'hop.target = {hop.target}: the target of a vacancy hop has to be a {hop.mobile_element} site, and it '
            f'{verb} {found}; {_where(atoms, hop.mobile_element)}'
        )
    if hop.target == hop.source and not any(hop.offset):
        raise ValueError(
            f'hop: source and target are the same site {hop.source} with offset [0, 0, 0]; give another target, or an '
            'offset to reach its periodic image'
        )


def build_hop(atoms: Atoms, hop: Hop, geometry: Geometry) -> HopPath:
    """Return the straight path of a hop in its supercell; the mobile ion is atom 0, the others keep their order.

    The source is the site's copy in the first cell; a vacancy hop takes out the copy of the target that the hop's
    vector frac(target) + offset - frac(source) reaches.

    :raises ValueError: if crystal, hop or geometry cannot be used, naming the value and the remedy.
    """
    check_crystal(atoms, geometry.site_tolerance_ang)
    check_source(atoms, hop)
    check_target(atoms, hop)
    cell, pbc = np.asarray(atoms.cell, dtype=float), np.asarray(atoms.pbc)
    repeats = choose_repetition(cell, pbc, geometry.min_image_distance_ang, len(atoms))
    supercell = atoms.repeat(repeats)
    shift = np.array(hop.offset, dtype=float) @ cell
    if isinstance(hop.target, int):
        end = atoms.positions[hop.target] + shift
        # Atoms.repeat puts the copies cell by cell, the last index running fastest.
        block = np.ravel_multi_index(tuple(np.mod(hop.offset, repeats)), repeats)
        removed: int | None = int(block) * len(atoms) + hop.target
    else:
        end = np.array(hop.target) @ cell + shift
        removed = None
    displacement = end - atoms.positions[hop.source]
    if removed == hop.source:
        raise ValueError(
            f'hop: in the supercell {repeats} the target is the periodic image of the ion itself; raise '
            f'geometry.min_image_distance_ang = {geometry.min_image_distance_ang} above '
            f'{np.linalg.norm(displacement):.3f}'
        )
    others = [index for index in range(len(supercell)) if index not in (hop.source, removed)]
    if removed is None:
        _check_empty(supercell, others, end, hop, geometry)
    order = [hop.source, *others]
    start = supercell.positions[order]
    finish = start.copy()
    finish[0] += displacement
    return HopPath(
        numbers=np.asarray(supercell.numbers[order], dtype=np.int64),
        positions=straight_line(start, finish, geometry.n_images),
        cell=np.asarray(supercell.cell, dtype=float),
        pbc=pbc,
        mobile=0,
        displacement=np.asarray(displacement),
        labels={**hop.model_dump(mode='json'), 'repetition': list(repeats)},
    )


def _check_empty(supercell: Atoms, others: list[int], place: Array, hop: Hop, geometry: Geometry) -> None:
    cell, pbc = np.asarray(supercell.cell), np.asarray(supercell.pbc)
    vectors = minimum_image(supercell.positions[others] - place, cell, pbc)
    distances = np.linalg.norm(vectors, axis=1)
    if len(distances) and distances.min() < geometry.site_tolerance_ang:
        occupant = others[int(distances.argmin())]
        raise ValueError(
            f'hop.target = {np.atleast_1d(hop.target).tolist()}: occupied by {supercell.symbols[occupant]} '
            f"{distances.min():.3f} Ang away; choose an empty place, or use mechanism 'vacancy'"
        )
    own = np.linalg.norm(minimum_image((place - supercell.positions[hop.source])[None, :], cell, pbc))
    if own < geometry.site_tolerance_ang:
        raise ValueError(f'hop: source and target are the same place, {own:.3f} Ang apart; give another target')


def build_between(
    initial: Atoms, final: Atoms, n_images: int, site_tolerance_ang: float, mobile_element: str | None = None
) -> HopPath:
    """Return the straight path between two structures with the same atoms in the same order and the same cell.

    Each atom goes the shortest way; the mobile ion is the one (of ``mobile_element``, if given) that goes farthest.

    :raises ValueError: if the structures do not match, naming the first difference.
    """
    check_crystal(initial, site_tolerance_ang, 'initial_structure')
    check_crystal(final, site_tolerance_ang, 'final_structure')
    check_same_atoms(list(initial.symbols), list(final.symbols), 'initial_structure', 'final_structure')
    if not np.allclose(np.asarray(initial.cell), np.asarray(final.cell), atol=1e-4) or any(initial.pbc != final.pbc):
        raise ValueError('initial_structure and final_structure have different cells; use the same supercell for both')
    candidates = [i for i, symbol in enumerate(initial.symbols) if mobile_element in (None, symbol)]
    if not candidates:
        raise ValueError(f'hop.mobile_element = {mobile_element}: neither structure has such an atom')
    cell, pbc = np.asarray(initial.cell, dtype=float), np.asarray(initial.pbc)
    ways = np.asarray(find_mic(final.positions - initial.positions, initial.cell, pbc)[0])
    lengths = np.linalg.norm(ways, axis=1)
    mobile = candidates[int(lengths[candidates].argmax())]
    if lengths[mobile] < site_tolerance_ang:
        raise ValueError(
            f'initial_structure and final_structure: no ion moves by more than {lengths[mobile]:.3f} Ang, source and '
            'target are the same place; give a final_structure in which the ion has made its hop'
        )
    shortest, other = nearest_images(ways[mobile], cell, pbc)
    if pbc.any() and np.linalg.norm(other) - np.linalg.norm(shortest) < AMBIGUITY_ANG:
        raise ValueError(
            f'initial_structure and final_structure: ion {mobile} can go {np.round(shortest, 3).tolist()} or '
            f'{np.round(other, 3).tolist()} Ang, equally far; use a larger supercell, or give structure and hop'
        )
    return HopPath(
        numbers=np.asarray(initial.numbers, dtype=np.int64),
        positions=straight_line(initial.positions, initial.positions + ways, n_images),
        cell=cell,
        pbc=pbc,
        mobile=mobile,
        displacement=ways[mobile],
        labels={'mobile_element': str(initial.symbols[mobile])},
    )


def check_same_atoms(first: list[str], second: list[str], first_name: str, second_name: str) -> None:
    """Refuse two lists of chemical symbols that differ in composition or order.

    :raises ValueError: naming the first difference.
    """
    if sorted(first) != sorted(second):
        counts = sorted(
            f'{symbol} {first.count(symbol)} and {second.count(symbol)}'
            for symbol in {*first, *second}
            if first.count(symbol) != second.count(symbol)
        )
        raise ValueError(
            f'{first_name} and {second_name} differ in composition: {", ".join(counts)}; a hop keeps all atoms, so '
            'for a vacancy take one out of both'
        )
    for index, (one, other) in enumerate(zip(first, second)):
        if one != other:
            raise ValueError(
                f'{first_name} and {second_name} have their atoms in different order: number {index} is {one} in the '
                f'one and {other} in the other; sort them alike'
            )


def check_length(path: HopPath) -> None:
    """Refuse a hop that is longer than the way from the ion to its own periodic image in the supercell.

    Between such ends the ion passes where its images are, or the offset is a slip. A hop that is only long is not
    refused: it is well defined, and said in the warnings of its barrier.

    :raises ValueError: naming both lengths and what to do.
    """
    way, translation = float(np.linalg.norm(path.displacement)), shortest_translation(path.cell, path.pbc)
    if way > translation + AMBIGUITY_ANG:
        raise ValueError(
            f'hop: its way is {way:.2f} Ang long, farther than the ion is from its own periodic image in the supercell '
            f'({translation:.2f} Ang); check the offset of the target, or raise geometry.min_image_distance_ang above '
            f'{way:.2f}'
        )


def _where(atoms: Atoms, element: str) -> str:
    """Return where the mobile ions are, or which elements there are instead."""
    sites = [index for index, symbol in enumerate(atoms.symbols) if symbol == element]
    if sites:
        return f'the {element} sites are {_shorten(sites)}'
    others = ', '.join(sorted(set(atoms.symbols)))
    return f'the structure has no {element} but {others}; name the element that hops (hop.mobile_element, --mobile)'


def _shorten(sites: list[int], limit: int = 24) -> str:
    text = ', '.join(str(site) for site in sites[:limit])
    return text if len(sites) <= limit else f'{text}, ...'
