"""``python -m tests.chaos``: a randomised campaign of faults against chains on a real Slurm, over ssh.

Chains of four kinds run first undisturbed. Then the same are launched again and again, several at a time, and faults
are injected at random moments until there were as many as asked for. In the end every chain must have ended, with the
very numbers of the undisturbed one, and without having computed again what was on disk.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tests.chaos import bench as benches
from tests.chaos.fault import ALL, Fault
from tests.chaos.faults import FAULTS
from tests.chaos.table import LEGEND, markdown

EXAMPLES = """examples, as root:
  python -m tests.chaos --faults 100 --seed 7
  python -m tests.chaos --faults 10 --kinds neb,md --faults-of worker,broker,sshd
  python -m tests.chaos --faults 20 --storage postgresql --faults-of postgresql,daemon --json > campaign.json

The exit code is 0 if everything held, 1 if anything did not, 2 for arguments that will not do.
What a cluster on this machine needs is in docs/source/howto/testbed.md.
"""


def chosen(text: str, known: dict[str, Any] | tuple[str, ...], what: str) -> list[str]:
    """Return the names in a comma-separated list.

    :raises SystemExit: naming the one that is not known.
    """
    names = list(known) if text == 'all' else text.split(',')
    for name in names:
        if name not in known:
            raise SystemExit(f'error: there is no {what} {name!r}; there are: {", ".join(known)}')
    return names


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='python -m tests.chaos', description=__doc__, epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument('--faults', type=int, default=20, metavar='N', help='how many, by default 20')
    parser.add_argument(
        '--minutes',
        type=float,
        default=float('inf'),
        metavar='M',
        help='inject no more after so long, and give chains two minutes to end',
    )
    parser.add_argument('--seed', type=int, help='of the random numbers; by default a new one, which is printed')
    parser.add_argument('--kinds', default='all', help=f'of chain: {", ".join(ALL)}')
    parser.add_argument('--faults-of', default='all', metavar='NAMES', help=f'which: {", ".join(FAULTS)}')
    parser.add_argument('--in-flight', type=int, default=6, metavar='N', help='chains at a time, by default 6')
    parser.add_argument('--storage', choices=('sqlite', 'postgresql'), default='sqlite', help='of the profile')
    parser.add_argument('--folder', type=Path, help='of all files, new; by default below the one for such')
    parser.add_argument('--json', action='store_true', help='the result as JSON on standard output')
    return parser


def main(given: list[str] | None = None) -> int:
    """Run a campaign; return the exit code."""
    asked = arguments().parse_args(given)
    seed = asked.seed if asked.seed is not None else time.time_ns() % 1_000_000
    kinds, names = chosen(asked.kinds, ALL, 'kind of chain'), chosen(asked.faults_of, FAULTS, 'fault')
    folder = asked.folder or Path(tempfile.mkdtemp(prefix='chaos-'))
    console = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    console.print(f'seed {seed}, in {folder}')
    try:
        result = campaign(asked, folder, seed, kinds, names, console)
    except benches.cluster.TestbedError as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    print(json.dumps(result, indent=1) if asked.json else f'{markdown(result)}\n\n{LEGEND}')
    held = not result['violations'] and not result['unfinished'] and result['injected'] >= asked.faults
    short = 'not whole: too few faults, or chains that had not ended'
    verdict = 'everything held' if held else 'VIOLATIONS, see above' if result['violations'] else short
    console.print(f'seed {seed}: {verdict}')
    return 0 if held else 1


def campaign(
    asked: Any, folder: Path, seed: int, kinds: list[str], names: list[str], console: Console
) -> dict[str, Any]:
    """Return the result of a campaign."""
    began = time.monotonic()
    with benches.bench(folder, asked.storage) as bench:
        # AiiDA reads where its files are when it is imported.
        from tests.chaos.campaign import Campaign
        from tests.chaos.chains import make_kinds
        from tests.chaos.table import as_dict

        faults: list[Fault] = []
        for name in names:
            fault = FAULTS[name]()
            why = fault.missing(bench)
            if why is None and any(kind in fault.kinds for kind in kinds):
                faults.append(fault)
            elif why is not None:
                console.print(f'left out: {fault.name}: {why}')
        columns = (TextColumn('faults'), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=console) as bar:
            task = bar.add_task('faults', total=asked.faults)
            made = Campaign(bench, make_kinds(bench, kinds), faults, seed, console.print, asked.in_flight)
            made.told = lambda: bar.update(task, completed=len(made.injections))
            made.undisturbed()
            made.run(asked.faults, asked.minutes)
        found = as_dict(made, seed, time.monotonic() - began)
        (folder / 'campaign.json').write_text(json.dumps(found, indent=1))  # the bench may take its time to come down
        return found


if __name__ == '__main__':
    sys.exit(main())
