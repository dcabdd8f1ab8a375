"""What the layouts have in common: which material is in which split, tables, archives and their names."""

from __future__ import annotations

import csv
import io
import shutil
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

SPLITS = ('train', 'val', 'test')
HELD_OUT = 0.1
"""Share of the materials in ``val`` and in ``test``, about as published."""
DATE = (2025, 5, 1, 0, 0, 0)
"""Of all files in an archive, so that the same content gives the same bytes."""


@dataclass(frozen=True)
class Slot:
    """Place of an entry: hop ``hop`` of material ``material``, in ``split``; computed once as that of ``model``.

    ``model`` is the number of the material whose numbers this one repeats, shifted and with like atoms exchanged.
    """

    material: int
    model: int
    hop: int
    split: str

    @property
    def is_copy(self) -> bool:
        """Whether another material came first with these numbers."""
        return self.material != self.model


def assign_splits(count: int, seed: int) -> list[str]:
    """Return the split of each of ``count`` materials; with three or more there is one in each split."""
    held_out = max(1, round(HELD_OUT * count)) if count >= len(SPLITS) else 0
    order = np.random.default_rng([seed, 2]).permutation(count)
    splits = ['train'] * count
    for name, members in (('val', order[:held_out]), ('test', order[held_out : 2 * held_out])):
        for number in members:
            splits[number] = name
    return splits


def slots(n: int, per_material: int, distinct: int, seed: int) -> Iterator[Slot]:
    """Return the places of ``n`` entries, ``per_material`` each, of which about ``distinct`` are to be computed."""
    count = -(-n // per_material)
    models = max(1, min(count, distinct // per_material))
    splits = assign_splits(count, seed)
    for number in range(n):
        material, hop = divmod(number, per_material)
        yield Slot(material, material % models, hop, splits[material])


def random_shift(seed: int, number: int) -> np.ndarray:
    """Return a rigid shift (3,) of up to 1 Ang in whole units of a file's last decimal."""
    return np.round(np.random.default_rng([seed, number, 3]).uniform(-1.0, 1.0, 3), 8)


def fresh_folder(folder: Path, name: str) -> Path:
    """Return the new and empty folder of a set, in the place of an older one of that name."""
    place = folder / name
    if place.exists():
        shutil.rmtree(place)
    place.mkdir(parents=True)
    return place


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    """Write an index as pandas does: header, commas, numbers with all their digits."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction='ignore', lineterminator='\n')
    writer.writeheader()
    writer.writerows(rows)
    path.write_text(text.getvalue(), encoding='utf-8')


def zip_up(place: Path) -> Path:
    """Return an archive of a folder or a single file, which is removed; same content, same bytes."""
    archive = place.with_name(f'{place.name.removesuffix(".xyz")}.zip')
    with zipfile.ZipFile(archive, 'w', zipfile.ZIP_DEFLATED, compresslevel=1) as zipped:
        for path in sorted([place, *place.rglob('*')]):
            name = path.relative_to(place.parent).as_posix()
            if path.is_dir():
                zipped.writestr(_member(f'{name}/'), b'')
                continue
            with path.open('rb') as source, zipped.open(_member(name), 'w', force_zip64=True) as target:
                shutil.copyfileobj(source, target, 1 << 20)
    if place.is_dir():
        shutil.rmtree(place)
    else:
        place.unlink()
    return archive


def _member(name: str) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(name, DATE)
    member.compress_type = zipfile.ZIP_DEFLATED
    return member
