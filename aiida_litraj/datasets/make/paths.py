"""Made nebDFT2k: a vacancy hop per entry, before and after its optimisation, with index and centroids."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator

from .crystals import make_material, material_id
from .hops import MadeBand, MadeHop, frozen_barrier_ev, lay_out, list_hops, moved, permutation, relax
from .layout import Slot, fresh_folder, random_shift, slots, write_table
from .writing import write_frames

COLUMNS = ('material_id', 'edge_id', 'chemsys', 'has_specific_TM', 'em_bvse', 'em_dft', '_split')
PER_MATERIAL = 3


class Paths:
    """Hops of made materials and their bands, each computed once however many entries repeat it."""

    def __init__(self, seed: int, per_material: int, steps: int, calculator: Calculator | None) -> None:
        self._seed, self._per_material, self._steps, self._calculator = seed, per_material, steps, calculator
        self.hop = lru_cache(maxsize=None)(self._hop)
        self.band = lru_cache(maxsize=None)(self._band)
        self.bvse = lru_cache(maxsize=None)(self._bvse)

    def _hop(self, material: int, hop: int) -> MadeHop:
        made = make_material(material, self._seed, toy=self._calculator is None)
        return lay_out(made, list_hops(made.atoms, self._per_material)[hop])

    def _band(self, material: int, hop: int) -> MadeBand:
        return relax(self.hop(material, hop), self._steps, self._calculator)

    def _bvse(self, material: int, hop: int) -> float:
        # The cheap landscape of the two is always the toy one, as the publisher's is bond valence.
        return round(frozen_barrier_ev(self.hop(material, hop)), 4)

    def edge_id(self, slot: Slot) -> str:
        """Return the identity of a slot's hop."""
        hop = self.hop(slot.model, slot.hop)
        return material_id(slot.material) + hop.edge_id.removeprefix(hop.material.id)

    def place(self, slot: Slot, images: list[Atoms]) -> list[Atoms]:
        """Return images of the slot's model as the slot's own: shifted and with like atoms exchanged, if it is a copy.

        The moving ion stays first, a centroid last.
        """
        if not slot.is_copy:
            return images
        shift = random_shift(self._seed, slot.material * self._per_material + slot.hop)
        order = permutation(images[0].numbers, np.random.default_rng([self._seed, slot.material, slot.hop, 4]))
        return [moved(image, shift, order) for image in images]


def make_nebdft2k(
    folder: Path,
    n: int,
    seed: int,
    calculator: Calculator | None = None,
    distinct: int = 12,
    steps: int = 5,
    name: str = 'nebDFT2k',
    spelling: str | None = None,
) -> Path:
    """Write ``n`` hops of made materials, three of each, and return their folder.

    ``em_dft`` is largest less smallest energy of the relaxed images, as their file has them; ``em_bvse`` that of the
    straight path in a rigid framework. Initial images carry ``freezed`` and no energies. ``distinct`` hops are
    computed, with at most ``steps`` steps of the band; further ones repeat them under other identities.
    """
    place = fresh_folder(folder, spelling or name)
    paths = Paths(seed, PER_MATERIAL, steps, calculator)
    rows = []
    with (place / f'{name}_centroids.xyz').open('wb') as centroids:
        for slot in slots(n, PER_MATERIAL, distinct, seed):
            hop, band = paths.hop(slot.model, slot.hop), paths.band(slot.model, slot.hop)
            edge_id = paths.edge_id(slot)
            with (place / f'{edge_id}_init.xyz').open('wb') as stream:
                write_frames(stream, paths.place(slot, hop.images))
            with (place / f'{edge_id}_relaxed.xyz').open('wb') as stream:
                write_frames(stream, paths.place(slot, [without_freezed(image) for image in band.relaxed]))
            (centroid,) = paths.place(slot, [hop.centroid])
            centroid = centroid.copy()
            centroid.info = {
                'edge_id': edge_id, 'material_id': material_id(slot.material), 'em': band.barrier_ev
            }  # fmt: skip
            write_frames(centroids, [centroid])
            rows.append(
                {
                    **centroid.info,
                    'chemsys': hop.material.chemsys,
                    'has_specific_TM': hop.material.has_transition_metal,
                    'em_bvse': paths.bvse(slot.model, slot.hop),
                    'em_dft': band.barrier_ev,
                    '_split': slot.split,
                }
            )
    write_table(place / f'{name}_index.csv', COLUMNS, rows)
    return place


def without_freezed(atoms: Atoms) -> Atoms:
    """Return the atoms, labels included, without the array ``freezed``."""
    copy = atoms.copy()
    copy.calc = atoms.calc
    copy.arrays.pop('freezed', None)
    return copy
