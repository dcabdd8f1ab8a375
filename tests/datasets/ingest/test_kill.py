"""An import killed at any moment and started again ends with each entry exactly once."""

from __future__ import annotations

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
from aiida.orm import CalcFunctionNode, QueryBuilder

from aiida_litraj.data import FramesData
from aiida_litraj.datasets.ingest.lock import LOCK, only_import
from aiida_litraj.datasets.ingest.run import import_dataset
from aiida_litraj.datasets.ingest.store import container_of
from aiida_litraj.datasets.make import make
from aiida_litraj.groups import DatasetGroup
from aiida_litraj.groups.verify import verify

pytestmark = [pytest.mark.usefixtures('aiida_profile_clean'), pytest.mark.e2e, pytest.mark.timeout(600)]

ENTRIES = 2000
KILLS = 20
SCRIPT = """
import sys
from aiida import load_profile
load_profile(sys.argv[1])
from aiida_litraj.datasets.ingest.run import import_dataset
tell = lambda *what: print(*what, flush=True)
import_dataset(sys.argv[2], 'MPLiTrj', name='killed', workers=1, chunk_size=20, progress=tell)
"""


def start(profile: str, source: Path) -> subprocess.Popen[str]:
    command = [sys.executable, '-W', 'ignore', '-c', SCRIPT, profile, str(source)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)


def contents(name: str) -> dict[str, tuple[Any, Any]]:
    """Return repository and hash of each entry's node by its identifier; fails on a repeated one."""
    query = QueryBuilder().append(DatasetGroup, filters={'label': name}, tag='set')
    query.append(FramesData, with_group='set', project=['label', 'repository_metadata', 'attributes'])
    rows = query.all()
    found = {label: (metadata, {**attributes, 'dataset': ''}) for label, metadata, attributes in rows}
    assert len(found) == len(rows)
    return found


def test_killed_twenty_times(tmp_path: Path, aiida_profile: Any, record_property: Any) -> None:
    source = make('MPLiTrj', tmp_path, n=ENTRIES, atoms=8)
    import_dataset(source, 'MPLiTrj', name='whole', workers=0)
    seed = int(os.environ.get('LITRAJ_KILL_SEED', random.SystemRandom().randrange(10**6)))
    record_property('seed', seed)
    print(f'seed {seed}')
    chance = random.Random(seed)
    stored = []
    for _ in range(KILLS):
        process = start(aiida_profile.name, source)
        assert process.stdout is not None
        for _ in range(chance.randrange(1, 8)):  # lines of progress, the first few before anything is stored
            assert process.stdout.readline()
        time.sleep(chance.uniform(0.0, 0.03))
        assert process.poll() is None, 'the import was over before it could be killed'
        os.killpg(process.pid, signal.SIGKILL)  # its workers too: what a scheduler kills, it kills whole
        process.communicate()
        stored.append(len(contents('killed')) if 'killed' in DatasetGroup.names() else 0)
    assert stored == sorted(stored) and 0 < stored[-1] < ENTRIES
    last = import_dataset(source, 'MPLiTrj', name='killed', workers=0)

    assert last.entries == ENTRIES
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
