"""Figure of labelled configurations: how far from rest they are, and how high."""

from __future__ import annotations

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

from ..analysis.frames import composition
from ..contract.frames import Frames
from .energy_profile import Caption
from .style import BLUE, GREY, INK, RED, SETTINGS
from .titles import write_title

_SIZE_INCHES = (5.2, 4.0)
_COLOURS, _MARKERS = (BLUE, RED, GREY, INK), 'os^Dvx'
_MANY = 8
"""Compositions with a legend of their own; the rest share one."""


def draw_labels(frames: Frames, caption: Caption) -> Figure:
    """Return the figure: the root mean square force of each configuration, and its energy above the lowest.

    Energies are compared among configurations of one composition only.

    :raises ValueError: if the configurations have no energies or forces.
    """
    if frames.energies is None or frames.forces is None:
        raise ValueError('the configurations have no energies or forces')
    sizes = np.diff(frames.offsets)
    energies = np.asarray(frames.energies) / sizes
    forces = np.array([np.sqrt(np.square(frame.forces).mean()) for frame in frames])
    formulas = [composition(np.bincount(frame.numbers, minlength=1).tobytes())[0] for frame in frames]
    names = list(dict.fromkeys(formulas))
    with rc_context(SETTINGS):
        figure = Figure(figsize=_SIZE_INCHES, layout='constrained')
        axes = figure.add_subplot()
        for number, name in enumerate(names):
            mine = np.array([formula == name for formula in formulas])
            heights = 1e3 * (energies[mine] - energies[mine].min())
            axes.scatter(
                forces[mine], heights, s=18, label=name if number < _MANY else None,
                color=_COLOURS[number % len(_COLOURS)], marker=_MARKERS[number % len(_MARKERS)], linewidths=0.8,
            )  # fmt: skip
        axes.set_xlabel('Root mean square force (eV/Å)')
        axes.set_ylabel('Energy above the lowest (meV/atom)')
        if len(names) > 1:  # one marker alone, among the points, would be taken for one of them
            figure.legend(loc='outside right upper', fontsize=8, frameon=True, fancybox=False, edgecolor=GREY)
        write_title(figure, caption)
    return figure
