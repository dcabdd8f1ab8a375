"""Folders of restarting chains: taken away when everything is done, kept as long as somebody may go on from them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiida.engine import ExitCode, ProcessState
from aiida.orm import Bool, CalcJobNode, Log

from aiida_litraj.usage.folders import clean, folders_of, sizes_of
from aiida_litraj.workflows.cleaning import finished_folders, folders_of_successful
from aiida_litraj.workflows.md import MdBaseWorkChain
from tests.fixtures.nodes import Job, chain, potential, replica

pytestmark = pytest.mark.usefixtures('aiida_profile_clean')


@pytest.fixture
def inputs(md_inputs: Any) -> dict[str, Any]:
    """Of two replicas of one structure."""
    made: dict[str, Any] = md_inputs({'a': replica(seed=1), 'b': replica(seed=2)}, evaluated_by=potential().store())
    return made


@pytest.fixture
def worked(job_node: Any) -> Callable[..., CalcJobNode]:
    """``worked(inputs, status)`` is a job that has ended so, with a folder that is there and called as AiiDA does."""

    def make(inputs: Any, status: int | None = 0) -> CalcJobNode:
        node: CalcJobNode = job_node(inputs, Job(status, outputs={}, task='md'))
        node.set_process_state(ProcessState.KILLED if status is None else ProcessState.FINISHED)
        (place_of(node) / 'checkpoint').mkdir(parents=True)
        (place_of(node) / 'checkpoint' / 'state').write_bytes(bytes(10_000))
        return node

    return make


def place_of(job: CalcJobNode) -> Path:
    return Path(job.outputs.remote_folder.get_remote_path())


def after(inputs: Any, job: CalcJobNode, *left: str) -> dict[str, Any]:
    """Return the inputs of the job that goes on with what another has left."""
    replicas = {name: inputs['replicas'][name] for name in left}
    return {**inputs, 'replicas': replicas, 'parent_folder': job.outputs.remote_folder}


def test_folder_goes_and_is_noted(inputs: Any, worked: Any) -> None:
    job = worked(inputs)
    (folder,) = folders_of([job.pk])
    assert sizes_of([folder])[0][folder.pk] >= 10_000
    assert clean([folder]) == {}
    assert not place_of(job).exists() and place_of(job).parent.exists()
    assert job.outputs.remote_folder.is_cleaned
    assert folders_of([job.pk])[0].cleaned


def test_folder_that_is_gone_already_is_noted(inputs: Any, worked: Any) -> None:
    job = worked(inputs)
    place_of(job).rename(place_of(job).parent / 'elsewhere')
    assert clean(folders_of([job.pk])) == {}
    assert job.outputs.remote_folder.is_cleaned


def test_folder_of_another_name_is_never_taken_away(inputs: Any, worked: Any, tmp_path: Path) -> None:
    job = worked(inputs)
    folders = [replace(folder, path=str(tmp_path)) for folder in folders_of([job.pk])]
    assert clean(folders) == {folders[0].pk: f'{tmp_path} is not named after its job'}
    assert tmp_path.exists() and not job.outputs.remote_folder.is_cleaned


def test_folder_that_a_job_goes_on_from_is_left_until_that_has_ended(inputs: Any, worked: Any) -> None:
    first = worked(inputs, 400)
    second = worked(after(inputs, first, 'b'))
    second.set_process_state(ProcessState.WAITING)
    folders = folders_of([first.pk])
    assert clean(folders) == {folders[0].pk: 'a job goes on from it that has not ended'}
    assert place_of(first).exists()
    second.set_process_state(ProcessState.FINISHED)
    assert clean(folders) == {}
    assert not place_of(first).exists()


def test_job_from_the_cache_has_no_folder_of_its_own(inputs: Any, worked: Any) -> None:
    job = worked(inputs)
    job.base.extras.set('_aiida_cached_from', 'the uuid of another')
    assert folders_of([job.pk]) == []


def test_computer_that_cannot_be_reached_is_a_problem_of_each_folder(
    inputs: Any, worked: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from aiida.transports.plugins.local import LocalTransport

    def broken(_: Any) -> None:
        raise OSError('no route to host')

    monkeypatch.setattr(LocalTransport, 'open', broken)
    jobs = [worked(inputs), worked(inputs)]
    folders = folders_of(job.pk for job in jobs)
    assert set(clean(folders).values()) == {'localhost: no route to host'}
    assert sizes_of(folders) == ({}, ['localhost cannot be asked: no route to host'])
    assert all(place_of(job).exists() and not job.outputs.remote_folder.is_cleaned for job in jobs)


def jobs_with_folders(chosen: Any) -> set[int]:
    return {folder.job for folder in chosen}


def test_job_that_had_some_of_the_items_keeps_its_folder(inputs: Any, worked: Any) -> None:
    """An equal launch asks for both replicas, which is no job that the cache knows, and goes on from the last."""
    first = worked(inputs, 400)
    last = worked(after(inputs, first, 'b'))
    assert jobs_with_folders(finished_folders([first, last], 'md')) == {first.pk}


def test_job_that_had_all_items_leaves_nothing_also_of_launches_before(inputs: Any, worked: Any) -> None:
    killed = worked(inputs, None)
    last = worked(after(inputs, killed, 'a', 'b'))
    assert jobs_with_folders(finished_folders([last], 'md')) == {killed.pk, last.pk}


@pytest.mark.parametrize(
    ('asked', 'options', 'status', 'there'),
    [
        (True, {}, 0, False), (True, {}, 510, False), (True, {}, 312, True), (True, {}, 410, True),
        (False, {}, 0, True),        (True, {'keep_folder': True}, 0, True),
    ],
)  # fmt: skip
def test_step_of_the_chain(
    inputs: Any, worked: Any, instantiate: Any, asked: bool, options: dict[str, Any], status: int, there: bool
) -> None:
    inputs['metadata']['options'] |= options
    process = instantiate(MdBaseWorkChain, {'md': inputs, 'clean_workdir': Bool(asked)})
    process.setup()
    job = worked(inputs)
    process.ctx.children = [job]
    process.verdict = lambda: ExitCode(status) if status else None
    process.clean_up()
    assert place_of(job).exists() == there
    said = [log.message for log in Log.collection.get_logs_for(process.node)]
    assert [line.endswith(f'cleaned the folder of job {job.pk}') for line in said] == ([] if there else [True])


def test_chain_that_cannot_clean_has_finished_all_the_same(
    inputs: Any, worked: Any, instantiate: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = instantiate(MdBaseWorkChain, {'md': inputs})
    process.setup()
    job = worked(inputs)
    process.ctx.children = [job]
    process.verdict = lambda: None
    monkeypatch.setattr('aiida_litraj.workflows.cleaning.clean', lambda *_, **__: 1 / 0)
    process.clean_up()
    said = [log.message for log in Log.collection.get_logs_for(process.node)]
    assert 'folders are left on the computer: division by zero' in said[-1]


def test_labels_leave_nothing_and_what_failed_can_be_looked_at(inputs: Any, worked: Any) -> None:
    well, failed, below = worked(inputs), worked(inputs, 303), worked(inputs)
    labels = chain('litraj.label', well, failed, chain('quantumespresso.pw.base', below))
    assert jobs_with_folders(folders_of_successful(labels.pk)) == {well.pk, below.pk}
