"""Arrhenius lines of points that are known, their warnings, and how often their intervals hold the truth at 298 K."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_litraj.analysis.arrhenius import (
    Arrhenius,
    Conductivity,
    Errors,
    analyse_conductivity,
    fit_arrhenius,
)
from aiida_litraj.analysis.diffusion import Estimate, Scatter
from aiida_litraj.analysis.diffusion_fit import TransportSettings
from aiida_litraj.analysis.transport import Run, conductivity_s_per_cm, measure_transport
from aiida_litraj.contract.units import BOLTZMANN_EV_PER_K
from tests.fixtures.walks import gaussian

COVERAGE = (0.60, 0.76)
"""Of 200 intervals of 68 %: 2.4 standard deviations of the binomial distribution to either side."""
N_SETS = 200
N_CAMPAIGNS = 200
ENERGY_EV = 0.25
TEMPERATURES = (600.0, 650.0, 700.0, 800.0, 1000.0)
PREFACTOR = 3000.0
"""Of sigma T, in S K/cm."""
EXACT = 1e-9
MANY_WINDOWS = 1e6
HOP, N_IONS, VOLUME = 3.0, 6, 1000.0


def sigma(temperature: float, energy: float = ENERGY_EV) -> float:
    return float(PREFACTOR / temperature * np.exp(-energy / (BOLTZMANN_EV_PER_K * temperature)))


def exact(temperatures: tuple[float, ...] = TEMPERATURES, error: float = 0.05) -> Arrhenius:
    values = [Estimate.of(sigma(one), error, MANY_WINDOWS) for one in temperatures]
    return fit_arrhenius(temperatures, values, 'conductivity', 298.0)


def kinds(result: Arrhenius | Conductivity) -> set[str]:
    return {caveat.kind for caveat in result.caveats}


def test_known_energy_and_conductivity_at_room_temperature() -> None:
    line = exact()
    assert line.activation_energy_ev == pytest.approx(ENERGY_EV, rel=EXACT)
    assert line.extrapolated.value == pytest.approx(sigma(298.0), rel=EXACT)
    assert np.exp(line.log_prefactor) == pytest.approx(PREFACTOR, rel=EXACT)
    assert kinds(line) == set()
    middle, low, high = line.at(np.array([298.0, 700.0]))
    np.testing.assert_allclose(middle, [sigma(298.0), sigma(700.0)], rtol=EXACT)
    np.testing.assert_allclose([low[0], high[0]], [line.extrapolated.low, line.extrapolated.high], rtol=1e-6)
    assert high[0] / low[0] > high[1] / low[1]


def test_sigma_times_temperature_is_fitted_not_sigma() -> None:
    """The energy of sigma itself would be lower by about k T."""
    values = [Estimate.of(sigma(one), 0.05, MANY_WINDOWS) for one in TEMPERATURES]
    as_it_is = fit_arrhenius(TEMPERATURES, values, 'diffusivity')
    assert exact().activation_energy_ev - as_it_is.activation_energy_ev == pytest.approx(
        BOLTZMANN_EV_PER_K * np.mean(TEMPERATURES), rel=0.05
    )


def test_errors_of_two_points_by_hand() -> None:
    """E = k ln(y2/y1) / (1/T1 - 1/T2), so its error is k sqrt(2) s / (1/T1 - 1/T2)."""
    line, error = exact((500.0, 1000.0), 0.1), BOLTZMANN_EV_PER_K * np.sqrt(2.0) * 0.1 / 0.001
    assert (line.activation_energy_high_ev - line.activation_energy_low_ev) / 2 == pytest.approx(error, rel=1e-4)
    assert kinds(line) == {'few_temperatures'}


def test_points_count_by_their_errors() -> None:
    temperatures, errors = (500.0, 600.0, 700.0), (0.01, 0.01, 1.0)
    values = [Estimate.of(sigma(one) * (1.5 if one == 700.0 else 1.0), e, 1e6) for one, e in zip(temperatures, errors)]
    line = fit_arrhenius(temperatures, values, 'conductivity')
    assert line.activation_energy_ev == pytest.approx(ENERGY_EV, abs=2e-3)


def test_order_of_temperatures_does_not_matter() -> None:
    assert exact(TEMPERATURES[::-1]).extrapolated == exact().extrapolated


def test_a_transition_is_noticed() -> None:
    """Two slopes with a knee at 700 K: what is extrapolated from above it is wrong below."""
    knee = 700.0
    values = [
        Estimate.of(
            np.exp(-(0.2 if one > knee else 0.6) / BOLTZMANN_EV_PER_K * (1.0 / one - 1.0 / knee)), 0.05, MANY_WINDOWS
        )
        for one in (500.0, 600.0, 700.0, 800.0, 1000.0)
    ]
    line = fit_arrhenius((500.0, 600.0, 700.0, 800.0, 1000.0), values, 'diffusivity')
    assert {'curved', 'poor_fit'} <= kinds(line)
    narrow = exact((500.0, 600.0, 700.0, 800.0, 1000.0))
    assert line.extrapolated.log_error > 3 * narrow.extrapolated.log_error


def test_conductivity_that_falls_with_temperature_is_no_hopping() -> None:
    values = [Estimate.of(1.0 / one**3, 0.05, MANY_WINDOWS) for one in TEMPERATURES]
    assert 'negative_energy' in kinds(fit_arrhenius(TEMPERATURES, values, 'conductivity'))


@pytest.mark.parametrize(
    ('temperatures', 'message'),
    [((600.0,), 'two temperatures'), ((600.0, 600.0), 'two temperatures'), ((-1.0, 600.0), 'positive')],
)
def test_bad_input_is_refused(temperatures: tuple[float, ...], message: str) -> None:
    values = [Estimate.of(1.0, 0.1, 10.0)] * len(temperatures)
    with pytest.raises(ValueError, match=message):
        fit_arrhenius(temperatures, values, 'diffusivity')
    with pytest.raises(ValueError, match='2 temperatures and 1 values'):
        fit_arrhenius((1.0, 2.0), [Estimate.of(1.0, 0.1, 10.0)], 'diffusivity')


# From walks to room temperature


def diffusivity(temperature: float) -> float:
    """In Ang^2 per frame (1 ps): one hop squared in four frames at the highest temperature."""
    factor = np.exp(-ENERGY_EV / BOLTZMANN_EV_PER_K * (1.0 / temperature - 1.0 / max(TEMPERATURES)))
    return float(factor * HOP**2 / 24.0)


def conductivity(
    generator: np.random.Generator, temperatures: tuple[float, ...], n_frames: int = 500, pairs: int = 1
) -> Conductivity:
    transports = []
    for temperature in temperatures:
        walk = gaussian(generator, n_frames, N_IONS // pairs, diffusivity(temperature))
        atoms = np.concatenate([np.repeat(walk, pairs, axis=1), np.zeros((n_frames, 1, 3))], axis=1)
        run = Run(atoms, np.arange(n_frames, dtype=float), VOLUME)
        transports.append(
            measure_transport([run], range(N_IONS), temperature, settings=TransportSettings(hop_length_ang=HOP))
        )
    return analyse_conductivity(transports)


def test_temperatures_without_diffusion_are_left_out_and_named() -> None:
    result = conductivity(np.random.default_rng(0), (300.0, 700.0, 800.0, 1000.0))
    assert result.tracer is not None
    np.testing.assert_array_equal(result.tracer.temperatures_k, [700.0, 800.0, 1000.0])
    assert any(caveat.kind == 'not_diffused' and caveat.text.startswith('300 K: ') for caveat in result.caveats)


def test_one_temperature_gives_no_line() -> None:
    result = conductivity(np.random.default_rng(1), (300.0, 1000.0))
    assert result.diffusivity is None and result.tracer is None and result.collective is None
    (text,) = [caveat.text for caveat in result.caveats if caveat.kind == 'few_temperatures']
    assert text == result.caveats[0].text
    assert text.startswith('no conductivity at 298 K: the ions have diffused at 1 of 2 temperatures')


def test_what_is_so_of_all_lines_is_said_once() -> None:
    result = conductivity(np.random.default_rng(1), (700.0, 1000.0))
    (text,) = [caveat.text for caveat in result.caveats if caveat.kind == 'few_temperatures']
    assert text.startswith('tracer diffusivity, Nernst-Einstein conductivity, collective conductivity: the line goes')


def test_coverage_at_room_temperature() -> None:
    """One run at each of four temperatures, of 13 windows at the lowest and 60 at the highest; ions move in pairs."""
    pairs = 2
    generator, temperatures = np.random.default_rng(2), (650.0, 750.0, 850.0, 1000.0)
    held = np.zeros(4)
    truth = conductivity_s_per_cm(1e-4 * diffusivity(298.0), N_IONS, VOLUME, 298.0)
    for _ in range(N_SETS):
        result = conductivity(generator, temperatures, pairs=pairs)
        for index, (line, factor) in enumerate(((result.tracer, 1), (result.collective, pairs))):
            assert line is not None
            held[2 * index] += line.extrapolated.low < factor * truth < line.extrapolated.high
            held[2 * index + 1] += line.activation_energy_low_ev < ENERGY_EV < line.activation_energy_high_ev
    coverage = held / N_SETS
    assert COVERAGE[0] <= coverage.min() and coverage.max() <= COVERAGE[1], coverage


# Repeats that differ


def of_repeats(generator: np.random.Generator, truth: float, differ: float, noise: float, windows: float) -> Estimate:
    """Three repeats that each have their own diffusivity, by a factor of ``differ``, measured to ``noise`` together."""
    runs = truth * np.exp(differ * generator.normal(size=3)) * (1.0 + np.sqrt(3.0) * noise * generator.normal(size=3))
    seen = noise * np.sqrt(generator.chisquare(windows) / windows)
    spread = runs.std(ddof=1) / np.sqrt(3.0) / runs.mean()
    return Estimate.of(runs.mean(), seen, windows, Scatter(seen, windows, spread, 2.0))


@pytest.mark.parametrize(
    ('differ', 'where'),
    [(0.0, 'nowhere'), (0.3, 'everywhere'), (0.6, 'hottest'), (0.6, 'coldest')],
)
def test_coverage_with_repeats_that_differ(differ: float, where: str) -> None:
    """Campaigns of three temperatures and three repeats, of 24 windows at each.

    Taken one by one, with the two degrees of freedom of their own scatter, the points gave 0.53 where all differ by
    0.3: those whose repeats agreed by chance drew the line.
    """
    generator, temperatures = np.random.default_rng(3), (700.0, 850.0, 1000.0)
    those = {'nowhere': (), 'everywhere': temperatures, 'hottest': (1000.0,), 'coldest': (700.0,)}[where]
    held = np.zeros(2)
    for _ in range(N_CAMPAIGNS):
        points = [
            of_repeats(generator, diffusivity(one), differ if one in those else 0.0, 0.1, 12.0) for one in temperatures
        ]
        line = fit_arrhenius(temperatures, points, 'diffusivity')
        held[0] += line.extrapolated.low < diffusivity(298.0) < line.extrapolated.high
        held[1] += line.activation_energy_low_ev < ENERGY_EV < line.activation_energy_high_ev
    coverage = held / N_CAMPAIGNS
    assert COVERAGE[0] <= coverage.min() and coverage.max() <= COVERAGE[1], coverage


def test_one_point_whose_repeats_differ_does_not_count_for_nothing() -> None:
    """Its error is that of its scatter: of three repeats, not that of a single window."""
    noise, spread, windows = 0.05, 0.15, 30.0
    calm = Scatter(noise, windows, noise, 2.0)
    points = [Estimate.of(1.0, noise, windows, calm)] * 2
    errors = Errors.of([*points, Estimate.of(1.0, spread, 2.0, Scatter(noise, windows, spread, 2.0))])
    assert spread / 2 < np.sqrt(errors.variances[2]) < spread * 1.1
    assert np.sqrt(errors.variances[0]) < errors.variances[2] ** 0.5


def test_repeats_that_agree_leave_the_line_as_it_is() -> None:
    values = [Estimate.of(sigma(one), 0.05, 30.0, Scatter(0.05, 30.0, 0.03, 2.0)) for one in TEMPERATURES]
    alone = [Estimate.of(sigma(one), 0.05, 30.0) for one in TEMPERATURES]
    lines = [fit_arrhenius(TEMPERATURES, chosen, 'conductivity') for chosen in (values, alone)]
    assert lines[0].extrapolated == lines[1].extrapolated
