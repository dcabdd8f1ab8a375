"""Made nebBVSE122k: supercells with the pseudo-atom ``X`` in the middle of a hop, each with its barrier."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from ase.calculators.calculator import Calculator

from .crystals import material_id
from .layout import SPLITS, fresh_folder, slots, write_table
from .paths import Paths
from .writing import write_frames

COLUMNS = ('material_id', 'edge_id', 'chemsys', '_split', 'em')
PER_MATERIAL = 8


def make_nebbvse122k(
    folder: Path,
    n: int,
    seed: int,
    calculator: Calculator | None = None,
    distinct: int = 80,
    index_edge_id: bool = True,
    name: str = 'nebBVSE122k',
    spelling: str | None = None,
) -> Path:
    """Write ``n`` supercells with their centroid, eight hops of each made material, and return their folder.

    ``em`` is the barrier of the straight path in a rigid framework; a ``calculator`` has no part in it, as there is no
    other theory in this set. ``index_edge_id`` tells whether the index has a column ``edge_id``: the publisher's
    description names none.
    """
    place = fresh_folder(folder, spelling or name)
    paths = Paths(seed, PER_MATERIAL, 0, None)
    rows = []
    with ExitStack() as stack:
        files = {split: stack.enter_context((place / f'{name}_{split}.xyz').open('wb')) for split in SPLITS}
        for slot in slots(n, PER_MATERIAL, distinct, seed):
            hop = paths.hop(slot.model, slot.hop)
            (centroid,) = paths.place(slot, [hop.centroid])
            centroid.info = {
                'edge_id': paths.edge_id(slot),
                'material_id': material_id(slot.material),
                'em': paths.bvse(slot.model, slot.hop),
            }
            write_frames(files[slot.split], [centroid])
            rows.append({**centroid.info, 'chemsys': hop.material.chemsys, '_split': slot.split})
    columns = [column for column in COLUMNS if index_edge_id or column != 'edge_id']
    write_table(place / f'{name}_index.csv', columns, rows)
    return place
