"""Figure of a learning curve: errors over the number of configurations that were learnt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from .energy_profile import Caption
from .log_axis import label_readably
from .parity import digits
from .series import around
from .style import BLUE, GREY, SETTINGS
from .titles import write_title

_WIDTH, _HEIGHT = 4.2, 3.9
PANELS = (
    ('rmse_force_mev_per_ang', 'RMSE of forces (meV/Å)'),
    ('slope_force', 'Slope of forces'),
    ('rmse_energy_mev_per_atom', 'RMSE of energies (meV/atom)'),
)


def power_law_of(content: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the power law, ``None`` if a single seed was trained: what of the fall is chance is not known then."""
    alone = all(len(one['trainings']) < 2 for one in content['sizes'])
    return None if alone else content['power_law']


def draw_size_curve(content: Mapping[str, Any], caption: Caption) -> Figure:
    """Return the figure of the output ``comparison`` of ``litraj.learning_curve``.

    :raises ValueError: if no training came to its end.
    """
    panels = [panel for panel in PANELS if any(one[panel[0]] is not None for one in content['sizes'])]
    if not panels:
        raise ValueError('there is nothing to draw: no training came to its end')
    with rc_context(SETTINGS):
        figure = Figure(figsize=(0.7 * _WIDTH * len(panels) + 1.0, _HEIGHT), layout='constrained')
        figure.get_layout_engine().set(h_pad=0.08, w_pad=0.08)  # type: ignore[union-attr]
        for number, (key, title) in enumerate(panels):
            _draw(figure.add_subplot(1, len(panels), number + 1), content, key, title)
        write_title(figure, caption)
    return figure


def _draw(axes: Axes, content: Mapping[str, Any], key: str, title: str) -> None:
    rows = [one for one in content['sizes'] if one[key] is not None]
    sizes = [one['n_train'] for one in rows]
    for one in rows:
        values = [training[key] for training in one['trainings'].values() if training[key] is not None]
        axes.plot([one['n_train']] * len(values), values, 'o', color=BLUE, alpha=0.35, markersize=3.5, zorder=2)
        ends = around(one[key])
        if ends is not None:
            axes.plot([one['n_train']] * 2, ends, color=BLUE, linewidth=1.4, zorder=2)
    axes.plot(
        sizes, [one[key]['mean'] for one in rows], 'o-', color=BLUE, linewidth=1.0, markerfacecolor='white', zorder=3
    )
    before = content['zero_shot']
    if before is not None and before[key] is not None:
        axes.axhline(before[key], color=GREY, linewidth=1.0, linestyle='--', zorder=1)
        said = f'parent {before[key]:.2f}' if key == 'slope_force' else f'parent {digits(before[key])}'
        axes.annotate(
            said, (0.99, before[key]), xycoords=('axes fraction', 'data'), xytext=(0, 2), textcoords='offset points',
            color=GREY, fontsize=7.5, ha='right', va='bottom',
        )  # fmt: skip
    axes.set_xscale('log')
    if key == 'slope_force':
        axes.axhline(1.0, color=GREY, linewidth=0.8, zorder=0)
    else:
        _logarithmic(axes, content, sizes, key)
    axes.xaxis.set_major_locator(FixedLocator(sizes))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f'{value:g}'))
    axes.set_xlabel('Configurations learnt')
    axes.set_title(title, fontsize=9.5)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=7.5)


def _logarithmic(axes: Axes, content: Mapping[str, Any], sizes: list[int], key: str) -> None:
    """Draw errors on a logarithmic axis, and of those of forces the power law."""
    law = power_law_of(content)
    if law is not None and key == 'rmse_force_mev_per_ang':
        n = np.geomspace(min(sizes), max(sizes), 50)
        said = f'n^{{-{law["exponent"]:.2f} \\pm {law["exponent_error"]:.2f}}}'
        axes.plot(
            n, law['prefactor_mev_per_ang'] * n ** -law['exponent'], ':', color=GREY, linewidth=1.2, label=f'${said}$',
            zorder=1,
        )  # fmt: skip
    axes.set_yscale('log')
    label_readably(axes.yaxis)
