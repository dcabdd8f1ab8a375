"""Figure of several energy profiles of one hop over each other, the reference as a line of its own."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..analysis.barriers import EnergyProfile
from .energy_profile import Caption
from .style import BLUE, GREY, INK, PALE, RED, SETTINGS
from .titles import write_title

_SIZE_INCHES = (5.6, 4.3)
_LOOKS = ((BLUE, 's', '--'), (RED, '^', ':'), ('#2e7d32', 'D', '-.'), ('#7b5ea7', 'v', (0, (5, 1))), (GREY, 'P', '--'))
"""Colour, marker and line of the potentials; told apart without colour too."""


def draw_energy_profiles(
    reference: tuple[str, EnergyProfile], others: Mapping[str, EnergyProfile], caption: Caption
) -> Figure:
    """Return the figure: images as points and the splines through them, each over its own share of the way.

    The paths are of different lengths, as each potential relaxes the atoms around the hop in its own way; drawn over
    the share of each path's length, images of one number stand nearly above each other.
    """
    with rc_context(SETTINGS):
        figure = Figure(figsize=_SIZE_INCHES, layout='constrained')
        axes = figure.add_subplot()
        axes.axhline(0.0, color=PALE, linewidth=0.9, zorder=1)
        for number, (name, profile) in enumerate(others.items()):
            _draw(axes, name, profile, *_LOOKS[number % len(_LOOKS)], 1.5)
        _draw(axes, reference[0], reference[1], INK, 'o', '-', 2.0)
        axes.set_xlabel('Share of the path')
        axes.set_ylabel('Energy above the first image (eV)')
        axes.margins(x=0.03)
        lines, names = axes.get_legend_handles_labels()
        figure.legend(
            [lines[-1], *lines[:-1]],
            [names[-1], *names[:-1]],
            loc='outside lower center',
            ncols=2,
            frameon=False,
            fontsize=9,
        )
        write_title(figure, caption)
    return figure


def _draw(axes: Axes, name: str, profile: EnergyProfile, colour: str, marker: str, line: object, width: float) -> None:
    way = profile.coordinate_ang[-1]
    coordinate, energies = profile.curve()
    barrier = float(profile.energies_ev.max())
    axes.plot(coordinate / way, energies, color=colour, linewidth=width, linestyle=line, zorder=3)  # type: ignore[arg-type]
    axes.plot(
        profile.coordinate_ang / way, profile.energies_ev, linestyle='none', marker=marker, markersize=6, color=colour,
        markerfacecolor='white', markeredgewidth=1.4, zorder=4,
    )  # fmt: skip
    axes.plot(
        [], [], color=colour, linewidth=width, linestyle=line, marker=marker, markerfacecolor='white',  # type: ignore[arg-type]
        label=f'{name}: {barrier:.3f} eV',
    )  # fmt: skip
