"""Trainings: numbers of the protocols, what is refused, and what the restarting chain makes of a job's end."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from aiida.orm import ArrayData, Dict, Int

from aiida_litraj.calculations.train import TrainCalculation
from aiida_litraj.contract.result import ActiveItem, Progress
from aiida_litraj.contract.train import TrainItemResult
from aiida_litraj.contract.verdict import judge
from aiida_litraj.data import PotentialData
from aiida_litraj.workflows.train import TrainBaseWorkChain
from tests.fixtures.nodes import Job, potential
from tests.fixtures.training import labelled, training

CODES = TrainCalculation.exit_codes
KBAR_OF_EV_PER_ANG3 = 1602.1766208
SCRATCH = ('scratch-mace', 'scratch-sevennet', 'scratch-graph-pes', 'fast')
PARENTS = {
    'sevennet': lambda: PotentialData.packaged('sevennet', '7net-0', elements=['Li'], label='7net-0'),
    'mace': lambda: PotentialData.packaged('mace', 'small', elements=['Li'], label='small'),
    'toy': potential,
}


@pytest.fixture
def build(launcher_code: Any, computer: Any) -> Any:
    """``build(**changes)`` is the builder of a chain."""

    def make(**changes: Any) -> Any:
        given = {'train': labelled(6), 'valid': labelled(3, seed=1), 'computer': computer, **changes}
        return TrainBaseWorkChain.get_builder_from_protocol(launcher_code, **given)

    return make


@pytest.mark.parametrize('protocol', TrainBaseWorkChain.get_available_protocols())
def test_builder_of_a_protocol(protocol: str, build: Any, data_regression: Any) -> None:
    changes = {'overrides': {'parameters': {'batch_size': 2}}} if protocol == 'scratch-mace' else {}
    family = TrainBaseWorkChain.get_protocol_inputs(protocol)['parameters']['trainer']
    parent = None if protocol in SCRATCH else PARENTS[family]()
    builder = build(protocol=protocol, potential=parent, **changes)
    job = builder.train
    assert job.parameters.label == protocol
    assert 'potential' not in job if parent is None else job.potential is parent
    data_regression.check(
        {
            'parameters': job.parameters.get_dict(),
            'trainings': {name: node.get_dict() for name, node in job.trainings.items()},
            'held_out': job.held_out.value,
        }
    )


def test_numbers_of_the_publications() -> None:
    lips = TrainBaseWorkChain.get_protocol_inputs('lips25-2025')
    assert len(lips['trainings']['seeds']) == 5
    preset = TrainBaseWorkChain.get_protocol_inputs('litraj-2025')['parameters']
    assert (preset['epochs'], preset['batch_size'], preset['learning_rate']) == (100, 4, 0.004)
    assert (preset['loss']['kind'], preset['loss']['huber_delta']) == ('huber', 0.01)
    loss = preset['loss']
    assert (loss['energy_weight'], loss['force_weight']) == (1.0, 1.0)
    assert loss['stress_weight'] == pytest.approx(0.01 * KBAR_OF_EV_PER_ANG3**2, rel=1e-5), '0.01 where it is in kbar'
    assert (preset['schedule']['kind'], preset['schedule']['factor']) == ('exponential', 0.99)


def test_protocol_of_who_names_none(build: Any) -> None:
    assert build(potential=potential(), overrides=MSE).train.parameters['trainer'] == 'toy'
    assert build(potential=PARENTS['mace']()).train.parameters.label == 'balanced'
    assert build(trainer='sevennet').train.parameters.label == 'scratch-sevennet'
    assert build(trainer='graph_pes').train.parameters.label == 'scratch-graph-pes'
    chosen = build(trainer='toy', protocol='fast', seeds=[3, 4], held_out='materials').train
    assert chosen.parameters['trainer'] == 'toy'
    assert {name: node['seed'] for name, node in chosen.trainings.items()} == {'seed_3': 3, 'seed_4': 4}
    assert chosen.held_out.value == 'materials'


MSE = {'parameters': {'loss': {'kind': 'mse', 'huber_delta': None, 'energy_weight': 1.0, 'force_weight': 1.0,
                               'stress_weight': 0.0}}}  # fmt: skip
BAD: dict[str, tuple[Any, str]] = {
    'nothing to begin with': (lambda: {}, r'potential, trainer and protocol: none given; give the potential to go on'),
    'protocol': (lambda: {'protocol': 'best'}, r"protocol 'best' is not known; there are: balanced, litraj-2025"),
    'scratch of which there is no protocol': (lambda: {'trainer': 'toy'}, r"protocol 'scratch-toy' is not known"),
    'field': (
        lambda: {'protocol': 'fast', 'overrides': {'parameters': {'epoch': 3}}},
        r'parameters\.epoch = 3 is not known, but epochs is',
    ),
    'section': (lambda: {'protocol': 'fast', 'overrides': {'parameter': {}}}, r"override 'parameter' = \{\} is not kn"),
    'scratch with a parent': (
        lambda: {'protocol': 'fast', 'potential': potential()}, r"architecture is given, but the potential 'morse' has",
    ),
    'parent of another trainer': (
        lambda: {'trainer': 'mace', 'potential': potential()}, r"trainer = 'mace' cannot go on from the potential 'm",
    ),
    'no seeds': (lambda: {'protocol': 'fast', 'seeds': []}, r'trainings\.seeds = \[\] is empty; give at least one'),
    'a seed twice': (lambda: {'protocol': 'fast', 'seeds': [1, 1]}, r'trainings\.seeds = \[1, 1\]: each seed once'),
    'numbers of another trainer': (
        lambda: {'protocol': 'lips25-2025', 'potential': PARENTS['sevennet'](), 'held_out': 'frames'},
        r"trainer = 'sevennet' does not do what these ask for: parameters\.dtype = 'float64': it trains in float32 "
        r'only; take native; parameters\.ema_decay = 0\.99: it has no moving average of the weights; set it to null',
    ),
    'leak': (
        lambda: {'protocol': 'fast', 'valid': labelled(6)}, r'valid_sets\.valid and train_sets\.train share 6 config',
    ),
}  # fmt: skip


@pytest.mark.parametrize('case', BAD)
def test_refused(case: str, build: Any) -> None:
    change, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        build(**change())


def entry(status: str, label: str | None = None, n_epochs: int = 4) -> dict[str, Any]:
    """How a training of a faked job ended."""
    made = TrainItemResult(
        id='x', status=status, converged=status == 'finished', label=label,  # type: ignore[arg-type]
        reason=None if label is None else 'so', n_epochs=n_epochs,
    )  # fmt: skip
    return made.model_dump(mode='json', exclude={'id'})


DONE, DIVERGED = entry('finished'), entry('failed', 'ERROR_TRAINING_DIVERGED')


def open_at(epoch: int) -> dict[str, Any]:
    return entry('unfinished', 'ERROR_OUT_OF_TIME', epoch)


def killed_at(epoch: int) -> dict[str, Any]:
    """Of a trainer that got signal 9, while its engine went on."""
    return entry('unfinished', 'ERROR_TRAINER', epoch)


class Chain:
    """A chain of the trainings ``a`` and ``b``, whose jobs are faked one after the other."""

    def __init__(self, process: Any, job_node: Any) -> None:
        self.process, self._job_node = process, job_node
        process.setup()
        process.ctx.children = []

    def job(
        self, status: int, items: dict[str, Any] | None, made: tuple[str, ...] = (), at: tuple[str, int] | None = None
    ) -> Any:
        """Let the next job end; ``items`` is ``None`` of one that was lost, ``at`` the training it was at then."""
        process = self.process
        active = [] if at is None else [ActiveItem(id=at[0], phase='training', step=at[1])]
        progress = Progress(
            task='train', n_items=2, n_finished=0, n_converged=0, n_active=1, model_calls=0, wall_seconds=1.0,
            updated_at='', active=active,
        ).model_dump_json().encode()  # fmt: skip
        outputs: dict[str, Any] = {}
        if items is not None:
            ended = judge([TrainItemResult(id=name, **each) for name, each in items.items()], 'trainings')
            outputs['results'] = Dict(
                {'schema_version': 1, 'task': 'train', 'exit': ended.model_dump(), 'items': items, 'audit': None}
            )
        if made:
            outputs['potentials'] = {name: potential(depth=float(number + 1)) for number, name in enumerate(made)}
            outputs['curves'] = {name: ArrayData({'epoch': np.arange(4)}) for name in made}
        inputs = {name: dict(process.ctx.inputs[name]) for name in ('trainings', 'train_sets', 'valid_sets')}
        node = self._job_node(inputs, Job(status, progress=progress, outputs=outputs, task='train'))
        process.ctx.iteration += 1
        process.ctx.children.append(node)
        return process.inspect_process()

    @property
    def inputs(self) -> Any:
        return self.process.ctx.inputs


@pytest.fixture
def chain(instantiate: Any, train_inputs: Any, job_node: Any) -> Chain:
    inputs = train_inputs({'a': training(1), 'b': training(2)})
    return Chain(instantiate(TrainBaseWorkChain, {'train': inputs, 'max_iterations': Int(20)}), job_node)


def test_training_that_was_cut_off_goes_on(chain: Chain) -> None:
    assert chain.job(400, {'a': DONE, 'b': open_at(2)}, ('a',)).status == 0
    assert set(chain.inputs.trainings) == {'b'}
    assert (set(chain.inputs.train_sets), set(chain.inputs.valid_sets)) == ({'train'}, {'valid'})
    assert chain.inputs.parent_folder.pk == chain.process.ctx.children[0].outputs.remote_folder.pk
    assert chain.job(0, {'b': DONE}, ('b',)) is None
    chain.process.results()
    assert chain.process.verdict() is None
    outputs = chain.process.outputs
    assert set(outputs['potentials']) == set(outputs['curves']) == {'a', 'b'}
    assert outputs['results']['items']['b']['n_epochs'] == 4


def test_epochs_are_progress(chain: Chain) -> None:
    """The engine counts no evaluations before the end of a training; a job that was lost says it in its progress."""
    idle = []
    for items, at in (
        ({'a': open_at(3), 'b': open_at(0)}, None),
        ({'a': open_at(3), 'b': open_at(0)}, None),
        (None, ('a', 4)),
        ({'a': DONE, 'b': open_at(0)}, None),
        ({'b': open_at(1)}, None),  # which counts anew
        (None, ('b', 1)),
    ):
        assert chain.job(303 if items is None else 400, items, at=at).status == 0
        idle.append(chain.process.ctx.idle_jobs)
    assert idle == [0, 1, 0, 0, 0, 1]


def test_training_that_diverged_is_a_result(chain: Chain) -> None:
    assert chain.job(501, {'a': DIVERGED, 'b': DONE}, ('a', 'b')).status == 0
    assert chain.process.ctx.is_finished
    chain.process.results()
    assert chain.process.verdict().status == 501
    assert set(chain.process.outputs['potentials']) == {'a', 'b'}


@pytest.mark.parametrize(
    'code', ['ERROR_TRAINER', 'ERROR_TRAINED_UNUSABLE', 'ERROR_DEVICE_MEMORY', 'ERROR_JOB_INVALID']
)
def test_faults_that_a_restart_cannot_change(code: str, chain: Chain) -> None:
    """The batch of a training is part of its answer, and not halved."""
    ended = chain.job(CODES[code].status, {'a': DONE, 'b': open_at(1)}, ('a',))
    assert ended.status == CODES[code].status
    assert set(chain.process.outputs['potentials']) == {'a'}


def test_killed_trainer_goes_on_while_it_gets_anywhere(chain: Chain) -> None:
    """Its second kill without a further epoch ends the chain, with what it died of."""
    idle = []
    for at in (2, 3, 3):
        assert chain.job(400, {'a': DONE, 'b': killed_at(at)}, ('a',) if at == 2 else ()).status == 0
        idle.append(chain.process.ctx.idle_jobs)
    assert idle == [0, 0, 1]
    assert set(chain.inputs.trainings) == {'b'}
    ended = chain.job(400, {'b': killed_at(3)})
    assert (ended.status, ended.message) == (312, 'b: so')
    assert set(chain.process.outputs['potentials']) == {'a'}


def test_full_memory_of_the_node_is_tried_once_more(chain: Chain) -> None:
    out_of_memory = CODES.ERROR_SCHEDULER_OUT_OF_MEMORY.status
    assert chain.job(out_of_memory, None).status == 0
    assert 'processes' not in chain.inputs.metadata.options
    assert chain.job(out_of_memory, None).status == out_of_memory
