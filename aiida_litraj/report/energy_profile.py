"""Figure of the energy along the path of a hop."""

from __future__ import annotations

from dataclasses import dataclass

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..analysis.barriers import Barrier, EnergyProfile
from .style import BLUE, GREY, INK, PALE, RED, SETTINGS

_SIZE_INCHES = (5.2, 3.7)
_SAME_EV = 0.0005
"""Energies that read the same with three decimals get one number instead of two."""


@dataclass(frozen=True)
class Caption:
    """Texts of the figure: ``title`` in one line, ``details`` smaller under it, ``warning`` in red if there is one."""

    title: str
    details: str = ''
    warning: str = ''


def draw_energy_profile(profile: EnergyProfile, barrier: Barrier, caption: Caption) -> Figure:
    """Return the figure: the images as points, the spline through them with their forces as slopes, the barriers."""
    with rc_context(SETTINGS):
        figure = Figure(figsize=_SIZE_INCHES, layout='constrained')
        axes = figure.add_subplot()
        _draw_levels(axes, profile, barrier)
        _draw_path(axes, profile, barrier, tentative=bool(caption.warning))
        _draw_barriers(axes, profile, barrier)
        _draw_caption(axes, caption)
        axes.set_xlabel('Path coordinate (Å)')
        axes.set_ylabel('Energy (eV)')
        _leave_room(axes, profile)
    return figure


def _draw_path(axes: Axes, profile: EnergyProfile, barrier: Barrier, tentative: bool) -> None:
    coordinate, energies = profile.curve()
    axes.plot(
        coordinate, energies, color=BLUE, linewidth=1.8, linestyle='--' if tentative else '-', zorder=3, gid='spline'
    )
    axes.plot(
        profile.coordinate_ang, profile.energies_ev, linestyle='none', marker='o', markersize=6.5, color=BLUE,
        markerfacecolor='white', markeredgewidth=1.6, zorder=4, gid='images',
    )  # fmt: skip
    top = barrier.saddle_image
    axes.plot(
        profile.coordinate_ang[top : top + 1], profile.energies_ev[top : top + 1], linestyle='none', marker='o',
        markersize=6.5, color=BLUE, zorder=5, gid='saddle',
    )  # fmt: skip


def _draw_levels(axes: Axes, profile: EnergyProfile, barrier: Barrier) -> None:
    """Draw thin lines at the energies of both ends and of the top, for the arrows to rest on."""
    first, last = profile.coordinate_ang[0], profile.coordinate_ang[-1]
    axes.hlines([0.0], first, last, colors=PALE, linewidth=0.9, zorder=1)
    if abs(barrier.reaction_energy_ev) > _SAME_EV:
        axes.hlines([barrier.reaction_energy_ev], first, last, colors=PALE, linewidth=0.9, zorder=1)


def _draw_barriers(axes: Axes, profile: EnergyProfile, barrier: Barrier) -> None:
    """Draw an arrow of the height of each barrier at the top, with its number."""
    top = float(profile.energies_ev[barrier.saddle_image])
    at = float(profile.coordinate_ang[barrier.saddle_image])
    width = float(profile.coordinate_ang[-1] - profile.coordinate_ang[0])
    both = abs(barrier.reaction_energy_ev) > _SAME_EV
    _arrow(axes, at - (0.02 * width if both else 0.0), 0.0, top, f'{barrier.barrier_ev:.3f} eV', 'right')
    if both:
        number = f'{barrier.reverse_barrier_ev:.3f} eV'
        _arrow(axes, at + 0.02 * width, barrier.reaction_energy_ev, top, number, 'left')


def _arrow(axes: Axes, at: float, low: float, high: float, text: str, side: str) -> None:
    if high - low <= _SAME_EV:
        return  # the path only goes up or down: there is no barrier on this side
    arrow = {'arrowstyle': '<|-|>', 'color': GREY, 'linewidth': 0.9, 'mutation_scale': 8, 'shrinkA': 0, 'shrinkB': 5}
    axes.annotate('', xy=(at, high), xytext=(at, low), arrowprops=arrow, zorder=2)
    axes.annotate(
        text, xy=(at, 0.42 * high + 0.58 * low), xytext=(-6 if side == 'right' else 6, 0), textcoords='offset points',
        ha=side, va='center', color=INK, fontsize=9.5,
    )  # fmt: skip


def _draw_caption(axes: Axes, caption: Caption) -> None:
    lines = [line for line in (caption.details, caption.warning) if line]
    axes.set_title(caption.title, fontsize=11, fontweight='bold', pad=8 + 13 * len(lines))
    for height, line in zip(reversed(range(len(lines))), lines):
        axes.annotate(
            line, xy=(0, 1), xycoords='axes fraction', xytext=(0, 7 + 13 * height), textcoords='offset points',
            fontsize=8.5, color=RED if line == caption.warning else GREY, annotation_clip=False,
        )  # fmt: skip


def _leave_room(axes: Axes, profile: EnergyProfile) -> None:
    _, energies = profile.curve()
    low, high = float(min(energies.min(), 0.0)), float(max(energies.max(), 0.0))
    span = high - low or 1.0
    axes.set_ylim(low - 0.08 * span, high + 0.08 * span)
    axes.margins(x=0.04)
