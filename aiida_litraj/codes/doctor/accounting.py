"""Does the scheduler tell afterwards how a job has ended."""

from __future__ import annotations

from .case import Case
from .finding import Answer, broken, ok, warning

LOSS = 'AiiDA cannot tell a job that ran out of its walltime (120) or lost its node (140) from one that failed'


def check(case: Case) -> Answer:
    """Ask Slurm's accounting for the jobs of the last minute; there may be none."""
    label = case.there.label
    status, stdout, stderr = case.login.run('sacct --allocations --noheader --parsable2 --starttime=now-1minute')
    if status == 0:
        return ok('sacct answers')
    reason = (stderr.strip() or stdout.strip() or f'exit status {status}').splitlines()[-1]
    if 'disabled' in (stdout + stderr).lower():
        return warning(
            f'{label} keeps no accounting ({reason}): {LOSS}',
            'Ask the site for accounting; a little less than the walltime as --max-seconds helps meanwhile',
        )
    return broken(
        f'the accounting of {label} does not answer ({reason}): {LOSS}',
        f'Ask the site whether slurmdbd runs: ssh {label} sacctmgr ping',
    )
