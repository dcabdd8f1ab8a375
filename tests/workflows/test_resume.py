"""Which job of before the first job of a restarting chain goes on from, and which it leaves alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from aiida.common.links import LinkType
from aiida.engine import ProcessState
from aiida.manage import get_manager
from aiida.orm import CalcJobNode, Log, RemoteData

from aiida_litraj.workflows.md import MdBaseWorkChain
from aiida_litraj.workflows.relax import RelaxBaseWorkChain
from aiida_litraj.workflows.resume import resumed_from, stopped_job
from aiida_litraj.workflows.train import TrainBaseWorkChain
from tests.fixtures.nodes import Job, fcc, md_parameters, potential, rattled, relax_parameters, replica
from tests.fixtures.training import training

pytestmark = pytest.mark.usefixtures('aiida_profile_clean')
KILLED = 'killed'


@pytest.fixture
def inputs(md_inputs: Any) -> dict[str, Any]:
    """Of two replicas of one structure."""
    made: dict[str, Any] = md_inputs({'a': replica(seed=1), 'b': replica(seed=2)}, evaluated_by=potential().store())
    return made


@pytest.fixture
def job(job_node: Any) -> Callable[..., CalcJobNode]:
    """``job(inputs, end)`` is a job with these inputs that was submitted, killed, runs, or has an exit status."""

    def make(inputs: Mapping[str, Any], end: str | int = KILLED, task: str = 'md', submitted: bool = True) -> Any:
        status = end if isinstance(end, int) else None
        node = job_node(inputs, Job(status, outputs={}, task=task))
        node.set_process_state(ProcessState.FINISHED if isinstance(end, int) else ProcessState(end))
        if submitted:
            node.set_job_id('1')
        return node

    return make


@pytest.fixture
def parent(instantiate: Any) -> Callable[..., RemoteData | None]:
    """``parent(inputs)`` is what the first job of a chain with these inputs would take up."""

    def find(inputs: Mapping[str, Any], chain: Any = MdBaseWorkChain) -> RemoteData | None:
        process = instantiate(chain, {chain.task(): inputs})
        process.setup()
        found: RemoteData | None = process.ctx.inputs.get('parent_folder', None)
        said = [log.message for log in Log.collection.get_logs_for(process.node)]
        if found is not None and 'parent_folder' not in inputs:
            assert f'<{found.creator.pk}>, which was cut off on the way to the same numbers' in said[-1]
        return found

    return find


def changed(inputs: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    return {**inputs, **changes}


@pytest.mark.parametrize('end', [KILLED, 'excepted', 400, 303, 304, 306, 310, 120])
def test_goes_on_from_a_job_that_was_cut_off(end: str | int, inputs: Any, job: Any, parent: Any) -> None:
    before = job(inputs, end)
    found = parent(inputs)
    assert found is not None
    assert found.uuid == before.outputs.remote_folder.uuid


@pytest.mark.parametrize('end', [312, 313, 410, 411])
def test_training_goes_on_whatever_became_of_its_trainer(end: int, train_inputs: Any, job: Any, parent: Any) -> None:
    """Its epochs are in the checkpoint; the newest is taken, not one before it."""
    given = train_inputs({'a': training(1)})
    job(given, 400, task='train')
    before = job(given, end, task='train')
    assert parent(given, TrainBaseWorkChain).creator.pk == before.pk


def test_training_that_is_a_result_or_never_began_is_left_alone(train_inputs: Any, job: Any, parent: Any) -> None:
    given = train_inputs({'a': training(1)})
    before = job(given, 312, task='train')
    job(given, 200, task='train')
    job(given, 321, task='train')
    assert parent(given, TrainBaseWorkChain).creator.pk == before.pk
    job(given, 515, task='train')
    assert parent(given, TrainBaseWorkChain) is None


@pytest.mark.parametrize('end', [0, 510, 411, 'waiting', 'running', 200, 321])
def test_leaves_alone_what_is_for_the_cache_or_runs_or_never_began(
    end: str | int, inputs: Any, job: Any, parent: Any
) -> None:
    job(inputs, end)
    assert parent(inputs) is None


def test_takes_nothing_up_where_a_newer_one_runs(inputs: Any, job: Any, parent: Any) -> None:
    job(inputs)
    job(inputs, 'waiting')
    assert parent(inputs) is None


def test_newest_that_has_got_anywhere(inputs: Any, job: Any, parent: Any) -> None:
    """One that never reached the computer, one whose folder is gone, and one of a broken environment are passed by."""
    job(inputs)
    newest = job(inputs)
    job(inputs, submitted=False)
    job(inputs).outputs.remote_folder.base.extras.set(RemoteData.KEY_EXTRA_CLEANED, True)
    job(inputs, 320)
    assert parent(inputs).creator.pk == newest.pk


def test_equal_nodes_are_the_same(inputs: Any, job: Any, parent: Any) -> None:
    """As of a relaxation that comes from the cache: what it made has the content of before, and another uuid."""
    before = job(inputs)
    copies = {'replicas': {'a': replica(seed=1), 'b': replica(seed=2)}, 'structures': {'fcc': fcc()}}
    copies['potential'] = potential()  # a band by DFT makes its potential anew at each launch
    assert parent(changed(inputs, parameters=md_parameters(), **copies)).creator.pk == before.pk


def test_anything_else_is_not_the_same(inputs: Any, job: Any, parent: Any) -> None:
    job(inputs)
    others: list[dict[str, Any]] = [
        {'replicas': {'a': replica(seed=1), 'b': replica(seed=3)}},
        {'replicas': {'a': replica(seed=1)}},
        {'replicas': {name: replica(seed=seed) for seed, name in enumerate('abc', start=1)}},
        {'structures': {'fcc': rattled()}},
        {'parameters': md_parameters(timestep_fs=0.5)},
        {'potential': potential('morse', depth=2.0)},
    ]
    assert [parent(changed(inputs, **other)) for other in others] == [None] * len(others)


def test_nothing_is_taken_up_that_shall_not_be(inputs: Any, job: Any, parent: Any) -> None:
    before, given = job(inputs), job(inputs)
    job(inputs)
    assert parent(changed(inputs, metadata={**inputs['metadata'], 'disable_cache': True})) is None
    assert parent(changed(inputs, parent_folder=given.outputs.remote_folder)).creator.pk == given.pk != before.pk


@pytest.mark.parametrize('end', [KILLED, 400, 0])
def test_job_of_what_was_left_stands_for_all(end: str | int, inputs: Any, job: Any, parent: Any) -> None:
    """Whatever it ended with: a job of one replica is not found by the cache when two are asked for."""
    first = job(inputs, 400)
    left = {'replicas': {'b': inputs['replicas']['b']}, 'parent_folder': first.outputs.remote_folder}
    second = job(changed(inputs, **left), end)
    assert parent(inputs).creator.pk == second.pk
    job(changed(inputs, replicas=left['replicas']))  # of one replica, and of no others before it
    assert parent(inputs).creator.pk == second.pk


def test_relaxations_go_on_too(relax_inputs: Any, job: Any, parent: Any) -> None:
    given = relax_inputs({'start': rattled()}, relax_parameters(), potential().store())
    before = job(given, task='relax')
    assert parent(given, RelaxBaseWorkChain).creator.pk == before.pk


def test_only_a_job_of_another_chain_is_one_of_before(inputs: Any, job: Any, instantiate: Any) -> None:
    old, new = (instantiate(MdBaseWorkChain, {'md': inputs}).node for _ in range(2))
    folder: Any = None
    jobs = []
    for number, chain in enumerate((old, new, new)):
        made = CalcJobNode(process_type='aiida.calculations:litraj.md', computer=inputs['metadata']['computer'])
        made.base.links.add_incoming(chain, LinkType.CALL_CALC, f'iteration_{number}')
        if folder is not None:
            made.base.links.add_incoming(folder, LinkType.INPUT_CALC, 'parent_folder')
        made.store()
        folder = RemoteData(computer=made.computer, remote_path=f'/{number}')
        folder.base.links.add_incoming(made, LinkType.CREATE, 'remote_folder')
        folder.store()
        jobs.append(made)
    assert [resumed_from(made) for made in jobs] == [None, jobs[0], None]


def test_jobs_of_another_stage_between_do_not_hide_it(inputs: Any, job: Any, parent: Any) -> None:
    """A conductivity has two stages with the same code and potential, and the second may take many jobs."""
    before = job(inputs, 400)
    for _ in range(25):
        job(changed(inputs, parameters=md_parameters(timestep_fs=0.5)), 400)
    assert parent(inputs).creator.pk == before.pk


def test_nothing_is_taken_up_while_an_equal_job_runs(inputs: Any, job: Any, parent: Any) -> None:
    """Also where the one that runs is the older one."""
    job(inputs, 'waiting')
    job(inputs)
    assert parent(inputs) is None


def test_a_job_that_nobody_has_submitted_keeps_nothing_back(inputs: Any, job: Any, parent: Any) -> None:
    """It computes nothing, and perhaps never will."""
    job(inputs, 'created', submitted=False)
    before = job(inputs)
    assert parent(inputs).creator.pk == before.pk


def test_the_search_leaves_no_transaction_open(inputs: Any, job: Any) -> None:
    """What is read in one is of the moment it began: SQLite refuses a write after it once anybody else has written."""
    job(inputs)
    assert stopped_job(MdBaseWorkChain._process_class, inputs) is not None
    session = get_manager().get_profile_storage().get_session()
    if session.get_bind().dialect.name == 'sqlite':
        assert not session.connection().connection.driver_connection.in_transaction
