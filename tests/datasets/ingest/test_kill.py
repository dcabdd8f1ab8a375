"""An import killed at any moment and started again ends with each entry exactly once.

``LITRAJ_IMPORT_KILLS`` and ``LITRAJ_KILL_SEED`` set how often and with which random numbers; the seed is printed.
"""

from __future__ import annotations

import itertools
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from aiida.manage import get_manager
from aiida.orm import CalcFunctionNode, Data, QueryBuilder

from aiida_litraj.data import FramesData
from aiida_litraj.datasets.ingest.lock import LOCK, only_import
from aiida_litraj.datasets.ingest.run import import_dataset
from aiida_litraj.datasets.ingest.store import container_of
from aiida_litraj.datasets.make import make
from aiida_litraj.groups import DatasetGroup
from aiida_litraj.groups.verify import verify

pytestmark = [pytest.mark.usefixtures('aiida_profile_clean'), pytest.mark.e2e, pytest.mark.timeout(600)]

CASES = {
    'configurations': ('MPLiTrj', {'n': 2000, 'atoms': 8}, 20, 'entry', 6),
    'many in a node': ('MPLiTrj', {'n': 400, 'atoms': 8}, 10, 'trajectory', 2),
    'paths': ('nebDFT2k', {'n': 50}, 2, 'entry', 2),
}
"""Set, how it is made, entries per chunk, granularity, and how often the import is killed."""
BEFORE, AFTERWARDS = (-1, 0), (1, 2, 3, 4)
"""How many chunks an import has told of when it is killed; -1 is in the middle of the checksum."""
SCRIPT = """
import sys
from aiida import load_profile
load_profile(sys.argv[1])
from aiida_litraj.datasets.ingest.run import import_dataset
tell = lambda *what: print(*what, flush=True)
card, size, granularity = sys.argv[3:]
import_dataset(
    sys.argv[2], card, name='killed', workers=1, chunk_size=int(size), granularity=granularity, progress=tell
)
"""


def start(profile: str, source: Path, *options: object) -> subprocess.Popen[str]:
    command = [sys.executable, '-W', 'ignore', '-c', SCRIPT, profile, str(source), *map(str, options)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)


def contents(name: str) -> dict[str, tuple[Any, Any]]:
    """Return repository and hash of each entry's node by its identifier; fails on a repeated one."""
    query = QueryBuilder().append(DatasetGroup, filters={'label': name}, tag='set')
    query.append(Data, with_group='set', project=['label', 'repository_metadata', 'attributes'])
    rows = query.all()
    found = {label: (metadata, {**attributes, 'dataset': ''}) for label, metadata, attributes in rows}
    assert len(found) == len(rows)
    return found


@pytest.mark.parametrize('case', CASES.values(), ids=CASES)
def test_killed_at_random_moments(case: Any, tmp_path: Path, aiida_profile: Any, record_property: Any) -> None:
    card, options, size, granularity, kills = case
    n_entries = options['n']
    source = make(card, tmp_path, **options)
    import_dataset(source, card, name='whole', workers=0, chunk_size=size, granularity=granularity)
    seed = int(os.environ.get('LITRAJ_KILL_SEED', random.SystemRandom().randrange(10**6)))
    record_property('seed', seed)
    print(f'seed {seed}')
    chance = random.Random(seed)
    kills = int(os.environ.get('LITRAJ_IMPORT_KILLS', kills))
    first, second = chance.sample(BEFORE, 2)
    later, *others = chance.sample(AFTERWARDS, 4)
    moments = list(itertools.islice(itertools.cycle([first, later, second, *others]), kills))
    chance.shuffle(moments)
    stored = []
    for left in moments:
        process = start(aiida_profile.name, source, card, size, granularity)
        assert process.stdout is not None
        while line := process.stdout.readline():
            left -= not line.startswith('checksum')  # the first other line comes before the first chunk
            if left < 0:
                break
        time.sleep(chance.uniform(0.0, 0.03))
        assert process.poll() is None, 'the import was over before it could be killed'
        os.killpg(process.pid, signal.SIGKILL)  # its workers too: what a scheduler kills, it kills whole
        process.communicate()
        stored.append(DatasetGroup.of('killed').number_of_entries() if 'killed' in DatasetGroup.names() else 0)
    assert stored == sorted(stored) and 0 < stored[-1] < n_entries
    last = import_dataset(source, card, name='killed', workers=0, chunk_size=size, granularity=granularity)

    assert last.entries == n_entries
    assert contents('killed') == contents('whole')
    # Contents and hashes of all nodes, their creators, and that nothing between the chunks is missing.
    found = verify('killed', [source])
    assert found.ok, found.problems
    assert container_of(get_manager().get_profile_storage()).validate().is_valid()
    unsealed = QueryBuilder().append(CalcFunctionNode, filters={'attributes.sealed': {'!==': True}})
    assert not unsealed.count()


def test_lock_of_a_pack_left_behind_is_removed_and_others_are_not(tmp_path: Path) -> None:
    """A killed import leaves the pack locked for ever; a pack that someone else has locked is left alone."""
    container = container_of(get_manager().get_profile_storage())
    packs = Path(container.get_folder()) / 'packs'
    source = make('BVEL13k', tmp_path, n=3)
    stale = packs / '0.lock'

    with only_import(container):
        mark = (Path(container.get_folder()).parent / LOCK).read_bytes()
    (Path(container.get_folder()).parent / LOCK).write_bytes(mark)  # as a killed import leaves it
    stale.touch()
    import_dataset(source, 'BVEL13k', workers=0)
    assert not stale.exists()

    stale.touch()
    with pytest.raises(RuntimeError, match='is being packed by another program'):
        import_dataset(make('LiPS-25', tmp_path, n=3), 'LiPS-25', workers=0)
    assert QueryBuilder().append(FramesData).count() == 3
    stale.unlink(missing_ok=True)


def test_two_imports_at_once_are_refused(tmp_path: Path) -> None:
    container = container_of(get_manager().get_profile_storage())
    source = make('BVEL13k', tmp_path, n=3)
    with only_import(container), pytest.raises(RuntimeError, match='another import into this profile is under way'):
        import_dataset(source, 'BVEL13k', workers=0)
