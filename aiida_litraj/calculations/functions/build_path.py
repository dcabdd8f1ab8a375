"""From two structures to the path between them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida.engine import calcfunction
from aiida.orm import Dict, StructureData

from ...analysis import hops
from ...data.path import PathData
from ...data.structures import to_atoms
from .build_hop import read_geometry, to_path


@calcfunction
def build_path(
    initial_structure: StructureData, final_structure: StructureData, geometry: Dict, hop: Dict | None = None
) -> PathData:
    """Return the straight path between two structures with the same atoms in the same order and cell.

    Each atom goes the shortest way. ``hop`` may name the ``mobile_element``; the mobile ion is the atom (of that
    element) that goes farthest.
    """
    return path_between(initial_structure, final_structure, geometry.get_dict(), hop.get_dict() if hop else {})


def path_between(
    initial: StructureData, final: StructureData, geometry: Mapping[str, Any], hop: Mapping[str, Any]
) -> PathData:
    """Return the same without provenance; what the validators of the chain call, before anything is stored.

    :raises ValueError: if the structures do not match, naming the first difference.
    """
    unknown = sorted(set(hop) - {'mobile_element'})
    if unknown:
        raise ValueError(
            f'hop.{unknown[0]}: with initial_structure and final_structure the hop is given by them; only '
            'mobile_element may be said besides'
        )
    numbers = read_geometry(geometry)
    return to_path(
        hops.build_between(
            to_atoms(initial, 'initial_structure'),
            to_atoms(final, 'final_structure'),
            n_images=numbers.n_images,
            site_tolerance_ang=numbers.site_tolerance_ang,
            mobile_element=hop.get('mobile_element', None),
        )
    )
