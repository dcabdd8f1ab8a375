"""Chains that train potentials, each in a ``litraj.train.base`` of its own, and judge them on what is new to them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from aiida.common import AttributeDict
from aiida.engine import ExitCode, ToContext, WorkChain
from aiida.orm import AbstractCode, ArrayData, Dict, Int, Str, load_node, to_aiida_type

from ..calculations.base import LitrajCalcJob, register_exit_codes
from ..calculations.evaluate import EvaluateCalculation
from ..calculations.functions.compare_finetuned import SCRATCH, ZERO_SHOT
from ..calculations.functions.compare_labels import groups_of, read_comparison
from ..calculations.held_out import HELD_OUT, check_held_out
from ..calculations.train import TrainCalculation, read_training
from ..calculations.train_sets import check_learnt
from ..calculations.validation import check_names, check_parameters
from ..contract.evaluate import EvaluationParameters
from ..data.frames import FramesData
from ..data.potential import PotentialData
from ..groups.lineage import lineage
from .children import check_child, ending_of
from .evaluate import EvaluateBaseWorkChain, EvaluateWorkChain, check_labels
from .potentials import check_jobs, job_metadata
from .protocols import ProtocolMixin
from .submission import submitted_before
from .train import REPLAY, TRAIN, VALID, TrainBaseWorkChain

TEST = 'test'
JOBS: dict[str, type[LitrajCalcJob]] = {'train': TrainCalculation, 'evaluate': EvaluateCalculation}
"""Kinds of jobs that such a chain runs."""
MAX_JOBS = 'max_iterations'
"""Of ``jobs.train``: how many jobs a training may take, one after the other."""
RESERVED = (ZERO_SHOT, 'frames', 'settings', 'metadata')
"""The parent among the potentials, and arguments beside the trainings where subsets are drawn."""


class TrainingsWorkChain(ProtocolMixin, WorkChain):
    """Trains potentials and has them evaluate configurations that none of them has learnt.

    A training that fails stops none of the others: the chain ends with 501, and has the potentials and errors of those
    that came to their end.
    """

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define the inputs and outputs that such chains have in common."""
        super().define(spec)
        spec.input('code', valid_type=AbstractCode, help='With the family, for training and evaluation.')
        spec.input('potential', valid_type=PotentialData, required=False, help='What is gone on from, if anything.')
        for name, text in (
            ('train', 'Labelled configurations to learn from.'),
            ('valid', 'Labelled configurations that tell the best epoch.'),
            (TEST, 'Labelled configurations that potentials are compared on; new to them as ``held_out`` says.'),
        ):
            spec.input(name, valid_type=FramesData, help=text)
        spec.input_namespace(
            'trainings', valid_type=Dict, dynamic=True, help='Repeats by name, as ``litraj.train`` has them.'
        )
        for name, text in (
            ('evaluation', 'What potentials are asked for: ``EvaluationParameters``; a protocol gives them.'),
            ('comparison', 'How they are compared: ``ComparisonSettings``; a protocol gives them.'),
        ):
            spec.input(name, valid_type=Dict, serializer=to_aiida_type, help=text)
        spec.input(
            'held_out', valid_type=Str, serializer=to_aiida_type,
            help=f'What ``valid`` and ``test`` have that is not learnt: {", ".join(HELD_OUT)}.',
        )  # fmt: skip
        spec.input(
            'jobs', valid_type=dict, non_db=True, default=dict,
            help='By kind of job (``train``, ``evaluate``): ``computer``, ``options`` and ``disable_cache``; of '
            '``train`` also ``max_iterations``, how many jobs a training may take, else that of its own chain.',
        )  # fmt: skip
        for name, kind, text in (
            ('potentials', PotentialData, 'Of each training the potential of its best epoch.'),
            ('curves', ArrayData, 'Of each training its learning curve.'),
            ('trained', Dict, 'How each training ended, with the audit.'),
            ('errors', Dict, 'Errors of each potential on ``test``, as ``litraj.evaluate`` says them.'),
            ('predictions', FramesData, '``test`` as each potential has it.'),
            ('evaluated', Dict, 'How the evaluation of each potential ended, with the audit.'),
        ):
            spec.output_namespace(name, valid_type=kind, dynamic=True, required=False, help=text)
        register_exit_codes(spec, beside=EvaluateBaseWorkChain.exit_codes)

    def planned(self) -> dict[str, AttributeDict]:
        """Return the inputs of the job of each training, by name."""
        raise NotImplementedError

    def sets(self) -> dict[str, FramesData]:
        """Return what potentials are judged on, by name."""
        return {TEST: self.inputs[TEST]}

    def asked(self, where: str) -> dict[str, PotentialData]:
        """Return the potentials that are judged on one of the sets, by name."""
        return dict(self.ctx.made)

    def train(self) -> Any:
        """Have every potential trained, all at once."""
        started = {}
        most = self.inputs.jobs.get('train', {}).get(MAX_JOBS, None)
        further = {} if most is None else {MAX_JOBS: Int(most)}
        for name, job in self.planned().items():
            label = f'train_{name}'
            earlier = submitted_before(self, label)
            started[label] = earlier or self.submit(
                TrainBaseWorkChain,
                **{TrainBaseWorkChain.task(): job, 'metadata': {'call_link_label': label}},
                **further,
            )
        self.ctx.names = [label.removeprefix('train_') for label in started]
        return ToContext(**started)

    def evaluate(self) -> Any:
        """Have what came of it evaluate what it has not learnt; what failed, or diverged, is kept and not judged."""
        self.ctx.made = {}
        for name in self.ctx.names:
            chain = self.ctx[f'train_{name}']
            for output, own in (('potentials', 'potentials'), ('curves', 'curves')):
                for node in (dict(chain.outputs[own]) if own in chain.outputs else {}).values():
                    self.out(f'{output}.{name}', node)
                    if output == 'potentials' and chain.is_finished_ok:
                        self.ctx.made[name] = node
            if 'results' in chain.outputs:
                self.out(f'trained.{name}', chain.outputs.results)
            if not chain.is_finished_ok:
                self.report(f'{name}: {chain.exit_message or chain.process_state}')
        started = {}
        for where, frames in self.sets().items():
            potentials, label = self.asked(where), f'evaluate_{where}'
            if potentials:
                earlier = submitted_before(self, label)
                started[label] = earlier or self.submit(
                    EvaluateWorkChain, **self._evaluation(potentials, frames), metadata={'call_link_label': label}
                )
        return ToContext(**started)

    def _evaluation(self, potentials: Mapping[str, PotentialData], frames: FramesData) -> dict[str, Any]:
        job = self.inputs.jobs.get('evaluate', {})
        return {
            'potentials': {name: {'code': self.inputs.code, 'potential': node} for name, node in potentials.items()},
            'frames': frames,
            'parameters': self.inputs.evaluation,
            'settings': self.inputs.comparison,
            'jobs': {name: dict(job) for name in potentials},
        }

    def show_evaluations(self) -> None:
        """Give what the evaluation on the test set gave."""
        label = f'evaluate_{TEST}'
        if label not in self.ctx:
            return
        found = self.ctx[label].outputs
        for output, own in (('errors', 'errors'), ('predictions', 'predictions'), ('evaluated', 'results')):
            for name, node in (dict(found[own]) if own in found else {}).items():
                self.out(f'{output}.{name}', node)

    def ended(self) -> ExitCode | None:
        """Return as what the chain ends: 501 if some trainings failed, as the first of them if all did."""
        trainings = [self.ctx[f'train_{name}'] for name in self.ctx.names]
        failed = [chain for chain in trainings if not chain.is_finished_ok]
        if failed and len(failed) == len(trainings):
            return ending_of(self, failed[0])
        if failed:
            return self.exit_codes.ERROR_PARTIAL.format(
                n_converged=len(trainings) - len(failed), n_total=len(trainings), items='trainings'
            )
        evaluations = [self.ctx[f'evaluate_{where}'] for where in self.sets() if f'evaluate_{where}' in self.ctx]
        return next((code for chain in evaluations if (code := ending_of(self, chain)) is not None), None)


