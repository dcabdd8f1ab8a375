"""The figure of a melt-quench shows the stages that were analysed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aiida_litraj.analysis.melt_quench import Stage, Trace, analyse_stage, density
from aiida_litraj.report.energy_profile import Caption
from aiida_litraj.report.melt_quench import draw_melt_quench
from aiida_litraj.report.style import save_figure

CAPTION = Caption('Melt-quench', 'made up')
SYMBOLS = ['Li'] * 6 + ['P'] * 4 + ['S'] * 14
CELL = 9.0 * np.eye(3)


def stages(symbols: list[str]) -> list[Stage]:
    generator = np.random.default_rng(0)
    frames = [generator.uniform(0.0, 9.0, (len(symbols), 3)) for _ in range(2)]
    periodic = np.ones(3, dtype=bool)
    return [
        analyse_stage(name, symbols, np.array([start, start + 5.0]), frames, [CELL] * 2, periodic, 4.0)
        for name, start in (('melt', 0.0), ('glass', 20.0))
    ]


def trace(target: bool) -> Trace:
    times = np.linspace(0.0, 25.0, 60)
    return Trace(times, 900 - 20 * times, 900 - 20 * times if target else None, density(SYMBOLS, 729.0 + 5 * times))


@pytest.mark.parametrize('target', [True, False])
def test_what_is_there_is_drawn(target: bool) -> None:
    made = stages(SYMBOLS)
    figure = draw_melt_quench(trace(target), made, CAPTION)
    titles = [axes.get_title(loc='left').partition(':')[0] for axes in figure.axes]
    assert titles == ['', '', 'P–S', 'Li–S', 'S–S', 'S around Li', 'S around P', 'Anions']
    course, _, distribution, *_, motifs = figure.axes
    assert {text.get_text() for text in course.texts} == {'melt', 'glass'}
    assert len(course.lines) == (2 if target else 1)
    np.testing.assert_array_equal(distribution.lines[1].get_ydata(), made[1].distributions['P', 'S'].g)
    heights = np.array([[bar.get_height() for bar in container] for container in motifs.containers])
    np.testing.assert_allclose(heights.sum(axis=0), 100.0)
    assert made[0].motifs is not None
    assert heights[-1, 0] == pytest.approx(100 * made[0].motifs.shares()['other'])


def test_other_systems_show_what_they_have(tmp_path: Path) -> None:
    figure = draw_melt_quench(trace(True), stages(['Li'] * 8 + ['O'] * 4), CAPTION)
    titles = [axes.get_title(loc='left') for axes in figure.axes]
    assert titles == ['', '', 'Li–Li', 'Li–O', 'O–O']
    save_figure(figure, tmp_path / 'other.png', 60)
    with pytest.raises(ValueError, match='no stage'):
        draw_melt_quench(trace(True), [], CAPTION)
