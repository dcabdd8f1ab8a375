"""Every configuration on the way to a path: all that was evaluated, in order, and no other number changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aiida_litraj.contract import files
from aiida_litraj.contract.neb import CONFIGURATIONS, STAGES

LOOSE = {
    'ends': {'fmax_ev_per_ang': 0.05},
    'band': {'optimizer': 'fire', 'fmax_ev_per_ang': 0.05},
    'acceptance': {'fmax_ev_per_ang': 0.1},
}


@pytest.fixture
def hop(vacancy_hop: Any) -> Any:
    return vacancy_hop(n_images=5)


def keeping(folder: Path) -> Path:
    """The same job, with its configurations kept."""
    job = json.loads((folder / files.JOB).read_text())
    (folder / files.JOB).write_text(json.dumps(job | {'keep_configurations': True}))
    return folder


def recorded(arrays: dict[str, Any], name: str) -> dict[str, Any]:
    start = f'{name}/{CONFIGURATIONS}/'
    return {key.removeprefix(start): value for key, value in arrays.items() if key.startswith(start)}


def test_all_that_was_evaluated_and_nothing_else_changed(hop: Any, job_folder: Any, rerun: Any) -> None:
    plain = rerun(job_folder({'hop': hop}, LOOSE))
    ran = rerun(keeping(job_folder({'hop': hop}, LOOSE)))
    for key, value in plain.arrays.items():
        np.testing.assert_array_equal(ran.arrays[key], value)
    item, found = ran.result.items[0], recorded(ran.arrays, 'hop')
    assert len(found['energies']) == ran.result.audit.model_calls == item.band_calls + item.endpoint_calls
    stages = np.array(STAGES)[found['stages']]
    n_inner = len(hop.positions) - 2
    assert [int((stages == stage).sum()) for stage in ('source', 'target', 'band')] == [
        item.source_steps + 1, item.target_steps + 1, (item.n_steps + 1) * n_inner,
    ]  # fmt: skip
    last = (stages == 'band') & (found['steps'] == item.n_steps)
    assert found['images'][last].tolist() == list(range(1, n_inner + 1))
    for key in ('positions', 'energies', 'forces'):
        np.testing.assert_array_equal(found[key][last], ran.arrays[f'hop/{key}'][1:-1])
    source = np.flatnonzero(stages == 'source')
    np.testing.assert_array_equal(found['positions'][source[0]], hop.positions[0])
    np.testing.assert_array_equal(found['positions'][source[-1]], ran.arrays['hop/positions'][0])
    assert set(found['images'][stages == 'target']) == {n_inner + 1}


def test_a_killed_run_has_the_record_of_an_unbroken_one(hop: Any, job_folder: Any, rerun: Any, run_engine: Any) -> None:
    unbroken = rerun(keeping(job_folder({'hop': hop}, LOOSE)))
    folder = keeping(job_folder({'hop': hop}, LOOSE))
    process = run_engine(folder)
    while process.poll() is None and not (folder / files.CHECKPOINT / 'hop.journal').exists():
        pass
    process.kill()
    process.wait()
    ran = rerun(folder)
    assert ran.result.audit.resumed_calls > 0
    expected = recorded(unbroken.arrays, 'hop')
    assert expected
    for key, value in recorded(ran.arrays, 'hop').items():
        np.testing.assert_array_equal(value, expected[key])


def test_an_end_that_paths_share_is_with_the_first(fan: Any, job_folder: Any, rerun: Any) -> None:
    ran = rerun(keeping(job_folder(fan, LOOSE)))
    total = sum(len(recorded(ran.arrays, name)['energies']) for name in fan)
    assert total == ran.result.audit.model_calls
    shared = [item for item in ran.result.items if item.source_shared_with]
    assert shared
    for item in shared:
        assert STAGES.index('source') not in recorded(ran.arrays, item.id)['stages']


def test_a_path_that_failed_keeps_what_it_had(hop: Any, job_folder: Any, rerun: Any) -> None:
    changes = LOOSE | {'hop_tolerance_ang': 1e-9}
    ran = rerun(keeping(job_folder({'hop': hop}, changes)))
    item = ran.result.items[0]
    assert (item.status, item.label) == ('failed', 'ERROR_ENDPOINT_MOVED')
    found = recorded(ran.arrays, 'hop')
    assert len(found['energies']) == item.endpoint_calls > 0
    assert not [key for key in ran.arrays if CONFIGURATIONS not in key]
