"""Small sets in the publishers' layouts, written with ASE as theirs are, and how to read them."""

from __future__ import annotations

import csv
import json
import pickle
import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write
from ase.io.trajectory import TrajectoryWriter

from aiida_litraj.datasets.card import Card, load_card
from aiida_litraj.datasets.entry import START, Chunk, Cursor, Entry, Problem
from aiida_litraj.datasets.importers import importer_of
from aiida_litraj.datasets.source import Source

SPLITS = {'train': 7, 'val': 2, 'test': 3}
CIF = """data_{name}
_symmetry_space_group_name_H-M   'P -1'
_cell_length_a   5.0
_cell_length_b   5.5
_cell_length_c   6.0
_cell_angle_alpha   80.0
_cell_angle_beta   85.0
_cell_angle_gamma   75.0
_symmetry_Int_Tables_number   2
loop_
 _symmetry_equiv_pos_site_id
 _symmetry_equiv_pos_as_xyz
  1  'x, y, z'
  2  '-x, -y, -z'
loop_
 _atom_site_type_symbol
 _atom_site_label
 _atom_site_symmetry_multiplicity
 _atom_site_fract_x
 _atom_site_fract_y
 _atom_site_fract_z
 _atom_site_occupancy
  Li  Li0  2  0.06048107  0.78416267  0.64013574  0.875
  P  P1  2  0.25  0.25  0.25  0.75
  S  S1  2  0.25  0.25  0.25  0.25
  O  O5  2  0.56929751  0.41302806  0.76237738  1.0
"""


def atoms_of(seed: int, labelled: bool = True, centroid: bool = False, n_atoms: int | None = None) -> Atoms:
    """A random crystal with lithium first, as ASE has it after a calculation."""
    rng = np.random.default_rng(seed)
    n_atoms = n_atoms or int(rng.integers(3, 12))
    symbols = ['Li', *rng.choice(['Li', 'P', 'S', 'O'], n_atoms - 1).tolist()]
    if centroid:
        symbols[-1] = 'X'
    atoms = Atoms(
        symbols,
        rng.uniform(-1, 12, (n_atoms, 3)),
        cell=np.diag(rng.uniform(8, 12, 3)) + rng.normal(size=(3, 3)),
        pbc=True,
    )
    if labelled:
        results = {
            'energy': rng.normal() * 100,
            'forces': rng.normal(size=(n_atoms, 3)),
            'stress': rng.normal(size=6) / 100,
        }
        atoms.calc = SinglePointCalculator(atoms, **results)
    return atoms


