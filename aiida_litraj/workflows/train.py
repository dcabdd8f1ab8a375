"""Restarting chain of trainings: brings every training to its last epoch, across walltimes and lost jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aiida.engine import ExitCode, ProcessHandlerReport, process_handler
from aiida.orm import AbstractCode, CalcJobNode, Computer, Dict, Str
from pydantic import Field, NonNegativeInt

from ..calculations.train import SETS, TrainCalculation, used_sets
from ..calculations.validation import check_parameters, validated
from ..contract.base import Model
from ..contract.errors import BY_LABEL
from ..contract.train import TrainingParameters
from ..data.frames import FramesData
from ..data.potential import PotentialData
from .base import MAX_IDLE_CRASHES, MAX_IDLE_JOBS, EngineBaseWorkChain, exit_code
from .halving import last_words

TRAIN, VALID, REPLAY = 'train', 'valid', 'replay'
"""Names of the sets of a job that a protocol is made a builder of."""
TRAINER_DIED = 'ERROR_TRAINER'


class Trainings(Model):
    """How many times a potential is trained, and what its validation set is new in."""

    seeds: list[NonNegativeInt] = Field(min_length=1)
    held_out: str
    """``materials``, ``trajectories`` or ``frames``, as the input of the job."""


class TrainBaseWorkChain(EngineBaseWorkChain):
    """Trains potentials; jobs that were cut off are gone on with from the last whole epoch.

    A training that diverged is a result, with its best potential until then, and is not repeated.
    """

    _process_class = TrainCalculation
    outputs_name = 'potentials'
    further_outputs = ('last_potentials', 'curves')
    protocol_file = 'train.yaml'

    @classmethod
    def get_builder_from_protocol(
        cls,
        code: AbstractCode,
        train: FramesData,
        valid: FramesData,
        potential: PotentialData | None = None,
        trainer: str | None = None,
        protocol: str | None = None,
        overrides: Mapping[str, Any] | Path | str | None = None,
        seeds: Sequence[int] | None = None,
        held_out: str | None = None,
        replay: FramesData | None = None,
        options: Mapping[str, Any] | None = None,
        computer: Computer | None = None,
    ) -> Any:
        """Return a builder with every number of a protocol filled in.

        :param train: labelled configurations to learn from.
        :param valid: the same that tell the best epoch.
        :param potential: what is gone on from; from scratch without, with a protocol that has an architecture.
        :param trainer: by its name; without, that of the potential's family, else that of the protocol.
        :param protocol: without, ``balanced`` with a potential, and ``scratch-<trainer>`` from scratch.
        :param overrides: what to change, like ``{'parameters': {'epochs': 10}}``, or a YAML file.
        :param seeds: one for each training, which is called ``seed_<number>``; without, those of the protocol.
        :param held_out: what ``valid`` has that is not learnt; without, as the protocol says.
        :param replay: configurations that the potential knew, to be learnt beside; with the override
            ``{'parameters': {'replay': {'set': 'replay', 'weight': 1.0}}}``.
        :param options: ``metadata.options`` of the jobs.
        :param computer: where to run a code that is not bound to a computer.
        :raises ValueError: if protocol, override or an input cannot be used, naming it.
        """
        name = protocol or default_protocol(potential, trainer)
        inputs = cls.get_protocol_inputs(name, overrides)
        chosen = trainer or (None if potential is None else potential.family)
        values = inputs['parameters'] | ({} if chosen is None else {'trainer': chosen})
        parameters = Dict(check_parameters(values, TrainingParameters).model_dump(mode='json'), label=name)
        told = {'seeds': None if seeds is None else list(seeds), 'held_out': held_out}
        asked = {**inputs['trainings'], **{key: value for key, value in told.items() if value is not None}}
        trainings = validated(asked, Trainings, 'trainings')
        given: dict[str, Any] = {
            'code': code,
            'trainings': trainings_of(trainings.seeds),
            'train_sets': {TRAIN: train},
            'valid_sets': {VALID: valid},
            'parameters': parameters,
            'held_out': Str(trainings.held_out),
            **({} if potential is None else {'potential': potential}),
            **({} if replay is None else {'replay_sets': {REPLAY: replay}}),
        }
        TrainCalculation.check_items(given['trainings'])
        TrainCalculation.check_together(given)
        return cls.filled_builder(given, options, computer)

    def largest(self) -> int:
        """Return the number of atoms of the largest configuration of the next job."""
        learnt = [*self.ctx.inputs.train_sets.values(), *self.ctx.inputs.get('replay_sets', {}).values()]
        return max(int(node.base.attributes.get('n_atoms')) for node in learnt)

    @process_handler(priority=600, exit_codes=[exit_code('ERROR_OUT_OF_TIME')])
    def handle_out_of_time(self, node: CalcJobNode) -> ProcessHandlerReport:
        """The engine was stopped, or a trainer killed, most likely for its memory: go on from the last whole epoch.

        With less patience for the latter: what it wants cannot be halved without another answer.
        """
        killed = killed_trainings(node)
        for name, reason in killed.items():
            self.report(f'{node.process_label}<{node.pk}>: {name}: {reason}')
        found = self._resume(node, patience=MAX_IDLE_CRASHES if killed else MAX_IDLE_JOBS)
        if killed and found.exit_code.status:
            name, reason = next(iter(killed.items()))
            return ProcessHandlerReport(True, ExitCode(BY_LABEL[TRAINER_DIED].status, f'{name}: {reason}'))
        return found

    @process_handler(priority=570, exit_codes=[TrainCalculation.exit_codes.ERROR_SCHEDULER_OUT_OF_MEMORY])
    def handle_out_of_memory(self, node: CalcJobNode) -> ProcessHandlerReport:
        """The node's memory was full: go on once, as what fills it cannot be halved without another answer."""
        return self._resume(node, patience=MAX_IDLE_CRASHES)

    @process_handler(priority=560, exit_codes=[exit_code('ERROR_DEVICE_MEMORY')])
    def handle_device_memory(self, node: CalcJobNode) -> ProcessHandlerReport:
        """The configurations of a step do not fit: a smaller step would be another training."""
        return self._give_up(node, 'give a smaller parameters.batch_size')

    def _moved(self, node: CalcJobNode, n_left: int) -> bool:
        """Return whether a job has ended a training, or come to a later epoch than any before it.

        Evaluations, which other tasks count, it makes none before the end of a training.
        """
        if n_left < len(self.ctx.inputs.trainings):
            self.ctx.furthest = 0
            return True
        before, self.ctx.furthest = self.ctx.furthest, max(self.ctx.furthest, epochs_of(node))
        return bool(self.ctx.furthest > before)

    def _halve(self, node: CalcJobNode) -> str | None:
        """Return ``None``: a trainer has one process, and its batch is part of the answer."""
        return None

    def _prepare(self, node: CalcJobNode) -> None:
        """Let the next job do what is left, with the sets of that."""
        super()._prepare(node)
        for name in ('train_sets', 'valid_sets'):
            self.ctx.inputs[name] = used_sets(self.ctx.inputs.trainings, self.ctx.inputs[name], SETS[name])


