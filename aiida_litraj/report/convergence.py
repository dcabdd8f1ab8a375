"""Figure of the convergence of labels: differences to the finest setting over cutoff and over k-points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .energy_profile import Caption
from .style import BLUE, GREY, INK, RED, SETTINGS
from .titles import write_title

_AXES = {'cutoff': 'Cutoff (eV)', 'kpoints': 'k-points (per Å, or mesh)'}
_QUANTITIES = (
    ('rmse_force_mev_per_ang', 'force RMSE, meV/Å', BLUE, 'o'),
    ('energy_mev_per_atom', 'energy, meV/atom', RED, 's'),
    ('max_stress_gpa', 'largest stress, GPa', GREY, '^'),
)
_PANEL_INCHES = (3.3, 3.4)


def draw_convergence(series: Mapping[str, Sequence[Mapping[str, Any]]], caption: Caption) -> Figure:
    """Return the figure: a panel for each series, its settings from coarse to fine, differences on a decadic axis.

    The finest, to which all are compared, has no point. The level itself is marked by a line.

    :raises ValueError: if no two settings could be compared.
    """
    shown = {name: rows for name, rows in series.items() if any(row['n_frames'] and not row['finest'] for row in rows)}
    if not shown:
        raise ValueError('no two settings could be compared, so there is nothing to draw')
    with rc_context(SETTINGS):
        size = (max(len(shown) * _PANEL_INCHES[0], 4.5), _PANEL_INCHES[1])
        figure = Figure(figsize=size, layout='constrained')
        panels = figure.subplots(1, len(shown), squeeze=False, sharey=True)[0]
        for axes, (name, rows) in zip(panels, shown.items()):
            _draw_panel(axes, name, rows)
        panels[0].set_ylabel('Difference to the finest')
        panels[0].legend(frameon=False, fontsize=8)
        write_title(figure, caption)
    return figure


def _draw_panel(axes: Axes, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
    for key, title, colour, marker in _QUANTITIES:
        points = [
            (place, abs(row[key]))
            for place, row in enumerate(rows)
            if row['n_frames'] and not row['finest'] and row[key] is not None
        ]
        if points:
            axes.plot(*zip(*points), color=colour, marker=marker, markersize=4, linewidth=1.0, label=title)
    for place, row in enumerate(rows):
        if row['own']:
            axes.axvline(place, color=INK, linewidth=0.6, linestyle=':')
    texts = [f'{row["cutoff_ev"]:g}' if name == 'cutoff' else str(row['kpoints']) for row in rows]
    axes.set_xticks(range(len(rows)), texts)
    axes.set_yscale('log')
    axes.set_xlabel(_AXES[name])
