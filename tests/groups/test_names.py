"""A set is its members and its uuid: another label, as a person or an archive gives it, changes nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from aiida.orm import Data, Group, Node, QueryBuilder
from aiida.tools.archive import create_archive, import_archive

from aiida_litraj.datasets.ingest.run import Refused, import_dataset
from aiida_litraj.datasets.make import make
from aiida_litraj.groups import DatasetGroup
from aiida_litraj.groups.export import export
from aiida_litraj.groups.query import card_of, count, entries, find_entry, query
from aiida_litraj.groups.remove import plan_removal, remove
from aiida_litraj.groups.verify import verify

pytestmark = pytest.mark.usefixtures('aiida_profile_clean')

N = 24
SPLITS = {'train', 'val', 'test'}


def imported(folder: Path, **options: Any) -> Path:
    source = make('MPLiTrj', folder, n=N, atoms=8, seed=options.pop('seed', 0))
    import_dataset(source, 'MPLiTrj', workers=0, chunk_size=5, **options)
    return source


def sizes(name: str) -> dict[str, int]:
    return {split: count(f'{name}/{split}') for split in DatasetGroup.of(name).splits}


@pytest.mark.parametrize('granularity', ['entry', 'trajectory'])
@pytest.mark.parametrize('by_backend', [False, True], ids=['by a person', 'below the plugin'])
def test_another_label(by_backend: bool, granularity: Any, tmp_path: Path) -> None:
    """Everything that can be asked of a set, done or undone, after it has been given another label."""
    source = imported(tmp_path, granularity=granularity)
    before, place = sizes('MPLiTrj'), find_entry('MPLiTrj', 'train/3')
    assert before.keys() == SPLITS and sum(before.values()) == N
    group = DatasetGroup.of('MPLiTrj')
    if by_backend:
        group.backend_entity.label = 'my set'
    else:
        group.label = 'my set'
        assert {one.label for one in group.splits.values()} == {f'my set/{split}' for split in SPLITS}

    assert DatasetGroup.names() == ['my set']
    with pytest.raises(ValueError, match='no data set'):
        find_entry('MPLiTrj', 'train/3')
    assert find_entry('my set', 'train/3') == place == find_entry('my set/train', 'train/3')
    assert sizes('my set') == before
    assert count('my set') == len(list(entries('my set'))) == DatasetGroup.of('my set').number_of_entries() == N
    found = verify('my set', [source])
    assert found.ok, found.problems
    nodes = QueryBuilder().append(Node).count()
    again = import_dataset(source, 'MPLiTrj', name='my set', granularity=granularity, workers=0)
    assert (again.stored, again.entries) == (0, N) and QueryBuilder().append(Node).count() == nodes
    assert export('my set', 'extxyz-mace', tmp_path / 'out.xyz').entries == N
    assert export('my set/val', 'extxyz-mace', tmp_path / 'val.xyz').entries == before['val']
    plan = plan_removal('my set')
    assert not plan.others and not plan.shared
    remove(plan)
    assert not QueryBuilder().append(Data).count() and not QueryBuilder().append(Group).count()


def test_a_name_that_is_free_again(tmp_path: Path) -> None:
    """A set may take the name that another had, even if that one's splits still have it."""
    imported(tmp_path / 'old')
    DatasetGroup.of('MPLiTrj').backend_entity.label = 'old'
    other = make('MPLiTrj', tmp_path / 'new', n=12, atoms=8, seed=5)
    import_dataset(other, 'MPLiTrj', workers=0)
    assert (count('old'), count('MPLiTrj')) == (N, 12)
    assert (sum(sizes('old').values()), sum(sizes('MPLiTrj').values())) == (N, 12)
    assert find_entry('old', 'train/0').uuid != find_entry('MPLiTrj', 'train/0').uuid
    remove(plan_removal('MPLiTrj'))
    assert verify('old').ok and sum(sizes('old').values()) == N