def killed_trainings(node: CalcJobNode) -> dict[str, str]:
    """Return the trainings of a job whose trainer was killed while the engine was not, and what it says of each."""
    items = node.outputs.results['items'] if 'results' in node.outputs else {}
    return {
        name: entry['reason']
        for name, entry in items.items()
        if entry['status'] == 'unfinished' and entry['label'] == TRAINER_DIED
    }


def epochs_of(node: CalcJobNode) -> int:
    """Return how many whole epochs the training has that a job was at, by its last words."""
    progress = last_words(node)
    steps = [item.step for item in progress.active] if progress is not None else []
    items = node.outputs.results['items'].values() if 'results' in node.outputs else ()
    return max([*steps, *(entry.get('n_epochs', 0) for entry in items if entry['status'] == 'unfinished')], default=0)


def default_protocol(potential: PotentialData | None, trainer: str | None) -> str | None:
    """Return the protocol of who names none; ``None``: the default.

    :raises ValueError: if a potential is to be made from scratch and nothing says by which trainer.
    """
    if potential is not None:
        return TrainBaseWorkChain.get_default_protocol()
    if trainer is None:
        raise ValueError(
            'potential, trainer and protocol: none given; give the potential to go on from, or a trainer '
            '(mace, sevennet, graph_pes), or a protocol'
        )
    return scratch_protocol(trainer)


def scratch_protocol(trainer: str) -> str:
    """Return what the protocol is called by which a trainer makes a potential from scratch, if there is one."""
    return f'scratch-{trainer}'.replace('_', '-')


def trainings_of(seeds: Sequence[int]) -> dict[str, Dict]:
    """Return the input ``trainings`` of some seeds.

    :raises ValueError: if one is given twice: that would be the same training again.
    """
    if len(set(seeds)) < len(seeds):
        raise ValueError(f'trainings.seeds = {list(seeds)}: each seed once, for the same gives the same potential')
    return {f'seed_{seed}': Dict({'train': TRAIN, 'valid': VALID, 'seed': seed}) for seed in seeds}
