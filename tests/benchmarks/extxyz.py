"""How fast extended xyz is read and written, beside ASE, on one core and in one run.

    python -m tests.benchmarks.extxyz [--frames 400] [--atoms 96] [--repeats 5] [--json]

Configurations have positions and forces, energy and stress, in two formats: the fixed width with eight decimals that
ASE writes, and the shortest digits that keep a double. Times are of the processor, the best of a few repeats: other
work on the machine is not counted.
"""

from __future__ import annotations

import argparse
import io
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import iread, write

from aiida_litraj.analysis.frames import from_ase
from aiida_litraj.datasets.card import Keys
from aiida_litraj.datasets.extxyz import read_block, stretches, write_many


def configurations(number: int, n_atoms: int) -> list[Atoms]:
    """Labelled configurations with the words that the published files have."""
    rng = np.random.default_rng(1)
    images = []
    for n in range(number):
        atoms = Atoms(
            rng.choice(['Li', 'P', 'S', 'O'], n_atoms).tolist(),
            rng.uniform(0, 12, (n_atoms, 3)),
            cell=np.eye(3) * 12 + rng.normal(size=(3, 3)),
            pbc=True,
            info={'material_id': f'mp-{n}', 'edge_id': f'mp-{n}_0_1_0_0_0'},
        )
        results = {'energy': rng.normal() * 100, 'forces': rng.normal(size=(n_atoms, 3)), 'stress': rng.normal(size=6)}
        atoms.calc = SinglePointCalculator(atoms, **results)
        images.append(atoms)
    return images


def per_second(number: int, what: Callable[[], Any], repeats: int) -> float:
    """Return how many of ``number`` things are done per second of processor time, at best."""
    best = float('inf')
    for _ in range(repeats):
        start = time.process_time()
        what()
        best = min(best, time.process_time() - start)
    return number / best


def measure(number: int, n_atoms: int, repeats: int) -> list[dict[str, Any]]:
    """Return one row per format."""
    images = configurations(number, n_atoms)
    frames = [from_ase([atoms]) for atoms in images]
    rows = []
    with tempfile.TemporaryDirectory() as place:
        fixed, shortest = Path(place) / 'fixed.xyz', Path(place) / 'shortest.xyz'
        write(fixed, images, format='extxyz')
        with shortest.open('wb') as stream:
            write_many(stream, frames)
        for name, path in (('fixed width', fixed), ('shortest', shortest)):
            text = path.read_bytes()
            assert all(one.frame is not None for one in read_block(text))
            rows.append({
                'format': name,
                'bytes': len(text) / number,
                'read_per_s': per_second(number, lambda text=text: read_block(text, Keys()), repeats),
                'ase_read_per_s': per_second(number, lambda path=path: list(iread(path, ':')), repeats),
                'cut_per_s': per_second(number, lambda text=text: list(stretches(io.BytesIO(text), 500)), repeats),
            })  # fmt: skip
        write_speed = per_second(number, lambda: write_many(io.BytesIO(), frames), repeats)
        ase_speed = per_second(number, lambda: write(io.StringIO(), images, format='extxyz'), repeats)
    rows[0]['ase_write_per_s'] = ase_speed
    rows[1]['write_per_s'] = write_speed
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--frames', type=int, default=400)
    parser.add_argument('--atoms', type=int, default=96)
    parser.add_argument('--repeats', type=int, default=5)
    parser.add_argument('--json', action='store_true')
    given = parser.parse_args()
    rows = measure(given.frames, given.atoms, given.repeats)
    if given.json:
        print(json.dumps({'n_atoms': given.atoms, 'rows': rows}))
        return
    print(f'{given.atoms} atoms with forces; configurations per second of processor time')
    print(f'{"format":<12} {"bytes":>7} {"read":>8} {"ASE":>8} {"ratio":>6} {"cut":>9} {"write":>8} {"ASE":>8}')
    for row in rows:
        ratio = row['read_per_s'] / row['ase_read_per_s']
        writes = [f'{row[key]:>8.0f}' if key in row else f'{"-":>8}' for key in ('write_per_s', 'ase_write_per_s')]
        print(
            f'{row["format"]:<12} {row["bytes"]:>7.0f} {row["read_per_s"]:>8.0f} {row["ase_read_per_s"]:>8.0f} '
            f'{ratio:>6.1f} {row["cut_per_s"]:>9.0f} {" ".join(writes)}'
        )


if __name__ == '__main__':
    main()
