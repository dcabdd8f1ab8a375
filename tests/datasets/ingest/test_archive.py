"""Entries are nodes as any other: archives, deletion and the cache take them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from aiida.engine import calcfunction
from aiida.manage.caching import enable_caching
from aiida.orm import CalcFunctionNode, Data, Float, Group, QueryBuilder
from aiida.tools import delete_nodes
from aiida.tools.archive import create_archive, import_archive

from aiida_litraj.data import FramesData, SourceData
from aiida_litraj.datasets.ingest.run import import_dataset
from aiida_litraj.datasets.make import make
from aiida_litraj.groups import DatasetGroup

pytestmark = pytest.mark.usefixtures('aiida_profile_clean')


def graph() -> dict[str, Any]:
    """Return every node of a set with its content, its hash, its creator's inputs, and the members of the groups."""
    nodes = QueryBuilder().append((FramesData, Data)).all(flat=True)
    links = QueryBuilder().append(SourceData, tag='source', project='uuid')
    links.append(CalcFunctionNode, with_incoming='source', tag='import', project=['uuid', 'attributes.n_entries'])
    links.append(FramesData, with_incoming='import', project=['uuid', 'label'], edge_project=['label', 'type'])
    return {
        'nodes': {node.uuid: (node.base.attributes.all, node.base.repository.metadata) for node in nodes},
        'hashes': {node.uuid: node.base.caching.compute_hash() for node in nodes if isinstance(node, FramesData)},
        'links': sorted(map(tuple, links.all())),
        'groups': {
            group.label: sorted(node.uuid for node in group.nodes)
            for group in QueryBuilder().append(DatasetGroup).all(flat=True)
        },
    }


@pytest.mark.parametrize('granularity', ['entry', 'trajectory'])
def test_archive_of_a_set(granularity: Any, tmp_path: Path, aiida_profile: Any) -> None:
    """An archive of the groups imports into an empty profile with nothing lost and nothing changed."""
    source = make('MPLiTrj', tmp_path, n=30, atoms=8)
    import_dataset(source, 'MPLiTrj', granularity=granularity, workers=0, chunk_size=8)
    before = graph()
    archive = tmp_path / 'set.aiida'
    create_archive(QueryBuilder().append(Group).all(flat=True), filename=archive)
    aiida_profile.reset_storage()
    assert not QueryBuilder().append(DatasetGroup).count()

    import_archive(archive)
    after = graph()

    assert len(after['links']) == len(after['hashes']) > 0
    assert after == before
    energies = {node.uuid: node.frames.energies.tolist() for node in DatasetGroup.of('MPLiTrj').nodes}
    assert len(energies) == len(before['hashes'])


def test_deleted_like_any_node(tmp_path: Path) -> None:
    """Deleting a source takes the imports and entries made from it along, and nothing of another set."""
    for name in ('BVEL13k', 'LiPS-25'):
        import_dataset(make(name, tmp_path / name, n=4), name, workers=0)
    (source,) = QueryBuilder().append(SourceData, filters={'label': 'BVEL13k'}, project='id').all(flat=True)
    _, done = delete_nodes([source], dry_run=False)
    assert done
    assert QueryBuilder().append(FramesData).count() == 4
    assert DatasetGroup.of('BVEL13k').count() == 0


@calcfunction
def lowest_energy(frames: FramesData) -> Float:
    """Return the lowest energy of some configurations."""
    return Float(frames.frames.energies.min())


def test_entries_serve_the_cache(tmp_path: Path) -> None:
    """What was computed from an entry is found again for the same content stored in the ordinary way."""
    import_dataset(make('LiPS-25', tmp_path, n=4), 'LiPS-25', workers=0)
    node = QueryBuilder().append(FramesData).first(flat=True)
    copy = FramesData.from_frames(node.frames, node.base.attributes.all).store()
    with enable_caching():
        first, first_node = lowest_energy.run_get_node(node)
        second, second_node = lowest_energy.run_get_node(copy)
    assert copy.uuid != node.uuid
    assert second_node.base.caching.get_cache_source() == first_node.uuid
    assert second.value == first.value == node.base.attributes.get('energy_ev')
