"""What the restarting chain makes of a job's end: each handler, up to the end at which it gives up."""

from __future__ import annotations

from typing import Any

import pytest
from aiida.engine import ProcessState
from aiida.orm import Dict, Int, Log

from aiida_litraj.calculations.functions.merge_results import merge
from aiida_litraj.calculations.monitors import DEAD, STALLED, STOPPED_EXTRA
from aiida_litraj.calculations.neb import NebCalculation
from aiida_litraj.contract import NebItemResult
from aiida_litraj.contract.errors import TABLE
from aiida_litraj.contract.result import Progress
from aiida_litraj.contract.runtime import LARGEST_BATCH_ATOMS
from aiida_litraj.contract.verdict import judge
from aiida_litraj.workflows.base import MAX_IDLE_CRASHES, MAX_IDLE_JOBS
from aiida_litraj.workflows.neb import NebBaseWorkChain
from tests.fixtures.nodes import Job, surface_path, vacancy_path

CODES = NebCalculation.exit_codes
PATHS = ('a', 'b')
CALLS = 10
"""Model calls of each faked path."""


def entry(status: str, label: str | None = None, calls: int = CALLS) -> dict[str, Any]:
    """How a path of a faked job ended."""
    if status == 'converged':
        given = NebItemResult(id='x', status='finished', converged=True, n_steps=3, band_calls=calls)
    else:
        reason = f'because of {label}'
        given = NebItemResult(id='x', status=status, converged=False, label=label, reason=reason)  # type: ignore[arg-type]
    return given.model_dump(mode='json', exclude={'id'})


AUDIT: dict[str, Any] = {
    'engine_version': '0.1.0', 'schema_version': 1, 'python_version': '3.11', 'platform': 'x', 'packages': {},
    'potential': {'family': 'toy', 'name': 'morse', 'sha256': 'ab' * 32}, 'device': 'cpu', 'dtype': 'float64',
    'kernels': 'plain', 'processes': 1, 'seed': 0, 'model_calls': 7, 'resumed_calls': 0, 'model_seconds': 1.0,
    'cpu_seconds': 2.0, 'wall_seconds': 3.0, 'peak_memory_mb': 100.0, 'started_at': '2026-01-01T00:00:00+00:00',
    'out_of_memory_halvings': 1,
}  # fmt: skip


def account(items: dict[str, dict[str, Any]], audit: dict[str, Any] | None = None) -> dict[str, Any]:
    ended = judge([NebItemResult(id=name, **each) for name, each in items.items()], 'paths')
    return {'schema_version': 1, 'task': 'neb', 'exit': ended.model_dump(), 'items': items, 'audit': audit}


def progress(calls: int, resumed: int, audit: dict[str, Any] | None) -> bytes:
    return Progress(
        task='neb', n_items=2, n_finished=0, n_converged=0, n_active=2, model_calls=calls, resumed_calls=resumed,
        wall_seconds=1.0, updated_at='', audit=audit,  # type: ignore[arg-type]
    ).model_dump_json().encode()  # fmt: skip


class Chain:
    """A chain of two paths whose jobs are faked one after the other."""

    def __init__(self, process: Any, job_node: Any) -> None:
        self.process, self._job_node = process, job_node
        process.setup()
        process.ctx.children = []
        self.audit: dict[str, Any] | None = None
        self._calls = 0

    def job(
        self,
        status: int,
        items: dict[str, dict[str, Any]] | None = None,
        calls: int = 0,
        resumed: int | None = None,
        stopped: str | None = None,
        **given: Any,
    ) -> Any:
        """Let a job end with ``status`` and return what the chain makes of it.

        ``resumed``: evaluations of earlier jobs that it had, by default all; ``stopped``: what our monitor said of it.
        """
        process, resumed = self.process, self._calls if resumed is None else resumed
        outputs: dict[str, Any] = dict(given)
        if items is not None:
            outputs['results'] = Dict(account(items, AUDIT if status == 400 else None))
            done = {name: surface_path() for name, each in items.items() if each['status'] == 'finished'}
            outputs |= {'paths': done} if done else {}
        inputs = {'paths': dict(process.ctx.inputs.paths)}
        node = self._job_node(inputs, Job(status, progress=progress(calls, resumed, self.audit), outputs=outputs))
        if stopped is not None:
            node.base.extras.set(STOPPED_EXTRA, stopped)
        self._calls = calls
        process.ctx.iteration += 1
        process.ctx.children.append(node)
        return process.inspect_process()

    @property
    def inputs(self) -> Any:
        return self.process.ctx.inputs

    @property
    def finished(self) -> bool:
        return bool(self.process.ctx.is_finished)

    @property
    def reports(self) -> list[str]:
        return [log.message for log in Log.collection.get_logs_for(self.process.node)]


