"""The models of the ``md`` task: what cannot be run is refused with field, value and remedy."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from aiida_litraj.contract import PotentialSpec
from aiida_litraj.contract.md import MdJob, MdParameters

LANGEVIN = {'kind': 'langevin', 'friction_per_ps': 10.0}
NOSE_HOOVER = {'kind': 'nose-hoover', 'tau_fs': 100.0, 'chain_length': 3}
MTK = {'kind': 'mtk', 'tau_fs': 1000.0, 'chain_length': 3, 'cell': 'full'}
RESCALING = {'kind': 'stochastic-cell-rescaling', 'tau_fs': 1000.0, 'compressibility_per_gpa': 0.03, 'cell': 'full'}


def parameters(**changes: Any) -> dict[str, Any]:
    return {
        'dtype': 'native',
        'ensemble': 'nvt',
        'timestep_fs': 2.0,
        'thermostat': LANGEVIN,
        'barostat': None,
        'initial_velocities': 'maxwell-boltzmann',
        'frame_interval_fs': 100.0,
        'thermo_interval_fs': 10.0,
        'frame_dtype': 'float32',
        'contact_distance_ang': 1.0,
        'last_frames': 5,
        'limits': {
            'temperature_factor': 20.0,
            'temperature_floor_k': 300.0,
            'energy_change_ev_per_atom': 100.0,
            'volume_ratio_min': 0.1,
            'volume_ratio_max': 8.0,
            'max_displacement_ang': 1.0,
            'max_neighbours': 2000.0,
        },
        **changes,
    }


NPT = {'ensemble': 'npt', 'thermostat': NOSE_HOOVER, 'barostat': MTK}


def job(segment: dict[str, Any] | None = None, seed: Any = 7, schedule: Any = None, **changes: Any) -> MdJob:
    segment = {'duration_fs': 1000.0, 'temperature_k': 300.0} | (segment or {})
    return MdJob(
        potential=PotentialSpec(family='toy', name='morse'),
        parameters=parameters(**changes),  # type: ignore[arg-type]
        items=[{'id': 'a', 'seed': seed, 'schedule': [segment] if schedule is None else schedule}],  # type: ignore[list-item]
    )


def test_what_is_written_is_read_back() -> None:
    for given in (job(), job({'pressure_gpa': -1.0, 'pressure_end_gpa': 0.1, 'temperature_end_k': 0.1 + 0.2}, **NPT)):
        assert MdJob.model_validate_json(given.model_dump_json()) == given
    assert MdJob.model_validate_json(job(**NPT | {'ensemble': 'nvt', 'barostat': None}).model_dump_json())


def test_no_number_of_the_science_has_a_default() -> None:
    assert [name for name, field in MdParameters.model_fields.items() if not field.is_required()] == []


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    'timestep': ({'timestep_fs': 0.0}, 'timestep_fs\n.*greater than 0'),
    'backwards': ({'timestep_fs': -1.0}, 'timestep_fs\n.*greater than 0'),
    'ensemble': ({'ensemble': 'nph'}, "ensemble\n.*'nve', 'nvt' or 'npt'"),
    'no thermostat': ({'thermostat': None}, 'ensemble nvt needs a thermostat: give one, or choose another'),
    'no barostat': ({'ensemble': 'npt'}, 'ensemble npt needs a barostat'),
    'thermostat for nve': ({'ensemble': 'nve'}, 'nve has no thermostat, but thermostat is langevin: .* to nvt'),
    'barostat for nvt': ({'barostat': MTK}, 'nvt has no barostat, but barostat is mtk: .* ensemble to npt'),
    'kind': ({'thermostat': {'kind': 'berendsen', 'tau_fs': 100.0}}, "thermostat\n.*'langevin', 'nose-hoover'"),
    'friction': ({'thermostat': {'kind': 'langevin', 'friction_per_ps': 0.0}}, 'friction_per_ps\n.*greater than 0'),
    'pair': (
        {'ensemble': 'npt', 'barostat': MTK},
        'barostat mtk does not go with thermostat langevin: use nose-hoover',
    ),
    'other pair': (
        NPT | {'barostat': RESCALING},
        'barostat stochastic-cell-rescaling does not go with thermostat nose-hoover: use langevin',
    ),
    'fast thermostat': (
        {'thermostat': NOSE_HOOVER | {'tau_fs': 10.0}},
        r'thermostat.tau_fs is 10, less than 10 steps of 2 fs: take a longer',
    ),
    'frames between steps': ({'frame_interval_fs': 5.0}, 'frame_interval_fs is 5 fs, no multiple of .* take 4'),
    'thermo within a step': ({'thermo_interval_fs': 1.0}, 'thermo_interval_fs is 1 fs, no multiple .* take 2'),
    'infinite': ({'contact_distance_ang': float('inf')}, 'contact_distance_ang\n.*finite'),
    'unknown field': ({'temperature': 300.0}, 'temperature\n.*Extra inputs'),
    'negative temperature': ({'segment': {'temperature_k': -300.0}}, 'temperature_k\n.*greater than 0'),
    'ramp to zero': ({'segment': {'temperature_end_k': 0.0}}, 'temperature_end_k\n.*greater than 0'),
    'no time': ({'segment': {'duration_fs': 0.0}}, 'duration_fs\n.*greater than 0'),
    'half a step': ({'segment': {'duration_fs': 101.0}}, r'a: schedule\[0\].duration_fs is 101 fs, no multiple'),
    'no schedule': ({'schedule': []}, 'schedule\n.*at least 1 item'),
    'no pressure': (NPT, r'a: schedule\[0\].pressure_gpa is missing: npt needs one'),
    'pressure in nvt': ({'segment': {'pressure_gpa': 1.0}}, 'pressure_gpa is 1, which nvt cannot hold: .* to npt'),
    'end without a start': ({'segment': {'pressure_end_gpa': 1.0}}, 'pressure_end_gpa is 1 without pressure_gpa'),
    'pressure in Pa': (
        NPT | {'segment': {'pressure_gpa': 1e9}},
        'pressure_gpa\n.*pressures are in GPa; 1e9 Pa is 1 GPa',
    ),
    'ramp to a pressure in Pa': (
        NPT | {'segment': {'pressure_gpa': 0.0, 'pressure_end_gpa': -1e6}},
        'pressure_end_gpa\n.*pressures are in GPa',
    ),
    'ramp in nve': (
        {'ensemble': 'nve', 'thermostat': None, 'segment': {'temperature_end_k': 500.0}},
        'temperature_end_k is 500, but nve has no thermostat',
    ),
    'seed': ({'seed': -1}, 'seed\n.*greater than or equal to 0'),
    'large seed': ({'seed': 2**63}, 'seed\n.*less than or equal'),
    'factor': (
        {'limits': parameters()['limits'] | {'temperature_factor': 0.5}},
        'temperature_factor\n.*greater than 1',
    ),
}


@pytest.mark.parametrize('fault', REFUSED)
def test_what_cannot_be_run_is_refused(fault: str) -> None:
    changes, said = REFUSED[fault]
    with pytest.raises(ValidationError, match=said):
        job(**changes)


def test_pressures_of_a_grid_of_the_paper_are_taken() -> None:
    made = job({'pressure_gpa': 1e3, 'pressure_end_gpa': -1e4}, **NPT)
    assert made.items[0].schedule[0].pressure_gpa == 1e3


def test_numbers_that_are_multiples_but_for_round_off_are_taken() -> None:
    made = job({'duration_fs': 0.3}, timestep_fs=0.1, frame_interval_fs=0.3, thermo_interval_fs=0.7)
    assert made.parameters.thermo_interval_fs == 0.7
