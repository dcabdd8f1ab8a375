"""Entries of data sets found: one by its identifier at once, many by what is known of them.

Of an entry's node the label is its identifier, and the only one of its fields that a database has an index of and
QueryBuilder uses; membership of a group is indexed too. All else is read from each node in turn.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiida.orm import Data, Dict, QueryBuilder, load_node

from ..analysis.frames import summary
from ..contract.frames import PATH_FILES, Frames
from ..data.frames import FramesData
from ..data.path import PathData
from .criteria import BARRIERS, Criteria, filters, filters_of_many, holds
from .dataset import DatasetGroup

LABEL_LENGTH = 255
BATCH = 2000
"""Rows fetched at a time."""
BATCH_OF_MANY = 10
"""The same of nodes of many entries."""
_LISTS = {
    'material_id': 'material_ids', 'source_file': 'source_files', 'source_line': 'source_lines', 'number': 'numbers',
}  # fmt: skip
"""Attribute of a node of one entry -> that of a node of many."""
_PLAIN = ('split', 'source_file', 'dataset', 'material_id')
"""The same for all entries of a node of many, unless it has a list of them."""


@dataclass(frozen=True)
class Reference:
    """Where an entry is: a node, and which of the configurations in it.

    :ivar index: 0 in a node of one entry.
    :ivar facts: columns that were asked for.
    """

    uuid: str
    index: int
    id: str
    facts: dict[str, Any] = field(default_factory=dict, compare=False)

    def frames(self) -> Frames:
        """Return the entry's configuration, or the images of its path."""
        node = load_node(self.uuid)
        if isinstance(node, PathData):
            return Frames.from_bytes(node.base.repository.get_object_content(PATH_FILES['frames'], mode='rb'))
        frames: Frames = node.frames
        return frames[self.index] if 'entry_ids' in node.base.attributes else frames


def find_entry(dataset: str, entry_id: str) -> Reference:
    """Return where the entry of a set is; as quick among a million as among ten.

    :raises ValueError: if the set has no such entry.
    """
    group = _set_of(dataset)
    # First by the index of labels, then among the few that other sets may have alike: at once, a database might go
    # through the members of the set instead.
    alike = QueryBuilder().append(Data, filters={'label': entry_id[:LABEL_LENGTH]}, project='id').all(flat=True)
    if alike:
        conditions = {'id': {'in': alike}, 'attributes.entry_id': entry_id}
        if uuids := _query(group, conditions, 'uuid').all(flat=True):
            return Reference(uuids[0], 0, entry_id)
    if not _one_each(group):
        for uuid in _nodes_that_may_have(group, entry_id):
            ids = QueryBuilder().append(FramesData, filters={'uuid': uuid}, project='attributes.entry_ids').one()[0]
            # A node of one entry, as the last of a file may be, has no list of them: it has been looked for above.
            if ids and entry_id in ids:
                return Reference(uuid, ids.index(entry_id), entry_id)
    raise ValueError(f'the data set {group.label} has no entry {entry_id!r}; its first is {_first(group)!r}')


def _set_of(dataset: str) -> DatasetGroup:
    """Return the group of a whole set, also by the name of one of its splits."""
    return DatasetGroup.resolve(dataset)[0]


def _one_each(group: DatasetGroup) -> bool:
    """Return whether each entry of a set is a node of its own."""
    return bool(group.facts.get('granularity', 'entry') == 'entry')


def _nodes_that_may_have(group: DatasetGroup, entry_id: str) -> Iterable[str]:
    """Return uuids of nodes of many entries; a label ``train/0 .. train/499`` tells without opening the node."""
    query = QueryBuilder().append(DatasetGroup, filters={'id': group.pk}, tag='set')
    query.append(FramesData, with_group='set', project=['uuid', 'label'])
    rows = query.all()
    number = _running_number(entry_id)
    spans = [_span(label) for _, label in rows]
    if number is None or any(first is None or last is None for first, last in spans):
        return [uuid for uuid, label in sorted(rows, key=lambda row: entry_id not in row[1])]
    return [
        uuid
        for (uuid, _), (first, last) in zip(rows, spans, strict=True)
        if first is not None and last is not None and _may_lie(number, first, last)
    ]


def _span(label: str) -> tuple[tuple[str, int] | None, tuple[str, int] | None]:
    """Return the running numbers of the first and the last entry of a node, which are one if it has only one."""
    first, _, last = label.partition(' .. ')
    return _running_number(first), _running_number(last or first)


