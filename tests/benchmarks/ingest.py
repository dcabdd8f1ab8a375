"""Import of labelled configurations: the usual loop, a node per entry, and many entries per node, side by side.

    python -m tests.benchmarks.ingest                                        # some minutes; SQLite and PostgreSQL
    python -m tests.benchmarks.ingest --entries 929066 --ways entry --storages sqlite     # MPLiTrj in full size

Prints, per storage and way: entries per second, peak memory of all processes, bytes per entry in database and
repository, the time that 929,066 entries would take, and how long queries take afterwards.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

FULL = 929_066
CARD = 'MPLiTrj'
LOOKUPS = 20
MOST_READ = 5000
WAYS = ('naive', 'entry', 'trajectory')
_HEAD = (
    f'{"storage":<11}{"way":<11}{"entries":>8} {"per s":>8} {"memory":>9} '
    f'{"database":>9} {"files":>9} {"for 929,066":>12}'
)


def main() -> None:
    """Run the benchmark and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--entries', type=int, default=20_000)
    parser.add_argument('--naive', type=int, default=300, help='entries of the usual loop, which is slow')
    parser.add_argument('--atoms', type=int, default=96)
    parser.add_argument('--storages', nargs='+', default=['sqlite', 'postgresql'], choices=['sqlite', 'postgresql'])
    parser.add_argument('--ways', nargs='+', default=WAYS, choices=WAYS)
    parser.add_argument('--workers', type=int)
    parser.add_argument('--source', type=Path, help='a folder made before')
    parser.add_argument('--keep', type=Path, help='work in this folder and leave it')
    parser.add_argument('--json', type=Path, help='also write the figures to this file')
    parser.add_argument('--child', help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.child:
        print(json.dumps(_measure(**json.loads(chosen.child))))
        return
    with nullcontext(chosen.keep) if chosen.keep else tempfile.TemporaryDirectory() as place:
        figures = _all_ways(chosen, Path(place))
    _print_table('milliseconds', 'latencies_s', figures, 1000)
    _print_table('configurations per s', 'export_per_s', figures, 1)
    if chosen.json:
        chosen.json.write_text(json.dumps(figures, indent=1))


def _all_ways(chosen: argparse.Namespace, place: Path) -> list[dict[str, Any]]:
    from aiida_litraj.datasets.make import make

    place.mkdir(parents=True, exist_ok=True)
    source = chosen.source
    if source is None:
        start = time.monotonic()
        source = make(CARD, place, n=chosen.entries, atoms=chosen.atoms)
        print(f'made {chosen.entries} configurations of {chosen.atoms} atoms in {time.monotonic() - start:.0f} s')
    print(_HEAD)
    figures = []
    for storage in chosen.storages:
        for way in chosen.ways:
            with _profile(storage, place / f'{storage}_{way}') as environment:
                limit = chosen.naive if way == 'naive' else None
                task = {'source': str(source), 'way': way, 'limit': limit, 'workers': chosen.workers}
                figure = {'storage': storage} | _in_child(task, environment)
            figures.append(figure)
            _print(figure)
    return figures


@contextmanager
def _profile(storage: str, folder: Path) -> Iterator[dict[str, str]]:
    """Yield the environment of a process with an empty profile."""
    from tests.fixtures.postgresql import database

    folder.mkdir()
    environment = os.environ | {'AIIDA_PATH': str(folder), 'OMP_NUM_THREADS': '1'}
    verdi = [str(Path(sys.executable).with_name('verdi')), 'profile', 'setup']
    common = ['-n', '--profile-name', 'bench', '--email', 'bench@localhost', '--set-as-default', '--no-use-rabbitmq']
    if storage == 'sqlite':
        _quietly([*verdi, 'core.sqlite_dos', *common], environment)
        yield environment
        return
    with database(folder) as there:
        wanted = ['hostname', 'port', 'name', 'username', 'password']
        options = [text for key in wanted for text in (f'--database-{key}', str(there[f'database_{key}']))]
        options += ['--repository-uri', there['repository_uri']]
        _quietly([*verdi, 'core.psql_dos', *common, *options], environment)
        yield environment


def _quietly(command: list[str], environment: dict[str, str]) -> None:
    ran = subprocess.run(command, env=environment, capture_output=True, text=True)
    if ran.returncode:
        raise RuntimeError(f'{" ".join(command)}: {ran.stdout}{ran.stderr}')


def _in_child(task: dict[str, Any], environment: dict[str, str]) -> dict[str, Any]:
    command = [sys.executable, '-W', 'ignore', '-m', __spec__.name, '--child', json.dumps(task)]
    ran = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    figures: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return figures


def _measure(source: str, way: str, limit: int | None, workers: int | None) -> dict[str, Any]:
    """Return the figures of one import into the default profile."""
    from aiida import load_profile

    load_profile()
    start = time.monotonic()
    if way == 'naive':
        entries, seconds, n_workers = *_naive(Path(source), limit or FULL), 0
    else:
        from aiida_litraj.datasets.ingest.run import MOST_WORKERS, import_dataset

        report = import_dataset(source, CARD, granularity=way, workers=workers, progress=_dots())
        entries, seconds, n_workers = report.entries, report.seconds, workers or min(os.cpu_count() or 1, MOST_WORKERS)
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    database, files = _sizes()
    return {
        'way': way,
        'entries': entries,
        'per_s': entries / seconds,
        'wall_s': time.monotonic() - start,
        'memory_bytes': 1024 * (own + n_workers * child),
        'database_bytes': database / entries,
        'repository_bytes': files / entries,
        'latencies_s': {} if way == 'naive' else _latencies(),
        'export_per_s': {} if way == 'naive' else _exports(Path(source)),
    }


def _naive(source: Path, limit: int) -> tuple[int, float]:
    """Store the loop that everybody writes first: a structure and an array for each configuration."""
    import ase.io
    from aiida.orm import ArrayData, Group, StructureData

    group = Group('naive').store()
    start = time.monotonic()
    images = ase.io.iread(source / f'{CARD}_train.xyz', index=f':{limit}')
    for atoms in images:
        labels = ArrayData()
        labels.set_array('forces', atoms.get_forces())
        labels.base.attributes.set('energy', atoms.get_potential_energy())
        group.add_nodes([StructureData(ase=atoms).store(), labels.store()])
    return group.count() // 2, time.monotonic() - start


def _sizes() -> tuple[int, int]:
    """Return bytes of the database and of the packed files."""
    from aiida.manage import get_manager
    from sqlalchemy import text

    from aiida_litraj.datasets.ingest.store import container_of

    storage = get_manager().get_profile_storage()
    total = container_of(storage).get_total_size()
    files = total.total_size_packfiles_on_disk + total.total_size_packindexes_on_disk + total.total_size_loose
    configuration = storage.profile.storage_config
    if 'filepath' in configuration:
        return (Path(configuration['filepath']) / 'database.sqlite').stat().st_size, files
    with storage.transaction() as session:
        return int(session.execute(text('select pg_database_size(current_database())')).scalar_one()), files


def _latencies() -> dict[str, float]:
    """Return seconds of the queries people make, the median of some."""
    import random

    from aiida.orm import Data, QueryBuilder

    from aiida_litraj.analysis.frames import summary
    from aiida_litraj.groups import DatasetGroup
    from aiida_litraj.groups.query import find_entry, query

    random.seed(1)
    train = DatasetGroup.of(f'{CARD}/train')
    size = sum(
        QueryBuilder()
        .append(DatasetGroup, filters={'id': train.pk}, tag='g')
        .append(Data, with_group='g', project='attributes.n_frames')
        .all(flat=True)
    )
    ids = [f'train/{random.randrange(size)}' for _ in range(LOOKUPS)]
    some = find_entry(CARD, ids[0])
    formula = summary(some.frames())['formula']
    return {
        'by identifier': _median([lambda one=one: find_entry(CARD, one) for one in ids]),
        'size of a split': _median([train.count]),
        'count of a formula': _median([lambda: query(CARD, formula=formula).count()]),
        'count fmax < 0.5': _median([lambda: query(CARD, fmax=(0, 0.5)).count()]),
        'first 100 with fmax < 0.5': _median([lambda: query(CARD, fmax=(0, 0.5)).limit(100).all()]),
    }


def _exports(source: Path) -> dict[str, float]:
    """Return configurations per second of writing a split, and of ASE reading as many."""
    import ase.io

    from aiida_litraj.groups.export import export

    rates = {}
    with tempfile.TemporaryDirectory() as folder:
        for kind in ('publisher', 'extxyz-mace'):
            start = time.monotonic()
            written = export(f'{CARD}/val', kind, Path(folder) / kind)
            rates[f'export {kind}'] = written.configurations / (time.monotonic() - start)
    start = time.monotonic()
    images = ase.io.iread(source / f'{CARD}_val.xyz', index=f':{MOST_READ}')
    rates['ASE reads'] = sum(1 for _ in images) / (time.monotonic() - start)
    return rates


def _median(calls: list[Callable[[], object]]) -> float:
    times = []
    for call in calls:
        start = time.monotonic()
        call()
        times.append(time.monotonic() - start)
    return sorted(times)[len(times) // 2]


def _dots() -> Callable[[str, int, int | None], None]:
    last = [time.monotonic()]

    def tell(what: str, done: int, whole: int | None) -> None:
        if time.monotonic() - last[0] > 30:
            last[0] = time.monotonic()
            print(f'  {what}: {done} of {whole}', file=sys.stderr, flush=True)

    return tell


def _print(figure: dict[str, Any]) -> None:
    print(
        f'{figure["storage"]:<11}{figure["way"]:<11}{figure["entries"]:>8} {figure["per_s"]:>8.0f} '
        f'{figure["memory_bytes"] / 1e6:>6.0f} MB {figure["database_bytes"]:>7.0f} B '
        f'{figure["repository_bytes"]:>7.0f} B {FULL / figure["per_s"] / 60:>8.1f} min',
        flush=True,
    )


def _print_table(title: str, field: str, figures: list[dict[str, Any]], factor: float) -> None:
    measured = [figure for figure in figures if figure[field]]
    if not measured:
        return
    print(f'\n{title:<28}' + ''.join(f'{figure["storage"] + " " + figure["way"]:>22}' for figure in measured))
    for name in measured[0][field]:
        print(f'{name:<28}' + ''.join(f'{factor * figure[field][name]:>22.1f}' for figure in measured))


if __name__ == '__main__':
    main()
