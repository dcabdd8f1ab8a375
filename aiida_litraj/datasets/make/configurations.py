"""Made MPLiTrj and MPLiTrj_subsample: labelled configurations, one file per split, at the speed of the disk.

A few hundred configurations are computed. The others repeat them, shifted rigidly and with like atoms exchanged: each
has positions of its own, and energy, forces and stress are exactly right, being invariant.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator

from .crystals import crystal, crystal_names, make_material, supercell_of
from .hops import labelled, lay_out, list_hops, relax
from .layout import SPLITS, fresh_folder
from .paths import without_freezed
from .potential import IonPairs
from .writing import TICK, WIDTH, Text, format_ticks, frame_parts, to_ticks

SHARES = {
    'MPLiTrj': {'train': 766_254, 'val': 80_320, 'test': 82_492},
    'MPLiTrj_subsample': {'train': 94_044, 'val': 12_249, 'test': 11_731},
}
"""As published."""
BATCH = 64
PER_MATERIAL = 20
RATTLE_ANG = 0.08
SHIFT_ANG = 2.0


@dataclass(frozen=True)
class _Model:
    """A computed configuration, ready to be repeated: its text but for the positions, and these in ticks."""

    head: bytes
    species: Text
    rest: Text
    ticks: np.ndarray
    numbers: np.ndarray

    @classmethod
    def of(cls, atoms: Atoms) -> _Model:
        head, species, rest = frame_parts(atoms)
        return cls(head, species, rest, to_ticks(atoms.positions), atoms.numbers)

    def repeat(self, count: int, rng: np.random.Generator | None) -> bytes:
        """Return ``count`` configurations; without ``rng`` a single one, the original."""
        n = len(self.numbers)
        if rng is None:
            order, shift = np.arange(n)[None], np.zeros((1, 1, 3), dtype=np.int64)
        else:
            # Sorted by element as before, at random within one; the first atom, the moving ion, stays the first.
            keys = rng.random((count, n - 1)) + self.numbers[1:]
            order = np.concatenate([np.zeros((count, 1), dtype=np.int64), 1 + np.argsort(keys, axis=1)], axis=1)
            shift = rng.integers(-int(SHIFT_ANG / TICK), int(SHIFT_ANG / TICK), (count, 1, 3))
        width = self.species.shape[1]
        lines = np.empty((len(order), n, width + 3 * WIDTH + self.rest.shape[1] + 1), dtype=np.uint8)
        lines[:, :, :width] = self.species
        lines[:, :, width : width + 3 * WIDTH] = format_ticks(self.ticks[order] + shift)
        lines[:, :, width + 3 * WIDTH : -1] = self.rest[order]
        lines[:, :, -1] = ord('\n')
        head = np.broadcast_to(np.frombuffer(self.head, dtype=np.uint8), (len(order), len(self.head)))
        return np.concatenate([head, lines.reshape(len(order), -1)], axis=1).tobytes()


def make_mplitrj(
    folder: Path,
    n: int,
    seed: int,
    calculator: Calculator | None = None,
    atoms: int | None = None,
    distinct: int = 300,
    ids: bool = False,
    name: str = 'MPLiTrj',
    spelling: str | None = None,
) -> Path:
    """Write ``n`` labelled configurations, divided over the splits as published, and return their folder.

    They are images of bands on their way to the minimum energy path, or with ``atoms`` rattled crystals of exactly
    that many atoms. About ``distinct`` are computed, see above. No material is in two splits. The publisher's
    description names nothing that a configuration says of itself but its labels; ``ids`` adds ``material_id`` and
    ``edge_id``. ``spelling`` is another name for the folder: the publisher's description has ``MPLiTraj``.
    """
    place = fresh_folder(folder, spelling or name)
    for split, count in _shares(n, SHARES[name]).items():
        with (place / f'{name}_{split}.xyz').open('wb', buffering=1 << 20) as stream:
            if count:
                computed = max(1, min(count, round(distinct * count / n)))
                models = []
                for configuration in _configurations(split, computed, seed, calculator, atoms, ids):
                    models.append(_Model.of(configuration))
                    stream.write(models[-1].repeat(1, None))
                rng = np.random.default_rng([seed, SPLITS.index(split), 5])
                for block in _copies(models, count - len(models), rng):
                    stream.write(block)
    return place


def make_mplitrj_subsample(
    folder: Path,
    n: int,
    seed: int,
    calculator: Calculator | None = None,
    atoms: int | None = None,
    distinct: int = 300,
    ids: bool = False,
    spelling: str | None = None,
) -> Path:
    """Write ``n`` labelled configurations as :func:`make_mplitrj` does, under the name of the thinned set."""
    return make_mplitrj(folder, n, seed, calculator, atoms, distinct, ids, 'MPLiTrj_subsample', spelling)


def _shares(n: int, published: dict[str, int]) -> dict[str, int]:
    """Return the number of entries of each split: in proportion, at least one each if there are three or more."""
    total = sum(published.values())
    held_out = {split: max(int(n >= len(SPLITS)), n * published[split] // total) for split in ('val', 'test')}
    return {'train': n - sum(held_out.values()), **held_out}


def _copies(models: list[_Model], count: int, rng: np.random.Generator) -> Iterator[bytes]:
    """Return ``count`` repetitions of the models in turn, as text, some at a time."""
    run = min(BATCH, max(1, count // len(models)))
    while count > 0:
        for model in models:
            batch = min(run, count)
            if not batch:
                return
            count -= batch
            yield model.repeat(batch, rng)


def _configurations(
    split: str, count: int, seed: int, calculator: Calculator | None, atoms: int | None, ids: bool
) -> Iterator[Atoms]:
    """Return ``count`` labelled configurations of the materials of a split."""
    source = _band_images if atoms is None else _rattled
    left = count
    for number in _numbers(split):
        for configuration in source(number, seed, calculator, atoms):
            if not left:
                return
            left -= 1
            if not ids:
                configuration.info.clear()
            yield configuration


def _numbers(split: str) -> Iterator[int]:
    """Return the numbers of a split's materials: of every eleven, one is for ``val`` and one for ``test``."""
    places = {'val': (4,), 'test': (8,), 'train': (0, 1, 2, 3, 5, 6, 7, 9, 10)}[split]
    block = 0
    while True:
        yield from (block + place for place in places)
        block += 11


