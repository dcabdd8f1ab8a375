"""Arrhenius fits: activation energy, and extrapolation to room temperature with its interval.

Fitted is the straight line ln y = ln A - E / (k T), with y the diffusivity, or the conductivity times the temperature
(sigma T, which is proportional to D); never sigma itself, whose energy would differ by about k T.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from ..contract.arrays import Array
from ..contract.units import BOLTZMANN_EV_PER_K
from .diffusion import ONE_SIGMA, Estimate
from .diffusion_fit import Caveat
from .transport import Transport

ROOM_TEMPERATURE_K = 298.0
FEWEST_TEMPERATURES = 3
SIGNIFICANT = 0.05
"""Probability below which a bend, or a scatter, of the points is not put down to chance."""

SHARED_FREEDOM = 6.0
"""Degrees of freedom that the error of a point borrows from the others; chosen by coverage, 3 to 12 do as well."""

SHARED_SPREAD = 0.5
"""The same of what repeats differ by beyond their errors, of which two or three repeats know little. With none, points
whose repeats agree by chance draw the line. With more, a single point whose repeats differ gets too little of its own:
if it is that of the lowest temperature, the interval held 0.56 to 0.60 with 2."""
BY_CHANCE = 0.1
"""Probability above which the scatter of the repeats of all points together is put down to chance; by coverage too."""

Quantity = Literal['diffusivity', 'conductivity']


@dataclass(frozen=True)
class Arrhenius:
    """Straight line through the logarithms of a quantity against 1/T, with 68 % intervals.

    :ivar quantity: ``diffusivity``: fitted is ln D, D in cm^2/s; ``conductivity``: fitted is ln(sigma T), in S K/cm.
    :ivar temperatures_k: (n,) of the points that were fitted, ascending.
    :ivar points: their D in cm^2/s or sigma in S/cm.
    :ivar activation_energy_ev: E, with its interval, symmetric.
    :ivar log_prefactor: ln A.
    :ivar target_k: temperature of the extrapolation.
    :ivar extrapolated: D in cm^2/s or sigma in S/cm at ``target_k``.
    :ivar covariance: (2, 2) of ln A and E.
    :ivar degrees_of_freedom: of Student's t, for the activation energy.
    """

    quantity: Quantity
    temperatures_k: Array
    points: tuple[Estimate, ...]
    activation_energy_ev: float
    activation_energy_low_ev: float
    activation_energy_high_ev: float
    log_prefactor: float
    target_k: float
    extrapolated: Estimate
    covariance: Array
    degrees_of_freedom: float
    caveats: tuple[Caveat, ...]

    def at(self, temperatures_k: Array) -> tuple[Array, Array, Array]:
        """Return the fitted D or sigma at temperatures (m,) in K, with the ends of its interval: three (m,)."""
        design = _design(np.asarray(temperatures_k, dtype=float))
        middle = design @ np.array([self.log_prefactor, self.activation_energy_ev])
        reach = float(stats.t.ppf(ONE_SIGMA, self.degrees_of_freedom)) * np.sqrt(
            np.einsum('mi,ij,mj->m', design, self.covariance, design)
        )
        unit = 1.0 / temperatures_k if self.quantity == 'conductivity' else np.ones(len(design))
        return unit * np.exp(middle), unit * np.exp(middle - reach), unit * np.exp(middle + reach)


@dataclass(frozen=True)
class Conductivity:
    """What the temperatures say together. A fit is ``None`` where fewer than two temperatures give a number.

    :ivar diffusivity: fit of D*.
    :ivar tracer: fit of the Nernst-Einstein conductivity (D*).
    :ivar collective: fit of the conductivity from D_sigma.
    :ivar caveats: of each temperature (its text begins with it) and of the fits.
    """

    transports: tuple[Transport, ...]
    diffusivity: Arrhenius | None
    tracer: Arrhenius | None
    collective: Arrhenius | None
    caveats: tuple[Caveat, ...]


def fit_arrhenius(
    temperatures_k: Sequence[float],
    values: Sequence[Estimate],
    quantity: Quantity,
    target_k: float = ROOM_TEMPERATURE_K,
) -> Arrhenius:
    """Return the Arrhenius line through estimates at several temperatures, weighted with their errors.

    Least squares of the logarithms, weighted with their variances. A variance from few windows is itself uncertain, and
    the points that seem best by chance would draw the line; so each borrows from what all points say of the variance
    per window (``SHARED_FREEDOM``), and of how much repeats differ beyond that (``SHARED_SPREAD``). If the points
    scatter by more than their errors, these grow with the scatter. The interval is that of Student's t with the degrees
    of freedom after Welch and Satterthwaite.

    :param values: D in cm^2/s, or sigma (not sigma T) in S/cm, as ``quantity`` says.
    :raises ValueError: if there are fewer than two different temperatures, or anything is not positive.
    """
    if len(temperatures_k) != len(values):
        raise ValueError(f'{len(temperatures_k)} temperatures and {len(values)} values')
    if len(set(temperatures_k)) < 2:
        raise ValueError(f'an Arrhenius line needs two temperatures at least, not {sorted(set(temperatures_k))}')
    if not (min(temperatures_k) > 0.0 and target_k > 0.0 and min(one.value for one in values) > 0.0):
        raise ValueError('temperatures and values of an Arrhenius line must be positive')
    order = np.argsort(temperatures_k, kind='stable')
    temperatures = np.asarray(temperatures_k, dtype=float)[order]
    points = tuple(values[index] for index in order)
    logs = np.log([one.value for one in points])
    if quantity == 'conductivity':
        logs = logs + np.log(temperatures)
    errors = Errors.of(points)
    design = _design(temperatures)
    covariance, effect = _solve(design, errors.variances)
    solution = effect @ logs
    caveats, stretch = _judge(temperatures, logs, errors, target_k)
    covariance = covariance * stretch
    energy, line = np.array([0.0, 1.0]), _design(np.array([target_k]))[0]
    freedom = errors.freedom(energy @ effect)
    reach = float(stats.t.ppf(ONE_SIGMA, freedom)) * math.sqrt(covariance[1, 1])
    if solution[1] <= 0.0:
        caveats.append(Caveat('negative_energy', f'the activation energy is {solution[1]:.3g} eV: no hopping'))
    unit = 1.0 / target_k if quantity == 'conductivity' else 1.0
    return Arrhenius(
        quantity=quantity,
        temperatures_k=temperatures,
        points=points,
        activation_energy_ev=float(solution[1]),
        activation_energy_low_ev=float(solution[1] - reach),
        activation_energy_high_ev=float(solution[1] + reach),
        log_prefactor=float(solution[0]),
        target_k=target_k,
        extrapolated=Estimate.of(
            unit * math.exp(float(line @ solution)),
            math.sqrt(float(line @ covariance @ line)),
            errors.freedom(line @ effect),
        ),
        covariance=covariance,
        degrees_of_freedom=freedom,
        caveats=tuple(caveats),
    )


def _design(temperatures: Array) -> Array:
    """Return the matrix (n, 2) of the line: ln y = design @ (ln A, E in eV)."""
    return np.stack([np.ones(len(temperatures)), -1.0 / (BOLTZMANN_EV_PER_K * temperatures)], axis=1)


@dataclass(frozen=True)
class Errors:
    """Variances (n,) of the logarithms of points, in two parts, with degrees of freedom.

    :ivar noise: from within the runs, independent for each point, with ``noise_freedom`` (n,).
    :ivar spread: what repeats differ by beyond that. It is from few repeats of all points together, so that it is too
        small or too large for all of them at once: ``spread_freedom`` belongs to the whole.
    """

    noise: Array
    noise_freedom: Array
    spread: Array
    spread_freedom: float

    @property
    def variances(self) -> Array:
        """Sum of the parts (n,)."""
        return self.noise + self.spread

    @classmethod
    def of(cls, points: Sequence[Estimate]) -> Errors:
        """Return the errors of points, each with a part of what all say.

        The error from within falls with the root of the number of windows, to which its degrees of freedom are
        proportional; with ions that hop alike the factor is one for all temperatures. Repeats that differ do so in the
        logarithm, by as much at one temperature as at another, as far as one knows.
        """
        within = [
            (one.log_error, one.degrees_of_freedom)
            if one.scatter is None
            else (one.scatter.noise, one.scatter.noise_freedom)
            for one in points
        ]
        own, freedoms = np.array([error**2 for error, _ in within]), np.array([freedom for _, freedom in within])
        common = float((freedoms * (own * freedoms)).sum() / freedoms.sum())
        noise = (freedoms * own + SHARED_FREEDOM * common / freedoms) / (freedoms + SHARED_FREEDOM)
        spread, freedom = _spread(points)
        return cls(noise, freedoms + SHARED_FREEDOM, spread, freedom)

    def freedom(self, effect: Array) -> float:
        """Return the degrees of freedom of the variance of a weighted sum (Welch and Satterthwaite)."""
        noise, spread = effect**2 * self.noise, float(effect**2 @ self.spread)
        uncertain = float((noise**2 / self.noise_freedom).sum()) + spread**2 / self.spread_freedom
        return (float(noise.sum()) + spread) ** 2 / uncertain


def _spread(points: Sequence[Estimate]) -> tuple[Array, float]:
    """Return the variances (n,) by which repeats differ beyond their errors, and the degrees of freedom of all."""
    there = [one.scatter for one in points if one.scatter is not None]
    if not there:
        return np.zeros(len(points)), 1.0
    freedoms = np.array([one.spread_freedom for one in there])
    ratios = np.array([(one.spread / one.noise) ** 2 for one in there])
    windows = sum(one.noise_freedom for one in there)
    if stats.f.sf(float(freedoms @ ratios / freedoms.sum()), freedoms.sum(), windows) > BY_CHANCE:
        return np.zeros(len(points)), 1.0
    beyond = np.maximum(0.0, [one.spread**2 - one.noise**2 for one in there])
    common = float(freedoms @ beyond / freedoms.sum())
    spread = np.full(len(points), common)
    mixed = (freedoms * beyond + SHARED_SPREAD * common) / (freedoms + SHARED_SPREAD)
    spread[[one.scatter is not None for one in points]] = mixed
    # If one point shows it and the others do not, it is known from the repeats of that one only.
    return spread, float((freedoms @ beyond) ** 2 / (freedoms @ beyond**2))


def _solve(design: Array, variances: Array) -> tuple[Array, Array]:
    """Return covariance (p, p) of weighted least squares, and the matrix (p, n) that takes values to the solution."""
    weighted = design.T / variances
    covariance = np.linalg.inv(weighted @ design)
    return covariance, covariance @ weighted


def _judge(temperatures: Array, logs: Array, errors: Errors, target_k: float) -> tuple[list[Caveat], float]:
    """Return what is doubtful about a line through the points, and the factor by which variances grow with it."""
    number = len(temperatures)
    caveats, stretch = [], 1.0
    if len(set(temperatures.tolist())) < FEWEST_TEMPERATURES:
        text = (
            f'the line goes through {len(set(temperatures.tolist()))} temperatures: nothing tests that it is straight'
        )
        return [Caveat('few_temperatures', text)], stretch
    variances = errors.variances
    _, effect = _solve(_design(temperatures), variances)
    rest = logs - _design(temperatures) @ (effect @ logs)
    misfit = float((rest**2 / variances).sum()) / (number - 2)
    # Variances are estimates themselves: Fisher's F rather than chi squared.
    if stats.f.sf(misfit, number - 2, errors.freedom(1.0 / np.sqrt(variances))) < SIGNIFICANT:
        stretch = misfit
        text = f'the points scatter around the line {math.sqrt(misfit):.1f} times as much as their errors say'
        caveats.append(Caveat('poor_fit', text))
    bend, freedom = _bend(temperatures, logs, errors)
    if 2.0 * stats.t.sf(abs(bend), freedom) < SIGNIFICANT:
        caveats.append(
            Caveat(
                'curved',
                f'the points bend {"up" if bend > 0 else "down"} from a straight line by {abs(bend):.1f} standard '
                f'errors: there may be a transition between {temperatures[0]:g} and {temperatures[-1]:g} K, and the '
                f'extrapolation to {target_k:g} K may cross it',
            )
        )
    return caveats, stretch


def _bend(temperatures: Array, logs: Array, errors: Errors) -> tuple[float, float]:
    """Return the coefficient of a parabola in 1/T in standard errors, and its degrees of freedom."""
    inverse = 1000.0 / temperatures
    inverse = inverse - inverse.mean()
    covariance, effect = _solve(np.stack([np.ones(len(inverse)), inverse, inverse**2], axis=1), errors.variances)
    return float(effect[2] @ logs / math.sqrt(covariance[2, 2])), errors.freedom(effect[2])


def analyse_conductivity(transports: Sequence[Transport], target_k: float = ROOM_TEMPERATURE_K) -> Conductivity:
    """Return the Arrhenius fits over temperatures of diffusivity and conductivities, with all caveats.

    Temperatures where the ions have not diffused are left out of the fits and named. What is so of several fits is said
    once; that there is none at all is said first.
    """
    ordered = tuple(sorted(transports, key=lambda one: one.temperature_k))
    caveats = [
        Caveat(caveat.kind, f'{one.temperature_k:g} K: {caveat.text}') for one in ordered for caveat in one.caveats
    ]

    about: dict[Caveat, list[str]] = {}

    def fit(name: str, quantity: Quantity, words: str) -> Arrhenius | None:
        there = [(one.temperature_k, getattr(one, name)) for one in ordered if getattr(one, name) is not None]
        if len({temperature for temperature, _ in there}) < 2:
            text = f'no value at {target_k:g} K, there is a number at {len(there)} of {len(ordered)} temperatures'
            about.setdefault(Caveat('few_temperatures', text), []).append(words)
            return None
        result = fit_arrhenius([one for one, _ in there], [one for _, one in there], quantity, target_k)
        for caveat in result.caveats:
            about.setdefault(caveat, []).append(words)
        return result

    diffusivity = fit('tracer_cm2_per_s', 'diffusivity', 'tracer diffusivity')
    tracer = fit('sigma_tracer_s_per_cm', 'conductivity', 'Nernst-Einstein conductivity')
    collective = fit('sigma_s_per_cm', 'conductivity', 'collective conductivity')
    if tracer is None:
        diffused = sum(one.diffused for one in ordered)
        text = (
            f'no conductivity at {target_k:g} K: the ions have diffused at {diffused} of {len(ordered)} temperatures, '
            'and two are needed'
        )
        caveats.insert(0, Caveat('few_temperatures', text))
    else:
        caveats += [Caveat(caveat.kind, f'{", ".join(words)}: {caveat.text}') for caveat, words in about.items()]
    return Conductivity(ordered, diffusivity, tracer, collective, tuple(caveats))
