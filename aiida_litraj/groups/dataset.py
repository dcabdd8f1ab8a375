"""A data set as a group of nodes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aiida.common.exceptions import NotExistent, UniquenessError
from aiida.manage import get_manager
from aiida.orm import Data, Dict, Group, ProcessNode, QueryBuilder

SET = 'set'
SPLIT = 'split'
"""Extras of a split's group: the uuid of the set's group, and which split it is."""
UNFINISHED = 'unfinished'
"""Extra of a set: names of the sources of which an import is under way or was broken off, by their sha256."""


class DatasetGroup(Group):
    """All entries of a data set, or those of one split.

    The set itself has the label ``NAME``, its splits ``NAME/train`` and the like; an entry with a split is a member of
    both. The extras of the set say where it came from: ``card`` (uuid of the node), ``granularity``, ``sources`` and
    ``name``, under which it was first imported and which its entries have as their attribute ``dataset``. A split
    knows its set by uuid, so that another label, as a person or an archive gives it, parts nothing. A split whose set
    is not stored, as after the import of an archive of the split alone, stands for a set of its own.
    """

    @classmethod
    def of(cls, name: str) -> DatasetGroup:
        """Return the stored group of a set or a split.

        :raises ValueError: if there is none, naming those that exist.
        """
        for label, split in _partings(name):  # before the label itself, which may be left from a set called so once
            if (there := cls.collection.find({'label': label})) and split in (splits := there[0].splits):
                return splits[split]
        try:
            return cls.collection.get(label=name)
        except NotExistent as error:
            known = ', '.join(sorted(label for label in cls.names())) or 'none yet'
            raise ValueError(
                f'there is no data set {name!r} in the profile {_profile()}; known are: {known}'
            ) from error

    @classmethod
    def resolve(cls, name: str) -> tuple[DatasetGroup, str | None]:
        """Return the set that a name stands for and, if it is that of a split, which; there need be no such split.

        :raises ValueError: if there is no such set.
        """
        try:
            group = cls.of(name)
        except ValueError:
            for label, split in _partings(name):
                if there := cls.collection.find({'label': label}):
                    return there[0], split
            raise
        return group.whole, group.split

    @classmethod
    def names(cls) -> list[str]:
        """Return the names of the stored sets and of splits that stand alone, without other splits."""
        rows = QueryBuilder().append(cls, project=['label', 'uuid', f'extras.{SET}', 'extras.card']).all()
        known = {one for label, uuid, *_ in rows for one in (label, uuid)}
        parts = {label: of or (label.partition('/')[0] if '/' in label else None) for label, _, of, _ in rows}
        return sorted(label for label, *_, card in rows if card is not None or parts[label] not in known)

    @property
    def split(self) -> str | None:
        """Which split of a set this is; None for the set."""
        named: str | None = self.base.extras.get(SPLIT, None)
        if named is None and self.base.extras.get('card', None) is None:
            return self.label.partition('/')[2] or None
        return named

    @property
    def whole(self) -> DatasetGroup:
        """The set that this is, or is a split of; a split whose set is not stored stands for it."""
        if self.split is None:
            return self
        uuid = self.base.extras.get(SET, None)
        known = self.collection.find({'uuid': uuid} if uuid else {'label': self.label.partition('/')[0]})
        return known[0] if known else self

    @property
    def is_whole(self) -> bool:
        """Whether this is a set, or a split that stands alone."""
        return self.whole.pk == self.pk

    @property
    def name(self) -> str:
        """Name of the set, for a split too."""
        return self.whole.label

    @property
    def label(self) -> str:
        """Name by which people know the group; a set that gets another one passes it on to its splits."""
        return super().label

    @label.setter
    def label(self, label: str) -> None:
        splits = self.splits if self.is_stored and self.split is None else {}
        Group.label.__set__(self, label)
        for name, group in splits.items():
            try:
                Group.label.__set__(group, f'{label}/{name}')
            except UniquenessError:  # what it is called does not matter
                continue

    @property
    def splits(self) -> dict[str, DatasetGroup]:
        """The set's splits by name."""
        whole = self.whole
        if whole.split is not None:
            return {whole.split: whole}
        # Splits of old know their set by its label only; a set with a slash in its name has a card, and is none.
        strange = [{'extras': {'!has_key': key}} for key in (SET, 'card')]
        old = {'and': [{'label': {'like': f'{_escaped(whole.label)}/%'}}, *strange]}
        query = QueryBuilder().append(DatasetGroup, filters={'or': [{f'extras.{SET}': whole.uuid}, old]})
        return {str(group.split): group for group in query.order_by({DatasetGroup: 'id'}).all(flat=True)}

    def get_or_create_split(self, name: str) -> DatasetGroup:
        """Return the group of a split of this set, stored."""
        known = self.splits
        if name in known:
            return known[name]
        label = f'{self.label}/{name}'
        if self.collection.find({'label': label}):  # of a set that had this one's name once
            label = f'{label} ({self.uuid[:8]})'
        return DatasetGroup(label=label, extras={SET: self.uuid, SPLIT: name}).store()

    @property
    def facts(self) -> dict[str, Any]:
        """What is known of the import: ``card``, ``granularity``, ``sources``, by the extras of the set.

        Of a split that stands alone the imports of its entries tell, which came with them.
        """
        extras: dict[str, Any] = self.base.extras.all
        return extras | self._told_by_imports() if self.split is not None and self.is_whole else extras

    def _told_by_imports(self) -> dict[str, Any]:
        query = QueryBuilder().append(DatasetGroup, filters={'id': self.pk}, tag='split')
        query.append(Data, with_group='split', tag='entry')
        query.append(ProcessNode, with_outgoing='entry', tag='import')
        query.append(Dict, with_outgoing='import', edge_filters={'label': 'card'}, project='uuid')
        if (card := query.limit(1).first(flat=True)) is None:
            return {}

        def imports(project: list[str]) -> QueryBuilder:
            query = QueryBuilder().append(Dict, filters={'uuid': card}, tag='card')
            return query.append(
                ProcessNode, with_incoming='card', edge_filters={'label': 'card'}, tag='import', project=project
            )

        numbers = [number or 0 for number in imports(['attributes.n_entries']).all(flat=True)]
        made = imports([]).append(Data, with_incoming='import', project='id').count()
        sources = imports([]).append(
            Data, with_outgoing='import', edge_filters={'label': 'source'}, project=['label', 'attributes.sha256']
        )
        return {
            'card': card,
            # An import of many entries per node has made fewer nodes than it has read entries.
            'granularity': 'entry' if made >= sum(numbers) else 'trajectory',
            'sources': dict(sources.distinct().all()),
        }

    def number_of_entries(self) -> int:
        """Return the number of entries, whether a node holds one or many."""
        if self.whole.facts.get('granularity', 'entry') == 'entry':
            return self.count()
        query = QueryBuilder().append(type(self), filters={'id': self.pk}, tag='set')
        query.append(Data, with_group='set', project=['attributes.entry_id', 'attributes.n_frames'])
        return sum(n_frames if one is None else 1 for one, n_frames in query.all())


def _profile() -> str:
    """Return the name of the profile that is loaded."""
    profile = get_manager().get_profile()
    return 'that is loaded' if profile is None else str(profile.name)


def _partings(name: str) -> Iterator[tuple[str, str]]:
    """Yield what may be set and split in a name."""
    for place, letter in enumerate(name):
        if letter == '/':
            yield name[:place], name[place + 1 :]


def _escaped(text: str) -> str:
    """Return text whose wildcards stand for themselves in a ``like``."""
    return text.replace('\\', '\\\\').replace('%', '\\%').replace('_', '\\_')
