"""The figure shows the numbers it was given, no others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from scipy.interpolate import CubicHermiteSpline

from aiida_litraj.analysis.barriers import EnergyProfile, measure_barrier
from aiida_litraj.report.energy_profile import Caption, draw_energy_profile
from aiida_litraj.report.style import save_figure

CAPTION = Caption('Li hop in Li₃PO₄', 'site 0 → 6')


def profile(reaction_energy: float = 0.0) -> EnergyProfile:
    """Profile with a known top: 0.5 sin^2(pi s/3) plus a slope."""
    s = np.linspace(0.0, 3.0, 7)
    energies = 0.5 * np.sin(np.pi * s / 3.0) ** 2 + reaction_energy * s / 3.0
    slopes = 0.5 * np.pi / 3.0 * np.sin(2 * np.pi * s / 3.0) + reaction_energy / 3.0
    return EnergyProfile(s, energies, slopes)


def lines(figure: Figure) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    return {line.get_gid(): line.get_data() for line in figure.axes[0].lines}


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


@pytest.mark.parametrize('reaction_energy', [0.0, 0.12, -0.25])
def test_images_and_spline_are_those_of_the_profile(reaction_energy: float) -> None:
    given = profile(reaction_energy)
    drawn = lines(draw_energy_profile(given, measure_barrier(given), CAPTION))
    np.testing.assert_array_equal(drawn['images'], [given.coordinate_ang, given.energies_ev])
    np.testing.assert_array_equal(drawn['spline'], given.curve())
    top = int(given.energies_ev.argmax())
    np.testing.assert_array_equal(drawn['saddle'], [[given.coordinate_ang[top]], [given.energies_ev[top]]])


def test_numbers_are_the_barriers_forward_and_backward() -> None:
    given = profile(-0.25)
    barrier = measure_barrier(given)
    shown = texts(draw_energy_profile(given, barrier, CAPTION))
    assert f'{barrier.barrier_ev:.3f} eV' in shown
    assert f'{barrier.reverse_barrier_ev:.3f} eV' in shown


def test_equal_barriers_are_written_once() -> None:
    given = profile()
    shown = texts(draw_energy_profile(given, measure_barrier(given), CAPTION))
    assert sum(text.endswith(' eV') for text in shown) == 1


def skewed(peak: float, reaction_energy: float) -> EnergyProfile:
    """Profile with its top of 0.5 eV at a part ``peak`` of the way, smooth."""
    s = np.unique([*np.linspace(0.0, 3.0, 7), 3.0 * peak])
    hermite = CubicHermiteSpline([0.0, 3.0 * peak, 3.0], [0.0, 0.5, reaction_energy], [0.0, 0.0, 0.0])
    return EnergyProfile(s, hermite(s), hermite(s, 1))


@pytest.mark.parametrize('peak', [0.15, 0.3, 0.5, 0.7, 0.85])
@pytest.mark.parametrize('reaction_energy', [-0.6, -0.2, 0.0, 0.2, 0.35])
def test_numbers_are_not_crossed_by_the_curve_nor_by_each_other(peak: float, reaction_energy: float) -> None:
    given = skewed(peak, reaction_energy)
    figure = draw_energy_profile(given, measure_barrier(given), CAPTION)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    (axes,) = figure.axes
    curve = axes.transData.transform(np.column_stack(given.curve(2001)))
    boxes = [text.get_window_extent() for text in axes.texts if text.get_text().endswith(' eV')]
    assert len(boxes) == (1 if reaction_energy == 0.0 else 2)
    for box in boxes:
        assert not box.count_contains(curve)
        assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1
    assert len(boxes) == 1 or not boxes[0].overlaps(boxes[1])


def test_path_without_a_barrier_has_no_forward_arrow() -> None:
    s = np.linspace(0.0, 2.0, 5)
    given = EnergyProfile(s, -0.3 * s, np.full(5, -0.3))
    shown = texts(draw_energy_profile(given, measure_barrier(given), CAPTION))
    assert '0.000 eV' not in shown
    assert '0.600 eV' in shown


def test_what_is_not_converged_is_dashed_and_says_so() -> None:
    given = profile()
    barrier = measure_barrier(given)
    sure = draw_energy_profile(given, barrier, CAPTION)
    unsure = draw_energy_profile(given, barrier, Caption('Li hop', '', 'not converged'))
    style = {
        figure: next(line for line in figure.axes[0].lines if line.get_gid() == 'spline') for figure in (sure, unsure)
    }
    assert style[sure].get_linestyle() == '-'
    assert style[unsure].get_linestyle() == '--'
    assert 'not converged' in texts(unsure)


@pytest.mark.parametrize('ending', ['png', 'svg', 'pdf'])
def test_same_figure_gives_same_file(tmp_path: Path, ending: str) -> None:
    given = profile()
    files = []
    for name in ('one', 'two'):
        figure = draw_energy_profile(given, measure_barrier(given), CAPTION)
        files.append(save_figure(figure, tmp_path / 'made' / f'{name}.{ending}').read_bytes())
    assert files[0] == files[1]
    assert len(files[0]) > 1000


def test_unknown_format_is_refused_by_name(tmp_path: Path) -> None:
    given = profile()
    figure = draw_energy_profile(given, measure_barrier(given), CAPTION)
    with pytest.raises(ValueError, match=r"hop\.bmp ends in '\.bmp': use one of \.png, \.svg"):
        save_figure(figure, tmp_path / 'hop.bmp')
