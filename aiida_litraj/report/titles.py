"""Title of a figure of several panels: one line in bold, details under it, a warning in red."""

from __future__ import annotations

import textwrap

from matplotlib.figure import Figure

from .energy_profile import Caption
from .style import GREY, INK, RED

CHARACTERS_PER_INCH = 13.5
"""Of the details."""
LINE_INCHES = 0.165
_DETAILS_INCHES = 0.3
"""From the top of the figure to the first line under the title."""


def write_title(figure: Figure, caption: Caption, answer: str = '') -> None:
    """Write the caption above the panels of a figure in constrained layout, which makes room for it.

    :param answer: what the figure shows, in words: under the title, darker than the details.
    """
    width, height = figure.get_size_inches()
    lines = [
        (line, colour)
        for text, colour in ((answer, INK), (caption.details, GREY), (caption.warning, RED))
        for line in textwrap.wrap(text, int(width * CHARACTERS_PER_INCH))
    ]
    margin = 0.1 / width
    # Empty lines keep the room in which the details stand, smaller. Only a title without a height of its own gets it.
    figure.suptitle('\n'.join([caption.title, *[''] * len(lines)]), x=margin, ha='left', fontsize=12, fontweight='bold')
    for number, (line, colour) in enumerate(lines):
        below = 1.0 - (_DETAILS_INCHES + number * LINE_INCHES) / height
        figure.text(margin, below, line, fontsize=8.5, color=colour, va='top')
