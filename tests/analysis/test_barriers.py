"""Barriers of profiles that are known on paper."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_litraj.analysis import energy_profile, measure_barrier
from aiida_litraj.analysis.barriers import path_coordinate, path_tangents

ROUND_OFF = 1e-10
HEIGHT, WIDTH = 0.7, 1.3


def tilted_double_well(x: np.ndarray, tilt: float) -> tuple[np.ndarray, np.ndarray]:
    """Energy and force of V = HEIGHT ((x/WIDTH)^2 - 1)^2 + tilt x."""
    scaled = (x / WIDTH) ** 2 - 1.0
    return HEIGHT * scaled**2 + tilt * x, -(4.0 * HEIGHT * scaled * x / WIDTH**2 + tilt)


def path_along(direction: np.ndarray, x: np.ndarray, tilt: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A two-atom path in which the first atom moves along ``direction`` in the double well."""
    unit = direction / np.linalg.norm(direction)
    energies, force = tilted_double_well(x, tilt)
    positions, forces = np.zeros((len(x), 2, 3)), np.zeros((len(x), 2, 3))
    positions[:, 0], forces[:, 0] = x[:, None] * unit, force[:, None] * unit
    positions[:, 1] = [5.0, 5.0, 5.0]
    return positions, energies, forces


def test_forward_reverse_and_reaction_energy() -> None:
    energies = np.array([-3.0, -2.6, -2.2, -2.5, -3.4, -3.2])
    positions = np.linspace(0.0, 5.0, 6)[:, None, None] * np.ones((1, 1, 3))
    barrier = measure_barrier(energy_profile(positions, energies))
    assert barrier.barrier_ev == pytest.approx(0.8)
    assert barrier.reverse_barrier_ev == pytest.approx(1.0)
    assert barrier.reaction_energy_ev == pytest.approx(-0.2)
    assert barrier.range_ev == pytest.approx(1.2)
    assert barrier.saddle_image == 2
    assert barrier.barrier_ev - barrier.reverse_barrier_ev == pytest.approx(barrier.reaction_energy_ev)


def test_spline_from_forces_reproduces_a_quartic_between_the_images() -> None:
    """Images beside the saddle: its height comes from the slopes, not from an image that happens to lie there."""
    x = np.linspace(-WIDTH, WIDTH, 6)
    profile = energy_profile(*path_along(np.array([1.0, 2.0, -0.5]), x, tilt=0.0))
    np.testing.assert_allclose(profile.slopes_ev_per_ang, -tilted_double_well(x, 0.0)[1], atol=ROUND_OFF)
    barrier = measure_barrier(profile)
    assert barrier.barrier_ev == pytest.approx(tilted_double_well(np.array([0.2 * WIDTH]), 0.0)[0][0])
    # A cubic Hermite segment of length h misses a quartic by V''''/384 h^4 at most, and by just that in its middle.
    bound = 1.001 * 24.0 * HEIGHT / WIDTH**4 / 384.0 * (0.4 * WIDTH) ** 4
    assert barrier.spline_barrier_ev == pytest.approx(HEIGHT, abs=bound)
    assert barrier.n_minima == 0
    coordinate, energy = profile.curve(1001)
    np.testing.assert_allclose(energy, tilted_double_well(coordinate - WIDTH, 0.0)[0], atol=bound)


def test_reversed_path_swaps_the_barriers() -> None:
    positions, energies, forces = path_along(np.array([0.0, 0.0, 1.0]), np.linspace(-WIDTH, WIDTH, 9), tilt=0.1)
    forward = measure_barrier(energy_profile(positions, energies, forces))
    backward = measure_barrier(energy_profile(positions[::-1], energies[::-1], forces[::-1]))
    assert forward.barrier_ev == pytest.approx(backward.reverse_barrier_ev)
    assert forward.reaction_energy_ev == pytest.approx(-backward.reaction_energy_ev)
    assert forward.range_ev == pytest.approx(backward.range_ev)
    assert forward.spline_barrier_ev == pytest.approx(backward.spline_barrier_ev + forward.reaction_energy_ev)


def test_intermediate_minimum_is_counted() -> None:
    x = np.linspace(0.0, 2.0, 17)
    energies = 0.3 * np.sin(2 * np.pi * x) ** 2 * (1 + 0.2 * x)
    positions = np.zeros((17, 1, 3))
    positions[:, 0, 0] = x
    assert measure_barrier(energy_profile(positions, energies)).n_minima == 3
    # Ripples of the spline below the accuracy of any barrier are none.
    assert measure_barrier(energy_profile(positions, 0.01 * energies)).n_minima == 0


def test_monotonic_profile_has_its_top_at_the_end() -> None:
    positions = np.linspace(0.0, 1.0, 4)[:, None, None] * np.ones((1, 1, 3))
    barrier = measure_barrier(energy_profile(positions, np.array([0.0, 0.1, 0.2, 0.4])))
    assert barrier.saddle_image == 3
    assert barrier.reverse_barrier_ev == 0.0


def test_coordinate_counts_all_atoms_and_tangent_follows_a_bend() -> None:
    angles = np.linspace(0.0, np.pi / 2, 41)
    positions = np.zeros((41, 2, 3))
    positions[:, 0, 0], positions[:, 0, 1] = np.cos(angles), np.sin(angles)
    positions[:, 1, 2] = 2.0 * angles  # the second atom goes straight, twice as fast
    coordinate = path_coordinate(positions)
    assert coordinate[-1] == pytest.approx(np.sqrt(5.0) * np.pi / 2, rel=1e-4)
    exact = np.stack([-np.sin(angles), np.cos(angles), np.zeros(41)], axis=1) / np.sqrt(5.0)
    np.testing.assert_allclose(path_tangents(positions)[:, 0], exact, atol=1e-3)


def test_coinciding_images_and_wrong_shapes_are_refused() -> None:
    positions = np.zeros((3, 1, 3))
    with pytest.raises(ValueError, match='the same configuration'):
        energy_profile(positions, np.zeros(3))
    with pytest.raises(ValueError, match='shapes differ'):
        energy_profile(positions, np.zeros(4))
