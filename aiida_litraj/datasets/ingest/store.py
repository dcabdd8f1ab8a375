"""One chunk into the profile, whole or not at all: packed contents, then rows in one transaction."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

from aiida import __version__ as core_version
from aiida.common import timezone
from aiida.common.links import LinkType
from aiida.orm import Node
from aiida.orm.entities import EntityTypes
from aiida.orm.implementation import StorageBackend
from disk_objectstore import Container

from ... import __version__
from ...analysis.frames import summary, to_ase
from ...contract.frames import FRAMES_FILE, PATH_FILES
from ...data.path import PathData
from ...groups.dataset import DatasetGroup
from ..entry import Chunk, Entry
from .names import printable
from .records import PROCESS_LABEL, PROCESS_MODULE, written
from .rows import FRAMES_TYPE, HASH_EXTRA, Prepared, hash_of, labels_of
from .tables import insert, insert_nodes

PROCESS_TYPE = 'process.calculation.calcfunction.CalcFunctionNode.'
CREATED = 'entry_{}'


@dataclass(frozen=True)
class Target:
    """Where chunks go: the profile's storage, the groups of the set by split, and what the entries come from."""

    backend: StorageBackend
    user_pk: int
    dataset: str
    """Name of the set when it was begun."""
    whole: DatasetGroup
    groups: dict[str | None, int]
    """Primary key of the set's group (None) and of each split's, as they turn up."""
    inputs: Mapping[str, int]
    """Primary keys of the process's inputs by link label."""


def store(target: Target, ready: Prepared) -> int:
    """Store a prepared chunk; return the number of nodes made of it.

    What is interrupted before the end of the transaction leaves no trace but unreferenced bytes in a pack, which
    ``verdi storage maintain`` collects.
    """
    now = timezone.now()
    drafts = ready.drafts
    rows = [
        _row(target, now, FRAMES_TYPE, draft.uuid, draft.label, draft.attributes, {FRAMES_FILE: draft.key}, draft.hash)
        for draft in drafts
    ]
    contents = {draft.key: draft.content for draft in drafts}
    splits = [draft.split for draft in drafts]
    for entry in ready.paths:
        row, files = _path_row(target, now, entry)
        rows.append(row)
        contents.update(files)
        splits.append(entry.split)
    for split in set(splits) - target.groups.keys():
        target.groups[split] = target.whole.get_or_create_split(split).pk if split else target.whole.pk
    _pack(target.backend, list(contents.values()))
    with warnings.catch_warnings(), target.backend.transaction():
        # Of nodes from which rows of paths were taken; they are not to be stored.
        warnings.filterwarnings('ignore', message='Object of type <DbNode> not in session')
        process, *pks = insert_nodes(target.backend, [_process_row(target, now, ready), *rows])
        insert(target.backend, EntityTypes.LINK, _links(target, process, pks))
        insert(target.backend, EntityTypes.GROUP_NODE, _memberships(target, pks, splits))
    # Before the rows were there, ``verdi storage maintain`` may have taken their contents for rubbish.
    found = container_of(target.backend).has_objects(list(contents))
    _pack(target.backend, [one for one, there in zip(contents.values(), found, strict=True) if not there])
    return len(rows)


def _pack(backend: StorageBackend, contents: list[bytes]) -> None:
    if not contents:
        return
    try:
        container_of(backend).add_objects_to_pack(contents, do_fsync=True)
    except FileExistsError as error:
        raise RuntimeError(
            'the repository of the profile is being packed by another program, such as verdi storage maintain; '
            'when that has ended, call this import again: it goes on'
        ) from error


def container_of(backend: StorageBackend) -> Container:
    """Return the object store of a profile; aiida-core has no public way to it that serves all storages."""
    container: Container = backend.get_repository()._container
    return container


def _row(
    target: Target,
    now: datetime,
    node_type: str,
    uuid: str,
    label: str,
    attributes: Mapping[str, Any],
    keys: Mapping[str, str],
    node_hash: str | None,
) -> dict[str, Any]:
    return {
        'uuid': uuid,
        'node_type': node_type,
        'process_type': None,
        'label': label,
        'description': '',
        'ctime': now,
        'mtime': now,
        'attributes': attributes,
        'extras': {} if node_hash is None else {HASH_EXTRA: node_hash},
        'repository_metadata': {'o': {name: {'k': key} for name, key in keys.items()}} if keys else {},
        'dbcomputer_id': None,
        'user_id': target.user_pk,
    }


