"""Figure of the energies along many hops: each a line, and how their barriers are spread."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

from ..analysis.barriers import EnergyProfile
from .energy_profile import Caption
from .style import BLUE, PALE, SETTINGS
from .titles import write_title

_SIZE_INCHES = (7.0, 3.9)
_BARS = 25


def draw_many_profiles(profiles: Mapping[str, EnergyProfile], caption: Caption) -> Figure:
    """Return the figure: splines over the share of each path's length, and a histogram of the highest images.

    :raises ValueError: if there is none.
    """
    if not profiles:
        raise ValueError('there are no paths to draw')
    with rc_context(SETTINGS):
        figure = Figure(figsize=_SIZE_INCHES, layout='constrained')
        axes, beside = figure.subplots(1, 2, sharey=True, width_ratios=(2.4, 1.0))
        axes.axhline(0.0, color=PALE, linewidth=0.9, zorder=1)
        strength = float(np.clip(8.0 / len(profiles), 0.08, 0.9))
        for profile in profiles.values():
            coordinate, energies = profile.curve()
            axes.plot(
                coordinate / profile.coordinate_ang[-1], energies, color=BLUE, linewidth=1.1, alpha=strength, zorder=2
            )
        barriers = [float(profile.energies_ev.max() - profile.energies_ev[0]) for profile in profiles.values()]
        beside.hist(barriers, bins=min(_BARS, max(5, len(barriers))), orientation='horizontal', color=BLUE, alpha=0.8)
        axes.set_xlabel('Share of the path')
        axes.set_ylabel('Energy above the first image (eV)')
        axes.margins(x=0.02)
        beside.set_xlabel('Hops by highest image')
        write_title(figure, caption)
    return figure
