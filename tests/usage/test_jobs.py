"""Costs from the graph: which jobs count under which chain, and what is known of them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from aiida.common.links import LinkType
from aiida.engine import ProcessState
from aiida.orm import Bool, CalcJobNode, Dict
from aiida.schedulers import JobInfo, JobState

from aiida_litraj.calculations.validation import PROBE_EXTRA
from aiida_litraj.contract import files
from aiida_litraj.usage.cleaning import ASKED, IN_USE, MAY_RUN, NOT_WELL, TOO_YOUNG, UNDER_WAY, plan
from aiida_litraj.usage.jobs import find_jobs
from aiida_litraj.usage.reasons import items_of
from aiida_litraj.usage.storage import storage_of
from aiida_litraj.usage.sums import add_up
from tests.fixtures.nodes import Job, chain, potential, replica

pytestmark = pytest.mark.usefixtures('aiida_profile_clean')
SACCT = (Path(__file__).parent / 'sacct' / 'two_gpus_7_s.txt').read_text()


@pytest.fixture
def inputs(md_inputs: Any) -> dict[str, Any]:
    made: dict[str, Any] = md_inputs({'a': replica(seed=1), 'b': replica(seed=2)}, evaluated_by=potential().store())
    return made


def account(calls: int = 100, resumed: int = 0, **items: str) -> Dict:
    """Return what the engine says of a job that took 5 s on a GPU."""
    audit = {'model_calls': calls, 'resumed_calls': resumed, 'wall_seconds': 5.0, 'cpu_seconds': 4.0, 'device': 'cuda'}
    return Dict({'audit': audit, 'items': {name: {'status': status} for name, status in items.items()}})


@pytest.fixture
def ran(job_node: Any) -> Callable[..., CalcJobNode]:
    """``ran(inputs, status, results, options)`` is a job that was submitted and has ended."""

    def make(inputs: Any, status: int = 0, results: Dict | None = None, options: Any = None) -> CalcJobNode:
        outputs = {} if results is None else {'results': results}
        node: CalcJobNode = job_node(inputs, Job(status, outputs=outputs, task='md', options=options))
        node.set_job_id('7')
        return node

    return make


def after(inputs: Any, job: CalcJobNode, *left: str) -> dict[str, Any]:
    replicas = {name: inputs['replicas'][name] for name in left}
    return {**inputs, 'replicas': replicas, 'parent_folder': job.outputs.remote_folder}


def test_what_is_known_of_a_job(inputs: Any, ran: Any) -> None:
    job = ran(inputs, 400, account(a='finished', b='unfinished'))
    job.set_detailed_job_info({'retval': 0, 'stderr': '', 'stdout': SACCT})
    look = JobInfo()
    look.wallclock_time_seconds = 6
    job.set_last_job_info(look)
    (known,) = find_jobs().jobs
    assert (known.pk, known.kind, known.computer, known.code) == (job.pk, 'litraj.md', 'localhost', 'launcher')
    assert known.potential == 'morse'
    assert known.accounted is not None
    assert (known.accounted.elapsed_s, known.accounted.gpus) == (7.0, 2)
    assert (known.last_look or {})['wallclock_time_seconds'] == 6
    assert (known.audit or {})['model_calls'] == 100
    assert {name: item['status'] for name, item in (known.items or {}).items()} == {'a': 'finished', 'b': 'unfinished'}
    assert known.resources == {'num_machines': 1, 'num_mpiprocs_per_machine': 1}


def test_what_a_job_without_an_account_was_launched_with(inputs: Any, ran: Any) -> None:
    """Its device is no attribute of the job, and what its environment saw stands at the code."""
    job = ran(inputs, 400, options={'device': 'cpu'})
    job.inputs.code.base.extras.set(PROBE_EXTRA, {'devices': ['cpu']})
    (known,) = find_jobs().jobs
    assert (known.device, known.without_gpu, known.code) == ('cpu', True, 'launcher')
    job.inputs.code.base.extras.set(PROBE_EXTRA, {'devices': ['cpu', 'cuda:0']})
    assert not find_jobs().jobs[0].without_gpu


def test_nested_chains_share_their_jobs(inputs: Any, ran: Any) -> None:
    """Two restarting chains in one, one of them with two jobs, and a job alone."""
    first = ran(inputs, 400, account(60, a='unfinished', b='unfinished'))
    second = ran(after(inputs, first, 'a', 'b'), 0, account(100, 60))
    inner = chain('litraj.md.base', first, second)
    other = chain('litraj.md.base', ran(inputs, 0, account(30)))
    top = chain('litraj.conductivity', inner, other)
    alone = ran(inputs, 0, account(7))
    sums, total = add_up(find_jobs().jobs, lambda job: (job.callers or (job.pk,))[-1:])
    assert {pk: (each.jobs, each.model_calls) for pk, each in sums.items()} == {top.pk: (3, 130), alone.pk: (1, 7)}
    assert (total.jobs, total.model_calls, total.lost_model_calls) == (4, 137, 0)
    assert total.gpu_hours == pytest.approx(4 * 5.0 / 3600.0)
    within = find_jobs([top.pk, inner.pk])
    assert sorted(job.pk for job in within.jobs) == sorted(job.pk for job in (*inner.called, *other.called))
    assert [job.pk for job in find_jobs([second.pk]).lineage] == [first.pk]


def test_loss_is_known_from_a_later_launch(inputs: Any, ran: Any) -> None:
    killed = ran(inputs, 400, account(60, a='unfinished', b='unfinished'))
    before = chain('litraj.md.base', killed, status=400)
    chain('litraj.md.base', ran(after(inputs, killed, 'a', 'b'), 0, account(100, 50)))
    found = find_jobs([before.pk])
    _, total = add_up(found.jobs, lambda _: [], found.lineage)
    assert (total.jobs, total.model_calls, total.lost_model_calls) == (1, 60, 10)


def test_jobs_of_others_count_under_chains_of_this_plugin(inputs: Any, ran: Any, computer: Any) -> None:
    def other() -> CalcJobNode:
        node = CalcJobNode(computer=computer, process_type='aiida.calculations:ase.ase').store()
        node.set_process_state(ProcessState.FINISHED)
        node.set_exit_status(0)
        return node

    label = other()
    chain('litraj.label', label)
    chain('ase.something', other())
    assert [job.pk for job in find_jobs().jobs] == [label.pk]


def test_since(inputs: Any, ran: Any) -> None:
    ran(inputs)
    now = datetime.now(timezone.utc)
    assert len(find_jobs(since=now - timedelta(hours=1)).jobs) == 1
    assert find_jobs(since=now + timedelta(hours=1)).jobs == []


def test_storage_counts_equal_files_of_a_chain_once(inputs: Any, ran: Any, job_node: Any, tmp_path: Path) -> None:
    """Two jobs with the same file of 5,000 bytes, and one with another beside; what they were given is not theirs."""
    content = {files.RESULT: bytes(range(250)) * 20, files.STDOUT: bytes(100)}
    for name in ('one', 'two'):
        (tmp_path / name).mkdir()
    (tmp_path / 'one' / files.RESULT).write_bytes(content[files.RESULT])
    for name, data in content.items():
        (tmp_path / 'two' / name).write_bytes(data)
    jobs = [job_node(inputs, Job(0, retrieved=tmp_path / name, outputs={}, task='md')) for name in ('one', 'two')]
    chains = [chain('litraj.md.base', job) for job in jobs]
    top = chain('litraj.conductivity', *chains)
    each, together = storage_of([*(one.pk for one in chains), top.pk])
    # of a job: itself, retrieved and remote_folder
    assert (each[chains[0].pk].nodes, each[chains[0].pk].files, each[chains[0].pk].bytes) == (4, 1, 5000)
    assert (each[top.pk].nodes, each[top.pk].files, each[top.pk].objects, each[top.pk].bytes) == (9, 3, 2, 5100)
    assert together == each[top.pk]


def kept_and_going(**asked: Any) -> tuple[dict[str, int], list[int]]:
    made = plan(**asked)
    return made.kept, [folder.job for folder in made.folders]


def test_only_what_has_finished_well_goes(inputs: Any, ran: Any) -> None:
    well = chain('litraj.md.base', ran(inputs, 400), ran(inputs, 501), status=501)
    ill = chain('litraj.md.base', ran(inputs, 400), status=400)
    chain('litraj.md.base', ran(inputs), status=None)
    alone, died, lost = ran(inputs), ran(inputs, 510), ran(inputs, 303)
    expected = [*(job.pk for job in well.called), alone.pk, died.pk]
    kept, going = kept_and_going()
    assert (kept, sorted(going)) == ({NOT_WELL: 2, UNDER_WAY: 1}, sorted(expected))
    assert plan().resumable == []
    kept, going = kept_and_going(failed=True)
    assert kept == {UNDER_WAY: 1}
    assert sorted(going) == sorted([*expected, lost.pk, ill.called[0].pk])
    assert sorted(plan(failed=True).resumable) == sorted([lost.pk, ill.called[0].pk])


def test_chain_within_one_that_goes_on_is_under_way(inputs: Any, ran: Any) -> None:
    inner = chain('litraj.md.base', ran(inputs))
    top = chain('litraj.conductivity', inner, status=None)
    assert kept_and_going() == ({UNDER_WAY: 1}, [])
    assert kept_and_going(pks=[inner.pk]) == ({UNDER_WAY: 1}, [])
    top.set_process_state(ProcessState.FINISHED)
    assert kept_and_going() == ({}, [inner.called[0].pk])


def test_cut_off_job_that_another_launch_has_finished_goes(inputs: Any, ran: Any) -> None:
    killed = ran(inputs, 400)
    chain('litraj.md.base', killed, status=400)
    later = ran(after(inputs, killed, 'a', 'b'))
    last = chain('litraj.md.base', later, status=None)
    later.set_process_state(ProcessState.WAITING)
    assert kept_and_going() == ({NOT_WELL: 1, UNDER_WAY: 1}, [])
    assert kept_and_going(failed=True) == ({IN_USE: 1, UNDER_WAY: 1}, [])
    for node in (later, last):
        node.set_process_state(ProcessState.FINISHED)
        node.set_exit_status(0)
    assert kept_and_going() == ({}, [killed.pk, later.pk])


def test_cut_off_job_of_which_one_item_is_left_stays(inputs: Any, ran: Any) -> None:
    """A chain of one replica went on from it, and another launch may go on with the other."""
    killed = ran(inputs, 400)
    chain('litraj.md.base', killed, status=400)
    one = ran(after(inputs, killed, 'a'))
    chain('litraj.md.base', one)
    assert kept_and_going() == ({NOT_WELL: 1}, [one.pk])
    assert plan(failed=True).resumable == [killed.pk]
    part = ran(after(inputs, killed, 'b'), 400, account(b='unfinished'))
    chain('litraj.md.base', part, status=400)
    assert kept_and_going() == ({NOT_WELL: 2}, [one.pk])
    rest = ran(after(inputs, part, 'b'))
    chain('litraj.md.base', rest)
    assert kept_and_going() == ({}, [killed.pk, one.pk, part.pk, rest.pk])


def test_item_that_a_job_has_ended_before_it_was_cut_off_is_not_left(inputs: Any, ran: Any) -> None:
    killed = ran(inputs, 400, account(a='finished', b='unfinished'))
    chain('litraj.md.base', killed, status=400)
    rest = ran(after(inputs, killed, 'b'))
    chain('litraj.md.base', rest)
    assert kept_and_going() == ({}, [killed.pk, rest.pk])


def test_structures_that_dynamics_start_from_are_no_items(inputs: Any, ran: Any) -> None:
    job = ran(inputs)
    assert items_of([job.pk]) == {job.pk: {'a', 'b'}}


@pytest.mark.parametrize('how', ['option', 'clean_workdir', 'keep_folders'])
def test_what_was_to_be_kept_stays_unless_asked_for(how: str, inputs: Any, ran: Any) -> None:
    kept = ran(inputs, options={'keep_folder': True} if how == 'option' else None)
    owner = chain('litraj.label' if how == 'keep_folders' else 'litraj.md.base', kept)
    if how != 'option':
        value = Bool(False) if how == 'clean_workdir' else Dict({'keep_folders': True})
        label = 'clean_workdir' if how == 'clean_workdir' else 'jobs'
        owner.backend_entity.add_incoming(value.store().backend_entity, LinkType.INPUT_WORK, label)
    other = ran(inputs, options={'keep_folder': False})
    chain('litraj.md.base', other)
    assert kept_and_going() == ({ASKED: 1}, [other.pk])
    assert kept_and_going(failed=True) == ({ASKED: 1}, [other.pk])
    assert kept_and_going(asked=True) == ({}, [kept.pk, other.pk])


def test_what_broke_in_aiida_and_may_still_run_stays(inputs: Any, ran: Any) -> None:
    lost = ran(inputs)
    lost.set_process_state(ProcessState.EXCEPTED)
    lost.set_scheduler_state(JobState.RUNNING)
    last = ran(after(inputs, lost, 'a', 'b'))
    assert kept_and_going() == ({MAY_RUN: 1}, [last.pk])
    assert kept_and_going(failed=True) == ({}, [lost.pk, last.pk])
    lost.set_scheduler_state(JobState.DONE)
    assert kept_and_going() == ({}, [lost.pk, last.pk])


def test_chain_that_the_cache_does_not_know_is_told_and_no_other(inputs: Any, ran: Any) -> None:
    """The cache does not look at the folder that a job went on from: one that had all the items is found there."""
    first = ran(inputs, 400)
    two = chain('litraj.md.base', first, ran(after(inputs, first, 'b')))
    chain('litraj.md.base', ran(inputs))
    cut_off = ran(inputs, 400)
    chain('litraj.md.base', cut_off, ran(after(inputs, cut_off, 'a', 'b')))
    assert plan().several == [two.pk]


def test_chain_of_several_jobs_that_can_be_gone_on_from_is_told_once(inputs: Any, ran: Any) -> None:
    """It did not come to an end, and there is another line for that."""
    first = ran(inputs, 400)
    second = ran(after(inputs, first, 'b'), 400)
    chain('litraj.md.base', first, second, status=400)
    going = plan(failed=True)
    assert (going.several, going.resumable) == ([], [first.pk, second.pk])


def test_age_is_that_of_the_end(inputs: Any, ran: Any) -> None:
    chain('litraj.md.base', ran(inputs))
    now = datetime.now(timezone.utc)
    assert kept_and_going(before=now - timedelta(days=1)) == ({TOO_YOUNG: 1}, [])
    assert len(plan(before=now + timedelta(hours=1)).folders) == 1
