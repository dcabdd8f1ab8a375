"""How long ``usage`` takes on a profile with many jobs, and how many questions it asks the database.

    python -m tests.benchmarks.usage                        # 10,000 jobs in 500 chains, a minute or two
    python -m tests.benchmarks.usage --jobs 1000 10000 --per-chain 20

Jobs, chains, accounts, folders and links are written as rows into a profile of SQLite that is thrown away, and nothing
runs. Each job has the text of a real ``sacct``. Prints by the number of jobs: nodes in the profile; seconds, those of a
core, and queries, of the sums by chain and by potential, of the storage of all chains, and of a plan of what to clean.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from uuid import uuid4

SACCT = Path(__file__).parents[1] / 'usage' / 'sacct' / 'two_gpus_7_s.txt'
JOB, CHAIN = 'process.calculation.calcjob.CalcJobNode.', 'process.workflow.workchain.WorkChainNode.'
ACCOUNT, FOLDER, FETCHED = 'data.core.dict.Dict.', 'data.core.remote.RemoteData.', 'data.core.folder.FolderData.'


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--jobs', type=int, nargs='+', default=[10_000])
    parser.add_argument('--per-chain', type=int, default=20)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        os.environ['AIIDA_PATH'] = place  # before aiida is imported
        from aiida_litraj.codes.profile import load_or_create

        load_or_create()
        before = 0
        for number in sorted(chosen.jobs):
            measure(number, number - before, chosen.per_chain)
            before = number


def measure(number: int, more: int, per_chain: int) -> None:
    """Print the figures of so many jobs, after so many more have been written."""
    from aiida.manage import get_manager
    from aiida.orm import Node, QueryBuilder
    from sqlalchemy import event

    from aiida_litraj.usage.cleaning import plan
    from aiida_litraj.usage.jobs import find_jobs
    from aiida_litraj.usage.storage import storage_of
    from aiida_litraj.usage.sums import add_up, key_of

    fill(more, per_chain)
    print(f'{number:,} jobs in {number // per_chain:,} chains, {QueryBuilder().append(Node).count():,} nodes')
    engine = get_manager().get_profile_storage().get_session().get_bind()
    asked = [0]

    def count(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        asked[0] += statement.lstrip().startswith('SELECT')

    event.listen(engine, 'before_cursor_execute', count)

    def by_chain() -> str:
        found = find_jobs()
        sums, total = add_up(found.jobs, lambda job: (job.callers or (job.pk,))[-1:], found.lineage)
        return f'{len(sums)} rows, {total.gpu_hours:.3f} GPU h, {total.model_calls:,} model calls'

    def by_potential() -> str:
        found = find_jobs()
        sums, _ = add_up(found.jobs, lambda job: [key_of(job, 'potential')], found.lineage)
        return f'{len(sums)} rows'

    def storage() -> str:
        found = find_jobs()
        each, together = storage_of({job.callers[-1] for job in found.jobs})
        return f'{len(each)} rows, {together.nodes:,} nodes'

    tasks: dict[str, Callable[[], str]] = {
        'sums by chain': by_chain,
        'sums by potential': by_potential,
        'storage by chain': storage,
        'plan of cleaning': lambda: f'{len(plan().folders):,} folders',
    }
    for name, task in tasks.items():
        asked[0], start, used = 0, time.monotonic(), time.process_time()
        told = task()
        took, core = time.monotonic() - start, time.process_time() - used
        print(f'{name:18} {took:6.2f} s, {core:6.2f} s of a core, {asked[0]:3d} queries: {told}')


def fill(number: int, per_chain: int) -> None:
    """Write jobs, each with code, potential, account, files and folder, into the profile, in chains of chains."""
    from aiida.manage import get_manager
    from aiida.orm import Computer, InstalledCode, User
    from aiida.orm.entities import EntityTypes

    from aiida_litraj.data.potential import PotentialData

    backend = get_manager().get_profile_storage()
    name = f'cluster-{uuid4()}'
    computer = Computer(name, name, transport_type='core.local', scheduler_type='core.slurm').store()
    code = InstalledCode(label='engine', computer=computer, filepath_executable='/bin/true').store()
    potentials = [PotentialData.packaged('toy', name).store() for name in ('morse', 'double_well')]
    now, user, told = datetime.now(timezone.utc), User.collection.get_default().pk, SACCT.read_text()

    def rows(
        kind: str, count: int, attributes: Callable[[int], dict[str, Any]], process: str | None = None
    ) -> list[int]:
        on = computer.pk if kind in (JOB, FOLDER) else None
        made = [
            {
                'uuid': str(uuid4()), 'node_type': kind, 'process_type': process, 'label': '', 'description': '',
                'ctime': now, 'mtime': now, 'attributes': attributes(index), 'extras': {}, 'repository_metadata': {},
                'dbcomputer_id': on, 'user_id': user,
            }
            for index in range(count)
        ]  # fmt: skip
        return backend.bulk_insert(EntityTypes.NODE, made)

    audit = {'model_calls': 100, 'resumed_calls': 0, 'wall_seconds': 5.0, 'cpu_seconds': 4.0, 'device': 'cuda'}
    items = {f'hop_{item}': {'status': 'finished', 'converged': True, 'n_steps': 40} for item in range(20)}
    ended = {'process_state': 'finished', 'exit_status': 0, 'sealed': True}
    job = {
        **ended, 'job_id': '7', 'resources': {'num_machines': 1, 'num_mpiprocs_per_machine': 1},
        'last_job_info': {'wallclock_time_seconds': 6},
        'detailed_job_info': {'retval': 0, 'stderr': '', 'stdout': told},
    }  # fmt: skip
    n_chains = number // per_chain
    with backend.transaction():
        jobs = rows(JOB, number, lambda _: job, 'aiida.calculations:litraj.neb')
        tops = rows(CHAIN, n_chains, lambda _: ended, 'aiida.workflows:litraj.barrier')
        bases = rows(CHAIN, n_chains, lambda _: ended, 'aiida.workflows:litraj.neb.base')
        accounts = rows(ACCOUNT, number, lambda _: {'audit': audit, 'items': items})
        folders = rows(FOLDER, number, lambda index: {'remote_path': f'/scratch/{index}'})
        fetched = rows(FETCHED, number, lambda _: {})
        links = [(top, base, 'neb', 'call_work') for top, base in zip(tops, bases)]
        for index, pk in enumerate(jobs):
            links += [
                (bases[index % n_chains], pk, f'iteration_{index // n_chains:02d}', 'call_calc'),
                (code.pk, pk, 'code', 'input_calc'),
                (potentials[index % 2].pk, pk, 'potential', 'input_calc'),
                (pk, accounts[index], 'results', 'create'),
                (pk, folders[index], 'remote_folder', 'create'),
                (pk, fetched[index], 'retrieved', 'create'),
            ]
        names = ('input_id', 'output_id', 'label', 'type')
        backend.bulk_insert(EntityTypes.LINK, [dict(zip(names, link)) for link in links])


if __name__ == '__main__':
    main()
