"""Import of a data set: what is there is left alone, what is missing is added, chunk by chunk."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from aiida.manage import get_manager
from aiida.orm import Dict, Node, QueryBuilder, User, load_node

from ...data.source import SourceData
from ...groups.dataset import UNFINISHED, DatasetGroup
from ...groups.remove import delete_quietly
from ..card import Card, load_card
from ..entry import START, Chunk, Cursor, Part, Problem
from ..importers import importer_of
from ..source import Source
from .lock import only_import
from .members import has_outputs, link_again
from .names import NamedSource
from .records import imports_of, is_malformed, recorded_problems, written
from .rows import Granularity, Prepared, without_repeats
from .store import Target, container_of, store
from .tables import refresh_statistics
from .workers import Workers

CHUNK = 500
"""Entries stored in one transaction: what a kill costs, and what is in memory per worker."""
MOST_WORKERS = 4
"""More would wait: an entry takes 0.4 ms to parse and hash, and 0.2 ms to store, which one process does."""
TOLD = 10
"""Problems that a refusal tells."""
Progress = Callable[[str, int, int | None], None]
"""Called with what is being done, how much of it is done, and how much there is, if that is known."""


@dataclass
class ImportReport:
    """What an import did."""

    dataset: str
    granularity: Granularity
    stored: int = 0
    """Entries stored this time."""
    present: int = 0
    """Entries that an earlier import had stored."""
    nodes: int = 0
    """Nodes made this time."""
    problems: list[Problem] = field(default_factory=list)
    """Entries, files and rows that were left out this time, and why."""
    seconds: float = 0.0
    """Time for reading and storing, without the checksum of the source."""
    complete: bool = True
    """Whether every part was read to its end, rather than to a limit."""
    parts: int = 0
    """Number of parts of the source, to each of which a limit applies."""
    left_out_before: int = 0
    """Entries of this source that earlier imports left out."""
    second_to: tuple[str, ...] = ()
    """Sources that the set had before, where this import has added another."""
    others: int = 0
    """Entries of the set that came from other sources."""

    @property
    def entries(self) -> int:
        """Entries now in the set."""
        return self.present + self.stored + self.others

    @property
    def import_per_s(self) -> float:
        """Entries stored per second."""
        return self.stored / self.seconds if self.seconds else 0.0


class Refused(ValueError):
    """The source or the set is not what the import needs; what chunks were stored before stay."""


def import_dataset(
    path: str | Path | Sequence[str | Path],
    card: Card | str | Path,
    name: str | None = None,
    limit: int | None = None,
    granularity: Granularity = 'entry',
    strict: bool = False,
    workers: int | None = None,
    progress: Progress | None = None,
    chunk_size: int = CHUNK,
) -> ImportReport:
    """Store the entries of a data set that are not stored yet, and return what was done.

    Killed at any moment and called again it goes on where it was; called on a set that is whole it does nothing.

    :param path: the publisher's zip, its unpacked folder, or files.
    :param card: a card, the name of a known one, or a YAML file.
    :param name: name of the set, the card's if not given.
    :param limit: number of entries to read of each part, in the order of the file; a later call without it goes on.
    :param granularity: ``entry``, a node for each; ``trajectory``, a node for each chunk.
    :param strict: refuse a source with a malformed entry as soon as one is met, rather than leave it out.
    :param workers: processes that parse; one per core up to four if not given, 0 for none.
    :raises Refused: if a source file has changed since an earlier import, or granularity or card differ from that.
    :raises RuntimeError: if another import is under way in this profile.
    """
    known = card if isinstance(card, Card) else load_card(card)
    dataset = name or known.name
    _check_name(dataset)
    tell = progress or (lambda *_: None)
    storage = get_manager().get_profile_storage()
    report = ImportReport(dataset, granularity, complete=limit is None)
    with NamedSource.open(path) as source, only_import(container_of(storage)):
        importer = importer_of(known)
        parts, problems = importer.parts(source, known)
        broken = [one for one in problems if is_malformed(one)]
        if strict and broken:
            raise Refused(_several(broken))
        if not parts:
            raise Refused(f'{source.path} holds nothing of the layout {known.layout}: ' + (_first(problems) or 'empty'))
        origin = _source_node(source, lambda done, whole: tell('checksum', done, whole))
        group = _group(dataset, known, granularity)
        report.second_to = _same_source(group, origin)
        report.parts = len(parts)
        _begin(group, origin)
        link_again(storage, group, bool(known.splits or group.splits))
        whole = _Whole(group, origin, problems)
        before = [one for one in whole.recorded if is_malformed(one)]
        report.left_out_before = len(before)
        if strict and before:
            raise Refused(
                f'the set {dataset} was imported without --strict, and entries were left out of it: '
                f'{_several(before)}. Delete the set and import a source without them, or do without --strict'
            )
        report.problems.extend(problems)
        start = time.monotonic()
        number = _number_of_workers(parts, limit, chunk_size) if workers is None else workers
        try:
            with Workers(number, known, whole.target.dataset, granularity) as crew:
                ids = whole.ids()
                for part in parts:
                    _import_part(_Job(source, known, part, limit, strict, chunk_size), whole, ids, crew, report, tell)
        except Refused:
            _discard(group, origin)
            raise
        if report.nodes:
            refresh_statistics(storage)
        report.seconds = time.monotonic() - start
        report.others = _others(group, report)
        if not report.present + report.stored:
            _discard(group, origin)
            raise Refused(
                f'{source.name} has no entry that could be read with the card {known.name}: '
                f'{_first(report.problems) or "it is empty"}. Is it the right card?'
            )
        _end(group, origin)
    return report


def _begin(group: DatasetGroup, origin: SourceData) -> None:
    """Note that a source is being read, so that an import that was killed is not taken for one that came to its end."""
    group.base.extras.set(UNFINISHED, group.base.extras.get(UNFINISHED, {}) | {origin.sha256: origin.label})


def _end(group: DatasetGroup, origin: SourceData) -> None:
    left = {key: label for key, label in group.base.extras.get(UNFINISHED, {}).items() if key != origin.sha256}
    if left:
        group.base.extras.set(UNFINISHED, left)
    else:
        group.base.extras.delete(UNFINISHED)


def _others(group: DatasetGroup, report: ImportReport) -> int:
    """Return how many entries of a set come from other sources than that of this import."""
    if len(group.base.extras.get('sources', {})) < 2:
        return 0
    return max(0, group.number_of_entries() - report.present - report.stored)


def _discard(group: DatasetGroup, origin: SourceData) -> None:
    """Remove a set if it has no entries, with the records of having read its source."""
    if group.is_empty and not has_outputs(group):
        card = load_node(group.base.extras.get('card'))
        for one in [*group.splits.values(), group]:
            DatasetGroup.collection.delete(one.pk)
        delete_quietly([card.pk])  # and with it the records of this set's imports, which made nothing
        if not origin.base.links.get_outgoing().all_nodes():
            delete_quietly([origin.pk])


@dataclass(frozen=True)
class _Job:
    """What of a part is to be read, and how."""

    source: Source
    card: Card
    part: Part
    limit: int | None
    strict: bool
    chunk_size: int


class _Whole:
    """The set with its groups, its source, and which parts of it are stored."""

    def __init__(self, group: DatasetGroup, origin: SourceData, problems: Sequence[Problem] = ()) -> None:
        self.group = group
        self.origin = origin
        self.recorded = recorded_problems(group, origin.sha256)
        # Of what is wrong with the source beside its chunks, what no import has on record yet.
        self._pending = [one for one in map(written, problems) if one not in self.recorded]
        card = load_node(group.base.extras.get('card'))
        self.target = Target(
            backend=get_manager().get_profile_storage(),
            user_pk=User.collection.get_default().pk,
            dataset=group.facts.get('name') or group.label,
            whole=group,
            groups={None: group.pk},
            inputs={'card': card.pk, 'source': origin.pk},
        )

    def stored(self, part: str) -> tuple[list[tuple[Cursor, Cursor]], int]:
        """Return from where to where a part is stored, in order, and how many entries that is."""
        query = imports_of(self.group, ['attributes.start', 'attributes.end', 'attributes.n_entries'], part)
        # By its checksum: an archive may have brought another node of the same source.
        query.append(SourceData, with_outgoing='import', filters={'attributes.sha256': self.origin.sha256})
        chunks = query.all()
        return sorted((Cursor(*start), Cursor(*end)) for start, end, _ in chunks), sum(one[2] for one in chunks)

    def add(self, ready: Prepared) -> int:
        """Store a chunk and return the number of nodes; the first one has on record what is wrong beside the chunks."""
        number = store(self.target, replace(ready, problems=[*self._pending, *ready.problems]))
        self._pending = []
        return number

    def ids(self) -> set[str]:
        """Return the identifiers of all stored entries."""
        query = QueryBuilder().append(DatasetGroup, filters={'id': self.group.pk}, tag='set')
        if self.group.base.extras.get('granularity') == 'entry':
            query.append(Node, with_group='set', project='label')
            return set(query.all(flat=True))
        query.append(Node, with_group='set', project=['attributes.entry_id', 'attributes.entry_ids'])
        return {one for single, many in query.iterall() for one in (many or [single])}


def _import_part(job: _Job, whole: _Whole, ids: set[str], crew: Workers, report: ImportReport, tell: Progress) -> None:
    stored, present = whole.stored(job.part.name)
    report.present += present
    goal = job.part.n_expected if job.limit is None else job.limit
    tell(job.part.name, stored[-1][1].number if stored else 0, goal)
    for one in crew.prepared(_missing(job, stored)):
        cleared = without_repeats(one, ids)
        if job.strict and cleared.problems:
            raise Refused(_several(cleared.problems))
        report.nodes += whole.add(cleared)
        report.stored += len(cleared.ids)
        report.problems.extend(cleared.problems)
        tell(job.part.name, one.chunk.end.number, goal)


def _missing(job: _Job, stored: Sequence[tuple[Cursor, Cursor]]) -> Iterator[Chunk]:
    """Yield the chunks of a part that are not stored: those after the last, and those deleted since."""
    here = START
    for start, end in stored:
        if start.number > here.number:
            yield from _until(job, here, start.number if job.limit is None else min(start.number, job.limit))
        here = max(here, end, key=lambda one: one.number)
    yield from _until(job, here, job.limit)


def _until(job: _Job, here: Cursor, stop: int | None) -> Iterator[Chunk]:
    """Yield the chunks from a cursor to a running number, the last one of a size that meets it."""
    importer = importer_of(job.card)
    if stop is not None and here.number >= stop:
        return
    for chunk in importer.chunks(job.source, job.card, job.part, here, job.chunk_size):
        if stop is None or chunk.end.number <= stop:
            yield chunk
            continue
        if stop > chunk.start.number:
            yield next(importer.chunks(job.source, job.card, job.part, chunk.start, stop - chunk.start.number))
        return


def _number_of_workers(parts: Sequence[Part], limit: int | None, chunk_size: int) -> int:
    """Return how many processes are worth their start, which takes a second."""
    sizes = [limit if limit is not None else part.n_expected for part in parts]
    few = 4 * chunk_size
    if all(size is not None for size in sizes) and sum(size or 0 for size in sizes) < few:
        return 0
    return min(os.cpu_count() or 1, MOST_WORKERS)


def _source_node(source: Source, progress: Callable[[int, int], None]) -> SourceData:
    """Return the node of a source, the stored one if these very files were imported before."""
    files = source.manifest(progress)
    sha256 = checksum_of(files)
    query = QueryBuilder().append(SourceData, filters={'attributes.sha256': sha256})
    existing = query.first(flat=True)
    return existing or SourceData.from_manifest(source.name, sha256, [dict(record) for record in files]).store()


def checksum_of(files: Sequence[Mapping[str, Any]]) -> str:
    """Return the sha256 by which a source is known: that of its file, or of the list of its files."""
    if len(files) == 1:
        return str(files[0]['sha256'])
    listed = json.dumps([dict(record) for record in files], sort_keys=True)
    return hashlib.sha256(listed.encode()).hexdigest()


def _group(dataset: str, card: Card, granularity: Granularity) -> DatasetGroup:
    """Return the group of the set, made if there is none.

    :raises Refused: if the set was begun with another card or granularity.
    """
    group, created = DatasetGroup.collection.get_or_create(dataset)
    content = card.as_dict()
    facts: Mapping[str, Any] = {} if created else group.base.extras.all
    if 'card' not in facts:
        node = Dict(content)
        node.label = f'card of {card.name}'
        begun = {'card': node.store().uuid, 'granularity': granularity, 'sources': {}, 'name': dataset}
        group.base.extras.set_many(begun)
        group.description = card.title
        return group
    if facts['granularity'] != granularity:
        raise Refused(
            f'the set {dataset} was imported with --granularity {facts["granularity"]}, not {granularity}: '
            'give that, or another --name'
        )
    before = load_node(facts['card']).get_dict()
    differing = sorted(key for key in content if content[key] != before.get(key))
    if differing:
        raise Refused(
            f'the set {dataset} was imported with another card; these fields differ: {", ".join(differing)}. '
            'Give the same card, or another --name'
        )
    return group


def _same_source(group: DatasetGroup, origin: SourceData) -> tuple[str, ...]:
    """Note a new source of the set, and return the names of those that it had before if this is one more.

    :raises Refused: if the set was imported from a source of this name with other bytes.
    """
    sources = dict(group.base.extras.get('sources', {}))
    before = sources.get(origin.label)
    if before is not None and before != origin.sha256:
        raise Refused(
            f'{origin.label} has changed since it was imported into {group.label}: sha256 {origin.sha256[:12]}…, '
            f'was {before[:12]}…. Import it under another --name, or delete the set first'
        )
    if before is not None:
        return ()
    group.base.extras.set('sources', sources | {origin.label: origin.sha256})
    return () if origin.sha256 in sources.values() else tuple(sources)


def _check_name(name: str) -> None:
    """Refuse a name that no set can have, and that of a split, whatever it is called."""
    if there := DatasetGroup.collection.find({'label': name}):
        if there[0].split is not None:
            raise Refused(f'{name} is a split of a data set, and no set: give another --name')
        return
    if not name or '/' in name or len(name) > 100:
        raise Refused(f'{name!r} is no name for a data set: up to 100 letters, without a slash')


def _first(problems: Sequence[Problem]) -> str:
    if not problems:
        return ''
    one = problems[0]
    more = f' (and {len(problems) - 1} more)' if len(problems) > 1 else ''
    return f'{one.file}, line {one.line}: {one.reason}{more}'


def _several(problems: Sequence[Problem]) -> str:
    """Return up to ten problems, a line each if there are several."""
    if len(problems) == 1:
        return _first(problems)
    lines = [f'{one.file}, line {one.line}: {one.reason}' for one in problems[:TOLD]]
    more = [f'and {len(problems) - TOLD:,} more'] if len(problems) > TOLD else []
    return f'{len(problems):,} entries are malformed:\n  ' + '\n  '.join([*lines, *more])
