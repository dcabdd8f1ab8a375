"""What the restarting chain of dynamics makes of a job's end, beyond what all chains do."""

from __future__ import annotations

from typing import Any

import pytest
from aiida.orm import Bool, Dict, Int, Log, Str, StructureData

from aiida_litraj.calculations.md import MdCalculation
from aiida_litraj.calculations.monitors import DEAD, STALLED, STOPPED_EXTRA
from aiida_litraj.contract.md import MdItemResult
from aiida_litraj.contract.result import Progress
from aiida_litraj.contract.trajectory import Header, RecordWriter
from aiida_litraj.contract.verdict import judge
from aiida_litraj.data import MdTrajectoryData
from aiida_litraj.workflows.md import MdBaseWorkChain
from tests.fixtures.nodes import Job, fcc, potential, rattled, replica

CODES = MdCalculation.exit_codes
REASON = 'the replica died after 3 fs: 9e9 K, above 6000'


def entry(status: str, label: str | None = None) -> dict[str, Any]:
    """How a replica of a faked job ended."""
    made = MdItemResult(
        id='x', status=status, converged=status == 'finished', label=label,  # type: ignore[arg-type]
        reason=None if label is None else REASON,
    )  # fmt: skip
    return made.model_dump(mode='json', exclude={'id'})


DONE, DEAD_ENTRY, OPEN = entry('finished'), entry('failed', 'ERROR_UNSTABLE'), entry('unfinished', 'ERROR_OUT_OF_TIME')


@pytest.fixture
def trajectory(tmp_path: Any) -> Any:
    """``trajectory(n_frames)`` is the node of a replica of that many frames."""

    def make(n_frames: int = 1) -> MdTrajectoryData:
        writer = RecordWriter(tmp_path / 'x.frames', Header('frames', (3,), (True,) * 3))
        for step in range(n_frames):
            writer.append({'step': step, 'time_fs': float(step)})
        return MdTrajectoryData.from_records(tmp_path / 'x.frames')

    return make


def fcc_of_eight() -> StructureData:
    """Two cubic cells of an fcc crystal."""
    two = fcc().get_ase().repeat((2, 1, 1))
    return StructureData(ase=two)


