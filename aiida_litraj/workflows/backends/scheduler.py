"""What the scheduler says of a job whose parser has said something less exact."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from aiida.common.exceptions import AiidaException
from aiida.engine import CalcJob

from ...usage.allocation import state_from_sacct
from .base import Outcome

if TYPE_CHECKING:
    from aiida.orm import ProcessNode

OF_ALL_JOBS = {code.status: label for label, code in CalcJob.exit_codes.items() if 100 <= code.status < 200}
"""Exit codes that aiida-core itself gives a job, and their labels."""
AGAIN = ('ERROR_SCHEDULER_NODE_FAILURE',)
"""No fault of the job."""
CANCELLED = re.compile(r'slurmstepd(?:-\S+)?: error: \*\*\* (?:JOB|STEP) .* CANCELLED AT .*')
"""What Slurm writes where somebody, or a job of higher priority, has ended a job, some versions with the
name of the node. AiiDA has no exit code for that."""
TIME_LIMIT = 'DUE TO TIME LIMIT'
"""What it adds where the walltime was over: the next job of the same would not come further."""


def scheduler_verdict(node: ProcessNode) -> Outcome | None:
    """Return how a job ended if that was the scheduler's doing, asked once more where a parser has overruled it."""
    label = OF_ALL_JOBS.get(node.exit_status or 0)
    message = node.exit_message
    if label is None:
        code = _asked_again(node)
        if code is None:
            return _cancelled(node)
        label, message = OF_ALL_JOBS.get(code.status), code.message
    return None if label is None else Outcome(label, f'{message} ({label})', lost=label in AGAIN)


def _cancelled(node: ProcessNode) -> Outcome | None:
    """Return that a job was cancelled, in Slurm's words, or ran out of its walltime where nothing else tells.

    Where its daemon on the node could not write them into the log of the job, accounting knows.
    """
    try:
        said = CANCELLED.findall(node.get_scheduler_stderr() or '')
        state = state_from_sacct((node.get_detailed_job_info() or {}).get('stdout'))
    except (AiidaException, AttributeError, OSError):
        return None
    if not said and state == 'CANCELLED':
        said = ['CANCELLED in the accounting of Slurm']
    if not said:
        return None
    if any(TIME_LIMIT in line for line in said):
        code = CalcJob.exit_codes.ERROR_SCHEDULER_OUT_OF_WALLTIME
        label = OF_ALL_JOBS[code.status]
        return Outcome(label, f'{code.message} ({label})')
    return Outcome('ERROR_DFT_CRASHED', f'it was cancelled: {said[0]}', lost=True)


def _asked_again(node: ProcessNode):  # type: ignore[no-untyped-def]
    """Return the exit code that the scheduler's plugin makes of what it wrote, as aiida-core does; None if none."""
    try:
        scheduler = node.computer.get_scheduler()
        said = (node.get_detailed_job_info(), node.get_scheduler_stdout() or '', node.get_scheduler_stderr() or '')
        return None if said[0] is None else scheduler.parse_output(*said)
    except (AiidaException, AttributeError, NotImplementedError, TypeError, ValueError):
        return None
