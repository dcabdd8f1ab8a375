"""Every layout becomes nodes: as AiiDA would have stored them, each once, traced to line and file."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiida.common.links import LinkType
from aiida.manage import get_manager
from aiida.orm import CalcFunctionNode, Data, Dict, Node, QueryBuilder, load_node
from aiida.tools import delete_nodes

from aiida_litraj.contract.frames import Frames
from aiida_litraj.data import FramesData, PathData, SourceData
from aiida_litraj.datasets.card import load_card
from aiida_litraj.datasets.entry import Entry
from aiida_litraj.datasets.importers.registry import importer_of
from aiida_litraj.datasets.ingest.run import Refused, checksum_of, import_dataset
from aiida_litraj.datasets.ingest.store import path_node
from aiida_litraj.datasets.make import MAKERS, make, spoil
from aiida_litraj.datasets.source import Source
from aiida_litraj.groups import DatasetGroup
from aiida_litraj.groups.query import find_entry, query
from aiida_litraj.groups.verify import verify

pytestmark = pytest.mark.usefixtures('aiida_profile_clean')

FEW = 12


def read(path: Path, name: str) -> list[Entry]:
    """Return the entries as the importer gives them, without a database."""
    card = load_card(name)
    importer = importer_of(card)
    with Source.open(path) as source:
        parts, _ = importer.parts(source, card)
        return [
            e for part in parts for c in importer.chunks(source, card, part) for e in importer.parse(card, c).entries
        ]


def nodes_of(name: str) -> dict[str, Any]:
    """Return the nodes of a set by their labels."""
    query = QueryBuilder().append(DatasetGroup, filters={'label': name}, tag='set')
    return {node.label: node for node in query.append(Data, with_group='set').all(flat=True)}


def same_frames(one: Frames, other: Frames) -> None:
    assert one.to_bytes() == other.to_bytes()


@pytest.mark.parametrize('name', MAKERS)
def test_every_layout(name: str, tmp_path: Path) -> None:
    """Entries and nodes correspond one to one, with numbers to the last digit and the hash that AiiDA computes."""
    source = make(name, tmp_path, n=FEW)
    entries = read(source, name)
    checksum = checksum_of(Source.open(source).manifest())

    report = import_dataset(source, name, workers=0, chunk_size=5)

    nodes = nodes_of(name)
    assert report.stored == report.nodes == len(entries) == len(nodes) > 0
    for entry in entries:
        node = nodes[entry.id]
        same_frames(as_read(node, 'relaxed.frames'), entry.frames)
        for field in ('initial', 'centroid'):
            if getattr(entry, field) is not None:
                same_frames(as_read(node, f'{field}.frames'), getattr(entry, field))
        attributes = node.base.attributes.all
        assert (attributes['source_file'], attributes['source_line']) == (entry.file, entry.line)
        assert (attributes['split'], attributes['material_id']) == (entry.split, entry.material)
        assert node.base.caching.get_hash() == node.base.caching.compute_hash() is not None
        assert node.creator.is_sealed
        inputs = node.creator.base.links.get_incoming(link_type=LinkType.INPUT_CALC).nested()
        assert inputs['source'].sha256 == checksum
        assert inputs['card'].get_dict() == load_card(name).as_dict()
    for split in {entry.split for entry in entries} - {None}:
        members = {node.label for node in DatasetGroup.of(f'{name}/{split}').nodes}
        assert members == {entry.id for entry in entries if entry.split == split}


def as_read(node: Node, file: str) -> Frames:
    if isinstance(node, FramesData):
        return node.frames
    return Frames.from_bytes(node.base.repository.get_object_content(file, mode='rb'))


def test_bulk_rows_are_what_store_writes(tmp_path: Path) -> None:
    """A node stored one by one with the same content has the same columns, up to its name and time."""
    source = make('BVEL13k', tmp_path, n=3)
    import_dataset(source, 'BVEL13k', workers=0)
    ours = next(iter(nodes_of('BVEL13k').values()))
    summary = ('n_frames', 'n_atoms', 'elements', 'formula', 'energy_ev', 'energy_per_atom_ev', 'fmax_ev_per_ang')
    labels = {key: value for key, value in ours.base.attributes.all.items() if key not in summary}
    plain = FramesData.from_frames(ours.frames, labels).store()

    assert plain.base.attributes.all == ours.base.attributes.all
    assert plain.base.caching.get_hash() == ours.base.caching.get_hash()
    assert plain.base.repository.metadata == ours.base.repository.metadata
    assert plain.node_type == ours.node_type
    assert set(plain.base.extras.all) == set(ours.base.extras.all)


def test_bulk_rows_of_paths_are_what_store_writes(tmp_path: Path) -> None:
    source = make('nebDFT2k', tmp_path, n=2)
    import_dataset(source, 'nebDFT2k', workers=0)
    entry = read(source, 'nebDFT2k')[0]
    ours = nodes_of('nebDFT2k')[entry.id]
    plain = path_node('nebDFT2k', entry).store()

    assert isinstance(ours, PathData)
    assert plain.base.attributes.all == ours.base.attributes.all
    assert plain.base.caching.get_hash() == ours.base.caching.get_hash()
    assert plain.base.repository.metadata == ours.base.repository.metadata
    assert np.array_equal(plain.get_positions(), ours.get_positions())


def test_workers_change_nothing(tmp_path: Path) -> None:
    source = make('MPLiTrj', tmp_path, n=60, atoms=8)
    import_dataset(source, 'MPLiTrj', name='alone', workers=0, chunk_size=7)
    import_dataset(source, 'MPLiTrj', name='helped', workers=2, chunk_size=11)

    contents = [
        {label: node.base.repository.metadata for label, node in nodes_of(name).items()} for name in ('alone', 'helped')
    ]
    assert contents[0] == contents[1]
    assert len(contents[0]) == 60


def test_many_entries_in_a_node(tmp_path: Path) -> None:
    source = make('MPLiTrj', tmp_path, n=30, atoms=8)
    entries = {entry.id: entry for entry in read(source, 'MPLiTrj')}
    report = import_dataset(source, 'MPLiTrj', granularity='trajectory', workers=0, chunk_size=10)

    nodes = list(nodes_of('MPLiTrj').values())
    assert report.stored == 30 and report.nodes == len(nodes) < 10
    found = {one: frames for node in nodes for one, frames in zip(node.entry_ids, node.frames, strict=True)}
    assert found.keys() == entries.keys()
    for one, frames in found.items():
        same_frames(frames, entries[one].frames)
    assert all(node.base.caching.get_hash() == node.base.caching.compute_hash() for node in nodes)
    assert DatasetGroup.of('MPLiTrj').number_of_entries() == 30


def test_again_stores_nothing(tmp_path: Path) -> None:
    source = make('nebBVSE122k', tmp_path, n=FEW)
    first = import_dataset(source, 'nebBVSE122k', workers=0)
    before = QueryBuilder().append(Node).count()
    again = import_dataset(source, 'nebBVSE122k', workers=0)

    assert again.stored == again.nodes == 0
    assert again.entries == first.entries
    assert QueryBuilder().append(Node).count() == before


def test_limit_then_all(tmp_path: Path) -> None:
    """A first look at some entries costs nothing later: going on gives what one import would have."""
    source = make('MPLiTrj', tmp_path, n=50, atoms=8)
    import_dataset(source, 'MPLiTrj', name='whole', workers=0)
    part = import_dataset(source, 'MPLiTrj', name='parts', workers=0, limit=4, chunk_size=3)
    splits = DatasetGroup.of('parts').splits
    assert part.stored == sum(min(4, DatasetGroup.of(f'whole/{name}').count()) for name in splits) < 50
    assert splits['train'].count() == 4 and not part.complete

    rest = import_dataset(source, 'MPLiTrj', name='parts', workers=0)
    assert part.stored + rest.stored == rest.entries == 50
    assert nodes_of('parts').keys() == nodes_of('whole').keys()


def test_changed_source_is_noticed(tmp_path: Path) -> None:
    source = make('LiPS-25', tmp_path, n=FEW)
    file = source if source.is_file() else next(source.rglob('*.xyz'))
    import_dataset(file, 'LiPS-25', workers=0)
    file.write_text(file.read_text().replace('energy=-', 'energy=-1', 1))
    with pytest.raises(Refused, match=rf'{file.name} has changed since it was imported into LiPS-25: sha256 .*--name'):
        import_dataset(file, 'LiPS-25', workers=0)
    assert import_dataset(file, 'LiPS-25', name='new', workers=0).stored == FEW


def test_other_granularity_or_card_is_refused(tmp_path: Path) -> None:
    source = make('BVEL13k', tmp_path, n=3)
    import_dataset(source, 'BVEL13k', workers=0)
    with pytest.raises(Refused, match='was imported with --granularity entry, not trajectory'):
        import_dataset(source, 'BVEL13k', granularity='trajectory', workers=0)
    other = load_card('BVEL13k').model_copy(update={'licence': 'none of your business'})
    with pytest.raises(Refused, match='another card; these fields differ: licence'):
        import_dataset(source, other, name='BVEL13k', workers=0)


@pytest.mark.parametrize('name', ['a/b', '', 'x' * 101])
def test_name_of_the_set(name: str, tmp_path: Path) -> None:
    source = make('BVEL13k', tmp_path, n=3)
    with pytest.raises(Refused, match='is no name for a data set'):
        import_dataset(source, load_card('BVEL13k').model_copy(update={'name': name}), name=name, workers=0)
    assert not QueryBuilder().append(SourceData).count()


def test_malformed_entries_are_left_out_and_kept_in_mind(tmp_path: Path) -> None:
    source = make('MPLiTrj', tmp_path, n=40, atoms=8)
    spoiled = spoil(source, 'nan')
    report = import_dataset(source, 'MPLiTrj', workers=0, chunk_size=10)

    assert report.stored == 39
    (problem,) = report.problems
    assert (Path(problem.file).name, problem.line) == (spoiled.file.name, spoiled.at)
    processes = QueryBuilder().append(CalcFunctionNode, project='attributes.problems').all(flat=True)
    assert [problem for some in processes for problem in some] == [
        [one.file, one.line, one.entry_id, one.reason] for one in report.problems
    ]


def test_strict_refuses_a_malformed_entry(tmp_path: Path) -> None:
    source = make('MPLiTrj', tmp_path, n=40, atoms=8)
    spoil(source, 'nan')
    with pytest.raises(Refused, match=r'MPLiTrj_\w+\.xyz, line \d+: '):
        import_dataset(source, 'MPLiTrj', workers=0, strict=True, chunk_size=1000)
    assert DatasetGroup.names() == []
    assert QueryBuilder().append(Node).count() == 0


def test_repeat_across_chunks_is_found(tmp_path: Path) -> None:
    """An identifier that stands twice in a file, far apart, is stored once."""
    source = make('BVEL13k', tmp_path, n=FEW)
    file = next(source.glob('*_train.xyz'))
    text = file.read_text()
    file.write_text(text + text)
    report = import_dataset(source, 'BVEL13k', workers=0, chunk_size=2)
    labels = QueryBuilder().append(FramesData, project='label').all(flat=True)
    assert len(labels) == len(set(labels)) == report.stored
    assert any('already' in one.reason for one in report.problems)


def test_a_card_that_fits_nothing_leaves_nothing(tmp_path: Path) -> None:
    """No empty set stays behind, and a set made of the same source does."""
    source = make('MPLiTrj', tmp_path, n=20, atoms=8)
    import_dataset(source, 'MPLiTrj', name='right', workers=0)
    before = QueryBuilder().append(Node).count()
    card = load_card('MPLiTrj')
    wrong = card.model_copy(update={'name': 'wrong', 'keys': card.keys.model_copy(update={'energy': 'enregy'})})
    with pytest.raises(Refused, match=r'no entry that could be read with the card wrong: .*enregy'):
        import_dataset(source, wrong, workers=0)
    assert DatasetGroup.names() == ['right']
    assert QueryBuilder().append(Node).count() == before
    assert DatasetGroup.of('right').count() == 20


def test_strict_takes_a_single_split(tmp_path: Path) -> None:
    source = make('MPLiTrj', tmp_path, n=20, atoms=8)
    report = import_dataset(source / 'MPLiTrj_train.xyz', 'MPLiTrj', workers=0, strict=True)
    assert report.stored == len(read(source / 'MPLiTrj_train.xyz', 'MPLiTrj'))
    assert {one.reason for one in report.problems} == {
        f'there is no file of the split {name}' for name in ('val', 'test')
    }


@pytest.mark.parametrize('granularity', ['entry', 'trajectory'])
def test_what_was_deleted_is_added_again(granularity: Any, tmp_path: Path) -> None:
    """Deleting an entry takes its import along, and so its neighbours; the next import fills the gap."""
    source = make('MPLiTrj', tmp_path, n=60, atoms=8)
    import_dataset(source, 'MPLiTrj', granularity=granularity, workers=0, chunk_size=7)
    before = sorted(node.base.repository.metadata['o']['frames.npy']['k'] for node in nodes_of('MPLiTrj').values())
    victim = load_node(find_entry('MPLiTrj', 'train/15').uuid)
    delete_nodes([victim.pk], dry_run=False)
    assert any('import it again' in one for one in verify('MPLiTrj').problems)

    again = import_dataset(source, 'MPLiTrj', granularity=granularity, workers=0, chunk_size=4)
    assert (again.stored, again.entries) == (7, 60)
    assert verify('MPLiTrj').ok
    if granularity == 'entry':
        after = [node.base.repository.metadata['o']['frames.npy']['k'] for node in nodes_of('MPLiTrj').values()]
        assert sorted(after) == before


def test_several_files_of_a_split(tmp_path: Path) -> None:
    """No entry is lost because two files would call theirs alike, also with other endings."""
    source = make('MPLiTrj', tmp_path, n=40, atoms=8)
    train = (source / 'MPLiTrj_train.xyz').read_bytes()
    for name in ('a_train.xyz', 'b_train.xyz', 'c.xyz', 'c.extxyz'):
        (tmp_path / name).write_bytes(train)
    one = len(read(source / 'MPLiTrj_train.xyz', 'MPLiTrj'))
    card = load_card('MPLiTrj').model_copy(update={'layout': 'plain', 'name': 'own'})
    files = [tmp_path / name for name in ('a_train.xyz', 'b_train.xyz', 'c.xyz', 'c.extxyz')]
    report = import_dataset(files, card, workers=0, chunk_size=5)
    assert report.stored == len(nodes_of('own')) == 4 * one
    assert {label.partition('/')[0] for label in nodes_of('own')} == {path.name for path in files}


def test_the_same_bytes_under_another_name_are_the_same_source(tmp_path: Path) -> None:
    source = make('MPLiTrj', tmp_path, n=20, atoms=8)
    import_dataset(source, 'MPLiTrj', workers=0)
    copy = shutil.copytree(source, tmp_path / 'copy')
    assert import_dataset(copy, 'MPLiTrj', workers=0).stored == 0
    assert QueryBuilder().append(SourceData).count() == 1


@pytest.mark.parametrize('name', ['nebDFT2k', 'MPLiTrj_raw', 'BVEL13k', 'OBELiX'])
def test_many_in_a_node_twice(name: str, tmp_path: Path) -> None:
    """Also where a node holds one entry: a path, or what is left over."""
    source = make(name, tmp_path, n=FEW if name != 'MPLiTrj_raw' else 2)
    first = import_dataset(source, name, granularity='trajectory', workers=0, chunk_size=5)
    again = import_dataset(source, name, granularity='trajectory', workers=0, chunk_size=5)
    assert again.stored == 0
    assert again.entries == first.entries == DatasetGroup.of(name).number_of_entries()
    assert verify(name).ok


def test_repeats_are_not_in_nodes_of_many(tmp_path: Path) -> None:
    source = make('BVEL13k', tmp_path, n=FEW)
    file = next(source.glob('*_train.xyz'))
    once = len(read(source, 'BVEL13k'))
    file.write_text(file.read_text() * 2)
    report = import_dataset(source, 'BVEL13k', granularity='trajectory', workers=0, chunk_size=5)
    ids = [one for node in nodes_of('BVEL13k').values() for one in node.entry_ids]
    assert len(ids) == len(set(ids)) == report.stored == once
    nodes = nodes_of('BVEL13k').values()
    assert all(node.n_frames == len(node.entry_ids) == node.frames.n_frames for node in nodes)
    assert all(node.base.caching.get_hash() == node.base.caching.compute_hash() for node in nodes)


def test_bands_have_a_barrier(tmp_path: Path) -> None:
    """Of a band it is the range of its energies, as LiTraj defines it; and it can be asked for."""
    source = make('MPLiTrj_raw', tmp_path, n=2)
    import_dataset(source, 'MPLiTrj_raw', workers=0)
    bands = [entry for entry in read(source, 'MPLiTrj_raw') if 'step' in entry.properties]
    for entry in bands:
        energies = entry.frames.energies
        known = nodes_of('MPLiTrj_raw')[entry.id].base.attributes.get('range_ev', None)
        expected = np.ptp(energies) if energies is not None and np.isfinite(energies).all() else None
        assert known == (None if expected is None else pytest.approx(expected, abs=1e-12))
    assert query('MPLiTrj_raw', barrier=(0, None)).count() > 0


def test_control_characters_do_not_end_an_import(tmp_path: Path) -> None:
    """A NUL in a word or in a broken line; PostgreSQL takes none."""
    source = make('LiPS-25', tmp_path, n=6)
    text = source.read_bytes().replace(b'label=', b'label=a\0b', 1)
    source.write_bytes(text.replace(b'energy=-', b'energy=\0-', 2).replace(b'energy=\0-', b'energy=-', 1))
    report = import_dataset(source, 'LiPS-25', workers=0)
    assert 4 <= report.stored < 6
    assert QueryBuilder().append(FramesData).count() == report.stored


def test_maintenance_beside_an_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``verdi storage maintain`` deletes contents that no row refers to yet; the import puts them back."""
    from aiida_litraj.datasets.ingest import store as storing

    insert = storing.insert_nodes
    storage = get_manager().get_profile_storage()

    def with_maintenance(backend: Any, rows: Any) -> Any:
        container = storing.container_of(storage)
        container.delete_objects(
            [one['k'] for row in rows[1:] for one in row['repository_metadata'].get('o', {}).values()]
        )
        return insert(backend, rows)

    monkeypatch.setattr(storing, 'insert_nodes', with_maintenance)
    import_dataset(make('MPLiTrj', tmp_path, n=30, atoms=8), 'MPLiTrj', workers=0, chunk_size=8)
    assert verify('MPLiTrj').ok


