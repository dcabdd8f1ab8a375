"""From a composition and a density to atoms at random in a cube: where robustness tests and glasses start."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from aiida.engine import calcfunction
from aiida.orm import Dict, StructureData
from ase import Atoms
from ase.formula import Formula
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from ...analysis.random_spheres import Packing, random_spheres
from ...contract.base import Model
from ..validation import validated


class PackingRequest(Model):
    """What is to be packed; every number is of a protocol or a person.

    ``composition``: a formula unit such as ``Li3PS4``, of which ``n_atoms`` has a whole number. ``min_distances_ang``:
    of pairs of elements such as ``Li-S``; every pair of the composition, others do not matter.
    """

    composition: str
    n_atoms: PositiveInt
    density_g_per_cm3: PositiveFloat
    min_distances_ang: dict[str, NonNegativeFloat]
    seed: NonNegativeInt = Field(le=2**63 - 1)

    def numbers(self) -> dict[str, int]:
        """Return the number of atoms of each element.

        :raises ValueError: if the formula does not parse, or the atoms make no whole number of formula units.
        """
        try:
            unit = {symbol: int(number) for symbol, number in Formula(self.composition).count().items()}
        except ValueError as error:
            raise ValueError(
                f'packing.composition = {self.composition!r} is no formula; write one such as Li3PS4'
            ) from error
        size = sum(unit.values())
        if not size:
            raise ValueError('packing.composition is empty; give a formula such as Li3PS4')
        if self.n_atoms % size:
            fewer, more = self.n_atoms // size * size, -(-self.n_atoms // size) * size
            better = f'{fewer} or {more}' if fewer else str(more)
            raise ValueError(
                f'packing.n_atoms = {self.n_atoms} makes no whole number of {self.composition}, which has {size} '
                f'atoms: take {better}'
            )
        return {symbol: number * self.n_atoms // size for symbol, number in unit.items()}


@calcfunction
def random_hard_spheres(packing: Dict) -> StructureData:
    """Return atoms at random places in a cube, no two closer than the least distance of their elements.

    :param packing: the fields of :class:`PackingRequest`; its seed decides, nothing else that is not in it.
    """
    return packed(packing.get_dict())


def packed(values: Mapping[str, Any]) -> StructureData:
    """Return the same without provenance, not stored.

    :raises ValueError: if a field is malformed, an element unknown, or the atoms cannot be packed, with the remedy.
    """
    made = _pack(json.dumps(read_packing(values).model_dump(mode='json'), sort_keys=True))
    atoms = Atoms(list(made.symbols), positions=made.positions, cell=made.cell, pbc=True)
    return StructureData(ase=atoms)


@lru_cache(maxsize=8)
def _pack(request: str) -> Packing:
    """Pack; kept, because a builder, its validation and the chain ask for the same."""
    asked = PackingRequest.model_validate_json(request)
    try:
        return random_spheres(asked.numbers(), asked.density_g_per_cm3, asked.min_distances_ang, asked.seed)
    except ValueError as error:
        text = str(error)
        raise ValueError(text if text.startswith('packing') else f'packing: {text}') from error


def read_packing(values: Mapping[str, Any]) -> PackingRequest:
    """Return a request from its fields.

    :raises ValueError: naming each field that is missing, not known or out of range.
    """
    return validated(values, PackingRequest, 'packing')
