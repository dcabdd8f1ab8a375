"""GPAW's level as flat options of a potential: there and back, and faults by their names."""

from __future__ import annotations

from typing import Any

import pytest

from aiida_litraj.contract.gpaw import GpawOptions

OPTIONS: dict[str, Any] = {
    'functional': 'PBEsol',
    'cutoff_ev': 400.0,
    'kpoint_mesh': '3 2 1',
    'smearing': 'gaussian',
    'smearing_width_ev': 0.05,
    'energy_convergence_ev': 1e-5,
    'density_convergence': 1e-4,
    'max_scf_steps': 80,
    'setups': 'PBE',
    'point_group': False,
}


@pytest.mark.parametrize('points', [{'kpoint_mesh': '3 2 1'}, {'kpoint_spacing_per_ang': 0.3}])
def test_there_and_back(points: dict[str, Any]) -> None:
    given = {key: value for key, value in OPTIONS.items() if key != 'kpoint_mesh'} | points
    read = GpawOptions.from_options(given)
    assert read.to_options() == given
    assert (read.level.stress, read.level.spin_polarized, read.setup_functional) == (True, False, 'PBE')
    assert GpawOptions.from_options({**given, 'force_convergence_ev_per_ang': 0.01}).to_options() != given


def test_ranks_alone_do_not_make_other_physics() -> None:
    assert 'ranks' not in GpawOptions.from_options({**OPTIONS, 'ranks': 4}).to_options()
    one, four = (GpawOptions.from_options({**OPTIONS, 'ranks': ranks}) for ranks in (1, 4))
    assert one.physics() == four.physics()
    assert one.physics() != GpawOptions.from_options({**OPTIONS, 'ranks': 1, 'cutoff_ev': 401}).physics()
    assert one.physics() != GpawOptions.from_options({**OPTIONS, 'ranks': 1, 'setups': 'LDA'}).physics()


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        ({'kpoint_mesh': '3 2'}, "kpoint_mesh = '3 2': write three whole numbers"),
        ({'kpoint_mesh': 'a b c'}, 'write three whole numbers'),
        ({'kpoint_mesh': '0 1 1'}, 'kpoint_mesh'),
        ({'kpoint_spacing_per_ang': 0.3}, 'it takes one'),
        ({'spin_polarized': True}, 'spin_polarized is no option'),
        ({'stress': True}, 'stress is no option'),
        ({'functional': 'B3LYP'}, 'functional'),
        ({'ranks': 0}, 'ranks'),
        ({'cutof': 1}, 'cutof'),
    ],
)
def test_faults_are_named(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        GpawOptions.from_options({**OPTIONS, **change})