def training_job(
    inputs: Mapping[str, Any], name: str, parameters: Dict, train: FramesData, potential: PotentialData | None
) -> AttributeDict:
    """Return the inputs of the job of one training; what the potential knew is learnt beside where it is gone on from.

    :param name: of the repeat among the ``trainings``.
    """
    replay = None if potential is None else inputs.get(REPLAY, None)
    job = AttributeDict(
        {
            'code': inputs['code'],
            'parameters': parameters,
            'trainings': {name: inputs['trainings'][name]},
            'train_sets': {TRAIN: train},
            'valid_sets': {VALID: inputs['valid']},
            'held_out': inputs['held_out'],
            **({} if potential is None else {'potential': potential}),
            **({} if replay is None else {'replay_sets': {REPLAY: replay}}),
        }
    )
    job.metadata = AttributeDict(job_metadata((inputs.get('jobs', None) or {}).get('train', {})))
    return job


def check_trainings(
    inputs: Mapping[str, Any], planned: Mapping[str, AttributeDict], kinds: Mapping[str, type[LitrajCalcJob]] = JOBS
) -> None:
    """Refuse sets that leak into each other or have no labels, and trainings that would be refused when they begin.

    :param planned: inputs of the jobs of trainings, by name; repeats differ in their seeds alone, and one will do.
    :param kinds: of jobs that the chain runs, by name.
    :raises ValueError: naming the input, its value and the remedy.
    """
    check_names(inputs['trainings'], 'trainings', 'Dict')
    check_reserved(inputs['trainings'])
    for name, node in inputs['trainings'].items():
        read_training(name, node)
    check_job_settings(inputs.get('jobs', None) or {}, kinds)
    check_parameters(inputs['evaluation'].get_dict(), EvaluationParameters)
    settings = read_comparison(inputs['comparison'].get_dict())
    check_test(inputs, inputs[TEST], TEST, inputs['held_out'].value)
    parent = inputs.get('potential', None)
    check_seen_by_parent(parent, inputs[TEST], TEST, inputs['held_out'].value)
    check_seen_by_parent(parent, inputs['valid'], 'valid', inputs['held_out'].value, told=False)
    groups_of(inputs[TEST], inputs[TEST].shared_frames, settings.unit)
    for name, job in planned.items():
        check_child(TrainBaseWorkChain, job, name)
        if job.get('potential', None) is None:  # it would evaluate less of them, and be judged on others than the rest
            check_learnt(job['train_sets'][TRAIN], inputs[TEST], TEST, f'what {name} learns from scratch')


