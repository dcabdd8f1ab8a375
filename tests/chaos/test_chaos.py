"""Short campaigns: what must hold of chains that are disturbed holds. The seed is printed; ``LITRAJ_SEED`` sets it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.fault import ALL
from tests.chaos.faults import FAULTS
from tests.testbed import cluster

ROOT = Path(__file__).resolve().parents[2]
SEED = int(os.environ.get('LITRAJ_SEED', str(time.time_ns() % 1_000_000)))
PATIENCE_S = 1500
pytestmark = [pytest.mark.slurm, pytest.mark.chaos, pytest.mark.timeout(PATIENCE_S + 60)]


@pytest.fixture
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder near the root: a socket below it may not have a long name."""
    try:
        cluster.check_machine()
    except cluster.TestbedError as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp('chaos')
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def campaign(place: Path, *arguments: str) -> dict[str, Any]:
    """Return the result of a campaign in a process of its own, whose profile is not that of the tests."""
    command = [sys.executable, '-m', 'tests.chaos', '--json', '--folder', str(place / 'c'), '--seed', str(SEED)]
    print(f'LITRAJ_SEED={SEED}')
    done = subprocess.run(
        [*command, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
        env=os.environ | {'PYTHONPATH': str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, f'seed {SEED}: {done.stderr[-8000:]}'
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def kinds() -> list[str]:
    """Return the kinds of chain that this machine can run: labels want GPAW."""
    return [kind for kind in ALL if kind != 'label' or shutil.which('gpaw')]


def test_chains_of_all_kinds_survive_what_happens(place: Path) -> None:
    """Of everything there is, at random: no chain hangs, no number differs, nothing finished is done twice."""
    found = campaign(place, '--faults', '8', '--kinds', ','.join(kinds()), '--in-flight', '4')
    assert found['injected'] >= 8
    assert {row['kind'] for row in found['rows']} == set(kinds())
    assert found['violations'] == {}


@pytest.mark.slow
def test_damaged_files_full_disk_and_broken_environment(place: Path) -> None:
    """A result and a checkpoint that lost their end, no room in the work folder, and an interpreter that is gone."""
    asked = ['result', 'checkpoint', 'work-disk', 'environment']
    found = campaign(place, '--faults', '8', '--kinds', 'neb,train', '--faults-of', ','.join(asked), '--in-flight', '2')
    assert set(found['by_fault']) == {FAULTS[name].name for name in asked}
    assert min(found['by_fault'].values()) >= 1
    assert found['violations'] == {}
    # whatever was finished before is not done again: the most that any chain has done in vain
    whole = found['undisturbed']
    for row in found['rows']:
        assert row['more'][1] <= whole[row['kind']], row
    codes = {code for launches in found['codes'].values() for code in launches}
    assert codes <= {code for name in asked for code in FAULTS[name].codes}