def test_folder_and_zip_give_the_same_nodes(tmp_path: Path) -> None:
    folder = make('nebDFT2k', tmp_path / 'folder', n=3)
    packed = make('nebDFT2k', tmp_path / 'zip', n=3, zipped=True)
    import_dataset(folder, 'nebDFT2k', name='folder', workers=0)
    import_dataset(packed, 'nebDFT2k', name='zip', workers=0)
    contents = [
        {label: node.base.repository.metadata for label, node in nodes_of(name).items()} for name in ('folder', 'zip')
    ]
    assert contents[0] == contents[1]


def test_no_such_layout(tmp_path: Path) -> None:
    source = make('BVEL13k', tmp_path, n=3)
    shutil.rmtree(source)
    source.mkdir()
    (source / 'readme.txt').write_text('nothing')
    with pytest.raises(ValueError, match='BVEL13k'):
        import_dataset(source, 'BVEL13k', workers=0)
    assert not DatasetGroup.names()


def test_path_entries_can_be_launched(tmp_path: Path) -> None:
    """An entry of nebDFT2k is a path as the calculations take it: mobile ion first, images continuous."""
    source = make('nebDFT2k', tmp_path, n=1)
    import_dataset(source, 'nebDFT2k', workers=0)
    (node,) = nodes_of('nebDFT2k').values()
    first, last = node.get_positions()[[0, -1]]
    assert node.mobile == 0
    moved = np.linalg.norm(last - first, axis=1)
    assert moved.argmax() == 0
    assert isinstance(load_node(DatasetGroup.of('nebDFT2k').facts['card']), Dict)
