"""Whether a stored set is what was imported: contents, hashes, links, groups, counts, and its source."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

from aiida.orm import ProcessNode, QueryBuilder

from ..data.contents import read_contents
from ..data.frames import FramesData
from ..data.path import PathData
from ..data.source import SourceData
from ..datasets.ingest.hashes import NodeHasher
from ..datasets.ingest.names import NamedSource
from ..datasets.ingest.records import PROCESS_LABEL, imports_of, recorded_problems
from .dataset import DatasetGroup
from .notes import unfinished_notes
from .query import card_of, rows

BATCH = 500
LABELLING = ('collect_label', 'NebCalculation')
"""What makes labels, entries without a source: of configurations, and of those on the way to a path."""
Progress = Callable[[str, int, int | None], None]


@dataclass
class Verified:
    """What was found.

    :ivar with_split: number of entries that have a split.
    :ivar checked: what holds, in words.
    :ivar problems: what does not.
    :ivar notes: what differs from the card, as after an import with a limit.
    :ivar other_sources: files given to compare that are not those of the import.
    """

    dataset: str
    nodes: int = 0
    entries: int = 0
    checked: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    with_split: int = 0
    other_sources: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems and not self.other_sources


def verify(dataset: str, source: Sequence[str | Path] = (), progress: Progress | None = None) -> Verified:
    """Compute all checksums and hashes of a set again and compare; return what was found.

    :param source: the files that the set was imported from, to see that they are the same.
    :raises ValueError: if there is no such set.
    """
    tell = progress or (lambda *_: None)
    group = DatasetGroup.of(dataset)
    found = Verified(group.label)
    _check_nodes(group, found, tell)
    _check_origin(group, found)
    _check_counts(group, found)
    _note_problems(group, found)
    if source:
        _check_source(group, source, found, tell)
    return found


def _check_nodes(group: DatasetGroup, found: Verified, tell: Progress) -> None:
    total = group.count()
    ids: Counter[str] = Counter()
    hasher = NodeHasher()
    before = len(found.problems)
    unhashed = 0
    columns = ['label', 'node_type', 'attributes', 'repository_metadata', 'extras._aiida_hash']
    stream: Iterator[list[Any]] = iter(rows(group.label, columns))
    while some := list(islice(stream, BATCH if group.whole.facts.get('granularity', 'entry') == 'entry' else 4)):
        keys = [{name: one['k'] for name, one in row[3].get('o', {}).items()} for row in some]
        try:
            contents = read_contents((key for own in keys for key in own.values()), check=False)
        except (FileNotFoundError, KeyError) as error:
            found.problems.append(f'between {some[0][0]} and {some[-1][0]}: {error}')
            contents = {}
        for (label, node_type, attributes, _, node_hash), own in zip(some, keys, strict=True):
            own_ids = attributes.get('entry_ids') or [attributes.get('entry_id')]
            ids.update(own_ids)
            found.with_split += len(own_ids) if attributes.get('split') is not None else 0
            found.problems += [
                f'{label}: the content of {name} has changed: its sha256 is not {key}'
                for name, key in own.items()
                if key in contents and hashlib.sha256(contents[key]).hexdigest() != key
            ]
            unhashed += node_hash is None
            computed = hasher(_hashed(node_type, attributes), own, _class_of(node_type))
            if node_hash is not None and computed != node_hash:
                found.problems.append(f'{label}: its attributes have changed: the hash is not that of the import')
        found.nodes += len(some)
        tell('checksums', found.nodes, total)
    if unhashed:
        lack = '1 node has' if unhashed == 1 else f'{unhashed:,} nodes have'
        found.notes.append(f'{lack} no stored hash, as after the import of an archive: contents only')
    found.entries = sum(ids.values())
    found.problems += [f'the entry {one} is there {number} times' for one, number in ids.items() if number > 1]
    if len(found.problems) == before:
        found.checked.append(f'contents and hashes of {found.nodes:,} nodes, each of {found.entries:,} entries once')


@lru_cache(maxsize=8)
def _node_class(node_type: str) -> type:
    return {cls.class_node_type: cls for cls in (FramesData, PathData)}[node_type]


def _class_of(node_type: str) -> str:
    return str(_node_class(node_type))


def _hashed(node_type: str, attributes: Mapping[str, Any]) -> dict[str, Any]:
    node_class: Any = _node_class(node_type)
    ignored = {*node_class._hash_ignored_attributes, *node_class._updatable_attributes}
    return {name: value for name, value in attributes.items() if name not in ignored}


def _check_origin(group: DatasetGroup, found: Verified) -> None:
    """Check that each node was made by one finished import of a source that the set knows, or is a label.

    Labels join sets of their own, without a card.
    """
    if group.whole.facts.get('card') is None and _labels_in(group) == found.nodes:
        found.checked.append('each node is a label, made by a finished calculation')
        return
    query = QueryBuilder().append(SourceData, tag='source', project='attributes.sha256')
    query.append(
        ProcessNode, with_incoming='source', tag='process',
        filters={'attributes.process_label': PROCESS_LABEL, 'attributes.sealed': True},
    )  # fmt: skip
    query.append((FramesData, PathData), with_incoming='process', tag='entry')
    query.append(DatasetGroup, with_node='entry', filters={'id': group.pk})
    origins = Counter(query.all(flat=True))
    known = set(group.whole.facts.get('sources', {}).values())
    if sum(origins.values()) != found.nodes:
        strange = found.nodes - sum(origins.values())
        which = '1 node does' if strange == 1 else f'{strange} nodes do'
        found.problems.append(f'{which} not come from an import with a source')
    elif not set(origins) <= known:
        found.problems.append(
            f'some nodes come from sources that the set does not know: {sorted(set(origins) - known)}'
        )
    else:
        found.checked.append('each node comes from a finished import of a known source')
    _check_gaps(group, found)


def _labels_in(group: DatasetGroup) -> int:
    """Return the number of members that a finished labelling has made."""
    query = QueryBuilder().append(
        ProcessNode,
        tag='process',
        filters={'attributes.process_label': {'in': list(LABELLING)}, 'attributes.sealed': True},
    )
    query.append(FramesData, with_incoming='process', tag='entry')
    return query.append(DatasetGroup, with_node='entry', filters={'id': group.pk}).count()


def _check_gaps(group: DatasetGroup, found: Verified) -> None:
    """Check that what was read of each part has no holes: deleting an entry takes along what was imported with it."""
    query = imports_of(group, ['attributes.part', 'attributes.start', 'attributes.end'])
    query.append(SourceData, with_outgoing='import', project='attributes.sha256')
    reached: dict[tuple[str, str], int] = {}
    for part, start, end, source in sorted(query.all(), key=lambda row: (row[3], row[0], row[1][1])):
        if start[1] > reached.get((source, part), 0):
            found.problems.append(
                f'entries {reached.get((source, part), 0):,} to {start[1] - 1:,} of {part} are not there any more: '
                'import it again, and they are added'
            )
        reached[source, part] = max(reached.get((source, part), 0), end[1])


def _check_counts(group: DatasetGroup, found: Verified) -> None:
    card = card_of(group.label)
    announced: dict[str, int | None] = card.get('splits') or {}
    parts = group.splits if group.is_whole else {str(group.split): group}
    members = {split: part.number_of_entries() for split, part in parts.items()}
    strange = [one.label for one in parts.values() if group.is_whole and one.pk != group.pk and not _within(one, group)]
    found.problems += [f'{label} has members that the set has not' for label in strange]
    if members and sum(members.values()) != found.with_split:
        found.problems.append(
            f'the splits have {sum(members.values()):,} entries, and of those of the set {found.with_split:,} have one'
        )
    elif members and not strange:
        text = ', '.join(f'{name} {number:,}' for name, number in members.items())
        without = found.entries - found.with_split
        found.checked.append(f'splits that add up: {text}' + (f', and {without:,} without a split' if without else ''))
    for split, number in announced.items():
        if number is not None and group.split in (None, split) and members.get(split, 0) != number:
            found.notes.append(f'the card says {number:,} in {split}, there are {members.get(split, 0):,}')
    total = card.get('n_entries')
    if group.split is None and total is not None and total != found.entries:
        found.notes.append(f'the card says {total:,} entries, there are {found.entries:,}')


def _within(part: DatasetGroup, group: DatasetGroup) -> bool:
    """Return whether all members of one group are members of another too."""
    query = QueryBuilder().append(DatasetGroup, filters={'id': group.pk}, tag='set')
    query.append((FramesData, PathData), with_group='set', tag='entry')
    return bool(query.append(DatasetGroup, with_node='entry', filters={'id': part.pk}).count() == part.count())


def _note_problems(group: DatasetGroup, found: Verified) -> None:
    """Tell what was left out at the import, and whether it came to its end."""
    found.notes += unfinished_notes(group)
    if problems := recorded_problems(group):
        first = problems[0]
        met = '1 problem was' if len(problems) == 1 else f'{len(problems):,} problems were'
        found.notes.append(f'{met} met at the import, the first: {first.file}, line {first.line}: {first.reason}')


def _check_source(group: DatasetGroup, paths: Sequence[str | Path], found: Verified, tell: Progress) -> None:
    """Compare each file by its checksum with those of the sources that the set was imported from."""
    sources: Mapping[str, str] = group.whole.facts.get('sources', {})
    query = QueryBuilder().append(SourceData, filters={'attributes.sha256': {'in': list(sources.values())}})
    files = {one['sha256']: one['name'] for node in query.all(flat=True) for one in node.files}
    with NamedSource.open(list(paths) if len(paths) > 1 else paths[0]) as source:
        given = source.manifest(lambda done, whole: tell('source', done, whole))
    known = [one for one in given if one['sha256'] in files]
    if len(known) == len(given):
        found.checked.append(f'what was imported: {", ".join(one["name"] for one in known[:5])}')
        return
    changed = [one for one in given if one['sha256'] not in files and (one['name'] in files.values() or not known)]
    found.notes += [f'{one["name"]} is no file of the import' for one in given if one not in known + changed]
    listed = ', '.join(sources) or 'none'
    found.other_sources += [
        f'{one["name"]} has the sha256 {one["sha256"][:12]}…, which is no file of what was imported: {listed}'
        for one in changed
    ]
