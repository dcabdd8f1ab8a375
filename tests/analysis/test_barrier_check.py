"""Paths of one analytic surface labelled by another: energies, forces and crests that are known on paper."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_litraj.analysis.barrier_check import PathCheck, check_path_energies

ROUND_OFF = 1e-12
HEIGHT, REFERENCE_HEIGHT, SHIFT, PULL = 0.5, 0.7, 0.2, 0.3
"""Barrier of the potential and of the reference in eV; the reference's saddle lies so far on in Ang, and it pulls all
atoms along y with so many eV/Ang."""
X = np.linspace(-1.0, 1.0, 7)


def cosine(x: np.ndarray, height: float, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Energy and force of V = height (1 + cos(pi (x - shift))) / 2."""
    phase = np.pi * (x - shift)
    return 0.5 * height * (1.0 + np.cos(phase)), 0.5 * np.pi * height * np.sin(phase)


def surfaces(x: np.ndarray = X) -> tuple[np.ndarray, ...]:
    """Two atoms: the first goes along x over the potential, the second stays; the reference pulls both along y."""
    positions, forces = np.zeros((len(x), 2, 3)), np.zeros((len(x), 2, 3))
    positions[:, 0, 0], positions[:, 1] = x, [5.0, 5.0, 5.0]
    energies, forces[:, 0, 0] = cosine(x, HEIGHT)
    reference_energies, reference_forces = np.empty(len(x)), np.zeros_like(forces)
    reference_energies, reference_forces[:, 0, 0] = cosine(x, REFERENCE_HEIGHT, SHIFT)
    reference_forces[:, :, 1] = PULL
    return positions, energies, forces, reference_energies - 100.0, reference_forces


def partly(*images: int, **changes: np.ndarray) -> PathCheck:
    """The path with labels of some images only."""
    positions, energies, forces, reference_energies, reference_forces = surfaces()
    missing = np.setdiff1d(np.arange(len(X)), images)
    reference_energies[missing], reference_forces[missing] = np.nan, np.nan
    return check_path_energies(positions, energies, forces, reference_energies, reference_forces, **changes)


def test_heights_of_both() -> None:
    found = check_path_energies(*surfaces())
    assert found.complete
    assert found.saddle_image == 3
    assert found.potential is not None and found.reference is not None
    assert (found.potential.barrier_ev, found.potential.reverse_barrier_ev) == pytest.approx((HEIGHT, HEIGHT))
    on_images = cosine(X, REFERENCE_HEIGHT, SHIFT)[0]
    assert found.reference.highest_image == 4 == int(on_images.argmax())  # x = 1/3, the saddle is at 0.2
    assert found.reference.barrier_ev == pytest.approx(on_images[4] - on_images[0])
    assert found.reference.reverse_barrier_ev == pytest.approx(on_images[4] - on_images[-1])
    assert found.reference.range_ev == pytest.approx(on_images[4] - on_images.min())
    assert found.at_saddle_ev == pytest.approx(on_images[3] - on_images[0])
    np.testing.assert_allclose(found.reference_ev, on_images - on_images[0], atol=1e-12)


def test_forces_along_and_across_the_path() -> None:
    found = check_path_energies(*surfaces())
    mine, other = cosine(X, HEIGHT)[1], cosine(X, REFERENCE_HEIGHT, SHIFT)[1]
    assert found.errors is not None
    np.testing.assert_allclose(found.potential_slopes, -mine, atol=ROUND_OFF)
    np.testing.assert_allclose(found.reference_slopes, -other, atol=ROUND_OFF)
    squares = (mine - other) ** 2
    assert found.errors.rmse_along_path == pytest.approx(np.sqrt(squares.mean()))
    # Six components an image: one along the path, and the pull on both atoms.
    np.testing.assert_allclose(found.errors.rmse_of_image, np.sqrt((squares + 2 * PULL**2) / 6))
    assert found.errors.rmse == pytest.approx(np.sqrt((squares.mean() + 2 * PULL**2) / 6))
    assert found.errors.mae == pytest.approx((np.abs(mine - other).mean() + 2 * PULL) / 6)
    # Between the ends only the pull is across; of the ends the whole force counts.
    np.testing.assert_allclose(found.residual[1:-1], PULL)
    np.testing.assert_allclose(found.residual[[0, -1]], np.hypot(PULL, other[[0, -1]]))