class Chain:
    """A chain of replicas ``a`` of one structure and ``b`` of another, whose jobs are faked one after the other."""

    def __init__(self, process: Any, job_node: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.process, self._job_node = process, job_node
        process.setup()
        process.ctx.children = []
        self._calls, self.label, self.pauses = 0, '', 0
        monkeypatch.setattr(type(process), 'submit', lambda *_, **__: process.node)
        monkeypatch.setattr(type(process), 'pause', self._pause)

    def _pause(self, *_: Any) -> None:
        self.pauses += 1

    def submit(self) -> bool:
        """Submit the next job; return whether it shall keep the frames of what it does not finish."""
        iteration = self.process.ctx.iteration
        self.process.run_process()
        assert self.process.ctx.iteration == iteration + 1
        self.process.ctx.iteration = iteration
        self.label = self.inputs.metadata.call_link_label
        return bool(self.inputs.metadata.options.keep_unfinished)

    def job(self, status: int, items: dict[str, Any], calls: int, nodes: Any = None, stopped: str | None = None) -> Any:
        process = self.process
        ended = judge([MdItemResult(id=name, **each) for name, each in items.items()], 'replicas')
        results = {'schema_version': 1, 'task': 'md', 'exit': ended.model_dump(), 'items': items, 'audit': None}
        progress = Progress(
            task='md', n_items=2, n_finished=0, n_converged=0, n_active=2, model_calls=calls,
            resumed_calls=self._calls, wall_seconds=1.0, updated_at='',
        ).model_dump_json().encode()  # fmt: skip
        outputs = {'results': Dict(results), **({'trajectories': nodes} if nodes else {})}
        inputs = {name: dict(process.ctx.inputs[name]) for name in ('replicas', 'structures')}
        node = self._job_node(inputs, Job(status, progress=progress, outputs=outputs, task='md'))
        if stopped is not None:
            node.base.extras.set(STOPPED_EXTRA, stopped)
        self._calls = calls
        process.ctx.iteration += 1
        process.ctx.children.append(node)
        return process.inspect_process()

    @property
    def inputs(self) -> Any:
        return self.process.ctx.inputs


@pytest.fixture
def chain(instantiate: Any, md_inputs: Any, job_node: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """``chain(max_iterations)`` is a chain of two replicas."""

    def make(max_iterations: int = 20, structure: Any = None, **given: Any) -> Chain:
        inputs = md_inputs({'a': replica(), 'b': replica('off')}, {'fcc': structure or fcc(), 'off': rattled()})
        process = instantiate(MdBaseWorkChain, {'md': inputs, 'max_iterations': Int(max_iterations), **given})
        return Chain(process, job_node, monkeypatch)

    return make


RESUMED = [
    CODES.ERROR_OUT_OF_TIME, CODES.ERROR_RESULT_MISSING, CODES.ERROR_ENGINE_CRASHED,
    CODES.ERROR_SCHEDULER_OUT_OF_WALLTIME, CODES.ERROR_SCHEDULER_NODE_FAILURE,
]  # fmt: skip


@pytest.mark.parametrize('code', RESUMED, ids=lambda code: str(code.status))
def test_replicas_that_were_cut_off_go_on(chain: Any, trajectory: Any, code: Any) -> None:
    """With their structures only, from the folder with their frames; each frame is stored once."""
    made = chain()
    assert not made.submit()
    assert made.job(code.status, {'a': DONE, 'b': OPEN}, 15, {'a': trajectory()}).status == 0
    assert (set(made.inputs.replicas), set(made.inputs.structures)) == ({'b'}, {'off'})
    assert made.inputs.parent_folder.pk == made.process.ctx.children[0].outputs.remote_folder.pk
    assert not made.submit()
    assert made.job(0, {'b': DONE}, 30, {'b': trajectory(3)}) is None
    made.process.results()
    assert made.process.verdict() is None
    outputs = made.process.outputs
    assert {name: node.creator.pk for name, node in outputs['trajectories'].items()} == {
        name: job.pk for name, job in zip('ab', made.process.ctx.children)
    }
    assert outputs['results']['exit']['message'] == 'all replicas converged'


def test_replica_that_died_is_a_result(chain: Any, trajectory: Any) -> None:
    made = chain()
    assert made.job(400, {'a': DEAD_ENTRY, 'b': OPEN}, 15, {'a': trajectory()}).status == 0
    assert set(made.inputs.replicas) == {'b'}
    assert made.job(510, {'b': DEAD_ENTRY}, 30, {'b': trajectory()}).status == 0
    assert made.process.ctx.is_finished
    made.process.results()
    verdict = made.process.verdict()
    assert (verdict.status, verdict.message) == (510, f'a: {REASON}')
    assert set(made.process.outputs['trajectories']) == {'a', 'b'}


def test_some_that_died_beside_others_that_did_not(chain: Any, trajectory: Any) -> None:
    made = chain()
    assert made.job(501, {'a': DEAD_ENTRY, 'b': DONE}, 15, {'a': trajectory(), 'b': trajectory()}).status == 0
    made.process.results()
    assert made.process.verdict() == (501, '1 of 2 replicas converged', False)


def test_last_job_that_is_allowed_keeps_what_it_does_not_finish(chain: Any, trajectory: Any) -> None:
    made = chain(max_iterations=2)
    assert not made.submit()
    assert made.job(400, {'a': OPEN, 'b': OPEN}, 15).status == 0
    assert made.submit()
    ended = made.job(400, {'a': OPEN, 'b': OPEN}, 30, {'a': trajectory(2), 'b': trajectory(3)})
    assert ended.status == 401
    assert {name: node.n_frames for name, node in made.process.outputs['trajectories'].items()} == {'a': 2, 'b': 3}


def test_job_after_one_that_got_nowhere_keeps_it_too(chain: Any) -> None:
    """For the chain may give up after it."""
    made = chain()
    assert made.job(400, {'a': OPEN, 'b': OPEN}, 15).status == 0
    assert not made.submit()
    assert made.job(303, {'a': OPEN, 'b': OPEN}, 15).status == 0
    assert made.submit()


def test_job_that_hung_is_resumed_once_it_has_got_somewhere(chain: Any) -> None:
    made = chain()
    assert made.job(150, {'a': OPEN, 'b': OPEN}, 15, stopped=STALLED).status == 0
    assert not made.process.ctx.is_finished
    assert made.job(150, {'a': OPEN, 'b': OPEN}, 15, stopped=STALLED).status == 0
    ended = made.job(150, {'a': OPEN, 'b': OPEN}, 15, stopped=STALLED)
    assert (ended.status, ended.message) == (150, 'exit message 150')


def test_job_with_too_many_dead_is_the_end(chain: Any, trajectory: Any) -> None:
    made = chain()
    items = {'a': DEAD_ENTRY, 'b': OPEN}
    ended = made.job(150, items, 15, {'a': trajectory(), 'b': trajectory(2)}, stopped=DEAD)
    assert ended.status == 150
    assert set(made.process.outputs['trajectories']) == {'a', 'b'}
    reports = [log.message for log in Log.collection.get_logs_for(made.process.node)]
    assert any('a monitor has ended it for good' in report for report in reports)


def test_memory_is_that_of_the_largest_structure_left(chain: Any, trajectory: Any) -> None:
    made = chain(structure=fcc_of_eight())
    assert made.process.largest() == 8
    assert made.job(400, {'a': DONE, 'b': OPEN}, 15, {'a': trajectory()}).status == 0
    assert made.process.largest() == 4


# A person is asked what to do


def test_played_after_its_last_job_it_goes_on_from_that_one(chain: Any, trajectory: Any) -> None:
    """Twice: the labels go on, the jobs are counted anew, and it is the last job that is judged."""
    made = chain(max_iterations=2, pause_on_max_iterations=Bool(True))
    labels = []
    for number in range(1, 5):
        kept = made.submit()
        labels.append(made.label)
        assert kept == (number % 2 == 0)  # for the person may leave it at that
        ended = made.job(400, {'a': OPEN, 'b': OPEN}, 10 * number, {'a': trajectory(number)} if kept else None)
        assert (ended is None) == kept
        assert made.pauses == number // 2
        last = made.process.jobs()[-1]
        assert made.inputs.parent_folder.pk == last.outputs.remote_folder.pk
        considered = made.process.node.base.extras.get('considered_handlers')
        assert len(considered) == number
    made.submit()
    labels.append(made.label)
    assert labels == [f'iteration_0{number}' for number in range(1, 6)]
    assert made.job(0, {'a': DONE, 'b': DONE}, 50, {'a': trajectory(9), 'b': trajectory(9)}) is None
    assert made.process.ctx.is_finished
    made.process.results()
    assert made.process.verdict() is None
    outputs = made.process.outputs
    assert {name: node.n_frames for name, node in outputs['trajectories'].items()} == {'a': 9, 'b': 9}
    assert outputs['results']['n_jobs'] == 5


def test_played_after_it_was_stuck_it_is_as_patient_as_before(chain: Any) -> None:
    made = chain(max_iterations=2, pause_on_max_iterations=Bool(True))
    items = {'a': OPEN, 'b': OPEN}
    assert made.job(310, items, 15).status == 0
    assert not made.job(310, items, 15)
    assert made.pauses == 1
    assert made.job(310, items, 15).status == 0


@pytest.mark.parametrize('action', ['pause', 'restart_once'])
def test_after_what_nobody_knows_only_what_is_left_is_done(chain: Any, trajectory: Any, action: str) -> None:
    made = chain(on_unhandled_failure=Str(action))
    assert made.job(199, {'a': DONE, 'b': OPEN}, 15, {'a': trajectory()}) is None
    assert made.pauses == (action == 'pause')
    assert (set(made.inputs.replicas), set(made.inputs.structures)) == ({'b'}, {'off'})
    assert made.inputs.parent_folder.pk == made.process.jobs()[0].outputs.remote_folder.pk


# Builders


@pytest.mark.parametrize('protocol', MdBaseWorkChain.get_available_protocols())
def test_builder_of_a_protocol(protocol: str, builder_of: Any, data_regression: Any) -> None:
    builder = builder_of(protocol, options={'device': 'cpu'})
    assert builder.md.parameters.label == protocol
    data_regression.check(
        {
            'parameters': builder.md.parameters.get_dict(),
            'replicas': {name: node.get_dict() for name, node in builder.md.replicas.items()},
            'structures': {name: len(structure.sites) for name, structure in builder.md.structures.items()},
            'potential': builder.md.potential.to_spec().model_dump(mode='json'),
            'monitors': {name: node.get_dict() for name, node in builder.md.monitors.items()},
            'options': {'device': builder.md.metadata.options.device},
        }
    )


@pytest.fixture
def builder_of(launcher_code: Any) -> Any:
    """``builder_of(protocol, **changes)`` is the builder of a chain of one replica."""

    def make(protocol: str | None = None, segment: Any = None, **changes: Any) -> Any:
        values = MdBaseWorkChain.get_protocol_inputs(protocol)['parameters']
        pressure = {'pressure_gpa': 0.0} if values['ensemble'] == 'npt' else {}
        schedule = [{'duration_fs': 2000.0, 'temperature_k': 300.0, **pressure, **(segment or {})}]
        given = {
            'structures': {'fcc': fcc()},
            'replicas': {'cold': {'structure': 'fcc', 'seed': 1, 'schedule': schedule}},
            'potential': potential('morse'),
            **changes,
        }
        return MdBaseWorkChain.get_builder_from_protocol(launcher_code, protocol=protocol, **given)

    return make


def test_default_is_balanced_which_is_nvt(builder_of: Any) -> None:
    found = [builder_of(name).md.parameters.get_dict() for name in (None, 'balanced', 'nvt')]
    assert found[0] == found[1] == found[2]


def test_override_of_another_kind_takes_the_place_of_the_block(builder_of: Any) -> None:
    langevin = {'kind': 'langevin', 'friction_per_ps': 2.0}
    builder = builder_of(overrides={'parameters': {'thermostat': langevin}})
    assert builder.md.parameters['thermostat'] == langevin
    faster = builder_of(overrides={'parameters': {'thermostat': {'tau_fs': 50.0}, 'limits': {'volume_ratio_max': 9}}})
    assert faster.md.parameters['thermostat'] == {'kind': 'nose-hoover', 'tau_fs': 50.0, 'chain_length': 3}
    assert faster.md.parameters['limits']['volume_ratio_max'] == 9.0


def test_published_anneal_is_that_of_the_paper(builder_of: Any) -> None:
    """A frame each ps, contacts at 1 Ang, hold at any cell of its grid."""
    hottest = {'duration_fs': 100_000.0, 'temperature_k': 16_000.0, 'pressure_gpa': 1000.0}
    parameters = builder_of('lips25-2025', hottest).md.parameters
    assert (parameters['frame_interval_fs'], parameters['contact_distance_ang']) == (1000.0, 1.0)
    assert parameters['ensemble'] == 'npt'


BAD: dict[str, tuple[dict[str, Any], str]] = {
    'protocol': ({'protocol': 'fast'}, r"protocol 'fast' is not known; there are: balanced, nvt, nvt-lang"),
    'section': ({'overrides': {'parameter': {}}}, r"override 'parameter' = {} is not known; there are: parameters"),
    'field': ({'overrides': {'parameters': {'timestep': 1}}}, r'parameters\.timestep = 1 is not known, but time'),
    'field of another kind': (
        {'overrides': {'parameters': {'thermostat': {'kind': 'langevin'}}}},
        r'parameters\.thermostat\.langevin\.friction_per_ps is missing',
    ),
    'kind': ({'overrides': {'parameters': {'thermostat': {'kind': 'berendsen'}}}}, r"'langevin', 'nose-hoover'"),
    'pair': (
        {'overrides': {'parameters': {'barostat': {'kind': 'mtk', 'tau_fs': 1e3, 'chain_length': 3, 'cell': 'full'}}}},
        r'ensemble nvt has no barostat, but barostat is mtk: set it to null, or the ensemble to npt',
    ),
    'negative temperature': ({'segment': {'temperature_k': -1.0}}, r'temperature_k = -1\.0: it should be greater'),
    'pressure': ({'segment': {'pressure_gpa': 1.0}}, r'pressure_gpa is 1, which nvt cannot hold'),
    'nothing': ({'replicas': {}}, r'replicas: none given'),
    'structure': (
        {'replicas': {'x': {'structure': 'hcp', 'seed': 0, 'schedule': [{'duration_fs': 10, 'temperature_k': 1}]}}},
        r"replicas\.x\.structure = 'hcp' is not among the structures: fcc",
    ),
}  # fmt: skip


@pytest.mark.parametrize('case', BAD)
def test_what_cannot_be_run_is_refused_with_the_builder(case: str, builder_of: Any, launcher_code: Any) -> None:
    arguments, message = BAD[case]
    if 'protocol' in arguments:
        with pytest.raises(ValueError, match=message):
            MdBaseWorkChain.get_builder_from_protocol(launcher_code, {}, {}, None, **arguments)  # type: ignore[arg-type]
        return
    with pytest.raises(ValueError, match=message):
        builder_of(**arguments)
