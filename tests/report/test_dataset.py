"""The figure of a data set shows what there is, each group told apart without colour too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aiida_litraj.analysis.overview import Overview, overview
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


def test_caption_says_what_the_hull_is_made_of() -> None:
    caption = overview_caption('made', made(), 'PBE, 520 eV; more')
    assert caption.details.startswith('120 entries of 3 elements · PBE, 520 eV · hull: lowest mixtures')
    assert 'hull' not in overview_caption('made', made(energies=False), None).details


def test_the_same_set_gives_the_same_file(tmp_path: Path) -> None:
    for name in ('a', 'b'):
        save_figure(draw_overview(made(), overview_caption('made', made(), None)), tmp_path / f'{name}.png', 60)
    assert (tmp_path / 'a.png').read_bytes() == (tmp_path / 'b.png').read_bytes()
