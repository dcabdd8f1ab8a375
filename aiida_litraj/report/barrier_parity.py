"""Figure of barriers beside those of a reference: a panel for each potential, those that did not converge apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .energy_profile import Caption
from .parity import share_limits, write_numbers
from .style import BLUE, GREY, RED, SETTINGS
from .titles import write_title

_PANEL_INCHES, _ABOVE_INCHES = 2.9, 1.0
_COLUMNS = 3
FEWEST_FOR_A_LINE = 3


def draw_barrier_parity(benchmarks: Mapping[str, Mapping[str, Any]], caption: Caption) -> Figure:
    """Return the figure; barriers are by range, highest image minus lowest.

    :param benchmarks: by what a potential is called the content of its output ``benchmark``.
    :raises ValueError: if there is none.
    """
    if not benchmarks:
        raise ValueError('there are no barriers to draw')
    columns = min(_COLUMNS, len(benchmarks))
    rows = -(-len(benchmarks) // columns)
    with rc_context(SETTINGS):
        size = (max(columns * _PANEL_INCHES, 4.6), rows * _PANEL_INCHES + _ABOVE_INCHES)
        figure = Figure(figsize=size, layout='constrained')
        panels = figure.subplots(rows, columns, squeeze=False)
        used = panels.reshape(-1)[: len(benchmarks)]
        for axes in panels.reshape(-1)[len(benchmarks) :]:
            axes.set_visible(False)
        for axes, (name, benchmark) in zip(used, benchmarks.items(), strict=True):
            _draw(axes, name, benchmark)
        share_limits(used[:, None])
        write_title(figure, caption)
    return figure


def _draw(axes: Axes, name: str, benchmark: Mapping[str, Any]) -> None:
    hops = [hop for hop in benchmark['hops'].values() if hop['range_ev'] is not None]
    for converged, marker, colour in ((True, 'o', BLUE), (False, 'x', RED)):
        pairs = np.array([(h['reference_range_ev'], h['range_ev']) for h in hops if h['converged'] is converged])
        if not len(pairs):
            continue
        size = float(np.clip(900.0 / len(pairs), 5.0, 26.0))
        label = 'converged' if converged else 'not converged'
        edge = {'linewidths': 0.0, 'alpha': 0.7} if converged else {'linewidths': 1.2}
        axes.scatter(*pairs.T, s=size, marker=marker, color=colour, label=label, zorder=5, gid=label, **edge)  # type: ignore[arg-type]
    lost = sum(hop['range_ev'] is None and hop['status'] != 'unfinished' for hop in benchmark['hops'].values())
    axes.set_title(name, fontsize=10, fontweight='bold')
    axes.set_xlabel('Reference barrier (eV)')
    axes.set_ylabel('Potential (eV)')
    if any(not hop['converged'] for hop in hops):
        axes.legend(loc='lower right', frameon=False, fontsize=8, handletextpad=0.1)
    if benchmark['errors'] is not None:
        write_numbers(axes, [*_numbers(benchmark['errors']['range']), *([f'{lost} without a path'] if lost else [])])
    slope = None if benchmark['errors'] is None else benchmark['errors']['range']['converged_only']['slope']['value']
    if slope is not None and benchmark['n_converged'] >= FEWEST_FOR_A_LINE:
        good = benchmark['errors']['range']['converged_only']
        x = np.mean([hop['reference_range_ev'] for hop in hops if hop['converged']])
        axes.axline((x, x + good['mean_error_ev']['value']), slope=slope, color=GREY, linewidth=0.9, linestyle='--')


def _numbers(errors: Mapping[str, Any]) -> list[str]:
    good = errors['converged_only']
    lines = [f'{errors["n_converged"]} of {errors["n_paths"]} converged']
    for key, word, unit in (('mae_ev', 'MAE', ' eV'), ('pearson_r', 'r', '')):
        value, ends = good[key]['value'], good[key]['interval']
        if value is not None:
            said = '' if ends is None or None in ends else f' [{ends[0]:.2f}, {ends[1]:.2f}]'
            lines.append(f'{word} {value:.3f}{unit}{said}')
    return lines
