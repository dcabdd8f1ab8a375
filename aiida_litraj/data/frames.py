"""Configurations with what is known about each, as a node."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from aiida.common.exceptions import ValidationError
from aiida.orm import Data, load_node
from aiida.orm.pydantic import OrmMetadataField
from ase import Atoms

from ..analysis.frames import summary, to_ase
from ..contract.frames import FRAMES_FILE, Frames
from .fields import attribute


class FramesData(Data):
    """One configuration or many, with energies, forces and stresses where they are known.

    The numbers are exact, in one ``.npy`` record that plain numpy reads (``Frames``). The attributes serve queries:
    with one frame its formula, elements, size, energy and largest force; with many what holds for all of them.
    An entry of a data set also has ``dataset``, ``entry_id``, ``split``, ``material_id``, ``properties``, and
    ``source_file`` with ``source_line``, where it was read; a node of many entries has ``entry_ids`` in the order of
    its frames.
    """

    class AttributesModel(Data.AttributesModel):
        """Attributes for queries, ``FramesData.fields.n_atoms`` and the like."""

        n_frames: int = OrmMetadataField(description='Number of configurations', orm_to_model=attribute('n_frames'))
        n_atoms: int = OrmMetadataField(
            description='Number of atoms, of the largest configuration', orm_to_model=attribute('n_atoms')
        )
        elements: list[str] = OrmMetadataField(
            description='Elements that occur, sorted', orm_to_model=attribute('elements')
        )
        formula: str | None = OrmMetadataField(
            None, description='Reduced formula in the order of Hill', orm_to_model=attribute('formula')
        )
        energy_ev: float | None = OrmMetadataField(
            None, description='Energy of a single configuration', orm_to_model=attribute('energy_ev')
        )
        energy_per_atom_ev: float | None = OrmMetadataField(
            None, description='The same for each atom', orm_to_model=attribute('energy_per_atom_ev')
        )
        fmax_ev_per_ang: float | None = OrmMetadataField(
            None, description='Largest force on an atom', orm_to_model=attribute('fmax_ev_per_ang')
        )
        dataset: str | None = OrmMetadataField(
            None, description='Set of which this is an entry', orm_to_model=attribute('dataset')
        )
        entry_id: str | None = OrmMetadataField(
            None, description='Identifier in the set', orm_to_model=attribute('entry_id')
        )
        split: str | None = OrmMetadataField(None, description='train, val, test', orm_to_model=attribute('split'))
        material_id: str | None = OrmMetadataField(
            None, description='Material to which the entry belongs', orm_to_model=attribute('material_id')
        )
        properties: dict = OrmMetadataField(
            {}, description='Scalars of the entry, units are in the card', orm_to_model=attribute('properties', {})
        )

    # Uuids of entries say where the numbers are from, not what they are; the links say it too.
    _hash_ignored_attributes = ('origins',)

    @classmethod
    def from_frames(cls, frames: Frames, labels: Mapping[str, Any] | None = None) -> FramesData:
        """Return an unstored node of ``frames``; ``labels`` are further attributes.

        :raises ValueError: if there are no frames.
        """
        node = cls()
        node.base.attributes.set_many(summary(frames) | dict(labels or {}))
        node.base.repository.put_object_from_bytes(frames.to_bytes(), FRAMES_FILE)
        return node

    @property
    def frames(self) -> Frames:
        """The configurations, exact."""
        return Frames.from_bytes(self.base.repository.get_object_content(FRAMES_FILE, mode='rb'))

    @property
    def shared_frames(self) -> Frames:
        """The same, parsed once for all who ask: to be read only. Of a node that is not stored it is parsed anew."""
        return _shared(self.uuid) if self.is_stored else self.frames

    @property
    def n_frames(self) -> int:
        """Number of configurations."""
        number: int = self.base.attributes.get('n_frames')
        return number

    @property
    def entry_ids(self) -> list[str]:
        """Identifiers of the entries in the order of the frames; none if these are no entries."""
        one = self.base.attributes.get('entry_id', None)
        many: list[str] = self.base.attributes.get('entry_ids', [])
        return [one] if one is not None else many

    def to_ase(self) -> list[Atoms]:
        """Return the configurations as ASE atoms, with energy, forces and stress where they are known."""
        return to_ase(self.frames)

    def _validate(self) -> bool:
        super()._validate()
        if FRAMES_FILE not in self.base.repository.list_object_names():
            raise ValidationError('frames have no configurations; build them with from_frames')
        return True


@lru_cache(maxsize=2)
def _shared(uuid: str) -> Frames:
    """Return the configurations of a stored node, which do not change; a step that goes through them parses once."""
    node: FramesData = load_node(uuid)
    return node.frames
