"""Figure of a melt-quench: its course, and the structure of each stage."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..analysis.melt_quench import Stage, Trace
from ..analysis.motifs import MOTIFS
from .energy_profile import Caption
from .style import BLUE, GREY, INK, PALE, SETTINGS
from .titles import write_title

_SIZE_INCHES = (9.6, 8.2)
_COLOURS = ('#0b5394', '#d55e00', '#009e73', '#cc79a7', '#56b4e9', '#616e7c')
_STYLES = ('-', '--', '-.', ':', (0, (5, 1)), (0, (1, 1)))
_DENSITY = '#b26a00'
PAIRS = (('P', 'S'), ('Li', 'S'), ('S', 'S'))
"""Radial distributions that are drawn, where there are such; else the first ones there are."""
_MOTIF_COLOURS = {'PS4': '#0b5394', 'P2S7': '#56b4e9', 'P2S6': '#e69f00', 'other': '#d9dee4'}
_MOTIF_NAMES = {'PS4': 'PS₄³⁻', 'P2S7': 'P₂S₇⁴⁻', 'P2S6': 'P₂S₆⁴⁻', 'other': 'other'}
_LEAST_SHARE = 0.01
"""Coordination numbers rarer than this in every stage are not drawn."""


def draw_melt_quench(trace: Trace, stages: Sequence[Stage], caption: Caption) -> Figure:
    """Return the figure: temperature and density over time; radial distributions, coordination and anions of stages.

    :raises ValueError: if there is no stage.
    """
    if not stages:
        raise ValueError('there is no stage to draw')
    with rc_context(SETTINGS):
        figure = Figure(figsize=_SIZE_INCHES, layout='constrained')
        figure.get_layout_engine().set(h_pad=0.08, w_pad=0.08)  # type: ignore[union-attr]
        grid = figure.add_gridspec(3, 3, height_ratios=(1.0, 1.05, 1.0))
        draw_trace(figure.add_subplot(grid[0, :]), trace, stages)
        there = stages[0].distributions
        pairs = [_found(pair, stages[0]) for pair in PAIRS]
        chosen = [pair for pair in pairs if pair is not None] or list(there)
        for column, pair in enumerate(chosen[:3]):
            draw_distribution(figure.add_subplot(grid[1, column]), stages, pair, legend=column == 0)
        names = list(stages[0].coordination)[:2]
        for column, name in enumerate(names):
            draw_coordination(figure.add_subplot(grid[2, column]), stages, name)
        if all(stage.motifs is not None for stage in stages):
            draw_motifs(figure.add_subplot(grid[2, 2]), stages)
        write_title(figure, caption)
    return figure


def _found(pair: tuple[str, str], stage: Stage) -> tuple[str, str] | None:
    """Return a pair in the order in which it was analysed, ``None`` if it was not."""
    return next((one for one in (pair, pair[::-1]) if one in stage.distributions), None)


def draw_trace(axes: Axes, trace: Trace, stages: Sequence[Stage]) -> None:
    """Draw temperature and density over time, with the parts that the stages average over."""
    if trace.target_k is not None:
        axes.plot(trace.times_ps, trace.target_k, color=INK, linewidth=1.0, linestyle='--', zorder=3)
    axes.plot(trace.times_ps, trace.temperatures_k, color=BLUE, linewidth=0.8, alpha=0.8, zorder=2)
    axes.set_xlabel('Time (ps)')
    axes.set_ylabel('Temperature (K)' + ('' if trace.target_k is None else ',\ntarget dashed'), color=BLUE)
    axes.tick_params(axis='y', labelcolor=BLUE)
    axes.set_xlim(float(trace.times_ps[0]), float(trace.times_ps[-1]))
    axes.set_ylim(0.0, 1.1 * float(np.nanmax(trace.temperatures_k)))
    right = axes.twinx()
    right.plot(trace.times_ps, trace.density_g_per_cm3, color=_DENSITY, linewidth=1.0)
    right.set_ylabel('Density (g/cm³)', color=_DENSITY)
    right.tick_params(axis='y', labelcolor=_DENSITY)
    right.spines['right'].set_visible(True)
    low, high = float(np.nanmin(trace.density_g_per_cm3)), float(np.nanmax(trace.density_g_per_cm3))
    margin = 0.15 * (high - low) or 0.05 * high
    right.set_ylim(low - margin, high + margin)
    for number, stage in enumerate(stages):
        axes.axvspan(stage.start_ps, stage.stop_ps, color=_COLOURS[number % len(_COLOURS)], alpha=0.1, linewidth=0)
        axes.annotate(
            stage.name, (0.5 * (stage.start_ps + stage.stop_ps), 1.0), xycoords=('data', 'axes fraction'),
            xytext=(0, 3), textcoords='offset points', ha='center', va='bottom', fontsize=8.5,
            color=_COLOURS[number % len(_COLOURS)], fontweight='bold', zorder=5,
        )  # fmt: skip


def draw_distribution(axes: Axes, stages: Sequence[Stage], pair: tuple[str, str], legend: bool = False) -> None:
    """Draw the radial distribution of a pair of elements in each stage."""
    for number, stage in enumerate(stages):
        one = stage.distributions[pair]
        axes.plot(
            one.radii_ang, one.g, color=_COLOURS[number % len(_COLOURS)], linestyle=_STYLES[number % len(_STYLES)],
            linewidth=1.2, label=stage.name,
        )  # fmt: skip
    axes.axhline(1.0, color=PALE, linewidth=0.8, zorder=0)
    axes.set_xlim(0.0, float(one.edges_ang[-1]))
    axes.set_ylim(bottom=0.0)
    axes.set_xlabel('Distance (Å)')
    axes.set_ylabel('g(r)')
    axes.set_title(f'{pair[0]}–{pair[1]}', fontsize=10)
    if legend:
        axes.legend(loc='upper right', frameon=False, fontsize=8.5)


def draw_coordination(axes: Axes, stages: Sequence[Stage], name: str) -> None:
    """Draw the share of atoms with each number of neighbours, a bar for each stage."""
    shares = [stage.coordination.get(name, {}) for stage in stages]
    numbers = sorted({number for one in shares for number, share in one.items() if share >= _LEAST_SHARE})
    width = 0.8 / len(stages)
    for index, (stage, one) in enumerate(zip(stages, shares)):
        places = np.arange(len(numbers)) + (index - (len(stages) - 1) / 2) * width
        heights = [100.0 * one.get(number, 0.0) for number in numbers]
        axes.bar(places, heights, width=0.92 * width, color=_COLOURS[index % len(_COLOURS)], label=stage.name)
    axes.set_xticks(range(len(numbers)), [str(number) for number in numbers])
    axes.tick_params(axis='x', length=0)
    centre, _, around = name.partition('-')
    axes.set_xlabel(f'Number of {around} around {centre}')
    axes.set_ylabel(f'Share of {centre} (%)')
    mean = [sum(number * share for number, share in one.items()) for one in shares]
    axes.set_title(f'{around} around {centre}: mean ' + ', '.join(f'{one:.1f}' for one in mean), fontsize=10)


def draw_motifs(axes: Axes, stages: Sequence[Stage]) -> None:
    """Draw in which anions the phosphorus is, a column for each stage."""
    floor = np.zeros(len(stages))
    for motif in MOTIFS:
        shares = np.array([100.0 * stage.motifs.shares()[motif] for stage in stages if stage.motifs is not None])
        axes.bar(
            range(len(stages)), shares, bottom=floor, width=0.62, color=_MOTIF_COLOURS[motif], edgecolor='white',
            linewidth=0.6, label=_MOTIF_NAMES[motif],
        )  # fmt: skip
        for place, (share, below) in enumerate(zip(shares, floor)):
            if share >= 8.0:
                dark = motif == 'PS4'
                axes.text(
                    place, below + share / 2, f'{share:.0f}', ha='center', va='center', fontsize=8,
                    color='white' if dark else INK,
                )  # fmt: skip
        floor += shares
    axes.set_xticks(range(len(stages)), [stage.name for stage in stages])
    axes.tick_params(axis='x', length=0)
    axes.set_xlim(-0.5, len(stages) - 0.5)
    axes.set_ylim(0.0, 100.0)
    axes.set_ylabel('Share of P (%)')
    axes.set_title('Anions', fontsize=10)
    axes.legend(
        loc='upper left', bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=8.5, reverse=True, handlelength=1.2,
        labelcolor=INK, borderaxespad=0.2, title_fontsize=8.5,
    )  # fmt: skip
    axes.spines['left'].set_color(GREY)
