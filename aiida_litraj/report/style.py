"""One look for all figures: sober, readable in print and on a screen, distinguishable without colour."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

BLUE = '#0b5394'
INK = '#1f2933'
GREY = '#616e7c'
PALE = '#d9dee4'
RED = '#b3261e'

SETTINGS: Mapping[str, Any] = {
    'font.family': 'sans-serif',
    'font.sans-serif': ['DejaVu Sans'],
    'mathtext.fontset': 'dejavusans',
    'font.size': 9.0,
    'axes.edgecolor': INK,
    'axes.labelcolor': INK,
    'axes.linewidth': 0.8,
    'axes.spines.top': False,
    'axes.spines.right': False,
    'axes.titlelocation': 'left',
    'text.color': INK,
    'xtick.color': INK,
    'ytick.color': INK,
    'xtick.direction': 'out',
    'ytick.direction': 'out',
    'xtick.major.width': 0.8,
    'ytick.major.width': 0.8,
    # The same figure gives the same file, and an SVG keeps its text as text.
    'svg.hashsalt': 'aiida-litraj',
    'svg.fonttype': 'none',
}

FORMATS = ('png', 'svg', 'pdf')


def save_figure(figure: Figure, path: Path, dots_per_inch: int = 200) -> Path:
    """Write a figure as its file name's ending says, without a time stamp, and return the path.

    :raises ValueError: if the ending is none of the formats.
    """
    kind = path.suffix.lower().removeprefix('.')
    if kind not in FORMATS:
        raise ValueError(
            f'the picture {path} ends in {path.suffix!r}: use one of {", ".join("." + f for f in FORMATS)}'
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata: dict[str, Any] = {
        'png': {'Software': None},
        'svg': {'Date': None, 'Creator': None},
        'pdf': {'CreationDate': None, 'Creator': None, 'Producer': None},
    }[kind]
    with rc_context(SETTINGS):
        figure.savefig(path, dpi=dots_per_inch, metadata=metadata)
    return path


def check_format(path: Path) -> str:
    """Return the format that the ending of a picture's name says.

    :raises ValueError: if it is none of the formats.
    """
    kind = path.suffix.lower().removeprefix('.')
    if kind not in FORMATS:
        raise ValueError(
            f'the picture {path} ends in {path.suffix!r}: use one of {", ".join("." + f for f in FORMATS)}'
        )
    return kind
