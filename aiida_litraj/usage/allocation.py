"""What a scheduler gave to a job, from its own words, and what the job had asked for. Text and numbers only."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

_VALUE = r'["\']?([^\s"\']+)'
_GRES = re.compile(rf'(?<!\S)--gres[= ]{_VALUE}')
_PER_NODE = re.compile(rf'(?<!\S)--gpus-per-node[= ]{_VALUE}')
_PER_TASK = re.compile(rf'(?<!\S)--gpus-per-task[= ]{_VALUE}')
_PER_SOCKET = re.compile(rf'(?<!\S)--gpus-per-socket[= ]{_VALUE}')
_TOTAL = re.compile(rf'(?<!\S)(?:--gpus[= ]|-G[= ]?){_VALUE}')
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
    row = _own_line(text)
    if row is None or 'Elapsed' not in row:
        return None
    elapsed = _number(row.get('ElapsedRaw')) if row.get('ElapsedRaw') else _seconds(row['Elapsed'])
    if not elapsed:  # cancelled in the queue: it was given nothing
        return None if elapsed is None else Allocation(0.0, 0, 0)
    given = dict(part.partition('=')[::2] for part in row.get('AllocTRES', '').split(',') if '=' in part)
    cores = _number(given.get('cpu')) or _number(row.get('AllocCPUS'))
    return Allocation(elapsed, None if cores is None else int(cores), _gpus(given))


def state_from_sacct(text: str | None) -> str | None:
    """Return the state of a job in Slurm's accounting, such as ``COMPLETED`` or ``CANCELLED``; ``None`` if unknown."""
    words = ((_own_line(text) or {}).get('State') or '').split()  # CANCELLED by 1000
    return words[0] if words else None


def _own_line(text: str | None) -> dict[str, str] | None:
    """Return the columns of the job itself; lines of its steps, like 7.batch, are of what that has already."""
    lines = [line.split('|') for line in (text or '').splitlines() if '|' in line]
    if len(lines) < 2 or 'JobID' not in lines[0]:
        return None
    rows = [dict(zip(lines[0], line)) for line in lines[1:] if len(line) == len(lines[0])]
    whole = [row for row in rows if row['JobID'] and '.' not in row['JobID']]
    return whole[-1] if whole else None


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


def asks_for_gpus(directives: str) -> bool:
    """Return whether lines for Slurm ask it for GPUs; not those that only name some, like ``--exclude=gpu017``."""
    by_gres = any(_of_gres(found[1]) for found in _GRES.finditer(directives))
    return by_gres or any(way.search(directives) for way in (_TOTAL, _PER_NODE, _PER_TASK, _PER_SOCKET))


def gpus_asked(directives: str, resources: Mapping[str, Any]) -> int | None:
    """Return the GPUs that a job asked Slurm for in lines of its own, ``None`` if it did not.

    :param directives: like ``#SBATCH --gres=gpu:a100:2``.
    """
    if found := _TOTAL.search(directives):
        return _amount(found[1].split(','))
    machines, processes = resources.get('num_machines') or 1, resources.get('num_mpiprocs_per_machine') or 1
    if found := _PER_TASK.search(directives):
        return _amount(found[1].split(',')) * int(resources.get('tot_num_mpiprocs') or machines * processes)
    if found := _PER_NODE.search(directives):
        return _amount(found[1].split(',')) * int(machines)
    found = _GRES.search(directives)
    of_gres = _of_gres(found[1]) if found else []
    return _amount(of_gres) * int(machines) if of_gres else None


def _of_gres(value: str) -> list[str]:
    """Return the GPUs among generic resources, as ``gpu:a100:2`` of ``lustre:1,gpu:a100:2``."""
    return [part for part in value.split(',') if part.partition(':')[0] == 'gpu']


def _amount(parts: Iterable[str]) -> int:
    """Return how many GPUs are meant by words like ``2``, ``a100:4`` or ``gpu:2080ti``.

    A type may begin with a digit; only what stands last can be their number, and without one it is one.
    """
    last = [part.partition('(')[0].rpartition(':')[2] for part in parts]
    return sum(int(word) if word.isdigit() else 1 for word in last)