def _may_lie(number: tuple[str, int], first: tuple[str, int], last: tuple[str, int]) -> bool:
    # Of entries of several files, each numbered anew, the first and the last do not tell of those between.
    return first[0] != last[0] or (first[0] == number[0] and first[1] <= number[1] <= last[1])


def _running_number(entry_id: str) -> tuple[str, int] | None:
    """Return ``train`` and 17 from ``train/17``."""
    match = re.fullmatch(r'(.*/)(\d+)', entry_id)
    return (match[1], int(match[2])) if match else None


def _first(group: DatasetGroup) -> str:
    query = QueryBuilder().append(DatasetGroup, filters={'id': group.pk}, tag='set')
    label = query.append(Data, with_group='set', project='label').limit(1).all(flat=True)
    return str(label[0]).partition(' .. ')[0] if label else 'none'


def query(dataset: str, project: str | Sequence[str] = '*', **criteria: Any) -> QueryBuilder:
    """Return the query for entries of a set: nodes with the tag ``entry``, to be gone on with at will.

    If nodes have many entries each, it gives those that may have one that is wished for; :func:`entries` looks into
    them.

    :param dataset: name of a set, or of a split of it such as ``MPLiTrj/val``.
    :param project: what the query gives of each node.
    :param criteria: fields of :class:`Criteria`.
    :raises ValueError: if there is no such set or split, or a criterion does not exist or cannot be met.
    """
    group, part, wishes = _resolve(dataset, criteria)
    return _query(part, filters(wishes) if _one_each(group) else filters_of_many(wishes), project)


def count(dataset: str, **criteria: Any) -> int:
    """Return the number of entries that meet the criteria of :func:`query`."""
    group, part, wishes = _resolve(dataset, criteria)
    if _one_each(group):
        return _query(part, filters(wishes), 'id').count() if wishes else part.count()
    if wishes:
        return sum(1 for _ in entries(dataset, **criteria))
    sizes = _query(part, {}, ['attributes.entry_id', 'attributes.n_frames']).all()
    return sum(size if one is None else 1 for one, size in sizes)


def entries(dataset: str, columns: Sequence[str] = (), **criteria: Any) -> Iterator[Reference]:
    """Yield the entries that meet the criteria of :func:`query`, in the order in which they were stored.

    :param columns: attributes to give with each: ``formula``, ``split``, ``properties.em`` and the like. Reading
        attributes is what takes time, so ask for those that are needed only.
    """
    group, part, wishes = _resolve(dataset, criteria)
    if _one_each(group):
        found = _query(part, filters(wishes), ['uuid', 'label', *(f'attributes.{name}' for name in columns)])
        for uuid, label, *values in found.order_by({'entry': 'id'}).iterall(batch_size=BATCH):
            yield Reference(uuid, 0, label, dict(zip(columns, values, strict=True)))
        return
    found = _query(part, filters_of_many(wishes), ['uuid', 'attributes'])
    for uuid, attributes in found.order_by({'entry': 'id'}).iterall(batch_size=BATCH_OF_MANY):
        yield from _within(uuid, attributes, columns, wishes)


@dataclass(frozen=True)
class Rows:
    """Rows of a query; of nodes of many entries also those with none that is wished for.

    :ivar one_each: whether each entry is a node of its own.
    """

    query: QueryBuilder
    one_each: bool
    wishes: dict[str, Any]

    def __iter__(self) -> Iterator[list[Any]]:
        size = BATCH if self.one_each else BATCH_OF_MANY
        return iter(self.query.order_by({'entry': 'id'}).iterall(batch_size=size))

    def meets(self, attributes: dict[str, Any], index: int, frames: Frames) -> bool:
        """Return whether one entry of a row's node is wished for."""
        if self.one_each or not self.wishes:
            return True
        return holds(self.wishes, _facts(attributes, index) | summary(frames))


def rows(dataset: str, project: Sequence[str], **criteria: Any) -> Rows:
    """Return what is to be read of the nodes of entries that meet the criteria of :func:`query`."""
    group, part, wishes = _resolve(dataset, criteria)
    one_each = _one_each(group)
    return Rows(_query(part, filters(wishes) if one_each else filters_of_many(wishes), project), one_each, wishes)


