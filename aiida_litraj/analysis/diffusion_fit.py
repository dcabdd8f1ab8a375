"""Where the mean-square displacement of mobile ions is a straight line, and the reasons to doubt it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..contract.arrays import Array
from .diffusion import Slope, fit_window, slope_of

TWO_ERRORS = 2.0
"""Standard errors above a slope that is not told from none: what it is below."""
RESOLVED = 3.0
"""A slope of fewer standard errors is not told from none: ions that rattle have one of more in a case of 700."""
COLLECTIVE_RESOLVED = 2.0
"""The same for the summed displacement of ions of which is already known that they diffuse."""
SLOPES_DIFFER = 2.5
"""Standard errors by which the slope at twice the lags must differ to be another one."""


@dataclass(frozen=True)
class TransportSettings:
    """Choices of the analysis.

    :ivar hop_length_ang: length of one hop; ions have diffused when their mean-square displacement exceeds its square,
        and the fit starts at that lag. 3 Ang is the usual distance of neighbouring lithium sites in thiophosphates.
    :ivar window_factor: the fit ends at this times the lag where it starts.
    :ivar min_windows: a run is long enough if its length holds so many windows (all repeats together).
    :ivar framework_msd_ang2: a framework whose mean-square displacement at half the run is larger and still grows is
        melting; amplitudes of 10-15 % of the distance of neighbours (Lindemann) give 0.3-0.8 Ang^2.
    :ivar discard_ps: time at the start of each run that is left out.
    """

    hop_length_ang: float = 3.0
    window_factor: float = 2.0
    min_windows: float = 10.0
    framework_msd_ang2: float = 1.0
    discard_ps: float = 0.0

    def __post_init__(self) -> None:
        for name in ('hop_length_ang', 'min_windows', 'framework_msd_ang2'):
            if not getattr(self, name) > 0.0:
                raise ValueError(f'{name} = {getattr(self, name):g} is not positive')
        if not self.window_factor > 1.0:
            raise ValueError(f'window_factor = {self.window_factor:g}: a slope needs more than one lag, so more than 1')
        if not self.discard_ps >= 0.0:
            raise ValueError(f'discard_ps = {self.discard_ps:g} is negative')


@dataclass(frozen=True)
class Caveat:
    """A reason to doubt a number: ``kind`` for programs, ``text`` for people.

    Kinds: ``not_diffused``, ``too_short``, ``not_fickian``, ``repeats_differ``, ``framework_melts``,
    ``collective_unresolved``, ``no_framework``; of fits over temperatures ``few_temperatures``, ``curved``,
    ``poor_fit``, ``negative_energy``.
    """

    kind: str
    text: str


@dataclass(frozen=True)
class Fit:
    """Where the mean-square displacement of the mobile ions is straight, and its slope, if they have diffused.

    :ivar start: first lag in frames.
    :ivar stop: last lag in frames.
    :ivar n_frames: of the longest run.
    :ivar n_windows: windows of length ``stop`` that the runs hold.
    :ivar offset: of the straight line at lag 0, in Ang^2.
    :ivar slope: ``None`` if the ions have not diffused.
    :ivar below: what the slope is below where it is not measured, in Ang^2 per frame.
    """

    start: int
    stop: int
    n_frames: int
    n_windows: float
    offset: float
    slope: Slope | None
    caveats: list[Caveat]
    below: float = math.inf

    @classmethod
    def choose(cls, walks: Sequence[Array], msd: Array, step: float, settings: TransportSettings) -> Fit:
        """Return the fit from the first lag with one hop squared on, later where the slope is still changing there.

        The lag doubles as long as the slope of the next window (twice the lags) differs by ``SLOPES_DIFFER`` standard
        errors and the runs still hold ``min_windows`` of it.
        """
        n_frames = max(map(len, walks))
        hop = settings.hop_length_ang**2
        total = sum(len(walk) - 1 for walk in walks)
        last = int((n_frames - 1) / (2.0 * settings.window_factor))  # a run holds two windows at the very least
        reached = np.flatnonzero(msd[: last + 1] >= hop)
        if not len(reached):
            caveat = _not_diffused(float(msd[: last + 1].max()), last * step, settings)
            return cls._none(caveat, hop / max(1, last))
        start = max(1, int(reached[0]))
        changing = False
        while True:
            window = fit_window(start, settings.window_factor, n_frames)
            slope = slope_of(walks, window)
            if 2 * start > last:
                break
            later = slope_of(walks, fit_window(2 * start, settings.window_factor, n_frames))
            # The two windows share little; the later slope has the larger error by far.
            changing = abs(later.value - slope.value) > SLOPES_DIFFER * later.noise
            if not changing or total < settings.min_windows * 2 * window.longest:
                break
            start *= 2
        if not slope.value > RESOLVED * slope.noise:
            error = slope.noise / slope.value if slope.value > 0 else math.inf
            below = max(slope.value, 0.0) + TWO_ERRORS * slope.noise
            return cls._none(_flat(start * step, window.longest * step, error), below)
        offset = float((msd[window.lags] - slope.value * window.lags).mean())
        total = sum(len(walk) - 1 for walk in walks if len(walk) > window.longest)
        n_windows = total / window.longest
        caveats = _fit_caveats(slope, changing, n_windows, step * window.longest, total * step, settings)
        return cls(start, window.longest, n_frames, n_windows, offset, slope, caveats)

    @classmethod
    def _none(cls, caveat: Caveat, below: float) -> Fit:
        return cls(0, 0, 0, 0.0, 0.0, None, [caveat], below)


def _not_diffused(largest: float, lag_ps: float, settings: TransportSettings) -> Caveat:
    return Caveat(
        'not_diffused',
        f'the ions have not diffused: their mean-square displacement is at most {largest:.2g} Ang^2 up to '
        f'{lag_ps:.3g} ps, less than one hop of {settings.hop_length_ang:g} Ang squared; run longer or hotter',
    )


def _flat(start_ps: float, stop_ps: float, error: float) -> Caveat:
    return Caveat(
        'not_diffused',
        f'the ions have not diffused: between {start_ps:.3g} and {stop_ps:.3g} ps the slope of their mean-square '
        + ('displacement is not positive' if math.isinf(error) else f'displacement has an error of {error:.0%}')
        + ', so that it may be none; run longer or hotter',
    )


def unresolved(slope: Slope) -> Caveat:
    """Return the caveat of a collective diffusivity that is not told from none."""
    error = f'{slope.noise / slope.value:.0%}' if slope.value > 0 else 'more than 100 %'
    return Caveat(
        'collective_unresolved',
        f'the collective diffusivity has an error of {error}: no Haven ratio and no conductivity from it; '
        'run longer or more repeats',
    )


def _fit_caveats(
    slope: Slope, changing: bool, n_windows: float, window_ps: float, total_ps: float, settings: TransportSettings
) -> list[Caveat]:
    caveats = []
    if n_windows < settings.min_windows:
        caveats.append(
            Caveat(
                'too_short',
                f'the runs are short: {total_ps:.3g} ps hold {n_windows:.1f} windows of {window_ps:.3g} ps, in which '
                f'an ion moves by about {math.sqrt(settings.window_factor) * settings.hop_length_ang:.2g} Ang; '
                f'{settings.min_windows:g} are wanted',
            )
        )
    if changing:
        caveats.append(
            Caveat(
                'not_fickian',
                f'the slope of the mean-square displacement still changes beyond {window_ps:.3g} ps; '
                'ions return to where they came from, or the runs are not in equilibrium',
            )
        )
    if slope.repeats_differ:
        caveats.append(
            Caveat(
                'repeats_differ',
                'the repeats differ by more than their errors; the error is that of their scatter',
            )
        )
    return caveats
