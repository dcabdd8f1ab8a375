"""The overview of a stored set."""

from __future__ import annotations

from functools import lru_cache

from ..analysis.overview import Overview, overview
from .dataset import DatasetGroup
from .query import barrier_attribute, entries

MOST_FAMILIES = 12


def read_overview(dataset: str) -> Overview:
    """Return what a figure of a set shows, by split, or where it has none by material if those are few families.

    :raises ValueError: if there is no such set or it is empty.
    """
    group = DatasetGroup.of(dataset)
    try:
        barrier = barrier_attribute(dataset)
    except ValueError:
        barrier = 'range_ev'
    columns = ['split', 'material_id', 'formula', 'n_atoms', 'energy_per_atom_ev', barrier]
    facts = [one.facts for one in entries(dataset, columns)]
    if not facts:
        raise ValueError(f'the data set {group.label} is empty')
    families = {one['material_id'] for one in facts}
    key = 'split' if group.splits or len(families) > MOST_FAMILIES else 'material_id'
    return overview(
        [str(one[key] or group.label) for one in facts],
        [_composition(one['formula'] or '') for one in facts],
        [one['n_atoms'] or 0 for one in facts],
        [one['energy_per_atom_ev'] for one in facts],
        [one[barrier] for one in facts],
    )


@lru_cache(maxsize=65536)
def _composition(formula: str) -> dict[str, float]:
    from ase.formula import Formula

    return {symbol: float(number) for symbol, number in Formula(formula).count().items()}
