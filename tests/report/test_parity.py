"""The figure of predictions beside labels has every number where it belongs, few or many."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aiida_litraj.analysis.force_errors import energy_forces_errors
from aiida_litraj.analysis.parity import parity
from aiida_litraj.calculations.functions.compare_labels import as_dict
from aiida_litraj.contract.frames import Frames
from aiida_litraj.contract.units import EV_PER_ANG3_OF_GPA
from aiida_litraj.report.energy_profile import Caption
from aiida_litraj.report.parity import MOST_POINTS, digits, draw_parity
from aiida_litraj.report.style import save_figure

SOFT = 0.8
OFFSET_EV = {'Li': 0.3, 'S': -0.2}


def some(n_frames: int = 8, n_atoms: int = 9) -> Frames:
    """Configurations of Li6S3 with random labels."""
    rng = np.random.default_rng(0)
    return Frames.stack([
        Frames.of_one(
            [3] * (2 * n_atoms // 3) + [16] * (n_atoms // 3), rng.normal(size=(n_atoms, 3)), 9.0 * np.eye(3),
            [True] * 3, -4.0 * n_atoms + rng.normal(), rng.normal(size=(n_atoms, 3)), 0.01 * rng.normal(size=6),
        )
        for _ in range(n_frames)
    ])  # fmt: skip


def softer(reference: Frames) -> Frames:
    short = np.add.reduceat(np.where(reference.numbers == 3, *OFFSET_EV.values()), reference.offsets[:-1])
    return replace(reference, forces=SOFT * reference.forces, energies=reference.energies - short)


def drawn(reference: Frames, **names: Frames) -> Any:
    errors = {name: as_dict(energy_forces_errors(reference, one)) for name, one in names.items()}
    points = {name: parity(reference, one, errors[name]['offsets']) for name, one in names.items()}
    return draw_parity(points, errors, Caption('title', 'details'))


def test_points_are_pairs_of_labels_and_predictions() -> None:
    reference = some()
    points = parity(reference, softer(reference), OFFSET_EV)
    np.testing.assert_allclose(points.forces[:, 1], SOFT * points.forces[:, 0], atol=1e-12)
    np.testing.assert_array_equal(points.forces[:, 0], reference.forces.reshape(-1))
    assert (points.symbols == 'S').sum() == 8 * 3 * 3
    np.testing.assert_allclose(points.energies[:, 1], points.energies[:, 0], atol=1e-12)
    assert points.above and points.energies[:, 0].min() == 0.0
    np.testing.assert_allclose(points.stresses[:, 0] * EV_PER_ANG3_OF_GPA, reference.stresses.reshape(-1))


def test_energies_of_single_configurations_are_absolute() -> None:
    one = some(1)
    points = parity(one, one, {})
    assert not points.above
    assert points.energies[0, 0] == pytest.approx(one.energies[0] / 9)


def test_what_is_not_there_is_not_drawn() -> None:
    reference = some()
    stresses, energies = reference.stresses.copy(), reference.energies.copy()
    stresses[:, 0], energies[2] = np.nan, np.nan
    points = parity(replace(reference, stresses=stresses, energies=energies), softer(reference), {})
    assert len(points.stresses) == 8 * 5 and len(points.energies) == 7
    none = parity(replace(reference, stresses=None), softer(reference), {})
    assert not len(none.stresses)


def test_figure_says_errors_and_compares_potentials_on_the_same_scale(tmp_path: Path) -> None:
    reference = some()
    figure = drawn(reference, soft=softer(reference), same=reference)
    assert len(figure.axes) == 6
    energy, force, stress, *others = figure.axes
    assert 'slope 0.80' in force.texts[0].get_text()
    assert 'slope 1.00' in stress.texts[0].get_text() and 'slope' not in energy.texts[0].get_text()
    assert [bool(axes.get_xlabel()) for axes in figure.axes] == [False] * 3 + [True] * 3
    assert force.get_xlim() == force.get_ylim() == others[1].get_xlim()
    assert [text.get_text() for text in force.get_legend().get_texts()] == ['Li', 'S']
    assert [axes.get_title(loc='left') for axes in figure.axes[::3]] == ['soft', 'same']
    save_figure(figure, tmp_path / 'parity.png', 50)
    assert (tmp_path / 'parity.png').stat().st_size > 10_000


def test_axes_say_what_the_labels_are_of() -> None:
    reference = some()
    points, errors = (
        {'same': parity(reference, reference, {})},
        {'same': as_dict(energy_forces_errors(reference, reference))},
    )
    for code, words in ((None, 'Reference force'), ('gpaw', 'DFT (GPAW), force'), ('vasp', 'DFT (vasp), force')):
        force = draw_parity(points, errors, Caption('title'), code).axes[1]
        assert force.get_xlabel().startswith(words) and force.get_ylabel() == 'Potential'


def test_energies_that_offsets_fit_exactly_are_left_out(tmp_path: Path) -> None:
    """One configuration and one offset, or several of one composition: the second have an error, the first has none."""
    figure = drawn(some(1), soft=softer(some(1)), same=some(1))
    assert [axes.get_ylabel() for axes in figure.axes] == ['Potential'] * 4
    assert [axes.get_title(loc='left') for axes in figure.axes[::2]] == ['soft', 'same']
    assert 'slope 0.80' in figure.axes[0].texts[0].get_text()  # forces come first
    assert len(drawn(some(2), soft=softer(some(2))).axes) == 3
    save_figure(figure, tmp_path / 'parity.png', 50)


def test_many_points_become_a_density(tmp_path: Path) -> None:
    reference = some(2, 3 * (MOST_POINTS // 12))
    figure = drawn(reference, soft=softer(reference))
    force = figure.axes[1]
    assert force.get_legend() is None
    assert len(force.collections[0].get_offsets()) < MOST_POINTS / 2
    save_figure(figure, tmp_path / 'parity.svg')
    assert (tmp_path / 'parity.svg').stat().st_size < 3e6


def test_no_labels_of_a_kind() -> None:
    reference = replace(some(), stresses=None)
    figure = drawn(reference, soft=softer(reference))
    assert 'no labels' in [text.get_text() for text in figure.axes[2].texts]


@pytest.mark.parametrize(
    ('value', 'text'),
    [(0.0, '0'), (0.123, '0.12'), (4.567, '4.57'), (45.67, '45.7'), (456.7, '457'), (4567.8, '4,568')],
)
def test_digits(value: float, text: str) -> None:
    assert digits(value) == text


def test_nothing_to_draw() -> None:
    with pytest.raises(ValueError, match='no predictions'):
        draw_parity({}, {}, Caption('t'))
