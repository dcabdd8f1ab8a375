"""How far jobs are that run: with what was finished before them, and beside each other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from aiida.common.links import LinkType
from aiida.orm import CalcJobNode, Dict, WorkChainNode
from click.testing import CliRunner

from aiida_litraj.cli import main
from aiida_litraj.cli.live import describe
from aiida_litraj.cli.replicas import JOB
from aiida_litraj.cli.under_way import Round, in_chain, longest, together
from aiida_litraj.contract.files import PROGRESS
from aiida_litraj.contract.result import ActiveItem, Progress
from aiida_litraj.workflows.packing import PACKED_EXTRA
from tests.fixtures.nodes import md_parameters, replica

pytestmark = pytest.mark.usefixtures('aiida_profile_clean')
STEPS = 1000


def state(n_items: int, n_finished: int, *steps: int, n_died: int = 0, calls: int = 1000) -> Progress:
    """Replicas of 1000 steps under way, after 100 s."""
    active = [ActiveItem(id=f'r{k}', phase='segment 1 of 1', step=at, max_steps=STEPS) for k, at in enumerate(steps)]
    return Progress(
        task='md', n_items=n_items, n_finished=n_finished, n_converged=n_finished - n_died, n_active=len(steps),
        model_calls=calls, wall_seconds=100.0, updated_at='2026-01-01T00:00:00', active=active,
    )  # fmt: skip


@pytest.fixture
def grid() -> WorkChainNode:
    node = WorkChainNode(process_type='aiida.workflows:litraj.robustness')
    node.set_process_state('waiting')
    return node.store()


@pytest.fixture
def base(grid: WorkChainNode) -> Any:
    """Return a function that makes the restarting chain of a potential below the grid."""

    def make(name: str) -> WorkChainNode:
        node = WorkChainNode(process_type='aiida.workflows:litraj.md.base')
        node.base.links.add_incoming(grid, link_type=LinkType.CALL_WORK, link_label=f'md_{name}')
        return node.store()

    return make


@pytest.fixture
def job(aiida_localhost: Any, tmp_path: Path) -> Any:
    """Return a function that makes a job of a chain: one that ended so, or runs and has come so far."""

    def make(
        caller: WorkChainNode, names: str, ended: dict[str, Any] | None = None, progress: Progress | None = None
    ) -> CalcJobNode:
        node = CalcJobNode(computer=aiida_localhost, process_type=JOB)
        one = replica('fcc', 1, {'duration_fs': 1000.0, 'temperature_k': 300.0})
        given = {'parameters': md_parameters(), **{f'replicas__{name}': one for name in names}}
        for label, value in given.items():
            node.base.links.add_incoming(value.store(), link_type=LinkType.INPUT_CALC, link_label=label)
        node.base.links.add_incoming(caller, link_type=LinkType.CALL_CALC, link_label='iteration')
        node.store()
        if ended is not None:
            results = Dict({'items': ended})
            results.base.links.add_incoming(node, link_type=LinkType.CREATE, link_label='results')
            results.store()
            node.set_process_state('finished')
        else:
            folder = tmp_path / str(node.pk)
            folder.mkdir()
            if progress is not None:
                (folder / PROGRESS).write_text(progress.model_dump_json())
            node.set_remote_workdir(str(folder))
        return node

    return make


ENDED = {
    'a': {'status': 'finished', 'converged': True},
    'b': {'status': 'failed', 'converged': False, 'reason': 'an atom was lost'},
    'c': {'status': 'unfinished', 'converged': False},
    'd': {'status': 'failed', 'converged': False, 'reason': 'the memory was full'},
}


def test_what_earlier_jobs_finished_counts(grid: WorkChainNode, base: Any, job: Any) -> None:
    """Five replicas: one done, one dead before; of those sent again one was given up, and this job has done one."""
    chain = base('morse')
    job(chain, 'abcde', ENDED)
    job(base('other'), 'abc', {'a': {'status': 'finished', 'converged': True}})
    seen = state(3, 1, 250)
    running = job(chain, 'cde', progress=seen)
    whole = in_chain(grid, running, seen)
    assert (whole.n_items, whole.n_finished, whole.n_converged) == (5, 3, 2)
    assert describe(whole).startswith('3 of 5 replicas done, 1 of them died, r0: segment 1 of 1 step 250')
    assert longest([whole]) == longest([seen])
    assert in_chain(running, running, seen) == seen  # of a job that is asked about, nothing else is told
    fraction, text = Round().update(grid, [(running, seen)])
    assert fraction == pytest.approx((3 + 0.25) / 5)
    assert text == describe(whole)


def test_status_counts_as_its_table_does(grid: WorkChainNode, base: Any, job: Any) -> None:
    chain = base('morse')
    job(chain, 'abcde', ENDED)
    job(chain, 'cde', progress=state(3, 0, 250))
    content = json.loads(CliRunner().invoke(main, ['status', str(grid.pk), '--json']).stdout)
    ended = [row for row in content['replicas'] if row['state'] in ('done', 'died')]
    assert (content['progress']['n_items'], content['progress']['n_finished']) == (5, 2)
    assert (len(content['replicas']), len(ended)) == (5, 2)
    assert '2 of 5 replicas done' in CliRunner().invoke(main, ['status', str(grid.pk)]).stdout


def test_parts_of_a_packed_chain_are_one_stage(grid: WorkChainNode, base: Any, job: Any) -> None:
    """Ten replicas: one known before, three in a part that has ended, two and three in parts that run, one waits."""
    packed = WorkChainNode(process_type='aiida.workflows:litraj.md.packed')
    packed.base.links.add_incoming(grid, link_type=LinkType.CALL_WORK, link_label='md_morse')
    packed.store()
    packed.set_process_state('waiting')
    packed.base.extras.set(PACKED_EXTRA, {'total': 10, 'earlier': 1, 'waiting': 1})

    def part(name: str, state: str = 'waiting') -> WorkChainNode:
        node = WorkChainNode(process_type='aiida.workflows:litraj.md.base')
        node.base.links.add_incoming(packed, link_type=LinkType.CALL_WORK, link_label=name)
        node.store()
        node.set_process_state(state)
        return node

    ended = part('part_000', 'finished')
    known = {name: {'status': 'finished', 'converged': True} for name in 'ab'}
    results = Dict({'items': {**known, 'c': {'status': 'failed', 'converged': False}}}).store()
    results.base.links.add_incoming(ended, link_type=LinkType.RETURN, link_label='results')
    job(part('part_001'), 'de', progress=state(2, 1, 500, calls=1500))
    job(part('part_002'), 'fgh', progress=state(3, 0, 250, 500, calls=750))
    content = json.loads(CliRunner().invoke(main, ['status', str(grid.pk), '--json']).stdout)
    assert (content['progress']['n_items'], content['progress']['n_finished']) == (10, 1 + 3 + 1)
    assert content['progress']['n_converged'] == 1 + 2 + 1
    assert content['seconds_left'] is None  # nobody knows of the one that waits
    assert {row['stage'] for row in content['replicas']} == {'md_morse'}
    packed.base.extras.set(PACKED_EXTRA, {'total': 10, 'earlier': 1, 'waiting': 0})
    content = json.loads(CliRunner().invoke(main, ['status', str(packed.pk), '--json']).stdout)
    assert content['seconds_left'] == pytest.approx(2250 / 7.5)
    assert '5 of 10 replicas done, 1 of them died' in CliRunner().invoke(main, ['status', str(packed.pk)]).stdout


def test_each_potential_that_runs_has_its_line(grid: WorkChainNode, base: Any, job: Any) -> None:
    slow, fast = state(4, 1, 500, calls=1500), state(4, 3, 500, n_died=2, calls=3500)
    made = [job(base('slow'), 'abcd', progress=slow), job(base('fast'), 'abcd', progress=fast)]
    said = CliRunner().invoke(main, ['status', str(grid.pk)]).stdout
    assert 'md_slow: 1 of 4 replicas done' in said
    assert 'md_fast: 3 of 4 replicas done, 2 of them died' in said
    content = json.loads(CliRunner().invoke(main, ['status', str(grid.pk), '--json']).stdout)
    assert (content['progress']['n_items'], content['progress']['n_finished']) == (8, 4)
    assert [one['progress']['n_finished'] for one in content['jobs']] == [1, 3]
    # 2,500 steps at 15 a second, 500 at 35 a second
    assert content['seconds_left'] == pytest.approx(2500 / 15)
    assert {row['stage'] for row in content['replicas']} == {'md_slow', 'md_fast'}
    fraction, text = Round().update(grid, list(zip(made, (slow, fast))))
    assert fraction == pytest.approx((1.5 / 4 + 3.5 / 4) / 2)
    assert text.startswith('4 of 8 replicas done, 2 of them died')


def test_bar_keeps_what_has_ended_until_the_next_stage(grid: WorkChainNode, base: Any, job: Any) -> None:
    one, other, later = (job(base(name), 'abcd') for name in ('one', 'other', 'later'))
    bar = Round()
    bar.update(grid, [(one, state(4, 4)), (other, state(4, 1))])
    assert bar.update(grid, [(other, state(4, 2))])[0] == pytest.approx(0.75)
    assert bar.update(grid, [(later, state(4, 1))])[0] == pytest.approx(0.25)


def test_jobs_of_other_tasks_are_not_summed() -> None:
    relaxing = state(1, 0).model_copy(update={'task': 'relax'})
    assert together([relaxing, state(4, 1), state(4, 2)]).n_items == 8


def test_what_has_ended_does_not_hide_what_goes_on() -> None:
    """The parent's evaluation ends long before the training beside it."""
    epoch = ActiveItem(id='seed_0', phase='training', step=3, max_steps=9, loss=0.5)
    training = state(1, 0).model_copy(update={'task': 'train', 'active': [epoch], 'n_active': 1})
    evaluated = state(1, 1).model_copy(update={'task': 'evaluate'})
    assert describe(together([training, evaluated])) == 'epoch 3 of 9, validation loss 0.5'