def _resolve(dataset: str, criteria: dict[str, Any]) -> tuple[DatasetGroup, DatasetGroup, dict[str, Any]]:
    """Return the set, the part of it to ask, and what is wished for."""
    group, split = DatasetGroup.resolve(dataset)
    wanted = Criteria.from_dict(criteria if not split else {'split': split, **criteria})
    wishes = wanted.wishes(_barrier_attribute(group) if wanted.barrier else None)
    _check_properties(group, wanted.properties)
    return group, _part(group, wanted.split), wishes


def _check_properties(group: DatasetGroup, names: Iterable[str]) -> None:
    known = card_of(group.label).get('properties', {})
    for name in names:
        if known and name not in known:
            raise ValueError(f'the entries of {group.label} have no property {name!r}; known are: {", ".join(known)}')


def _query(group: DatasetGroup, conditions: dict[str, Any], project: Any) -> QueryBuilder:
    builder = QueryBuilder().append(DatasetGroup, filters={'id': group.pk}, tag='set')
    return builder.append(
        (FramesData, PathData), with_group='set', tag='entry', filters=conditions, project=project
    )  # fmt: skip


def _part(group: DatasetGroup, split: str | None) -> DatasetGroup:
    if split is None:
        return group
    splits = group.splits
    if split not in splits:
        known = ', '.join(sorted(splits)) or 'it has none'
        raise ValueError(f'the data set {group.label} has no split {split!r}; known are: {known}')
    return splits[split]


def _within(
    uuid: str, attributes: dict[str, Any], columns: Sequence[str], wishes: dict[str, Any]
) -> Iterator[Reference]:
    """Yield the entries of one node of many that are wished for."""
    needed = set(columns) | (set(wishes) - {'chemsys'}) | ({'elements'} if 'chemsys' in wishes else set())
    frames = None
    if 'entry_ids' in attributes and not all(
        name in _PLAIN or name in _LISTS or name.startswith('properties.') for name in needed
    ):
        frames = load_node(uuid).frames
    for index, entry_id in enumerate(attributes.get('entry_ids') or [attributes['entry_id']]):
        facts = _facts(attributes, index)
        if frames is not None:
            facts |= summary(frames[index])
        if holds(wishes, facts):
            yield Reference(uuid, index, entry_id, {name: facts.get(name) for name in columns})


def _facts(attributes: dict[str, Any], index: int) -> dict[str, Any]:
    """Return what the attributes of a node say of one of its entries."""
    if 'entry_ids' not in attributes:  # a path is a node of its own in any set
        facts, own = dict(attributes), attributes.get('properties', {})
    else:
        facts = {name: attributes.get(name) for name in _PLAIN}
        facts |= {one: attributes[many][index] for one, many in _LISTS.items() if many in attributes}
        own = attributes['entry_properties'][index] if 'entry_properties' in attributes else {}
    return facts | {f'properties.{name}': value for name, value in own.items()}


def card_of(dataset: str) -> dict[str, Any]:
    """Return the card that a stored set was imported with, empty if it has none."""
    uuid = _set_of(dataset).facts.get('card')
    node = load_node(uuid) if uuid else None
    return node.get_dict() if isinstance(node, Dict) else {}


def barrier_attribute(dataset: str) -> str:
    """Return the attribute that is the barrier of an entry in eV, for example ``properties.em_dft``.

    :raises ValueError: if the entries of the set have none.
    """
    return _barrier_attribute(_set_of(dataset))


def _barrier_attribute(group: DatasetGroup) -> str:
    card = card_of(group.label)
    properties = card.get('properties', {})
    for name in BARRIERS:
        if name in properties:
            return f'properties.{name}'
    if card.get('entry') == 'path' or not card:
        return 'range_ev'
    raise ValueError(
        f'the entries of {group.label} have no barrier; their properties are: {", ".join(sorted(properties)) or "none"}'
    )


def facts_of(node: Data, index: int = 0) -> dict[str, Any]:
    """Return all that is known of one entry without reading its configuration; of a node of many, of that one."""
    attributes = node.base.attributes.all
    if 'entry_ids' not in attributes:
        hidden = ('dataset', 'entry_id', 'n_frames', 'index_row', 'properties')
        facts = {
            name: value for name, value in attributes.items() if name not in hidden and not name.startswith('array|')
        }
        return facts | {f'properties.{name}': value for name, value in attributes.get('properties', {}).items()}
    return _facts(attributes, index) | summary(load_node(node.uuid).frames[index])
