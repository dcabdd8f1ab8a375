"""What a scheduler gave to a job, from its own words, and what the job had asked for. Text and numbers only."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_COUNT = r'(?:(?:[a-zA-Z][\w.-]*:){0,2})(\d+)'
"""A number after a type of GPU, as in ``a100:4`` and ``gpu:a100:4``."""
_PER_NODE = re.compile(rf'--(?:gres[= ](?:\S*,)?gpu:{_COUNT}|gpus-per-node[= ]{_COUNT})')
_PER_TASK = re.compile(rf'--gpus-per-task[= ]{_COUNT}')
_TOTAL = re.compile(rf'(?:--gpus|(?<=\s)-G)[= ]?{_COUNT}')
_ONE = re.compile(r'--gres[= ](?:\S*,)?gpu(?::[a-zA-Z][\w.-]*)?(?=[\s,]|$)')
_CORES = ('num_machines', 'num_mpiprocs_per_machine', 'num_cores_per_mpiproc', 'num_cores_per_machine')


@dataclass(frozen=True)
class Allocation:
    """What a job had of a computer; ``None`` is not known.

    :ivar elapsed_s: from its start to its end by the clock on the wall, without the time in the queue.
    :ivar gpus: ``None`` also where a site does not count them.
    """

    elapsed_s: float | None
    cores: int | None
    gpus: int | None


def from_sacct(text: str | None) -> Allocation | None:
    """Return what Slurm's accounting says of a job, by the line of the job itself; ``None`` if it says nothing.

    :param text: of ``sacct --parsable`` with a header, as AiiDA keeps it in ``detailed_job_info``. Of a job that was
        put back into the queue accounting tells the last run.
    """
    lines = [line.split('|') for line in (text or '').splitlines() if '|' in line]
    if len(lines) < 2 or 'JobID' not in lines[0] or 'Elapsed' not in lines[0]:
        return None
    rows = [dict(zip(lines[0], line)) for line in lines[1:] if len(line) == len(lines[0])]
    # Lines of steps, like 7.batch, are of what the job's own line has already.
    whole = [row for row in rows if row['JobID'] and '.' not in row['JobID']]
    if not whole:
        return None
    row = whole[-1]
    elapsed = _number(row.get('ElapsedRaw')) if row.get('ElapsedRaw') else _seconds(row['Elapsed'])
    if not elapsed:  # cancelled in the queue: it was given nothing
        return None if elapsed is None else Allocation(0.0, 0, 0)
    given = dict(part.partition('=')[::2] for part in row.get('AllocTRES', '').split(',') if '=' in part)
    cores = _number(given.get('cpu')) or _number(row.get('AllocCPUS'))
    return Allocation(elapsed, None if cores is None else int(cores), _gpus(given))


def _gpus(given: Mapping[str, str]) -> int | None:
    """Return the GPUs among trackable resources; a site may count each type, ``gres/gpu:a100``, or none at all."""
    if 'gres/gpu' in given:
        return int(_number(given['gres/gpu']) or 0)
    typed = [int(_number(value) or 0) for name, value in given.items() if name.startswith('gres/gpu:')]
    return sum(typed) if typed else None


def _seconds(text: str) -> float | None:
    """Return the seconds of a time like 1-02:03:04, ``None`` if it is none."""
    found = re.fullmatch(r'(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+(?:\.\d+)?)', text.strip())
    if found is None:
        return None
    days, hours, minutes, seconds = (float(part or 0.0) for part in found.groups())
    return 86400.0 * days + 3600.0 * hours + 60.0 * minutes + seconds


def _number(text: str | None) -> float | None:
    try:
        return float(text or '')
    except ValueError:
        return None


def cores_asked(resources: Mapping[str, Any]) -> int | None:
    """Return the cores that a job asked for, by the resources of AiiDA; ``None`` if they do not say it.

    A process without a number of its own counts as one core.
    """
    machines, processes, cores, per_machine = (resources.get(name) for name in _CORES)
    if per_machine and machines:
        return int(machines) * int(per_machine)
    total = resources.get('tot_num_mpiprocs') or (machines and processes and machines * processes)
    return int(total) * int(cores or 1) if total else None


def gpus_asked(directives: str, resources: Mapping[str, Any]) -> int | None:
    """Return the GPUs that a job asked Slurm for in lines of its own, ``None`` if it did not.

    :param directives: like ``#SBATCH --gres=gpu:a100:2``.
    """
    if found := _TOTAL.search(directives):
        return int(found[1])
    machines, processes = resources.get('num_machines') or 1, resources.get('num_mpiprocs_per_machine') or 1
    if found := _PER_TASK.search(directives):
        return int(found[1]) * int(resources.get('tot_num_mpiprocs') or machines * processes)
    if found := _PER_NODE.search(directives):
        return int(next(group for group in found.groups() if group)) * int(machines)
    return int(machines) if _ONE.search(directives) else None
