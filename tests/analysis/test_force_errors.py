"""Errors on synthetic labels whose deviations are known: by hand, by softening, in a known share of campaigns."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from aiida_litraj.analysis.bootstrap import Bootstrap
from aiida_litraj.analysis.force_errors import energy_forces_errors
from aiida_litraj.contract.frames import Frames

LI, P, S = 3, 15, 16
EXACT = 1e-12
COVERAGE = (0.90, 0.98)
"""Of intervals for 95 %, over campaigns of 20 groups; 300 of them scatter by 0.013."""
CAMPAIGNS, GROUPS = 300, 20


def frame(numbers: list[int], energy: float | None, forces: Any, stress: Any = None, **info: Any) -> Frames:
    positions = np.arange(3.0 * len(numbers)).reshape(-1, 3)
    return Frames.of_one(numbers, positions, 10.0 * np.eye(3), [True] * 3, energy, forces, stress, info=info)


def labelled(rng: np.random.Generator, sizes: list[int], kinds: tuple[int, ...] = (LI, P, S)) -> Frames:
    """Random atoms with normal forces of 1 eV/Ang, energies of -4 eV per atom, stresses of 0.01 eV/Ang^3."""
    return Frames.stack([
        frame(
            rng.choice(kinds, n).tolist(), -4.0 * n + rng.normal(), rng.normal(size=(n, 3)), rng.normal(0.0, 0.01, 6)
        )
        for n in sizes
    ])  # fmt: skip


def test_by_hand() -> None:
    """Two atoms and one: deviations of 0.1 and -0.2 in two of nine components, a slope of 1 + 0.1/14 and so on."""
    reference = Frames.stack([
        frame([LI, S], -8.0, [[1.0, 2.0, 3.0], [-1.0, 0.0, 0.0]], [0.01, 0.0, 0.0, 0.0, 0.0, 0.0]),
        frame([LI], -2.0, [[0.0, 0.0, 2.0]], [0.0] * 6),
    ])  # fmt: skip
    predicted = Frames.stack([
        frame([LI, S], -7.0, [[1.1, 2.0, 3.0], [-1.0, 0.0, 0.0]], [0.01, 0.02, 0.0, 0.0, 0.0, 0.0]),
        frame([LI], -2.3, [[0.0, 0.0, 1.8]], [0.0] * 6),
    ])  # fmt: skip
    found = energy_forces_errors(reference, predicted, offsets='none')
    force = found.whole.force
    assert (force.n, force.n_frames) == (9, 2)
    assert force.rmse == pytest.approx(np.sqrt((0.1**2 + 0.2**2) / 9), abs=EXACT)
    assert force.mae == pytest.approx(0.3 / 9, abs=EXACT)
    assert force.slope == pytest.approx((1.1 + 4.0 + 9.0 + 1.0 + 3.6) / (1.0 + 4.0 + 9.0 + 1.0 + 4.0), abs=EXACT)
    assert found.raw_energy.rmse == pytest.approx(np.sqrt((0.5**2 + 0.3**2) / 2), abs=EXACT)
    assert found.raw_energy.mae == pytest.approx(0.4, abs=EXACT)
    assert found.whole.energy.rmse == found.raw_energy.rmse and found.whole.energy.slope is None
    assert found.whole.stress.rmse == pytest.approx(0.02 / np.sqrt(12), abs=EXACT)
    assert found.whole.stress.slope == pytest.approx(1.0, abs=EXACT)
    assert found.per_element['S'].rmse == 0.0 and found.per_element['S'].n == 3
    assert found.per_element['Li'].rmse == pytest.approx(np.sqrt(0.05 / 6), abs=EXACT)
    assert force.rmse_interval is None
    assert any('no intervals: 2 group' in warning for warning in found.warnings)


@pytest.mark.parametrize('softening', [0.76, 0.95, 1.1])
def test_slope_is_the_softening(softening: float) -> None:
    rng = np.random.default_rng(1)
    reference = labelled(rng, [10] * 40)
    noise = 0.05
    predicted = replace(
        reference,
        forces=softening * reference.forces + rng.normal(0.0, noise, reference.forces.shape),
        stresses=softening * reference.stresses,
    )
    found = energy_forces_errors(reference, predicted)
    error_of_slope = noise / np.sqrt(3 * 400)
    assert found.whole.force.slope == pytest.approx(softening, abs=4 * error_of_slope)
    assert found.whole.stress.slope == pytest.approx(softening, abs=EXACT)
    expected = np.sqrt((1.0 - softening) ** 2 + noise**2)
    assert found.whole.force.rmse == pytest.approx(expected, rel=4 / np.sqrt(2 * 1200))
    low, high = found.whole.force.slope_interval
    assert low < found.whole.force.slope < high and high - low < 20 * error_of_slope


def test_per_element_and_per_family() -> None:
    """Sulfur alone is off, and only in the melt."""
    rng = np.random.default_rng(2)
    reference = labelled(rng, [12] * 20)
    families = ['melt' if index % 2 else 'crystal' for index in range(20)]
    melt = np.repeat([name == 'melt' for name in families], 12)
    forces = reference.forces + 0.3 * (melt & (reference.numbers == S))[:, None]
    found = energy_forces_errors(reference, replace(reference, forces=forces), families=families)
    assert found.per_element['Li'].rmse == found.per_element['P'].rmse == 0.0
    sulfur = reference.numbers == S
    assert found.per_element['S'].rmse == pytest.approx(0.3 * np.sqrt((melt & sulfur).sum() / sulfur.sum()))
    assert found.per_family['crystal'].force.rmse == 0.0
    assert found.per_family['melt'].force.rmse == pytest.approx(0.3 * np.sqrt((melt & sulfur).sum() / melt.sum()))
    assert [found.per_family[name].n_frames for name in ('crystal', 'melt')] == [10, 10]


def test_families_that_are_not_named() -> None:
    reference = labelled(np.random.default_rng(0), [3, 3])
    found = energy_forces_errors(reference, reference, families=['a', None])
    assert set(found.per_family) == {'a', 'other'}


def test_labels_that_are_missing_are_no_errors() -> None:
    rng = np.random.default_rng(3)
    reference = labelled(rng, [5] * 6)
    stresses, energies, forces = reference.stresses.copy(), reference.energies.copy(), reference.forces.copy()
    stresses[:2], energies[3] = np.nan, np.nan
    forces[7, 1] = np.nan  # one component of the second configuration: that is left out whole
    spoilt = replace(reference, stresses=stresses, energies=energies, forces=forces)
    predicted = replace(reference, forces=reference.forces + 0.1)
    found = energy_forces_errors(spoilt, predicted, offsets='none')
    assert found.missing == {'energy': 1, 'forces': 1, 'stress': 2}
    assert (found.whole.force.n_frames, found.whole.energy.n_frames, found.whole.stress.n_frames) == (5, 5, 4)
    assert found.whole.force.rmse == pytest.approx(0.1)
    assert found.whole.energy.rmse == found.whole.stress.rmse == 0.0
    assert '2 of 6 configurations have no reference stress' in found.warnings
    assert found.n_failed == 0


def test_no_stress_at_all_is_no_warning() -> None:
    reference = replace(labelled(np.random.default_rng(3), [5] * 6), stresses=None)
    found = energy_forces_errors(reference, reference)
    assert found.whole.stress.rmse is None and found.missing['stress'] == 6
    assert not any('stress' in warning for warning in found.warnings)


def test_what_was_not_predicted_is_counted() -> None:
    reference = labelled(np.random.default_rng(4), [5] * 6)
    energies, forces = reference.energies.copy(), reference.forces.copy()
    energies[2], forces[10:15] = np.nan, np.nan
    found = energy_forces_errors(reference, replace(reference, energies=energies, forces=forces), offsets='none')
    assert found.n_failed == 1 and found.whole.force.n_frames == 5
    assert found.warnings[0] == '1 of 6 configurations was not evaluated and is in no error'


def test_offsets_take_away_what_levels_differ_by() -> None:
    """Energies per element are no error of forces, nor of energies once they are fitted."""
    rng = np.random.default_rng(5)
    reference = labelled(rng, [10] * 30)
    shift = {LI: 0.3, P: -1.2, S: 0.7}
    added = np.array([sum(shift[int(z)] for z in one.numbers) for one in reference])
    found = energy_forces_errors(reference, replace(reference, energies=reference.energies - added))
    assert found.raw_energy.rmse > 0.1
    assert found.whole.energy.rmse < 1e-10
    np.testing.assert_allclose(found.offsets.offsets_ev, [0.3, -1.2, 0.7], atol=1e-9)
    assert found.offsets.unique and not any('offsets' in warning for warning in found.warnings)


def test_one_composition_does_not_determine_the_elements() -> None:
    """25 configurations of Li7P3S11: rank one, harmless among themselves, wrong elsewhere."""
    numbers = [LI] * 7 + [P] * 3 + [S] * 11
    rng = np.random.default_rng(6)
    reference = Frames.stack([frame(numbers, -90.0 + rng.normal(), rng.normal(size=(21, 3))) for _ in range(25)])
    found = energy_forces_errors(reference, replace(reference, energies=reference.energies - 2.1))
    assert found.offsets.rank == 1 and found.whole.energy.rmse < 1e-10
    (warning,) = (one for one in found.warnings if 'offsets' in one)
    assert warning.startswith('the compositions determine 1 of 3 offsets') and 'Li7P3S11' in warning


def test_energies_that_are_fitted_exactly_are_no_error_of_zero() -> None:
    """Two compositions with two elements: whatever the potential, the fit goes through both."""
    reference = Frames.stack([frame([LI, LI, S], -10.0, np.ones((3, 3))), frame([LI, S], -7.0, np.ones((2, 3)))])
    found = energy_forces_errors(reference, replace(reference, energies=np.array([-9.0, -3.0])))
    assert found.whole.energy.rmse is None
    assert found.raw_energy.rmse == pytest.approx(np.sqrt(((1 / 3) ** 2 + 2.0**2) / 2))
    assert any('2 offsets fit 2 energies exactly' in warning for warning in found.warnings)


@pytest.mark.parametrize('change', [{'numbers': np.array([S] * 5, dtype=np.uint8)}, {'offsets': np.array([0, 2, 5])}])
def test_other_atoms_are_refused(change: dict[str, Any]) -> None:
    reference = labelled(np.random.default_rng(0), [5], kinds=(LI,))
    with pytest.raises(ValueError, match='other atoms, or another order'):
        energy_forces_errors(reference, replace(reference, **change))


def test_groups_of_another_number_are_refused() -> None:
    reference = labelled(np.random.default_rng(0), [5])
    with pytest.raises(ValueError, match='2 groups for 1 configurations'):
        energy_forces_errors(reference, reference, groups=['a', 'b'])


SOFTENINGS, NOISES = (0.8, 0.05), (0.05, 0.3)
"""Mean and spread of the slope from material to material; noise in eV/Ang, and the spread of its logarithm."""


def campaign(rng: np.random.Generator) -> tuple[Frames, Frames, list[str]]:
    """Materials of 2 to 9 configurations, each with its own softening, noise and error of energies."""
    reference, predicted, groups = [], [], []
    for material in range(GROUPS):
        slope = rng.normal(*SOFTENINGS)
        noise = NOISES[0] * np.exp(NOISES[1] * rng.normal())
        bias = rng.normal(0.0, 0.02)
        for _ in range(rng.integers(2, 10)):
            forces = rng.normal(size=(8, 3))
            reference.append(frame([LI] * 8, -32.0, forces))
            said = slope * forces + noise * rng.normal(size=forces.shape)
            predicted.append(frame([LI] * 8, -32.0 + 8 * (bias + rng.normal(0.0, 0.005)), said))
            groups.append(f'material {material}')
    return Frames.stack(reference), Frames.stack(predicted), groups


@pytest.fixture(scope='module')
def campaigns() -> list[tuple[Any, Any]]:
    """Errors of many campaigns, drawn by materials and by single configurations."""
    rng = np.random.default_rng(7)
    few = Bootstrap(samples=400)
    found = []
    for _ in range(CAMPAIGNS):
        reference, predicted, groups = campaign(rng)
        by_material = energy_forces_errors(reference, predicted, 'none', groups=groups, bootstrap=few)
        found.append((by_material, energy_forces_errors(reference, predicted, 'none', bootstrap=few)))
    return found


TRUTH = {
    'slope': (lambda errors: errors.whole.force.slope_interval, SOFTENINGS[0]),
    'rmse_force': (
        lambda errors: errors.whole.force.rmse_interval,
        np.sqrt((1 - SOFTENINGS[0]) ** 2 + SOFTENINGS[1] ** 2 + NOISES[0] ** 2 * np.exp(2 * NOISES[1] ** 2)),
    ),
    'rmse_energy': (lambda errors: errors.whole.energy.rmse_interval, np.sqrt(0.02**2 + 0.005**2)),
}  # fmt: skip


@pytest.mark.parametrize('quantity', TRUTH)
def test_intervals_hold_the_truth_as_often_as_they_say(quantity: str, campaigns: Any) -> None:
    """Of all materials there are, of which each campaign has seen twenty."""
    of, truth = TRUTH[quantity]
    held = np.mean([low <= truth <= high for low, high in (of(by_material) for by_material, _ in campaigns)])
    assert COVERAGE[0] <= held <= COVERAGE[1]


def test_single_configurations_would_seem_surer_than_they_are(campaigns: Any) -> None:
    """Drawn one by one, the slope of 95 % would be in half of the intervals; the warning says why."""
    of, truth = TRUTH['slope']
    held = np.mean([low <= truth <= high for low, high in (of(by_frame) for _, by_frame in campaigns)])
    assert held < 0.8
    assert any('over single configurations' in warning for warning in campaigns[0][1].warnings)
    assert not any('over single configurations' in warning for warning in campaigns[0][0].warnings)


def test_same_seed_same_interval() -> None:
    rng = np.random.default_rng(8)
    reference = labelled(rng, [4] * 24)
    predicted = replace(reference, forces=reference.forces + rng.normal(size=reference.forces.shape))
    first, again, other = (
        energy_forces_errors(reference, predicted, bootstrap=Bootstrap(seed=seed)).whole.force.rmse_interval
        for seed in (0, 0, 1)
    )
    assert first == again != other


@pytest.mark.parametrize(
    ('n_groups', 'said'), [(2, 'no intervals'), (4, 'no intervals'), (6, 'of 6 groups only'), (10, None)]
)
def test_few_groups(n_groups: int, said: str | None) -> None:
    rng = np.random.default_rng(9)
    reference = labelled(rng, [4] * 40)
    predicted = replace(reference, forces=reference.forces + rng.normal(size=reference.forces.shape))
    found = energy_forces_errors(reference, predicted, groups=[str(index % n_groups) for index in range(40)])
    assert (found.whole.force.rmse_interval is None) == (n_groups < 5)
    assert (said is None and not found.warnings) or any(said in warning for warning in found.warnings)


def test_few_groups_have_the_interval_of_the_textbook() -> None:
    """Of the mean of eight numbers, by Student's t with seven degrees of freedom; of a size that of its logarithm."""
    values, weights = np.random.default_rng(11).gamma(2.0, size=8), np.ones(8)
    asked = Bootstrap(confidence=0.9)
    low, high = stats.t.interval(0.9, 7, values.mean(), stats.sem(values))
    assert asked.interval(values, weights, positive=False) == pytest.approx((low, high))
    factor = np.exp((high - values.mean()) / values.mean())
    expected = (values.mean() / factor, values.mean() * factor)
    assert asked.interval(values, weights, positive=True) == pytest.approx(expected)


