"""A selection knows each entry it was drawn from, is the same each time, and leaks no material."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiida.common.links import LinkType
from aiida.orm import load_node

from aiida_litraj.calculations.functions import select_entries as selecting
from aiida_litraj.datasets.ingest.run import import_dataset
from aiida_litraj.datasets.make import make
from aiida_litraj.groups import DatasetGroup
from aiida_litraj.groups.query import find_entry
from aiida_litraj.groups.select import Selection, Wish, select
from tests.fixtures.sets import entry_frames, store_set


@pytest.fixture(scope='module', params=['entry', 'trajectory'])
def name(request: pytest.FixtureRequest, aiida_profile: object) -> str:
    made = f'selected_from_{request.param}'
    store_set(made, 100, request.param)
    return made


def ids(made: Selection, part: str = 'selected') -> list[str]:
    return made.parts[part].entry_ids


def number(entry_id: str) -> int:
    return int(entry_id.rpartition('_')[2])


def test_each_entry_is_followed_to_its_node_and_back(name: str) -> None:
    made = select(name, Wish(number=7, seed=2), elements='Li', barrier=(0.2, None))
    node = made.parts['selected']
    attributes = node.base.attributes.all
    assert node.n_frames == len(set(node.entry_ids)) == 7
    linked = {one.uuid for one in node.creator.base.links.get_incoming(link_type=LinkType.INPUT_CALC).all_nodes()}
    for index, (entry_id, (uuid, within)) in enumerate(zip(node.entry_ids, attributes['origins'], strict=True)):
        there = find_entry(name, entry_id)
        assert (there.uuid, there.index) == (uuid, within) and uuid in linked
        frame = node.frames[index]
        np.testing.assert_array_equal(frame.positions, entry_frames(number(entry_id)).positions)
        assert attributes['entry_properties'][index]['em'] == 0.01 * number(entry_id) >= 0.2
        assert attributes['material_ids'][index] == f'mp-{number(entry_id) % 10}'
        origin = load_node(uuid)
        assert (
            node
            in origin.base.links.get_outgoing(link_type=LinkType.INPUT_CALC)
            .first()
            .node.base.links.get_outgoing(link_type=LinkType.CREATE)
            .all_nodes()
        )


def test_the_criteria_are_an_input(name: str) -> None:
    made = select(name, Wish(number=3, seed=9), formula=['Li2S'])
    content = made.process.inputs.criteria.get_dict()
    picks = content.pop('picks')
    assert content == {
        'dataset': name, 'criteria': {'formula': ['Li2S']}, 'strategy': 'random', 'number': 3, 'seed': 9,
        'descriptor': None, 'parts': None, 'grouped_by': None, 'n_candidates': 34,
    }  # fmt: skip
    assert len(picks['selected']) == 3
    # Nothing in it but the choice: the same choice from another profile has the same hash.
    assert not any(len(str(value)) == 36 for pick in picks['selected'] for value in pick)


@pytest.mark.parametrize('strategy', ['random', 'stratified', 'farthest'])
def test_the_same_wish_gives_the_same_entries(name: str, strategy: str) -> None:
    wish = Wish(number=12, strategy=strategy, seed=4)
    assert ids(select(name, wish)) == ids(select(name, wish))


def test_strategies_do_not_depend_on_how_the_set_is_stored(
    aiida_profile: object, request: pytest.FixtureRequest
) -> None:
    store_set('twin_entry', 40, 'entry')
    store_set('twin_trajectory', 40, 'trajectory')
    for wish in (
        Wish(number=9, seed=1), Wish(number=9, strategy='stratified'), Wish(number=9, strategy='farthest'),
        Wish(number=9, strategy='farthest', descriptor='radial'), Wish(strategy='all'),
    ):  # fmt: skip
        assert ids(select('twin_entry', wish)) == ids(select('twin_trajectory', wish))


def test_stratified_takes_one_of_each_material(name: str) -> None:
    made = select(name, Wish(number=10, strategy='stratified'))
    assert sorted(number(one) % 10 for one in ids(made)) == list(range(10))


def test_farthest_points_reach_the_ends(name: str) -> None:
    made = select(name, Wish(number=6, strategy='farthest'), formula='Li3PS4')
    # One composition: energy and force grow with the number, so the ends are chosen after the mean.
    assert {1, 97} <= {number(one) for one in ids(made)[:3]}


def test_no_material_is_in_two_parts(name: str) -> None:
    made = select(name, Wish(strategy='all', parts={'train': 0.6, 'val': 0.2, 'test': 0.2}))
    owned = {part: {number(one) % 10 for one in ids(made, part)} for part in made.parts}
    assert {part: len(materials) for part, materials in owned.items()} == {'train': 6, 'val': 2, 'test': 2}
    assert sum(map(len, owned.values())) == len(set.union(*owned.values())) == 10
    assert sum(len(ids(made, part)) for part in owned) == 100


@pytest.mark.usefixtures('aiida_profile_clean')
@pytest.mark.parametrize('granularity', ['entry', 'trajectory'])
def test_without_materials_no_chemical_system_is_in_two_parts(granularity: Any, tmp_path: Path) -> None:
    """MPLiTrj names no material; one with and without a vacancy has two formulas and the same elements."""
    import_dataset(make('MPLiTrj', tmp_path, n=60), 'MPLiTrj', granularity=granularity, workers=0)
    made = select('MPLiTrj', Wish(strategy='all', parts={'train': 0.6, 'val': 0.4}, seed=1))
    systems = {part: {frozenset(frame.numbers.tolist()) for frame in node.frames} for part, node in made.parts.items()}
    assert systems['train'] and systems['val'] and not systems['train'] & systems['val']
    assert sum(node.n_frames for node in made.parts.values()) == 60
    assert made.process.inputs.criteria['grouped_by'] == 'elements'
    for node in made.parts.values():
        assert node.base.attributes.get('grouped_by') == 'elements'
        assert 'no two parts share one' in node.description and (node.description,) == made.notes

    n_systems = len(set.union(*systems.values()))
    few = select('MPLiTrj', Wish(number=n_systems, strategy='stratified')).parts['selected']
    assert len({frozenset(frame.numbers.tolist()) for frame in few.frames}) == n_systems


def test_with_materials_they_are_what_is_kept_together(name: str) -> None:
    made = select(name, Wish(number=10, strategy='stratified'))
    assert made.parts['selected'].base.attributes.get('grouped_by') == 'material_id' and not made.notes


def test_many_configurations_are_read_a_few_at_a_time(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A selection by radial distributions, in which all are read, does not depend on how many are read at once."""
    wish = Wish(number=9, strategy='farthest', descriptor='radial')
    whole = select(name, wish)
    read: list[int] = []

    def counted(nodes: Any) -> Any:
        read.append(len(nodes))
        return read_frames(nodes)

    read_frames = selecting.read_frames
    monkeypatch.setattr(selecting, 'read_frames', counted)
    monkeypatch.setattr(selecting, 'BATCH', 7)
    monkeypatch.setattr(selecting, 'BATCH_OF_MANY', 1)
    again = select(name, wish)
    assert ids(again) == ids(whole)
    assert again.parts['selected'].frames.to_bytes() == whole.parts['selected'].frames.to_bytes()
    assert max(read) <= 7 and sum(read) >= DatasetGroup.of(name).count()