def test_entries_added_after_a_relabel_belong_to_the_same_set(tmp_path: Path) -> None:
    source = imported(tmp_path, limit=3)
    DatasetGroup.of('MPLiTrj').label = 'mine'
    import_dataset(source, 'MPLiTrj', name='mine', workers=0)
    assert {one.facts['dataset'] for one in entries('mine', ['dataset'])} == {'MPLiTrj'}
    assert sum(sizes('mine').values()) == N and verify('mine', [source]).ok


@pytest.mark.parametrize('granularity', ['entry', 'trajectory'])
def test_archive_into_a_profile_with_a_set_of_that_name(granularity: Any, tmp_path: Path, aiida_profile: Any) -> None:
    """AiiDA gives the newcomer another label; the two sets stay what they are."""
    source = imported(tmp_path / 'theirs', granularity=granularity)
    theirs = {one.uuid for one in entries('MPLiTrj')}
    create_archive(QueryBuilder().append(Group).all(flat=True), filename=tmp_path / 'set.aiida')
    aiida_profile.reset_storage()
    own = imported(tmp_path / 'own', seed=7, limit=4, granularity=granularity)
    mine = {one.uuid for one in entries('MPLiTrj')}
    import_archive(tmp_path / 'set.aiida')

    (newcomer,) = set(DatasetGroup.names()) - {'MPLiTrj'}
    assert {one.uuid for one in entries(newcomer)} == theirs
    assert {one.uuid for one in entries('MPLiTrj')} == mine and count('MPLiTrj') == 4 + sum(
        sizes('MPLiTrj').values()
    ) - 4
    for name, members, files in (('MPLiTrj', mine, own), (newcomer, theirs, source)):
        assert set(sizes(name)) == SPLITS and sum(sizes(name).values()) == count(name)
        assert find_entry(name, 'train/0').uuid in members
        assert {uuid for (uuid,) in query(name, 'uuid', split='train').all()} <= members
        assert verify(name, [files]).ok
    assert import_dataset(source, 'MPLiTrj', name=newcomer, granularity=granularity, workers=0).stored == 0
    with pytest.raises(ValueError, match='MPLiTrj has changed since it was imported'):
        import_dataset(source, 'MPLiTrj', granularity=granularity, workers=0)
    remove(plan_removal('MPLiTrj'))
    assert DatasetGroup.names() == [newcomer] and verify(newcomer, [source]).ok and count(newcomer) == N


def test_the_same_set_from_an_archive_and_from_its_source(tmp_path: Path, aiida_profile: Any) -> None:
    """Two nodes of one source, one of them from elsewhere: each set knows which of its chunks are stored."""
    source = imported(tmp_path)
    create_archive(QueryBuilder().append(Group).all(flat=True), filename=tmp_path / 'set.aiida')
    aiida_profile.reset_storage()
    imported(tmp_path / 'again')
    import_archive(tmp_path / 'set.aiida')
    for name in DatasetGroup.names():
        again = import_dataset(source, 'MPLiTrj', name=name, workers=0)
        assert (again.stored, again.entries) == (0, N)
        assert verify(name, [source]).ok


def test_a_split_is_no_set(tmp_path: Path) -> None:
    imported(tmp_path)
    DatasetGroup.of('MPLiTrj/val').label = 'held out'
    assert DatasetGroup.names() == ['MPLiTrj']
    assert count('held out') == count('MPLiTrj/val') == count('MPLiTrj', split='val')
    with pytest.raises(ValueError, match=r'held out is a split: .* delete the set MPLiTrj'):
        plan_removal('held out')


