"""Errors over stages: numbers that are put in come out."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_litraj.analysis.stage_errors import energy_errors, force_rmse, snapshots_of, spread
from aiida_litraj.contract.frames import Frames


def snapshots(n_atoms: tuple[int, ...] = (3, 5, 2)) -> tuple[Frames, Frames, np.ndarray]:
    """Frames of lithium and sulfur, the forces of each off by a known amount of a known sign pattern."""
    generator, reference, predicted = np.random.default_rng(1), [], []
    off = np.array([0.1, 0.2, 0.4])
    for n, error in zip(n_atoms, off):
        numbers = np.where(np.arange(n) % 2, 16, 3)
        forces, signs = generator.normal(size=(n, 3)), generator.choice([-1.0, 1.0], size=(n, 3))
        frame = (numbers, generator.normal(size=(n, 3)), 9.0 * np.eye(3), [True] * 3)
        energy = float(generator.normal())
        reference.append(Frames.of_one(*frame, energy=energy, forces=forces))
        # Short by 2 eV for each Li and 3 for each S, and off by 10 meV per atom.
        short = 2.0 * (numbers == 3).sum() + 3.0 * (numbers == 16).sum()
        predicted.append(Frames.of_one(*frame, energy=energy - short + 0.01 * n, forces=forces + error * signs))
    return Frames.stack(reference), Frames.stack(predicted), off


def test_force_error_of_each_snapshot() -> None:
    reference, predicted, off = snapshots()
    np.testing.assert_allclose(force_rmse(reference, predicted), off, rtol=1e-12)
    assert (force_rmse(reference, reference) == 0.0).all()


def test_energy_error_after_offsets() -> None:
    reference, predicted, _ = snapshots()
    np.testing.assert_allclose(energy_errors(reference, predicted, {'Li': 2.0, 'S': 3.0}), 0.01, rtol=1e-9)
    raw = energy_errors(reference, predicted, {})
    np.testing.assert_allclose(raw, 0.01 - np.array([7 / 3, 12 / 5, 5 / 2]), rtol=1e-9)


def test_what_is_not_known_is_not_a_number() -> None:
    reference, predicted, _ = snapshots()
    bare = Frames.stack([Frames.of_one(f.numbers, f.positions, f.cells[0], f.pbc[0]) for f in predicted])
    assert np.isnan(energy_errors(reference, bare, {})).all()
    assert np.isnan(force_rmse(reference, bare)).all() and np.isnan(force_rmse(bare, predicted)).all()
    half = Frames.stack([predicted[0], bare[1], predicted[2]])
    np.testing.assert_array_equal(np.isnan(force_rmse(reference, half)), [False, True, False])


def test_stages_come_in_the_order_of_time() -> None:
    found = snapshots_of(['glass', 'melt', 'quench', 'melt'], [3.0, 0.1, 2.0, 0.5])
    assert found.stages == ('melt', 'quench', 'glass')
    assert found.times_ps is not None and found.times_ps.tolist() == [3.0, 0.1, 2.0, 0.5]
    unknown = snapshots_of(['b', None, 'a'], [1.0, None, 0.0])
    assert (unknown.stages, unknown.times_ps) == (('b', 'other', 'a'), None)


def test_mean_over_repeats() -> None:
    found = spread([1.0, 2.0, 3.0, 4.0, 5.0])
    assert (found.mean, found.n) == (3.0, 5)
    assert found.std == pytest.approx(np.sqrt(2.5))
    assert spread([7.0]).std is None
    with pytest.raises(ValueError, match='no repeats'):
        spread([])