@pytest.fixture
def chain(instantiate: Any, neb_inputs: Any, job_node: Any) -> Any:
    """``chain(**options)`` is a chain with two paths; ``max_iterations`` and ``paths`` may be given too."""

    def make(paths: Any = None, max_iterations: int = 20, **options: Any) -> Chain:
        inputs = neb_inputs(paths or {name: surface_path() for name in PATHS}, **options)
        process = instantiate(NebBaseWorkChain, {'neb': inputs, 'max_iterations': Int(max_iterations)})
        return Chain(process, job_node)

    return make


OPEN = {name: entry('unfinished', 'ERROR_OUT_OF_TIME') for name in PATHS}
HALF = {'a': entry('converged'), 'b': entry('unfinished', 'ERROR_OUT_OF_TIME')}
DONE = {name: entry('converged') for name in PATHS}


def test_success_needs_one_job(chain: Any) -> None:
    made = chain()
    assert made.job(0, DONE) is None
    assert made.finished
    made.process.results()
    assert made.process.verdict() is None
    outputs = made.process.outputs
    assert set(outputs['paths']) == set(PATHS)
    assert outputs['results'].pk == made.process.ctx.children[0].outputs.results.pk


RESUMED = [
    CODES.ERROR_OUT_OF_TIME, CODES.ERROR_RESULT_MISSING, CODES.ERROR_ENGINE_CRASHED,
    CODES.ERROR_SCHEDULER_OUT_OF_WALLTIME, CODES.ERROR_SCHEDULER_NODE_FAILURE,
    CODES.ERROR_SCHEDULER_OUT_OF_MEMORY, CODES.ERROR_DEVICE_MEMORY,
]  # fmt: skip


@pytest.mark.parametrize('code', RESUMED, ids=lambda code: str(code.status))
def test_unfinished_paths_go_on_from_the_checkpoint(chain: Any, code: Any) -> None:
    made = chain(processes=2)
    assert made.job(code.status, HALF, calls=15).status == 0
    assert not made.finished
    assert set(made.inputs.paths) == {'b'}
    assert made.inputs.paths['b'].uuid == made.process.inputs.neb.paths['b'].uuid
    assert made.inputs.parent_folder.pk == made.process.ctx.children[0].outputs.remote_folder.pk
    assert any('1 of 2 paths left' in report and f'ended with {code.status}' in report for report in made.reports)
    assert made.job(0, {'b': entry('converged')}) is None
    made.process.results()
    assert made.process.verdict() is None
    outputs = made.process.outputs
    assert {name: path.creator.pk for name, path in outputs['paths'].items()} == {
        'a': made.process.ctx.children[0].pk,
        'b': made.process.ctx.children[1].pk,
    }
    merged = outputs['results']
    assert merged.creator.process_type == 'aiida.calculations:litraj.merge_results'
    assert (merged['n_jobs'], merged['exit']['label']) == (2, 'SUCCESS')
    assert all(each['converged'] for each in merged['items'].values())


@pytest.mark.parametrize('code', RESUMED[:-1], ids=lambda code: str(code.status))
def test_gives_up_when_nothing_moves(chain: Any, code: Any) -> None:
    made = chain()
    assert made.job(code.status, HALF, calls=15).status == 0
    patience = MAX_IDLE_CRASHES if code.status in (110, 310) else MAX_IDLE_JOBS
    made.process.ctx.idle_jobs = patience - 1
    ended = made.job(code.status, {'b': OPEN['b']}, calls=15)
    assert (ended.status, ended.message) == (code.status, f'exit message {code.status}')
    assert any(f'{patience} job(s) in a row did not get anywhere' in report for report in made.reports)
    assert set(made.process.outputs['paths']) == {'a'}
    assert made.process.outputs['results']['items']['b']['status'] == 'unfinished'


