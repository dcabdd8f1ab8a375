"""Labels join a set."""

from __future__ import annotations

from typing import Any

import pytest
from aiida.engine import run_get_node

from aiida_litraj.groups.dataset import DatasetGroup
from aiida_litraj.groups.query import find_entry
from aiida_litraj.groups.verify import verify
from aiida_litraj.workflows.label import LabelWorkChain
from tests.fixtures.label_backend import springs_level
from tests.fixtures.labelling import configuration, frames_of


@pytest.mark.storage
def test_labels_join_a_set_in_which_each_is_once(inputs: Any) -> None:
    frames = frames_of(configuration(2), configuration(3), entry_ids=['x/0', 'x/1'])
    _, node = run_get_node(LabelWorkChain, **inputs(frames, dataset='springs of lithium'))
    group = DatasetGroup.of('springs of lithium')
    assert {one.uuid for one in group.nodes} == {one.uuid for one in dict(node.outputs.labels).values()}
    assert find_entry('springs of lithium', 'x/1').uuid == node.outputs.labels['c00001'].uuid
    # Once more, with one more: those that are there stay, and are not there twice.
    more = frames_of(configuration(2), configuration(3), configuration(4), entry_ids=['x/0', 'x/1', 'x/2'])
    _, again = run_get_node(LabelWorkChain, **inputs(more, dataset='springs of lithium'))
    assert again.is_finished_ok
    assert 'has had x/0 already' in again.outputs.report['items']['c00000']['reason']
    assert group.count() == 3
    found = verify('springs of lithium')
    assert found.entries == 3
    assert found.ok, found.problems
    assert 'each node is a label, made by a finished calculation' in found.checked
    other = inputs(frames, dataset='springs of lithium', level=springs_level(functional='PBEsol'))
    with pytest.raises(ValueError, match=r'another level \(functional PBE there and PBEsol here\)'):
        run_get_node(LabelWorkChain, **other)


def test_name_that_a_set_has_for_another_configuration_is_refused_before_anything_is_queued(
    inputs: Any, count_processes: Any
) -> None:
    run_get_node(LabelWorkChain, **inputs(frames_of(configuration(2), entry_ids=['x']), dataset='named'))
    before = count_processes()
    with pytest.raises(ValueError, match="'named' has an entry 'x' that is another configuration"):
        run_get_node(LabelWorkChain, **inputs(frames_of(configuration(2, 1), entry_ids=['x']), dataset='named'))
    twice = frames_of(configuration(2), configuration(3), entry_ids=['y', 'y'])
    with pytest.raises(ValueError, match="two configurations have the entry_id 'y'"):
        run_get_node(LabelWorkChain, **inputs(twice, dataset='named'))
    assert count_processes() == before


def test_entries_of_two_inputs_without_names_do_not_meet_in_a_set(inputs: Any) -> None:
    for seed in (0, 100):
        _, node = run_get_node(LabelWorkChain, **inputs(frames_of(configuration(3, seed)), dataset='nameless'))
        assert not node.outputs.report['items']['c00000']['reason']
    assert DatasetGroup.of('nameless').count() == 2
