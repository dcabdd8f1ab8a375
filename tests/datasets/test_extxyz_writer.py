"""What is written is read back bit for bit, by us and by ASE."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase.io import read

from aiida_litraj.analysis.frames import from_ase
from aiida_litraj.contract.frames import Frames
from aiida_litraj.datasets.card import Keys
from aiida_litraj.datasets.extxyz import read_block, write_frames, write_many


def random_frame(seed: int, **more: Any) -> Frames:
    """A configuration whose numbers need all their digits."""
    rng = np.random.default_rng(seed)
    n_atoms = int(rng.integers(1, 30))
    return Frames.of_one(
        rng.choice([0, 3, 8, 15, 16, 39], n_atoms),
        rng.normal(size=(n_atoms, 3)) * 10.0 ** rng.integers(-12, 12),
        rng.normal(size=(3, 3)) * 10,
        rng.random(3) < 0.5,
        rng.normal() * 1e3,
        rng.normal(size=(n_atoms, 3)) * 10.0 ** rng.integers(-300, 300, (n_atoms, 3)),
        rng.normal(size=6),
        **more,
    )


def written(frames: Frames, keys: Keys | None = None) -> bytes:
    buffer = io.BytesIO()
    write_frames(buffer, frames, keys or Keys())
    return buffer.getvalue()


def read_back(frames: Frames, keys: Keys | None = None) -> Frames:
    found = read_block(written(frames, keys), keys or Keys())
    assert all(one.frame is not None for one in found), found
    return Frames.stack([one.frame for one in found if one.frame is not None])


def test_all_digits_come_back_by_us_and_by_ase(tmp_path: Path) -> None:
    frames = [random_frame(seed) for seed in range(50)]
    path = tmp_path / 'a.xyz'
    with path.open('wb') as stream:
        write_many(stream, frames)
    whole = Frames.stack(frames)
    found = [one.frame for one in read_block(path.read_bytes())]
    assert Frames.stack([one for one in found if one is not None]).to_bytes() == whole.to_bytes()
    assert from_ase(read(path, ':')).to_bytes() == whole.to_bytes()


@pytest.mark.parametrize(
    'value',
    [
        3, -7, 1.5, 1e300, -0.0, True, False, 'word', 'two words', '', ' padded ', '123', '1.5', 'T', 'nan', '1 2 3',
        'T F', 'a"quote', "it's", 'back\\slash', 'new\nline', '{brace}', '[1, 2]', 'x=y', 'a,b', '_JSON 1', 'é',
        [1, 2, 3], [1.5, 2.0], [1], [True, False, True], [True], [], [[1, 2], [3, 4]], {'a': [1, {'b': None}]}, None,
        [0.1, 2], ['a', 'b'], 10**15, 'mp-1_0_1_0_0_0',
    ],
)  # fmt: skip
@pytest.mark.parametrize('key', ['label', 'virial_like'])
def test_words_of_the_comment_come_back(key: str, value: Any) -> None:
    frame = random_frame(1, info={key: value})
    info = read_back(frame).info[0]
    assert info == {key: value} and repr(info[key]) == repr(value)


def test_a_virial_comes_back_as_it_was() -> None:
    matrix = [[1.5, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.25]]
    assert read_back(random_frame(2, info={'virial': matrix})).info[0] == {'virial': matrix}


def test_a_stress_that_is_not_symmetric_comes_back() -> None:
    head = 'Lattice="4 0 0 0 5 0 0 0 6" Properties=species:S:1:pos:R:3'
    (found,) = read_block(f'1\n{head} stress="1 2 3 4 5 6 7 8 9"\nLi 0 0 0\n'.encode())
    assert found.frame is not None
    assert read_back(found.frame).to_bytes() == found.frame.to_bytes()


@pytest.mark.parametrize(
    'values',
    [
        np.array([True, False, True]),
        np.array([1, -2, 2**40]),
        np.array([0.1, -0.0, 1e-300]),
        np.array(['a', 'Li+', 'x"y,z']),
        np.arange(6).reshape(3, 2),
        np.linspace(0, 1, 9).reshape(3, 3),
        np.array([[True, False], [False, False], [True, True]]),
    ],
)
def test_arrays_of_all_kinds_come_back(values: np.ndarray[Any, Any]) -> None:
    frame = Frames.of_one([3, 8, 0], np.eye(3), np.eye(3) * 5, [True] * 3, arrays={'freezed': values})
    back = read_back(frame).arrays['freezed']
    assert back.dtype.kind == values.dtype.kind and back.tolist() == values.tolist()


def test_a_word_with_a_blank_is_refused() -> None:
    frame = Frames.of_one([3], np.zeros((1, 3)), np.eye(3), [True] * 3, arrays={'tag': np.array(['a b'])})
    with pytest.raises(ValueError, match='array tag'):
        written(frame)


def test_names_of_the_card_are_written(tmp_path: Path) -> None:
    keys = Keys(energy='REF_energy', forces='REF_forces', stress='REF_stress')
    frame = random_frame(3)
    assert read_back(frame, keys).to_bytes() == frame.to_bytes()
    (tmp_path / 'a.xyz').write_bytes(written(frame, keys))
    atoms = read(tmp_path / 'a.xyz')
    assert frame.forces is not None and frame.energies is not None and frame.stresses is not None
    assert atoms.arrays['REF_forces'].tolist() == frame.forces.tolist()
    assert atoms.info['REF_energy'] == frame.energies[0]
    assert atoms.info['REF_stress'].reshape(3, 3)[1, 2] == frame.stresses[0, 3]


def test_what_is_not_known_is_not_written() -> None:
    frame = Frames.of_one([3], np.zeros((1, 3)), np.zeros((3, 3)), [False] * 3)
    assert written(frame) == b'1\nProperties=species:S:1:pos:R:3 pbc="F F F"\nLi 0.0 0.0 0.0\n'
