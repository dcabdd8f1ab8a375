"""Sets and selections as files: the publisher's layout, extended xyz for training, an AiiDA archive."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from aiida.common.exceptions import NotExistent
from aiida.orm import Node, load_node

from ..contract.frames import Frames
from ..data.frames import FramesData
from ..data.path import PathData
from ..datasets.card import Card, Keys
from ..datasets.entry import Entry
from ..datasets.extxyz import format_frame
from ..datasets.importers.registry import importer_of
from .dataset import DatasetGroup
from .label_chains import is_label_chain, labels_given, labels_together, progress_text
from .query import card_of, count, query
from .read import described_entries, stored_entries

FORMATS = ('publisher', 'extxyz', 'extxyz-mace', 'extxyz-sevennet', 'archive')
KEYS = {
    'extxyz': Keys(energy='energy', forces='forces', stress='stress'),
    'extxyz-mace': Keys(energy='REF_energy', forces='REF_forces', stress='REF_stress'),
    'extxyz-sevennet': Keys(energy='energy', forces='forces', stress='stress'),
}
"""MACE takes the keys of its own defaults; SevenNet reads what ASE puts on a calculator, as others do."""
Progress = Callable[[str, int, int | None], None]


@dataclass(frozen=True)
class Exported:
    """What was written.

    :ivar configurations: number of configurations, several for a path.
    :ivar nodes: number of nodes in an archive.
    :ivar others: number of entries in an archive that were not asked for.
    :ivar notes: what a reader of the files should know.
    """

    path: Path
    entries: int
    configurations: int
    nodes: int | None = None
    others: int = 0
    notes: tuple[str, ...] = ()


class _Counter:
    """Counts what passes and tells of it now and then."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self.entries = self.configurations = 0
        self.lines: dict[str, tuple[int, int]] = {}
        """Of each file that entries begin in, the last line of one and their number."""
        self._progress, self._total = progress, total

    def through(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        for entry in entries:
            self.entries += 1
            self.configurations += entry.frames.n_frames
            last, number = self.lines.get(entry.file, (0, 0))
            self.lines[entry.file] = (max(last, entry.line), number + 1)
            yield entry
            if self._progress is not None and (self.entries % 100 == 0 or self.entries == self._total):
                self._progress('export', self.entries, self._total)


def export(
    name: str, kind: str, path: Path, overwrite: bool = False, progress: Progress | None = None, **criteria: Any
) -> Exported:
    """Write the entries of a set that meet the criteria, or a selection, and return what was written.

    :param name: a set, a split such as ``MPLiTrj/val``, or pk or uuid of a selection.
    :param kind: one of ``FORMATS``.
    :param path: a folder for ``publisher``, a file else.
    :param overwrite: replace what is there.
    :raises ValueError: if there is no such set or selection, or it cannot be written in this way.
    :raises FileExistsError: if there is something at ``path`` already.
    """
    if kind not in FORMATS:
        raise ValueError(f'there is no format {kind!r}; known are: {", ".join(FORMATS)}')
    selection = _selection(name)
    target = path / _card(name).name if kind == 'publisher' and selection is None else path
    if target.exists() and not overwrite:
        raise FileExistsError(f'{target} exists: give another --output, or --force to replace it')
    if selection is not None:
        if criteria:
            raise ValueError(f'{name} is a selection: its entries have been chosen, export it without criteria')
        if kind == 'archive' and not selection.is_stored:
            raise ValueError(f'{_unfinished(name)[0]}: an archive takes the labels of a chain that has ended, or a set')
        return replace(_export_selection(selection, kind, path, _label_uuids(name)), notes=_unfinished(name))
    total = count(name, **criteria)
    if not total:
        raise ValueError(f'no entry of {name} meets the criteria: widen them' if criteria else f'{name} has no entry')
    counter = _Counter(progress, total)
    notes: tuple[str, ...] = ()
    if kind == 'publisher':
        card = _card(name)
        made = _publish(card, counter.through(stored_entries(name, **criteria)), path)
        notes = importer_of(card).left_out(counter.lines if not criteria and _is_set(name) else {})
    elif kind == 'archive':
        made = _archive(name, path, criteria)
        return _archived(made, total)
    else:
        labels = (
            replace(entry, frames=_described(entry.frames, entry.id, said))
            for entry, said in described_entries(name, **criteria)
        )
        _write(path, (entry.frames for entry in counter.through(labels)), KEYS[kind])
        made = path
    return Exported(made, counter.entries, counter.configurations, notes=notes)


def _archived(path: Path, asked: int) -> Exported:
    """Return what is in an archive, which by AiiDA's rules of the graph holds more than the entries asked for.

    An entry takes along the import that made it, and that all else that it made: the other entries of its chunk.
    """
    from aiida.tools.archive.implementations.sqlite_zip.main import ArchiveFormatSqlZip

    with ArchiveFormatSqlZip().open(path, 'r') as reader:
        nodes = reader.querybuilder().append(Node).count()
        query = reader.querybuilder().append(
            (FramesData, PathData),
            filters={'attributes': {'has_key': 'source_file'}},
            project=['attributes.entry_id', 'attributes.n_frames'],
        )
        stored = sum(1 if one is not None else n_frames for one, n_frames in query.all())
    return Exported(path, asked, 0, nodes, max(0, stored - asked))


def _selection(name: str) -> FramesData | None:
    """Return the selection of this pk or uuid; None if it is the name of a set."""
    with suppress(ValueError):
        DatasetGroup.resolve(name)
        return None
    try:
        node = load_node(int(name) if name.isdigit() else name)
    except (NotExistent, ValueError):
        return None
    if is_label_chain(node):  # as far as it is
        made = labels_together(node)
        if made is None:
            raise ValueError(f'{progress_text(node)}: there is no label yet that could be exported')
        return made
    if not isinstance(node, FramesData):
        raise ValueError(f'node {name} is a {type(node).__name__}, not a selection of entries')
    return node


def _label_uuids(name: str) -> list[str]:
    """Return the uuids of the labels of a chain, in the order of its configurations; nothing of another node."""
    node = load_node(int(name) if name.isdigit() else name)
    return [one.uuid for one in labels_given(node).values()] if is_label_chain(node) else []


def _unfinished(name: str) -> tuple[str, ...]:
    """Return what to say of a chain that has not made all of its labels."""
    node = load_node(int(name) if name.isdigit() else name)
    return (progress_text(node),) if is_label_chain(node) and 'report' not in node.outputs else ()


def default_format(name: str) -> str:
    """Return how a set or selection is written if nothing is said: as it was published, or else as extended xyz.

    :raises ValueError: if there is no such set or selection.
    """
    return 'publisher' if _selection(name) is None and card_of(name) else 'extxyz'


def _card(name: str) -> Card:
    content = card_of(name)
    if not content:
        raise ValueError(
            f'the set {name} was not imported, so there is no layout of a publisher: ask for --format extxyz, '
            'extxyz-mace, extxyz-sevennet or archive'
        )
    return Card.model_validate(content)


def _export_selection(selection: FramesData, kind: str, path: Path, uuids: Sequence[str] = ()) -> Exported:
    if kind == 'publisher':
        raise ValueError(
            'a selection has no layout of a publisher: use extxyz, extxyz-mace, extxyz-sevennet or archive'
        )
    number = len(set(selection.entry_ids)) or selection.n_frames
    if kind == 'archive':
        return _archived(_create_archive([selection], path), number)
    _write(path, _named(selection, uuids), KEYS[kind])
    return Exported(path, number, selection.n_frames)


def _named(selection: FramesData, uuids: Sequence[str]) -> Iterator[Frames]:
    """Yield the configurations of a selection, each with the identifier of its entry, labels with what they are of."""
    ids, level = selection.entry_ids, selection.base.attributes.get('level', None)
    meshes = selection.base.attributes.get('kpoint_meshes', [])
    for index, frame in enumerate(selection.frames):
        said: dict[str, Any] = {}
        if level is not None:
            mesh = {'kpoint_mesh': meshes[index]} if index < len(meshes) else {}
            said = {'level': {**level, **mesh}, 'uuid': uuids[index] if index < len(uuids) else selection.uuid}
        if index < len(ids):
            frame.info[0].setdefault('entry_id', ids[index])
        yield _described(frame, frame.info[0].get('entry_id'), said)


def _described(frames: Frames, entry_id: str | None, said: Mapping[str, Any]) -> Frames:
    """Return a label with its identifier, level and uuid in its info; what was imported stays as it was published."""
    if said:
        for info in frames.info:
            own = {'entry_id': entry_id, 'level': level_words(said['level']), 'uuid': said['uuid']}
            info.update({key: value for key, value in own.items() if value is not None})
    return frames


def level_words(level: Mapping[str, Any]) -> str:
    """Return the level of a label in a line, like ``PBE, 520 eV, k-points 2x2x2, gpaw 22.8.0``."""
    mesh, code = level.get('kpoint_mesh'), level.get('code')
    parts = [
        level.get('functional'),
        f'{level["cutoff_ev"]:g} eV' if 'cutoff_ev' in level else None,
        f'k-points {"x".join(map(str, mesh))}' if mesh else None,
        f'{code} {level["version"]}' if code and level.get('version') else code,
    ]
    return ', '.join(part for part in parts if part)


def _write(path: Path, many: Iterable[Frames], keys: Keys) -> None:
    """Write to a temporary name, so that a broken export is not taken for a whole one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + '.part')
    with partial.open('wb') as stream:
        for frames in many:
            stream.writelines(format_frame(frame, keys) for frame in frames)
    partial.replace(path)


def _publish(card: Card, entries: Iterable[Entry], path: Path) -> Path:
    """Write the publisher's folder aside and put it in its place when it is whole, instead of one that was there."""
    aside = path / f'.{card.name}.part'
    shutil.rmtree(aside, ignore_errors=True)
    made = importer_of(card).write(card, entries, aside)
    target = path / made.name
    if target.is_dir():
        shutil.rmtree(target)
    made.replace(target)
    aside.rmdir()
    return target


def _archive(name: str, path: Path, criteria: dict[str, Any]) -> Path:
    if criteria:
        return _create_archive(query(name, **criteria).all(flat=True), path)
    group = DatasetGroup.of(name)
    return _create_archive([group, *(group.splits.values() if _is_set(name) else ())], path)


def _is_set(name: str) -> bool:
    """Return whether a name is that of a set as a whole, rather than of a split."""
    return DatasetGroup.resolve(name)[1] is None


def _create_archive(entities: list[Any], path: Path) -> Path:
    """Write an AiiDA archive with all that the entities were made from and by."""
    from aiida.tools.archive import create_archive
    from aiida.tools.archive.create import EXPORT_LOGGER

    # What it reports, rules and tables, is told in fewer words.
    EXPORT_LOGGER.setLevel('WARNING')
    path.parent.mkdir(parents=True, exist_ok=True)
    return Path(create_archive(entities, filename=path, overwrite=True))
