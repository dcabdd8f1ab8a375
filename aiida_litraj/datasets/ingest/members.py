"""Entries that were taken out of the groups of their set."""

from __future__ import annotations

from collections.abc import Iterator

from aiida.orm import Data, QueryBuilder
from aiida.orm.entities import EntityTypes
from aiida.orm.implementation import StorageBackend

from ...groups.dataset import DatasetGroup
from .records import imports_of
from .tables import insert

BATCH = 10_000
"""Rows fetched at a time."""


def has_outputs(group: DatasetGroup) -> bool:
    """Return whether anything that was imported into a set is there, be it a member of its group or not."""
    return _made(group).limit(1).first() is not None


def link_again(backend: StorageBackend, group: DatasetGroup, with_splits: bool) -> None:
    """Make what was imported into a set members of its groups again, as after ``verdi group remove-nodes``.

    :param with_splits: whether entries of the set have splits.
    """
    made = _made(group).count()
    within = sum(_made_in(one).count() for one in group.splits.values())
    if _made_in(group).count() == made and (within == made or not with_splits):
        return
    splits: dict[int, str | None] = dict(_made(group, ['id', 'attributes.split']).iterall(batch_size=BATCH))
    for name in set(splits.values()) - {None}:
        group.get_or_create_split(str(name))
    rows = list(_missing(group, list(splits)))
    for name, part in group.splits.items():
        rows += _missing(part, [pk for pk, split in splits.items() if split == name])
    with backend.transaction():
        insert(backend, EntityTypes.GROUP_NODE, rows)


def _missing(group: DatasetGroup, pks: list[int]) -> Iterator[dict[str, int]]:
    """Yield the rows of memberships that a group lacks."""
    query = QueryBuilder().append(DatasetGroup, filters={'id': group.pk}, tag='group')
    there = set(query.append(Data, with_group='group', project='id').all(flat=True))
    yield from ({'dbnode_id': pk, 'dbgroup_id': group.pk} for pk in pks if pk not in there)


def _made(group: DatasetGroup, project: str | list[str] = 'id') -> QueryBuilder:
    """Return the query for what the imports of a set, or of the set of a split, have made."""
    return imports_of(group, []).append(Data, with_incoming='import', tag='entry', project=project)


def _made_in(group: DatasetGroup) -> QueryBuilder:
    return _made(group).append(DatasetGroup, with_node='entry', filters={'id': group.pk})
