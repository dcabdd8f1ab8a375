"""Where each training of a chain is, while it runs and when it has ended."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aiida.common.links import LinkType
from aiida.engine import ProcessState
from aiida.orm import CalcJobNode, Dict, WorkChainNode
from click.testing import CliRunner

from aiida_litraj.cli import main
from aiida_litraj.cli.trainings_state import MOST_ROWS, rows_of, trainings_of, trainings_text
from aiida_litraj.contract.result import ActiveItem, Progress

pytestmark = pytest.mark.usefixtures('aiida_profile_clean')
EPOCHS = 30


def progress(*active: ActiveItem, finished: int = 0) -> Progress:
    """Return what the engine of one training has written last."""
    return Progress(
        task='train', n_items=1, n_finished=finished, n_converged=finished, n_active=len(active), model_calls=7,
        wall_seconds=60.0, updated_at='2026-01-01T00:00:00+00:00', active=list(active),
    )  # fmt: skip


class Chain:
    """A chain that waits for trainings."""

    def __init__(self) -> None:
        self.node = WorkChainNode(process_type='aiida.workflows:litraj.finetune').store()
        self.node.set_process_state(ProcessState.WAITING)

    def training(self, name: str) -> WorkChainNode:
        one = WorkChainNode(process_type='aiida.workflows:litraj.train.base')
        one.base.links.add_incoming(self.node, LinkType.CALL_WORK, f'train_{name}')
        one.base.links.add_incoming(Dict({'epochs': EPOCHS}).store(), LinkType.INPUT_WORK, 'train__parameters')
        one.store().set_process_state(ProcessState.WAITING)
        return one

    def job(self, training: WorkChainNode) -> int:
        job = CalcJobNode(process_type='aiida.calculations:litraj.train')
        job.base.links.add_incoming(training, LinkType.CALL_CALC, 'iteration_01')
        return int(job.store().pk)


def ended(training: WorkChainNode, code: int | None, results: dict[str, Any] | None = None) -> None:
    """Let it have ended: with an exit code, or killed."""
    if results is not None:
        found = Dict(results).store()
        found.base.links.add_incoming(training, LinkType.RETURN, 'results')
    if code is not None:
        training.set_exit_status(code)
    training.set_process_state(ProcessState.KILLED if code is None else ProcessState.FINISHED)


def test_each_moment_of_a_training_is_told() -> None:
    chain = Chain()
    jobs = {name: chain.job(chain.training(name)) for name in ('seed_0', 'seed_1', 'seed_2', 'seed_3')}
    chain.training('seed_4')  # has no job yet
    item = ActiveItem(id='seed_1', phase='training', step=12, max_steps=EPOCHS, loss=1.25, seconds_left=90.0)
    running = {jobs['seed_0']: progress(), jobs['seed_1']: progress(item), jobs['seed_2']: progress(finished=1)}
    rows = {row['training']: row for row in trainings_of(chain.node, running)}
    assert [(name, row['state'], row['epoch'], row['epochs']) for name, row in rows.items()] == [
        ('seed_0', 'starting', 0, EPOCHS),
        ('seed_1', 'training', 12, EPOCHS),
        ('seed_2', 'ending', None, EPOCHS),
        ('seed_3', 'waiting', 0, EPOCHS),
        ('seed_4', 'waiting', 0, EPOCHS),
    ]
    assert (rows['seed_1']['valid_loss'], rows['seed_1']['seconds_left']) == (1.25, 90.0)
    assert ('seed_1', 'training', 12, EPOCHS, '1.25', 'about 90 s left') in rows_of(list(rows.values()))


def test_how_trainings_ended_is_told_with_the_reason() -> None:
    chain = Chain()
    done, failed, killed = (chain.training(f'seed_{seed}') for seed in range(3))
    ended(done, 0, {'items': {'a': {'n_epochs': 21, 'best_epoch': 11, 'reason': None}}})
    ended(failed, 501, {'items': {'a': {'n_epochs': 2, 'best_epoch': 1, 'reason': 'the training diverged'}}})
    ended(killed, None)
    rows = trainings_of(chain.node, {})
    assert [(row['state'], row['epoch'], row['reason']) for row in rows] == [
        ('done', 21, None),
        ('failed', 2, 'the training diverged'),
        ('killed', None, None),
    ]
    assert trainings_text(rows) == '1 of 3 trainings done, 1 failed, 1 killed'
    assert trainings_text([]) is None
    said = CliRunner().invoke(main, ['status', str(chain.node.pk), '--json'])
    assert json.loads(said.output)['trainings'] == rows


def test_of_very_many_trainings_those_that_went_well_are_left_out_first() -> None:
    chain = Chain()
    trainings = [chain.training(f'seed_{seed}') for seed in range(MOST_ROWS + 5)]
    for one in trainings[:20]:
        ended(one, 0)
    ended(trainings[-1], 501)
    rows = rows_of(trainings_of(chain.node, {}))
    assert len(rows) == MOST_ROWS + 1
    assert rows[-1][1] == 'and 5 more'
    assert [row[1] for row in rows].count('done') == 15
    assert rows[-2][:2] == (f'seed_{MOST_ROWS + 4}', 'failed')
