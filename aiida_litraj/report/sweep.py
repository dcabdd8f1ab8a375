"""Figure of a sweep: the force error of each point over what it costs, and the Pareto front."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from .energy_profile import Caption
from .series import around
from .style import BLUE, GREY, INK, PALE, SETTINGS
from .titles import write_title

_SIZE_INCHES = (8.6, 4.4)
ERROR = 'rmse_force_mev_per_ang'
PANELS = (
    ('seconds_per_evaluation', 'Use', 'Model seconds per configuration'),
    ('seconds_of_training', 'Training', 'Seconds of all epochs'),
)
"""Cost, title and axis."""


def named(changes: Mapping[str, Any]) -> str:
    """Return what a point is called: the last part of each option with its value."""
    return ', '.join(f'{name.rpartition(".")[2]} {value}' for name, value in changes.items())


def draw_sweep(content: Mapping[str, Any], caption: Caption) -> Figure:
    """Return the figure of the output ``comparison`` of ``litraj.sweep``.

    :raises ValueError: if no point has an error and a cost.
    """
    shown = {name: one for name, one in content['points'].items() if one[ERROR] is not None}
    panels = [panel for panel in PANELS if any(one[panel[0]] is not None for one in shown.values())]
    if not panels:
        raise ValueError('there is nothing to draw: no point has an error and a cost')
    with rc_context(SETTINGS):
        figure = Figure(figsize=_SIZE_INCHES, layout='constrained')
        figure.get_layout_engine().set(h_pad=0.08, w_pad=0.1)  # type: ignore[union-attr]
        for number, (cost, title, label) in enumerate(panels):
            axes = figure.add_subplot(1, len(panels), number + 1)
            _draw(axes, {name: one for name, one in shown.items() if one[cost] is not None}, content['fronts'], cost)
            axes.set_title(title, fontsize=9.5)
            axes.set_xlabel(label)
            axes.set_ylabel('RMSE of forces (meV/Å)' if number == 0 else '')
        write_title(figure, caption)
    return figure


def _draw(axes: Axes, points: Mapping[str, Any], fronts: Mapping[str, list[str]], cost: str) -> None:
    front = [name for name in fronts[cost] if name in points]
    costs = [points[name][cost]['mean'] for name in front]
    errors = [points[name][ERROR]['mean'] for name in front]
    axes.plot(costs, errors, drawstyle='steps-post', color=BLUE, linewidth=1.0, zorder=1, label='Pareto front')
    for name, one in points.items():
        x, y, on_it = one[cost]['mean'], one[ERROR]['mean'], name in front
        colour = BLUE if on_it else GREY
        ends, sides = around(one[ERROR]), around(one[cost])
        if ends is not None:
            axes.plot([x, x], ends, color=colour, linewidth=1.2, zorder=2)
        if sides is not None and sides[0] > 0.0:
            axes.plot(sides, [y, y], color=colour, linewidth=1.2, zorder=2)
        axes.plot(
            [x], [y], 'o', color=colour, markerfacecolor=colour if on_it else 'white', markersize=5.5, zorder=3,
            markeredgewidth=1.3,
        )  # fmt: skip
        last = x == max(other[cost]['mean'] for other in points.values())
        axes.annotate(
            named(one['changes']), (x, y), xytext=(-6 if last else 6, 4), textcoords='offset points', fontsize=7.5,
            color=INK if on_it else GREY, ha='right' if last else 'left',
        )  # fmt: skip
    axes.set_xscale('log')
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f'{value:.3g}'))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.margins(x=0.25, y=0.15)
    axes.grid(color=PALE, linewidth=0.5)
    axes.set_axisbelow(True)
    axes.set_ylim(bottom=0.0)
    if front:
        axes.legend(frameon=False, fontsize=8, loc='lower left')
