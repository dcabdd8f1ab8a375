"""What AiiDA costs for a path: some toy paths through a Slurm cluster on this machine, one by one and together.

    python -m tests.benchmarks.overhead --paths 20                # a quick look, two minutes
    python -m tests.benchmarks.overhead --max-jobs 8              # 200 paths; also packed into eight jobs
    python -m tests.benchmarks.overhead --transport local         # the same scheduler without ssh

The profile has SQLite and the ZeroMQ broker and is thrown away, with the cluster, unless ``--testbed`` names the folder
of one that is up. A path is one atom in a double well, whose engine takes a moment, so that what remains is the way
there and back: jobs that AiiDA polls for every second, two at a time, for the cluster has two GPUs.

Prints for each way: jobs; calls of the model; seconds for each path of the whole, of a core in the daemon (its workers
and its broker) and in the program that submits, and of the jobs, by Slurm, and of the engine in them; and what a job
takes on average from its making to its submission, waiting for a GPU, running, and until AiiDA is through with it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import datetime, timezone
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve()
TESTBED = HERE.parents[1] / 'testbed'
TRANSPORTS = {'ssh': 'core.ssh_async', 'local': 'core.local'}
ALONE, TOGETHER, PACKED = 'single', 'together', 'packed'
PACKED_CHAIN = 'litraj.neb.packed'
SLOTS = 1000
"""Processes that a worker takes at a time: with AiiDA's 200, 200 chains would leave no place for their jobs."""
COLUMNS = (
    ('way', 'way', '{}'),
    ('jobs', 'jobs', '{:d}'),
    ('calls', 'calls', '{:d}'),
    ('wall_s', 's/path', '{:.2f}'),
    ('daemon_s', 'daemon', '{:.3f}'),
    ('submitter_s', 'submitter', '{:.3f}'),
    ('slurm_s', 'in jobs', '{:.2f}'),
    ('engine_s', 'engine', '{:.3f}'),
    ('before_s', 'job: before', '{:.1f}'),
    ('queued_s', 'queued', '{:.1f}'),
    ('running_s', 'running', '{:.1f}'),
    ('after_s', 'after', '{:.1f}'),
)
PATIENCE_S = 3600.0


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--paths', type=int, default=200)
    parser.add_argument('--workers', type=int, default=1, help='of the daemon')
    parser.add_argument('--ways', nargs='+', choices=(ALONE, TOGETHER), default=[ALONE, TOGETHER])
    parser.add_argument('--max-jobs', type=int, help=f'also packed into so many jobs, by {PACKED_CHAIN}')
    parser.add_argument('--transport', choices=sorted(TRANSPORTS), default='ssh')
    parser.add_argument('--testbed', type=Path, help='folder of a cluster that is up; by default one is brought up')
    parser.add_argument('--json', type=Path, help='also write the figures to this file')
    parser.add_argument('--child', help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.child:
        measure(**json.loads(chosen.child))
        return
    if chosen.max_jobs and not list(entry_points(group='aiida.workflows', name=PACKED_CHAIN)):
        parser.error(
            f'--max-jobs: there is no {PACKED_CHAIN} in this environment; leave it out, or install aiida-litraj'
        )
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix='litraj')))
        up = chosen.testbed or place / 'bed'
        if chosen.testbed is None:
            stack.callback(subprocess.run, [TESTBED / 'down', up], check=True, stdout=subprocess.DEVNULL)
        described = subprocess.run([TESTBED / 'up', up], check=True, stdout=subprocess.PIPE, text=True).stdout
        asked = {
            'testbed': json.loads(described),
            'home': str(place / 'home'),
            'transport': TRANSPORTS[chosen.transport],
            'ways': [*chosen.ways, *([PACKED] if chosen.max_jobs else [])],
            'number': chosen.paths,
            'workers': chosen.workers,
            'max_jobs': chosen.max_jobs,
        }
        figures = in_a_profile_of_its_own(place, asked)
    if chosen.json:
        chosen.json.write_text(json.dumps(figures, indent=1))


