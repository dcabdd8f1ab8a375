"""Formation energies on the line between two compounds, such as Li2S and P2S5.

A crystal with N atoms that is made of a formula units of the first end member and b of the second has, per atom,

    E_f = (E - a E_1 - b E_2) / N,

with E_1 and E_2 the energies of a formula unit of the end members, from the same potential: task 1 of LiPS-25
(arXiv 2511.16569). What a potential adds per atom of an element is in both terms alike and cancels exactly. Amounts
are fractions of whole numbers: a crystal is on the line or it is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from itertools import combinations
from math import gcd, sqrt

import numpy as np

from .hull import lower_hull

Composition = Mapping[str, int]
"""How many atoms of each element."""
MEV = 1000.0


@dataclass(frozen=True)
class Place:
    """Where a crystal is on the line.

    :ivar amounts: formula units of the first and the second end member that its atoms would make.
    :ivar mole_fraction: of the first end member, in formula units.
    :ivar atom_share: the share of its atoms that the first end member brings. Energies per atom of mixtures are
        straight lines in this, and in no other coordinate.
    """

    n_atoms: int
    amounts: tuple[Fraction, Fraction]
    mole_fraction: Fraction
    atom_share: Fraction


@dataclass(frozen=True)
class Line:
    """Crystals between two end members.

    :ivar end_members: names of the two crystals; the first is at a mole fraction of one.
    :ivar units: their formula units.
    :ivar places: of all crystals on the line by name, the end members among them.
    :ivar refused: why the others are not on it.
    """

    end_members: tuple[str, str]
    units: tuple[Composition, Composition]
    places: dict[str, Place]
    refused: dict[str, str]

    @property
    def between(self) -> list[str]:
        """Names of the crystals that are not end members, whose energies are zero by definition."""
        return [name for name in self.places if name not in self.end_members]


@dataclass(frozen=True)
class Hull:
    """What is stable on the line.

    :ivar vertices: names of the crystals at the corners of the lower hull, by atom share.
    :ivar above_ev_per_atom: height of each crystal above the hull, zero at its corners.
    """

    vertices: tuple[str, ...]
    above_ev_per_atom: dict[str, float]


@dataclass(frozen=True)
class Comparison:
    """Formation energies beside those of a reference, without the end members.

    :ivar differences_mev_per_atom: of each crystal, less the reference.
    """

    rmse_mev_per_atom: float
    mae_mev_per_atom: float
    differences_mev_per_atom: dict[str, float]


def make_line(crystals: Mapping[str, Composition], end_members: tuple[str, str] | None = None) -> Line:
    """Return the line between two crystals with all others that are mixtures of them.

    :param crystals: composition of each crystal by name.
    :param end_members: names of the two; by default those between which most crystals are.
    :raises ValueError: if the end members are not among the crystals, are of one composition, or cannot be told.
    """
    ends = end_members or find_ends(crystals)
    for name in ends:
        if name not in crystals:
            raise ValueError(f'end_members: there is no crystal {name!r}; there are: {", ".join(crystals)}')
    units = (formula_unit(crystals[ends[0]]), formula_unit(crystals[ends[1]]))
    if units[0] == units[1]:
        raise ValueError(f'end_members: {ends[0]} and {ends[1]} are both {plain(units[0])}: there is no line between')
    places, refused = {}, {}
    for name, composition in crystals.items():
        try:
            places[name] = place(composition, units)
        except ValueError as error:
            refused[name] = str(error)
    return Line((ends[0], ends[1]), units, places, refused)


def find_ends(crystals: Mapping[str, Composition]) -> tuple[str, str]:
    """Return the names of the two crystals between whose compositions most of all crystals are.

    The first is the one with the larger share of the element that comes first in the alphabet, as Li in Li2S.

    :raises ValueError: if two pairs do equally well, or an end member has polymorphs, which only a person can choose.
    """
    by_unit: dict[tuple[tuple[str, int], ...], list[str]] = {}
    for name, composition in crystals.items():
        by_unit.setdefault(tuple(sorted(formula_unit(composition).items())), []).append(name)
    remedy = 'give end_members, the names of two of them'
    if len(by_unit) < 2:
        raise ValueError(f'end_members: the crystals are all of one composition; {remedy} of different ones')

    def number(pair: tuple[tuple[tuple[str, int], ...], ...]) -> int:
        units = (dict(pair[0]), dict(pair[1]))
        return sum(_is_between(composition, units) for composition in crystals.values())

    pairs = list(combinations(by_unit, 2))
    counts = [number(pair) for pair in pairs]
    best = [pair for pair, count in zip(pairs, counts, strict=True) if count == max(counts)]
    if len(best) > 1:
        shown = ' or '.join(f'{plain(dict(one))} and {plain(dict(other))}' for one, other in best[:3])
        raise ValueError(f'end_members: it cannot be told which line is meant, that between {shown}; {remedy}')
    chosen = []
    for unit in sorted(best[0], key=lambda unit: _shares(dict(unit), crystals), reverse=True):
        if len(by_unit[unit]) > 1:
            raise ValueError(
                f'end_members: {", ".join(by_unit[unit])} are all {plain(dict(unit))}, an end of the line; {remedy}'
            )
        chosen.append(by_unit[unit][0])
    return chosen[0], chosen[1]


def _shares(unit: Composition, crystals: Mapping[str, Composition]) -> list[Fraction]:
    """Return the share of each element, in the order of the alphabet."""
    elements = sorted({symbol for composition in crystals.values() for symbol in composition})
    return [Fraction(unit.get(symbol, 0), sum(unit.values())) for symbol in elements]


def _is_between(composition: Composition, units: tuple[Composition, Composition]) -> bool:
    try:
        place(composition, units)
    except ValueError:
        return False
    return True


def place(composition: Composition, units: tuple[Composition, Composition]) -> Place:
    """Return where a crystal is between two end members, exactly.

    :param units: formula units of the end members, of different composition.
    :raises ValueError: if it is no mixture of them, with the reason.
    """
    first, second = units
    names = f'{plain(first)} and {plain(second)}'
    unit, elements = formula_unit(composition), sorted({*first, *second})
    foreign = sorted(set(composition) - set(elements))
    if foreign:
        raise ValueError(f'{plain(unit)} has {", ".join(foreign)}, which neither of {names} has')

    def of(unit: Composition, symbol: str) -> int:
        return unit.get(symbol, 0)

    one, other = next(
        (p, q) for p, q in combinations(elements, 2) if of(first, p) * of(second, q) != of(first, q) * of(second, p)
    )
    determinant = of(first, one) * of(second, other) - of(first, other) * of(second, one)
    n_one, n_other = of(composition, one), of(composition, other)
    a = Fraction(n_one * of(second, other) - n_other * of(second, one), determinant)
    b = Fraction(n_other * of(first, one) - n_one * of(first, other), determinant)
    size = Fraction(sum(unit.values()), sum(composition.values()))
    mixture = f'{a * size} {plain(first)} {"-" if b < 0 else "+"} {abs(b * size)} {plain(second)}'
    for symbol in elements:
        expected, found = size * (a * of(first, symbol) + b * of(second, symbol)), of(unit, symbol)
        if expected != found:
            raise ValueError(
                f'{plain(unit)} is no mixture of {names}: {mixture} would have {expected} {symbol}, it has {found}'
            )
    if a < 0 or b < 0:
        raise ValueError(f'{plain(unit)} is not between {names}: it would be {mixture}')
    n_atoms = sum(composition.values())
    return Place(n_atoms, (a, b), a / (a + b), a * sum(first.values()) / n_atoms)


def formation_energies(line: Line, energies_ev: Mapping[str, float]) -> dict[str, float]:
    """Return the formation energy of each crystal in eV per atom; of the end members zero.

    :param energies_ev: of the crystals' cells; those that are missing are left out.
    :raises ValueError: if an end member is missing, or an energy is not finite.
    """
    missing = [name for name in line.end_members if name not in energies_ev]
    if missing:
        raise ValueError(f'without {" and ".join(missing)} there is nothing to compare the others with')
    of_unit = []
    for name, part in zip(line.end_members, (0, 1), strict=True):
        of_unit.append(energies_ev[name] / float(line.places[name].amounts[part]))
    formed = {}
    for name, where in line.places.items():
        if name not in energies_ev:
            continue
        if not np.isfinite(energies_ev[name]):
            raise ValueError(f'the energy of {name} is {energies_ev[name]}')
        mixture = sum(float(amount) * energy for amount, energy in zip(where.amounts, of_unit, strict=True))
        formed[name] = 0.0 if name in line.end_members else (energies_ev[name] - mixture) / where.n_atoms
    return formed


def hull_of(line: Line, formed: Mapping[str, float]) -> Hull:
    """Return the lower hull of formation energies in eV per atom, which have to be those of the end members too."""
    names = [name for name in line.places if name in formed]
    shares = np.array([float(line.places[name].atom_share) for name in names])
    vertices, heights = lower_hull(shares, np.array([formed[name] for name in names]))
    return Hull(tuple(names[index] for index in vertices), dict(zip(names, heights.tolist(), strict=True)))


def polymorphs(line: Line, formed: Mapping[str, float]) -> list[list[str]]:
    """Return the crystals that share a composition, by rising energy; the groups by falling mole fraction."""
    groups: dict[Fraction, list[str]] = {}
    for name in formed:
        groups.setdefault(line.places[name].mole_fraction, []).append(name)
    several = [(x, names) for x, names in groups.items() if len(names) > 1]
    return [sorted(names, key=lambda name: formed[name]) for _, names in sorted(several, reverse=True)]


def compare(line: Line, formed: Mapping[str, float], reference: Mapping[str, float]) -> Comparison | None:
    """Return the errors of formation energies against a reference, both in eV per atom.

    The end members do not count: they are zero in both. ``None`` if there is no other crystal in both.
    """
    both = [name for name in line.between if name in formed and name in reference]
    if not both:
        return None
    differences = {name: MEV * (formed[name] - reference[name]) for name in both}
    values = list(differences.values())
    return Comparison(
        rmse_mev_per_atom=sqrt(sum(value**2 for value in values) / len(values)),
        mae_mev_per_atom=sum(abs(value) for value in values) / len(values),
        differences_mev_per_atom=differences,
    )


def formula_unit(composition: Composition) -> dict[str, int]:
    """Return the smallest whole numbers of atoms with a composition, elements by the alphabet.

    :raises ValueError: if it has no atoms.
    """
    counts = {symbol: number for symbol, number in sorted(composition.items()) if number}
    if not counts:
        raise ValueError('a composition without atoms')
    divisor = reduce(gcd, counts.values())
    return {symbol: number // divisor for symbol, number in counts.items()}


def plain(composition: Composition) -> str:
    """Return a composition as text, such as Li4P2S6."""
    return ''.join(
        f'{symbol}{number if number > 1 else ""}' for symbol, number in sorted(composition.items()) if number
    )
