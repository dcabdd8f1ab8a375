"""Frames: exact through bytes and ASE, readable by plain numpy, closed to anything else."""

from __future__ import annotations

import io

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from aiida_litraj.analysis.frames import from_ase, to_ase
from aiida_litraj.contract.frames import Frames

RNG = np.random.default_rng(7)


def labelled(n_atoms: int, **results: object) -> Atoms:
    """Random atoms with results, an array of their own and info of several kinds."""
    atoms = Atoms(
        RNG.choice([3, 8, 15, 0], n_atoms), RNG.normal(size=(n_atoms, 3)), cell=RNG.normal(size=(3, 3)), pbc=True
    )
    atoms.set_array('freezed', RNG.random(n_atoms) > 0.5)
    atoms.info.update(material_id='mp-2878', em=0.1 + 0.2, virial=RNG.normal(size=9), note='λ "quoted"', n=3)
    atoms.calc = SinglePointCalculator(atoms, **results) if results else None
    return atoms


def some_frames() -> tuple[Frames, list[Atoms]]:
    """Three frames of different sizes; the last knows no forces, only the first a stress."""
    images = [
        labelled(4, energy=-1.0 / 3, forces=RNG.normal(size=(4, 3)), stress=RNG.normal(size=6)),
        labelled(1, energy=2e-17, forces=RNG.normal(size=(1, 3))),
        labelled(7, energy=-1e5 / 7),
    ]
    return from_ase(images), images


def same(one: Frames, other: Frames) -> None:
    for name in ('offsets', 'numbers', 'positions', 'cells', 'pbc', 'energies', 'forces', 'stresses'):
        values, others = getattr(one, name), getattr(other, name)
        assert (values is None) == (others is None), name
        assert values is None or np.array_equal(values, others, equal_nan=values.dtype.kind == 'f'), name
    assert one.info == other.info
    assert {k: v.tolist() for k, v in one.arrays.items()} == {k: v.tolist() for k, v in other.arrays.items()}


def test_bytes_are_exact_and_plain_numpy_reads_them() -> None:
    frames, _ = some_frames()
    content = frames.to_bytes()
    same(Frames.from_bytes(content), frames)
    record = np.load(io.BytesIO(content), allow_pickle=False)
    assert np.array_equal(record['positions'], frames.positions)
    assert np.array_equal(record['energies'], frames.energies)


def test_ase_is_exact_frame_by_frame() -> None:
    frames, images = some_frames()
    for atoms, original in zip(to_ase(Frames.from_bytes(frames.to_bytes())), images, strict=True):
        assert np.array_equal(atoms.positions, original.positions)
        assert np.array_equal(atoms.cell, original.cell)
        assert atoms.get_array('freezed').tolist() == original.get_array('freezed').tolist()
        assert atoms.info['em'] == original.info['em'] and atoms.info['note'] == original.info['note']
        assert set(atoms.calc.results) == set(original.calc.results)
        for name, value in original.calc.results.items():
            assert np.array_equal(atoms.calc.results[name], value), name


def test_one_frame_of_many_is_the_frame() -> None:
    frames, images = some_frames()
    for index in (0, 1, 2, -1):
        same(frames[index], from_ase([images[index]]))
    same(Frames.stack([frames[0], frames[1], frames[2]]), frames)
    with pytest.raises(IndexError, match='no frame 3, only 3'):
        frames[3]


@pytest.mark.parametrize('cut', [0, 5, 9, 40, 300, -1])
def test_cut_or_foreign_bytes_are_refused(cut: int) -> None:
    frames, _ = some_frames()
    with pytest.raises(ValueError, match='these are no frames'):
        Frames.from_bytes(frames.to_bytes()[:cut])


def test_other_numpy_files_and_pickles_are_refused() -> None:
    for array in (np.arange(3), np.array([{'a': 1}], dtype=object)):
        buffer = io.BytesIO()
        np.save(buffer, array, allow_pickle=True)
        with pytest.raises(ValueError, match='these are no frames'):
            Frames.from_bytes(buffer.getvalue())


def test_stack_of_unequal_arrays_is_refused() -> None:
    frames, images = some_frames()
    images[0].set_array('freezed', None)
    with pytest.raises(ValueError, match=r'some frames have the arrays \[.freezed.\], others \[\]'):
        Frames.stack([frames[1], from_ase([images[0]])])