def test_crest_of_the_reference_lies_where_its_slope_is_zero() -> None:
    """The spline takes slopes from the forces, so it finds the shift between two images; h^4 V''''/384 at most off."""
    x = np.linspace(-1.0, 1.0, 21)
    found = check_path_energies(*surfaces(x))
    assert found.potential_crest is not None and found.reference_crest is not None
    bound = 0.1**4 / 384 * 0.5 * REFERENCE_HEIGHT * np.pi**4
    assert found.reference_crest.coordinate_ang - found.potential_crest.coordinate_ang == pytest.approx(SHIFT, abs=1e-3)
    crest = REFERENCE_HEIGHT - cosine(np.array([-1.0]), REFERENCE_HEIGHT, SHIFT)[0][0]
    assert found.reference_crest.energy_ev == pytest.approx(crest, abs=bound)
    assert found.potential_crest.energy_ev == pytest.approx(HEIGHT, abs=bound)


def test_ends_and_saddle_are_enough_for_a_barrier() -> None:
    found, whole = partly(0, 3, 6), check_path_energies(*surfaces())
    assert found.labelled == [0, 3, 6] and not found.complete
    assert found.reference is not None and found.potential is not None
    assert found.reference.highest_image == 3
    assert found.reference.barrier_ev == found.at_saddle_ev == whole.at_saddle_ev
    assert found.potential.range_ev == pytest.approx(HEIGHT)
    assert found.reference_crest is None
    # Upwards at the potential's saddle: the one of the reference lies further on.
    assert found.reference_slopes[3] == pytest.approx(0.5 * np.pi * REFERENCE_HEIGHT * np.sin(np.pi * SHIFT))
    assert np.isnan(found.reference_slopes[[1, 2, 4, 5]]).all() and np.isnan(found.residual[[1, 2, 4, 5]]).all()


@pytest.mark.parametrize('lacking', [0, 3, 6])
def test_without_an_end_or_the_saddle_there_is_no_barrier(lacking: int) -> None:
    found = partly(*(image for image in range(7) if image != lacking))
    assert found.reference is None and found.potential is None
    assert (found.at_saddle_ev is None) == (lacking in (0, 3))
    assert np.isnan(found.reference_ev).all() == (lacking == 0)
    assert found.errors is not None and found.errors.rmse > 0.0


def test_frozen_atoms_do_not_count() -> None:
    found = partly(*range(7), fixed=np.array([False, True]))
    assert found.errors is not None
    difference = cosine(X, HEIGHT)[1] - cosine(X, REFERENCE_HEIGHT, SHIFT)[1]
    assert found.errors.rmse == pytest.approx(np.sqrt(((difference**2).mean() + PULL**2) / 3))


def test_energies_alone_of_the_potential() -> None:
    positions, energies, _, reference_energies, reference_forces = surfaces()
    found = check_path_energies(positions, energies, None, reference_energies, reference_forces)
    assert found.errors is None and found.potential_crest is None
    assert found.reference is not None
    assert np.isnan(found.potential_slopes).all()


def test_the_same_surface_has_no_errors() -> None:
    positions, energies, forces, *_ = surfaces()
    found = check_path_energies(positions, energies, forces, energies + 3.0, forces)
    assert found.errors is not None and found.reference is not None
    assert (found.errors.rmse, found.errors.mae, found.errors.rmse_along_path) == (0.0, 0.0, 0.0)
    assert found.reference.barrier_ev == pytest.approx(HEIGHT)


def test_what_does_not_fit_is_refused() -> None:
    positions, energies, forces, reference_energies, reference_forces = surfaces()
    with pytest.raises(ValueError, match=r'forces has the shape \(6, 2, 3\)'):
        check_path_energies(positions, energies, forces[1:], reference_energies, reference_forces)
    with pytest.raises(ValueError, match='no image of the path has a label'):
        partly()
    with pytest.raises(ValueError, match='without its forces'):
        check_path_energies(positions, energies, forces, reference_energies, np.full_like(forces, np.nan))
    with pytest.raises(ValueError, match='the same configuration'):
        check_path_energies(positions[[0] * 7], energies, forces, reference_energies, reference_forces)
