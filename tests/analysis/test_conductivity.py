"""Plans of conductivities, mean cells, and what runs say together."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.spatial.transform import Rotation

from aiida_litraj.analysis.conductivity import (
    ConductivitySettings,
    equilibration_replicas,
    mean_cell,
    measure,
    name_of,
    production_replicas,
)
from aiida_litraj.analysis.transport import Run
from tests.fixtures.walks import gaussian

SETTINGS: dict[str, Any] = {
    'mobile_element': 'Li', 'charge': 1.0, 'min_image_distance_ang': 8.0, 'temperatures_k': [800.0, 600.0],
    'repeats': 2, 'seed': 0,
    'equilibration': {'duration_ps': 2.0, 'discard_ps': 1.0, 'pressure_gpa': 0.5},
    'production': {'duration_ps': 10.0, 'discard_ps': 1.0},
    'analysis': {'hop_length_ang': 3.0, 'window_factor': 2.0, 'min_windows': 10.0, 'framework_msd_ang2': 1.0},
}  # fmt: skip
ROUND_OFF = 1e-10


def settings(**changes: Any) -> ConductivitySettings:
    return ConductivitySettings.model_validate({**SETTINGS, **changes})


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'temperatures_k': []}, 'at least one temperature'),
        ({'temperatures_k': [600.0, -1.0]}, 'greater than 0'),
        ({'temperatures_k': [600.0, 600.0]}, 'given once'),
        ({'repeats': 0}, 'greater than 0'),
        ({'charge': 0.0}, 'carry no current'),
        ({'production': {'duration_ps': 5.0, 'discard_ps': 5.0}}, 'leaves nothing of 5 ps'),
        ({'mobil_element': 'Li'}, 'Extra inputs'),
    ],
)
def test_settings_that_cannot_be_run_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        settings(**changes)


def test_run_shorter_than_the_window_is_refused() -> None:
    settings().check_frames(400.0, 'production')
    with pytest.raises(ValueError, match=r'production.duration_ps = 10 is shorter .* 10 frames are left after 1 ps'):
        settings().check_frames(1000.0, 'production')


def test_names_can_be_those_of_links() -> None:
    assert [name_of(600.0), name_of(600.0, 2), name_of(612.5, 1)] == ['T600', 'T600_r2', 'T612p5_r1']


def test_replicas_of_both_stages() -> None:
    first = equilibration_replicas(settings(), 'supercell')
    assert list(first) == ['T600', 'T800']
    segment = {'duration_fs': 2000.0, 'temperature_k': 600.0, 'pressure_gpa': 0.5}
    assert (first['T600']['structure'], first['T600']['schedule']) == ('supercell', [segment])
    second = production_replicas(settings(), 800.0)
    assert list(second) == ['T800_r1', 'T800_r2']
    assert second['T800_r1']['schedule'] == [{'duration_fs': 10000.0, 'temperature_k': 800.0}]
    assert {one['structure'] for one in second.values()} == {'T800'}


def test_seeds_differ_and_do_not_depend_on_what_else_is_run() -> None:
    every = {**equilibration_replicas(settings(), 's'), **production_replicas(settings(), 600.0)}
    assert len({one['seed'] for one in every.values()}) == len(every)
    more = settings(temperatures_k=[600.0, 700.0], repeats=5)
    assert production_replicas(more, 600.0)['T600_r2'] == every['T600_r2']
    assert production_replicas(settings(seed=1), 600.0)['T600_r2']['seed'] != every['T600_r2']['seed']


def test_mean_cell_of_one_that_breathes_shears_and_turns() -> None:
    """Stretches whose mean is known, each turned by another rotation: these must not shrink the mean."""
    generator, cell = np.random.default_rng(0), np.array([[8.0, 0.0, 0.0], [1.0, 9.0, 0.0], [0.0, 2.0, 10.0]])
    strains = 0.02 * generator.normal(size=(50, 3, 3))
    strains = np.concatenate([np.zeros((1, 3, 3)), strains + strains.transpose(0, 2, 1)])
    turns = [np.eye(3), *(Rotation.random(random_state=k).as_matrix() for k in range(50))]
    cells = np.array([cell @ (np.eye(3) + strain) @ turn for strain, turn in zip(strains, turns)])
    fractional = np.array([[0.1, 0.2, 0.3], [1.6, -0.5, 0.9]])
    mean = mean_cell(cells, fractional @ cells, np.ones(51))
    volumes = abs(np.linalg.det(cells))
    assert mean.volume_ang3 == pytest.approx(volumes.mean())
    assert abs(np.linalg.det(mean.cell)) == pytest.approx(volumes.mean())
    shape = cell @ (np.eye(3) + strains.mean(axis=0))
    shape = shape * (volumes.mean() / np.linalg.det(shape)) ** (1 / 3)
    np.testing.assert_allclose(mean.cell, shape, atol=ROUND_OFF)
    np.testing.assert_allclose(mean.positions, fractional @ mean.cell, atol=ROUND_OFF)


def test_volume_that_still_grows_has_not_come_to_rest() -> None:
    generator = np.random.default_rng(1)
    noise = 0.01 * generator.normal(size=200)
    edges = {'at rest': 10.0 * (1.0 + noise / 3), 'growing': 10.0 * (1.0 + noise / 3 + np.linspace(0, 0.05, 200))}
    found = {
        name: mean_cell(edge[:, None, None] * np.eye(3), np.zeros((200, 1, 3)), np.ones(200))
        for name, edge in edges.items()
    }
    assert found['at rest'].settled
    assert not found['growing'].settled
    assert found['growing'].drift == pytest.approx(3 * 0.025, rel=0.1)


def test_mean_cell_of_a_single_frame_is_refused() -> None:
    with pytest.raises(ValueError, match='two frames at least'):
        mean_cell(np.eye(3)[None], np.zeros((1, 1, 3)), np.ones(1))


def test_frame_in_which_atoms_overlap_is_no_start() -> None:
    cells, positions = np.tile(np.eye(3), (3, 1, 1)), np.arange(3.0)[:, None, None] * np.ones((3, 1, 3))
    np.testing.assert_allclose(mean_cell(cells, positions, np.array([1.0, 1.0, 0.2])).positions, 1.0)
    with pytest.raises(ValueError, match=r'all atoms are 0\.35 Ang apart'):
        mean_cell(cells, positions, np.full(3, 0.1))


def test_repeats_alone_and_together() -> None:
    """A repeat that is missing at one temperature is left out of that, not of the others."""
    generator, chosen = np.random.default_rng(2), settings(temperatures_k=[600.0, 800.0, 1000.0])
    runs = {
        temperature: {
            repeat: Run(
                np.concatenate([gaussian(generator, 2000, 10, 0.3), np.zeros((2000, 2, 3))], axis=1),
                0.1 * np.arange(2000),
                1000.0,
            )
            for repeat in ((1, 2) if temperature < 1000.0 else (2,))
        }
        for temperature in chosen.temperatures_k
    }
    found = measure(runs, range(10), np.ones(12), chosen)
    assert [len(one.durations_ps) for one in found.together.transports] == [2, 2, 1]
    assert {number: len(one.transports) for number, one in found.repeats.items()} == {1: 2, 2: 3}
