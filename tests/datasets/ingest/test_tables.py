"""Rows that are added in bulk are those that AiiDA itself would add, and belong to its transaction."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aiida.common import timezone
from aiida.common.links import LinkType
from aiida.manage import get_manager
from aiida.orm import Group, Node, QueryBuilder, User
from aiida.orm.entities import EntityTypes
from sqlalchemy import text

from aiida_litraj.datasets.ingest import store as storing
from aiida_litraj.datasets.ingest.run import import_dataset
from aiida_litraj.datasets.ingest.tables import insert, insert_nodes
from aiida_litraj.datasets.make import make
from aiida_litraj.groups import DatasetGroup

pytestmark = pytest.mark.usefixtures('aiida_profile_clean')

WORDS = [
    '',
    '\\',
    '\\N',
    '\\.',
    'tab\there',
    'line\nbreak\r\n',
    "it's",
    '"quoted"',
    'Å 中 😀',
    '\\u0041',
    '%s :name {}',
    '\x01',
]
NUMBERS = [0, -1, 2**62, 0.1, 1e22, 1e-300, -0.0, 1 / 3, 5e-324, True, False, None]
NOW = timezone.now()


def nodes() -> list[dict[str, Any]]:
    """Return rows with all that could be spoiled on the way."""
    return [
        {
            'uuid': str(uuid4()),
            'node_type': 'data.litraj.frames.FramesData.',
            'process_type': None if index % 2 else word,
            'label': word,
            'description': word,
            'ctime': NOW,
            'mtime': NOW,
            'attributes': {'numbers': NUMBERS, 'words': WORDS, word: {'deeper': [[word], {}]}},
            'extras': {},
            'repository_metadata': {'o': {word or 'x': {'k': '0' * 64}}},
            'dbcomputer_id': None,
            'user_id': User.collection.get_default().pk,
        }
        for index, word in enumerate(WORDS)
    ]


def as_text(table: str, columns: str = '*') -> list[tuple[str, ...]]:
    """Return rows as the database has them, without what is different for any two."""
    session = get_manager().get_profile_storage().get_session()
    rows = session.execute(text(f'SELECT {columns} FROM {table} ORDER BY id')).mappings()
    return [tuple(str(value) for name, value in row.items() if name not in ('id', 'uuid')) for row in rows]


def test_rows_are_those_of_aiida() -> None:
    """Nodes, links and memberships, column by column; JSON as the database writes it out."""
    storage = get_manager().get_profile_storage()
    group = Group('made').store()
    plain, ours = nodes(), nodes()
    with storage.transaction():
        theirs = storage.bulk_insert(EntityTypes.NODE, plain)
        mine = insert_nodes(storage, ours)
    rows = as_text('db_dbnode')
    assert rows[: len(theirs)] == rows[len(theirs) :] and len(rows) == 2 * len(WORDS)
    known = dict(QueryBuilder().append(Node, project=['id', 'uuid']).all())
    assert [known[pk] for pk in mine] == [row['uuid'] for row in ours]
    assert [known[pk] for pk in theirs] == [row['uuid'] for row in plain]
    first = QueryBuilder().append(Node, filters={'id': mine[3]}).one()[0]
    assert first.label == WORDS[3] and first.base.attributes.all == ours[3]['attributes'] and first.ctime == NOW

    links, members = [
        [{'input_id': mine[0], 'output_id': mine[1], 'label': word, 'type': LinkType.CREATE.value} for word in WORDS],
        [{'dbnode_id': pk, 'dbgroup_id': group.pk} for pk in theirs],
    ]
    with storage.transaction():
        storage.bulk_insert(EntityTypes.LINK, links)
        insert(storage, EntityTypes.LINK, links)
        storage.bulk_insert(EntityTypes.GROUP_NODE, members)
        insert(storage, EntityTypes.GROUP_NODE, [{**one, 'dbnode_id': pk} for one, pk in zip(members, mine)])
    rows = as_text('db_dblink')
    assert rows[: len(links)] == rows[len(links) :] and len(rows) == 2 * len(links)
    assert sorted(node.pk for node in group.nodes) == sorted([*theirs, *mine])


def test_nodes_added_later_have_numbers_of_their_own() -> None:
    """The database's own counter knows of the numbers that were taken."""
    storage = get_manager().get_profile_storage()
    with storage.transaction():
        mine = insert_nodes(storage, nodes())
    with storage.transaction():
        theirs = storage.bulk_insert(EntityTypes.NODE, nodes())
        again = insert_nodes(storage, nodes())
    assert len({*mine, *theirs, *again}) == 3 * len(WORDS)


@pytest.mark.parametrize('table', [EntityTypes.LINK, EntityTypes.GROUP_NODE])
def test_a_chunk_is_whole_or_not_there(table: EntityTypes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails after the rows of nodes takes these along."""
    source = make('MPLiTrj', tmp_path, n=30, atoms=8)
    import_dataset(source, 'MPLiTrj', workers=0, chunk_size=8, limit=8)
    before = as_text('db_dbnode'), as_text('db_dblink'), as_text('db_dbgroup_dbnodes')

    def broken(backend: Any, entity: EntityTypes, rows: Any) -> None:
        insert(backend, entity, rows)
        if entity is table:
            raise OSError('the disk is full')

    monkeypatch.setattr(storing, 'insert', broken)
    with pytest.raises(OSError, match='the disk is full'):
        import_dataset(source, 'MPLiTrj', workers=0, chunk_size=8)
    assert (as_text('db_dbnode'), as_text('db_dblink'), as_text('db_dbgroup_dbnodes')) == before
    monkeypatch.undo()
    assert (
        import_dataset(source, 'MPLiTrj', workers=0, chunk_size=8).entries == DatasetGroup.of('MPLiTrj').count() == 30
    )
