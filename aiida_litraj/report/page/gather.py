"""The model of a report, from the graph: of each chain its section, what went into it, what it cost, and its nodes.

Beside ``stored_paths`` the only module of the page that knows AiiDA: it asks for nodes, and for sums of what
:mod:`aiida_litraj.usage` has added up. All else is made from the model, which is JSON, and tested without a graph.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...usage.jobs import Found, find_jobs
from ...usage.sums import add_up
from .benchmark import benchmark_section
from .chains import chain_section
from .overview import over_all_tasks
from .paths import draw_paths, elements_of
from .stored_paths import load_tracks
from .tables import column, flat, plain, table

if TYPE_CHECKING:
    from aiida.orm import WorkChainNode

SCHEMA_VERSION = 1
BENCHMARK = 'litraj.neb_benchmark'
MEGABYTE = 1_000_000
_WHY = 'it covers none of the hops, could not be asked, or has brought none to an end, be it a failure'
MELT_QUENCH = 'melt_quench'
HASH_EXTRA = '_aiida_hash'
_HOW_TO_RUN = ('clean_workdir', 'max_iterations', 'handler_overrides')
"""Settings of restarting chains that change no number."""
_MOST_NODES = 60
"""Results of a chain that are listed one by one; those of hops stand with their hops."""


@dataclass(frozen=True)
class Chosen:
    """A chain that is reported.

    :ivar kind: its entry point; ``noun`` what it gives, in words.
    :ivar result: as ``aiida-litraj show --json`` prints it, ``None`` if it has none.
    :ivar line: the result in a line.
    :ivar problem: why there is no result.
    :ivar picture: the figure of ``aiida-litraj plot`` as PNG.
    """

    node: WorkChainNode
    kind: str
    noun: str
    result: Mapping[str, Any] | None = None
    line: str | None = None
    problem: str | None = None
    picture: bytes | None = None


def gather(
    chosen: Sequence[Chosen], written: str, versions: Mapping[str, str], megabytes: float = 40.0
) -> dict[str, Any]:
    """Return the model of a report; it holds nothing but what JSON can.

    :param written: when.
    :param versions: of what writes it.
    :param megabytes: that paths in 3D may take; hops that failed and those that are furthest off come first.
    :raises ValueError: if there is no chain, or one is given twice.
    """
    uuids = [one.node.uuid for one in chosen]
    twice = next((one.node.pk for one in chosen if uuids.count(one.node.uuid) > 1), None)
    if not chosen or twice is not None:
        raise ValueError('there is no chain to report' if twice is None else f'the chain {twice} is given twice')
    sections = [_section(one) for one in chosen]
    left = megabytes * MEGABYTE
    for one in sections:
        if one['benchmark'] is not None:
            one['benchmark']['paths'] = draw_paths(one['benchmark'], load_tracks, left)
            left -= len(json.dumps(one['benchmark']['paths']))
    hops = [hop for one in sections if one['benchmark'] for hop in one['benchmark']['paths'].values()]
    return {
        'schema_version': SCHEMA_VERSION,
        'title': _title(sections),
        'written': written,
        'versions': dict(versions),
        'overview': over_all_tasks(sections),
        'potentials': _potentials(sections),
        'sections': sections,
        'elements': elements_of(hops),
    }


def _title(sections: Sequence[Mapping[str, Any]]) -> str:
    """Return what the report is of: its only potential, else how many."""
    labels = list(dict.fromkeys(node['label'] for one in sections for node in one['potentials'].values()))
    if len(labels) == 1:
        return f'{labels[0]}: report'
    return f'Report on {len(labels)} potentials' if labels else 'Report'


def _section(one: Chosen) -> dict[str, Any]:
    """Return all that the model says of a chain."""
    node, found = one.node, find_jobs([one.node.pk])
    potentials = _potentials_of(node)
    section: dict[str, Any] = {
        'id': f'chain-{node.pk}', 'pk': node.pk, 'uuid': node.uuid, 'kind': one.kind, 'noun': one.noun,
        'title': _heading(one), 'line': one.line, 'problem': one.problem, 'label': node.label,
        'description': node.description, 'exit_status': node.exit_status, 'exit_message': node.exit_message or None,
        'state': node.process_state.value if node.process_state else None,
        'created': node.ctime.isoformat(timespec='seconds'),
        'pairs': [], 'tables': [], 'scores': [], 'warnings': [], 'benchmark': None, 'potentials': potentials,
        'picture': None if one.picture is None else base64.b64encode(one.picture).decode('ascii'),
    }  # fmt: skip
    if one.result is not None and one.kind == BENCHMARK:
        found_of = one.result['benchmark']
        section |= benchmark_section(found_of, one.result['leaderboard'])
        lacking = sorted(set(potentials) - set(found_of))
        section['warnings'] = [f'{potentials[name]["label"]} has no benchmark: {_WHY}' for name in lacking]
    elif one.result is not None:
        section |= chain_section(one.kind, one.result, potentials)
        section['warnings'] = [str(text) for text in one.result.get('warnings') or []]
    task = None if one.kind == BENCHMARK else task_of(node)
    section['scores'] = [{'task': task, **score} for score in section['scores']]
    section['provenance'] = [_cost(found), _ran_with(found), _settings(node), _results(node)]
    section['provenance'] = [each for each in section['provenance'] if each['rows']]
    return {key: plain(value) for key, value in section.items()}


def _heading(one: Chosen) -> str:
    what = one.noun[0].upper() + one.noun[1:]
    return f'{what}: {one.node.label}' if one.node.label else what


def _potentials_of(node: Any) -> dict[str, dict[str, Any]]:
    """Return the potentials among the inputs of a chain, by the name it knows them by."""
    from ...data.potential import PotentialData

    found = {}
    for link in node.base.links.get_incoming(node_class=PotentialData).all():
        parts = link.link_label.split('__')
        name = parts[-2] if len(parts) > 1 and parts[-1] == 'potential' else parts[-1]
        one: PotentialData = link.node
        found[name] = {
            'label': one.label, 'uuid': one.uuid, 'family': one.family, 'name': one.name, 'sha256': one.sha256,
            'licence': one.licence, 'citation': one.citation, 'options': one.options,
        }  # fmt: skip
    return found


def task_of(node: Any) -> str:
    """Return a checksum of what a chain was asked, whichever potential it asked by whatever code.

    That is the content of its settings and of the data it was given. Two crystals read from one file are the same.
    """
    from aiida.common.links import LinkType
    from aiida.orm import AbstractCode, Computer

    from ...data.potential import PotentialData

    asked = []
    for link in node.base.links.get_incoming(link_type=LinkType.INPUT_WORK).all():
        parts, one = link.link_label.split('__'), link.node
        # A potential that makes the snapshots on which others are judged is part of the question.
        judged = isinstance(one, PotentialData) and parts[0] != MELT_QUENCH
        if not judged and not isinstance(one, (AbstractCode, Computer)) and parts[-1] not in _HOW_TO_RUN:
            asked.append([link.link_label, one.base.extras.get(HASH_EXTRA, one.uuid)])
    return hashlib.sha256(json.dumps(sorted(asked)).encode()).hexdigest()


def _potentials(sections: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the table of the potentials of all sections."""
    nodes = {one['uuid']: one for section in sections for one in section['potentials'].values()}
    columns = [
        column('Potential'), column('Family'), column('Name in its package'), column('sha256'), column('Licence'),
        column('Citation'), column('Node', 'uuid'),
    ]  # fmt: skip
    rows = [
        [one['label'], one['family'], one['name'], one['sha256'], one['licence'], one['citation'], uuid]
        for uuid, one in nodes.items()
    ]
    return table('Potentials', columns, rows)


