"""Diffusivities, Haven ratio and conductivity of mobile ions from trajectories, with 68 % intervals.

Definitions, for N ions of charge z e in a volume V at temperature T, displacements d_i relative to the centre of mass
of the framework (all atoms that are not mobile), lag t:

- tracer diffusivity D* = slope of < |d_i|^2 > / 6, averaged over the ions;
- collective (charge) diffusivity D_sigma = slope of < |sum_i d_i|^2 > / (6 N);
- Haven ratio H = D* / D_sigma;
- conductivity sigma = N z^2 e^2 D / (V k T): Nernst-Einstein with D*, the full one with D_sigma (all mobile ions have
  the same charge, and in its own frame the framework carries no current).

The method and its measured coverage are in ``docs/source/topics/transport_method.md``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..contract.arrays import Array
from ..contract.units import BOLTZMANN_J_PER_K, ELEMENTARY_CHARGE_C
from .diffusion import (
    Estimate,
    Indices,
    fit_window,
    mean_square_displacement,
    pooled,
    ratio_of,
    relative_to_framework,
    slope_of,
)
from .diffusion_fit import COLLECTIVE_RESOLVED, Caveat, Fit, TransportSettings, unresolved

CM2_PER_S = 1e-4
"""Of one Ang^2/ps."""
SAME_STEP = 1e-3
"""Relative difference of time steps that is round-off of the clock."""
MOST_POINTS = 300
"""Lags kept for figures, at most."""


@dataclass(frozen=True)
class Run:
    """One repeat: an equilibrium trajectory at constant volume, or nearly so.

    :ivar positions: unwrapped, (F, N, 3) in Ang.
    :ivar times_ps: (F,), equally spaced.
    :ivar volume_ang3: of the cell, the mean if it fluctuates.
    """

    positions: Array
    times_ps: Array
    volume_ang3: float


@dataclass(frozen=True)
class Curves:
    """Mean-square displacements in Ang^2 of all runs together, at lags (L,) in ps; ``framework`` may be missing.

    ``collective`` is that of the summed displacement, divided by the number of ions.
    """

    lags_ps: Array
    mobile: Array
    collective: Array
    framework: Array | None


@dataclass(frozen=True)
class Transport:
    """Transport of the mobile ions at one temperature. What could not be measured is ``None`` and has a caveat.

    :ivar tracer_cm2_per_s: D*.
    :ivar collective_cm2_per_s: D_sigma.
    :ivar haven_ratio: D* / D_sigma.
    :ivar sigma_tracer_s_per_cm: Nernst-Einstein conductivity with D*.
    :ivar sigma_s_per_cm: conductivity with D_sigma.
    :ivar tracer_below_cm2_per_s: where ions have not diffused, what D* is below: one hop squared in the longest lag
        that was looked at, or a slope that may be none with two of its errors.
    :ivar fit_ps: first and last lag of the fit, ``None`` if there was none.
    :ivar offset_ang2: of the straight line through the mean-square displacement of the mobile ions: vibrations.
    :ivar n_windows: windows of the fit that the runs hold, 0 without a fit.
    :ivar framework_msd_ang2: of the framework at half the longest run.
    """

    temperature_k: float
    volume_ang3: float
    n_mobile: int
    charge: float
    durations_ps: tuple[float, ...]
    tracer_cm2_per_s: Estimate | None
    collective_cm2_per_s: Estimate | None
    haven_ratio: Estimate | None
    sigma_tracer_s_per_cm: Estimate | None
    sigma_s_per_cm: Estimate | None
    tracer_below_cm2_per_s: float | None
    fit_ps: tuple[float, float] | None
    offset_ang2: float | None
    n_windows: float
    framework_msd_ang2: float | None
    curves: Curves
    settings: TransportSettings
    caveats: tuple[Caveat, ...]

    @property
    def diffused(self) -> bool:
        """Whether the ions have, so that there is a tracer diffusivity."""
        return self.tracer_cm2_per_s is not None


def conductivity_s_per_cm(
    diffusivity_cm2_per_s: float, n_ions: int, volume_ang3: float, temperature_k: float, charge: float = 1.0
) -> float:
    """Return N z^2 e^2 D / (V k T) in S/cm."""
    per_metre = (
        n_ions
        * (charge * ELEMENTARY_CHARGE_C) ** 2
        * (diffusivity_cm2_per_s * 1e-4)
        / (volume_ang3 * 1e-30 * BOLTZMANN_J_PER_K * temperature_k)
    )
    return per_metre / 100.0


def measure_transport(
    runs: Sequence[Run],
    mobile: Indices | Sequence[int],
    temperature_k: float,
    charge: float = 1.0,
    masses: Array | None = None,
    settings: TransportSettings | None = None,
) -> Transport:
    """Return the transport coefficients of the mobile ions from one or more repeats at one temperature.

    :param mobile: indices of the ions that move, all of one charge.
    :param charge: of each, in units of e.
    :param masses: (N,), for the centre of mass of the framework; equal ones if not given.
    :raises ValueError: if there are no runs or no mobile ions, if the runs have other atoms, shapes or time steps, are
        not finite, or have fewer than four frames after what is discarded; if temperature or volume is not positive.
    """
    settings = settings or TransportSettings()
    step, kept = _check(runs, mobile, temperature_k, settings)
    n_atoms = kept[0].shape[1]
    ions = np.unique(np.asarray(mobile, dtype=np.int64))
    framework = np.setdiff1d(np.arange(n_atoms), ions)
    weights = np.ones(n_atoms) if masses is None else np.asarray(masses, dtype=float)
    seen = [relative_to_framework(positions, framework, weights) for positions in kept]
    walks = [positions[:, ions] for positions in seen]
    sums = [walk.sum(axis=1, keepdims=True) / math.sqrt(len(ions)) for walk in walks]
    mobile_msd = pooled([mean_square_displacement(walk) for walk in walks])
    framework_msd = pooled([mean_square_displacement(one[:, framework]) for one in seen]) if len(framework) else None
    caveats = _framework_caveats(framework_msd, settings)
    volume = float(np.mean([run.volume_ang3 for run in runs]))
    fit = Fit.choose(walks, mobile_msd, step, settings)
    caveats += fit.caveats
    tracer = collective = haven = below = None
    if fit.slope is None:
        below = CM2_PER_S * fit.below / (6.0 * step)
    else:
        to_cm2_per_s = CM2_PER_S / (6.0 * step)
        tracer = fit.slope.estimate(to_cm2_per_s)
        summed = slope_of(sums, fit_window(fit.start, settings.window_factor, fit.n_frames))
        if summed.value > COLLECTIVE_RESOLVED * summed.noise:
            collective = summed.estimate(to_cm2_per_s)
            haven = ratio_of(fit.slope, summed, len(ions))
        else:
            caveats.append(unresolved(summed))
    unit = conductivity_s_per_cm(1.0, len(ions), volume, temperature_k, charge)
    return Transport(
        temperature_k=temperature_k,
        volume_ang3=volume,
        n_mobile=len(ions),
        charge=charge,
        durations_ps=tuple(step * (len(walk) - 1) for walk in walks),
        tracer_cm2_per_s=tracer,
        collective_cm2_per_s=collective,
        haven_ratio=haven,
        sigma_tracer_s_per_cm=None if tracer is None else tracer.times(unit),
        sigma_s_per_cm=None if collective is None else collective.times(unit),
        tracer_below_cm2_per_s=below,
        fit_ps=None if fit.slope is None else (step * fit.start, step * fit.stop),
        offset_ang2=None if fit.slope is None else fit.offset,
        n_windows=fit.n_windows if fit.slope is not None else 0.0,
        framework_msd_ang2=None if framework_msd is None else float(framework_msd[len(framework_msd) // 2]),
        curves=_curves(step, mobile_msd, pooled([mean_square_displacement(one) for one in sums]), framework_msd),
        settings=settings,
        caveats=tuple(caveats),
    )


def _check(
    runs: Sequence[Run], mobile: Indices | Sequence[int], temperature_k: float, settings: TransportSettings
) -> tuple[float, list[Array]]:
    """Return the time step in ps and the positions of each run without what is discarded."""
    if not runs:
        raise ValueError('there are no runs to analyse')
    if not len(mobile):
        raise ValueError('there are no mobile ions; name the element that carries the charge')
    if not (temperature_k > 0.0 and math.isfinite(temperature_k)):
        raise ValueError(f'temperature {temperature_k:g} K is not positive')
    n_atoms = runs[0].positions.shape[1] if runs[0].positions.ndim == 3 else 0
    if not 0 <= min(mobile) <= max(mobile) < n_atoms:
        raise ValueError(f'mobile ions are numbered {min(mobile)} to {max(mobile)}, but there are {n_atoms} atoms')
    steps, kept = [], []
    for number, run in enumerate(runs):
        positions, times = np.asarray(run.positions, dtype=float), np.asarray(run.times_ps, dtype=float)
        if positions.ndim != 3 or positions.shape[1:] != (n_atoms, 3) or times.shape != positions.shape[:1]:
            raise ValueError(
                f'run {number}: positions {positions.shape} and times {times.shape} are not (F, {n_atoms}, 3) and (F,)'
            )
        if not (np.isfinite(positions).all() and np.isfinite(times).all()):
            raise ValueError(f'run {number} has positions or times that are not finite; leave out what exploded')
        if not run.volume_ang3 > 0.0:
            raise ValueError(f'run {number}: volume {run.volume_ang3:g} Ang^3 is not positive')
        there = times >= times[:1] + settings.discard_ps - 1e-9
        if there.sum() < 4:
            raise ValueError(
                f'run {number}: {int(there.sum())} frames are left after the first {settings.discard_ps:g} ps, '
                'too few for any displacement; run longer, or write frames more often'
            )
        between = np.diff(times[there])
        steps.append(float(between.mean()))
        if not (steps[-1] > 0.0 and abs(between - steps[0]).max() <= SAME_STEP * steps[0]):
            raise ValueError(f'run {number}: frames are not {steps[0]:g} ps apart throughout, as time origins need')
        kept.append(positions[there])
    return steps[0], kept


def _framework_caveats(msd: Array | None, settings: TransportSettings) -> list[Caveat]:
    """Return a caveat if the framework moves away; one that only turns (PS4 groups) comes to an end of it."""
    if msd is None:
        text = 'every atom is mobile: displacements are those in the frame of the simulation'
        return [Caveat('no_framework', text)]
    half, quarter = float(msd[len(msd) // 2]), float(msd[len(msd) // 4])
    if half > settings.framework_msd_ang2 and half - quarter > 0.2 * half:
        return [
            Caveat(
                'framework_melts',
                f'the framework melts: its mean-square displacement is {half:.2g} Ang^2 at half the longest run and '
                f'still grows, by {half - quarter:.2g} Ang^2 in the last quarter',
            )
        ]
    return []


def _curves(step: float, mobile: Array, collective: Array, framework: Array | None) -> Curves:
    """Return lags up to half the longest run, thinned so that they draw well on straight and logarithmic axes."""
    last = max(1, (len(mobile) - 1) // 2)
    spaced = np.concatenate([np.linspace(0, last, MOST_POINTS // 2), np.geomspace(1, last, MOST_POINTS // 2)])
    lags = np.unique(spaced.round().astype(np.int64))
    return Curves(step * lags, mobile[lags], collective[lags], None if framework is None else framework[lags])
