"""Numbers with an interval or a spread side by side, as several figures have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes

COLOURS = ('#616e7c', '#0b5394', '#d55e00', '#009e73', '#cc79a7', '#56b4e9')
"""The first is that of what one begins with."""


def draw_point(
    axes: Axes, place: float, value: float, ends: Sequence[float] | None, colour: str, marker: str = 'o',
    filled: bool = False, size: float = 5.5, label: str | None = None,
) -> None:  # fmt: skip
    """Draw a number at a place, with a line from end to end of its interval."""
    if ends is not None:
        axes.plot([place, place], list(ends), color=colour, linewidth=1.4, zorder=2)
    axes.plot(
        [place], [value], marker=marker, markersize=size, linestyle='none', color=colour,
        markerfacecolor=colour if filled else 'white', markeredgewidth=1.4, zorder=3, label=label,
    )  # fmt: skip


def around(one: Mapping[str, Any]) -> tuple[float, float] | None:
    """Return a standard deviation below and above a mean; ``None`` of a single number."""
    return None if one['std'] is None else (one['mean'] - one['std'], one['mean'] + one['std'])
