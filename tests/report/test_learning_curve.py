"""The figure of trainings has what the curves have, where they have it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from aiida_litraj.contract.train import CURVE
from aiida_litraj.report.energy_profile import Caption
from aiida_litraj.report.learning_curve import Course, draw_learning_curves

EPOCHS = 40


SIZES = {'loss': 1.0, 'force': 300.0, 'energy': 40.0, 'stress': 2.0}
NO_STRESS = ('train_stress_gpa', 'valid_stress_gpa')


def course(best: int | None = 30, seed: int = 0, without: tuple[str, ...] = NO_STRESS) -> Course:
    """Return a training that learns by a power law, with noise and a rest on the validation set."""
    epochs = np.arange(1, EPOCHS + 1)
    noise = np.random.default_rng(seed).normal(scale=0.05, size=(len(CURVE), EPOCHS))
    columns: dict[str, Any] = {}
    for row, name in enumerate(CURVE):
        size = next((size for part, size in SIZES.items() if part in name), 1.0)
        rest = 0.05 * size if name.startswith('valid') else 0.0
        columns[name] = size * epochs**-0.7 * np.exp(noise[row]) + rest
    columns['epoch'] = epochs
    return Course(columns | {name: np.full(EPOCHS, np.nan) for name in without}, best)


def panels(figure: Any) -> list[str]:
    return [axes.get_title(loc='left') for axes in figure.axes]


def test_what_is_not_known_has_no_panel() -> None:
    figure = draw_learning_curves({'a': course()}, Caption('Li'))
    assert panels(figure) == ['Loss', 'RMSE of forces (meV/Å)', 'RMSE of energies (meV/atom)']
    assert panels(draw_learning_curves({'a': course(without=())}, Caption('Li')))[-1] == 'RMSE of stresses (GPa)'


def test_axes_are_logarithmic_and_the_best_epoch_is_marked() -> None:
    one = course(best=30)
    figure = draw_learning_curves({'a': one}, Caption('Li'))
    for axes, column in zip(figure.axes, ('valid_loss', 'valid_force_mev_per_ang', 'valid_energy_mev_per_atom')):
        assert (axes.get_xscale(), axes.get_yscale()) == ('log', 'log')
        marked = [line for line in axes.lines if line.get_marker() == 'o' and len(line.get_xdata())]
        (mark,) = marked
        assert (mark.get_xdata()[0], mark.get_ydata()[0]) == (30, one.columns[column][29])


def test_every_training_has_its_two_curves() -> None:
    figure = draw_learning_curves({name: course(seed=k) for k, name in enumerate('abc')}, Caption('Li'))
    drawn = [line for line in figure.axes[0].lines if len(line.get_xdata()) == EPOCHS]
    assert len(drawn) == 6
    assert {line.get_linestyle() for line in drawn} == {'-', ':'}


def test_zero_is_left_out_of_a_logarithm() -> None:
    one = course(best=None)
    one.columns['train_loss'][3] = 0.0
    figure = draw_learning_curves({'a': one}, Caption('Li'))
    assert EPOCHS - 1 in {len(line.get_xdata()) for line in figure.axes[0].lines}


def test_nothing_to_draw() -> None:
    with pytest.raises(ValueError, match='no training has an epoch'):
        draw_learning_curves({}, Caption('Li'))
