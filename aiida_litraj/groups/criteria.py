"""What is asked of the entries of a data set, in the words of a person, and what it means in attributes of nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

Range = tuple[float | None, float | None]
BARRIERS = ('em_dft', 'em', 'E_3D')
"""Properties that are an entry's barrier, the first that the card has; a path without any has that of its images."""


@dataclass(frozen=True)
class Criteria:
    """Wishes that all must hold; ``None`` or empty asks for nothing. A range has a lower and an upper end, or None.

    :ivar split: train, val, test or the set's own; its group is asked, which is the quickest there is.
    :ivar formula: reduced formulas in any order of elements, one of which it must be.
    :ivar elements: elements all of which occur.
    :ivar chemsys: elements of which it consists, none missing and no other.
    :ivar material: identifiers of materials, one of which it must belong to.
    :ivar barrier: range in eV.
    :ivar n_atoms: range.
    :ivar fmax: range of the largest force on an atom in eV/Ang.
    :ivar energy_per_atom: range in eV.
    :ivar properties: range of a property of the card, or the value it must have, by name.
    """

    split: str | None = None
    formula: Sequence[str] = ()
    elements: Sequence[str] = ()
    chemsys: Sequence[str] = ()
    material: Sequence[str] = ()
    barrier: Range | None = None
    n_atoms: Range | None = None
    fmax: Range | None = None
    energy_per_atom: Range | None = None
    properties: Mapping[str, Range | str | float | bool] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Criteria:
        """Return criteria from words, numbers and lists, as a ``Dict`` holds them.

        :raises ValueError: naming a criterion that does not exist, or one that cannot be met.
        """
        known = {entry.name for entry in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise ValueError(f'there is no criterion {unknown[0]!r}; known are: {", ".join(sorted(known))}')
        plain = {name: value for name, value in values.items() if value is not None}
        for name in ('formula', 'elements', 'chemsys', 'material'):
            if isinstance(plain.get(name), str):
                parts = plain[name].replace(',', '-').split('-') if name in ('elements', 'chemsys') else [plain[name]]
                plain[name] = parts
            if name in plain:
                plain[name] = tuple(plain[name])
        for name in ('barrier', 'n_atoms', 'fmax', 'energy_per_atom'):
            if name in plain:
                plain[name] = _range(name, plain[name])
        if 'properties' in plain:
            plain['properties'] = {
                name: _range(name, value) if isinstance(value, list | tuple) else value
                for name, value in plain['properties'].items()
            }
        made = cls(**plain)
        made.wishes(None)
        return made

    def wishes(self, barrier: str | None) -> dict[str, Any]:
        """Return what an entry's attributes must be: the attribute's name -> range, tuple of words, or word.

        :param barrier: attribute that is the entry's barrier.
        :raises ValueError: if a formula or element does not exist.
        """
        wanted: dict[str, Any] = {
            'formula': tuple(hill(text) for text in self.formula),
            'elements': _elements(self.elements),
            'chemsys': _elements(self.chemsys),
            'material_id': tuple(self.material),
            'n_atoms': self.n_atoms,
            'fmax_ev_per_ang': self.fmax,
            'energy_per_atom_ev': self.energy_per_atom,
        }
        if self.barrier is not None:
            wanted[barrier or 'range_ev'] = self.barrier
        wanted |= {f'properties.{name}': value for name, value in self.properties.items()}
        return {name: value for name, value in wanted.items() if value is not None and value != ()}


def _range(name: str, value: Any) -> Range:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise ValueError(f'{name} {value!r} is not a range: give its lower and its upper end, either may be None')
    low, high = value
    if any(end is not None and end != end for end in value):
        raise ValueError(f'{name} {value!r} is not a range: an end is not a number')
    if low is not None and high is not None and low > high:
        raise ValueError(f'{name} is to be at least {low} and at most {high}: nothing is; exchange the ends')
    return (low, high)


def _elements(symbols: Sequence[str]) -> tuple[str, ...]:
    from ase.data import atomic_numbers

    for symbol in symbols:
        if symbol not in atomic_numbers or symbol == 'X':
            raise ValueError(f'{symbol!r} is not an element: write symbols such as Li-P-S')
    return tuple(sorted(set(symbols)))


def hill(text: str) -> str:
    """Return a formula reduced and in the order of Hill, as nodes have it: Li3PO4 and P2O8Li6 are Li3O4P.

    :raises ValueError: if it is no formula.
    """
    import numpy as np
    from ase.data import atomic_numbers
    from ase.formula import Formula

    from ..analysis.frames import composition

    try:
        counts = {atomic_numbers[symbol]: number for symbol, number in Formula(text).count().items()}
    except (KeyError, ValueError) as error:
        raise ValueError(f'{text!r} is not a formula: write it like Li3PO4') from error
    if not counts:
        raise ValueError('an empty formula: write it like Li3PO4')
    dense = np.zeros(max(counts) + 1, dtype=np.int64)
    dense[list(counts)] = list(counts.values())
    return composition(dense.tobytes())[0]


def holds(wishes: Mapping[str, Any], facts: Mapping[str, Any]) -> bool:
    """Return whether an entry with these attributes (``properties.NAME`` for properties) is what is wished for."""
    return all(_holds(name, value, facts) for name, value in wishes.items())


def _holds(name: str, value: Any, facts: Mapping[str, Any]) -> bool:
    if name in ('elements', 'chemsys'):
        there = set(facts['elements'])
        return set(value) == there if name == 'chemsys' else set(value) <= there
    fact = facts.get(name)
    if name in ('formula', 'material_id'):
        return fact in value
    if not isinstance(value, tuple):
        return bool(fact == value)
    low, high = value
    return isinstance(fact, int | float) and (low is None or fact >= low) and (high is None or fact <= high)


def filters(wishes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the wishes as filters of QueryBuilder on nodes of one entry each."""
    terms: list[dict[str, Any]] = []
    for name, value in wishes.items():
        key = f'attributes.{name}'
        if name == 'elements':
            terms.append({key: {'contains': list(value)}})
        elif name == 'chemsys':
            # The number first: it is cheap and spares most nodes the comparison of lists.
            terms.append({'attributes.elements': {'of_length': len(value)}})
            terms.append({'attributes.elements': {'contains': list(value)}})
        elif name in ('formula', 'material_id'):
            terms.append({key: value[0] if len(value) == 1 else {'in': list(value)}})
        elif isinstance(value, tuple):
            low, high = value
            terms += [{key: {'>=': low}}] * (low is not None) + [{key: {'<=': high}}] * (high is not None)
        else:
            terms.append({key: value})
    return {'and': terms} if terms else {}


def filters_of_many(wishes: Mapping[str, Any]) -> dict[str, Any]:
    """Return filters that nodes of many entries must pass to have an entry that is wished for."""
    terms: list[dict[str, Any]] = []
    if 'n_atoms' in wishes and wishes['n_atoms'][0] is not None:
        terms.append({'attributes.n_atoms': {'>=': wishes['n_atoms'][0]}})
    for name in ('elements', 'chemsys'):
        if name in wishes:
            terms.append({'attributes.elements': {'contains': list(wishes[name])}})
    return {'and': terms} if terms else {}
