"""Entries that somebody took out of the groups of their set come back, and are never taken for none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from aiida.orm import Node, QueryBuilder

from aiida_litraj.data import SourceData
from aiida_litraj.datasets.ingest.run import _discard, import_dataset
from aiida_litraj.datasets.make import make
from aiida_litraj.groups import DatasetGroup
from aiida_litraj.groups.verify import verify

pytestmark = pytest.mark.usefixtures('aiida_profile_clean')


@pytest.mark.parametrize('granularity', ['entry', 'trajectory'])
@pytest.mark.parametrize('emptied', ['set', 'split', 'some'])
def test_what_was_taken_out_of_the_groups_comes_back(emptied: str, granularity: Any, tmp_path: Path) -> None:
    """As by ``verdi group remove-nodes``; the nodes are there all the time, and none is made anew."""
    source = make('MPLiTrj', tmp_path, n=40, atoms=8)
    import_dataset(source, 'MPLiTrj', granularity=granularity, workers=0, chunk_size=7)
    group, before = DatasetGroup.of('MPLiTrj'), memberships()
    nodes = QueryBuilder().append(Node).count()
    {'set': group, 'split': group.splits['val'], 'some': group}[emptied].remove_nodes(
        list(group.nodes)[:2] if emptied == 'some' else list(group.nodes)
    )
    assert memberships() != before
    again = import_dataset(source, 'MPLiTrj', granularity=granularity, workers=0, chunk_size=7)
    assert (again.stored, again.entries) == (0, 40)
    assert memberships() == before and QueryBuilder().append(Node).count() == nodes
    assert verify('MPLiTrj', [source]).ok


def test_deleted_group_of_a_split_comes_back(tmp_path: Path) -> None:
    source = make('MPLiTrj', tmp_path, n=40, atoms=8)
    import_dataset(source, 'MPLiTrj', workers=0)
    before = memberships()
    DatasetGroup.collection.delete(DatasetGroup.of('MPLiTrj/val').pk)
    import_dataset(source, 'MPLiTrj', workers=0)
    assert memberships() == before


def test_entries_outside_of_their_group_are_not_discarded(tmp_path: Path) -> None:
    """Nothing is taken for an empty set while there is what its imports made."""
    import_dataset(make('BVEL13k', tmp_path, n=3), 'BVEL13k', workers=0)
    group = DatasetGroup.of('BVEL13k')
    nodes = QueryBuilder().append(Node).count()
    group.clear()
    _discard(group, QueryBuilder().append(SourceData).one()[0])
    assert DatasetGroup.names() == ['BVEL13k'] and QueryBuilder().append(Node).count() == nodes


def memberships() -> dict[str, list[str]]:
    return {
        one.label: sorted(node.uuid for node in one.nodes) for one in QueryBuilder().append(DatasetGroup).all(flat=True)
    }
