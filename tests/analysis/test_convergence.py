"""Differences between settings, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_litraj.analysis.convergence import differences
from aiida_litraj.contract.convergence import ConvergenceGrid, settings_of
from aiida_litraj.contract.frames import Frames
from aiida_litraj.contract.level import Level


def frames(energies: list[float], force: float = 0.0, stress: float | None = 0.0) -> Frames:
    """Return configurations of one, two, ... atoms, whose first atom has this force along x."""
    parts = []
    for number, energy in enumerate(energies, start=1):
        forces = np.zeros((number, 3))
        forces[0, 0] = force
        parts.append(
            Frames.of_one(
                [3] * number, np.zeros((number, 3)), np.eye(3), [True] * 3, energy, forces,
                None if stress is None else [stress, 0, 0, 0, 0, 0],
            )
        )  # fmt: skip
    return Frames.stack(parts)


def test_differences_are_those_of_each_atom() -> None:
    # 3 and 1 meV/atom: together 2, and apart from each other by a standard deviation of the square root of two.
    found = differences(frames([1.0, 2.0]), frames([1.003, 2.002], force=0.3, stress=-0.01))
    assert found.n_frames == 2
    assert found.energy_mev_per_atom == pytest.approx(2.0)
    assert found.energy_spread_mev_per_atom == pytest.approx(np.sqrt(2.0))
    assert found.rmse_force_mev_per_ang == pytest.approx(300.0 * np.sqrt(2 / 9))
    assert found.max_force_mev_per_ang == pytest.approx(300.0)
    assert found.max_stress_gpa == pytest.approx(1.602176634)


def test_what_is_not_known_is_not_made_up() -> None:
    found = differences(frames([1.0], stress=None), frames([1.0]))
    assert found.max_stress_gpa is None and found.energy_spread_mev_per_atom is None
    with pytest.raises(ValueError, match='not the same'):
        differences(frames([1.0]), frames([1.0, 2.0]))


def level(**changes: object) -> Level:
    usual = {
        'functional': 'PBE', 'cutoff_ev': 520.0, 'kpoint_mesh': None, 'kpoint_spacing_per_ang': 0.4,
        'smearing': 'gaussian', 'smearing_width_ev': 0.1, 'spin_polarized': False, 'energy_convergence_ev': 1e-5,
        'density_convergence': 1e-4, 'force_convergence_ev_per_ang': None, 'max_scf_steps': 100, 'stress': True,
    }  # fmt: skip
    return Level.model_validate({**usual, **changes})


def grid(**changes: object) -> ConvergenceGrid:
    usual = {'cutoffs_ev': [], 'kpoint_spacings_per_ang': [], 'kpoint_meshes': [], 'n_sample': 1, 'seed': 0}
    return ConvergenceGrid.model_validate({**usual, **changes})


def test_settings_go_from_coarse_to_fine_with_the_levels_own_among_them() -> None:
    found = settings_of(grid(cutoffs_ev=[700, 340.5], kpoint_spacings_per_ang=[0.3, 0.6]), level())
    assert [one.cutoff_ev for one in found['cutoff'].values()] == [340.5, 520.0, 700.0]
    assert [one.kpoint_spacing_per_ang for one in found['kpoints'].values()] == [0.6, 0.4, 0.3]
    # The one setting that both series have is computed once, and every name can be that of a link.
    shared = set(found['cutoff']) & set(found['kpoints'])
    assert len(shared) == 1
    assert all(name.isidentifier() for names in found.values() for name in names)


def test_meshes_beside_a_mesh() -> None:
    gamma = level(kpoint_mesh=[1, 1, 1], kpoint_spacing_per_ang=None)
    found = settings_of(grid(kpoint_meshes=[[3, 3, 3], [2, 2, 1]]), gamma)
    assert list(found) == ['kpoints']
    assert [one.kpoint_mesh for one in found['kpoints'].values()] == [(1, 1, 1), (2, 2, 1), (3, 3, 3)]
    assert all(one.kpoint_spacing_per_ang is None for one in found['kpoints'].values())


def test_a_level_beside_itself_is_nothing_to_compare() -> None:
    assert settings_of(grid(cutoffs_ev=[520.0], kpoint_spacings_per_ang=[0.4]), level()) == {}
    with pytest.raises(ValueError, match='nothing to compare'):
        grid()
