"""Figure of ionic transport: mean-square displacements with their fits, and the Arrhenius lines to room temperature."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from matplotlib import colormaps, rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter

from ..analysis.arrhenius import Arrhenius, Conductivity
from ..analysis.diffusion import Estimate
from ..analysis.transport import Transport
from .energy_profile import Caption
from .style import BLUE, GREY, INK, PALE, SETTINGS
from .titles import write_title

ORANGE = '#d55e00'
_SIZE_INCHES = (9.2, 4.6)
_COLD_TO_HOT = (0.05, 0.74)
"""Part of the colour map that is dark enough on white."""
_LOWEST_ANG2 = 0.05
_LINES = 200


def draw_transport(conductivity: Conductivity, caption: Caption) -> Figure:
    """Return the figure: mean-square displacement against lag, conductivity against inverse temperature."""
    with rc_context(SETTINGS):
        figure = Figure(figsize=_SIZE_INCHES, layout='constrained')
        figure.get_layout_engine().set(w_pad=0.1, wspace=0.06)  # type: ignore[union-attr]
        left, right = figure.subplots(1, 2)
        draw_displacements(left, conductivity.transports)
        draw_arrhenius(right, conductivity)
        write_title(figure, caption)
    return figure


def draw_displacements(axes: Axes, transports: Sequence[Transport]) -> None:
    """Draw mean-square displacements by lag; thick where the slope was fitted, with the framework dotted."""
    colours = _colours(transports)
    for number, (one, colour) in enumerate(zip(transports, colours)):
        curves = one.curves
        there = curves.lags_ps > 0.0
        lags = curves.lags_ps[there]
        axes.plot(lags, curves.mobile[there], color=colour, linewidth=1.1, zorder=3, gid=f'mobile-{number}')
        if curves.framework is not None:
            axes.plot(lags, curves.framework[there], color=colour, linewidth=0.9, linestyle=':', zorder=2)
        if one.fit_ps is not None and one.tracer_cm2_per_s is not None and one.offset_ang2 is not None:
            ends = np.linspace(*one.fit_ps, 20)
            slope = 6e4 * one.tracer_cm2_per_s.value  # Ang^2/ps
            axes.plot(
                ends, one.offset_ang2 + slope * ends, color=colour, linewidth=4.5, alpha=0.45, zorder=4,
                solid_capstyle='butt', gid=f'fit-{number}',
            )  # fmt: skip
    axes.set_xscale('log')
    axes.set_yscale('log')
    _limit(axes, transports)
    hop = transports[0].settings.hop_length_ang
    axes.axhline(hop**2, color=GREY, linewidth=0.8, linestyle='--', zorder=1)
    # Beside the panel: within it there is no place that no curve can cross.
    axes.annotate(
        'one hop\nsquared', (1.0, hop**2), xycoords=('axes fraction', 'data'), xytext=(3, 0),
        textcoords='offset points', va='center', fontsize=8, color=GREY,
    )  # fmt: skip
    _label_ends(axes, transports, colours)
    axes.set_xlabel('Lag (ps)')
    axes.set_ylabel('Mean-square displacement (Å²)')
    # Above the panel, as the temperatures are above the other.
    axes.legend(
        handles=_handles(axes, transports), loc='lower left', bbox_to_anchor=(0.0, 1.0), ncols=4, frameon=False,
        fontsize=8.5, handlelength=1.6, columnspacing=1.2, borderpad=0.2, borderaxespad=0.2,
    )  # fmt: skip


def _handles(axes: Axes, transports: Sequence[Transport]) -> list[Line2D]:
    """Return the entries of the legend: of what is drawn."""
    handles = [Line2D([], [], color=INK, linewidth=1.1, label='mobile ions')]
    if any(str(line.get_gid()).startswith('fit-') for line in axes.lines):
        handles.append(Line2D([], [], color=INK, linewidth=4.5, alpha=0.45, label='fit'))
    if any(one.curves.framework is not None for one in transports):
        handles.append(Line2D([], [], color=INK, linewidth=0.9, linestyle=':', label='framework'))
    if not all(one.diffused for one in transports):
        handles.append(Line2D([], [], linestyle='none', marker='$*$', markersize=5, color=INK, label='not diffused'))
    return handles


def _colours(transports: Sequence[Transport]) -> list[tuple[float, float, float, float]]:
    """Return a colour for each temperature, from blue for the coldest to orange for the hottest."""
    places = np.linspace(*_COLD_TO_HOT, max(2, len(transports)))[: len(transports)]
    return [colormaps['plasma'](place) for place in places]


def _limit(axes: Axes, transports: Sequence[Transport]) -> None:
    """Set limits that hold all curves but not the first lags of frozen ones."""
    first = min(float(one.curves.lags_ps[1]) for one in transports)
    last = max(float(one.curves.lags_ps[-1]) for one in transports)
    hop = transports[0].settings.hop_length_ang
    highest = max(*(float(one.curves.mobile.max()) for one in transports), hop**2)
    lowest = min(float(one.curves.mobile[1:].min()) for one in transports)
    for one in transports:
        if one.curves.framework is not None:
            lowest = min(lowest, float(one.curves.framework[1:].min()))
            highest = max(highest, float(one.curves.framework.max()))
    # To the right there is room for the temperatures.
    axes.set_xlim(first, last * (last / first) ** 0.17)
    low = max(lowest, _LOWEST_ANG2)
    axes.set_ylim(0.7 * low, highest * (highest / low) ** 0.05)
    # Within two decades the powers of ten alone are too few; the labels between them, as they come, lie on each other.
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if last < 100.0 * first else (1.0,)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f'{value:g}'))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _label_ends(axes: Axes, transports: Sequence[Transport], colours: Sequence[object]) -> None:
    """Write the temperatures at the right ends of the curves, moved apart where they would touch."""
    heights = np.log10([max(float(one.curves.mobile[-1]), _LOWEST_ANG2) for one in transports])
    low, high = np.log10(axes.get_ylim())
    apart = 0.045 * (high - low)
    order = np.argsort(heights, kind='stable')
    placed = heights.copy()
    for before, after in pairwise(order):
        placed[after] = max(placed[after], placed[before] + apart)
    for one, colour, height in zip(transports, colours, placed):
        text = f'{one.temperature_k:g} K' + ('' if one.diffused else ' *')
        axes.annotate(
            text, (float(one.curves.lags_ps[-1]), 10**height), xytext=(4, 0), textcoords='offset points',
            va='center', fontsize=8.5, color=colour, annotation_clip=False,
            bbox={'facecolor': 'white', 'edgecolor': 'none', 'pad': 0.5},  # The dashes go behind.
        )  # fmt: skip


def draw_arrhenius(axes: Axes, conductivity: Conductivity) -> None:
    """Draw conductivities with their 68 % intervals, the fitted lines with theirs, and the points at the target."""
    series = (
        ('Nernst–Einstein', 'sigma_tracer_s_per_cm', conductivity.tracer, BLUE, 'o', '-'),
        ('collective', 'sigma_s_per_cm', conductivity.collective, ORANGE, 's', '--'),
    )
    handles = []
    for name, field, line, colour, marker, style in series:
        points = [(one.temperature_k, getattr(one, field)) for one in conductivity.transports]
        there = [(temperature, value) for temperature, value in points if value is not None]
        _draw_points(axes, there, colour, marker)
        if line is not None:
            _draw_line(axes, line, colour, marker, style)
        if there:
            label = name if line is None else f'{name}\n{_results(line)}'
            handles.append(Line2D([], [], color=colour, marker=marker, linestyle=style, markersize=5, label=label))
    axes.set_yscale('log')
    axes.set_xlabel('1000 / T (1/K)')
    axes.set_ylabel('Conductivity (S/cm)')
    _temperature_axis(axes, conductivity)
    if handles:
        # Above the lines, which fall to the right; a decade or two are left free for it. A decade is shown at least, so
        # that a power of ten is among the labels.
        low, high = axes.get_ylim()
        middle, reach = math.sqrt(low * high), max(math.sqrt(high / low), math.sqrt(10.0))
        axes.set_ylim(middle / reach, middle * reach**2)
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.legend(handles=handles, loc='upper right', frameon=False, fontsize=8.5, labelspacing=0.7)
    else:
        axes.set_yticks([], minor=False)
        axes.set_yticks([], minor=True)
        axes.text(0.5, 0.5, 'no temperature at which\nthe ions have diffused', transform=axes.transAxes, ha='center')


def _draw_points(axes: Axes, points: Sequence[tuple[float, Estimate]], colour: str, marker: str) -> None:
    if not points:
        return
    values = np.array([one.value for _, one in points])
    bars = np.array([[one.value - one.low, one.high - one.value] for _, one in points]).T
    axes.errorbar(
        [1000.0 / temperature for temperature, _ in points], values, yerr=bars, linestyle='none', marker=marker,
        markersize=5, color=colour, elinewidth=1.1, capsize=2.5, zorder=4,
    )  # fmt: skip


def _draw_line(axes: Axes, line: Arrhenius, colour: str, marker: str, style: str) -> None:
    """Draw the fitted line from the hottest point to the target, with its band, and the open point at the target."""
    ends = [*line.temperatures_k, line.target_k]
    temperatures = 1000.0 / np.linspace(1000.0 / max(ends), 1000.0 / min(ends), _LINES)
    middle, low, high = line.at(temperatures)
    axes.plot(1000.0 / temperatures, middle, color=colour, linewidth=1.3, linestyle=style, zorder=3)
    axes.fill_between(1000.0 / temperatures, low, high, color=colour, alpha=0.13, linewidth=0, zorder=1)
    value = line.extrapolated
    axes.errorbar(
        [1000.0 / line.target_k], [value.value], yerr=[[value.value - value.low], [value.high - value.value]],
        linestyle='none', marker=marker, markersize=6.5, markerfacecolor='white', markeredgewidth=1.4, color=colour,
        elinewidth=1.4, capsize=3, zorder=5, clip_on=False,
    )  # fmt: skip


def _temperature_axis(axes: Axes, conductivity: Conductivity) -> None:
    """Write temperatures above the panel: those that were run, and the target."""
    temperatures = [one.temperature_k for one in conductivity.transports]
    lines = [line for line in (conductivity.tracer, conductivity.collective) if line is not None]
    ends = [1000.0 / one for one in temperatures + [line.target_k for line in lines]]
    margin = 0.04 * (max(ends) - min(ends) or max(ends))
    axes.set_xlim(min(ends) - margin, max(ends) + margin)
    above = axes.secondary_xaxis('top', functions=(_inverse, _inverse))
    kept: list[float] = []
    # The ends first, then what is not too close to be read.
    targets = [line.target_k for line in lines]
    for one in dict.fromkeys([*targets, max(temperatures), min(temperatures), *sorted(temperatures)]):
        if all(abs(1000.0 / one - 1000.0 / other) > 2.4 * margin for other in kept):
            kept.append(one)
    above.xaxis.set_major_locator(FixedLocator(kept))
    above.xaxis.set_minor_formatter(NullFormatter())
    above.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f'{value:.0f}'))
    above.set_xlabel('Temperature (K)')
    above.tick_params(color=PALE)


def _inverse(values: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
    """Return 1000 / x, its own inverse; matplotlib asks at zero too."""
    with np.errstate(divide='ignore'):
        return np.asarray(1000.0 / np.asarray(values, dtype=float))


def _results(line: Arrhenius) -> str:
    """Return activation energy and value at the target with their 68 % intervals, in two lines."""
    value = line.extrapolated
    error = 0.5 * (line.activation_energy_high_ev - line.activation_energy_low_ev)
    return (
        f'$E_a$ = {line.activation_energy_ev:.3f} ± {error:.3f} eV\n'
        f'σ({line.target_k:.0f} K) = {_number(value.value)} S/cm ({_number(value.low)} to {_number(value.high)})'
    )


def _number(value: float) -> str:
    """Return two digits with a power of ten."""
    mantissa, _, exponent = f'{value:.1e}'.partition('e')
    power = int(exponent)
    return f'{value:.2g}' if -2 <= power <= 1 else f'{mantissa}·$10^{{{power}}}$'