def _cost(found: Found) -> dict[str, Any]:
    """Return what the jobs of a chain have cost."""
    total = add_up(found.jobs, lambda job: [], found.lineage)[1].as_dict() if found.jobs else None
    columns = [
        column('Jobs', 'number'), column('from the cache', 'number'), column('Model calls', 'number'),
        column('Core hours', 'number', 3), column('GPU hours', 'number', 3), column('Wall', 'number', 3, 'h'),
        column('Lost', 'number', 3, '', 'Share of the time whose evaluations nobody got.'),
    ]  # fmt: skip
    keys = ('jobs', 'cached_jobs', 'model_calls', 'core_hours', 'gpu_hours', 'wall_hours', 'lost_share')
    return table('Cost', columns, [] if total is None else [[total[key] for key in keys]])


def _ran_with(found: Found) -> dict[str, Any]:
    """Return what the jobs of a chain ran with: versions, device and the checksum of the potential that was loaded."""
    rows: dict[str, list[Any]] = {}
    for job in found.jobs:
        audit = job.audit or {}
        potential = audit.get('potential') or {}
        packages = ', '.join(f'{name} {version}' for name, version in sorted((audit.get('packages') or {}).items()))
        row = [
            job.kind,
            job.potential,
            job.code,
            job.computer,
            audit.get('engine_version'),
            audit.get('python_version'),
            audit.get('device'),
            audit.get('dtype'),
            potential.get('sha256'),
            packages or None,
        ]
        rows.setdefault(json.dumps(row, default=str), [*row, 0])[-1] += 1
    columns = [
        column('Job'),
        column('Potential'),
        column('Code'),
        column('Computer'),
        column('Engine'),
        column('Python'),
        column('Device'),
        column('Numbers'),
        column('sha256 of the potential'),
        column('Packages'),
        column('Jobs', 'number'),
    ]
    return table('Versions and checksums', columns, rows.values())


def _settings(node: Any) -> dict[str, Any]:
    """Return every setting among the inputs of a chain by its dotted name."""
    from aiida.orm import Bool, Dict, Float, Int, Str

    rows = []
    for link in node.base.links.get_incoming(node_class=(Dict, Int, Float, Str, Bool)).all():
        content = link.node.get_dict() if isinstance(link.node, Dict) else link.node.value
        name = link.link_label.replace('__', '.')
        rows += [[path, plain(value)] for path, value in flat(content, name)]
    columns = [column('Setting'), column('Value', 'number')]
    return table('Settings', columns, sorted(rows, key=lambda row: row[0]), role='long')


def _results(node: Any) -> dict[str, Any]:
    """Return the nodes that a chain gave, but for the paths of a benchmark, which stand with their hops."""
    from aiida.common.links import LinkType

    links = node.base.links.get_outgoing(link_type=LinkType.RETURN).all()
    links = [link for link in links if not link.link_label.startswith('paths__')] if len(links) > _MOST_NODES else links
    rows = [
        [link.link_label.replace('__', '.'), type(link.node).__name__, str(link.node.pk), link.node.uuid]
        for link in links
    ]
    columns = [column('Result'), column('Kind'), column('pk'), column('Node', 'uuid')]
    return table('Results', columns, sorted(rows, key=lambda row: row[0]), role='long')
