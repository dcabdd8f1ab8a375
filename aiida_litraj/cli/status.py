"""``aiida-litraj status``: how far a chain or a job is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ..report.words import counted
from .console import emit_json, print_pairs, print_table
from .errors import refusals
from .options import json_option, with_profile

if TYPE_CHECKING:
    from aiida.orm import CalcJobNode, ProcessNode

    from ..contract.result import Progress

MOST_ROWS = 20


@click.command(short_help='How far a chain or a job is.')
@click.argument('pk', required=False)
@json_option
@with_profile
def status(pk: str | None, as_json: bool) -> None:
    """Show how far the chain or job PK is: items done, steps, residual force; of dynamics each replica and time left.

    Of a chain that trains each training is shown with epoch, loss and time left. Of a running job this is what its
    engine wrote last, read from the computer where it runs. Without PK all chains that are under way are listed.

    \b
    Examples:
      aiida-litraj status
      aiida-litraj status 123
      aiida-litraj status 123 --json
    """
    if pk is None:
        from .all_under_way import tell

        with refusals():
            tell(as_json)
        return
    with refusals():
        from .processes import load_process

        process = load_process(pk)
        content, running = _state(process)
    if as_json:
        emit_json(content)
    else:
        _print(process, content, running)


def _state(process: ProcessNode) -> tuple[dict[str, Any], dict[str, Progress]]:
    """Return the state of a process as ``--json`` prints it, and how far each running job is, by its stage."""
    from .chains import CHAINS
    from .label_state import labels_so_far
    from .left_behind import is_left_behind
    from .processes import entry_point, jobs_of, result_of
    from .replicas import replicas_of
    from .trainings_state import trainings_of
    from .under_way import by_stage, left_of, together

    jobs = jobs_of(process)
    content: dict[str, Any] = {
        'uuid': process.uuid,
        'pk': process.pk,
        'process': entry_point(process) or process.process_label,
        'state': process.process_state.value if process.process_state else None,
        'finished': process.is_terminated,
        'left_behind': is_left_behind(process),
        'exit_status': process.exit_status,
        'exit_message': process.exit_message or None,
        'jobs': [_job(job) for job in jobs],
        'progress': None,
        'progress_problem': None,
        'seconds_left': None,
        'labels': labels_so_far(process),
        'replicas': [],
        'trainings': [],
        'result': None,
    }
    seen, content['progress_problem'] = _look_at_all(process)
    running = by_stage(process, seen)
    for entry in content['jobs']:
        entry['progress'] = seen[entry['pk']].model_dump(mode='json') if entry['pk'] in seen else None
    if running:
        content['progress'] = together(list(running.values())).model_dump(mode='json')
        content['seconds_left'] = left_of(process, seen)
    content['replicas'] = replicas_of(process, seen)
    content['trainings'] = trainings_of(process, seen)
    if process.is_terminated:
        # How far the engine came with them stands in its checkpoint, which is for the next job to read.
        for row in content['replicas']:
            row.update({'state': 'stopped', 'time_ps': None} if row['state'] == 'waiting' else {})
    if process.is_terminated and entry_point(process) in CHAINS:
        content['result'] = result_of(process)
    return content, running


def _look_at_all(process: ProcessNode) -> tuple[dict[int, Progress], str | None]:
    """Return the progress of each job that runs, by pk, and why that of others can't be had now."""
    from .under_way import running_jobs

    seen, problems = {}, []
    for job in [] if process.is_terminated else running_jobs(process):
        progress, problem = _look(job)
        if progress is not None:
            seen[job.pk] = progress
        problems.append(problem)
    return seen, '; '.join(dict.fromkeys(filter(None, problems))) or None


def _look(job: CalcJobNode) -> tuple[Progress | None, str | None]:
    """Return the progress of a job, or why it can't be had now."""
    from .live import read_progress

    try:
        return read_progress(job), None
    except Exception as error:
        # A connection that fails now is worth a word and no more: the job goes on.
        return None, f'{job.computer.label} cannot be asked: {error or type(error).__name__}'


