"""Sets as files, energies of elements: what a trainer reads is what was written, to the last digit."""

from __future__ import annotations

from pathlib import Path

import ase.io
import numpy as np
import pytest

from aiida_litraj.contract.frames import Frames
from aiida_litraj.engine.models import Configuration, Evaluation
from aiida_litraj.engine.trainers.data import write_set
from aiida_litraj.engine.trainers.references import fit, offsets, references, spread

LITHIUM, SULFUR = 3, 16


def labelled(seed: int = 0, numbers: tuple[int, ...] = (LITHIUM, LITHIUM, SULFUR), **known: object) -> Frames:
    random = np.random.default_rng(seed)
    n = len(numbers)
    cell, stress = random.normal(size=(3, 3)), random.normal(size=6)
    return Frames.of_one(
        numbers, random.normal(size=(n, 3)), cell, [True] * 3, -1e3 / 7, random.normal(size=(n, 3)) / 7, stress
    )


def test_files_are_read_to_the_last_digit(tmp_path: Path) -> None:
    frames = Frames.stack([labelled(), labelled(1, (SULFUR,))])
    write_set(frames, tmp_path / 'set.xyz')
    read = ase.io.read(tmp_path / 'set.xyz', index=':', format='extxyz')
    assert [len(atoms) for atoms in read] == [3, 1]
    for index, atoms in enumerate(read):
        frame = frames[index]
        assert atoms.numbers.tolist() == frame.numbers.tolist()
        assert (atoms.positions == frame.positions).all()
        assert (atoms.cell.array == frame.cells[0]).all()
        assert atoms.pbc.all()
        assert atoms.info['REF_energy'] == frame.energies[0]
        assert (atoms.arrays['REF_forces'] == frame.forces).all()
        assert (atoms.info['REF_stress'] == frame.stresses[0][[[0, 5, 4], [5, 1, 3], [4, 3, 2]]]).all()


def test_labels_that_a_calculator_would_give(tmp_path: Path) -> None:
    """Without a prefix they are those of ASE's own reader: its stress is xx yy zz yz xz xy."""
    frames = labelled()
    write_set(frames, tmp_path / 'set.xyz', prefix='')
    atoms = ase.io.read(tmp_path / 'set.xyz', format='extxyz')
    assert atoms.get_potential_energy() == frames.energies[0]
    assert (atoms.get_forces() == frames.forces).all()
    assert (atoms.get_stress() == frames.stresses[0]).all()


def test_a_stress_that_is_not_known_is_left_out(tmp_path: Path) -> None:
    frames = labelled()
    frames.stresses[:] = np.nan
    write_set(frames, tmp_path / 'set.xyz')
    assert 'REF_stress' not in ase.io.read(tmp_path / 'set.xyz', format='extxyz').info


def test_energies_of_elements() -> None:
    """Two compositions fix two elements; one alone does not, and gives the smallest that do."""
    true = {'Li': -1.5, 'S': -4.0}
    frames = Frames.stack([labelled(), labelled(1, (LITHIUM, SULFUR, SULFUR, SULFUR))])
    frames.energies[:] = [2 * true['Li'] + true['S'], true['Li'] + 3 * true['S']]
    assert references(frames) == pytest.approx(true)
    alone = fit(frames, frames.energies[:1], [0])
    assert 2 * alone['Li'] + alone['S'] == pytest.approx(frames.energies[0])
    assert alone['Li'] / alone['S'] == pytest.approx(2.0)  # along the composition


class Parent:
    """A potential that gives each atom an energy of its own."""

    def evaluate(self, configurations: list[Configuration]) -> list[Evaluation]:
        return [Evaluation(float(asked.numbers.sum()), np.zeros((len(asked), 3))) for asked in configurations]


def test_offsets_are_what_the_parent_lacks() -> None:
    frames = Frames.stack([labelled(), labelled(1, (LITHIUM, SULFUR, SULFUR, SULFUR))])
    frames.energies[:] = [2 * (LITHIUM + 0.5) + SULFUR - 1.0, LITHIUM + 0.5 + 3 * (SULFUR - 1.0)]
    found, n_evaluated = offsets(frames, Parent())  # type: ignore[arg-type]
    assert found == pytest.approx({'Li': 0.5, 'S': -1.0})
    assert n_evaluated == 2


def test_frames_spread_over_all() -> None:
    assert spread(3, 50) == [0, 1, 2]
    assert spread(101, 3) == [0, 50, 100]
