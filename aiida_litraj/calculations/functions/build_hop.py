"""From a crystal and a hop to the path the band starts from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida.engine import calcfunction
from aiida.orm import Dict, StructureData

from ...analysis import hops
from ...data.path import PathData
from ...data.structures import to_atoms
from ..validation import validated


@calcfunction
def build_hop(structure: StructureData, hop: Dict, geometry: Dict) -> PathData:
    """Return the straight path of a hop in its supercell, both ends unrelaxed.

    :param hop: the fields of ``analysis.Hop``: source, target, offset, mechanism, mobile_element.
    :param geometry: the fields of ``analysis.Geometry``: min_image_distance_ang, n_images, site_tolerance_ang.
    """
    return path_of_hop(structure, hop.get_dict(), geometry.get_dict())


def path_of_hop(structure: StructureData, hop: Mapping[str, Any], geometry: Mapping[str, Any]) -> PathData:
    """Return the same without provenance; what the validators of the chain call, before anything is stored.

    :raises ValueError: if structure, hop or geometry cannot be used, naming value and remedy.
    """
    built = hops.build_hop(to_atoms(structure), read_hop(hop), read_geometry(geometry))
    hops.check_length(built)
    return to_path(built)


def to_path(built: hops.HopPath) -> PathData:
    """Return a path as a node, not stored."""
    return PathData.from_arrays(
        symbols=built.to_images()[0].get_chemical_symbols(),
        positions=built.positions,
        cell=built.cell,
        pbc=built.pbc,
        mobile=built.mobile,
        labels=built.labels,
    )


def read_hop(values: Mapping[str, Any]) -> hops.Hop:
    """Return a hop from its fields.

    :raises ValueError: naming each field that is missing, not known or malformed.
    """
    return validated(values, hops.Hop, 'hop')


def read_geometry(values: Mapping[str, Any]) -> hops.Geometry:
    """Return a geometry from its fields.

    :raises ValueError: naming each field that is missing, not known or out of range.
    """
    return validated(values, hops.Geometry, 'geometry')
