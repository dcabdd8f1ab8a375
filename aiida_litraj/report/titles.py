"""Title of a figure of several panels: one line in bold, details under it, a warning in red."""

from __future__ import annotations

import textwrap

from matplotlib.figure import Figure

from .energy_profile import Caption
from .style import GREY, RED

CHARACTERS_PER_INCH = 13.5
"""Of the details."""
LINE_INCHES = 0.165
_DETAILS_INCHES = 0.3
"""From the top of the figure to the first line under the title."""


def write_title(figure: Figure, caption: Caption) -> None:
    """Write the caption above the panels of a figure in constrained layout, which makes room for it."""
    width, height = figure.get_size_inches()
    details = textwrap.wrap(caption.details, int(width * CHARACTERS_PER_INCH))
    warning = textwrap.wrap(caption.warning, int(width * CHARACTERS_PER_INCH))
    margin = 0.1 / width
    # Empty lines keep the room in which the details stand, smaller. Only a title without a height of its own gets it.
    text = '\n'.join([caption.title, *[''] * len([*details, *warning])])
    figure.suptitle(text, x=margin, ha='left', fontsize=12, fontweight='bold')
    for number, line in enumerate([*details, *warning]):
        below = 1.0 - (_DETAILS_INCHES + number * LINE_INCHES) / height
        figure.text(margin, below, line, fontsize=8.5, color=GREY if number < len(details) else RED, va='top')
