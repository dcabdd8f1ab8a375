"""What a potential has learnt from, and who has seen a configuration, on a graph with all that could mislead."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest
from aiida.common.links import LinkType
from aiida.orm import CalcJobNode, Node, load_node
from click.testing import CliRunner

from aiida_litraj.cli import main
from aiida_litraj.data import FramesData, PotentialData
from aiida_litraj.groups.lineage import lineage, seen_by
from aiida_litraj.groups.query import find_entry
from aiida_litraj.groups.select import Wish, select
from tests.fixtures.nodes import Job, potential
from tests.fixtures.sets import store_set
from tests.fixtures.training import labelled, train_parameters, training


@dataclass
class Graph:
    """A foundation, potentials of its fine-tuning, and one of configurations that these have led to.

    ``first`` and ``twin`` learn from ``train``; ``second`` goes on from ``first`` with ``more``; ``second`` drives
    dynamics, whose configurations ``found`` are labelled and learnt from scratch by ``third``.
    """

    name: str
    train: FramesData
    valid: FramesData
    more: FramesData
    found: FramesData
    foundation: PotentialData
    first: PotentialData
    twin: PotentialData
    second: PotentialData
    third: PotentialData


_MADE: dict[str, Graph] = {}
"""The graphs, made once: nothing here changes them."""


@pytest.fixture(params=['entry', 'trajectory'])
def graph(request: pytest.FixtureRequest, job_node: Any, computer: Any) -> Graph:
    if request.param not in _MADE:
        _MADE[request.param] = make_graph(f'learnt_{request.param}', request.param, job_node, computer)
    return _MADE[request.param]


def make_graph(name: str, granularity: str, job_node: Any, computer: Any) -> Graph:
    store_set(name, 40, granularity)
    parts = select(name, Wish(20, seed=1, parts={'train': 0.7, 'valid': 0.3})).parts
    more = select(name, Wish(5, seed=7)).parts['selected']
    foundation = potential().store()

    def train(sets: FramesData, valid: FramesData, parent: PotentialData | None, **made: PotentialData) -> None:
        inputs = {
            'trainings': {name: training(seed) for seed, name in enumerate(made)},
            'train_sets': {'train': sets}, 'valid_sets': {'valid': valid}, 'parameters': train_parameters(),
            **({} if parent is None else {'potential': parent}),
        }  # fmt: skip
        job_node(inputs, Job(0, outputs={'potentials': made}, task='train'))

    new = {name: potential(depth=0.1 * k) for k, name in enumerate(('first', 'twin', 'second', 'third'), start=1)}
    train(parts['train'], parts['valid'], foundation, first=new['first'], twin=new['twin'])
    train(more, parts['valid'], new['first'], second=new['second'])
    found = labelled(3, seed=9, entry_ids=['md_0', 'md_1', 'md_2'])
    dynamics = CalcJobNode(computer=computer, process_type='aiida.calculations:litraj.md')
    dynamics.base.links.add_incoming(new['second'], link_type=LinkType.INPUT_CALC, link_label='potential')
    dynamics.store()
    found.base.links.add_incoming(dynamics, link_type=LinkType.CREATE, link_label='frames')
    train(found.store(), labelled(2, seed=3), None, third=new['third'])
    return Graph(name, parts['train'], parts['valid'], more, found, foundation, **new)


def ids(configurations: Any) -> list[str]:
    return [one.entry_id for one in configurations]


def test_learnt_and_validated_are_told_apart(graph: Graph) -> None:
    said = lineage(graph.first)
    assert ids(said.learnt) == graph.train.entry_ids
    assert ids(said.validated) == graph.valid.entry_ids
    assert said.parents == [graph.foundation.uuid]
    assert said.trainings == [graph.first.creator.uuid]


def test_each_configuration_is_followed_to_its_entry(graph: Graph) -> None:
    for one in lineage(graph.first).learnt:
        there = find_entry(graph.name, str(one.entry_id))
        assert (one.node_uuid, one.node_index, one.set_uuid) == (there.uuid, there.index, graph.train.uuid)


def test_what_a_parent_has_learnt_counts(graph: Graph) -> None:
    said = lineage(graph.second)
    assert ids(said.learnt) == [*graph.more.entry_ids, *graph.train.entry_ids]
    assert said.parents == [graph.first.uuid, graph.foundation.uuid]
    assert len(said.trainings) == 2


def test_data_behind_the_dynamics_were_not_learnt(graph: Graph) -> None:
    """The configurations were found with a potential that has learnt from others; these are upstream all the same."""
    said = lineage(graph.third)
    assert ids(said.learnt) == graph.found.entry_ids
    assert said.parents == []
    assert seen_by(graph.found) == [graph.third]


def test_foundation_has_learnt_from_nothing_known(graph: Graph) -> None:
    said = lineage(graph.foundation)
    assert not (said.learnt or said.validated or said.parents or said.trainings)


def entry(graph: Graph, entry_id: str) -> tuple[Node, int]:
    there = find_entry(graph.name, entry_id)
    return load_node(there.uuid), there.index


def test_all_who_have_seen_a_configuration(graph: Graph) -> None:
    learnt = [*{*graph.train.entry_ids} - {*graph.more.entry_ids}]
    assert learnt
    for entry_id in learnt[:3]:
        assert seen_by(*entry(graph, entry_id)) == [graph.first, graph.twin, graph.second], 'an heir has seen it too'
    new = [*{*graph.more.entry_ids} - {*graph.train.entry_ids}]
    assert new
    assert seen_by(*entry(graph, new[0])) == [graph.second]


def test_who_was_judged_by_it_or_never_met_it_has_not_seen_it(graph: Graph) -> None:
    seen = {*graph.train.entry_ids, *graph.more.entry_ids}
    judged = [one for one in graph.valid.entry_ids if one not in seen]
    assert judged
    for entry_id in judged:
        assert seen_by(*entry(graph, entry_id)) == []


def test_both_ways_agree(graph: Graph) -> None:
    potentials = [graph.first, graph.twin, graph.second, graph.third]
    said = {one.uuid: set(ids(lineage(one).learnt)) for one in potentials}
    for entry_id in [*graph.train.entry_ids[:2], *graph.valid.entry_ids[:2], *graph.more.entry_ids[:2]]:
        backwards = {one.uuid for one in seen_by(*entry(graph, entry_id))}
        assert backwards == {uuid for uuid, some in said.items() if entry_id in some}


def test_set_as_it_is_given(graph: Graph) -> None:
    """Configurations of a file are no entries of a data set: the set itself has them."""
    assert seen_by(graph.train) == [graph.first, graph.twin, graph.second]
    assert seen_by(graph.found, 2) == [graph.third]
    assert graph.first not in seen_by(graph.valid)


def test_command_says_who_has_seen_an_entry(graph: Graph) -> None:
    """An heir has seen what its parent has; what nobody has learnt is said to be so, and what is not there refused."""
    entry_id = str(lineage(graph.first).learnt[0].entry_id)
    said = CliRunner().invoke(main, ['dataset', 'seen-by', f'{graph.name}/{entry_id}', '--json'])
    found = json.loads(said.stdout)
    assert [one['pk'] for one in found['potentials']] == [graph.first.pk, graph.twin.pk, graph.second.pk]
    assert found['potentials'][0]['parent'] == (graph.foundation.label or '')
    place = CliRunner().invoke(main, ['dataset', 'seen-by', str(graph.found.pk), '--index', '2'])
    assert str(graph.third.pk) in place.stdout and 'nothing' in place.stdout
    learnt = {*graph.train.entry_ids, *graph.more.entry_ids}
    judged = next(one for one in graph.valid.entry_ids if one not in learnt)
    nobody = CliRunner().invoke(main, ['dataset', 'seen-by', f'{graph.name}/{judged}'])
    assert nobody.exit_code == 0 and 'No potential that is stored here has learnt' in nobody.stdout
    for words, message in (([str(graph.found.pk), '--index', '3'], 'has 3 configurations'), ([f'{graph.name}/x'], 'x')):
        refused = CliRunner().invoke(main, ['dataset', 'seen-by', *words, '--json'])
        assert refused.exit_code == 1 and message in json.loads(refused.stdout)['error']['message']
