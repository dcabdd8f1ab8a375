"""The replicas of a job that runs: what its working folder says of each, however many there are."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from aiida.common.links import LinkType
from aiida.manage import get_manager
from aiida.orm import AuthInfo, CalcJobNode
from aiida.orm.entities import EntityTypes

from aiida_litraj.cli.replicas import JOB, replicas_of
from aiida_litraj.contract.md import MdItemResult
from aiida_litraj.contract.result import Progress
from aiida_litraj.engine.folder import Folder
from tests.fixtures.nodes import md_parameters, replica

pytestmark = pytest.mark.usefixtures('aiida_profile_clean')
N_REPLICAS, N_ENDED = 260, 240
DURATION_FS = 1000.0
INPUT = LinkType.INPUT_CALC.value


@pytest.fixture
def running(aiida_localhost: Any, tmp_path: Path) -> CalcJobNode:
    """A job of many replicas with a working folder, in a place with a quote in its name."""
    folder = tmp_path / "the owner's jobs"
    folder.mkdir()
    job = CalcJobNode(computer=aiida_localhost, process_type=JOB)
    job.base.links.add_incoming(md_parameters().store(), link_type=LinkType.INPUT_CALC, link_label='parameters')
    job.store()
    one = replica('fcc', 1, {'duration_fs': DURATION_FS, 'temperature_k': 300.0}).store()
    labels = [f'replicas__r{k:03d}' for k in range(N_REPLICAS)]
    # Each alone, AiiDA would compare it with all before it.
    links = [{'input_id': one.pk, 'output_id': job.pk, 'label': label, 'type': INPUT} for label in labels]
    storage = get_manager().get_profile_storage()
    with storage.transaction():
        storage.bulk_insert(EntityTypes.LINK, links)
    job.set_remote_workdir(str(folder))
    return job


def progress(n_died: int) -> Progress:
    return Progress(
        task='md', n_items=N_REPLICAS, n_finished=N_ENDED, n_converged=N_ENDED - n_died, n_active=0, model_calls=300,
        wall_seconds=10.0, updated_at='2026-01-01T00:00:00',
    )  # fmt: skip


def died(k: int) -> bool:
    return k % 7 == 0


def test_each_of_many_replicas_says_how_it_ended(running: CalcJobNode) -> None:
    """The accounts are those that the engine writes; a mark that is half written, and what is no account, is passed."""
    folder = Folder(Path(str(running.get_remote_workdir())))
    for k in range(N_ENDED):
        ended: dict[str, Any] = {'status': 'finished', 'converged': True, 'time_fs': DURATION_FS}
        if died(k):
            reason = f'{{"{k} Ang"}} in one step'
            ended = {'status': 'failed', 'converged': False, 'death': 'atom_lost', 'time_fs': 2.0 * k, 'reason': reason}
        folder.keep(MdItemResult(id=f'r{k:03d}', **ended), {}, 'print', {})
    folder.keep(MdItemResult(id='of_an_earlier_job', status='finished', converged=True), {}, 'print', {})
    (folder.items / '.r250.json.4711').write_text('{"id": "r250", "sta')
    (folder.items / 'r251.frames').write_bytes(b'{}')
    rows = replicas_of(running, {running.pk: progress(sum(map(died, range(N_ENDED))))})
    assert len(rows) == N_REPLICAS
    for k, row in enumerate(rows):
        expected: tuple[Any, ...] = ('waiting', 0.0, None)
        if k < N_ENDED:
            expected = ('died', 0.002 * k, f'{{"{k} Ang"}} in one step') if died(k) else ('done', 1.0, None)
        assert row['replica'] == f'r{k:03d}'
        assert (row['state'], row['reason']) == expected[::2]
        assert row['time_ps'] == pytest.approx(expected[1])


def test_folder_that_cannot_be_asked_leaves_the_rest(running: CalcJobNode, caplog: pytest.LogCaptureFixture) -> None:
    AuthInfo.collection.delete(running.get_authinfo().pk)  # as if nobody were let in
    with caplog.at_level(logging.DEBUG, logger='aiida_litraj'):
        rows = replicas_of(running, {running.pk: progress(0)})
    assert {row['state'] for row in rows} == {'waiting'}
    assert 'cannot be had now' in caplog.text
