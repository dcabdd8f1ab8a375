"""Batches of any size: a bounded context, jobs that hang, workers that are killed."""

from __future__ import annotations

from typing import Any

import pytest
from aiida.engine import run_get_node
from aiida.orm import CalcFunctionNode

from aiida_litraj.groups.dataset import DatasetGroup
from aiida_litraj.workflows import label_blocks
from aiida_litraj.workflows.label import LabelWorkChain
from tests.fixtures.label_backend import SpringsWorkChain, springs
from tests.fixtures.labelling import Resumed, children, configuration, frames_of


def test_killed_worker_neither_loses_nor_doubles_a_label(inputs: Any) -> None:
    frames = frames_of(*[configuration(n) for n in (2, 3, 4)])
    resumed = Resumed(inputs(frames, dataset='of a killed worker'))
    resumed.twice('advance')
    node = resumed.chain.node
    assert [child.process_label for child in children(node)] == [SpringsWorkChain.__name__] * 2
    for child in children(node):
        resumed.end(child, springs(child.inputs.structure))
    resumed.twice('advance')
    assert len(children(node)) == 3
    resumed.end(children(node)[2], springs(children(node)[2].inputs.structure))
    resumed.twice('advance')
    assert not resumed.step('is_under_way')
    assert resumed.step('finish') is None
    called = [child.process_label for child in node.called if isinstance(child, CalcFunctionNode)]
    assert (called.count('extract_configuration'), called.count('collect_label')) == (3, 3)
    assert DatasetGroup.of('of a killed worker').count() == 3
    assert resumed.chain.outputs['frames'].n_frames == 3


@pytest.fixture
def blocks_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_blocks, 'BLOCK', 2)


def run_on(resumed: Resumed, but: Any = ()) -> Any:
    """Let all children that run have ended well, except some, and the chain take its step; return what it waits for."""
    for child in children(resumed.chain.node):
        if not child.is_terminated and child.pk not in but:
            resumed.end(child, springs(child.inputs.structure))
    return resumed.step('advance')


def test_hung_job_holds_up_no_other_and_what_is_done_is_forgotten(inputs: Any, blocks_of_two: None) -> None:
    """Seven configurations, two at a time; the first hangs until all others have ended."""
    frames = frames_of(*[configuration(n) for n in range(2, 9)], entry_ids=list('abcdefg'))
    resumed = Resumed(inputs(frames, dataset='of a large batch'))
    waits_for = resumed.step('advance')
    node, context = resumed.chain.node, resumed.chain.ctx
    hung = children(node)[0].pk
    for done in range(1, 7):
        assert {child.pk for child in waits_for.values()} == {pk for _, pk in context.running}
        assert len(waits_for) == 2 and hung in {child.pk for child in waits_for.values()}
        waits_for = run_on(resumed, but=[hung])
        # Its own block and the one that is worked on; those between are put together, and no more in the checkpoint.
        assert len(context.blocks) <= 2 and '0' in context.blocks
        said = node.base.extras.get(label_blocks.PROGRESS_EXTRA)
        assert said == {'total': 7, 'labelled': done, 'failed': 0, 'in_flight': 2 if done < 6 else 1}
        # Each label is given as it is made, not at the end.
        assert len(dict(node.outputs.labels)) == DatasetGroup.of('of a large batch').count() == done
    assert resumed.step('is_under_way')
    run_on(resumed)
    assert not resumed.step('is_under_way') and not context.blocks
    assert resumed.step('finish') is None
    assert resumed.chain.outputs['frames'].entry_ids == list('abcdefg')
    assert list(resumed.chain.outputs['report']['items']) == [f'c0000{k}' for k in range(7)]
    assert resumed.chain.outputs['report']['n_labelled'] == 7
    assert sorted(resumed.chain.outputs['labels']) == [f'c0000{k}' for k in range(7)]


def test_large_batch_gives_what_a_small_one_does(inputs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five in blocks of two, and the same five in one: one fails for good, one cannot be labelled."""
    images = [configuration(n) for n in (2, 3, 4, 5, 6)]
    images[3].cell[2] = images[3].cell[1]
    frames = frames_of(*images, splits=['train', None, 'test', None, 'train'])
    ended = []
    for size in (50, 2):
        monkeypatch.setattr(label_blocks, 'BLOCK', size)
        ended.append(run_get_node(LabelWorkChain, **inputs(frames, {'3': [342]}))[1])
    small, large = ended
    assert (small.exit_status, small.exit_message) == (large.exit_status, large.exit_message)
    changing = ('uuid', 'elapsed_seconds')
    reports = [node.outputs.report.get_dict() for node in (small, large)]
    for report in reports:
        for item in report['items'].values():
            for name in changing:
                item.pop(name, None)
    assert reports[0] == reports[1]
    assert [item['status'] for item in reports[1]['items'].values()] == [
        'labelled', 'failed', 'labelled', 'failed', 'labelled'
    ]  # fmt: skip
    assert small.outputs.frames.frames.to_bytes() == large.outputs.frames.frames.to_bytes()
    attributes = [dict(node.outputs.frames.base.attributes.all) for node in (small, large)]
    assert attributes[0] == attributes[1]
    called = [child.process_label for child in large.called if isinstance(child, CalcFunctionNode)]
    assert (called.count('gather_labels'), called.count('join_labels')) == (3, 1)


def test_killed_worker_puts_nothing_together_twice(inputs: Any, blocks_of_two: None) -> None:
    resumed = Resumed(inputs(frames_of(*[configuration(n) for n in (2, 3, 4)])))
    resumed.step('advance')
    for child in children(resumed.chain.node):
        resumed.end(child, springs(child.inputs.structure))
    resumed.twice('advance')
    run_on(resumed)
    resumed.twice('finish')
    called = [child.process_label for child in resumed.chain.node.called if isinstance(child, CalcFunctionNode)]
    assert (called.count('collect_label'), called.count('gather_labels'), called.count('join_labels')) == (3, 2, 1)
