"""What fails: tried again, reported, or not tried where the environment is broken."""

from __future__ import annotations

from typing import Any

import pytest
from aiida.engine import run_get_node

from aiida_litraj.workflows.backends import Outcome
from aiida_litraj.workflows.label import MOST_LOST, LabelWorkChain
from tests.fixtures.label_backend import LABELS, SpringsBackend
from tests.fixtures.labelling import children, configuration, frames_of, of_element


@pytest.mark.parametrize('most', [1, 2])
def test_never_more_under_way_than_allowed(most: int, inputs: Any) -> None:
    frames = frames_of(*[configuration(n) for n in range(2, 6)])
    _, node = run_get_node(LabelWorkChain, **inputs(frames, jobs={'max_in_flight': most}))
    assert node.is_finished_ok
    spans = [(child.ctime, child.mtime) for child in children(node)]
    under_way = [sum(start <= begin < end for start, end in spans) for begin, _ in spans]
    assert len(spans) == 4
    assert max(under_way) <= most
    assert max(under_way) > 1 or most == 1


def test_what_may_be_mended_is_tried_again_and_the_rest_reported(inputs: Any) -> None:
    """Of four: one goes well at once, one at the third attempt, one never converges, one crashes."""
    frames = frames_of(*[configuration(n) for n in (2, 3, 4, 5)])
    endings = {'3': [520, 520], '4': [520] * 9, '5': [342] * 9}
    _, node = run_get_node(LabelWorkChain, **inputs(frames, endings))
    assert node.exit_status == 501
    assert '2 of 4 labels converged' in node.exit_message
    items = node.outputs.report['items']
    assert [items[f'c0000{k}']['status'] for k in range(4)] == ['labelled', 'labelled', 'failed', 'failed']
    assert [items[f'c0000{k}']['attempts'] for k in range(4)] == [1, 3, SpringsBackend.n_attempts, 1]
    assert [items[f'c0000{k}']['label'] for k in range(4)] == [None, None, LABELS[520], LABELS[342]]
    assert items['c00002']['reason'] == 'as told 520'
    assert node.outputs.frames.base.attributes.get('indices') == [0, 1]
    assert sorted(node.outputs.labels) == ['c00000', 'c00001']
    assert len(children(node)) == 1 + 3 + 3 + 1


def test_attempt_that_the_machine_has_failed_is_made_once_more_as_it_was(
    inputs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its numbers shall be those of an undisturbed one, so its settings are; and no node fails it for ever."""
    frames = frames_of(configuration(2), configuration(3))
    fine, given, asked, lost = SpringsBackend.outcome, SpringsBackend.inputs, [], {2: 1, 3: MOST_LOST + 1}
    attempts: dict[int, set[int]] = {2: set(), 3: set()}

    def outcome(self: Any, node: Any) -> Outcome:
        n_atoms = len(node.inputs.structure.sites)
        attempts[n_atoms].add(node.pk)
        if len(attempts[n_atoms]) <= lost[n_atoms]:
            return Outcome('ERROR_SCHEDULER_NODE_FAILURE', 'its node went down', lost=True)
        return fine(self, node)

    def inputs_of(
        self: Any, code: Any, structure: Any, level: Any, settings: Any, options: Any, attempt: int, *more: Any
    ):
        asked.append((len(structure.sites), attempt))
        return given(self, code, structure, level, settings, options, attempt, *more)

    monkeypatch.setattr(SpringsBackend, 'outcome', outcome)
    monkeypatch.setattr(SpringsBackend, 'inputs', inputs_of)
    _, node = run_get_node(LabelWorkChain, **inputs(frames, {}))
    items = node.outputs.report['items']
    assert [(items[key]['status'], items[key]['attempts']) for key in ('c00000', 'c00001')] == [
        ('labelled', 2),
        ('failed', MOST_LOST + 1),
    ]
    assert items['c00001']['reason'] == 'its node went down'
    assert {attempt for _, attempt in asked} == {0}


@pytest.mark.parametrize(('endings', 'status'), [([341, 341], 341), ([520, 520], 520), ([341, 520], 501)])
def test_without_any_label_the_chain_ends_as_they_did(endings: list[int], status: int, inputs: Any) -> None:
    frames = frames_of(configuration(2), configuration(3))
    told = {str(n): [ending] * 9 for n, ending in zip((2, 3), endings, strict=True)}
    _, node = run_get_node(LabelWorkChain, **inputs(frames, told))
    assert node.exit_status == status
    assert 'frames' not in node.outputs
    assert 'labels' not in node.outputs
    assert node.outputs.report['n_labelled'] == 0


def test_failure_of_the_machine_is_no_source_of_the_cache_and_that_of_physics_is(inputs: Any) -> None:
    frames = frames_of(configuration(2), configuration(3))
    _, node = run_get_node(LabelWorkChain, **inputs(frames, {'2': [341], '3': [520] * 9}))
    kept = {child.exit_status: child.base.extras.get('_aiida_valid_cache', True) for child in children(node)}
    assert kept == {341: False, 520: True}


def test_broken_environment_is_not_found_out_once_for_each_configuration(inputs: Any) -> None:
    """MPI starts for none of eight of lithium; sodium is another matter, and is tried."""
    frames = frames_of(*[configuration(2, seed) for seed in range(8)], of_element(11, 3))
    _, node = run_get_node(LabelWorkChain, **inputs(frames, {'2': [341]}))
    assert node.exit_status == 501
    items = list(node.outputs.report['items'].values())
    assert [item['label'] for item in items] == ['ERROR_MPI'] * 8 + [None]
    assert [item['attempts'] for item in items] == [1] * 4 + [0] * 4 + [1]  # two at a time, until three have ended
    assert {item['reason'] for item in items[4:8]} == {'not tried, for all 4 before it ended so: as told 341'}
    assert len(children(node)) == 5


@pytest.mark.parametrize('endings', [{'2': [342]}, {'2': [341], '3': [342]}, {'2': [341], '3': []}])
def test_every_configuration_is_tried_where_the_environment_is_not_at_fault(endings: Any, inputs: Any) -> None:
    """Crashes of a code that had started, ends of two kinds, or a label beside them."""
    frames = frames_of(configuration(3), *[configuration(2, seed) for seed in range(6)])
    _, node = run_get_node(LabelWorkChain, **inputs(frames, endings))
    assert {item['attempts'] for item in node.outputs.report['items'].values()} == {1}
