"""The figure of a data set shows what there is, each group told apart without colour too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from aiida_litraj.analysis.overview import Overview, overview, usual_range
from aiida_litraj.report.dataset import draw_overview, overview_caption
from aiida_litraj.report.style import save_figure

N = 120


def made(
    elements: tuple[str, ...] = ('Li', 'P', 'S'), groups: int = 3, energies: bool = True, barriers: bool = True
) -> Overview:
    generator = np.random.default_rng(0)
    names = ('train', 'val', 'test') if groups == 3 else tuple(f'family {index}' for index in range(groups))
    counts = generator.integers(1, 5, (N, len(elements)))
    return overview(
        [names[index % groups] for index in range(N)],
        [dict(zip(elements, map(float, row), strict=True)) for row in counts],
        counts.sum(axis=1).tolist(),
        (generator.normal(size=N) if energies else np.full(N, None)).tolist(),
        (generator.uniform(0, 2, N) if barriers else np.full(N, None)).tolist(),
    )


def titles(shown: Overview) -> list[str]:
    figure = draw_overview(shown, overview_caption('made', shown, 'PBE; and more'))
    return [axes.get_title(loc='left').partition(',')[0] for axes in figure.axes]


def test_panels_are_what_is_known() -> None:
    everything = ['Composition', 'Barriers', 'Energies', "Above the hull of the set's own entries", 'Sizes']
    assert titles(made()) == everything
    assert titles(made(energies=False)) == ['Composition', 'Barriers', 'Sizes']
    assert titles(made(energies=False, barriers=False)) == ['Composition', 'Sizes']


def test_the_triangle_is_drawn_where_lithium_phosphorus_and_sulphur_are() -> None:
    shown = overview(['a'] * 3, [{'S': 1}, {'Li': 2, 'S': 1}, {'P': 2, 'S': 5}], [1, 3, 7], [None] * 3, [None] * 3)
    triangle = draw_overview(shown, overview_caption('LiPS', shown, None)).axes[0]
    points = np.vstack([scatter.get_offsets() for scatter in triangle.collections])
    np.testing.assert_allclose(points, [[0, 0], [2 / 3, 0], [1 / 7, np.sqrt(3) / 7]], atol=1e-12)
    labels = [text.get_text() for text in triangle.texts]
    assert {'Li', 'P', 'S', 'Li₂S', 'P₂S₅'} <= set(labels)


def test_other_sets_show_their_elements() -> None:
    bars = draw_overview(made(('Li', 'O', 'Fe')), overview_caption('made', made(), None)).axes[0]
    assert {label.get_text() for label in bars.get_xticklabels()} == {'Li', 'O', 'Fe'}
    assert bars.get_ylim()[1] >= 100


@pytest.mark.parametrize('groups', [1, 3, 8])
def test_shares_are_of_each_split_or_of_the_whole(groups: int) -> None:
    sizes = draw_overview(made(groups=groups), overview_caption('made', made(), None)).axes[-1]
    steps = [patch for patch in sizes.patches if not (groups == 1 and patch.get_fill())]
    shares = [sum(patch.get_data().values - patch.get_data().baseline) for patch in steps]
    assert sum(shares) == pytest.approx(100 * (groups if groups <= 3 else 1))


def all_texts(figure: Figure) -> str:
    axes = figure.axes
    words = [word for one in axes for word in (one.get_title(loc='left'), one.get_xlabel(), one.get_ylabel())]
    return '\n'.join([*words, *(text.get_text() for one in axes for text in one.texts)])


def shown_with(values: list[float | None], **more: Any) -> Figure:
    number = len(values)
    shown = overview(['a'] * number, [{'Li': 1}] * number, [1] * number, [None] * number, values, **more)
    return draw_overview(shown, overview_caption('made', shown, None))


def test_the_barrier_that_is_drawn_is_named() -> None:
    figure = shown_with([0.1, 0.2], barrier_name='E_3D: Barrier of percolation in three dimensions')
    assert ' '.join(figure.axes[1].get_xlabel().split()) == 'E_3D: Barrier of percolation in three dimensions (eV)'


def test_far_outliers_widen_no_bin_and_are_counted() -> None:
    usual = np.linspace(0.0, 1.0, 200)
    figure = shown_with([*usual, 33.0, 34.0, -50.0])
    steps = figure.axes[1].patches[0].get_data()
    assert (steps.edges[0], steps.edges[-1]) == (0.0, 1.0)
    assert sum(steps.values) == pytest.approx(100 * 200 / 203)
    assert 'not drawn: 1 below 0 and 2 above 1 eV' in all_texts(figure)
    assert 'not drawn' not in all_texts(shown_with([*usual]))


@pytest.mark.parametrize('share', [0.02, 0.2])
def test_what_is_far_but_not_rare_is_no_outlier(share: float) -> None:
    values = np.where(np.arange(500) < 500 * share, 100.0, np.linspace(0, 1, 500))
    assert usual_range(values)[1] == (100.0 if share > 0.05 else 1.0)


def test_conductivities_are_drawn_by_their_powers_of_ten() -> None:
    values = [1e-3, 1e-5, 1e-7, None]
    figure = shown_with([None] * 4, conductivities=values, bounded=1)
    panel = figure.axes[1]
    steps = panel.patches[0].get_data()
    assert (steps.edges[0], steps.edges[-1]) == (-7.0, -3.0)
    assert 'S/cm' in panel.get_xlabel() and '1 of which only a bound is known' in all_texts(figure)


def test_an_axis_that_is_not_linear_says_so() -> None:
    def hull(highest: float) -> Figure:
        energies = [-1.0, -1.0, -1.0 + highest, -1.0 + min(highest, 0.01)]
        shown = overview(['a'] * 4, [{'Li': 1}] * 4, [1] * 4, energies, [None] * 4)
        return draw_overview(shown, overview_caption('made', shown, None))

    assert hull(3.0).axes[2].get_yscale() == 'symlog' and 'logarithmic above' in all_texts(hull(3.0))
    assert hull(0.1).axes[2].get_yscale() == 'linear' and 'logarithmic' not in all_texts(hull(0.1))
    assert hull(0.002).axes[2].get_ylim()[1] >= 0.01
    assert [axes.get_title(loc='left') for axes in hull(1e-6).axes] == ['Composition', 'Energies', 'Sizes']
    assert 'no entry is more than 1 meV/atom above the hull' in ' '.join(one.get_text() for one in hull(1e-6).texts)


def test_one_size_is_a_bar_that_says_which() -> None:
    sizes = shown_with([0.1, 0.2, 0.3]).axes[-1]
    assert [patch.get_height() for patch in sizes.patches] == [3.0] and list(sizes.get_xticks()) == [1.0]
    assert [text.get_text() for text in sizes.texts] == ['all 3 entries']


@pytest.mark.parametrize(('number', 'label'), [(19, 'Number of entries'), (20, 'Share of the entries (%)')])
def test_of_few_entries_the_numbers_are_drawn(number: int, label: str) -> None:
    panel = shown_with([*np.linspace(0.0, 1.0, number)]).axes[1]
    assert panel.get_ylabel() == label
    assert sum(panel.patches[0].get_data().values) == pytest.approx(number if number < 20 else 100)


@pytest.mark.parametrize(('groups', 'kinds'), [(3, {'Line2D'}), (8, {'Patch'})])
def test_the_legend_shows_what_the_panels_draw(groups: int, kinds: set[str]) -> None:
    shown = made(('Li', 'O', 'Fe'), groups, energies=False)
    handles = draw_overview(shown, overview_caption('made', shown, None)).legends[0].legend_handles
    assert {type(one).__name__ for one in handles} <= kinds | {'Rectangle'}
    assert all(one.get_marker() == 'None' for one in handles if hasattr(one, 'get_marker'))


def test_figures_write_units_as_print_does() -> None:
    assert 'cutoff 10 Å, 5 eV/Å²' in overview_caption('made', made(), 'BVEL, cutoff 10 Ang, 5 eV/Ang^2').details


def test_caption_says_what_the_hull_is_made_of() -> None:
    caption = overview_caption('made', made(), 'PBE, 520 eV; more')
    assert caption.details.startswith('120 entries of 3 elements · PBE, 520 eV · hull: the lowest energy')
    assert 'hull' not in overview_caption('made', made(energies=False), None).details


def test_the_same_set_gives_the_same_file(tmp_path: Path) -> None:
    for name in ('a', 'b'):
        save_figure(draw_overview(made(), overview_caption('made', made(), None)), tmp_path / f'{name}.png', 60)
    assert (tmp_path / 'a.png').read_bytes() == (tmp_path / 'b.png').read_bytes()
