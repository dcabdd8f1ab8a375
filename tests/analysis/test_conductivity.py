"""Plans of conductivities, mean cells, and what runs say together."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from aiida_litraj.analysis.conductivity import (
    ConductivitySettings,
    equilibration_replicas,
    measure,
    name_of,
    production_replica,
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


def test_windows_that_are_wider_than_the_run_are_refused() -> None:
    """Two windows of 30 times the shortest lag do not fit: no ion could ever have diffused."""
    wide = settings(analysis={**SETTINGS['analysis'], 'window_factor': 30.0})
    wide.check_frames(150.0, 'production')
    with pytest.raises(ValueError, match='46 frames are left after 1 ps, one every 200 fs, and 61 are needed'):
        wide.check_frames(200.0, 'production')


def test_equilibration_without_blocks_is_refused() -> None:
    settings().check_frames(100.0, 'equilibration')
    with pytest.raises(ValueError, match='6 frames are left after 1 ps, one every 200 fs, and 10 are needed'):
        settings().check_frames(200.0, 'equilibration')


def test_names_can_be_those_of_links() -> None:
    assert [name_of(600.0), name_of(600.0, 2), name_of(612.5, 1)] == ['T600', 'T600_r2', 'T612p5_r1']


def test_replicas_of_both_stages() -> None:
    first = equilibration_replicas(settings(), 'supercell')
    assert list(first) == ['T600_r1', 'T600_r2', 'T800_r1', 'T800_r2']
    segment = {'duration_fs': 2000.0, 'temperature_k': 600.0, 'pressure_gpa': 0.5}
    assert (first['T600_r2']['structure'], first['T600_r2']['schedule']) == ('supercell', [segment])
    second = production_replica(settings(), 800.0, 1)
    assert second['schedule'] == [{'duration_fs': 10000.0, 'temperature_k': 800.0}]
    assert second['structure'] == 'T800_r1'


def test_seeds_differ_and_do_not_depend_on_what_else_is_run() -> None:
    first, second = equilibration_replicas(settings(), 's'), [production_replica(settings(), 600.0, n) for n in (1, 2)]
    assert len({one['seed'] for one in (*first.values(), *second)}) == len(first) + len(second)
    more = settings(temperatures_k=[600.0, 700.0], repeats=5)
    assert production_replica(more, 600.0, 2) == second[1]
    assert equilibration_replicas(more, 's')['T600_r2'] == first['T600_r2']
    assert production_replica(settings(seed=1), 600.0, 2)['seed'] != second[1]['seed']


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
