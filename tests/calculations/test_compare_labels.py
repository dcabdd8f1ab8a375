"""Errors as they are stored: units, by what configurations are grouped, and of what intervals are drawn."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from aiida_litraj.calculations.functions.compare_labels import (
    describe_errors,
    families_of,
    groups_of,
    read_comparison,
)
from aiida_litraj.contract.frames import Frames
from aiida_litraj.contract.units import EV_PER_ANG3_OF_GPA
from aiida_litraj.data import FramesData
from tests.fixtures.labels import some_labelled

SETTINGS = {
    'offsets': 'none', 'ridge_alpha': 1e-5, 'family': 'auto', 'unit': 'auto', 'samples': 100, 'seed': 0,
    'confidence': 0.95,
}  # fmt: skip
pytestmark = pytest.mark.usefixtures('aiida_profile')


def with_info(infos: list[dict[str, Any]], **attributes: Any) -> FramesData:
    frames = some_labelled(len(infos)).frames
    return FramesData.from_frames(replace(frames, info=infos), attributes)


def test_units() -> None:
    """meV/Ang, meV per atom and GPa: of deviations of 0.1 eV/Ang, 0.2 eV per atom and 0.3 GPa everywhere."""
    reference = some_labelled(6)
    frames = reference.frames
    predicted = replace(
        frames, forces=frames.forces + 0.1, energies=frames.energies - 4 * 0.2,
        stresses=frames.stresses + 0.3 * EV_PER_ANG3_OF_GPA,
    )  # fmt: skip
    found = describe_errors(reference, FramesData.from_frames(predicted), read_comparison(SETTINGS))
    for key, value in {
        'rmse_force_mev_per_ang': 100.0, 'mae_force_mev_per_ang': 100.0, 'rmse_energy_mev_per_atom': 200.0,
        'mae_energy_mev_per_atom': 200.0, 'rmse_stress_gpa': 0.3, 'rmse_energy_raw_mev_per_atom': 200.0,
    }.items():  # fmt: skip
        assert found[key] == pytest.approx(value, rel=1e-9), key
        assert found[f'{key}_interval'] == pytest.approx([value, value], rel=1e-6), key
    assert found['per_element']['Li']['rmse_force_mev_per_ang'] == pytest.approx(100.0)
    assert found['per_family']['melt']['rmse_stress_gpa'] == pytest.approx(0.3)
    assert (found['offsets'], found['offset_rank'], found['n_atoms']) == ({}, 0, 24)


@pytest.mark.parametrize(
    ('names', 'told'),
    [
        (['a'] * 6, 'all 6 configurations are of one material: the intervals say nothing of others'),
        (['a', 'b'] * 3, 'the intervals are over 6 single configurations of 2 materials'),
        (['a', None] * 3, 'if some are of one trajectory or material'),
        (list('abcdef'), None),
    ],
)
def test_over_what_intervals_go_is_told_as_far_as_it_is_known(names: list[str | None], told: str | None) -> None:
    reference = FramesData.from_frames(some_labelled(6).frames, {'material_ids': names})
    predicted = FramesData.from_frames(replace(reference.frames, forces=reference.frames.forces + 0.1))
    found = describe_errors(reference, predicted, read_comparison(SETTINGS | {'unit': 'frame'}))
    said = [text for text in found['warnings'] if 'material' in text]
    assert said == [] if told is None else told in said[0]


def test_offsets_are_in_ev() -> None:
    reference = some_labelled(6)
    predicted = replace(reference.frames, energies=reference.frames.energies - 4 * 0.2)
    found = describe_errors(
        reference, FramesData.from_frames(predicted), read_comparison(SETTINGS | {'offsets': 'least_squares'})
    )
    assert found['offsets'] == {'Li': pytest.approx(0.2)}
    assert found['rmse_energy_mev_per_atom'] == pytest.approx(0.0, abs=1e-9)
    assert (found['offset_rank'], found['offset_unique']) == (1, True)


@pytest.mark.parametrize(
    ('wanted', 'infos', 'attributes', 'expected'),
    [
        ('auto', [{'stage': 'a', 'label': 'x'}, {'stage': 'b', 'label': 'y'}], {}, ('label', ['x', 'y'])),
        ('auto', [{'stage': 'a', 'label': 'x'}, {'stage': 'b', 'label': 'x'}], {}, ('stage', ['a', 'b'])),
        ('auto', [{'stage': 'a'}, {}, {'stage': 'b'}], {}, ('stage', ['a', None, 'b'])),
        ('auto', [{}, {}], {'dataset': 'set'}, (None, None)),
        ('material', [{}, {}], {'material_ids': ['m', 'n']}, ('material', ['m', 'n'])),
        ('colour', [{'colour': 1}, {'colour': 2}], {}, ('colour', ['1', '2'])),
        (None, [{'stage': 'a'}, {'stage': 'b'}], {}, (None, None)),
    ],
)
def test_families(wanted: str | None, infos: Any, attributes: Any, expected: Any) -> None:
    node = with_info(infos, **attributes)
    assert families_of(node, node.frames, wanted) == expected


@pytest.mark.parametrize(
    ('wanted', 'infos', 'attributes', 'unit', 'number'),
    [
        ('auto', [{}] * 3, {'material_ids': ['m', 'm', 'n']}, 'material', 2),
        ('auto', [{}] * 3, {'material_ids': ['m', None, 'm']}, 'material', 2),
        ('auto', [{}] * 3, {'material_ids': [None] * 3}, 'frame', None),
        ('auto', [{}] * 3, {'material_id': 'm'}, 'material', 1),
        ('auto', [{'material_id': 'm'}, {'material_id': 'n'}], {}, 'material', 2),
        ('auto', [{'trajectory': 1}, {'trajectory': 1}, {'trajectory': 2}], {}, 'trajectory', 2),
        ('trajectory', [{'replica': 'a'}, {'replica': 'b'}], {'material_ids': ['m', 'm']}, 'trajectory', 2),
        ('frame', [{}] * 3, {'material_ids': ['m', 'm', 'n']}, 'frame', None),
    ],
)
def test_groups(wanted: str, infos: Any, attributes: Any, unit: str, number: int | None) -> None:
    node = with_info(infos, **attributes)
    found, groups = groups_of(node, node.frames, wanted)
    assert found == unit
    assert (groups is None) if number is None else (len(set(groups)) == number)


def test_configuration_that_is_there_twice_is_warned_of() -> None:
    frames = some_labelled(3).frames
    ids = {'entry_ids': ['a', 'b', 'c', 'a-again']}
    node = FramesData.from_frames(Frames.stack([*frames, frames[0]]), ids)
    (told,) = [one for one in describe_errors(node, node, read_comparison(SETTINGS))['warnings'] if 'again' in one]
    assert told == '1 configuration is there again under another name: a = a-again; each counts as often'


def test_a_name_for_each_configuration_is_no_family_unless_asked_for() -> None:
    node = with_info([{'label': f'frame {index}'} for index in range(60)])
    assert families_of(node, node.frames, 'auto') == (None, None)
    assert families_of(node, node.frames, 'label')[0] == 'label'
    assert np.size(families_of(node, node.frames, 'label')[1]) == 60
