"""The bytes: as ASE would write them, the same for the same seed, distinct where they should be."""

from __future__ import annotations

import hashlib
import io
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import iread, read, write

from aiida_litraj.datasets.make import MAKERS, make
from aiida_litraj.datasets.make.crystals import FOLDER, crystal
from aiida_litraj.datasets.make.layout import assign_splits
from aiida_litraj.datasets.make.writing import format_reals, frame_bytes

ROOT = Path(__file__).parents[3]
SMALL: dict[str, dict[str, Any]] = {
    'nebDFT2k': {'n': 2, 'steps': 1},
    'MPLiTrj': {'n': 6, 'atoms': 12},
    'MPLiTrj_subsample': {'n': 6, 'atoms': 12},
    'MPLiTrj_raw': {'n': 2, 'steps': 1},
    'BVEL13k': {'n': 3},
    'nebBVSE122k': {'n': 3},
    'LiPS-25': {'n': 12},
    'OBELiX': {'n': 30},
}


def digest(place: Path) -> str:
    files = sorted(path for path in place.rglob('*') if path.is_file()) if place.is_dir() else [place]
    content = b''.join(path.name.encode() + path.read_bytes() for path in files)
    return hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize('name', MAKERS)
def test_same_seed_same_bytes(tmp_path: Path, name: str) -> None:
    first = digest(make(name, tmp_path / 'a', seed=3, **SMALL[name]))
    assert digest(make(name, tmp_path / 'b', seed=3, **SMALL[name])) == first
    if name != 'OBELiX':
        assert digest(make(name, tmp_path / 'c', seed=4, **SMALL[name])) != first


@pytest.mark.parametrize('name', MAKERS)
def test_zip_holds_one_folder_or_file_with_the_same_files(tmp_path: Path, name: str) -> None:
    place = make(name, tmp_path / 'a', **SMALL[name])
    zipped = make(name, tmp_path / 'b', zipped=True, **SMALL[name])
    assert [path.name for path in zipped.parent.iterdir()] == [zipped.name] == [f'{name}.zip']
    with zipfile.ZipFile(zipped) as archive:
        assert {member.split('/')[0] for member in archive.namelist()} == {place.name}
        archive.extractall(tmp_path / 'c')
    assert digest(tmp_path / 'c' / place.name) == digest(place)
    assert make(name, tmp_path / 'd', zipped=True, **SMALL[name]).read_bytes() == zipped.read_bytes()


def test_text_is_what_ase_writes() -> None:
    atoms = crystal('Li3PO4_gamma').copy()
    atoms.rattle(0.3, seed=5)
    atoms.positions -= 3.0
    atoms.set_array('freezed', np.arange(len(atoms)) > 0)
    atoms.info = {'edge_id': 'mp-1_0_1_0_0_-1', 'em': 0.25, 'label': 'two words', 'flag': True, 'number': 3}
    atoms.info['virial'] = np.arange(9.0).reshape(3, 3)
    rng = np.random.default_rng(0)
    forces = np.concatenate([rng.normal(0, 40, (len(atoms) - 1, 3)), [[-1e-12, 0.0, -123.5]]])
    atoms.calc = SinglePointCalculator(atoms, energy=-1.2345678901234567, forces=forces, stress=rng.normal(size=6))
    text = io.StringIO()
    write(text, atoms, format='extxyz')
    assert frame_bytes(atoms).decode() == text.getvalue()


def test_numbers_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match='too large'):
        format_reals([[12345.6, 0.0, 0.0]])


def test_every_configuration_has_positions_of_its_own(tmp_path: Path) -> None:
    place = make('MPLiTrj', tmp_path, n=400, atoms=12, distinct=20)
    frames = [atoms for path in place.glob('*.xyz') for atoms in iread(path)]
    assert len({atoms.positions.tobytes() for atoms in frames}) == len(frames) == 400
    assert all(atoms.symbols[0] == 'Li' for atoms in frames)


def test_no_material_is_in_two_splits(tmp_path: Path) -> None:
    place = make('MPLiTrj', tmp_path, n=200, atoms=12, distinct=100, ids=True)
    found: dict[str, set[str]] = {}
    cells: dict[str, set[bytes]] = {}
    for split in ('train', 'val', 'test'):
        frames = read(place / f'MPLiTrj_{split}.xyz', ':')
        found[split] = {atoms.info['material_id'] for atoms in frames}
        cells[split] = {np.asarray(atoms.cell).tobytes() for atoms in frames}
    for one, other in (('train', 'val'), ('train', 'test'), ('val', 'test')):
        assert found[one] and found[other] and not found[one] & found[other]
        assert not cells[one] & cells[other]


