"""From crystals to their places on the line between two end members; those that are off it are refused by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from aiida.engine import calcfunction
from aiida.orm import Dict, StructureData
from pydantic import PositiveFloat, field_validator

from ...analysis.formation import Line, make_line, plain
from ...contract.base import Model
from ..validation import validated

CRYSTAL = 'crystal_'
"""In front of a crystal's name."""


class FormationSettings(Model):
    """What a protocol says beside the relaxation.

    ``end_members``: names of two of the crystals; ``None``: the two between which most of them are.
    ``reference_functional``: which functional a reference has to be of, or the result warns; ``None``: any.
    ``volume_change_warned``: a relative change of volume in the relaxation above which the result warns.
    """

    end_members: list[str] | None
    reference_functional: str | None
    volume_change_warned: PositiveFloat

    @field_validator('end_members')
    @classmethod
    def _two(cls, names: list[str] | None) -> list[str] | None:
        if names is not None and len(set(names)) != 2:
            raise ValueError(f'{len(set(names))} given; give the names of two crystals, or null')
        return names


@calcfunction
def place_on_line(settings: Dict, **crystals: StructureData) -> Dict:
    """Return where each crystal is on the line between the end members, and why others are not on it.

    :param settings: the fields of :class:`FormationSettings`.
    :param crystals: each as ``crystal_NAME``.
    """
    structures = {name.removeprefix(CRYSTAL): node for name, node in crystals.items()}
    return Dict(describe_line(line_between(read_settings(settings.get_dict()), structures), structures))


def read_settings(values: Mapping[str, Any]) -> FormationSettings:
    """Return values as settings.

    :raises ValueError: naming each field that is missing, not known or out of range.
    """
    return validated(values, FormationSettings, 'settings', '; get_builder_from_protocol gives a full set')


def line_between(settings: FormationSettings, structures: Mapping[str, StructureData]) -> Line:
    """Return the line of these crystals.

    :raises ValueError: if its end members are not among them, or cannot be told.
    """
    chosen = settings.end_members
    crystals = {name: composition(structure) for name, structure in structures.items()}
    return make_line(crystals, None if chosen is None else (chosen[0], chosen[1]))


def composition(structure: StructureData) -> dict[str, int]:
    """Return how many atoms of each element a structure has."""
    symbols = {kind.name: kind.symbol for kind in structure.kinds}
    return dict(sorted(Counter(symbols[site.kind_name] for site in structure.sites).items()))


def describe_line(line: Line, structures: Mapping[str, StructureData]) -> dict[str, Any]:
    """Return the content of the output ``line``."""
    crystals = {}
    for name, place in line.places.items():
        crystals[name] = {
            'composition': composition(structures[name]),
            'n_atoms': place.n_atoms,
            'amounts': [str(amount) for amount in place.amounts],
            'mole_fraction': float(place.mole_fraction),
            'atom_share': float(place.atom_share),
            'end_member': name in line.end_members,
        }
    return {
        'end_members': list(line.end_members),
        'formula_units': [plain(unit) for unit in line.units],
        'crystals': crystals,
        'refused': dict(line.refused),
    }


def line_from(content: Mapping[str, Any]) -> Line:
    """Return the line that a stored output describes."""
    crystals = {name: one['composition'] for name, one in content['crystals'].items()}
    ends = content['end_members']
    return make_line(crystals, (ends[0], ends[1]))