def _band_images(number: int, seed: int, calculator: Calculator | None, _: int | None) -> Iterator[Atoms]:
    """Return the images of one hop's band, some steps of its optimisation."""
    material = make_material(number, seed, toy=calculator is None)
    made = lay_out(material, list_hops(material.atoms, 1)[0])
    for step in relax(made, 3, calculator).steps:
        for image in step:
            configuration = without_freezed(image)
            configuration.info = {'material_id': material.id, 'edge_id': made.edge_id}
            yield configuration


def _rattled(number: int, seed: int, calculator: Calculator | None, size: int | None) -> Iterator[Atoms]:
    """Return rattled supercells of one material with exactly ``size`` atoms."""
    assert size is not None
    names = tuple(name for name in crystal_names() if size % len(crystal(name)) == 0)
    if not names:
        sizes = sorted({len(crystal(name)) for name in crystal_names()})
        raise ValueError(f'atoms = {size}: no crystal repeats to that; use a multiple of one of {sizes}')
    material = make_material(number, seed, toy=calculator is None, names=names)
    supercell = supercell_of(material.atoms, size)
    assert supercell is not None
    potential = calculator or IonPairs()
    rng = np.random.default_rng([seed, number, 6])
    for _ in range(PER_MATERIAL):
        configuration = supercell.copy()
        configuration.positions = np.round(supercell.positions + rng.normal(0.0, RATTLE_ANG, (size, 3)), 8)
        configuration = labelled(configuration, potential)
        configuration.info = {'material_id': material.id, 'edge_id': f'{material.id}_0_1_0_0_0'}
        yield configuration
