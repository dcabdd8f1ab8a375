"""The figure of the grid shows the colours and numbers that the analysis found."""

from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle

from aiida_litraj.analysis.robustness import Fate, RobustnessGrid, build_grid
from aiida_litraj.report.energy_profile import Caption
from aiida_litraj.report.robustness import GREEN, OPEN, PALE_GREEN, WHITE, draw_robustness
from aiida_litraj.report.style import save_figure

TEMPERATURES, PRESSURES = (1000.0, 4000.0), (1e6, 2.5e9, 1e12)
CAPTION = Caption('Robustness', 'made up', 'and a warning')


def grid() -> RobustnessGrid:
    """The higher the pressure the fewer survive; the hottest at the lowest pressure is not finished."""
    fates = []
    for temperature in TEMPERATURES:
        for row, pressure in enumerate(PRESSURES):
            for repeat in range(2):
                alive = repeat >= row
                frames = 10 if alive else 2 - row
                fates.append(
                    Fate(temperature, pressure, repeat, 'survived' if alive else 'died', 1.0, frames, frames // 2)
                )
    fates[0:2] = [Fate(TEMPERATURES[0], PRESSURES[0], repeat, 'unfinished', 0.5, 0, 0) for repeat in range(2)]
    return build_grid(fates, 2)


def boxes(axes: Axes) -> dict[tuple[int, int], str]:
    return {
        (round(box.get_x() + 0.46), round(box.get_y() + 0.45)): to_hex(box.get_facecolor())
        for box in axes.patches
        if isinstance(box, Rectangle)
    }


def test_boxes_and_numbers() -> None:
    axes = draw_robustness({'toy': grid()}, CAPTION).axes[0]
    assert boxes(axes) == {
        (0, 0): OPEN, (1, 0): GREEN, (0, 1): PALE_GREEN, (1, 1): PALE_GREEN, (0, 2): WHITE, (1, 2): WHITE
    }  # fmt: skip
    numbers = {tuple(int(one) for one in text.get_position()): text.get_text() for text in axes.texts}
    assert numbers == {(0, 0): '', (1, 0): '50', (0, 1): '45', (1, 1): '45', (0, 2): '–', (1, 2): '–'}
    assert [label.get_text() for label in axes.get_xticklabels()] == ['1,000', '4,000']
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        '$10^{6}$', '$2.5\\times10^{9}$', '$10^{12}$'
    ]  # fmt: skip
    assert axes.get_title(loc='left') == 'toy: 4 of 12 replicas survive\n2 not finished'


def test_grid_without_a_verdict_says_so() -> None:
    """Nobody has died in it."""
    cut_off = build_grid([Fate(TEMPERATURES[0], PRESSURES[0], repeat, 'unfinished', 0.5, 0, 0) for repeat in range(2)])
    assert draw_robustness({'toy': cut_off}, CAPTION).axes[0].get_title(loc='left') == 'toy: not finished'


def test_legend_of_one_repeat_has_no_some() -> None:
    once = build_grid([Fate(TEMPERATURES[0], PRESSURES[0], 0, 'survived', 1.0, 10, 0)])
    labels = [
        [text.get_text() for text in draw_robustness({'toy': one}, CAPTION).legends[0].get_texts()]
        for one in (once, grid())
    ]
    assert labels == [['survives', 'dies'], ['all 2 repeats survive', 'some do', 'none does', 'not finished']]


def test_potentials_share_their_axes() -> None:
    """A cell that one potential has not been asked for stays empty in its panel."""
    small = build_grid([Fate(TEMPERATURES[1], PRESSURES[2], 0, 'survived', 1.0, 10, 0)])
    figure = draw_robustness({'one': grid(), 'two': small}, CAPTION)
    first, second = figure.axes
    assert set(boxes(second)) == {(1, 2)}
    assert first.get_xlim() == second.get_xlim() and first.get_ylim() == second.get_ylim()


def test_figures_are_reproducible_and_need_a_grid(tmp_path: Path) -> None:
    for name in ('a', 'b'):
        save_figure(draw_robustness({'toy': grid()}, CAPTION), tmp_path / f'{name}.png', 60)
    assert (tmp_path / 'a.png').read_bytes() == (tmp_path / 'b.png').read_bytes()
    with pytest.raises(ValueError, match='no grid'):
        draw_robustness({}, CAPTION)
