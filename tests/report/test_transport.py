"""The figure of transport shows the points, lines and fits of the analysis."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from aiida_litraj.analysis.arrhenius import Conductivity, analyse_conductivity
from aiida_litraj.analysis.transport import Run, measure_transport
from aiida_litraj.report.energy_profile import Caption
from aiida_litraj.report.style import save_figure
from aiida_litraj.report.transport import draw_transport

CAPTION = Caption('Transport', 'made up')
DRAWN = 1e-12


def conductivity(diffusivities: dict[float, float], frames: int = 600) -> Conductivity:
    """Random walks of ten ions beside two that stand still."""
    generator, transports = np.random.default_rng(0), []
    for temperature, diffusivity in diffusivities.items():
        walk = np.cumsum(np.sqrt(2 * diffusivity) * generator.normal(size=(frames, 10, 3)), axis=0)
        atoms = np.concatenate([walk, np.zeros((frames, 2, 3))], axis=1)
        transports.append(measure_transport([Run(atoms, np.arange(float(frames)), 900.0)], range(10), temperature))
    return analyse_conductivity(transports)


def test_points_and_open_points_at_room_temperature() -> None:
    result = conductivity({600.0: 0.1, 800.0: 0.3, 1000.0: 0.6})
    assert result.tracer is not None and result.collective is not None
    right = draw_transport(result, CAPTION).axes[1]
    drawn = [bars.lines[0].get_xydata() for bars in right.containers]
    expected = []
    for line, field in ((result.tracer, 'sigma_tracer_s_per_cm'), (result.collective, 'sigma_s_per_cm')):
        expected.append([(1000 / one.temperature_k, getattr(one, field).value) for one in result.transports])
        expected.append([(1000 / 298.0, line.extrapolated.value)])
    for found, wanted in zip(drawn, expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=DRAWN)
    texts = [text.get_text() for text in right.get_legend().get_texts()]
    assert f'{result.tracer.activation_energy_ev:.3f} ±' in texts[0]
    assert texts[1].startswith('collective')


def test_fits_lie_on_the_displacements() -> None:
    result = conductivity({600.0: 0.1, 800.0: 0.3})
    left = draw_transport(result, CAPTION).axes[0]
    lines = {line.get_gid(): line for line in left.lines if line.get_gid()}
    for number, one in enumerate(result.transports):
        fit = lines[f'fit-{number}'].get_xydata()
        assert (fit[0, 0], fit[-1, 0]) == pytest.approx(one.fit_ps)
        np.testing.assert_allclose(fit[:, 1], np.interp(fit[:, 0], *lines[f'mobile-{number}'].get_data()), rtol=0.05)


def test_nothing_diffused_says_so(tmp_path: Path) -> None:
    result = conductivity({300.0: 1e-6, 400.0: 1e-6})
    figure = draw_transport(result, CAPTION)
    left, right = figure.axes
    labels = [text.get_text() for text in left.get_legend().get_texts()]
    assert labels == ['mobile ions', 'framework', 'not diffused']
    assert {'300 K *', '400 K *'} <= {text.get_text() for text in left.texts}
    assert not right.containers
    assert 'no temperature' in right.texts[0].get_text()
    for name in ('a', 'b'):
        save_figure(draw_transport(result, CAPTION), tmp_path / f'{name}.png', 60)
    assert (tmp_path / 'a.png').read_bytes() == (tmp_path / 'b.png').read_bytes()


@pytest.mark.parametrize(
    'diffusivities', [{600.0: 1e-6, 800.0: 1e-6}, {600.0: 1e-6, 800.0: 0.3}, {600.0: 0.1, 800.0: 0.3, 1000.0: 0.6}]
)
@pytest.mark.parametrize('frames', [12, 600])
def test_no_text_lies_on_another(diffusivities: dict[float, float], frames: int) -> None:
    """Whether none, one or all temperatures diffused, and lags span less than a decade or more; nor on the dashes."""
    figure = draw_transport(conductivity(diffusivities, frames), CAPTION)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    for axes in figure.axes:
        legend = axes.get_legend()
        texts = [*axes.texts, *(legend.get_texts() if legend else [])]
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
            texts += [tick.label1 for tick in ticks if low <= tick.get_loc() <= high]
        shown = [(one, one.get_window_extent()) for one in texts if one.get_visible() and one.get_text()]
        assert len(shown) > 3
        for (one, box), (other, second) in combinations(shown, 2):
            assert not box.overlaps(second), (one, other)
        if axes is figure.axes[0]:
            (dashes,) = [line.get_window_extent() for line in axes.lines if line.get_linestyle() == '--']
            # Behind temperatures they are hidden.
            assert not [one for one, box in shown if box.overlaps(dashes) and one.get_bbox_patch() is None]


def test_one_temperature_and_no_framework(tmp_path: Path) -> None:
    walk = np.cumsum(np.random.default_rng(1).normal(size=(300, 5, 3)), axis=0)
    alone = measure_transport([Run(walk, np.arange(300.0), 900.0)], range(5), 700.0)
    figure = draw_transport(analyse_conductivity([alone]), CAPTION)
    save_figure(figure, tmp_path / 'one.png', 60)
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert labels == ['mobile ions', 'fit']
