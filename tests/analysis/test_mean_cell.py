"""Mean cells of runs whose mean is known, how well they say it is known, and starts in them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from scipy.spatial.transform import Rotation

from aiida_litraj.analysis.mean_cell import SHAPE_STRESS_GPA, error_of_mean, mean_cell, start_in
from aiida_litraj.contract.units import EV_PER_ANG3_OF_GPA

Array = npt.NDArray[np.float64]

ROUND_OFF = 1e-10
TRICLINIC = np.array([[8.0, 0.0, 0.0], [1.0, 9.0, 0.0], [0.0, 2.0, 10.0]])
CUBE = 10.0 * np.eye(3)
NO_STRESS = np.zeros((2, 3, 3))


def remembering(generator: np.random.Generator, n_frames: int, memory: float) -> Array:
    """A stationary series of variance 1 (F,) whose autocorrelation falls as exp(-t / memory)."""
    keep = np.exp(-1.0 / memory)
    noise = np.sqrt(1.0 - keep**2) * generator.normal(size=n_frames)
    series = np.empty(n_frames)
    series[0] = generator.normal()
    for frame in range(1, n_frames):
        series[frame] = keep * series[frame - 1] + noise[frame]
    return series


def isotropic(edges: Array) -> Array:
    return edges[:, None, None] * np.eye(3)


def sheared(strains: Array) -> Array:
    """The cube with a shear in the plane yz."""
    cells = np.tile(CUBE, (len(strains), 1, 1))
    cells[:, 1, 2] = cells[:, 2, 1] = 10.0 * strains
    return cells


def test_mean_of_cells_that_breathe_shear_and_turn() -> None:
    """Stretches whose mean is known, each turned by another rotation: these must not shrink the mean."""
    generator = np.random.default_rng(0)
    strains = 0.02 * generator.normal(size=(60, 3, 3))
    strains = strains + strains.transpose(0, 2, 1)
    turns = [Rotation.random(random_state=k).as_matrix() for k in range(60)]
    cells = np.array([TRICLINIC @ (np.eye(3) + strain) @ turn for strain, turn in zip(strains, turns)])
    mean = mean_cell(TRICLINIC, np.split(cells, 3), [NO_STRESS] * 3)
    volumes = abs(np.linalg.det(cells))
    assert mean.volume_ang3 == pytest.approx(volumes.mean())
    shape = TRICLINIC @ (np.eye(3) + strains.mean(axis=0))
    shape = shape * (volumes.mean() / np.linalg.det(shape)) ** (1 / 3)
    np.testing.assert_allclose(mean.cell, shape, atol=ROUND_OFF)
    np.testing.assert_allclose(mean.strain[[0, 3]], strains.mean(axis=0)[[0, 1], [0, 2]], atol=ROUND_OFF)
    assert mean.shape_moves


def test_error_is_that_of_the_mean_of_what_remembers() -> None:
    """Three runs of 80 memories each: the variance of the mean is 2 memory / frames."""
    generator, memory, n_frames = np.random.default_rng(1), 5.0, 400
    truth = np.sqrt(2.0 * memory / (3 * n_frames))
    sets = [[remembering(generator, n_frames, memory)[:, None] for _ in range(3)] for _ in range(200)]
    errors = np.array([error_of_mean(one)[0] for one in sets])
    means = np.array([np.concatenate(one).mean() for one in sets])
    assert means.std() == pytest.approx(truth, rel=0.15)
    assert 0.9 * truth < np.median(errors) < 1.3 * truth
    assert np.mean(abs(means) < 2.0 * errors) > 0.93


def test_runs_that_stay_in_different_shapes_are_told_by_their_scatter() -> None:
    """Within each run nothing moves: only the repeats know of the other shapes."""
    generator = np.random.default_rng(2)
    runs = [sheared(shear + 1e-4 * generator.normal(size=100)) for shear in (-0.02, 0.0, 0.02)]
    mean = mean_cell(CUBE, runs, [NO_STRESS] * 3)
    assert mean.strain_error[3] == pytest.approx(0.02 / np.sqrt(3.0), rel=0.01)
    assert mean.strain_error[[0, 1, 2, 4, 5]].max() < 1e-4


def test_soft_shear_is_warned_of_with_number_bound_and_remedy() -> None:
    """A shear of 2 % that remembers a fifth of the run."""
    generator = np.random.default_rng(3)
    runs = [sheared(0.02 * remembering(generator, 100, 20.0)) for _ in range(3)]
    mean = mean_cell(CUBE, runs, [NO_STRESS] * 3)
    (text,) = mean.doubts()
    assert 'its strain yz of' in text
    assert f'standard error of {100.0 * mean.strain_error[3]:.2f} %, more than 0.3 %' in text
    assert 'equilibrate longer' in text and 'npt-isotropic' in text


def test_volume_that_breathes_is_no_soft_shear() -> None:
    generator = np.random.default_rng(4)
    runs = [isotropic(10.0 * (1.0 + 0.01 * remembering(generator, 100, 2.0))) for _ in range(3)]
    mean = mean_cell(CUBE, runs, [NO_STRESS] * 3)
    assert not mean.shape_moves
    assert mean.doubts() == []


def test_volume_that_is_uncertain_is_warned_of_as_a_volume() -> None:
    """Edges that differ by 1 % between runs: the mean volume is known to 3 % / sqrt(3), and no strain is spoken of."""
    generator = np.random.default_rng(6)
    runs = [isotropic(10.0 * (1.0 + edge + 1e-5 * generator.normal(size=100))) for edge in (-0.01, 0.0, 0.01)]
    (text,) = mean_cell(CUBE, runs, [NO_STRESS] * 3).doubts()
    assert 'its volume of 1000.2 Ang^3 has a standard error of 1.73 %, more than 0.9 %' in text
    assert 'equilibrate longer' in text
    assert not any(word in text for word in ('strain', 'shape', 'npt-isotropic'))


def test_volume_that_still_grows_has_not_come_to_rest() -> None:
    generator = np.random.default_rng(1)
    noise = 0.01 * generator.normal(size=200)
    growing = mean_cell(CUBE, [isotropic(10.0 * (1.0 + noise / 3 + np.linspace(0, 0.05, 200)))], [NO_STRESS])
    assert growing.drift == pytest.approx(3 * 0.025, rel=0.1)
    assert growing.doubts()[0].startswith('the volume has not come to rest')
    assert mean_cell(CUBE, [isotropic(10.0 * (1.0 + noise / 3))], [NO_STRESS]).doubts() == []


def test_stress_in_the_shape_is_told_from_a_pressure() -> None:
    """Of diag(2, -1, -1) GPa and a pressure of 5 GPa the first is left, and has 2 GPa along its axis."""
    generator = np.random.default_rng(5)
    noise = 0.1 * generator.normal(size=(100, 3, 3))
    runs = [isotropic(np.full(100, 10.0) + 0.01 * generator.normal(size=100))]
    for shape, held in ((2.0, True), (0.0, False)):
        stress = np.diag([shape, -shape / 2.0, -shape / 2.0]) - 5.0 * np.eye(3) + noise + noise.transpose(0, 2, 1)
        mean = mean_cell(CUBE, runs, [EV_PER_ANG3_OF_GPA * stress])
        assert mean.shape_stress_gpa == pytest.approx(shape, abs=0.1)
        texts = [text for text in mean.doubts() if 'the shape of the cell is not that' in text]
        assert bool(texts) is held
    assert mean.shape_stress_gpa < SHAPE_STRESS_GPA


def test_without_a_stress_nothing_is_said_of_the_shape() -> None:
    mean = mean_cell(CUBE, [isotropic(np.array([10.0, 10.01]))], [np.full((2, 3, 3), np.nan)])
    assert np.isnan(mean.shape_stress_gpa)
    assert not any('shape' in text for text in mean.doubts())


def test_mean_cell_of_a_single_frame_is_refused() -> None:
    with pytest.raises(ValueError, match='two frames at least'):
        mean_cell(np.eye(3), [np.eye(3)[None]], [NO_STRESS])


def test_start_keeps_the_places_of_the_last_frame_in_the_cell() -> None:
    cells, fractional = np.array([TRICLINIC, 1.1 * TRICLINIC]), np.array([[0.1, 0.2, 0.3], [1.6, -0.5, 0.9]])
    found = start_in(CUBE, cells, fractional @ cells, np.ones(2))
    np.testing.assert_allclose(found, fractional @ CUBE, atol=ROUND_OFF)


def test_frame_in_which_atoms_overlap_is_no_start() -> None:
    cells, positions = np.tile(np.eye(3), (3, 1, 1)), np.arange(3.0)[:, None, None] * np.ones((3, 1, 3))
    np.testing.assert_allclose(start_in(np.eye(3), cells, positions, np.array([1.0, 1.0, 0.2])), 1.0)
    with pytest.raises(ValueError, match=r'all atoms are 0\.35 Ang apart'):
        start_in(np.eye(3), cells, positions, np.full(3, 0.1))
