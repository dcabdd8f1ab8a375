"""Transport coefficients of walks that are known on paper, and how often their intervals hold the truth."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest

from aiida_litraj.analysis.diffusion import Estimate
from aiida_litraj.analysis.diffusion_fit import TransportSettings
from aiida_litraj.analysis.transport import Run, Transport, conductivity_s_per_cm, measure_transport
from tests.fixtures.walks import Array, gaussian, hopping, one_vacancy

COVERAGE = (0.60, 0.76)
"""Of 200 intervals of 68 %: 2.4 standard deviations of the binomial distribution to either side."""
N_WALKS = 200
ERRORS = 4.0
"""Standard errors by which one measured number may miss the truth."""
LONGEST_LAG = 499
"""Frames: a quarter of a run of 2,000, so that it holds two windows at the very least."""
HOP = 3.0
VOLUME = 2000.0
FRAMES_PER_HOP = 5
D = HOP**2 / (6.0 * FRAMES_PER_HOP)
"""In Ang^2 per frame: one hop squared in five frames."""
ROUND_OFF = 1e-9


def transport(walks: list[Array], n_framework: int = 2, step: float = 1.0, **settings: float) -> Transport:
    """Analyse walks of mobile ions, with a framework that stands still."""
    runs = [
        Run(np.concatenate([walk, np.zeros((len(walk), n_framework, 3))], axis=1), step * np.arange(len(walk)), VOLUME)
        for walk in walks
    ]
    chosen = TransportSettings(**{'hop_length_ang': HOP, **settings})
    return measure_transport(runs, range(walks[0].shape[1]), 600.0, settings=chosen)


def kinds(result: Transport) -> set[str]:
    return {caveat.kind for caveat in result.caveats}


def missed(estimate: Estimate | None, truth: float) -> float:
    """Return by how many standard errors an estimate misses the truth."""
    assert estimate is not None
    return abs(np.log(estimate.value / truth)) / estimate.log_error


def caged(generator: np.random.Generator, n_frames: int, n_ions: int, amplitude: float) -> Array:
    """Ions of an Einstein crystal, seen at intervals long against their vibrations."""
    return amplitude * generator.normal(size=(n_frames, n_ions, 3))


# What is known on paper


def test_ideal_einstein_crystal_has_not_diffused() -> None:
    result = transport([caged(np.random.default_rng(0), 2000, 20, 0.3)], step=0.5)
    assert kinds(result) == {'not_diffused'}
    assert not result.diffused
    assert result.sigma_tracer_s_per_cm is None
    assert result.collective_cm2_per_s is None
    assert result.tracer_below_cm2_per_s == pytest.approx(1e-4 * HOP**2 / (6.0 * 0.5 * LONGEST_LAG))


def test_bound_of_ions_that_have_not_diffused_holds() -> None:
    """Walks of known diffusivity that are too short to be measured: what it is said to be below, it is below."""
    n_frames, true = 400, 0.8 * HOP**2 / (6.0 * 100.0)  # Ang^2 per frame: 0.8 hops squared in a quarter of the run
    found = []
    for seed in range(12):
        steps = np.random.default_rng(seed).normal(size=(3, n_frames, 24, 3)) * np.sqrt(2.0 * true)
        result = transport(list(steps.cumsum(axis=1)), step=1.0)
        if not result.diffused:
            found.append(result.tracer_below_cm2_per_s)
    assert len(found) > 3
    assert min(found) > 1e-4 * true


@pytest.mark.parametrize('seed', range(5))
def test_vibrations_wider_than_a_hop_are_no_diffusion(seed: int) -> None:
    result = transport([caged(np.random.default_rng(seed), 1000, 20, 2.0)])
    assert not result.diffused
    assert 'slope' in result.caveats[0].text


def test_frozen_ions_have_not_diffused() -> None:
    assert kinds(transport([np.ones((100, 3, 3))])) == {'not_diffused'}


def test_lattice_gas_with_a_jump_rate() -> None:
    """D = k a^2 / 2 d; ions know nothing of each other, so that the Haven ratio is one."""
    generator, rate, step = np.random.default_rng(1), 0.2, 0.4
    result = transport([hopping(generator, 4000, 30, rate, HOP) for _ in range(3)], step=step)
    truth = 1e-4 * (rate / step) * HOP**2 / 6.0
    assert missed(result.tracer_cm2_per_s, truth) < ERRORS
    assert missed(result.collective_cm2_per_s, truth) < ERRORS
    assert missed(result.haven_ratio, 1.0) < ERRORS
    assert result.tracer_cm2_per_s is not None and result.tracer_cm2_per_s.log_error < 0.02
    assert result.offset_ang2 == pytest.approx(0.0, abs=0.3)
    assert kinds(result) == set()


def test_vacancy_in_a_face_centred_lattice_gas_has_the_tracer_correlation_factor() -> None:
    """f = 0.7815 (J. R. Manning, Phys. Rev. 139, A2027 (1965)); D_sigma is that of the vacancy, which is free."""
    ways = np.array([step for step in itertools.product((-1, 0, 1), repeat=3) if sum(map(abs, step)) == 2])
    lattices = one_vacancy(np.random.default_rng(2), 16, 6, 4000, ways)
    n_ions = lattices.shape[2]
    every = (n_ions + 1) // 2
    result = transport(list(lattices[:, ::every]), n_framework=1, hop_length_ang=np.sqrt(2.0))
    free = 1e-4 * 2.0 * every / 6.0 / n_ions
    finite_size = 0.025
    assert result.tracer_cm2_per_s is not None
    assert result.tracer_cm2_per_s.value / free == pytest.approx(0.7815, rel=finite_size)
    assert missed(result.collective_cm2_per_s, free) < ERRORS
    assert missed(result.haven_ratio, 0.7815) < ERRORS


def test_pairs_that_move_together_have_half_the_haven_ratio() -> None:
    result = transport([np.repeat(gaussian(np.random.default_rng(3), 4000, 10, D), 2, axis=1) for _ in range(3)])
    assert missed(result.tracer_cm2_per_s, 1e-4 * D) < ERRORS
    assert missed(result.collective_cm2_per_s, 2e-4 * D) < ERRORS
    assert missed(result.haven_ratio, 0.5) < ERRORS


def test_vibrations_of_the_ions_cancel() -> None:
    generator, amplitude = np.random.default_rng(4), 0.5
    walk = gaussian(generator, 6000, 40, D) + caged(generator, 6000, 40, amplitude)
    result = transport([walk])
    assert missed(result.tracer_cm2_per_s, 1e-4 * D) < ERRORS
    assert result.offset_ang2 == pytest.approx(6.0 * amplitude**2, rel=0.2)


def test_drift_of_the_whole_changes_nothing() -> None:
    generator = np.random.default_rng(5)
    atoms = np.concatenate([gaussian(generator, 1000, 8, D), caged(generator, 1000, 6, 0.2)], axis=1)
    drift = np.linspace(0.0, 300.0, 1000)[:, None, None] + np.cumsum(generator.normal(size=(1000, 1, 3)), axis=0)
    times, masses = np.arange(1000.0), generator.uniform(1.0, 30.0, 14)
    still, moving = (
        measure_transport([Run(positions, times, VOLUME)], range(8), 600.0, masses=masses)
        for positions in (atoms, atoms + drift)
    )
    assert still.tracer_cm2_per_s is not None and moving.tracer_cm2_per_s is not None
    assert moving.tracer_cm2_per_s.value == pytest.approx(still.tracer_cm2_per_s.value, rel=ROUND_OFF)
    np.testing.assert_allclose(moving.curves.framework, still.curves.framework, atol=1e-8)


def test_framework_without_masses_is_its_geometric_centre() -> None:
    generator = np.random.default_rng(6)
    atoms = gaussian(generator, 300, 6, D)
    run = Run(atoms, np.arange(300.0), VOLUME)
    plain, equal = (measure_transport([run], range(4), 600.0, masses=masses) for masses in (None, np.full(6, 7.0)))
    assert plain.tracer_cm2_per_s == equal.tracer_cm2_per_s


def test_runs_of_unequal_lengths() -> None:
    generator = np.random.default_rng(7)
    walks = [gaussian(generator, n_frames, 20, D) for n_frames in (3000, 800, 6)]
    result = transport(walks)
    assert missed(result.tracer_cm2_per_s, 1e-4 * D) < ERRORS
    assert result.durations_ps == (2999.0, 799.0, 5.0)
    assert result.n_windows == pytest.approx((2999 + 799) / result.fit_ps[1])


def test_conductivity_by_hand() -> None:
    """28 Li in 2072 Ang^3 at 300 K with 1e-8 cm^2/s: n e^2 D / k T = 1.351e28 * 2.567e-38 * 1e-12 / 4.142e-21 S/m."""
    assert conductivity_s_per_cm(1e-8, 28, 2072.0, 300.0) == pytest.approx(8.375e-4, rel=1e-3)
    assert conductivity_s_per_cm(1e-8, 28, 2072.0, 300.0, charge=2.0) == pytest.approx(4 * 8.375e-4, rel=1e-3)


def test_conductivities_follow_from_the_diffusivities() -> None:
    result = transport([gaussian(np.random.default_rng(8), 1000, 10, D)], step=2.0)
    assert result.tracer_cm2_per_s is not None and result.sigma_tracer_s_per_cm is not None
    expected = conductivity_s_per_cm(result.tracer_cm2_per_s.high, 10, VOLUME, 600.0)
    assert result.sigma_tracer_s_per_cm.high == pytest.approx(expected)
    assert result.sigma_s_per_cm is not None and result.haven_ratio is not None
    ratio = result.sigma_tracer_s_per_cm.value / result.sigma_s_per_cm.value
    assert result.haven_ratio.value == pytest.approx(ratio)


def test_what_is_discarded_does_not_count() -> None:
    generator = np.random.default_rng(9)
    walk = np.concatenate([gaussian(generator, 200, 10, 20 * D), gaussian(generator, 800, 10, D)])
    result = transport([walk], discard_ps=200.0)
    assert result.durations_ps == (799.0,)
    alone = transport([walk[200:]])
    assert result.tracer_cm2_per_s == alone.tracer_cm2_per_s


# Reasons to doubt


def test_short_runs_say_so() -> None:
    result = transport([gaussian(np.random.default_rng(10), 8 * FRAMES_PER_HOP, 20, D)])
    assert 'too_short' in kinds(result)
    assert result.n_windows < 10


def test_ions_that_keep_returning_are_not_fickian() -> None:
    """A wide cage in which an ion takes many frames to turn back, and which itself moves slowly."""
    generator, n_frames, memory = np.random.default_rng(11), 400, 0.97
    cage = np.zeros((n_frames, 60, 3))
    for frame in range(1, n_frames):
        cage[frame] = memory * cage[frame - 1] + generator.normal(size=(60, 3))
    result = transport([cage + gaussian(generator, n_frames, 60, D / 10)])
    assert 'not_fickian' in kinds(result)


def test_fit_starts_later_where_the_slope_still_changes() -> None:
    generator, n_frames, memory = np.random.default_rng(12), 8000, 0.8
    cage = np.zeros((n_frames, 30, 3))
    for frame in range(1, n_frames):
        cage[frame] = memory * cage[frame - 1] + generator.normal(size=(30, 3))
    result = transport([cage + gaussian(generator, n_frames, 30, D)])
    assert result.fit_ps is not None and result.fit_ps[0] >= 8.0  # one hop squared is reached in three frames
    assert missed(result.tracer_cm2_per_s, 1e-4 * D) < ERRORS


def test_repeats_that_differ_say_so() -> None:
    generator = np.random.default_rng(13)
    walks = [gaussian(generator, 1500, 20, factor * D) for factor in (0.5, 1.0, 2.0)]
    assert 'repeats_differ' in kinds(transport(walks))


def with_framework(framework: Array) -> Transport:
    generator = np.random.default_rng(14)
    atoms = np.concatenate([gaussian(generator, len(framework), 10, D), framework], axis=1)
    return measure_transport([Run(atoms, np.arange(len(framework), dtype=float), VOLUME)], range(10), 600.0)


def test_melting_framework_is_told_from_a_turning_one() -> None:
    generator = np.random.default_rng(15)
    turning = generator.normal(size=(1000, 40, 3))
    turning *= 2.05 / np.linalg.norm(turning, axis=2, keepdims=True)  # sulphur around phosphorus
    assert 'framework_melts' not in kinds(with_framework(turning))
    melting = with_framework(gaussian(generator, 1000, 40, D / 30))
    assert 'framework_melts' in kinds(melting)
    assert melting.framework_msd_ang2 == pytest.approx(6 * D / 30 * 500, rel=0.3)


def test_collective_motion_that_is_not_resolved_gives_no_number() -> None:
    found = [transport([gaussian(np.random.default_rng(seed), 40, 20, D)]) for seed in range(20)]
    unresolved = [result for result in found if 'collective_unresolved' in kinds(result)]
    assert unresolved
    assert all(result.sigma_s_per_cm is None and result.haven_ratio is None for result in unresolved)
    assert all(result.tracer_cm2_per_s is not None for result in unresolved)


def test_without_a_framework_there_is_nothing_to_be_seen_from() -> None:
    assert 'no_framework' in kinds(transport([gaussian(np.random.default_rng(16), 500, 5, D)], n_framework=0))


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'runs': []}, 'no runs'),
        ({'mobile': []}, 'no mobile ions'),
        ({'mobile': [0, 9]}, 'numbered 0 to 9, but there are 3 atoms'),
        ({'temperature_k': -300.0}, 'temperature -300 K'),
        ({'runs': [Run(np.zeros((50, 3, 3)), np.arange(50.0), 0.0)]}, 'volume 0'),
        ({'runs': [Run(np.zeros((50, 3, 3)), np.arange(49.0), 1.0)]}, 'run 0: positions'),
        ({'runs': [Run(np.full((50, 3, 3), np.nan), np.arange(50.0), 1.0)]}, 'not finite'),
        ({'runs': [Run(np.zeros((50, 3, 3)), np.arange(50.0) ** 2, 1.0)]}, 'ps apart throughout'),
        ({'runs': [Run(np.zeros((50, 3, 3)), np.zeros(50), 1.0)]}, 'ps apart throughout'),
        ({'runs': [Run(np.zeros((3, 3, 3)), np.arange(3.0), 1.0)]}, '3 frames are left'),
        (
            {'runs': [Run(np.zeros((9, 3, 3)), step * np.arange(9.0), 1.0) for step in (1.0, 2.0)]},
            'run 1: frames are not 1 ps apart',
        ),
    ],
)
def test_bad_input_is_refused(change: dict[str, object], message: str) -> None:
    inputs = {'runs': [Run(np.zeros((50, 3, 3)), np.arange(50.0), 1.0)], 'mobile': [0], 'temperature_k': 300.0}
    with pytest.raises(ValueError, match=message):
        measure_transport(**{**inputs, **change})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ('name', 'value'), [('hop_length_ang', 0.0), ('window_factor', 1.0), ('min_windows', -1.0), ('discard_ps', -1.0)]
)
def test_bad_settings_are_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        TransportSettings(**{name: value})


# How often the intervals hold the truth


def together(generator: np.random.Generator, n_frames: int) -> Array:
    return np.repeat(gaussian(generator, n_frames, 3, D), 2, axis=1)


def some_move(generator: np.random.Generator, n_frames: int) -> Array:
    walk = gaussian(generator, n_frames, 6, 3 * D)
    walk[:, 2:] = 0.0
    return walk


WALKS: dict[str, tuple[Callable[[np.random.Generator, int], Array], float]] = {
    'vibrating': (lambda g, n: gaussian(g, n, 6, D) + caged(g, n, 6, 0.3), 1.0),
    'hopping': (lambda g, n: hopping(g, n, 6, 1.0 / FRAMES_PER_HOP, HOP), 1.0),
    'pairs': (together, 0.5),
    'some move': (some_move, 1.0),
}


@pytest.mark.parametrize('kind', WALKS)
def test_coverage_of_the_intervals(kind: str) -> None:
    """Three repeats, each of 20 hops of an ion: 30 windows in all. Ions that move together or not at all count too."""
    walk, haven = WALKS[kind]
    generator = np.random.default_rng(20)
    held = np.zeros(3)
    for _ in range(N_WALKS):
        result = transport([walk(generator, 20 * FRAMES_PER_HOP + 1) for _ in range(3)])
        estimates = (result.tracer_cm2_per_s, result.collective_cm2_per_s, result.haven_ratio)
        for index, (estimate, truth) in enumerate(zip(estimates, (1e-4 * D, 1e-4 * D / haven, haven))):
            held[index] += estimate is not None and estimate.low < truth < estimate.high
    coverage = held / N_WALKS
    assert COVERAGE[0] <= coverage.min() and coverage.max() <= COVERAGE[1], coverage