def _process_row(target: Target, now: datetime, ready: Prepared) -> dict[str, Any]:
    attributes = {
        'sealed': True,
        'process_state': 'finished',
        'exit_status': 0,
        'process_label': PROCESS_LABEL,
        'function_name': PROCESS_LABEL,
        'function_namespace': PROCESS_MODULE,
        'version': {'core': core_version, 'plugin': __version__},
        'dataset': target.dataset,
        'n_entries': len(ready.ids),
        'problems': [[one.file, one.line, one.entry_id, one.reason] for one in map(written, ready.problems)],
        **_range(ready.chunk),
    }
    row = _row(
        target, now, PROCESS_TYPE, str(uuid4()), f'{target.dataset}: {ready.chunk.part}'[:255], attributes, {}, None
    )
    row['process_type'] = f'{PROCESS_MODULE}.{PROCESS_LABEL}'
    return row


def _range(chunk: Chunk) -> dict[str, Any]:
    return {'part': chunk.part, 'file': chunk.file, 'start': list(chunk.start), 'end': list(chunk.end)}


def _links(target: Target, process: int, pks: Sequence[int]) -> list[dict[str, Any]]:
    given = [
        {'input_id': pk, 'output_id': process, 'label': label, 'type': LinkType.INPUT_CALC.value}
        for label, pk in target.inputs.items()
    ]
    created = LinkType.CREATE.value
    return given + [
        {'input_id': process, 'output_id': pk, 'label': CREATED.format(number), 'type': created}
        for number, pk in enumerate(pks)
    ]


def _memberships(target: Target, pks: Sequence[int], splits: Sequence[str | None]) -> list[dict[str, Any]]:
    whole = target.groups[None]
    rows = [{'dbnode_id': pk, 'dbgroup_id': whole} for pk in pks]
    rows += [
        {'dbnode_id': pk, 'dbgroup_id': target.groups[split]}
        for pk, split in zip(pks, splits, strict=True)
        if split is not None
    ]
    return rows


def _path_row(target: Target, now: datetime, entry: Entry) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return the row and, by their sha256, the contents of a path: the relaxed one, with the initial one beside."""
    node = path_node(target.dataset, entry)
    names = sorted(node.base.repository.list_object_names())
    contents = [node.base.repository.get_object_content(name, mode='rb') for name in names]
    keys = {name: hashlib.sha256(content).hexdigest() for name, content in zip(names, contents, strict=True)}
    attributes = dict(node.base.attributes.all)
    row = _row(
        target,
        now,
        node.node_type,
        node.uuid,
        node.label,
        attributes,
        keys,
        hash_of(_hashed(node, attributes), keys, str(type(node))),
    )
    return row, dict(zip(keys.values(), contents, strict=True))


def path_node(dataset: str, entry: Entry) -> PathData:
    """Return the unstored node of an entry that is a path.

    The positions of the node are continuous; the images as the file has them are in ``relaxed.frames`` and
    ``initial.frames``, the supercell with the centroid in ``centroid.frames`` (``Frames.from_bytes``).
    """
    node = PathData.from_images(to_ase(entry.frames), mobile=0, labels=labels_of(dataset, entry)['properties'])
    facts = summary(entry.frames[0])
    energies = node.energies
    attributes = {name: facts[name] for name in ('formula', 'elements', 'n_atoms')} | labels_of(dataset, entry)
    if energies is not None:
        attributes['range_ev'] = float(f'{energies.max() - energies.min():.14g}')
    node.base.attributes.set_many(attributes)
    node.label = printable(entry.id)[:255]
    for name, file in PATH_FILES.items():
        frames = getattr(entry, name)
        if frames is not None:
            node.base.repository.put_object_from_bytes(frames.to_bytes(), file)
    return node


def _hashed(node: Node, attributes: Mapping[str, Any]) -> dict[str, Any]:
    ignored = {*node._hash_ignored_attributes, *node._updatable_attributes}
    return {name: value for name, value in attributes.items() if name not in ignored}
