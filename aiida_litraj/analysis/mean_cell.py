"""The mean cell of runs at constant pressure, how well it is known, and what stress is left in its shape."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..contract.arrays import AnyArray, Array
from ..contract.units import EV_PER_ANG3_OF_GPA

SETTLED = 0.02
"""Relative difference of the mean volume between the halves of the runs below which it has come to rest."""
STRAIN_ERROR = 0.003
"""Standard error of a strain above which a mean cell is called uncertain. A barrier that changes by 20 meV for each
per cent of strain then changes by 6 meV, and a diffusivity at 600 K by 12 %: as much as its own error in a good run."""
SHAPE_STRESS_GPA = 0.5
"""Stress beside the pressure above which a shape is said not to be that of the potential: it would strain a crystal
with a shear modulus of 10 GPa by 2.5 %, one with 50 GPa by 0.5 %."""
BLOCKS = 5
"""Parts of a run whose means are taken for independent."""
CLEAR_ANG = 0.35
"""No two nuclei of condensed matter are this close (H2: 0.74 Ang), and below 0.3 Ang a structure is refused: a frame in
which two are is no start."""
COMPONENTS = {'xx': (0, 0), 'yy': (1, 1), 'zz': (2, 2), 'yz': (1, 2), 'xz': (0, 2), 'xy': (0, 1)}
"""Of a symmetric tensor, by name."""


@dataclass(frozen=True)
class MeanCell:
    """Mean of runs at constant pressure. Components of tensors are those of ``COMPONENTS``.

    :ivar cell: (3, 3) in Ang: the reference with the mean strain, without rotations, at the mean volume.
    :ivar volume_ang3: mean volume.
    :ivar drift: relative difference of the mean volume between the second halves of the runs and the first.
    :ivar fluctuation: relative standard deviation of the volume within the halves.
    :ivar strain: (6,) mean strain from the reference, in its axes.
    :ivar strain_error: (6,) standard errors.
    :ivar shape_stress_gpa: largest principal value of the mean stress without its pressure; not a number if there is no
        stress. Near zero in a cell that is free.
    :ivar shape_stress_error_gpa: largest standard error of a component of that.
    """

    cell: Array
    volume_ang3: float
    drift: float
    fluctuation: float
    strain: Array
    strain_error: Array
    shape_stress_gpa: float
    shape_stress_error_gpa: float

    @property
    def shape_moves(self) -> bool:
        """Whether the runs had more of the cell free than its volume."""
        return bool(np.ptp(self.strain[:3]) > 1e-9 or abs(self.strain[3:]).max() > 1e-9)

    def doubts(self) -> list[str]:
        """Return why the cell should not be trusted, each with the number, the bound and the remedy."""
        texts = []
        if abs(self.drift) > max(SETTLED, 2.0 * self.fluctuation):
            texts.append(
                'the volume has not come to rest, the second half of the runs at constant pressure has '
                f'{100.0 * self.drift:+.1f} %; equilibrate longer'
            )
        worst = int(np.argmax(self.strain_error))
        if self.strain_error[worst] > STRAIN_ERROR:
            what, times = f'volume of {self.volume_ang3:.5g} Ang^3', 3.0  # Thrice the strain of an edge.
            remedy = 'equilibrate longer (settings.equilibration), or more repeats'
            if self.shape_moves:
                what, times = f'strain {list(COMPONENTS)[worst]} of {100.0 * self.strain[worst]:.2f} %', 1.0
                remedy += ', or keep the shape of the crystal (npt.protocol: npt-isotropic)'
            texts.append(
                f'the mean cell is uncertain, its {what} has a standard error of '
                f'{100.0 * times * self.strain_error[worst]:.2f} %, more than {100.0 * times * STRAIN_ERROR:g} %; '
                f'{remedy}'
            )
        if self.shape_stress_gpa - 2.0 * self.shape_stress_error_gpa > SHAPE_STRESS_GPA:
            texts.append(
                f'the shape of the cell is not that which the potential gives it, a stress of '
                f'{self.shape_stress_gpa:.2g} GPa is left beside the pressure, more than {SHAPE_STRESS_GPA:g} GPa; '
                'relax the crystal with the potential first, or let the shape go (npt.protocol: npt)'
            )
        return texts


def _stretches(deformations: Array) -> Array:
    """Return the symmetric left factors (F, 3, 3) of the polar decompositions of matrices (F, 3, 3), all at once."""
    left, values, _ = np.linalg.svd(deformations)
    return np.asarray((left * values[:, None, :]) @ left.transpose(0, 2, 1))


def mean_cell(reference: Array, runs: Sequence[Array], stresses: Sequence[Array]) -> MeanCell:
    """Return the mean of the cells (F, 3, 3) in Ang of runs that started alike, from F >= 2 frames of each.

    The cell itself must not be averaged: one that turns would shrink. Its stretch from the ``reference`` (the symmetric
    factor of its polar decomposition) turns with nothing. The volume is set to the mean volume, from which that of the
    mean stretch may differ in second order.

    :param stresses: (F, 3, 3) of each run in eV/Ang^3, not a number where there is none.
    :raises ValueError: if there are fewer than two frames of a run, or a cell is not finite.
    """
    for cells in runs:
        if len(cells) < 2 or not np.isfinite(cells).all():
            raise ValueError(f'a mean cell needs two frames at least of each run, all finite, not {len(cells)}')
    axes = tuple(np.array(list(COMPONENTS.values())).T)
    stretches = [_stretches(np.asarray(np.linalg.solve(reference, cells), dtype=np.float64)) for cells in runs]
    volumes = [abs(np.linalg.det(cells)) for cells in runs]
    volume = float(np.concatenate(volumes).mean())
    middle = reference @ np.concatenate(stretches).mean(axis=0)
    middle = middle * (volume / abs(np.linalg.det(middle))) ** (1.0 / 3.0)
    strains = [(stretch - np.eye(3))[:, axes[0], axes[1]] for stretch in stretches]
    halves = [np.array_split(one, 2) for one in volumes]
    first, second = (np.concatenate([pair[k] for pair in halves]).mean() for k in (0, 1))
    within = math.sqrt(np.mean([half.var() for pair in halves for half in pair])) / volume
    stress, error = _shape_stress(stresses, axes)
    return MeanCell(
        cell=middle,
        volume_ang3=volume,
        drift=float(second / first - 1.0),
        fluctuation=within,
        strain=np.concatenate(strains).mean(axis=0),
        strain_error=error_of_mean(strains),
        shape_stress_gpa=stress,
        shape_stress_error_gpa=error,
    )


def _shape_stress(stresses: Sequence[Array], axes: tuple[AnyArray, ...]) -> tuple[float, float]:
    """Return the largest principal value of the mean stress without its pressure, in GPa, and its error.

    The stress of the motion is a pressure on average, so that of the potential is enough.
    """
    if not all(np.isfinite(one).all() for one in stresses):
        return math.nan, math.nan
    shapes = [one - np.trace(one, axis1=1, axis2=2)[:, None, None] * np.eye(3) / 3.0 for one in stresses]
    principal = np.linalg.eigvalsh(np.concatenate(shapes).mean(axis=0))
    error = error_of_mean([one[:, axes[0], axes[1]] for one in shapes]).max()
    return float(abs(principal).max()) / EV_PER_ANG3_OF_GPA, float(error) / EV_PER_ANG3_OF_GPA


def error_of_mean(series: Sequence[Array]) -> Array:
    """Return the standard error (k,) of the mean of time series (F, k) from independent runs.

    The larger of two: the scatter of the means of ``BLOCKS`` parts of each run, which is right if these are longer than
    the memory of the system; and that of the means of the runs, which needs no such thing, but is from few.
    """
    parts = [part.mean(axis=0) for one in series for part in np.array_split(one, min(BLOCKS, len(one)))]
    error = np.std(parts, axis=0, ddof=1) / math.sqrt(len(parts))
    if len(series) > 1:
        means = [one.mean(axis=0) for one in series]
        error = np.maximum(error, np.std(means, axis=0, ddof=1) / math.sqrt(len(means)))
    return np.asarray(error)


def start_in(cell: Array, cells: Array, positions: AnyArray, closest: Array) -> Array:
    """Return positions (n, 3) in Ang: those of the last frame in which no two atoms overlap, brought into ``cell``.

    :param cells: (F, 3, 3) of the frames, ``positions`` (F, n, 3), both in Ang.
    :param closest: (F,) shortest distances of two atoms in Ang.
    :raises ValueError: if two atoms overlap in each frame.
    """
    clear = np.flatnonzero(np.asarray(closest) >= CLEAR_ANG)
    if not len(clear):
        raise ValueError(f'there is no frame in which all atoms are {CLEAR_ANG:g} Ang apart or more')
    last = clear[-1]
    return np.asarray(np.asarray(positions[last], dtype=float) @ np.linalg.solve(cells[last], cell))
