"""Figure of trainings: how the loss and the errors of forces and energies fall with the epochs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..contract.arrays import Array
from .energy_profile import Caption
from .log_axis import label_readably
from .style import GREY, INK, SETTINGS
from .titles import write_title

_WIDTH, _HEIGHT = 4.0, 3.4
_COLOURS = ('#0b5394', '#d55e00', '#009e73', '#cc79a7', '#56b4e9', '#616e7c')
_PANELS = (
    ('loss', 'Loss'),
    ('force_mev_per_ang', 'RMSE of forces (meV/Å)'),
    ('energy_mev_per_atom', 'RMSE of energies (meV/atom)'),
    ('stress_gpa', 'RMSE of stresses (GPa)'),
)
"""Quantity after ``train_`` and ``valid_``, and what it is called."""


@dataclass(frozen=True)
class Course:
    """A training: its columns (epochs,) by the names of ``contract.train.CURVE``, and the best epoch, from 1."""

    columns: Mapping[str, Array]
    best_epoch: int | None


def draw_learning_curves(courses: Mapping[str, Course], caption: Caption) -> Figure:
    """Return the figure: a panel for each quantity that is known, both axes logarithmic, the best epochs marked.

    :param courses: trainings by their names.
    :raises ValueError: if there is none, or nothing is known of any.
    """
    panels = [panel for panel in _PANELS if any(_is_known(course, panel[0]) for course in courses.values())]
    if not panels:
        raise ValueError('there is no learning curve to draw: no training has an epoch')
    with rc_context(SETTINGS):
        columns = 2 if len(panels) == 4 else len(panels)
        rows = len(panels) // columns
        figure = Figure(figsize=(_WIDTH * columns, _HEIGHT * rows), layout='constrained')
        places = figure.subplots(rows, columns, squeeze=False).ravel()
        for number, (axes, (quantity, title)) in enumerate(zip(places, panels, strict=True)):
            _draw(axes, courses, quantity, title, legend=number == 0)
        write_title(figure, caption)
    return figure


def _is_known(course: Course, quantity: str) -> bool:
    return any(_drawable(course, f'{part}_{quantity}').any() for part in ('train', 'valid'))


def _drawable(course: Course, column: str) -> np.ndarray:
    """Return of which epochs a number can be drawn: a logarithm knows no zero."""
    values = course.columns[column]
    return np.isfinite(values) & (values > 0.0)


def _draw(axes: Axes, courses: Mapping[str, Course], quantity: str, title: str, legend: bool) -> None:
    for number, (name, course) in enumerate(courses.items()):
        colour, epochs = _COLOURS[number % len(_COLOURS)], course.columns['epoch']
        for part, style, width in (('train', ':', 1.0), ('valid', '-', 1.4)):
            known = _drawable(course, f'{part}_{quantity}')
            said = (name if len(courses) > 1 else 'validation') if part == 'valid' else None
            said = 'training' if part == 'train' and len(courses) == 1 else said
            axes.plot(
                epochs[known], course.columns[f'{part}_{quantity}'][known], style, color=colour, linewidth=width,
                label=said, marker='o' if known.sum() == 1 else None, markersize=3,
            )  # fmt: skip
        _mark_best(axes, course, f'valid_{quantity}', colour)
    axes.set_xscale('log')
    axes.set_yscale('log')
    axes.set_xlabel('Epoch')
    axes.set_title(title, fontsize=9.0)
    label_readably(axes.xaxis, whole=True)
    label_readably(axes.yaxis)
    if legend:
        axes.plot([], [], 'o', color='white', markeredgecolor=INK, markersize=5, label='best epoch')
        if len(courses) > 1:
            axes.plot([], [], ':', color=GREY, label='on the training set')
        axes.legend(frameon=False, fontsize=7.5)


def _mark_best(axes: Axes, course: Course, column: str, colour: str) -> None:
    if course.best_epoch is None:
        return
    at = np.flatnonzero(course.columns['epoch'] == course.best_epoch)
    if len(at) and _drawable(course, column)[at[0]]:
        axes.plot(
            [course.best_epoch], [course.columns[column][at[0]]], 'o', color='white', markeredgecolor=colour,
            markersize=5, zorder=5,
        )  # fmt: skip