def check_reserved(names: Iterable[str]) -> None:
    """Refuse trainings with names by which chains and their calculation functions call something else.

    :raises ValueError: naming the first.
    """
    for name in names:
        if name in RESERVED or name.startswith(SCRATCH):
            raise ValueError(
                f'trainings.{name}: something else is called so, as is what begins with {SCRATCH}; take another name, '
                'such as seed_0'
            )


def first_repeat(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return inputs with the first of the trainings alone."""
    return {**inputs, 'trainings': dict(list(inputs['trainings'].items())[:1])}


def check_test(inputs: Mapping[str, Any], judged: FramesData, where: str, held_out: str) -> None:
    """Refuse configurations without labels, or that learning or the choice of the best epoch knows.

    :raises ValueError: naming them, and what they share.
    """
    try:
        check_labels(judged)
    except ValueError as error:
        raise ValueError(f'{where}: {error}') from error
    for name in ('train', 'valid', REPLAY):
        if inputs.get(name, None) is not None:
            check_held_out(inputs[name], judged, held_out, where, name)


def check_job_settings(jobs: Mapping[str, Any], kinds: Mapping[str, type[LitrajCalcJob]]) -> None:
    """Refuse settings of jobs that are of no kind, or that no job knows.

    :raises ValueError: naming the first that is at fault.
    """
    for name, job in jobs.items():
        if name not in kinds:
            raise ValueError(f'jobs.{name}: no such jobs are run; there are: {", ".join(kinds)}')
        if name == 'train' and isinstance(job, Mapping) and MAX_JOBS in job:
            most = job[MAX_JOBS]
            if not isinstance(most, int) or isinstance(most, bool) or most < 1:
                raise ValueError(f'jobs.{name}.{MAX_JOBS} = {most!r}: give a whole number of jobs, 1 or more')
            job = {key: value for key, value in job.items() if key != MAX_JOBS}
        check_jobs({name: job}, kinds, (kinds[name],))


def check_seen_by_parent(
    potential: PotentialData | None, judged: FramesData, where: str, held_out: str, told: bool = True
) -> None:
    """Refuse configurations to judge by that are less new to the parent than ``held_out`` says.

    :param told: whether they must be new to what told a best epoch of the parent, or of its parents, too.
    :raises ValueError: saying what they share.
    """
    if potential is None or not potential.is_stored:
        return
    seen = lineage(potential)
    for words, some in (('learnt from', seen.learnt), ('was chosen by', seen.validated if told else [])):
        for uuid in dict.fromkeys(one.set_uuid for one in some):
            try:
                check_held_out(load_node(uuid), judged, held_out, where, f'what {potential.label!r} {words}')
            except ValueError as error:
                raise ValueError(
                    f'{error}; aiida-litraj potential lineage {potential.pk} lists what it has seen'
                ) from error
