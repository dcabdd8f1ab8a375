"""How long a packed chain takes to plan, and how many questions it asks the database.

    python -m tests.benchmarks.packing                       # 1,681 paths, a few minutes
    python -m tests.benchmarks.packing --paths 200 --jobs 5

Paths of 31 atoms and five or seven images are stored in a profile of SQLite that is thrown away, and nothing runs.
Prints seconds, those of a core, and queries, of the chain's inputs being checked and stored, of the look for what jobs
of before have done, and of the sharing out: first where there are no such jobs, then where they have finished nine
paths of ten and half of the others were cut off.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

SITES = 32
PACKING = {'max_jobs': 20, 'seconds_per_unit': 0.7}
OPTIONS = {'processes': 4, 'max_wallclock_seconds': 14_400}
AUDIT = {
    'model_calls': 1, 'resumed_calls': 0, 'model_seconds': 1.0, 'wall_seconds': 1.0, 'processes': 4, 'device': 'cpu'
}  # fmt: skip


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--paths', type=int, default=1681)
    parser.add_argument('--jobs', type=int, default=20, help='jobs of before')
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        os.environ['AIIDA_PATH'] = place  # before aiida is imported
        from aiida_litraj.codes.profile import load_or_create

        load_or_create()
        measure(chosen.paths, chosen.jobs, Path(place))


def measure(n_paths: int, n_jobs: int, folder: Path) -> None:
    """Print the figures of so many paths."""
    from aiida.orm import Computer

    from aiida_litraj.codes.bundle import engine_files
    from tests.fixtures.nodes import make_code, neb_parameters, potential, vacancy_path

    computer = Computer('here', 'localhost', transport_type='core.local', scheduler_type='core.direct')
    computer.set_workdir(str(folder / 'work'))
    computer.store().configure()
    job = {
        'code': make_code('engine', engine_files(), folder / 'engine').store(),
        'potential': potential().store(),
        'parameters': neb_parameters().store(),
        'metadata': {'computer': computer, 'options': OPTIONS},
    }
    begun, job['paths'] = time.monotonic(), {}
    for index in range(n_paths):
        pair, longer = index % (SITES * (SITES - 1)), index // (SITES * (SITES - 1))
        ion, step = pair % SITES, 1 + pair // SITES
        path = vacancy_path(ion=ion, site=(ion + step) % SITES, n_images=5 + 2 * longer)
        job['paths'][f'hop_{index:04d}'] = path.store()
    print(f'{n_paths:,} paths, stored in {time.monotonic() - begun:.0f} s', flush=True)
    plan('no jobs of before', job)
    names = list(job['paths'])
    for number in range(n_jobs):
        write(job, names[number::n_jobs], f'/scratch/{number}')
    plan(f'{n_jobs} jobs of before', job)


def plan(title: str, job: Mapping[str, Any]) -> None:
    """Print what each step of a chain takes up to where the first part would be submitted."""
    from aiida.engine.utils import instantiate_process
    from aiida.manage import get_manager
    from aiida.orm import Dict
    from sqlalchemy import event

    from aiida_litraj.workflows.neb import NebPackedWorkChain

    engine = get_manager().get_profile_storage().get_session().get_bind()
    asked = [0]

    def count(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        asked[0] += statement.lstrip().startswith('SELECT')

    def timed(name: str, task: Callable[[], Any]) -> Any:
        asked[0], start, used = 0, time.monotonic(), time.process_time()
        made = task()
        took, core = time.monotonic() - start, time.process_time() - used
        print(f'  {name:20} {took:6.1f} s, {core:6.1f} s of a core, {asked[0]:6,} queries', flush=True)
        return made

    event.listen(engine, 'before_cursor_execute', count)
    print(title)
    runner = get_manager().get_runner(communicator=None)
    inputs = {'neb': dict(job), 'packing': Dict(PACKING)}
    chain = timed('check and store', lambda: instantiate_process(runner, NebPackedWorkChain, **inputs))
    timed('look for jobs', chain.prepare)
    resumed = sum(len(part['items']) for part in chain.ctx.plan)
    found = f'{len(chain.ctx.earlier):,} finished, {resumed:,} cut off, {len(chain.ctx.open):,} open'
    timed('share out', chain.share_out)
    print(f'  {found}; {len(chain.ctx.plan)} parts', flush=True)
    event.remove(engine, 'before_cursor_execute', count)


def write(job: Mapping[str, Any], names: list[str], place: str) -> None:
    """Write a job that was cut off by the clock, with nine of ten paths finished; half of the others it has not."""
    from aiida.common.links import LinkType
    from aiida.orm import CalcJobNode, Dict, RemoteData

    from aiida_litraj.calculations.base import LitrajCalcJob

    computer = job['metadata']['computer']
    node = CalcJobNode(computer=computer, process_type='aiida.calculations:litraj.neb')
    node.set_process_label('NebCalculation')
    node.set_option('resources', {'num_machines': 1, 'num_mpiprocs_per_machine': 1})
    ended = {'process_state': 'finished', 'exit_status': 400, 'job_id': '7'}
    ended['cache_version'] = {'calc_job': LitrajCalcJob.CACHE_VERSION}
    node.base.attributes.set_many(ended)
    kept = [name for index, name in enumerate(names) if index % 20 != 19]
    links = {'code': job['code'], 'potential': job['potential'], 'parameters': job['parameters']}
    for label, value in (links | {f'paths__{name}': job['paths'][name] for name in kept}).items():
        node.base.links.add_incoming(value, link_type=LinkType.INPUT_CALC, link_label=label)
    node.store()
    good = {'status': 'finished', 'converged': True, 'label': None, 'band_calls': 168}
    late = {'status': 'unfinished', 'converged': False, 'label': 'ERROR_OUT_OF_TIME', 'band_calls': 80}
    items = {name: late if index % 20 == 9 else good for index, name in enumerate(names) if name in kept}
    made = {
        'results': Dict({'task': 'neb', 'items': items, 'audit': AUDIT}),
        'remote_folder': RemoteData(computer=computer, remote_path=place),
    }
    for label, value in made.items():
        value.base.links.add_incoming(node, link_type=LinkType.CREATE, link_label=label)
        value.store()


if __name__ == '__main__':
    main()
