"""Are there nodes that take jobs."""

from __future__ import annotations

import shlex

from .case import Case
from .finding import Answer, broken, ok, warning

AWAY = ('down', 'drain', 'drng', 'fail', 'maint', 'unk', 'no_respond', 'power', 'reboot', 'inval', 'boot')


def check(case: Case) -> Answer:
    """Look at the nodes of the partition that the code asks for, or of the usual one."""
    label, partition = case.there.label, case.options.get('queue_name')
    chosen = f'--partition={shlex.quote(str(partition))} ' if partition else ''
    status, stdout, stderr = case.login.run(f'sinfo --noheader {chosen}--format="%P|%a|%D|%T|%E"')
    if status != 0:
        return warning(f'sinfo does not answer: {stderr.strip()}', f'See by hand: ssh {label} sinfo')
    rows = [line.split('|', 4) for line in stdout.splitlines() if line.count('|') >= 4]
    if partition is None:
        rows = [row for row in rows if row[0].endswith('*')]
    if not rows:
        known = case.login.run('sinfo --noheader --format=%R')[1].split()
        return broken(
            f'there is no partition {partition!r} on {label}' if partition else f'{label} has no usual partition',
            f'Correct partition in the file for setup --from; there are: {", ".join(sorted(set(known)))}',
        )
    name = str(partition or rows[0][0].rstrip('*'))
    if all(row[1] != 'up' for row in rows):
        return broken(f'the partition {name} of {label} is {rows[0][1]}', f'Ask the site: ssh {label} sinfo -s')
    usable = sum(int(row[2]) for row in rows if row[1] == 'up' and not row[3].lower().startswith(AWAY))
    total = sum(int(row[2]) for row in rows)
    if usable == 0:
        state, reason = rows[0][3], rows[0][4]
        return broken(
            f'none of the {total} node(s) of the partition {name} of {label} takes jobs: {state} ({reason})',
            f'Ask the site: ssh {label} sinfo -R; if the node is yours: scontrol update NodeName=NODE State=RESUME',
        )
    return ok(f'{usable} of {total} node(s) of the partition {name} take jobs')
