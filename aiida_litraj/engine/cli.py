"""``litraj-engine``: the program of a compute node."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

_EPILOG = """examples:
  litraj-engine probe
  litraj-engine probe --potential potential.json --device cpu
  litraj-engine run job.json
"""


def main(arguments: list[str] | None = None) -> int:
    """Run the program; return its exit status."""
    parser = argparse.ArgumentParser(
        prog='litraj-engine', epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest='command', required=True)
    run_parser = commands.add_parser('run', help='run a job; its result goes beside it')
    run_parser.add_argument(
        'job', type=Path, help='job.json, with arrays.npz and the checkpoint of the potential beside it'
    )
    probe_parser = commands.add_parser('probe', help='say as JSON what this environment can do')
    probe_parser.add_argument('--potential', type=Path, help='JSON file with a potential to load and report on')
    probe_parser.add_argument('--device', default='auto', help='where to load it: auto, cpu, cuda or cuda:N')
    chosen = parser.parse_args(arguments)
    os.environ['PYTHONSAFEPATH'] = '1'  # no process that the engine starts takes a file of the job for a module
    try:
        import pydantic  # noqa: F401  the one package the engine needs beside the potential's own
    except ImportError:
        sys.stderr.write(f'litraj-engine: {sys.executable} lacks pydantic: {sys.executable} -m pip install pydantic\n')
        return 3
    if chosen.command == 'probe':
        from .probe import probe

        sys.stdout.write(probe(chosen.potential, chosen.device).model_dump_json(indent=1) + '\n')
        return 0
    from .run import run, summary_line

    sys.stdout.write(summary_line(run(chosen.job)) + '\n')
    return 0


if __name__ == '__main__':
    sys.exit(main())