def test_a_set_called_like_a_split_of_another(tmp_path: Path) -> None:
    """What hits the one, another label or deletion, leaves the other alone."""
    imported(tmp_path / 'big')
    small = make('MPLiTrj', tmp_path / 'small', n=12, atoms=8, seed=5)
    import_dataset(small, 'MPLiTrj', name='small', workers=0)
    DatasetGroup.of('small').label = 'MPLiTrj/small'
    assert set(sizes('MPLiTrj')) == SPLITS == set(sizes('MPLiTrj/small'))
    DatasetGroup.of('MPLiTrj').label = 'big'
    assert DatasetGroup.names() == ['MPLiTrj/small', 'big']
    assert import_dataset(small, 'MPLiTrj', name='MPLiTrj/small', workers=0).stored == 0
    DatasetGroup.of('big').label = 'MPLiTrj'
    plan = plan_removal('MPLiTrj')
    assert plan.entries == N and not plan.shared
    remove(plan)
    assert DatasetGroup.names() == ['MPLiTrj/small']
    assert count('MPLiTrj/small') == sum(sizes('MPLiTrj/small').values()) == 12
    assert verify('MPLiTrj/small', [small]).ok


def test_nothing_is_imported_into_a_split(tmp_path: Path) -> None:
    source = imported(tmp_path)
    DatasetGroup.of('MPLiTrj/val').label = 'held out'
    before = sizes('MPLiTrj')
    with pytest.raises(Refused, match='held out is a split of a data set, and no set: give another --name'):
        import_dataset(source, 'MPLiTrj', name='held out', workers=0)
    assert sizes('MPLiTrj') == before and DatasetGroup.names() == ['MPLiTrj']
    assert verify('MPLiTrj', [source]).ok


@pytest.mark.parametrize('granularity', ['entry', 'trajectory'])
def test_archive_of_a_split_stands_alone(granularity: Any, tmp_path: Path, aiida_profile: Any) -> None:
    """Where its set is not stored, a split is asked, verified, exported and deleted like a set."""
    source = imported(tmp_path, granularity=granularity)
    DatasetGroup.of('MPLiTrj/train').label = 'for training'
    before = {name: count(f'MPLiTrj/{name}') for name in SPLITS}
    assert all(verify(f'MPLiTrj/{name}').ok for name in SPLITS)
    for name in ('for training', 'MPLiTrj/val'):
        made = export(name, 'archive', tmp_path / f'{name[-3:]}.aiida')
        assert (made.entries, made.others) == (count(name), 0)
    export('MPLiTrj', 'archive', tmp_path / 'all.aiida')

    aiida_profile.reset_storage()
    import_archive(tmp_path / 'val.aiida')
    import_archive(tmp_path / 'ing.aiida')
    assert DatasetGroup.names() == ['MPLiTrj/val', 'for training']
    for name, split in (('MPLiTrj/val', 'val'), ('for training', 'train')):
        number = before[split]
        assert count(name) == count(name, split=split) == len(list(entries(name))) == number
        assert DatasetGroup.of(name).number_of_entries() == number and sizes(name) == {split: number}
        assert find_entry(name, f'{split}/0').frames().n_frames == 1
        assert DatasetGroup.of(name).facts['granularity'] == granularity
        assert card_of(name)['name'] == 'MPLiTrj'
        found = verify(name, [source / f'MPLiTrj_{split}.xyz'])
        assert found.ok and any(text.startswith('each node comes from') for text in found.checked), found.problems
        assert export(name, 'extxyz-mace', tmp_path / 'out.xyz', overwrite=True).entries == number
        with pytest.raises(Refused, match='is a split'):
            import_dataset(source, 'MPLiTrj', name=name, granularity=granularity, workers=0)
    remove(plan_removal('for training'))
    assert count('MPLiTrj/val') == before['val'] and verify('MPLiTrj/val').ok

    import_archive(tmp_path / 'all.aiida')  # with which the set itself comes
    assert DatasetGroup.names() == ['MPLiTrj'] and sizes('MPLiTrj') == before
    assert verify('MPLiTrj', [source]).ok
    remove(plan_removal('MPLiTrj'))
    assert not QueryBuilder().append(Data).count() and not QueryBuilder().append(DatasetGroup).count()