def test_splits_of_materials() -> None:
    assert set(assign_splits(3, 0)) == {'train', 'val', 'test'}
    many = assign_splits(1000, 0)
    assert (many.count('val'), many.count('test')) == (100, 100)


@pytest.mark.parametrize('ends', ['traj', 'extxyz'])
def test_a_folder_per_pathway(tmp_path: Path, ends: str) -> None:
    place = make('MPLiTrj_raw', tmp_path, n=2, steps=2, ends=ends)
    pathway, _ = sorted(place.iterdir())
    assert pathway.name.endswith('.neb')
    assert sorted(path.name for path in pathway.iterdir()) == [
        'band_optim_step_0.traj', 'band_optim_step_1.traj', 'band_optim_step_2.traj',
        'source.xyz', 'target.xyz', 'traj_init.xyz',
    ]  # fmt: skip
    assert (pathway / 'source.xyz').read_bytes().startswith(b'- of Ulm') == (ends == 'traj')
    band = read(pathway / 'band_optim_step_2.traj', ':')
    source, target = read(pathway / 'source.xyz', ':'), read(pathway / 'target.xyz', ':')
    assert len(band) == len(read(pathway / 'traj_init.xyz', ':')) == 7
    assert np.abs(band[0].positions - source[-1].positions).max() < 1e-8
    assert np.abs(band[-1].positions - target[-1].positions).max() < 1e-8
    assert source[-1].get_potential_energy() < source[0].get_potential_energy()


def test_lips25(tmp_path: Path) -> None:
    frames = read(make('LiPS-25', tmp_path, n=50, distinct=25), ':')
    assert len(frames) == 50
    assert {atoms.info['label'].split('-')[0] for atoms in frames} == {
        'crystalline', 'AIMD', 'Iter1', 'Iter2', 'RHS', 'dimer'
    }  # fmt: skip
    for atoms in frames:
        assert atoms.info['energy_per_at'] == atoms.get_potential_energy() / len(atoms)
        assert atoms.info['virial'].shape == (3, 3) and atoms.info['cell_origin'].shape == (3,)
        assert set(atoms.symbols) <= {'Li', 'P', 'S'}


def test_obelix(tmp_path: Path) -> None:
    place = make('OBELiX', tmp_path, n=50, packed=False)
    table = (place / 'train.csv').read_text(encoding='utf-8').splitlines()
    assert (len(table), len({line.split(',')[0] for line in table})) == (51, 51)
    with_crystal = {line.split(',')[0] for line in table if ',done,' in line}
    assert {path.stem for path in (place / 'train_randomized_cifs').iterdir()} == with_crystal
    assert any(isinstance(read(path), Atoms) for path in (place / 'train_randomized_cifs').glob('qbb.cif'))


def test_crystals_are_those_of_the_examples() -> None:
    shared = [path for path in (ROOT / 'examples' / 'structures').glob('*.cif') if (FOLDER / path.name).exists()]
    assert len(shared) == 8
    assert all(path.read_bytes() == (FOLDER / path.name).read_bytes() for path in shared)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (('Nothing', '.'), 'no maker|invalid choice'),
        (('MPLiTrj', '.', '--atoms', '97'), 'multiple of'),
        (('BVEL13k', '.', '--atoms', '96'), 'has no option atoms'),
        (('BVEL13k', '.', '-n', '0'), 'at least one'),
    ],
)
def test_command_line_refuses(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    done = run(tmp_path, *arguments)
    assert done.returncode == 2 and re.search(message, done.stderr)


def test_command_line(tmp_path: Path) -> None:
    done = run(tmp_path, 'MPLiTrj', 'made', '-n', '6', '--zip', '--atoms', '12', '--seed', '2', '--option', 'ids=True')
    assert (done.returncode, done.stdout) == (0, 'made/MPLiTrj.zip\n'), done.stderr
    expected = make('MPLiTrj', tmp_path, n=6, atoms=12, seed=2, ids=True, zipped=True)
    assert (tmp_path / 'made' / 'MPLiTrj.zip').read_bytes() == expected.read_bytes()


def run(folder: Path, *arguments: str) -> Any:
    return subprocess.run(
        [sys.executable, '-m', 'aiida_litraj.datasets.make', *arguments],
        cwd=folder, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def test_neither_aiida_nor_torch_is_loaded() -> None:
    listed = subprocess.run(
        [sys.executable, '-c', 'import aiida_litraj.datasets.make, sys; print(*sys.modules)'],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    assert 'aiida' not in listed and 'torch' not in listed
