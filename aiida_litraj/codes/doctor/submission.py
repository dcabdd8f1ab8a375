"""Would the scheduler take a job with what the code asks for."""

from __future__ import annotations

import re

from .case import Case
from .finding import Answer, broken, ok

NEEDED = {'resources': {'num_machines': 1, 'num_mpiprocs_per_machine': 1}}


def check(case: Case) -> Answer:
    """Have Slurm judge a header like that of a job of the code, without a job (``sbatch --test-only``)."""
    try:
        script = header(case)
    except (ValueError, TypeError) as error:
        return broken(f'AiiDA makes no job of the options of the code: {error}', 'Correct them: setup --from FILE')
    status, stdout, stderr = case.login.run('sbatch --test-only', stdin=script)
    said = [line.removeprefix('sbatch: ') for line in (stdout + stderr).splitlines() if line.strip()]
    if status == 0:
        return ok(re.sub(r'^Job \d+ to start', 'a job would start', said[0]) if said else 'sbatch --test-only takes it')
    reason = '; '.join(dict.fromkeys(line.removeprefix('error: ') for line in said)) or f'exit status {status}'
    asked = ' '.join(line.removeprefix('#SBATCH ') for line in script.splitlines() if _is_asked(line))
    offers = case.login.run('sinfo --noheader --format="%R: %G, %c processors, %m MB, %l"')[1].splitlines()
    return broken(
        f'Slurm takes no such job: {reason} (asked: {asked})',
        f'Correct the code in the file for setup --from. {case.there.label} offers: {"; ".join(offers[:6])}. Accounts: '
        f'ssh {case.there.label} sacctmgr show associations user=$USER format=account,partition,qos',
    )


def _is_asked(line: str) -> bool:
    shown = ('partition', 'account', 'qos', 'nodes', 'ntasks', 'cpus', 'time', 'mem', 'gres', 'gpus', 'constraint')
    return line.startswith(tuple(f'#SBATCH --{name}' for name in shown))


def header(case: Case) -> str:
    """Return the header of a job of the code, as AiiDA's plugin writes it, over a script that does nothing.

    :raises ValueError: if an option is malformed.
    """
    from aiida.schedulers.datastructures import JobTemplate

    scheduler, options = case.there.get_scheduler(), {**NEEDED, **case.options}
    known = ('queue_name', 'account', 'qos', 'priority', 'max_wallclock_seconds', 'max_memory_kb',
             'custom_scheduler_commands')  # fmt: skip
    template = JobTemplate({name: options[name] for name in known if options.get(name) is not None})
    template.job_resource = scheduler.create_job_resource(**options['resources'])
    return f'#!/bin/bash\n{scheduler._get_submit_script_header(template)}\ntrue\n'