def test_patience_is_counted_anew_when_a_job_gets_on(chain: Any) -> None:
    made = chain()
    for calls, idle in ((5, 0), (5, 1), (5, 2), (6, 0), (6, 1), (6, 2), (6, 3), (6, 4), (6, 5)):
        assert made.job(303, OPEN, calls=calls).status == 0
        assert made.process.ctx.idle_jobs == idle
    assert made.job(303, OPEN, calls=6).status == 303


def test_job_that_began_anew_has_to_get_further(chain: Any) -> None:
    """Its checkpoint was lost: what it evaluates was evaluated before, and jobs may go round like that for ever."""
    made = chain()
    for calls, resumed, idle in ((50, 0, 0), (40, 0, 1), (50, 0, 2), (60, 50, 0), (60, 0, 1), (61, 0, 0)):
        assert made.job(400, OPEN, calls=calls, resumed=resumed).status == 0
        assert made.process.ctx.idle_jobs == idle


def test_one_lost_checkpoint_does_not_end_a_long_chain(chain: Any) -> None:
    """The jobs behind the loss are far below what was reached before it, but each goes on from the last."""
    made = chain()
    for calls in (10, 20, 30, 40, 50):
        assert made.job(400, OPEN, calls=calls, resumed=calls - 10).status == 0
    for number in range(1, 5):
        assert made.job(400, OPEN, calls=10 * number, resumed=10 * (number - 1)).status == 0
        assert made.process.ctx.idle_jobs == (1 if number == 1 else 0)


def test_what_is_left_is_measured_anew_once_a_path_is_done(chain: Any) -> None:
    """A job of fewer paths counts the evaluations of these alone."""
    made = chain()
    assert made.job(400, HALF, calls=50).status == 0
    for calls, idle in ((20, 0), (20, 1), (25, 0)):
        assert made.job(303, {'b': OPEN['b']}, calls=calls, resumed=15).status == 0
        assert made.process.ctx.idle_jobs == idle


@pytest.mark.parametrize('status', [110, 410])
def test_memory_halves_the_processes(chain: Any, status: int) -> None:
    """Also where a job got nowhere: with half as many the next is another one."""
    made = chain(processes=9)
    for processes in (4, 2, 1):
        assert made.job(status, OPEN).status == 0
        assert made.inputs.metadata.options.processes == processes
        assert any(f'with {processes} process(es), 2 of 2 paths left' in report for report in made.reports)
    assert made.process.inputs.neb.metadata.options.processes == 9


def test_memory_of_the_node_with_processes_left_to_the_engine(chain: Any) -> None:
    made = chain(processes=None)
    made.audit = {**AUDIT, 'processes': 8}
    assert made.job(110, OPEN, calls=1).status == 0
    assert made.inputs.metadata.options.processes == 4
    unknown = chain(processes=None)
    assert unknown.job(110, OPEN).status == 0
    assert unknown.inputs.metadata.options.processes == 1


def test_memory_of_a_node_with_a_gpu_halves_the_batch(chain: Any) -> None:
    """Down to one configuration, 3 atoms; then the same job is tried once more, and no oftener."""
    made = chain({'a': vacancy_path(1), 'b': vacancy_path(1)}, batch_atoms=12)
    made.audit = {**AUDIT, 'device': 'cuda:0'}
    for atoms in (6, 3, 3):
        assert made.job(110, OPEN).status == 0
        assert made.inputs.metadata.options.batch_atoms == atoms
    assert made.job(110, OPEN).status == 110


def test_batch_that_was_left_to_the_engine_is_halved_from_its_largest(chain: Any) -> None:
    made = chain()
    made.audit = {**AUDIT, 'device': 'cuda:0'}
    assert made.job(110, OPEN).status == 0
    assert made.inputs.metadata.options.batch_atoms == LARGEST_BATCH_ATOMS // 2