def in_a_profile_of_its_own(place: Path, asked: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the figures, measured in another interpreter, whose AiiDA and whose home are in a folder."""
    home = place / 'home'
    (home / '.ssh').mkdir(mode=0o700, parents=True)
    (home / '.ssh' / 'config').symlink_to(asked['testbed']['ssh']['config'])
    scripts = Path(sys.executable).parent
    environment = {
        **os.environ,
        'AIIDA_PATH': str(place / 'aiida'),
        'AIIDA_WARN_v3': '0',
        'HOME': str(home),
        'PATH': os.pathsep.join([str(scripts), os.environ.get('PATH', '')]),
        'PYTHONPATH': os.pathsep.join([str(HERE.parents[2]), os.environ.get('PYTHONPATH', '')]),
        'SLURM_CONF': asked['testbed']['slurm_conf'],
    }

    def verdi(*words: str) -> None:
        command = [str(scripts / 'verdi'), *words]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f'{" ".join(command)}: {done.stdout}{done.stderr}')

    verdi('presto', '-n', '--use-zeromq')
    verdi('config', 'set', 'daemon.worker_process_slots', str(SLOTS))
    verdi('config', 'set', 'daemon.timeout', '60')
    found = place / 'figures.json'
    command = [sys.executable, '-m', 'tests.benchmarks.overhead', '--child', json.dumps({**asked, 'found': str(found)})]
    verdi('daemon', 'start', str(asked['workers']))
    try:
        subprocess.run(command, env=environment, check=True)
    finally:
        verdi('daemon', 'stop')
    figures: list[dict[str, Any]] = json.loads(found.read_text())
    return figures


def measure(
    testbed: dict[str, Any], home: str, transport: str, ways: list[str], number: int, workers: int, max_jobs: int,
    found: str,
) -> None:  # fmt: skip
    """Print the figures of each way and write them to the file ``found``, with the daemon running."""
    from aiida import load_profile

    load_profile()
    from tests.fixtures.testbed import Testbed, set_up

    computer = set_up(Testbed(testbed, Path(home)), transport)
    code = toy_code(Path(home) / 'engine')
    options = {'queue_name': testbed['partition'], 'custom_scheduler_commands': '#SBATCH --gres=gpu:1'}
    figures = []
    print('  '.join(f'{header:>11}' for _, header, _ in COLUMNS), flush=True)
    for index, way in enumerate(ways):
        paths = toy_paths(number, seed=index)
        packing = {'max_jobs': max_jobs, 'min_job_seconds': 0.0, 'seconds_per_unit': 1.0, 'reuse': False}
        figures.append(of_a_way(way, paths, {'code': code, 'computer': computer, 'options': options}, packing))
        print('  '.join(f'{written.format(figures[-1][key]):>11}' for key, _, written in COLUMNS), flush=True)
        Path(found).write_text(json.dumps(figures))


def of_a_way(way: str, paths: dict[str, Any], where: dict[str, Any], packing: dict[str, Any]) -> dict[str, Any]:
    """Return the figures of one way of sending paths."""
    from aiida.engine import submit
    from aiida.plugins import WorkflowFactory

    from tests.fixtures.nodes import WELL_HEIGHT, potential

    chain = WorkflowFactory(PACKED_CHAIN if way == PACKED else 'litraj.neb.base')
    more = {'packing': packing} if way == PACKED else {}
    batches = [{name: path} for name, path in paths.items()] if way == ALONE else [paths]
    well = potential('double_well', height=WELL_HEIGHT).store()
    daemon, own, began = daemon_seconds(), time.process_time(), time.monotonic()
    nodes = []
    for batch in bar(batches, 'submitted'):
        builder = chain.get_builder_from_protocol(potential=well, paths=batch, protocol='tight', **where, **more)
        nodes.append(submit(builder))
    own = time.process_time() - own
    wait_for(nodes)
    wall, daemon = time.monotonic() - began, daemon_seconds() - daemon
    if failed := [f'{node.pk}: {node.exit_status} {node.exit_message}' for node in nodes if not node.is_finished_ok]:
        raise RuntimeError(f'{len(failed)} of {len(nodes)} chains failed, among them {failed[0]}')
    done = sum(len(node.outputs.paths) for node in nodes)
    if done != len(paths):
        raise RuntimeError(f'{done} of {len(paths)} paths are there')
    audits = [node.outputs.results['audit'] for node in nodes]
    jobs = [stages_of(job) for node in nodes for job in node.called_descendants if 'Calculation' in job.process_label]
    return {
        'way': way,
        'jobs': len(jobs),
        'calls': sum(audit['model_calls'] for audit in audits),
        'wall_s': wall / done,
        'daemon_s': daemon / done,
        'submitter_s': own / done,
        'slurm_s': sum(job['running_s'] for job in jobs) / done,
        'engine_s': sum(audit['wall_seconds'] for audit in audits) / done,
        **{key: statistics.mean(job[key] for job in jobs) for key in jobs[0]},
    }


def wait_for(nodes: list[Any]) -> None:
    """Wait until all chains have ended, showing how many have."""
    deadline = time.monotonic() + PATIENCE_S
    shown = bar(None, 'finished', len(nodes))
    left = list(nodes)
    while left:
        if time.monotonic() > deadline:
            raise TimeoutError(f'{len(left)} of {len(nodes)} chains have not ended after {PATIENCE_S:.0f} s')
        time.sleep(0.5)
        still = [node for node in left if not node.is_terminated]
        shown.update(len(left) - len(still))
        left = still
    shown.close()


def bar(over: Any, words: str, total: int | None = None) -> Any:
    """Return a bar on the standard error, where that is a terminal."""
    from tqdm import tqdm

    return tqdm(over, desc=words, total=total, leave=False, disable=None)


def daemon_seconds() -> float:
    """Return the processor seconds of the daemon until now: its supervisor, its broker and its workers."""
    import psutil
    from aiida.engine.daemon import get_daemon_client

    supervisor = psutil.Process(get_daemon_client().get_daemon_pid())
    every = [each.cpu_times() for each in (supervisor, *supervisor.children(recursive=True))]
    return sum(times.user + times.system for times in every)


def stages_of(job: Any) -> dict[str, float]:
    """Return the seconds of a job's stages; Slurm knows whole ones, which on average does no harm."""
    header, values = job.get_detailed_job_info()['stdout'].splitlines()[:2]
    told: Mapping[str, str] = dict(zip(header.split('|'), values.split('|')))
    # Slurm has the local time.
    submitted, started, ended = (
        datetime.fromisoformat(told[name]).astimezone(timezone.utc) for name in ('Submit', 'Start', 'End')
    )
    times = [job.ctime, submitted, started, ended, job.mtime]
    names = ('before_s', 'queued_s', 'running_s', 'after_s')
    return {name: (end - begin).total_seconds() for name, begin, end in zip(names, times, times[1:])}


def toy_code(folder: Path) -> Any:
    """Return the engine as a code of any computer."""
    from aiida_litraj.codes.bundle import engine_files
    from tests.fixtures.nodes import make_code

    return make_code('engine', engine_files(), folder)


def toy_paths(number: int, seed: int) -> dict[str, Any]:
    """Return paths from well to well, no two of them alike."""
    import numpy as np

    from tests.fixtures.nodes import surface_path

    shifts = np.random.default_rng(seed).uniform(-0.1, 0.1, (number, 2))
    return {
        f'hop_{index:04d}': surface_path((-1.1 + left, 0.2, 0.0), (1.2 + right, 0.1, 0.1))
        for index, (left, right) in enumerate(shifts)
    }


if __name__ == '__main__':
    main()