def _job(job: CalcJobNode) -> dict[str, Any]:
    from ..workflows.resume import resumed_from

    scheduler_state, before = job.get_scheduler_state(), resumed_from(job)
    return {
        'pk': job.pk,
        'computer': job.computer.label if job.computer else None,
        'job_id': job.get_job_id(),
        'state': job.process_state.value if job.process_state else None,
        'scheduler_state': scheduler_state.value if scheduler_state is not None else None,
        'exit_status': job.exit_status,
        'exit_message': job.exit_message or None,
        'from_cache': bool(job.base.caching.is_created_from_cache),
        'goes_on_from': None if before is None else before.pk,
    }


def _print(process: ProcessNode, content: dict[str, Any], running: dict[str, Progress]) -> None:
    from .label_state import labels_text
    from .left_behind import LEFT_BEHIND
    from .live import describe, describe_item
    from .trainings_state import rows_of, trainings_text

    # What is trained has a table of its own.
    told = {one['stage'] for one in content['trainings']}
    running = {stage: one for stage, one in running.items() if stage not in told}
    several = len({*running, *(replica['stage'] for replica in content['replicas'])}) > 1
    lines = [f'{stage}: {describe(one)}' if several else describe(one) for stage, one in running.items()]
    active = [item for one in running.values() for item in one.active if len(one.active) > 1]
    print_pairs(
        [
            ('process', f'{content["pk"]} ({content["process"]})'),
            ('state', content['state'] + ('' if content['exit_status'] is None else f' [{content["exit_status"]}]')),
            ('message', content['exit_message']),
            *(('labels', labels_text(one, content['finished'])) for one in content['labels']),
            ('trainings', trainings_text(content['trainings'])),
            *(('progress', line) for line in lines),
            ('', content['progress_problem']),
            ('left behind', f'it {LEFT_BEHIND}' if content['left_behind'] else None),
        ]
    )
    if content['replicas']:
        from .replicas import rows_for_table

        columns = ('stage', 'replica', 'state', '>at / ps', '>of / ps', '')
        print_table(None, columns, rows_for_table(content['replicas']))
    for item in [] if content['replicas'] else active:
        click.echo(f'  {describe_item(item, named=True)}')
    if content['trainings']:
        columns = ('training', 'state', '>epoch', '>of', '>validation loss', '')
        print_table(None, columns, rows_of(content['trainings']))
    jobs, hidden = _some(content['jobs'])
    if jobs:
        rows = [
            (
                job['pk'],
                job['computer'],
                job['job_id'],
                'from the cache' if job['from_cache'] else job['scheduler_state'] or job['state'],
                job['exit_status'],
                None if job['goes_on_from'] is None else f'goes on from job {job["goes_on_from"]}',
            )
            for job in jobs
        ]
        print_table(None, ('>job', 'computer', 'id there', 'state', '>exit', ''), rows)
    if hidden:
        click.echo(f'{counted(hidden, "job")} more, which have ended well: verdi process status {process.pk}')
    click.echo(_next(process, content))


def _some(jobs: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], int]:
    """Return the jobs worth a row, and how many are not: of many those that have ended well."""
    if len(jobs) <= MOST_ROWS:
        return jobs, 0
    telling = [job for job in jobs if job['exit_status'] != 0][-MOST_ROWS:]
    return telling, len(jobs) - len(telling)


def _next(process: ProcessNode, content: dict[str, Any]) -> str:
    """Return what to type next."""
    from .label_state import kept_text
    from .left_behind import is_alone
    from .processes import LAUNCH_AGAIN

    if content['result'] is not None:
        from .processes import kind_of

        line = kind_of(process).call('line', content['result'])
        return f'{line}. All of it: aiida-litraj show {process.pk}; picture: aiida-litraj plot {process.pk}'
    if content['left_behind'] and is_alone(process):
        return f'The next launch on this machine ends it. Log: verdi process report {process.pk}'
    if content['left_behind'] or content['state'] == 'killed':
        return f'{kept_text(process) or LAUNCH_AGAIN}{_there(content)} Log: verdi process report {process.pk}'
    if content['finished']:
        return f'Log: verdi process report {process.pk}'
    return f'Again: aiida-litraj status {process.pk}; log: verdi process report {process.pk}{_there(content)}'


def _there(content: dict[str, Any]) -> str:
    """Return how to see the labels that there are, of a chain that has no result."""
    return ''.join(f' Labels so far: aiida-litraj show {one["pk"]}.' for one in content['labels'] if one['labelled'])
