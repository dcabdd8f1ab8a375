"""Entries are found by what is known of them, whether a node has one or many."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_litraj.groups.criteria import hill
from aiida_litraj.groups.query import barrier_attribute, card_of, count, entries, find_entry, query
from tests.fixtures.sets import entry_frames, facts_of, store_set

N_ENTRIES = 30
ALL = range(N_ENTRIES)

CRITERIA = [
    ({}, lambda n: True),
    ({'split': 'val'}, lambda n: n % 10 == 8),
    ({'formula': 'Li3PS4'}, lambda n: n % 3 == 1),
    ({'formula': ['S4PLi3', 'Li2S']}, lambda n: n % 3 in (0, 1)),
    ({'elements': 'Li-P'}, lambda n: n % 3 == 1),
    ({'elements': ['S']}, lambda n: True),
    ({'chemsys': 'S-P'}, lambda n: n % 3 == 2),
    ({'material': 'mp-3'}, lambda n: n % 10 == 3),
    ({'material': ['mp-3', 'mp-9']}, lambda n: n % 10 in (3, 9)),
    ({'barrier': (0.1, 0.2)}, lambda n: 10 <= n <= 20),
    ({'barrier': (None, 0.05)}, lambda n: n <= 5),
    ({'n_atoms': (7, 7)}, lambda n: n % 3 == 2),
    ({'n_atoms': (8, None)}, lambda n: n % 3 == 1),
    ({'fmax': (2.0, None)}, lambda n: n >= 20),
    ({'energy_per_atom': (None, -1.051)}, lambda n: 0.01 * n / (3, 8, 7)[n % 3] > 0.051),
    ({'properties': {'kind': 'odd'}}, lambda n: n % 2 == 1),
    ({'properties': {'em': (0.25, None)}, 'split': 'train', 'elements': 'Li'}, lambda n: n in (25, 27)),
]


@pytest.fixture(scope='module', params=['entry', 'trajectory'])
def name(request: pytest.FixtureRequest, aiida_profile: object) -> str:
    made = f'made_{request.param}'
    store_set(made, N_ENTRIES, request.param)
    return made


@pytest.mark.parametrize(
    ('criteria', 'meets'), CRITERIA, ids=lambda value: str(value) if isinstance(value, dict) else ''
)
def test_criteria(name: str, criteria: dict, meets) -> None:
    expected = {facts_of(number)['id'] for number in ALL if meets(number)}
    found = list(entries(name, **criteria))
    assert {one.id for one in found} == expected
    assert len(found) == len(expected) == count(name, **criteria)
    for one in found[:3]:
        number = int(one.id.rpartition('_')[2])
        np.testing.assert_array_equal(one.frames().positions, entry_frames(number).positions)


def test_columns(name: str) -> None:
    columns = ['formula', 'material_id', 'split', 'properties.em', 'fmax_ev_per_ang', 'source_line']
    one = next(one for one in entries(name, columns) if one.id == 'mp-8_28')
    assert one.facts.pop('fmax_ev_per_ang') == pytest.approx(2.8)
    assert one.facts == {
        'formula': 'Li3PS4', 'material_id': 'mp-8', 'split': 'val', 'properties.em': 0.28, 'source_line': 281,
    }  # fmt: skip


def test_one_entry_by_its_identifier(name: str) -> None:
    one = find_entry(name, 'mp-8_28')
    assert one.id == 'mp-8_28' and one.index == (0 if name == 'made_entry' else 2)
    np.testing.assert_array_equal(one.frames().forces, entry_frames(28).forces)
    with pytest.raises(ValueError, match=f"the data set {name} has no entry 'mp-8_29'; its first is 'mp-"):
        find_entry(name, 'mp-8_29')


def test_a_split_is_a_set_too(name: str) -> None:
    assert count(f'{name}/val') == 3
    assert {one.id for one in entries(f'{name}/val', barrier=(0.1, None))} == {'mp-8_18', 'mp-8_28'}
    with pytest.raises(ValueError, match=f"{name} has no split 'dev'; known are: test, train, val"):
        count(f'{name}/dev')


def test_the_query_goes_on(name: str) -> None:
    found = query(name, project='id', split='test')
    nodes = 3 if name == 'made_entry' else 2
    assert found.count() == nodes
    assert found.append(entity_type='group.litraj.dataset', with_node='entry', project='label').count() == 2 * nodes


def test_bad_wishes_are_named(name: str) -> None:
    for criteria, message in [
        ({'colour': 'red'}, "there is no criterion 'colour'; known are: barrier"),
        ({'elements': 'Li-Xx'}, "'Xx' is not an element"),
        ({'formula': 'li3'}, "'li3' is not a formula: write it like Li3PO4"),
        ({'barrier': (2, 1)}, 'barrier is to be at least 2 and at most 1: nothing is'),
        ({'n_atoms': 7}, 'n_atoms 7 is not a range'),
    ]:
        with pytest.raises(ValueError, match=message):
            count(name, **criteria)
    with pytest.raises(ValueError, match=r"there is no data set 'none' in the profile .*; known are: .*made"):
        count('none')


def test_card_and_barrier(name: str) -> None:
    assert card_of(name)['title'] == 'Made configurations'
    assert barrier_attribute(name) == 'properties.em'


def test_formula_in_the_order_of_hill() -> None:
    assert [hill(text) for text in ('Li3PO4', 'P2O8Li6', 'CH4', 'H2CLi')] == ['Li3O4P', 'Li3O4P', 'CH4', 'CH2Li']
