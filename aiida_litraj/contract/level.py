"""A level of theory, said so that every electronic-structure code can be given it: numbers without defaults."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from .base import Model

Functional = Literal['PBE', 'PBEsol']
Smearing = Literal['gaussian', 'fermi-dirac', 'methfessel-paxton', 'marzari-vanderbilt', 'fixed']
_ROUNDING = 1e-9
"""A cell that is a hair longer for rounding gets the same number of k-points."""


class Level(Model):
    """What a label is computed with. Every number that can change an answer is here; a protocol fills them.

    What remains of a code's own, its pseudopotentials above all, is in the settings of the back end.
    """

    functional: Functional
    cutoff_ev: PositiveFloat
    """Kinetic energy up to which plane waves expand the wave functions."""
    kpoint_mesh: tuple[PositiveInt, PositiveInt, PositiveInt] | None
    """Points along each reciprocal vector, a mesh that holds Gamma; 1 1 1 is Gamma alone."""
    kpoint_spacing_per_ang: PositiveFloat | None
    """Largest distance of neighbouring points, instead of a mesh, with the factor 2 pi (VASP's KSPACING)."""
    smearing: Smearing
    """``gaussian`` has erfc((e - mu) / width) / 2; ``methfessel-paxton`` is of first order; ``fixed`` leaves the
    occupations of an insulator at two and zero."""
    smearing_width_ev: NonNegativeFloat
    spin_polarized: Literal[False]
    """Lithium-ion conductors have closed shells; a magnetic one needs starting moments, which no frame tells."""
    energy_convergence_ev: PositiveFloat
    """Change of the energy of the whole cell at which the cycle ends, as VASP's EDIFF has it."""
    density_convergence: PositiveFloat
    """Change of the density at which it ends, as a share of the valence electrons; codes that have no such criterion
    go by the energy."""
    force_convergence_ev_per_ang: PositiveFloat | None
    """Change of any force between the last two steps at which it ends; ``None``: the energy and density decide."""
    max_scf_steps: PositiveInt
    stress: bool
    """Whether the stress is asked for."""

    @model_validator(mode='after')
    def _consistent(self) -> Level:
        if (self.kpoint_mesh is None) == (self.kpoint_spacing_per_ang is None):
            given = 'none is' if self.kpoint_mesh is None else 'both are'
            raise ValueError(
                f'kpoint_mesh and kpoint_spacing_per_ang: {given} given; it takes one, with the other set to null'
            )
        if (self.smearing == 'fixed') != (self.smearing_width_ev == 0.0):
            raise ValueError(
                f'smearing = {self.smearing} with smearing_width_ev = {self.smearing_width_ev:g}: fixed occupations '
                'have the width 0, smeared ones a larger one'
            )
        return self

    def mesh(self, cell: npt.ArrayLike) -> tuple[int, int, int]:
        """Return the numbers of k-points along the reciprocal vectors of a cell, (3, 3) in Ang, rows its vectors.

        With a spacing s there are ceil(2 pi |b_i| / s) of them, b_i being the rows of the transposed inverse cell.

        :raises ValueError: if the cell has no volume.
        """
        if self.kpoint_mesh is not None:
            return self.kpoint_mesh
        vectors = np.asarray(cell, dtype=float)
        if abs(np.linalg.det(vectors)) < 1e-6:
            raise ValueError('the cell has no volume')
        lengths = 2.0 * np.pi * np.linalg.norm(np.linalg.inv(vectors), axis=0)
        assert self.kpoint_spacing_per_ang is not None
        first, second, third = (max(1, int(np.ceil(n - _ROUNDING))) for n in lengths / self.kpoint_spacing_per_ang)
        return first, second, third
