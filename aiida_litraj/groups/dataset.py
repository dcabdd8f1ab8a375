"""A data set as a group of nodes."""

from __future__ import annotations

from typing import Any

from aiida.common.exceptions import NotExistent
from aiida.orm import Data, Group, QueryBuilder


class DatasetGroup(Group):
    """All entries of a data set, or those of one split.

    The set itself has the label ``NAME``, its splits ``NAME/train`` and the like; an entry with a split is a member of
    both. The extras of the set say where it came from: ``card`` (uuid of the node), ``granularity`` and ``sources``.
    """

    @classmethod
    def of(cls, name: str) -> DatasetGroup:
        """Return the stored group of a set or a split.

        :raises ValueError: if there is none, naming those that exist.
        """
        try:
            return cls.collection.get(label=name)
        except NotExistent as error:
            known = ', '.join(sorted(label for label in cls.names())) or 'none yet'
            raise ValueError(f'there is no data set {name!r}; known are: {known}') from error

    @classmethod
    def names(cls) -> list[str]:
        """Return the names of the stored sets, without their splits."""
        labels = QueryBuilder().append(cls, project='label').all(flat=True)
        return sorted(label for label in labels if '/' not in label)

    @property
    def name(self) -> str:
        """Name of the set, for a split too."""
        return self.label.partition('/')[0]

    @property
    def splits(self) -> dict[str, DatasetGroup]:
        """The set's splits by name."""
        query = QueryBuilder().append(type(self), filters={'label': {'like': f'{_escaped(self.name)}/%'}})
        return {group.label.partition('/')[2]: group for group in query.all(flat=True)}

    @property
    def facts(self) -> dict[str, Any]:
        """What is known of the import: ``card``, ``granularity``, ``sources``, by the extras of the set."""
        extras: dict[str, Any] = self.base.extras.all
        return extras

    def number_of_entries(self) -> int:
        """Return the number of entries, whether a node holds one or many."""
        if self.facts.get('granularity', 'entry') == 'entry':
            return self.count()
        query = QueryBuilder().append(type(self), filters={'id': self.pk}, tag='set')
        query.append(Data, with_group='set', project=['attributes.entry_id', 'attributes.n_frames'])
        return sum(n_frames if one is None else 1 for one, n_frames in query.all())


def _escaped(text: str) -> str:
    """Return text whose wildcards stand for themselves in a ``like``."""
    return text.replace('\\', '\\\\').replace('%', '\\%').replace('_', '\\_')
