"""Figure of a path in two methods: energies above, their slopes along the path below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.interpolate import CubicHermiteSpline

from ..analysis.barrier_check import Crest
from ..analysis.barriers import EnergyProfile
from ..contract.arrays import Array
from .energy_profile import Caption
from .style import BLUE, GREY, INK, PALE, SETTINGS
from .titles import write_title

_SIZE_INCHES = (6.4, 5.6)
_REFERENCE = '#d55e00'
_TICK = 0.05
"""Half the length of the line of a slope at an image without a curve through it, as a part of the path."""


@dataclass(frozen=True)
class Side:
    """What is drawn of one method.

    :ivar profile: of the images that it knows.
    :ivar crest: the highest point of its spline, if there is one through all images.
    :ivar curve: whether a line is drawn through the images; not where some between are not known.
    """

    name: str
    profile: EnergyProfile
    crest: Crest | None
    curve: bool
    colour: str


def sides(
    potential: tuple[str, EnergyProfile, Crest | None], reference: tuple[str, EnergyProfile, Crest | None]
) -> tuple[Side, Side]:
    """Return both methods as they are drawn: name, profile and crest of each."""
    return (
        Side(*potential, curve=True, colour=BLUE),
        Side(*reference, curve=reference[2] is not None, colour=_REFERENCE),
    )


def draw_barrier_check(both: Sequence[Side], barriers: Sequence[float | None], caption: Caption) -> Figure:
    """Return the figure.

    :param both: the potential, then the reference.
    :param barriers: of each in eV, ``None`` where there is none.
    """
    with rc_context(SETTINGS):
        figure = Figure(figsize=_SIZE_INCHES, layout='constrained')
        figure.get_layout_engine().set(h_pad=0.06, w_pad=0.06)  # type: ignore[union-attr]
        grid = figure.add_gridspec(2, 1, height_ratios=(1.55, 1.0))
        top = figure.add_subplot(grid[0])
        bottom = figure.add_subplot(grid[1], sharex=top)
        _draw_energies(top, both, barriers)
        if all(side.profile.slopes_ev_per_ang is not None for side in both):
            _draw_slopes(bottom, both)
        else:
            bottom.set_axis_off()
        write_title(figure, caption)
    return figure


def _draw_energies(axes: Axes, both: Sequence[Side], barriers: Sequence[float | None]) -> None:
    axes.axhline(0.0, color=PALE, linewidth=0.9, zorder=0)
    for side, barrier in zip(both, barriers):
        profile = side.profile
        text = side.name if barrier is None else f'{side.name}: {barrier:.3f} eV'
        if side.curve:
            axes.plot(*profile.curve(), color=side.colour, linewidth=1.8, zorder=3)
        elif profile.slopes_ev_per_ang is not None:
            _draw_ticks(axes, profile, both[0].profile.coordinate_ang[-1], side.colour)
        axes.plot(
            profile.coordinate_ang, profile.energies_ev, linestyle='-' if side.curve else 'none', linewidth=0.0,
            marker='o' if side is both[0] else 's', markersize=6.0, color=side.colour, markerfacecolor='white',
            markeredgewidth=1.6, zorder=4, label=text,
        )  # fmt: skip
        _mark_crest(axes, side)
    axes.set_ylabel('Energy (eV)')
    axes.margins(x=0.04, y=0.08)
    axes.legend(
        loc='upper left', bbox_to_anchor=(0.0, 1.16), ncols=2, frameon=False, fontsize=9, borderaxespad=0.0,
        handletextpad=0.4, labelcolor=INK,
    )  # fmt: skip
    axes.tick_params(labelbottom=False)


def _draw_ticks(axes: Axes, profile: EnergyProfile, length: float, colour: str) -> None:
    """Draw through each image a short line with the slope that its forces tell."""
    assert profile.slopes_ev_per_ang is not None
    half = _TICK * length
    for at, energy, slope in zip(profile.coordinate_ang, profile.energies_ev, profile.slopes_ev_per_ang):
        axes.plot([at - half, at + half], [energy - half * slope, energy + half * slope], color=colour, linewidth=1.4)


def _draw_slopes(axes: Axes, both: Sequence[Side]) -> None:
    axes.axhline(0.0, color=GREY, linewidth=0.8, zorder=0)
    for side in both:
        profile = side.profile
        if side.curve:
            axes.plot(*_slope_curve(profile), color=side.colour, linewidth=1.2, zorder=2)
        axes.plot(
            profile.coordinate_ang, profile.slopes_ev_per_ang, linestyle='none', color=side.colour, zorder=3,
            marker='o' if side is both[0] else 's', markersize=5.0, markerfacecolor='white', markeredgewidth=1.4,
        )  # fmt: skip
        _mark_crest(axes, side)
    axes.set_ylabel('Slope −F·t (eV/Å)')
    axes.set_xlabel('Path coordinate (Å)')


def _slope_curve(profile: EnergyProfile) -> tuple[Array, Array]:
    spline = CubicHermiteSpline(profile.coordinate_ang, profile.energies_ev, profile.slopes_ev_per_ang).derivative()
    fine = np.linspace(profile.coordinate_ang[0], profile.coordinate_ang[-1], 401)
    return fine, np.asarray(spline(fine))


def _mark_crest(axes: Axes, side: Side) -> None:
    """Draw a thin line where the profile has its top: both panels share it."""
    if side.crest is not None:
        axes.axvline(side.crest.coordinate_ang, color=side.colour, linewidth=0.9, linestyle=':', zorder=1)
