"""The overview of a stored set."""

from __future__ import annotations

from functools import lru_cache
from math import isfinite
from typing import Any

from ..analysis.overview import Overview, overview
from .dataset import DatasetGroup
from .query import barrier_attribute, card_of, entries
from .read import stored_entries

MOST_FAMILIES = 12
MOST_PATHS = 50_000
"""Paths of which the energies are read, image by image; of more there is no picture of them."""
_CONDUCTIVITIES = (
    'properties.conductivity', 'properties.conductivity_below', 'properties.conductivity_above',
)  # fmt: skip


def read_overview(dataset: str) -> Overview:
    """Return what a figure of a set shows, by split, or where it has none by material if those are few families.

    :raises ValueError: if there is no such set or it is empty.
    """
    group = DatasetGroup.of(dataset)
    card = card_of(dataset)
    try:
        barrier = barrier_attribute(dataset)
    except ValueError:
        barrier = 'range_ev'
    columns = ['split', 'material_id', 'formula', 'n_atoms', 'energy_per_atom_ev', barrier, *_CONDUCTIVITIES]
    facts = [one.facts for one in entries(dataset, columns)]
    if not facts:
        raise ValueError(f'the data set {group.label} is empty')
    families = {one['material_id'] for one in facts}
    key = 'split' if group.splits or len(families) > MOST_FAMILIES else 'material_id'
    paths = card.get('entry') == 'path'
    exact, *bounds = _CONDUCTIVITIES
    return overview(
        [str(one[key] or group.label) for one in facts],
        [_composition(one['formula'] or '') for one in facts],
        [one['n_atoms'] or 0 for one in facts],
        _lowest_energies(dataset, len(facts)) if paths else [one['energy_per_atom_ev'] for one in facts],
        [one[barrier] for one in facts],
        barrier_name=_barrier_name(barrier, card),
        conductivities=[one[exact] for one in facts],
        bounded=sum(any(one[bound] is not None for bound in bounds) for one in facts),
        of_bands=paths,
    )


def _barrier_name(attribute: str, card: dict[str, Any]) -> str:
    name = attribute.removeprefix('properties.')
    meaning = card.get('properties', {}).get(name, {}).get('meaning')
    if meaning is None:
        return 'Highest minus lowest energy of the images' if attribute == 'range_ev' else name
    return f'{name}: {meaning}'


def _lowest_energies(dataset: str, number: int) -> list[float | None]:
    """Return the energy per atom in eV of the lowest image of each path; the attributes of a path have none."""
    if number > MOST_PATHS:
        return [None] * number
    energies: list[float | None] = []
    for entry in stored_entries(dataset):
        known = entry.frames.energies
        lowest = float('nan') if known is None else float(known.min()) / entry.frames.n_atoms(0)
        energies.append(lowest if isfinite(lowest) else None)
    return energies


@lru_cache(maxsize=65536)
def _composition(formula: str) -> dict[str, float]:
    from ase.formula import Formula

    return {symbol: float(number) for symbol, number in Formula(formula).count().items()}
