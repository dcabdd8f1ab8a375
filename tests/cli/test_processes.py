"""Chains that run, failed or are no barriers: what is said of them, by sentence and by object."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner

from aiida_litraj.cli import main

pytestmark = pytest.mark.usefixtures('aiida_profile_clean')
RESULT = {
    'converged': False, 'barrier_ev': 0.61, 'reverse_barrier_ev': 0.6, 'reaction_energy_ev': 0.01, 'range_ev': 0.61,
    'model_calls': 12, 'n_images': 3, 'profile_ev': [0.0, 0.61, 0.01], 'natoms': 31, 'potential_sha256': 'ab' * 32,
    'warnings': ['not converged: residual force 0.3'],
}  # fmt: skip


@pytest.fixture
def chain() -> Any:
    """Return a function that makes a chain in some state, without running it."""
    from aiida.common.links import LinkType
    from aiida.engine import ProcessState
    from aiida.orm import Dict, WorkChainNode

    def make(state: str, exit_status: int | None = None, message: str = '', result: bool = False) -> Any:
        node = WorkChainNode()
        node.base.attributes.set('process_type', None)
        node.process_type = 'aiida.workflows:litraj.barrier'
        node.set_process_state(ProcessState(state))
        node.store()
        if exit_status is not None:
            node.set_exit_status(exit_status)
            node.set_exit_message(message)
        if result:
            barrier = Dict(RESULT).store()
            barrier.base.links.add_incoming(node, LinkType.RETURN, 'barrier')
        return node

    return make


def run(*arguments: str) -> tuple[int, dict[str, Any]]:
    done = CliRunner().invoke(main, [*arguments, '--json'])
    return done.exit_code, json.loads(done.stdout)


def test_result_that_is_not_converged_is_shown_with_its_warnings(chain: Any) -> None:
    node = chain('finished', 500, 'not converged', result=True)
    status, content = run('show', str(node.pk))
    assert status == 0
    assert content == {'uuid': node.uuid, 'pk': node.pk, **RESULT, 'exit_status': 500}
    shown = CliRunner().invoke(main, ['show', str(node.pk)])
    assert 'NO [500]' in shown.stdout
    assert 'Warning: not converged: residual force 0.3' in shown.stderr


def test_chain_that_failed_says_why(chain: Any) -> None:
    node = chain('finished', 320, 'this environment lacks the family mace: pip install mace-torch')
    for name in ('show', 'plot'):
        status, content = run(name, str(node.pk))
        assert status == 1
        assert '[320]: this environment lacks the family mace: pip install mace-torch' in content['error']['message']
        assert content['error']['remedy'] == f'Its log: verdi process report {node.pk}'
        assert content['error']['exit_status'] == 320
    status, content = run('status', str(node.pk))
    assert status == 0
    assert (content['finished'], content['exit_status'], content['result']) == (True, 320, None)
    assert f'Log: verdi process report {node.pk}' in CliRunner().invoke(main, ['status', str(node.pk)]).stdout


def test_chain_that_was_killed_says_so(chain: Any) -> None:
    status, content = run('show', str(chain('killed').pk))
    assert status == 1
    assert 'ended without a barrier: it was killed' in content['error']['message']


def test_chain_that_runs_has_no_result_yet(chain: Any) -> None:
    node = chain('waiting')
    status, content = run('show', str(node.pk))
    assert status == 1
    assert content['error']['message'] == f'process {node.pk} has not ended yet, it is waiting'
    assert content['error']['remedy'] == f'Its progress: aiida-litraj status {node.pk}'
    status, content = run('status', str(node.pk))
    assert (status, content['finished'], content['progress'], content['jobs']) == (0, False, None, [])


def test_node_of_a_barrier_leads_to_its_chain(chain: Any) -> None:
    from aiida.common.links import LinkType
    from aiida.orm import CalcJobNode

    node = chain('finished', 0, result=True)
    job = CalcJobNode()
    job.process_type = 'aiida.calculations:litraj.neb'
    job.base.links.add_incoming(node, LinkType.CALL_CALC, 'neb')
    job.store()
    status, content = run('show', str(job.pk))
    assert (status, content['uuid']) == (0, node.uuid)


def test_process_of_another_kind_is_named() -> None:
    from aiida.orm import CalcJobNode

    job = CalcJobNode()
    job.process_type = 'aiida.calculations:core.arithmetic.add'
    job.store()
    status, content = run('show', str(job.pk))
    assert status == 1
    words = f'process {job.pk} (core.arithmetic.add) does not belong to a barrier or a conductivity or a'
    assert content['error']['message'].startswith(words)
