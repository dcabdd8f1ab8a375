"""A person's own set: any names of numbers, any file that ASE reads, a card of a few lines."""

from __future__ import annotations

from pathlib import Path

import pytest
from ase.io import read, write

from aiida_litraj.analysis.frames import from_ase
from aiida_litraj.datasets.card import Card, Keys

from . import tiny

CARD = Card(name='mine', title='My own', keys=Keys(energy='energy', forces='forces'), required=('energy',))


@pytest.mark.parametrize('name', ['a.xyz', 'a.extxyz', 'a.traj', 'a.json', 'a.db'])
def test_any_file_that_ase_reads_is_a_set(name: str, tmp_path: Path) -> None:
    images = [tiny.atoms_of(seed) for seed in range(7)]
    write(tmp_path / name, images)
    expected = [from_ase([image]) for image in read(tmp_path / name, ':')]
    for size in (1, 3, 500):
        entries, problems = tiny.read_all(tmp_path / name, CARD, size)
        assert problems == []
        assert [entry.id for entry in entries] == [f'a/{n}' for n in range(7)]
        for entry, frame in zip(entries, expected, strict=True):
            assert entry.frames.positions.tobytes() == frame.positions.tobytes()
            assert entry.frames.energies is not None and frame.energies is not None
            assert entry.frames.energies.tobytes() == frame.energies.tobytes()


def test_a_single_structure_and_several_files_and_a_zip(tmp_path: Path) -> None:
    folder = tmp_path / 'mine'
    folder.mkdir()
    write(folder / 'train.vasp', tiny.atoms_of(1, labelled=False), format='vasp')
    write(folder / 'x_val.xyz', [tiny.atoms_of(2)], format='extxyz')
    write(folder / 'other.cif', tiny.atoms_of(3, labelled=False))
    (folder / 'notes.md').write_text('not a structure')
    card = Card(name='mine', title='My own', splits={'train': None, 'val': None})
    entries, problems = tiny.read_all(folder, card)
    assert problems == []
    assert [(entry.id, entry.split) for entry in entries] == [('train/0', 'train'), ('val/0', 'val'), ('other/0', None)]
    again, _ = tiny.read_all(tiny.zipped(folder), card)
    assert tiny.content(again) == tiny.content(entries)


def test_names_of_the_file_are_those_of_the_card(tmp_path: Path) -> None:
    atoms = tiny.atoms_of(4)
    results = atoms.calc.results
    atoms.calc = None
    atoms.info |= {'my_energy': results['energy'], 'group': 'a', 'name': 'first', 'gap': 1.5}
    atoms.set_array('my_forces', results['forces'])
    write(tmp_path / 'a.xyz', atoms, format='extxyz')
    card = Card(
        name='mine', title='My own', keys=Keys(energy='my_energy', forces='my_forces'), identifier='name',
        material='group', properties={'gap': {'unit': 'eV', 'meaning': 'Band gap'}}, required=('energy', 'forces'),
    )  # fmt: skip
    (entry,), problems = tiny.read_all(tmp_path / 'a.xyz', card)
    assert problems == []
    assert (entry.id, entry.material, entry.properties) == ('first', 'a', {'gap': 1.5})
    assert entry.frames.energies is not None and entry.frames.energies[0] == results['energy']


def test_a_file_that_ase_cannot_read_is_told(tmp_path: Path) -> None:
    (tmp_path / 'broken.cif').write_text('data_\nloop_\n')
    (tmp_path / 'a.xyz').write_text('1\n\nLi 0 0 0\n')
    entries, problems = tiny.read_all(tmp_path, Card(name='mine', title='My own'))
    assert [entry.id for entry in entries] == ['a/0']
    assert [one.file for one in problems] == ['broken.cif'] and 'can' in problems[0].reason


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    (tmp_path / 'a.pkl').write_bytes(b'\x80\x04K\x01.')
    with pytest.raises(ValueError, match='holds no file with structures'):
        tiny.read_all(tmp_path, Card(name='mine', title='My own'))