IMPOSSIBLE: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({'number': 50}, {'split': 'val'}, '50 entries are wished for, but only 10 meet the criteria: ask for fewer'),
    ({'number': 5}, {'barrier': (7, None)}, r'no entry of .* meets the criteria \(barrier=\(7, None\)\): widen them'),
    ({'number': 0}, {}, 'number 0 is not a number of entries'),
    ({}, {}, 'strategy random needs a number of entries'),
    ({'strategy': 'all', 'number': 3}, {}, 'strategy all takes all that meet the criteria, not 3'),
    ({'strategy': 'best', 'number': 3}, {}, "no strategy 'best'; known are: all, random, farthest, stratified"),
    ({'number': 3, 'descriptor': 'soap'}, {}, "no descriptor 'soap'; known are: facts, radial"),
    ({'number': 9, 'parts': {'a': 0.5, 'b': 0.4}}, {}, 'the parts a=0.5, b=0.4 are no split'),
    ({'number': 9, 'parts': {'a b': 1.0}}, {}, "'a b' is no name of a part"),
    ({'number': 4, 'parts': {'a': 0.5, 'b': 0.5}}, {'material': 'mp-1'}, r'1 material\(s\) cannot be split in 2'),
]


@pytest.mark.parametrize(('wish', 'criteria', 'message'), IMPOSSIBLE, ids=lambda value: str(value)[:30])
def test_what_cannot_be_is_refused(name: str, wish: dict[str, Any], criteria: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        select(name, Wish(**wish), **criteria)


def test_links_stored_at_once_make_the_same_graph(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    wish = Wish(number=8, seed=6)
    one_by_one = select(name, wish)
    monkeypatch.setattr('aiida_litraj.groups.select.FEW_LINKS', 0)
    at_once = select(name, wish)
    first, second = one_by_one.process, at_once.process
    assert second.is_sealed and second.is_finished_ok and second.process_type == first.process_type
    assert second.base.attributes.all == first.base.attributes.all
    assert second.base.caching.get_hash() == first.base.caching.get_hash() == second.base.caching.compute_hash()

    def links(process: Any) -> set[tuple[str, str]]:
        return {(link.link_label, link.node.uuid) for link in process.base.links.get_incoming().all()}

    assert links(second) - links(first) == {('criteria', second.inputs.criteria.uuid)}
    assert len(links(second)) == len(links(first))
    node, twin = one_by_one.parts['selected'], at_once.parts['selected']
    assert twin.base.caching.get_hash() == node.base.caching.get_hash() and twin.creator.uuid == second.uuid
