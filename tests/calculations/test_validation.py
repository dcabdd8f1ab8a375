"""What is said of a refused value: field, what is wrong and the remedy, not everything that came with it."""

from __future__ import annotations

from typing import Any

import pytest

from aiida_litraj.calculations.validation import check_parameters, validated
from aiida_litraj.contract.md import MdItem, MdParameters
from tests.contract.test_md import LANGEVIN, parameters


@pytest.mark.parametrize(
    ('changes', 'said'),
    [
        (
            {'frame_interval_fs': 3.5},
            'parameters: frame_interval_fs is 3.5 fs, no multiple of timestep_fs 2: take 4, for instance',
        ),
        (
            {'ensemble': 'nve'},
            'parameters: ensemble nve has no thermostat, but thermostat is langevin: set it to null, or the ensemble '
            'to nvt',
        ),
        (
            {'thermostat': {'tau_fs': 200.0}},
            "parameters.thermostat = {'tau_fs': 200.0} has no kind, which says what it is: give one, or leave the rest "
            'of it out',
        ),
        (
            {'thermostat': LANGEVIN | {'kind': 'berendsen', 'something': 'that takes the whole of a line and more'}},
            "parameters.thermostat is of no known kind: there are 'langevin', 'nose-hoover'",
        ),
        ({'timestep_fs': -1.0}, 'parameters.timestep_fs = -1.0: it should be greater than 0'),
        ({'thermostat': LANGEVIN | {'frition': 1}}, 'parameters.thermostat.langevin.frition = 1 is not known'),
    ],
)
def test_refusal_is_one_sentence(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError) as refused:
        check_parameters(parameters(**changes), MdParameters)
    assert str(refused.value).startswith(said)
    assert len(str(refused.value)) <= len(said) + 40


def test_nothing_where_one_is_needed() -> None:
    with pytest.raises(ValueError, match=r'^item\.schedule = \[\] is empty; give at least one$'):
        validated({'id': 'a', 'seed': 1, 'schedule': []}, MdItem, 'item')
