"""Folders of restarting chains: taken away when everything is done, kept as long as somebody may go on from them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiida.common.links import LinkType
from aiida.engine import ExitCode, ProcessState
from aiida.orm import Bool, CalcJobNode, Dict, Log
from aiida.schedulers import JobState

from aiida_litraj.calculations.md import MdCalculation
from aiida_litraj.usage import folders as folders_module
from aiida_litraj.usage.folders import Folder, clean, folders_of, sizes_of
from aiida_litraj.workflows.cleaning import finished_folders, folders_of_successful
from aiida_litraj.workflows.earlier import stopped_items
from aiida_litraj.workflows.md import MdBaseWorkChain
from aiida_litraj.workflows.resume import stopped_job
from tests.fixtures.nodes import Job, chain, potential, replica

pytestmark = pytest.mark.usefixtures('aiida_profile_clean')
PATIENCE_S = 60.0


@pytest.fixture
def inputs(md_inputs: Any) -> dict[str, Any]:
    """Of two replicas of one structure."""
    made: dict[str, Any] = md_inputs({'a': replica(seed=1), 'b': replica(seed=2)}, evaluated_by=potential().store())
    return made


@pytest.fixture
def worked(job_node: Any) -> Callable[..., CalcJobNode]:
    """``worked(inputs, status, done, options)`` is a job that has ended so and was submitted.

    Its folder is there and called as AiiDA does; its account says that the items ``done`` have finished.
    """

    def make(inputs: Any, status: int | None = 0, done: str = '', options: dict[str, Any] | None = None) -> CalcJobNode:
        said = {name: {'status': 'finished' if name in done else 'unfinished'} for name in inputs['replicas']}
        outputs = {'results': Dict({'items': said})} if done else {}
        node: CalcJobNode = job_node(inputs, Job(status, outputs=outputs, task='md', options=options))
        node.set_job_id('1')
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
    first = worked(inputs, 400, done='a')
    last = worked(after(inputs, first, 'b'))
    assert jobs_with_folders(finished_folders([first, last])) == {first.pk}


def test_last_of_three_jobs_stays_though_the_one_before_had_the_same_items(inputs: Any, worked: Any) -> None:
    """One replica takes longer than a walltime: the last job has no less than the second, and less than all."""
    first = worked(inputs, 400, done='a')
    second = worked(after(inputs, first, 'b'), 400)
    last = worked(after(inputs, second, 'b'))
    found = stopped_job(MdCalculation, inputs)
    assert found is not None and found[0].pk == last.pk
    assert clean(finished_folders([first, second, last])) == {}
    assert [place_of(job).exists() for job in (first, second, last)] == [False, False, True]
    found = stopped_job(MdCalculation, inputs)
    assert found is not None and found[0].pk == last.pk


def test_job_stays_as_long_as_anybody_may_go_on_with_one_of_its_items(inputs: Any, worked: Any) -> None:
    """A chain of one replica leaves what the job knows of the other, until another has done that too."""
    killed = worked(inputs, None)
    wanted = {'b': {'replicas__b': inputs['replicas']['b'].base.caching.get_hash()}}
    one = worked(after(inputs, killed, 'a'))
    assert clean(finished_folders([one])) == {}
    (found,) = stopped_items(MdCalculation, inputs, wanted)
    assert (found.job.pk, found.items) == (killed.pk, ['b'])
    other = worked(after(inputs, killed, 'b'), 400)
    last = worked(after(inputs, other, 'b'))
    assert jobs_with_folders(finished_folders([other, last])) == {killed.pk, other.pk}


def test_item_that_was_given_up_for_its_time_is_not_at_its_end(inputs: Any, worked: Any) -> None:
    killed = worked(inputs, 400, done='a')
    last = worked(after(inputs, killed, 'b'))
    given_up = {'a': {'status': 'failed', 'label': 'ERROR_ITEM_OUT_OF_TIME'}, 'b': {'status': 'unfinished'}}
    assert jobs_with_folders(finished_folders([last])) == {killed.pk}
    killed.outputs.results.backend_entity.set_attribute('items', given_up)
    assert jobs_with_folders(finished_folders([last])) == set()


def test_job_that_had_all_items_leaves_nothing_also_of_launches_before(inputs: Any, worked: Any) -> None:
    killed = worked(inputs, None)
    last = worked(after(inputs, killed, 'a', 'b'))
    assert jobs_with_folders(finished_folders([last])) == {killed.pk, last.pk}


def test_folder_of_a_chain_that_goes_on_stays(inputs: Any, worked: Any) -> None:
    """It is paused, or between two jobs: its next one would go on from there."""
    killed = worked(inputs, 400)
    owner = chain('litraj.md.base', killed, status=None)
    last = worked(after(inputs, killed, 'a', 'b'))
    here = chain('litraj.robustness', chain('litraj.md.base', last, status=None), status=None)
    assert jobs_with_folders(finished_folders([last])) == {last.pk}  # what is above it itself does not count
    assert not here.is_terminated
    owner.set_process_state(ProcessState.KILLED)
    assert jobs_with_folders(finished_folders([last])) == {killed.pk, last.pk}


def test_job_that_was_lost_and_may_still_run_keeps_its_folder(inputs: Any, worked: Any) -> None:
    lost = worked(inputs, None)
    lost.set_process_state(ProcessState.EXCEPTED)
    lost.set_scheduler_state(JobState.RUNNING)
    last = worked(after(inputs, lost, 'a', 'b'))
    assert jobs_with_folders(finished_folders([last])) == {last.pk}
    lost.set_scheduler_state(JobState.DONE)
    assert jobs_with_folders(finished_folders([last])) == {lost.pk, last.pk}


def test_folder_of_an_earlier_launch_that_was_to_keep_it_stays(inputs: Any, worked: Any) -> None:
    by_option = worked(inputs, 400, options={'keep_folder': True})
    by_input = worked(after(inputs, by_option, 'a', 'b'), 400)
    owner = chain('litraj.md.base', by_input)
    no = Bool(False).store()
    owner.backend_entity.add_incoming(no.backend_entity, LinkType.INPUT_WORK, 'clean_workdir')
    last = worked(after(inputs, by_input, 'a', 'b'), options={'keep_folder': False})
    assert jobs_with_folders(finished_folders([last])) == {last.pk}


class Slow:
    """A transport that blocks, or does not let go, in a way that no loop can interrupt.

    :ivar asked: the folders that it has looked for.
    """

    def __init__(self, blocked: threading.Event, at: str) -> None:
        self.blocked, self.at = blocked, at
        self.asked: list[str] = []

    async def __aenter__(self) -> Slow:
        return self

    async def __aexit__(self, *_: Any) -> None:
        if self.at == 'end':
            self.blocked.wait(PATIENCE_S)

    async def path_exists_async(self, path: str) -> bool:
        if path == '/scratch':
            return True
        self.asked.append(path)
        if self.at == 'folder':
            self.blocked.wait(PATIENCE_S)
        return False


@pytest.mark.parametrize(('at', 'n_left'), [('folder', 2), ('end', 0)])
def test_transport_that_blocks_is_given_up(at: str, n_left: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker of the daemon goes on, and what the transport comes to later is no longer taken away."""
    blocked = threading.Event()
    transport = Slow(blocked, at)
    monkeypatch.setattr(folders_module, 'load_computer', lambda _: SimpleNamespace(get_transport=lambda: transport))
    folders = [Folder(pk, pk, 'abcd', f'/scratch/ab/cd/{pk}', 'far', False) for pk in (1, 2)]
    said = [problem for _, problem in folders_module._taken_away('far', folders, 0.5)]
    assert not blocked.is_set() and any(thread.name == 'litraj-far' for thread in threading.enumerate())
    assert said == (['far: no answer within 0.5 s'] * n_left or [None, None])
    blocked.set()
    for thread in threading.enumerate():
        if thread.name == 'litraj-far':
            thread.join(PATIENCE_S)
    assert transport.asked == [folder.path for folder in folders][: 1 if n_left else 2]


