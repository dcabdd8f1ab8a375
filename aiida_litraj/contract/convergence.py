"""Which settings of a code are compared, on how many configurations."""

from __future__ import annotations

from pydantic import NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from .base import Model
from .level import Level

Mesh = tuple[PositiveInt, PositiveInt, PositiveInt]


class ConvergenceGrid(Model):
    """Cutoffs at the level's k-points, and k-points at the level's cutoff; the level's own are always among them."""

    cutoffs_ev: list[PositiveFloat]
    kpoint_spacings_per_ang: list[PositiveFloat]
    kpoint_meshes: list[Mesh]
    """Beside or instead of spacings."""
    n_sample: PositiveInt
    """How many configurations are computed at each setting, drawn at random."""
    seed: NonNegativeInt

    @model_validator(mode='after')
    def _something(self) -> ConvergenceGrid:
        if not (self.cutoffs_ev or self.kpoint_spacings_per_ang or self.kpoint_meshes):
            raise ValueError('cutoffs_ev, kpoint_spacings_per_ang and kpoint_meshes are all empty: nothing to compare')
        return self


def settings_of(grid: ConvergenceGrid, level: Level) -> dict[str, dict[str, Level]]:
    """Return the levels to be compared by series, ``cutoff`` and ``kpoints``, each by name, the finest last.

    A series of one is left out. The level's own setting has the same name in both.
    """
    cutoffs = sorted({*grid.cutoffs_ev, level.cutoff_ev})
    series = {
        'cutoff': {_name(one): one for one in (level.model_copy(update={'cutoff_ev': ev}) for ev in cutoffs)},
    }
    kpoints = [level]
    for spacing in grid.kpoint_spacings_per_ang:
        kpoints.append(level.model_copy(update={'kpoint_spacing_per_ang': spacing, 'kpoint_mesh': None}))
    for mesh in grid.kpoint_meshes:
        kpoints.append(level.model_copy(update={'kpoint_spacing_per_ang': None, 'kpoint_mesh': mesh}))
    series['kpoints'] = {_name(one): one for one in sorted(kpoints, key=_density)}
    asked = {'cutoff': grid.cutoffs_ev, 'kpoints': [*grid.kpoint_spacings_per_ang, *grid.kpoint_meshes]}
    return {name: levels for name, levels in series.items() if asked[name] and len(levels) > 1}


def kpoints_text(level: Level) -> str:
    """Return the k-points of a level as a person reads them: ``2x2x2``, or the spacing in 1/Ang."""
    if level.kpoint_mesh is not None:
        return 'x'.join(str(number) for number in level.kpoint_mesh)
    return f'{level.kpoint_spacing_per_ang:g}'


def _name(level: Level) -> str:
    """Return a name that can be that of a link."""
    text = f'ev{level.cutoff_ev:g}_k{kpoints_text(level)}'
    return text.replace('.', '_').replace('-', 'm').replace('+', 'p')


def _density(level: Level) -> tuple[bool, float]:
    """Return what a finer choice has more of; meshes come before spacings, for how fine one is depends on the cell."""
    if level.kpoint_mesh is not None:
        first, second, third = level.kpoint_mesh
        return False, float(first * second * third)
    assert level.kpoint_spacing_per_ang is not None
    return True, 1.0 / level.kpoint_spacing_per_ang
