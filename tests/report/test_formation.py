"""The hull figure shows the numbers, in the right place, with the names of crystals as chemists write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiida_litraj.analysis.formation import make_line
from aiida_litraj.report.energy_profile import Caption
from aiida_litraj.report.formation import draw_formation, subscripts, title_of
from aiida_litraj.report.style import save_figure

LINE = make_line(
    {
        'Li2S': {'Li': 2, 'S': 1}, 'Li3PS4_beta': {'Li': 12, 'P': 4, 'S': 16}, 'P2S5': {'P': 4, 'S': 10},
        'Li3PS4_gamma': {'Li': 6, 'P': 2, 'S': 8}, 'Li7P3S11': {'Li': 7, 'P': 3, 'S': 11},
    }
)  # fmt: skip
FORMED = {'Li2S': 0.0, 'Li3PS4_beta': -0.100, 'Li3PS4_gamma': -0.110, 'Li7P3S11': -0.090, 'P2S5': 0.0}
CAPTION = Caption('Formation energies', 'details')


def _points(axes, gid: str) -> tuple[list[float], list[float]]:
    (found,) = [line for line in axes.lines if line.get_gid() == gid]
    return list(found.get_xdata()), list(found.get_ydata())


def test_points_and_hull() -> None:
    figure = draw_formation(LINE, {'net': FORMED, 'dft': {**FORMED, 'Li7P3S11': -0.2}}, CAPTION, 'dft')
    energies, heights = figure.axes
    assert _points(energies, 'net Li3PS4_gamma') == ([9 / 16], [pytest.approx(-110.0)])
    assert _points(energies, 'hull net') == ([0.0, 9 / 16, 1.0], [0.0, pytest.approx(-110.0), 0.0])
    assert _points(energies, 'hull dft') == ([0.0, 0.5, 1.0], [0.0, pytest.approx(-200.0), 0.0])
    assert _points(heights, 'above net Li3PS4_beta')[0] == [pytest.approx(10.0)]
    assert _points(heights, 'above net Li7P3S11')[0] == [pytest.approx(110 * 0.5 / (9 / 16) - 90)]
    ticks = {tick.get_text().strip() for tick in energies.get_xticklabels()}
    assert ticks == {'P₂S₅\n0', 'Li₇P₃S₁₁\n70', 'Li₃PS₄\n75', 'Li₂S\n100'}
    assert [tick.get_text() for tick in heights.get_yticklabels()] == ['β-Li₃PS₄', 'γ-Li₃PS₄', 'Li₇P₃S₁₁']


def test_a_crystal_that_is_left_out_is_not_drawn() -> None:
    few = {name: value for name, value in FORMED.items() if name != 'Li7P3S11'}
    energies, _ = draw_formation(LINE, {'net': few}, CAPTION).axes
    assert 'net Li7P3S11' not in {line.get_gid() for line in energies.lines}
    with pytest.raises(ValueError, match='no formation energies to draw'):
        draw_formation(LINE, {}, CAPTION)


def test_names_of_crystals() -> None:
    assert subscripts('Li7P3S11') == 'Li₇P₃S₁₁'
    assert title_of('Li3PS4_gamma', LINE) == 'γ-Li₃PS₄' and title_of('P2S5', LINE) == 'P₂S₅'


def test_file_is_the_same_each_time(tmp_path: Path) -> None:
    one, other = (
        save_figure(draw_formation(LINE, {'net': FORMED}, CAPTION), tmp_path / f'{number}.svg').read_bytes()
        for number in range(2)
    )
    assert one == other
