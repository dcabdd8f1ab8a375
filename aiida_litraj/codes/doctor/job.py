"""Does a job come back: one that asks the environment what it has, through daemon, ssh and scheduler to a node."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .case import Case
from .finding import Answer, broken, ok, unchecked, warning
from .tasks import LABEL, wait_for_end

WALLTIME_S = 600
KILL_S = 20.0
BUSY = ('Priority', 'Resources', 'None', 'Dependency', 'BeginTime')
"""Why a job pends where there are only others before it; limits of accounts come beside (``QOSMax...``)."""


@dataclass(frozen=True)
class Ended:
    """What a job has left: its output, its errors, and its scheduler's."""

    stdout: str
    stderr: str
    node: str


def check(case: Case) -> Answer:
    """Submit the job with the options of the code, wait for its end, and keep what it said."""
    if case.quick:
        return unchecked('--quick submits nothing', 'aiida-litraj doctor')
    from aiida.engine import submit

    from ...calculations.probe import ProbeCalculation, probe_options

    begin = time.monotonic()
    options = probe_options(case.options, case.there, WALLTIME_S)
    node = submit(
        ProbeCalculation,
        code=case.code,
        metadata={'computer': case.there, 'options': options, 'disable_cache': True, 'label': LABEL},
    )
    if not wait_for_end(node, case.limits.job_s):
        return _unfinished(case, node)
    seconds = time.monotonic() - begin
    if not node.is_finished_ok or 'retrieved' not in node.outputs:
        reason = node.exception if node.is_excepted else node.exit_message or node.process_state.value
        return broken(
            f'job {node.pk} (in the queue: {node.get_job_id()}) ended with [{node.exit_status}]: {str(reason).strip()}',
            f'verdi process report {node.pk}; its folder: verdi calcjob gotocomputer {node.pk}',
            pk=node.pk,
        )
    case.ended = Ended(*_files(node.outputs.retrieved), _machines(node))
    _clean(case, node)
    return ok(
        f'a job came back after {seconds:.0f} s{f", from {case.ended.node}" if case.ended.node else ""}',
        seconds=round(seconds, 1),
        node=case.ended.node,
    )


def _files(retrieved: Any) -> tuple[str, str]:
    from ...calculations.probe import STDERR, STDOUT

    content = dict.fromkeys((STDOUT, STDERR, '_scheduler-stderr.txt'), '')
    for name in content:
        with contextlib.suppress(OSError):
            content[name] = retrieved.base.repository.get_object_content(name)
    return content[STDOUT], '\n'.join(filter(None, [content['_scheduler-stderr.txt'].strip(), content[STDERR].strip()]))


def _machines(node: Any) -> str:
    info = node.get_last_job_info()
    return str(getattr(info, 'allocated_machines_raw', None) or '') if info is not None else ''


def _clean(case: Case, node: Any) -> None:
    """Remove the folder of the job there; its nodes are deleted by the next run."""
    import shlex

    folder = node.get_remote_workdir()
    if folder and folder.startswith('/') and node.uuid[4:] in folder:
        with contextlib.suppress(Exception):
            case.login.run(f'rm -rf {shlex.quote(folder)}')


def _unfinished(case: Case, node: Any) -> Answer:
    """Return why a job has not ended in time; it is cancelled."""
    info, state = node.get_last_job_info(), node.get_state()
    reason = str(getattr(info, 'annotation', None) or '') if info is not None else ''
    scheduler_state = node.get_scheduler_state()
    job, waited = node.get_job_id(), f'{case.limits.job_s:.0f} s'
    status, last = node.process_status or '', _last_words(node)
    gone = _kill(node)
    kept = '' if gone else f'. It is still there: verdi process kill {node.pk}'
    if job is None:
        why = f': {last}' if last else f' ({status or (state.value if state else node.process_state.value)})'
        return broken(
            f'after {waited} the daemon had not got a job into the queue of {case.there.label}{why}{kept}',
            f'verdi -p {case.profile} daemon logshow; verdi -p {case.profile} daemon restart',
        )
    if scheduler_state is not None and scheduler_state.value in ('queued', 'queued held'):
        longer = f'aiida-litraj doctor --code {case.code.label if case.code else ""} --wait 3600'
        if _is_busy(reason):
            return warning(f'the job waited for {waited} in the queue ({reason}), and was cancelled{kept}', longer)
        return broken(
            f'the job stays in the queue of {case.there.label}: {reason}{kept}',
            f'Change what the code asks for (setup --from), or ask the site: ssh {case.there.label} squeue --start',
        )
    return broken(
        f'the job {job} did not come back within {waited} ({status or state}){": " + last if last else ""}{kept}',
        f'If the node is only slow: --wait {2 * case.limits.job_s:.0f}. verdi -p {case.profile} daemon logshow',
    )


def _is_busy(reason: str) -> bool:
    word = reason.strip('() ')
    return word in BUSY or word.startswith(('QOS', 'Assoc')) or not word


def _last_words(node: Any) -> str:
    from aiida.orm import Log

    logs = Log.collection.get_logs_for(node)
    return str(logs[-1].message).strip().splitlines()[-1][:200] if logs else ''


def _kill(node: Any) -> bool:
    """Return whether the job was cancelled and its process has ended."""
    from aiida.engine.processes.control import kill_processes

    from .tasks import quiet

    with contextlib.suppress(Exception), quiet():
        kill_processes([node], msg_text='the doctor has waited long enough', timeout=KILL_S)
    return wait_for_end(node, KILL_S)


def gpu_lines(options: Mapping[str, Any]) -> list[str]:
    """Return the lines by which a job asks its scheduler for GPUs."""
    commands = str(options.get('custom_scheduler_commands') or '').splitlines()
    return [line.removeprefix('#SBATCH ').strip() for line in commands if 'gpu' in line.lower()]
