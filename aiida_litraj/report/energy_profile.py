"""Figure of the energy along the path of a hop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..analysis.barriers import Barrier, EnergyProfile
from .style import BLUE, GREY, INK, PALE, RED, SETTINGS

_SIZE_INCHES = (5.2, 3.7)
_SAME_EV = 0.0005
"""Energies that read the same with three decimals get one number instead of two."""
_NUMBER_WIDTH, _NUMBER_HEIGHT = 0.18, 0.07
"""Room that a number like 0.504 eV takes, as parts of the axes."""
_FRACTIONS = (0.42, 0.5, 0.34, 0.58, 0.26, 0.66, 0.18, 0.74, 0.1)
"""Heights along an arrow at which its number may stand, the best first."""


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
    """Draw an arrow of the height of each barrier at the top, with its number where the curve leaves room for it."""
    top = float(profile.energies_ev[barrier.saddle_image])
    at = float(profile.coordinate_ang[barrier.saddle_image])
    width = float(profile.coordinate_ang[-1] - profile.coordinate_ang[0])
    both = abs(barrier.reaction_energy_ev) > _SAME_EV
    gap = 0.02 * width if both else 0.0
    arrows = [(at - gap, 0.0, barrier.barrier_ev, -1)]
    if both:
        arrows.append((at + gap, barrier.reaction_energy_ev, barrier.reverse_barrier_ev, 1))
    taken: list[_Box] = []
    for place, low, number, side in arrows:
        if top - low <= _SAME_EV:
            continue  # the path only goes up or down: there is no barrier on this side
        _arrow(axes, place, low, top)
        others = [
            _Box(other, 0.5 * (start + top), 0.25 * gap, 0.5 * abs(top - start))
            for other, start, *_ in arrows
            if other != place
        ]
        box = _free_box(profile, place, (low, top), side, [*taken, *others])
        taken.append(box)
        axes.text(
            box.x, box.y, f'{number:.3f} eV', ha='center', va='center', color=INK, fontsize=9.5, zorder=6,
            bbox=None if box.free else {'facecolor': 'white', 'edgecolor': 'none', 'alpha': 0.85, 'pad': 1.5},
        )  # fmt: skip


def _arrow(axes: Axes, at: float, low: float, high: float) -> None:
    arrow = {'arrowstyle': '<|-|>', 'color': GREY, 'linewidth': 0.9, 'mutation_scale': 8, 'shrinkA': 0, 'shrinkB': 5}
    axes.annotate('', xy=(at, high), xytext=(at, low), arrowprops=arrow, zorder=2)


@dataclass(frozen=True)
class _Box:
    """Where a number is written: its centre in Ang and eV, half its sizes, and whether the curve stays out of it."""

    x: float
    y: float
    half_width: float
    half_height: float
    free: bool = True

    def overlaps(self, other: _Box) -> bool:
        apart_x = abs(self.x - other.x) >= self.half_width + other.half_width
        return not apart_x and abs(self.y - other.y) < self.half_height + other.half_height


def _free_box(profile: EnergyProfile, at: float, span: tuple[float, float], side: int, taken: Sequence[_Box]) -> _Box:
    """Return a place beside an arrow at ``at`` that neither the curve nor anything in ``taken`` crosses.

    On its own side (-1 left, 1 right) close to the middle of the arrow, if there is room; else on the other side, over
    its top, or farther out. If there is none at all, the first place, not free: the number then covers the curve.
    """
    coordinate, energies = profile.curve(801)
    left, right = float(coordinate[0]), float(coordinate[-1])
    (low, high), height = _limits(profile), _limits(profile)[1] - _limits(profile)[0]
    half_width, half_height = _NUMBER_WIDTH / 2 * (right - left), _NUMBER_HEIGHT / 2 * height
    margin = 0.04 * (right - left)
    beside = [span[0] + fraction * (span[1] - span[0]) for fraction in _FRACTIONS]
    near, over = 1.15 * half_width, 0.7 * half_width
    places = [(at + side * near, y) for y in beside] + [(at - side * near, y) for y in beside]
    places += [(at + side * over, high - half_height)]
    places += [(at + side * (near + away * half_width), y) for away in (1, 2, 4) for y in beside]
    for x, y in places:
        box = _Box(x, y, half_width, half_height)
        inside = abs(coordinate - x) < 1.1 * half_width
        crossed = bool((abs(energies[inside] - y) < 1.5 * half_height).any())
        off = x - half_width < left - margin or x + half_width > right + margin or not low <= y <= high
        if not (crossed or off or any(box.overlaps(other) for other in taken)):
            return box
    return _Box(*places[0], half_width, half_height, free=False)


def _limits(profile: EnergyProfile) -> tuple[float, float]:
    """Return the range of energies that is drawn, in eV."""
    _, energies = profile.curve()
    low, high = float(min(energies.min(), 0.0)), float(max(energies.max(), 0.0))
    span = high - low or 1.0
    return low - 0.08 * span, high + 0.13 * span


def _draw_caption(axes: Axes, caption: Caption) -> None:
    lines = [line for line in (caption.details, caption.warning) if line]
    axes.set_title(caption.title, fontsize=11, fontweight='bold', pad=8 + 13 * len(lines))
    for height, line in zip(reversed(range(len(lines))), lines):
        axes.annotate(
            line, xy=(0, 1), xycoords='axes fraction', xytext=(0, 7 + 13 * height), textcoords='offset points',
            fontsize=8.5, color=RED if line == caption.warning else GREY, annotation_clip=False,
        )  # fmt: skip


def _leave_room(axes: Axes, profile: EnergyProfile) -> None:
    axes.set_ylim(*_limits(profile))
    axes.margins(x=0.04)
