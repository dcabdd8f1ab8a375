"""Can jobs be put where they shall run."""

from __future__ import annotations

import shlex
import uuid

from .case import Case
from .finding import Answer, broken, ok, warning

LEAST_GIB, FEW_GIB = 0.1, 2.0
_SCRIPT = """\
set -e
mkdir -p {folder}
cd {folder}
printf '#!/bin/sh\\necho runs\\n' > {file}
trap 'rm -f {file}' EXIT
dd if=/dev/zero bs=65536 count=4 >> {file}.room 2>/dev/null || {{ rm -f {file}.room; echo full; exit 9; }}
rm -f {file}.room
chmod +x {file}
./{file} || echo noexec
df -Pk . | tail -1
"""


def check(case: Case) -> Answer:
    """Make the folder, write to it, run something in it, and ask how much space is left."""
    folder = case.there.get_workdir().format(username=case.login.user)
    script = _SCRIPT.format(folder=shlex.quote(folder), file=f'litraj-doctor-{uuid.uuid4().hex[:8]}')
    status, stdout, stderr = case.login.run(f'bash -c {shlex.quote(script)}')
    label = case.there.label
    said = (stderr.strip() or stdout.strip()).splitlines()
    last = said[-1] if said else f'exit status {status}'
    room = f'Remove what is not needed there: verdi calcjob cleanworkdir PK, or: ssh {label} du -sh {folder}'
    if 'full' in stdout.split() or 'No space left' in stderr or 'quota' in stderr.lower():
        return broken(f'{folder} on {label} is full: {last}', room)
    if status != 0:
        return broken(
            f'{folder} on {label} cannot be written: {last}',
            'Give another work_dir under another label (setup --from), or have the folder made: '
            f'ssh {label} mkdir -p {folder}',
        )
    if 'noexec' in stdout.split():
        return broken(
            f'{folder} on {label} is on a file system from which nothing may be run (noexec)',
            'Give another work_dir under another label: aiida-litraj setup --from FILE',
        )
    try:
        free = int(stdout.strip().splitlines()[-1].split()[3]) / 2**20
    except (ValueError, IndexError):
        return ok(f'{folder} can be written')
    text = f'{folder}, {free:.1f} GiB free'
    if free < LEAST_GIB:
        return broken(text, room, free_gib=free)
    if free < FEW_GIB:
        return warning(text, room, free_gib=free)
    return ok(text, free_gib=round(free, 2))