def test_one_group_far_worse_leaves_an_interval_that_says_something() -> None:
    """Among eight materials: samples without it hardly differ, and drawing them would put one end anywhere."""
    squares = np.array([1.0, 1.01, 0.99, 1.02, 0.98, 1.0, 1.01, 9.0])
    low, high = Bootstrap().interval(squares, np.ones(8), positive=True)
    assert low < squares.mean() < high < 100.0 * low


def test_many_groups_are_pooled_and_the_interval_is_the_same() -> None:
    """5,000 independent configurations: the interval of the slope is that of the textbook."""
    rng = np.random.default_rng(10)
    forces = rng.normal(size=(5000, 3))
    noise = 0.3
    reference = Frames(
        offsets=np.arange(5001), numbers=np.full(5000, LI, dtype=np.uint8), positions=np.zeros((5000, 3)),
        cells=np.broadcast_to(np.eye(3), (5000, 3, 3)), pbc=np.ones((5000, 3), dtype=bool), forces=forces,
        info=[{}] * 5000,
    )  # fmt: skip
    found = energy_forces_errors(reference, replace(reference, forces=forces + noise * rng.normal(size=(5000, 3))))
    low, high = found.whole.force.slope_interval
    assert found.whole.force.n_groups == 5000
    assert (high - low) / 2.0 == pytest.approx(1.96 * noise / np.sqrt(15000), rel=0.15)