def test_memory_of_a_node_with_several_gpus_halves_these_at_last(chain: Any) -> None:
    """Once a batch is one configuration; the processes of GPUs are never those of a CPU."""
    made = chain({'a': vacancy_path(1), 'b': vacancy_path(1)}, batch_atoms=6)
    made.audit = {**AUDIT, 'device': 'cuda:0', 'devices': [f'cuda:{n}' for n in range(4)], 'processes': 4}
    options = made.inputs.metadata.options
    assert made.job(110, OPEN).status == 0
    assert (options.batch_atoms, options.get('gpus', None)) == (3, None)
    assert made.job(110, OPEN).status == 0
    assert (options.batch_atoms, options.gpus, options.processes) == (3, 2, 1)
    assert any('with 2 GPU(s), 2 of 2 paths left' in report for report in made.reports)


def test_memory_of_a_gpu_is_not_that_of_several(chain: Any) -> None:
    """Each has its own, and the engine has gone down to one configuration on it."""
    made = chain()
    made.audit = {**AUDIT, 'device': 'cuda:0', 'processes': 4}
    assert made.job(410, HALF).status == 410


def test_fatal_code_is_told_even_of_the_last_job_allowed(chain: Any) -> None:
    made = chain(max_iterations=1)
    assert made.job(322, OPEN, calls=1).status == 322


def test_path_that_does_not_fit_the_device_is_not_tried_again(chain: Any) -> None:
    """The engine itself has gone down to one configuration; the other path is kept, the code says what it was."""
    made = chain()
    assert made.job(410, {'a': entry('converged'), 'b': entry('failed', 'ERROR_DEVICE_MEMORY')}).status == 0
    assert made.finished
    made.process.results()
    assert set(made.process.outputs['paths']) == {'a'}
    verdict = made.process.verdict()
    assert (verdict.status, verdict.message) == (410, 'b: because of ERROR_DEVICE_MEMORY')


def test_no_memory_for_a_single_process_is_the_end(chain: Any) -> None:
    made = chain()
    assert made.job(410, HALF).status == 410
    assert any('one configuration alone does not fit' in report for report in made.reports)
    assert set(made.process.outputs['paths']) == {'a'}


@pytest.mark.parametrize('status', [100, 303, 304, 400, 500, 501])
def test_no_path_left_is_the_end_whatever_the_job_said(chain: Any, status: int) -> None:
    made = chain()
    assert made.job(status, {'a': entry('converged'), 'b': entry('failed', 'ERROR_EXPLODED')}).status == 0
    assert made.finished
    made.process.results()
    verdict = made.process.verdict()
    assert (verdict.status, verdict.message) == (501, '1 of 2 paths converged')


def test_verdict_is_over_all_jobs(chain: Any) -> None:
    """Each job alone would say something else."""
    made = chain()
    items = {'a': entry('failed', 'ERROR_EXPLODED'), 'b': OPEN['b']}
    assert made.job(400, items, calls=3).status == 0
    assert made.job(505, {'b': entry('failed', 'ERROR_EXPLODED')}).status == 0
    assert made.finished
    assert made.process.verdict().status == 505


FATAL = [code.status for code in TABLE if code.status < 400 and code.status not in (303, 304, 306, 310)]


@pytest.mark.parametrize('status', FATAL)
def test_what_a_restart_cannot_change_ends_the_chain(chain: Any, status: int) -> None:
    made = chain()
    ended = made.job(status, HALF)
    assert (ended.status, ended.message) == (status, f'exit message {status}')
    assert any('a restart cannot change that' in report for report in made.reports)
    assert set(made.process.outputs['paths']) == {'a'}


@pytest.mark.parametrize('status', [304, 306])
def test_result_that_lost_its_end_is_made_once_more(chain: Any, status: int) -> None:
    """From what is on disk; a result that is not readable twice, without anything new, is of another cause."""
    made = chain()
    assert made.job(status, HALF, calls=3).status == 0
    assert set(made.inputs.paths) == {'b'}
    assert made.job(status, {'b': OPEN['b']}, calls=3).status == 0
    ended = made.job(status, {'b': OPEN['b']}, calls=3)
    assert (ended.status, ended.message) == (status, f'exit message {status}')
    assert set(made.process.outputs['paths']) == {'a'}


def test_unknown_code_of_a_scheduler_keeps_what_is_finished(chain: Any) -> None:
    made = chain()
    ended = made.job(199, HALF)
    assert ended.status == 402
    assert set(made.process.outputs['paths']) == {'a'}


