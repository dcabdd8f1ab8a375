"""How a packed chain shares out, hands on and ends, on faked parts; what is refused before anything is queued."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import pytest
from aiida.common.links import LinkType
from aiida.engine import ProcessState
from aiida.manage import get_manager
from aiida.orm import Dict, Log, WorkChainNode
from sqlalchemy import event

from aiida_litraj.calculations.base import LitrajCalcJob
from aiida_litraj.calculations.functions.merge_parts import joined_entry, merged
from aiida_litraj.calculations.functions.merge_results import merge
from aiida_litraj.contract.errors import BY_LABEL
from aiida_litraj.data import PathData
from aiida_litraj.workflows.earlier import finished_items, stopped_items
from aiida_litraj.workflows.neb import NebBaseWorkChain, NebPackedWorkChain
from aiida_litraj.workflows.packing import PACKED_EXTRA, rate_of, read_packing
from aiida_litraj.workflows.so_far import finished_so_far
from tests.fixtures.nodes import Job, neb_parameters, potential, surface_path, vacancy_path
from tests.workflows.test_neb import AUDIT, account, entry

pytestmark = pytest.mark.usefixtures('aiida_profile_clean')
LABELS = {'unfinished': 'ERROR_OUT_OF_TIME', 'failed': 'ERROR_ENDPOINT_MOVED'}


def paths(number: int = 6) -> dict[str, PathData]:
    """Return paths that differ, and share no end."""
    return {f'p{k}': surface_path((-1.1 - 0.01 * k, 0.2, 0.0), (1.2 + 0.01 * k, 0.1, 0.1)) for k in range(number)}


class Packed:
    """A packed chain whose parts are faked."""

    def __init__(self, process: Any) -> None:
        self.process = process
        self.submitted: list[tuple[str, WorkChainNode, Any]] = []
        process.submit = self._submit
        process.prepare()

    def _submit(self, chain: Any, **inputs: Any) -> WorkChainNode:
        label = inputs['metadata']['call_link_label']
        node = WorkChainNode(process_type='aiida.workflows:litraj.neb.base')
        node.set_process_label(chain.__name__)
        node.base.links.add_incoming(self.process.node, LinkType.CALL_WORK, label)
        for name, path in inputs['neb']['paths'].items():
            node.base.links.add_incoming(path, LinkType.INPUT_WORK, f'neb__paths__{name}')
        node.store()
        node.set_process_state(ProcessState.WAITING)
        self.submitted.append((label, node, inputs))
        return node

    def end(self, label: str, status: int | None, items: Mapping[str, str] | None = None, message: str = 'why') -> None:
        """Let a part end, ``None``: killed; ``items`` are what became of each, by its status."""
        node, inputs = next((one, given) for name, one, given in self.submitted if name == label)
        if items is None and status == 0:
            items = dict.fromkeys(inputs['neb']['paths'], 'converged')
        if items is not None:
            audit = {**AUDIT, 'model_calls': 10 * len(items)}
            entries = {name: entry(one, LABELS.get(one)) for name, one in items.items()}
            made = {'results': Dict(account(entries, audit)).store()}
            made |= {f'paths__{name}': surface_path().store() for name, one in items.items() if one == 'converged'}
            for name, one in made.items():
                one.base.links.add_incoming(node, LinkType.RETURN, name)
        node.set_process_state(ProcessState.KILLED if status is None else ProcessState.FINISHED)
        if status is not None:
            node.set_exit_status(status)
            node.set_exit_message(message if status else '')

    @property
    def running(self) -> list[str]:
        return [label for label, _ in self.process.ctx.running]

    def run(self, **endings: Any) -> Any:
        """Go through the outline and return as what it ends; a part goes well, unless ``endings`` says of its items."""
        process = self.process
        if process.wants_sample():
            process.run_sample()
            self._end('sample', endings)
        process.share_out()
        while process.is_under_way():
            process.advance()
            for label in self.running:
                self._end(label, endings)
        process.gather()
        return process.verdict()

    def _end(self, label: str, endings: Mapping[str, Any]) -> None:
        self.end(label, *(endings[label](self.parts[label]) if label in endings else (0,)))

    @property
    def parts(self) -> dict[str, list[str]]:
        return {label: sorted(inputs['neb']['paths']) for label, _, inputs in self.submitted}

    @property
    def reports(self) -> list[str]:
        return [log.message for log in Log.collection.get_logs_for(self.process.node)]


@pytest.fixture
def inputs(neb_inputs: Any) -> Any:
    """``inputs(paths, options)`` with a potential and parameters that are stored once."""
    shared = {'evaluated_by': potential().store(), 'parameters': neb_parameters().store()}

    def make(given: Mapping[str, PathData], **options: Any) -> dict[str, Any]:
        stored = {name: path if path.is_stored else path.store() for name, path in given.items()}
        return neb_inputs(stored, **shared, **options)

    return make


@pytest.fixture
def chain(instantiate: Any, inputs: Any) -> Any:
    """``chain(packing, paths, options)`` is a chain of which nothing has run."""

    def make(packing: Mapping[str, Any] | None = None, given: Any = None, **options: Any) -> Packed:
        job = given if given is not None and 'code' in given else inputs(given or paths(), **options)
        return Packed(instantiate(NebPackedWorkChain, {'neb': job, 'packing': Dict(dict(packing or {}))}))

    return make


def test_parts_have_every_item_once_and_so_have_the_outputs(chain: Any) -> None:
    made = chain({'max_jobs': 4})
    assert made.run() is None
    assert sorted(itertools.chain(*made.parts.values())) == sorted(paths())
    assert list(made.parts) == ['part_000', 'part_001', 'part_002', 'part_003']
    outputs = made.process.outputs
    assert set(outputs['paths']) == set(outputs['results']['items']) == set(paths())
    results = outputs['results']
    assert (results['exit']['label'], results['n_jobs'], results['n_parts']) == ('SUCCESS', 4, 4)
    assert results['audit']['wall_seconds'] == 4 * AUDIT['wall_seconds']
    assert results['audit']['model_calls'] == 60
    assert any('6 paths: 4 job(s) of about the same cost' in report for report in made.reports)


def test_one_part_hands_on_its_account_as_it_is(chain: Any) -> None:
    made = chain({'max_jobs': 1})
    assert made.run() is None
    (part,) = (node for _, node, _ in made.submitted)
    assert made.process.outputs['results'].uuid == part.outputs.results.uuid


def test_no_more_run_at_a_time_than_are_allowed(chain: Any) -> None:
    """And the next is submitted when any of them has ended."""
    known = {'seconds_per_unit': 100.0, 'max_jobs': 2, 'min_job_seconds': 1.0}
    made = chain(known, max_wallclock_seconds=1000)  # 500 s a path, and so one in each job
    made.process.share_out()
    made.process.advance()
    assert made.running == ['part_000', 'part_001']
    made.process.advance()
    assert made.running == ['part_000', 'part_001']
    made.end('part_001', 0)
    made.process.advance()
    assert made.running == ['part_000', 'part_002']
    assert len(made.process.ctx.plan) == 6


def test_estimate_is_told(chain: Any) -> None:
    made = chain({'seconds_per_unit': 100.0, 'max_jobs': 2, 'gpus': None}, max_wallclock_seconds=1000, device='cuda')
    made.process.share_out()
    said = '6 paths: 0.833 GPU hours estimated, 6 job(s) of 8.33 min, 2 at a time'
    assert any(said in report for report in made.reports), made.reports


def test_killed_worker_doubles_no_part(chain: Any) -> None:
    """The next one goes on from the checkpoint before: with the same plan, and parts that it does not know of."""
    made = chain({'max_jobs': 3})
    made.process.share_out()
    checkpoint = {'next': made.process.ctx.next, 'running': list(made.process.ctx.running)}
    made.process.advance()
    assert len(made.submitted) == 3
    made.process.ctx.next, made.process.ctx.running = checkpoint['next'], checkpoint['running']
    made.process.advance()
    assert len(made.submitted) == 3 and made.running == ['part_000', 'part_001', 'part_002']


def test_part_that_fails_keeps_what_it_finished_and_stops_no_other(chain: Any) -> None:
    made = chain({'max_jobs': 3})
    ended = made.run(part_001=lambda names: (401, {names[0]: 'converged', names[1]: 'unfinished'}, 'no more jobs'))
    lost = made.parts['part_001'][1]
    assert ended.status == 401 and ended.message == 'part_001, 1 of 6 left: no more jobs'
    assert set(made.process.outputs['paths']) == set(paths()) - {lost}
    assert made.process.outputs['results']['items'][lost]['status'] == 'unfinished'


def test_first_job_that_was_killed_is_no_reason_to_submit_all_others(chain: Any) -> None:
    """They wait for what it says, and that is nothing."""
    made = chain({'sample_items': 1, 'max_jobs': 3, 'min_job_seconds': 1e-9}, max_wallclock_seconds=100)
    ended = made.run(sample=lambda names: (None,))
    assert list(made.parts) == ['sample']
    assert ended.status == made.process.exit_codes.ERROR_SUB_PROCESS_KILLED.status


def test_part_that_was_killed_by_a_person_is_said(chain: Any) -> None:
    made = chain({'max_jobs': 3})
    ended = made.run(part_000=lambda names: (None,))
    assert ended.status == made.process.exit_codes.ERROR_SUB_PROCESS_KILLED.status
    assert len(made.process.outputs['paths']) == 4


@pytest.mark.parametrize('parts', [2, 3])
def test_account_has_items_of_which_no_part_says_anything(parts: int, chain: Any) -> None:
    """Also where a single part is left that has an account."""
    made = chain({'max_jobs': parts})
    made.run(part_000=lambda names: (None,))
    results, lost = made.process.outputs['results'].get_dict(), made.parts['part_000']
    assert set(results['items']) == set(paths())
    assert {name for name, one in results['items'].items() if one['status'] == 'unfinished'} == set(lost)
    assert {results['items'][name]['label'] for name in lost} == {'ERROR_RESULT_MISSING'}
    assert set(results['items'][lost[0]]) == set(entry('unfinished', 'ERROR_OUT_OF_TIME'))
    assert results['exit']['label'] == 'ERROR_OUT_OF_TIME'
    assert f'{6 - len(lost)} of 6' in results['exit']['message']


def test_verdict_on_items_is_that_of_one_job(chain: Any) -> None:
    """A part of which all paths were given up ended as they did; of all paths together some converged."""
    made = chain({'max_jobs': 3})
    ended = made.run(part_000=lambda names: (504, dict.fromkeys(names, 'failed'), 'given up'))
    assert ended.status == BY_LABEL['ERROR_PARTIAL'].status
    assert '4 of 6 paths converged' in ended.message


def test_broken_environment_is_met_once(chain: Any) -> None:
    """Where the first parts come to nothing, those that wait are not submitted."""
    known = {'seconds_per_unit': 100.0, 'max_jobs': 2, 'min_job_seconds': 1.0}
    made = chain(known, max_wallclock_seconds=1000)
    broken = lambda names: (321, None, 'no potential')  # noqa: E731
    ended = made.run(part_000=broken, part_001=broken)
    assert len(made.submitted) == 2
    assert ended.status == 321 and 'no potential' in ended.message


def test_first_job_measures(chain: Any) -> None:
    made = chain({'sample_items': 1, 'max_jobs': 3, 'min_job_seconds': 1e-9}, max_wallclock_seconds=100)
    assert made.run() is None
    assert next(iter(made.parts)) == 'sample' and len(made.parts['sample']) == 1
    # A path took 1 s in the model; of 100 s a part is to fill 80, and more than three at a time are not allowed.
    assert len(made.parts) == 1 + 3
    assert sorted(itertools.chain(*made.parts.values())) == sorted(paths())
    assert any('5 paths: 0.00139 process hours estimated, 3 job(s) of 2 s' in report for report in made.reports)


def before(job_node: Any, inputs: Mapping[str, Any], status: int, items: Mapping[str, str], **facts: Any) -> Any:
    """Return a job of before with these inputs, and what became of its items."""
    entries = {name: entry(one, facts.get('label') or LABELS.get(one)) for name, one in items.items()}
    outputs: dict[str, Any] = {'results': Dict(account(entries, AUDIT))}
    done = {name: surface_path() for name, one in items.items() if one == 'converged'}
    outputs |= {'paths': done} if done else {}
    given = {**inputs, 'paths': {name: inputs['paths'][name] for name in items}}
    node = job_node(given, Job(status, outputs=outputs))
    node.set_job_id('1')
    return node


def test_items_of_before_are_taken_or_gone_on_with(chain: Any, inputs: Any, job_node: Any) -> None:
    """Also where the jobs of before were of other sets of paths, and the one that was cut off has less now."""
    job = inputs(paths())
    done = before(job_node, job, 0, {'p0': 'converged', 'p1': 'converged'})
    cut = before(job_node, job, 400, {'p2': 'converged', 'p3': 'unfinished', 'p4': 'unfinished'})
    made = chain({'max_jobs': 2}, {**job, 'paths': {name: job['paths'][name] for name in ('p1', 'p2', 'p3', 'p5')}})
    assert made.process.ctx.earlier == {'p1': done.uuid, 'p2': cut.uuid}
    assert made.run() is None
    assert made.parts == {'resumed_000': ['p3'], 'part_000': ['p5']}
    folders = [given['neb'].get('parent_folder') for _, _, given in made.submitted]
    assert folders[0].uuid == cut.outputs.remote_folder.uuid and folders[1] is None
    outputs = made.process.outputs
    assert {name: outputs['paths'][name].creator for name in ('p1', 'p2')} == {'p1': done, 'p2': cut}
    results = outputs['results']
    assert set(results['items']) == {'p1', 'p2', 'p3', 'p5'} and results['n_earlier'] == 2
    # Of the first job half, of the second a third of what the three paths cost.
    assert results['audit']['wall_seconds'] == pytest.approx((1 / 2 + 1 + 1 + 1) * AUDIT['wall_seconds'])


def test_part_whose_folder_has_gone_begins_anew(chain: Any, inputs: Any, job_node: Any) -> None:
    """It is cleaned after the plan was made: the chain of the part does not take it any more."""
    job = inputs(paths(2))
    cut = before(job_node, job, 400, dict.fromkeys(paths(2), 'unfinished'))
    made = chain({}, job)
    assert [part['label'] for part in made.process.ctx.plan] == ['resumed_000']
    cut.outputs.remote_folder.base.extras.set('cleaned', True)
    taken = made.process.submit

    def submit(part: Any, **given: Any) -> Any:
        problem = part.spec().inputs.validate({name: one for name, one in given.items() if name != 'metadata'})
        if problem is not None:
            raise ValueError(problem.message)
        return taken(part, **given)

    made.process.submit = submit
    assert made.run() is None
    assert made.parts == {'resumed_000': ['p0', 'p1']}
    assert 'parent_folder' not in made.submitted[0][2]['neb']
    assert any('resumed_000 begins anew' in report for report in made.reports)


def test_items_that_run_elsewhere_are_told(chain: Any, inputs: Any, job_node: Any) -> None:
    job = inputs(paths(2))
    running = before(job_node, job, 400, {'p1': 'unfinished'})
    running.set_process_state(ProcessState.WAITING)
    made = chain({'max_jobs': 1}, job)
    assert made.process.ctx.open == ['p0', 'p1']
    said = f'1 paths (p1) are under way in NebCalculation<{running.pk}> of another launch too'
    assert any(said in report for report in made.reports), made.reports
    running.set_process_state(ProcessState.KILLED)
    assert not any('another launch' in report for report in chain({'max_jobs': 1}, job).reports)


def test_extra_has_how_many_earlier_items_converged(chain: Any, inputs: Any, job_node: Any) -> None:
    job = inputs(paths(3))
    before(job_node, job, 500, {'p0': 'failed', 'p1': 'converged'})
    made = chain({}, job)
    assert made.run().status == BY_LABEL['ERROR_PARTIAL'].status
    told = made.process.node.base.extras.get(PACKED_EXTRA)
    assert told == {'total': 3, 'earlier': 2, 'earlier_converged': 1, 'waiting': 0}


def test_account_of_an_earlier_job_is_read_once(inputs: Any, job_node: Any) -> None:
    """It has all items of the job in it: the database is not to go through it for each of them again."""
    job = inputs(paths(2))
    before(job_node, job, 0, dict.fromkeys(paths(2), 'converged'))
    wanted = {name: {f'paths__{name}': path.base.caching.get_hash()} for name, path in job['paths'].items()}
    asked: list[str] = []
    engine = get_manager().get_profile_storage().get_session().get_bind()

    def listen(_connection: Any, _cursor: Any, statement: str, values: Any, *_: Any) -> None:
        if 'paths' in str(values):  # the labels of the links of items
            asked.append(statement.partition('FROM')[0])

    event.listen(engine, 'before_cursor_execute', listen)
    found = finished_items(NebBaseWorkChain._process_class, job, wanted)
    event.remove(engine, 'before_cursor_execute', listen)
    assert set(found) == set(paths(2))
    assert asked and not any('attributes' in columns for columns in asked)


@pytest.mark.parametrize('how', ['packing', 'job'])
def test_who_takes_nothing_of_before_is_told_nothing_of_it(how: str, chain: Any, inputs: Any, job_node: Any) -> None:
    """What there is so far of a chain that computes all anew is what its own jobs have done."""
    job = inputs(paths(2))
    first, second = job['paths']
    before(job_node, job, 0, dict.fromkeys(job['paths'], 'converged'))
    given = [job[name] for name in ('code', 'potential', 'parameters', 'paths')]
    if how == 'job':
        job['metadata'] = {**job['metadata'], 'disable_cache': True}
    node = chain({'reuse': False} if how == 'packing' else {}, job).process.node
    assert set(finished_so_far(*given)[0]) == {first, second}
    assert finished_so_far(*given, node) == ({}, None)
    own = before(job_node, job, 0, {first: 'converged'})
    own.backend_entity.add_incoming(node.backend_entity, LinkType.CALL_CALC, 'iteration_01')
    made, said = finished_so_far(*given, node)
    assert {name: path.creator.pk for name, path in made.items()} == {first: own.pk}
    assert said is not None and said['items'][second]['status'] == 'unfinished'


def test_launch_that_has_nothing_to_do_submits_nothing(chain: Any, inputs: Any, job_node: Any) -> None:
    job = inputs(paths(2))
    before(job_node, job, 0, {'p0': 'converged', 'p1': 'converged'})
    made = chain({}, job)
    assert made.run() is None
    assert not made.submitted and set(made.process.outputs['paths']) == {'p0', 'p1'}
    again = chain({'reuse': False}, job)
    assert again.run() is None and len(again.submitted) == 2
    # Nor does the cache give it, or a job that was cut off.
    assert all(given['neb']['metadata']['disable_cache'] for _, _, given in again.submitted)
    metadata = {**job['metadata'], 'disable_cache': True}
    assert len(chain({'max_jobs': 1}, {**job, 'metadata': metadata}).process.ctx.plan) == 0


@pytest.mark.parametrize('label', ['ERROR_ITEM_OUT_OF_TIME', 'ERROR_DEVICE_MEMORY', 'ERROR_EVALUATION'])
def test_item_given_up_for_where_it_ran_is_tried_again(label: str, chain: Any, inputs: Any, job_node: Any) -> None:
    job = inputs(paths(2))
    before(job_node, job, BY_LABEL[label].status, {'p0': 'failed', 'p1': 'converged'}, label=label)
    assert set(chain({}, job).process.ctx.earlier) == {'p1'}


def test_item_that_physics_said_no_to_is_not_asked_again(chain: Any, inputs: Any, job_node: Any) -> None:
    job = inputs(paths(2))
    before(job_node, job, 500, {'p0': 'failed', 'p1': 'converged'})
    assert set(chain({}, job).process.ctx.earlier) == {'p0', 'p1'}


def test_job_that_is_barred_or_of_anything_else_is_not_taken(inputs: Any, job_node: Any) -> None:
    job = inputs(paths(2))
    before(job_node, job, 0, {'p0': 'converged'}).base.extras.set('_aiida_valid_cache', False)
    before(job_node, {**job, 'parameters': neb_parameters(band={'max_steps': 50}).store()}, 0, {'p0': 'converged'})
    before(job_node, {**job, 'potential': potential(depth=2.0).store()}, 0, {'p0': 'converged'})
    before(job_node, {**job, 'paths': {'p0': vacancy_path()}}, 0, {'p0': 'converged'})
    older = before(job_node, job, 0, {'p0': 'converged'})
    older.backend_entity.set_attribute('cache_version', {'calc_job': LitrajCalcJob.CACHE_VERSION - 1})
    removed = before(job_node, job, 500, {'p1': 'failed'})
    entries = {'p1': {**entry('failed', 'ERROR_ENDPOINT_MOVED'), 'label': 'ERROR_OF_AN_OLDER_TABLE'}}
    removed.outputs.results.backend_entity.set_attribute('items', entries)
    wanted = {name: {f'paths__{name}': path.base.caching.get_hash()} for name, path in job['paths'].items()}
    assert finished_items(NebBaseWorkChain._process_class, job, wanted) == {}
    assert stopped_items(NebBaseWorkChain._process_class, job, wanted) == []


def test_job_that_runs_is_not_copied_from(inputs: Any, job_node: Any) -> None:
    job = inputs(paths(2))
    process = NebBaseWorkChain._process_class
    wanted = {name: {f'paths__{name}': path.base.caching.get_hash()} for name, path in job['paths'].items()}
    first = before(job_node, job, 400, {'p0': 'unfinished', 'p1': 'unfinished'})
    (found,) = stopped_items(process, job, wanted)
    assert (found.job.pk, found.items) == (first.pk, ['p0', 'p1'])
    second = before(job_node, job, 400, {'p1': 'unfinished'})
    assert {(one.job.pk, *one.items) for one in stopped_items(process, job, wanted)} == {
        (first.pk, 'p0'), (second.pk, 'p1'),
    }  # fmt: skip
    second.set_process_state(ProcessState.WAITING)
    assert {(one.job.pk, *one.items) for one in stopped_items(process, job, wanted)} == {(first.pk, 'p0')}


def test_paths_with_an_end_in_common_share_a_part(chain: Any) -> None:
    """Two and two leave the same vacancy; by name and size alone they would be parted."""
    given = {f'{"ab"[k]}{site}': vacancy_path(ion=site + 2 * k - 1, site=site) for site in (1, 5, 9) for k in (0, 1)}
    made = chain({'max_jobs': 3}, given)
    assert made.run() is None
    assert sorted(made.parts.values()) == [['a1', 'b1'], ['a5', 'b5'], ['a9', 'b9']]


@pytest.mark.parametrize(
    ('packing', 'options', 'words'),
    [
        ({'max_jobs': 0}, {}, ['packing.max_jobs = 0', 'greater than 0']),
        ({'max_job': 3}, {}, ['packing.max_job', 'is not known', 'max_jobs']),
        ({'fill': 1.5}, {}, ['packing.fill = 1.5', 'less than or equal to 1']),
        (
            {'walltime_seconds': 60}, {'max_wallclock_seconds': 120},
            ['packing.walltime_seconds = 60, but metadata.options.max_wallclock_seconds = 120', 'say it once'],
        ),
    ],
)  # fmt: skip
def test_bad_packing_is_refused(
    packing: Any, options: Any, words: list[str], inputs: Any, instantiate: Any, count_processes: Any
) -> None:
    job, number = inputs(paths(2), **options), count_processes()
    with pytest.raises(ValueError) as refused:
        instantiate(NebPackedWorkChain, {'neb': job, 'packing': Dict(packing)})
    for word in words:
        assert word in str(refused.value)
    assert count_processes() == number


def test_builder_is_that_of_the_restarting_chain(launcher_code: Any, computer: Any) -> None:
    arguments = (launcher_code, paths(2), potential())
    options = {'options': {'device': 'cpu'}, 'computer': computer}
    one = NebBaseWorkChain.get_builder_from_protocol(*arguments, **options)
    packed = NebPackedWorkChain.get_builder_from_protocol(*arguments, **options, packing={'max_jobs': 3})
    assert packed.packing.get_dict() == {'max_jobs': 3}
    assert packed.neb.parameters.get_dict() == one.neb.parameters.get_dict()
    assert packed.neb.metadata.options['device'] == 'cpu'
    with pytest.raises(ValueError, match=r'packing\.max_jobs = 0'):
        NebPackedWorkChain.get_builder_from_protocol(*arguments, **options, packing={'max_jobs': 0})


def test_walltime_of_a_packing_is_that_of_its_jobs(chain: Any) -> None:
    made = chain({'walltime_seconds': 1000, 'max_jobs': 1})
    made.run()
    assert {given['neb']['metadata']['options']['max_wallclock_seconds'] for _, _, given in made.submitted} == {1000}


def test_account_of_pieces_is_that_of_their_block() -> None:
    """The second piece has two failures, which are the fourth and fifth configuration of the block."""
    good = {'status': 'finished', 'converged': True, 'label': None, 'reason': None, 'n_steps': 0, 'n_frames': 3}
    good |= {'n_evaluated': 3, 'failures': [], 'model_calls': 3}
    failures = [{'frame': k, 'label': 'ERROR_NON_FINITE', 'reason': 'nan'} for k in (0, 1)]
    bad = {**good, 'converged': False, 'label': 'ERROR_PARTIAL', 'n_evaluated': 1, 'failures': failures}
    pieces = [{'name': 'x', 'n_frames': 3}, {'name': 'y', 'n_frames': 3}]
    joined = joined_entry(list(zip(pieces, [good, bad], strict=True)))
    assert (joined['n_frames'], joined['n_evaluated'], joined['model_calls']) == (6, 4, 6)
    assert [failure['frame'] for failure in joined['failures']] == [3, 4]
    assert (joined['status'], joined['converged'], joined['label']) == ('finished', False, 'ERROR_PARTIAL')
    assert joined['reason'] == '4 of 6 frames converged; frame 3: nan'
    missing = joined_entry(list(zip(pieces, [good, None], strict=True)))
    assert (missing['status'], missing['label'], missing['n_evaluated']) == ('unfinished', 'ERROR_RESULT_MISSING', 3)
    whole = joined_entry([(pieces[0], good)])
    assert (whole['status'], whole['converged'], whole['label'], whole['reason']) == ('finished', True, None, None)


def test_counts_of_parts_are_sums_and_those_of_resumed_jobs_are_not_counted_twice() -> None:
    """A part of two jobs, of which the second took up all of the first, beside a part of one."""
    first = {**AUDIT, 'model_calls': 6, 'resumed_calls': 0}
    second = {**AUDIT, 'model_calls': 10, 'resumed_calls': 6, 'peak_memory_mb': 300.0}
    resumed = merge([
        account({'a': entry('unfinished', 'ERROR_OUT_OF_TIME')}, first), account({'a': entry('converged')}, second),
    ])  # fmt: skip
    beside = account({'b': entry('converged', calls=25)}, {**AUDIT, 'model_calls': 25, 'processes': 4})
    about = {'take': {'part_000': ['a'], 'part_001': ['b']}, 'earlier': []}
    both = merged(about, {'part_000': resumed, 'part_001': beside})
    assert (both['audit']['model_calls'], both['n_jobs'], both['n_parts']) == (35, 3, 2)
    assert both['audit']['wall_seconds'] == 3 * AUDIT['wall_seconds']
    assert (both['audit']['peak_memory_mb'], both['audit']['processes']) == (300.0, 4)


def test_time_of_a_unit_of_cost() -> None:
    done = account({'a': entry('converged'), 'b': entry('failed', 'ERROR_ENDPOINT_MOVED')}, AUDIT)
    rate = rate_of({'a': 40.0, 'b': 60.0}, done)
    assert rate == {'seconds': AUDIT['model_seconds'], 'units': 40.0, 'processes': 1, 'device': 'cpu'}
    cut_off = account({'a': entry('converged'), 'b': entry('unfinished', 'ERROR_OUT_OF_TIME')}, AUDIT)
    assert rate_of({'a': 40.0, 'b': 60.0}, cut_off) is None
    assert rate_of({'a': 40.0}, account({'a': entry('converged')}, {**AUDIT, 'resumed_calls': 5})) is None
    assert read_packing({}).max_jobs == 10


def test_share_of_an_earlier_job_is_by_evaluations_also_of_dynamics() -> None:
    """A replica of 99 steps beside one of 299 has cost a quarter of their job."""
    short, long = ({'status': 'finished', 'converged': True, 'n_steps': steps} for steps in (99, 299))
    audit = {**AUDIT, 'model_calls': 400}
    job = {'schema_version': 1, 'task': 'md', 'items': {'short': short, 'long': long}, 'audit': audit}
    about = {'take': {'earlier_000': ['short']}, 'earlier': ['earlier_000']}
    found = merged(about, {'earlier_000': job})['audit']
    assert (found['model_calls'], found['wall_seconds']) == (100, pytest.approx(AUDIT['wall_seconds'] / 4))