def write_rows(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open('w', newline='') as stream:
        writer = csv.DictWriter(stream, list(rows[0]), lineterminator='\n')
        writer.writeheader()
        writer.writerows(rows)


def mplitrj(top: Path, name: str = 'MPLiTrj') -> Path:
    """Three files of labelled configurations."""
    folder = top / name
    folder.mkdir()
    for number, (split, count) in enumerate(SPLITS.items()):
        write(folder / f'{name}_{split}.xyz', [atoms_of(100 * number + n) for n in range(count)], format='extxyz')
    return folder


def indexed(top: Path, name: str, keyed: bool = True) -> Path:
    """Three files of structures or supercells, and an index."""
    folder = top / name
    folder.mkdir()
    rows = []
    centroid = name == 'nebBVSE122k'
    for number, (split, count) in enumerate(SPLITS.items()):
        images = []
        for n in range(count):
            atoms = atoms_of(100 * number + n, labelled=False, centroid=centroid)
            material = f'mp-{100 * number + n // 2 if centroid else 100 * number + n}'
            row = {'material_id': material, 'chemsys': 'Li-O-P', '_split': split}
            if centroid:
                row |= {'em': f'0.{n}50'}
                atoms.info |= {'edge_id': f'{material}_{n}_1_0_0_0', 'material_id': material, 'em': float(row['em'])}
                if keyed:
                    row['edge_id'] = atoms.info['edge_id']
            else:
                row |= {f'E_{d}D': repr(0.1 * d + n / 7) for d in (1, 2, 3)}
                atoms.info |= {'material_id': material} | {f'E_{d}D': float(row[f'E_{d}D']) for d in (1, 2, 3)}
            images.append(atoms)
            rows.append(row)
        write(folder / f'{name}_{split}.xyz', images, format='extxyz')
    write_rows(folder / f'{name}_index.csv', rows)
    return folder


def nebdft2k(top: Path, n_paths: int = 6) -> Path:
    """Two files per path, the centroids of all, and the index."""
    folder = top / 'nebDFT2k'
    folder.mkdir()
    rows, centroids = [], []
    for n in range(n_paths):
        material = f'mp-{n // 2}'
        edge = f'{material}_{n}_3_0_0_-1'
        images = [atoms_of(n, n_atoms=8) for _ in range(5)]
        for step, image in enumerate(images):
            image.positions[0] += 0.3 * step
        write(folder / f'{edge}_relaxed.xyz', images, format='extxyz')
        initial = [atoms_of(n, labelled=False, n_atoms=8) for _ in range(5)]
        for image in initial:
            image.set_array('freezed', np.arange(8) > 0)
        write(folder / f'{edge}_init.xyz', initial, format='extxyz')
        row = {
            'material_id': material, 'edge_id': edge, 'chemsys': 'Li-P-S', 'has_specific_TM': str(n % 2 == 0),
            'em_bvse': f'0.{n}10', 'em_dft': f'{0.123456789 * (n + 1)!r}', '_split': ['train', 'val', 'test'][n % 3],
        }  # fmt: skip
        centroid = atoms_of(50 + n, labelled=False, centroid=True)
        centroid.info |= {'edge_id': edge, 'material_id': material, 'em': float(row['em_dft'])}
        rows.append(row)
        centroids.append(centroid)
    write(folder / 'nebDFT2k_centroids.xyz', centroids, format='extxyz')
    write_rows(folder / 'nebDFT2k_index.csv', rows)
    return folder


def mplitrj_raw(top: Path) -> Path:
    """Folders of bands, their initial paths as text, their ends in binary as ASE's optimisers write them."""
    folder = top / 'MPLiTrj_raw'
    for n in range(3):
        path = folder / f'mp-{n}_0_1_0_0_0.neb'
        path.mkdir(parents=True)
        for step in range(12):
            with TrajectoryWriter(path / f'band_optim_step_{step}.traj') as writer:
                for image in range(3):
                    writer.write(atoms_of(1000 * n + 10 * step + image, labelled=image != 1, n_atoms=6))
        for end in ('source', 'target'):
            with TrajectoryWriter(path / f'{end}.xyz') as writer:
                writer.write(atoms_of(n, n_atoms=6))
        write(path / 'traj_init.xyz', [atoms_of(n, labelled=False, n_atoms=6)] * 3, format='extxyz')
        (path / 'qn.log').write_text('nothing to import\n')
    return folder


def lips25(top: Path) -> Path:
    """One file with virials and labels."""
    folder = top / 'LiPS-25'
    folder.mkdir()
    images = []
    for n in range(9):
        atoms = atoms_of(n)
        energy = atoms.calc.results['energy']
        del atoms.calc.results['stress']
        virial = np.random.default_rng(n).normal(size=(3, 3))
        atoms.info |= {
            'energy_per_at': energy / len(atoms), 'virial': virial, 'label': ['Iter1-2', 'crystal', 'RSS dimer'][n % 3],
            'cell_origin': '0.0 0.0 0.0',
        }  # fmt: skip
        images.append(atoms)
    write(folder / 'lips-25.extxyz', images, format='extxyz')
    return folder


def obelix(top: Path, packed: bool = False) -> Path:
    """A table, and CIFs with partly occupied and shared sites."""
    folder = top / 'OBELiX'
    folder.mkdir()
    rows = []
    conductivities = ['1.58489e-06', '<1E-10', '0.000662', '1e-13']
    (folder / 'train_randomized_cifs').mkdir()
    for n, text in enumerate(conductivities):
        name = f'a{n}z'
        rows.append({
            'ID': name, 'Reduced Composition': 'Li4P2O7', 'Ionic conductivity (S cm-1)': text,
            'Family': 'a "family", rare', 'Cif ID': 'not available' if n == 3 else 'done',
        })  # fmt: skip
        if n < 3:
            (folder / 'train_randomized_cifs' / f'{name}.cif').write_text(CIF.format(name=name))
    write_rows(folder / 'train.csv', rows)
    if packed:
        with tarfile.open(folder / 'train_cifs.tar.gz', 'w:gz') as tar:
            tar.add(folder / 'train_randomized_cifs', 'train_randomized_cifs')
        for path in (folder / 'train_randomized_cifs').iterdir():
            path.unlink()
        (folder / 'train_randomized_cifs').rmdir()
    return folder


MAKERS = {
    'nebDFT2k': nebdft2k,
    'MPLiTrj': mplitrj,
    'MPLiTrj_subsample': lambda top: mplitrj(top, 'MPLiTrj_subsample'),
    'MPLiTrj_raw': mplitrj_raw,
    'BVEL13k': lambda top: indexed(top, 'BVEL13k'),
    'nebBVSE122k': lambda top: indexed(top, 'nebBVSE122k'),
    'LiPS-25': lips25,
    'OBELiX': obelix,
}


def zipped(folder: Path, name: str | None = None) -> Path:
    """A zip of one folder, which may be called otherwise."""
    path = folder.parent / f'{folder.name}.zip'
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob('*')):
            archive.write(file, f'{name or folder.name}/{file.relative_to(folder)}')
    return path


def read_all(path: Path | list[Path], card: Card | str, size: int = 500) -> tuple[list[Entry], list[Problem]]:
    """Read a set from beginning to end, each chunk as if it went to another process."""
    card = load_card(card) if isinstance(card, str) else card
    importer = importer_of(card)
    entries: list[Entry] = []
    with Source.open(path) as source:
        parts, problems = importer.parts(source, card)
        for part in parts:
            end = START
            for chunk in importer.chunks(source, card, part, size=size):
                assert chunk.start.number == end.number and chunk.n_entries <= size
                end = chunk.end
                parsed = importer.parse(card, travelled(chunk))
                assert len(parsed.entries) + len(parsed.problems) >= chunk.n_entries
                entries += parsed.entries
                problems += parsed.problems
    return entries, problems


def travelled(chunk: Chunk) -> Chunk:
    """The chunk after a journey through a pipe, its context as JSON."""
    copy: Chunk = pickle.loads(pickle.dumps(chunk))  # noqa: S301 - our own
    assert Cursor(*json.loads(json.dumps(list(chunk.end)))) == chunk.end
    return Chunk(
        copy.part,
        copy.split,
        copy.start,
        copy.end,
        copy.payload,
        copy.file,
        json.loads(json.dumps(chunk.context)),
        copy.prefix,
    )


def content(entries: Iterable[Entry]) -> list[tuple[object, ...]]:
    """Everything of entries but where they were read, down to the last bit."""
    return [
        (
            entry.id, entry.split, entry.material, dict(entry.properties), entry.row and dict(entry.row),
            entry.frames.to_bytes(), *(one and one.to_bytes() for one in (entry.initial, entry.centroid)),
        )
        for entry in entries
    ]  # fmt: skip