def test_last_iteration_keeps_what_is_finished(chain: Any) -> None:
    made = chain(max_iterations=2)
    assert made.job(400, HALF, calls=3).status == 0
    ended = made.job(400, {'b': OPEN['b']}, calls=6)
    assert ended.status == 401
    assert set(made.process.outputs['paths']) == {'a'}
    assert made.process.outputs['results']['exit']['label'] == 'ERROR_OUT_OF_TIME'


def test_killed_job_keeps_what_was_finished_before(chain: Any, job_node: Any) -> None:
    made = chain()
    assert made.job(400, HALF, calls=3).status == 0
    node = job_node({'paths': {'b': surface_path()}}, Job())
    node.set_process_state(ProcessState.KILLED)
    made.process.ctx.iteration += 1
    made.process.ctx.children.append(node)
    assert made.process.inspect_process().status == 302
    assert set(made.process.outputs['paths']) == {'a'}


def test_job_without_any_output(chain: Any) -> None:
    made = chain()
    ended = made.job(199)
    assert ended.status == 402
    assert 'paths' not in made.process.outputs


@pytest.mark.parametrize('stopped', [None, DEAD])
def test_stopped_by_a_monitor_is_the_end(chain: Any, stopped: str | None) -> None:
    """Whoever wrote it wanted no more; what is finished is kept."""
    made = chain()
    ended = made.job(150, HALF, stopped=stopped)
    assert (ended.status, ended.message) == (150, 'exit message 150')
    assert set(made.process.outputs['paths']) == {'a'}
    assert any('a monitor has ended it for good' in report for report in made.reports)


def test_job_that_hung_is_gone_on_from(chain: Any) -> None:
    made = chain()
    assert made.job(150, HALF, calls=15, stopped=STALLED).status == 0
    assert set(made.inputs.paths) == {'b'}


# The account of several jobs


def test_account_of_jobs_that_resumed_each_other() -> None:
    later = {**AUDIT, 'model_calls': 20, 'peak_memory_mb': 50.0, 'started_at': '2026-01-02T00:00:00+00:00'}
    merged = merge(
        [
            account({'a': entry('converged', calls=12), 'b': OPEN['b']}, AUDIT),
            account({'b': OPEN['b']}),
            account({'b': entry('converged', calls=20)}, later),
        ]
    )
    audit = merged['audit']
    assert (audit['model_seconds'], audit['cpu_seconds'], audit['wall_seconds']) == (2.0, 4.0, 6.0)
    assert (audit['out_of_memory_halvings'], audit['peak_memory_mb']) == (2, 100.0)
    assert audit['started_at'] == AUDIT['started_at']
    assert audit['model_calls'] == 32
    assert merged['n_jobs'] == 3
    assert merged['exit'] == {'status': 0, 'label': 'SUCCESS', 'message': 'all paths converged'}


def test_calls_of_jobs_whose_items_do_not_count_them() -> None:
    """Replicas: of two, one ended in the first job, the other after 400 of its 1,000 steps was gone on with."""
    own = ('band_calls', 'endpoint_calls', 'saddle_calls')
    bare = {key: value for key, value in entry('converged', calls=0).items() if key not in own}
    first = account({'a': bare, 'b': OPEN['b']}, {**AUDIT, 'model_calls': 1400, 'resumed_calls': 0})
    second = account({'b': bare}, {**AUDIT, 'model_calls': 1000, 'resumed_calls': 400})
    first['items']['b'] = {key: value for key, value in first['items']['b'].items() if key not in own}
    assert merge([first, second])['audit']['model_calls'] == 2000


def test_verdict_of_a_path_is_not_lost_to_a_later_job_that_did_not_get_to_it() -> None:
    first = account({'a': entry('failed', 'ERROR_EXPLODED'), 'b': OPEN['b']})
    merged = merge([first, account(OPEN)])
    assert merged['items']['a']['label'] == 'ERROR_EXPLODED'
    assert merged['items']['b']['status'] == 'unfinished'
    assert (merged['audit'], merged['exit']['label']) == (None, 'ERROR_OUT_OF_TIME')
