"""The replicas of jobs of molecular dynamics: where each of them is."""

from __future__ import annotations

import asyncio
import json
import logging
import shlex
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from ..contract.files import ITEMS
from ..contract.units import FEMTOSECONDS_OF_PS

if TYPE_CHECKING:
    from aiida.orm import CalcJobNode, ProcessNode

    from ..contract.result import Progress

JOB = 'aiida.calculations:litraj.md'
MOST_ROWS = 60
"""Of a table that a person reads; ``--json`` has all."""
_LOGGER = logging.getLogger(__name__)
_NAMESPACE = 'replicas__'
_WORDS = {'finished': 'done', 'failed': 'died', 'unfinished': 'cut off'}


def replicas_of(process: ProcessNode, running: Mapping[int, Progress]) -> list[dict[str, Any]]:
    """Return the state of every replica of a process: stage, name, state, time reached and asked for in ps, reason.

    Of a job that was resumed, the last one counts. ``running`` has, by pk, what the engines of the jobs wrote last that
    are on a computer now.
    """
    from .processes import jobs_of
    from .under_way import stage_of

    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for job in jobs_of(process):
        if job.process_type != JOB:
            continue
        stage = stage_of(job)
        for name, schedule in _schedules(job):
            duration = sum(segment['duration_fs'] for segment in schedule) / FEMTOSECONDS_OF_PS
            row = {'stage': stage, 'replica': name, 'state': 'waiting', 'time_ps': 0.0, 'duration_ps': duration}
            rows[stage, name] = {**row, 'reason': None}
        if 'results' in job.outputs:
            for name, item in job.outputs.results['items'].items():
                if (stage, name) in rows:
                    _settle(rows[stage, name], item)
        elif job.pk in running:
            progress = running[job.pk]
            own = {name for name, _ in _schedules(job)}
            for name, item in _ended(job, progress).items():
                # The folder may hold accounts of replicas that an earlier job has ended: those are known already.
                if name in own:
                    _settle(rows[stage, name], item)
            timestep = job.inputs.parameters['timestep_fs'] / FEMTOSECONDS_OF_PS
            for active in progress.active:
                if (stage, active.id) in rows:
                    rows[stage, active.id].update(state='running', time_ps=active.step * timestep)
    return list(rows.values())


def _schedules(job: CalcJobNode) -> list[tuple[str, list[dict[str, Any]]]]:
    """Return names and schedules of the replicas of a job, in the order of their names, by one query."""
    from aiida.orm import CalcJobNode, Dict, QueryBuilder

    query = QueryBuilder().append(CalcJobNode, filters={'id': job.pk}, tag='job')
    labelled = {'label': {'like': f'{_NAMESPACE}%'}}
    query.append(Dict, with_outgoing='job', edge_filters=labelled, edge_project='label', project='attributes.schedule')
    found = [(label.removeprefix(_NAMESPACE), schedule) for schedule, label in query.all()]
    return sorted((name, schedule) for name, schedule in found if schedule)


def _settle(row: dict[str, Any], item: dict[str, Any]) -> None:
    time_ps = item.get('time_fs', FEMTOSECONDS_OF_PS * row['duration_ps']) / FEMTOSECONDS_OF_PS
    row.update(state=_WORDS.get(item['status'], item['status']), time_ps=time_ps, reason=item.get('reason'))


def _ended(job: CalcJobNode, progress: Progress) -> dict[str, dict[str, Any]]:
    """Return the accounts of the replicas of a running job that have ended; of a connection that fails, none."""
    if not progress.n_finished:
        return {}
    place = shlex.quote(str(PurePosixPath(str(job.get_remote_workdir())) / ITEMS))

    async def fetch() -> str:
        async with job.get_transport() as transport:
            # All in one go: a file at a time, a thousand accounts of a cluster would take minutes.
            found = await transport.exec_command_wait_async(f"find {place} -name '*.json' -exec cat {{}} +")
            return str(found[1])

    try:
        text = asyncio.run(fetch())
    except Exception:
        # Each kind of transport has exceptions of its own. As with the progress itself: a look that fails now is no
        # reason to say nothing of the rest.
        _LOGGER.debug('the accounts of the replicas of job %s cannot be had now', job.pk, exc_info=True)
        return {}
    return {account['id']: account for account in _accounts(text)}


def _accounts(text: str) -> Iterator[dict[str, Any]]:
    """Yield the JSON objects that follow each other in a text, up to one that is cut off."""
    decoder, place = json.JSONDecoder(), 0
    while place < len(text):
        try:
            account, place = decoder.raw_decode(text, place)
        except ValueError:
            return
        yield account


def rows_for_table(replicas: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Return the rows of a table for a person: what runs and what died first, ``MOST_ROWS`` at most."""
    order = {'died': 0, 'running': 1, 'stopped': 2, 'cut off': 2, 'waiting': 3, 'done': 4}
    chosen = sorted(replicas, key=lambda one: order.get(one['state'], 9))[:MOST_ROWS]
    chosen = [one for one in replicas if any(one is other for other in chosen)]
    rows = [
        (
            one['stage'],
            one['replica'],
            one['state'],
            None if one['time_ps'] is None else f'{one["time_ps"]:.3g}',
            f'{one["duration_ps"]:.3g}',
            one['reason'],
        )
        for one in chosen
    ]
    left_out = len(replicas) - len(rows)
    return [*rows, *([('', f'and {left_out} more', '', '', '', 'all with --json')] if left_out else [])]
