"""GPAW as a potential of the engine: a level of theory and how it is run, as flat options of the potential.

The options carry the names of the fields of ``contract.level.Level``; the mesh is written ``'2 2 2'``, and what is
``None`` there is left out. Two fields of a level are not among them: the stress is given whenever a task asks for it,
and spins are not polarized.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import PositiveInt

from .base import Model
from .level import Level

FAMILY = 'gpaw'
"""The potential family, and the one name in it."""
MPIEXEC_VARIABLE = 'LITRAJ_MPIEXEC'
"""Environment variable of a compute node: the program that starts the ranks of a group, with its options."""
RANKS = 'options.ranks_per_process'
"""Where a job is told how many ranks share an evaluation."""
Option = str | int | float | bool
_NOT_OPTIONS = ('stress', 'spin_polarized')
SAFER_MIXER: dict[str, str | int | float] = {
    'method': 'separate', 'backend': 'pulay', 'beta': 0.02, 'nmaxold': 5, 'weight': 100.0,
}  # fmt: skip
"""Slower mixing of densities, for a cycle that did not converge by GPAW's habit."""
SMEARINGS: dict[str, dict[str, str | int]] = {
    # Without a Hermite polynomial Methfessel and Paxton's occupations are those of a Gaussian.
    'gaussian': {'name': 'methfessel-paxton', 'order': 0},
    'methfessel-paxton': {'name': 'methfessel-paxton', 'order': 1},
    'fermi-dirac': {'name': 'fermi-dirac'},
    'marzari-vanderbilt': {'name': 'marzari-vanderbilt'},
    'fixed': {'name': 'fermi-dirac'},  # of no width
}
"""Occupations by the smearing of a level, in GPAW's terms, without their width."""
_OPTIONAL = ('kpoint_mesh', 'kpoint_spacing_per_ang', 'force_convergence_ev_per_ang')
"""Fields of a level that are left out where they are ``None``."""


class GpawOptions(Model):
    """What GPAW computes with, and how many MPI ranks share a configuration.

    ``ranks`` 1 is GPAW inside the engine's own process; they come from ``runtime.ranks_per_process`` and are no part of
    the potential. ``setups`` names the functional whose PAW set-ups are taken,
    where that of the level has none of its own (PBEsol goes with those of PBE). ``point_group`` lets GPAW use the
    symmetry of a configuration: cheaper for crystals, but then the real-space grid can depend on the symmetry, and so
    the energy jumps by what the grid is worth where a path loses it.
    """

    level: Level
    ranks: PositiveInt = 1
    setups: str | None = None
    point_group: bool = False

    @property
    def setup_functional(self) -> str:
        """The functional in the names of the set-up files."""
        return self.setups or self.level.functional

    @classmethod
    def from_options(cls, options: Mapping[str, Option]) -> GpawOptions:
        """Return the options of a potential as a model.

        :raises ValueError: naming each that is missing, not known or out of range (pydantic's ``ValidationError``).
        """
        values = dict(options)
        own = {name: values.pop(name) for name in ('ranks', 'setups', 'point_group') if name in values}
        level: dict[str, object] = dict.fromkeys(_OPTIONAL)
        level |= values
        unwanted = [name for name in _NOT_OPTIONS if name in values]
        if unwanted:
            raise ValueError(f'{unwanted[0]} is no option of the family {FAMILY}: leave it out')
        if level['kpoint_mesh'] is not None:
            level['kpoint_mesh'] = _mesh(level['kpoint_mesh'])
        level |= {'stress': True, 'spin_polarized': False}
        return cls.model_validate({'level': Level.model_validate(level), **own})

    def to_options(self) -> dict[str, Option]:
        """Return the same as flat options of a potential."""
        # without ranks: they change no number, and a potential with others is the same one
        values = self.level.model_dump(mode='json', exclude=set(_NOT_OPTIONS), exclude_none=True)
        if self.level.kpoint_mesh is not None:
            values['kpoint_mesh'] = ' '.join(str(number) for number in self.level.kpoint_mesh)
        own = self.model_dump(mode='json', exclude={'level', 'ranks'}, exclude_none=True)
        return values | own

    def physics(self) -> str:
        """Return what of it can change an answer, as text: all but the number of ranks."""
        return self.model_dump_json(exclude={'ranks': True, 'level': {'stress'}})


def _mesh(text: object) -> list[int]:
    """Return the numbers in ``'2 2 2'``.

    :raises ValueError: if these are not three.
    """
    try:
        numbers = [int(part) for part in str(text).replace(',', ' ').split()]
    except ValueError:
        numbers = []
    if len(numbers) != 3:
        raise ValueError(f"kpoint_mesh = {text!r}: write three whole numbers, such as '2 2 2'")
    return numbers
