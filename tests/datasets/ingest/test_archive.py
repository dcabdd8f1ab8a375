"""Entries are nodes as any other: archives, deletion and the cache take them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from aiida.cmdline.commands.cmd_verdi import verdi
from aiida.engine import calcfunction
from aiida.manage.caching import enable_caching
from aiida.orm import CalcFunctionNode, Data, Float, Group, QueryBuilder, load_node
from aiida.tools import delete_nodes
from aiida.tools.archive import create_archive, import_archive
from click.testing import CliRunner

from aiida_litraj.data import FramesData, SourceData
from aiida_litraj.datasets.ingest.run import import_dataset
from aiida_litraj.datasets.make import make
from aiida_litraj.groups import DatasetGroup
from aiida_litraj.groups.query import find_entry
from aiida_litraj.groups.select import Wish, select
from aiida_litraj.groups.verify import verify

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


def test_archive_of_paths_and_of_a_selection(tmp_path: Path, aiida_profile: Any) -> None:
    """With ``verdi``, as a person would: paths, and a selection with all that it was drawn from."""
    source = make('nebDFT2k', tmp_path, n=6)
    import_dataset(source, 'nebDFT2k', workers=0, chunk_size=4)
    made = select('nebDFT2k', Wish(number=2, seed=3)).parts['selected']
    before, images, uuid = graph(), made.frames.to_bytes(), made.uuid
    origins = made.base.attributes.get('origins')
    said('archive', 'create', '--all', tmp_path / 'all.aiida')
    said('archive', 'create', '--nodes', uuid, '--', tmp_path / 'selection.aiida')

    aiida_profile.reset_storage()
    said('archive', 'import', tmp_path / 'all.aiida')
    assert graph() == before
    assert all(f'nebDFT2k/{one}' in said('group', 'list', '--all') for one in DatasetGroup.of('nebDFT2k').splits)
    assert verify('nebDFT2k', [source]).ok
    shown = said('group', 'show', 'nebDFT2k')
    path = find_entry('nebDFT2k', read_ids('nebDFT2k')[0])
    creator = load_node(path.uuid).creator
    assert 'PathData' in shown and 'PathData' in said('node', 'show', creator.uuid)
    assert 'import_entries' in said('process', 'show', creator.uuid)
    assert path.frames().n_frames == load_node(path.uuid).n_images > 1

    aiida_profile.reset_storage()
    said('archive', 'import', tmp_path / 'selection.aiida')
    there = load_node(uuid)
    assert there.frames.to_bytes() == images and there.creator.process_label == 'select_entries'
    for origin, _ in origins:
        creator = load_node(origin).creator
        assert (creator.process_label, creator.inputs.source.label) == ('import_entries', 'nebDFT2k')


def test_a_set_by_verdi_goes_and_comes_back(tmp_path: Path) -> None:
    """Deleted with ``verdi node delete`` and imported again, a set has the same contents and no trace of the loss."""
    source = make('nebDFT2k', tmp_path, n=5)
    import_dataset(source, 'nebDFT2k', workers=0, chunk_size=2)
    before = {node.label: node.base.repository.metadata for node in DatasetGroup.of('nebDFT2k').nodes}
    hashes = {node.label: node.base.caching.get_hash() for node in DatasetGroup.of('nebDFT2k').nodes}
    victim = find_entry('nebDFT2k', sorted(before)[0])
    said('node', 'delete', '--force', victim.uuid)
    left = DatasetGroup.of('nebDFT2k').count()  # its chunk went along
    assert left < 5
    said('storage', 'maintain', '--full', '--force')

    again = import_dataset(source, 'nebDFT2k', workers=0, chunk_size=2)
    assert (again.stored, again.entries) == (5 - left, 5)
    after = list(DatasetGroup.of('nebDFT2k').nodes)
    assert {node.label: node.base.repository.metadata for node in after} == before
    assert {node.label: node.base.caching.get_hash() for node in after} == hashes
    assert verify('nebDFT2k', [source]).ok


def read_ids(name: str) -> list[str]:
    return sorted(node.label for node in DatasetGroup.of(name).nodes)


def said(*words: object) -> str:
    """Return what a verdi command says."""
    ran = CliRunner().invoke(verdi, [str(word) for word in words])
    assert ran.exit_code == 0, ran.output
    return ran.output


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
