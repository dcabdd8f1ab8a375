"""Does the scheduler answer the question that AiiDA will ask it."""

from __future__ import annotations

from .case import Case
from .finding import Answer, broken, ok

PROGRAMS = {
    'core.slurm': ('sbatch', 'squeue', 'scancel'),
    'core.pbspro': ('qsub', 'qstat', 'qdel'),
    'core.torque': ('qsub', 'qstat', 'qdel'),
    'core.sge': ('qsub', 'qstat', 'qdel'),
    'core.lsf': ('bsub', 'bjobs', 'bkill'),
    'core.direct': ('ps',),
}


def check(case: Case) -> Answer:
    """Look for the programs, then list the jobs as AiiDA's plugin does."""
    from aiida.schedulers import SchedulerError

    from .deadline import TooSlow

    kind, label = case.there.scheduler_type, case.there.label
    wanted = PROGRAMS.get(kind, ())
    missing = case.login.run(f'for name in {" ".join(wanted)}; do command -v $name > /dev/null || echo $name; done')[1]
    if missing.split():
        return broken(
            f'there is no {missing.split()[0]} in the path of a login on {label}',
            f'Is {kind} right? If so, let ~/.bash_profile there load what brings it (module load slurm)',
        )
    scheduler = case.there.get_scheduler()
    status_of = {'core.slurm': 'scontrol ping', 'core.pbspro': 'qstat -B', 'core.lsf': 'badmin showstatus'}
    remedy = f'Ask the site, or see by hand: ssh {label} {status_of.get(kind, "uptime")}'
    try:
        answer = case.login.run(scheduler._get_joblist_command(user=None))
        jobs = scheduler._parse_joblist_output(*answer)
    except TooSlow as error:
        return broken(f'the scheduler {kind} of {label} does not answer: {error}', remedy)
    except (SchedulerError, ValueError) as error:
        reason = (answer[2].strip() or str(error)).splitlines()[-1]
        return broken(f'the scheduler {kind} of {label} does not answer: {reason}', remedy)
    return ok(f'{kind} answers' + (f', {len(jobs)} jobs' if kind != 'core.direct' else ''))