def test_computer_that_does_not_say_how_large_folders_are_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = threading.Event()

    class Dumb(Slow):
        async def exec_command_wait_async(self, _: str) -> Any:
            self.blocked.wait(PATIENCE_S)

    transport = Dumb(blocked, 'command')
    monkeypatch.setattr(folders_module, 'load_computer', lambda _: SimpleNamespace(get_transport=lambda: transport))
    folder = Folder(1, 1, 'abcd', '/1', 'far', False)
    assert sizes_of([folder], seconds=0.5) == ({}, ['far cannot be asked: no answer within 0.5 s'])
    blocked.set()


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


@pytest.mark.parametrize('what', ['cleaning.clean', 'base.finished_folders'])
def test_chain_that_cannot_clean_has_finished_all_the_same(
    what: str, inputs: Any, worked: Any, instantiate: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = instantiate(MdBaseWorkChain, {'md': inputs})
    process.setup()
    job = worked(inputs)
    process.ctx.children = [job]
    process.verdict = lambda: None
    monkeypatch.setattr(f'aiida_litraj.workflows.{what}', lambda *_, **__: 1 / 0)
    process.clean_up()
    said = [log.message for log in Log.collection.get_logs_for(process.node)]
    assert 'folders are left on the computer: division by zero' in said[-1]


def test_chain_begins_anew_where_the_folder_to_go_on_from_is_gone(
    inputs: Any, worked: Any, instantiate: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that was paused while somebody cleaned: a folder that is gone would not be accepted, and except it."""
    process = instantiate(MdBaseWorkChain, {'md': inputs})
    process.setup()
    job = worked(inputs, 400, done='a')
    process.ctx.children = [job]
    process._prepare(job)
    job.outputs.remote_folder.base.extras.set('cleaned', True)
    submitted: list[dict[str, Any]] = []
    monkeypatch.setattr(process, 'submit', lambda _, **given: submitted.append(given) or job)
    process.run_process()
    assert sorted(submitted[0]['replicas']) == ['b'] and 'parent_folder' not in submitted[0]
    said = [log.message for log in Log.collection.get_logs_for(process.node)]
    assert any('has been cleaned meanwhile: beginning anew' in line for line in said)


def test_labels_leave_nothing_and_what_failed_can_be_looked_at(inputs: Any, worked: Any) -> None:
    well, failed, below = worked(inputs), worked(inputs, 303), worked(inputs)
    labels = chain('litraj.label', well, failed, chain('quantumespresso.pw.base', below))
    assert jobs_with_folders(folders_of_successful(labels.pk)) == {well.pk, below.pk}
