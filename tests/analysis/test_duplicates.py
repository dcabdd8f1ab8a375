"""Configurations that are there twice are found, and nothing else is."""

from __future__ import annotations

import numpy as np

from aiida_litraj.analysis.duplicates import duplicates_text, same_configurations
from aiida_litraj.contract.frames import Frames


def random_frames(number: int) -> list[Frames]:
    generator = np.random.default_rng(3)
    cell = 9.0 * np.eye(3)
    return [Frames.of_one([3] * 4, 9.0 * generator.random((4, 3)), cell, [True] * 3) for _ in range(number)]


def moved(frame: Frames, ang: float, number: int = 3) -> Frames:
    return Frames.of_one([number] * 4, frame.positions + ang, frame.cells[0], [True] * 3)


def test_same_places_of_the_same_atoms() -> None:
    """A file keeps eight digits: what differs by less is the same; other atoms, or another place, is not."""
    frames = random_frames(50)
    frames += [moved(frames[7], 1e-8), moved(frames[20], 0.0), moved(frames[7], -1e-8)]
    frames += [moved(frames[30], 1e-4), moved(frames[40], 0.0, number=11)]
    assert same_configurations(frames) == [[7, 50, 52], [20, 51]]
    assert same_configurations(frames[:50]) == []


def test_in_words() -> None:
    assert duplicates_text([]) is None
    assert duplicates_text([['a', 'b']]) == '1 configuration is there again under another name: a = b'
    many = [['a', 'b', 'c'], ['d', 'e'], ['f', 'g'], ['h', 'i']]
    assert duplicates_text(many) == (
        '5 configurations are there again under another name: a = b = c; d = e; f = g and 1 more'
    )
