"""How far labels are, what is under way, and what a stopped launch keeps."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aiida.engine import ProcessState
from aiida.orm import WorkChainNode
from click.testing import CliRunner

from aiida_litraj.cli import main
from aiida_litraj.cli.label_state import kept_text, labels_so_far, labels_text, share_done
from aiida_litraj.groups.label_chains import PROGRESS_EXTRA

pytestmark = pytest.mark.usefixtures('aiida_profile_clean')
SO_FAR = {'total': 10, 'labelled': 3, 'failed': 1, 'in_flight': 2}


def chain_of(so_far: dict[str, int] | None, kind: str = 'litraj.label', above: Any = None) -> WorkChainNode:
    """Return a chain that waits."""
    node = WorkChainNode(process_type=f'aiida.workflows:{kind}', label='mine')
    if above is not None:
        from aiida.common.links import LinkType

        node.base.links.add_incoming(above, LinkType.CALL_WORK, 'label')
    node.store()
    node.set_process_state(ProcessState.WAITING)
    if so_far is not None:
        node.base.extras.set(PROGRESS_EXTRA, so_far)
    return node


def ask(*arguments: Any) -> Any:
    done = CliRunner().invoke(main, list(map(str, arguments)))
    assert done.exit_code == 0, done.output
    return done.output


def test_labels_are_counted_of_a_chain_and_of_one_that_labels_among_other_things() -> None:
    above = chain_of(None, 'litraj.barrier_check')
    chain = chain_of(SO_FAR, above=above)
    for one in (chain, above):
        assert labels_so_far(one) == [{'pk': chain.pk, **SO_FAR}]
    assert labels_text(SO_FAR) == '3 of 10 configurations labelled, 1 failed, 2 in flight'
    one = {'total': 1, 'labelled': 1, 'failed': 0, 'in_flight': 0}
    assert labels_text(one, over=True) == '1 of 1 configuration labelled'
    assert share_done([SO_FAR]) == 0.4 and share_done([]) == 0.0
    assert labels_so_far(chain_of(None, 'litraj.neb.base')) == []


def test_status_says_how_far_labels_are() -> None:
    chain = chain_of(SO_FAR)
    assert '3 of 10 configurations labelled, 1 failed, 2 in flight' in ask('status', chain.pk)
    assert json.loads(ask('status', chain.pk, '--json'))['labels'] == [{'pk': chain.pk, **SO_FAR}]


def test_status_without_a_pk_lists_what_is_under_way() -> None:
    said = ask('status')
    assert 'Nothing is under way' in said and 'aiida-litraj launch' in said
    assert json.loads(ask('status', '--json')) == []
    ended, chain = chain_of(SO_FAR), chain_of(SO_FAR)
    ended.set_process_state(ProcessState.FINISHED)
    chain_of(SO_FAR, above=chain_of(None, 'litraj.barrier_check'))
    listed = json.loads(ask('status', '--json'))
    # Neither what has ended nor what another chain has called.
    assert [one['process'] for one in listed] == ['litraj.label', 'litraj.barrier_check']
    assert listed[0]['pk'] == chain.pk
    assert {one['progress'] for one in listed} == {'3 of 10 configurations labelled, 1 failed, 2 in flight'}
    said = ask('status')
    assert str(chain.pk) in said and '3 of 10' in said and 'aiida-litraj daemon start' in said


def test_stopped_launch_says_what_is_kept_and_what_is_lost() -> None:
    said = kept_text(chain_of(SO_FAR))
    assert said is not None
    assert said.startswith('3 finished labels kept; 2 calculations under way are lost and begin from the start')
    none = kept_text(chain_of({**SO_FAR, 'labelled': 0, 'in_flight': 1}))
    assert none is not None
    assert none.startswith('No label was finished; 1 calculation under way is lost and begins from the start')
    assert kept_text(chain_of(None, 'litraj.barrier')) is None
