"""Fine-tuning of a potential, several times over: what it is better at that it has not seen, and what it forgets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aiida.common import AttributeDict
from aiida.engine import ExitCode, ToContext
from aiida.orm import AbstractCode, Computer, Dict, Str, to_aiida_type

from ..calculations.functions.compare_finetuned import (
    ELSEWHERE,
    SCRATCH,
    TEST,
    ZERO_SHOT,
    compare_finetuned,
    read_finetune,
)  # fmt: skip
from ..calculations.functions.compare_labels import groups_of, read_comparison
from ..calculations.functions.fit_offsets import fit_parent_offsets
from ..calculations.neb import NebCalculation
from ..calculations.train import TRAINERS
from ..calculations.validation import check_family, check_parameters, refuse, validated
from ..contract.evaluate import EvaluationParameters
from ..contract.train import TrainingParameters
from ..data.frames import FramesData
from ..data.potential import PotentialData
from .children import check_child, ending_of
from .evaluate import EvaluateBaseWorkChain, EvaluateWorkChain
from .finetune_hops import (
    HOPS,
    NEB,
    check_hops,
    compare_hops,
    define_hops,
    hop_chains,
    hop_inputs,
    start_hops,
)  # fmt: skip
from .potentials import job_inputs, jobs_of
from .submission import made_before, submitted_before
from .train import REPLAY, TrainBaseWorkChain, Trainings, scratch_protocol, trainings_of
from .trainings import JOBS, TrainingsWorkChain, check_test, check_trainings, first_repeat, training_job

KINDS = {**JOBS, NEB: NebCalculation}
"""Kinds of jobs that the chain runs."""
LEARNT = 'train'
PARENT = f'evaluate_{LEARNT}'


class Repeats(Trainings):
    """How many times the parent is fine-tuned, and whether as many are trained from scratch beside."""

    from_scratch: bool


class FinetuneWorkChain(TrainingsWorkChain):
    """Goes on from a potential with labelled configurations, and compares it before and after on others."""

    protocol_file = 'finetune.yaml'

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define inputs, outline and outputs."""
        super().define(spec)
        spec.inputs['potential'].required = True
        spec.input('parameters', valid_type=Dict, help='``TrainingParameters`` of the fine-tuning.')
        spec.input('scratch_parameters', valid_type=Dict, required=False, help='The same from scratch, if asked for.')
        spec.input('settings', valid_type=Dict, serializer=to_aiida_type, help='``FinetuneSettings``.')
        spec.input(
            ELSEWHERE, valid_type=FramesData, required=False,
            help='Labelled configurations that the potential should not forget; the parent knows their elements.',
        )  # fmt: skip
        spec.input(
            REPLAY, valid_type=FramesData, required=False,
            help='Labelled configurations that the potential knew, learnt beside: ``parameters.replay`` says how.',
        )  # fmt: skip
        define_hops(spec)
        spec.inputs.validator = refuse(check_finetune_inputs)
        spec.outline(cls.train, cls.fit_offsets, cls.evaluate, cls.compare)
        spec.output('offsets', valid_type=Dict, required=False, help='Of the elements, parent to labels.')
        spec.output('comparison', valid_type=Dict, required=False, help='Before and after, with paired intervals.')
        spec.output_namespace(
            'errors_elsewhere', valid_type=Dict, dynamic=True, required=False, help='Errors on ``elsewhere``.'
        )
        spec.default_output_node = 'comparison'

    @classmethod
    def get_builder_from_protocol(
        cls,
        code: AbstractCode,
        potential: PotentialData,
        train: FramesData,
        valid: FramesData,
        test: FramesData,
        elsewhere: FramesData | None = None,
        protocol: str | None = None,
        overrides: Mapping[str, Any] | Path | str | None = None,
        seeds: Sequence[int] | None = None,
        held_out: str | None = None,
        from_scratch: bool | None = None,
        options: Mapping[str, Any] | None = None,
        computer: Computer | None = None,
        jobs: Mapping[str, Mapping[str, Any]] | None = None,
        hops: Mapping[str, Mapping[str, Any]] | None = None,
        replay: FramesData | None = None,
    ) -> Any:
        """Return a builder with every number of a protocol filled in.

        :param potential: the parent; its family says which trainer goes on from it.
        :param train: labelled configurations to learn from; ``valid`` tell the best epoch, ``test`` are held back.
        :param elsewhere: labelled configurations that it should not forget.
        :param overrides: what to change, like ``{'train': {'epochs': 10}}``, or a YAML file.
        :param seeds: a training for each; without, those of the protocol.
        :param held_out: what ``valid`` and ``test`` have that is not learnt; without, as the protocol says.
        :param from_scratch: whether as many potentials are trained without a parent; without, as the protocol says.
        :param options: ``metadata.options`` of all jobs.
        :param computer: where to run a code that is not bound to a computer.
        :param jobs: computer (its label) and options of the jobs ``train``, ``evaluate`` or ``neb``, instead of those
            for all.
        :param hops: whose barriers are computed before and after, by name: ``path``, and if there is a reference its
            ``reference``, a path, or ``reference_barrier``.
        :param replay: labelled configurations that the parent knew, learnt beside where it is gone on from; with the
            override ``{'train': {'replay': {'set': 'replay', 'weight': 1.0}}}``.
        :raises ValueError: if protocol, override or an input cannot be used, naming it.
        """
        inputs = cls.get_protocol_inputs(protocol, overrides)
        name = protocol or cls.get_default_protocol()
        check_family(code, potential)
        told = {'seeds': None if seeds is None else list(seeds), 'held_out': held_out, 'from_scratch': from_scratch}
        asked = {**inputs['trainings'], **{key: value for key, value in told.items() if value is not None}}
        repeats = validated(asked, Repeats, 'trainings')
        given: dict[str, Any] = {
            'code': code,
            'potential': potential,
            'train': train,
            'valid': valid,
            TEST: test,
            'trainings': trainings_of(repeats.seeds),
            'held_out': Str(repeats.held_out),
            'parameters': parameters_of(inputs['train'], potential.family),
            **comparison_of(inputs['evaluate'], name),
            'settings': Dict(read_finetune(inputs['settings']).model_dump(mode='json'), label=name),
            'jobs': jobs_of(KINDS, options, computer, jobs),
            **hop_inputs(hops, inputs['neb'], name),
        }
        if repeats.from_scratch:
            given['scratch_parameters'] = parameters_of(
                scratch_section(inputs['from_scratch'], potential.family), potential.family
            )
        if elsewhere is not None:
            given[ELSEWHERE] = elsewhere
        if replay is not None:
            given[REPLAY] = replay
        check_finetune_inputs(given)
        return filled(cls, given)

    def planned(self) -> dict[str, AttributeDict]:
        """Return the inputs of the job of each training."""
        return plans(self.inputs)

    def sets(self) -> dict[str, FramesData]:
        """Return what potentials are judged on."""
        return {name: self.inputs[name] for name in (TEST, ELSEWHERE) if name in self.inputs}

    def asked(self, where: str) -> dict[str, PotentialData]:
        """Return the parent and what was trained; elsewhere those from scratch have nothing to forget."""
        made = {name: node for name, node in self.ctx.made.items() if where == TEST or not name.startswith(SCRATCH)}
        return {ZERO_SHOT: self.inputs.potential, **made}

    def train(self) -> Any:
        """Have every potential trained, and the parent say what it thinks of what is learnt."""
        started = dict(super().train())
        earlier = submitted_before(self, PARENT)
        started[PARENT] = earlier or self.submit(
            EvaluateBaseWorkChain,
            **{EvaluateBaseWorkChain.task(): parent_job(self.inputs), 'metadata': {'call_link_label': PARENT}},
        )
        return ToContext(**started, **start_hops(self, ZERO_SHOT, self.inputs.potential))

    def fit_offsets(self) -> None:
        """Fit what the parent's energies are short of the labels, and say for which compositions that holds."""
        chain = self.ctx[PARENT]
        predicted = dict(chain.outputs.predictions).get(LEARNT) if 'predictions' in chain.outputs else None
        self.ctx.offsets = None
        if predicted is None:
            self.report(f'no offsets: {chain.exit_message}')
            return
        label = 'fit_offsets'
        self.ctx.offsets = made_before(self, label) or fit_parent_offsets(
            self.inputs.train, predicted, self.inputs.comparison, **self.sets(), metadata={'call_link_label': label}
        )
        self.out('offsets', self.ctx.offsets)
        for warning in self.ctx.offsets['warnings']:
            self.report(warning)

    def evaluate(self) -> Any:
        """Have what came of it evaluate what it has not learnt, and go the hops once more."""
        started = dict(super().evaluate())
        for name, potential in self.asked(HOPS).items():
            if name != ZERO_SHOT:
                started |= start_hops(self, name, potential)
        return ToContext(**started)

    def compare(self) -> ExitCode | None:
        """Compare the parent with what was made of it, and end with the first code of what did not go well."""
        self.show_evaluations()
        given: dict[str, Any] = {}
        for where in self.sets():
            found = self.ctx[f'evaluate_{where}'].outputs
            predictions = dict(found.predictions) if 'predictions' in found else {}
            given |= {f'{where}_{name}': node for name, node in predictions.items()}
            if where == ELSEWHERE:
                for name, node in (dict(found.errors) if 'errors' in found else {}).items():
                    self.out(f'errors_elsewhere.{name}', node)
        hops = compare_hops(self, self.asked(HOPS))
        if self.ctx.offsets is None:
            return ending_of(self, self.ctx[PARENT]) or self.ended()
        if given:
            given |= {ELSEWHERE: self.inputs[ELSEWHERE]} if ELSEWHERE in self.inputs else {}
            label = 'compare_finetuned'
            compared = made_before(self, label) or compare_finetuned(
                test=self.inputs[TEST], comparison=self.inputs.comparison, settings=self.inputs.settings,
                offsets=self.ctx.offsets, **given, **hops, metadata={'call_link_label': label},
            )  # fmt: skip
            self.out('comparison', compared)
        return self.ended()

    def ended(self) -> ExitCode | None:
        """Return as what the chain ends: as the trainings and evaluations, else as the first hops that did not."""
        ended = super().ended()
        of_hops = (ending_of(self, chain, name) for name, chain in hop_chains(self).items())
        return ended or next((code for code in of_hops if code is not None), None)


def plans(inputs: Mapping[str, Any]) -> dict[str, AttributeDict]:
    """Return the inputs of the jobs of all trainings, by name: those of the repeats, and ``scratch_`` before them."""
    jobs = {}
    for name in inputs['trainings']:
        jobs[name] = training_job(inputs, name, inputs['parameters'], inputs['train'], inputs['potential'])
    if inputs.get('scratch_parameters', None) is not None:
        for name in inputs['trainings']:
            parameters = inputs['scratch_parameters']
            jobs[f'{SCRATCH}{name}'] = training_job(inputs, name, parameters, inputs['train'], None)
    return jobs


def parent_job(inputs: Mapping[str, Any]) -> AttributeDict:
    """Return the inputs of the job by which the parent evaluates what is learnt."""
    chosen = {'code': inputs['code'], 'potential': inputs['potential']}
    given = {'parameters': inputs['evaluation'], 'frames': {LEARNT: inputs['train']}}
    return job_inputs(chosen, (inputs.get('jobs', None) or {}).get('evaluate', {}), given)


def parameters_of(section: Mapping[str, Any], family: str | None) -> Dict:
    """Return the training parameters of a section: a protocol of ``train.yaml``, and what differs from it.

    :param family: of the potential that is gone on from, whose trainer is taken.
    :raises ValueError: naming what is not known or out of range.
    """
    changes = {key: value for key, value in section.items() if key != 'protocol'}
    protocol = section.get('protocol')
    values = TrainBaseWorkChain.get_protocol_inputs(protocol, {'parameters': changes})['parameters']
    values = values | ({} if family is None else {'trainer': family})
    label = protocol or TrainBaseWorkChain.get_default_protocol()
    return Dict(check_parameters(values, TrainingParameters).model_dump(mode='json'), label=label)


def scratch_section(section: Mapping[str, Any], family: str) -> dict[str, Any]:
    """Return the section of trainings from scratch, with the protocol of the family where none is named.

    :raises ValueError: if there is no such protocol.
    """
    protocols = TrainBaseWorkChain.get_available_protocols()
    name = section.get('protocol') or scratch_protocol(family)
    if name not in protocols:
        known = ', '.join(trainer for trainer in TRAINERS if scratch_protocol(trainer) in protocols)
        raise ValueError(
            f'from_scratch: no protocol says how a {family} is trained from scratch, only {known}; leave it out, or '
            'name one of litraj.train in from_scratch.protocol'
        )
    return {**section, 'protocol': name}


def comparison_of(section: Mapping[str, Any], name: str) -> dict[str, Dict]:
    """Return the inputs ``evaluation`` and ``comparison`` of a section: a protocol of ``evaluate.yaml``, and changes.

    :raises ValueError: naming what is not known or out of range.
    """
    changes = {key: value for key, value in section.items() if key != 'protocol'}
    found = EvaluateWorkChain.get_protocol_inputs(section.get('protocol'), changes)
    evaluation = check_parameters(found['parameters'], EvaluationParameters).model_dump(mode='json')
    comparison = read_comparison(found['settings']).model_dump(mode='json')
    return {'evaluation': Dict(evaluation, label=name), 'comparison': Dict(comparison, label=name)}


def filled(chain: Any, given: Mapping[str, Any]) -> Any:
    """Return the builder of a chain with these inputs."""
    builder = chain.get_builder()
    for key, value in given.items():
        builder[key] = value
    return builder


def check_finetune_inputs(inputs: Mapping[str, Any]) -> None:
    """Refuse inputs that cannot be trained on or compared; those that are not there are not judged.

    :raises ValueError: naming the input, its value and the remedy.
    """
    wanted = ('code', 'potential', 'train', 'valid', TEST, 'trainings', 'parameters', 'evaluation', 'comparison')
    if any(inputs.get(name, None) is None for name in (*wanted, 'held_out')):
        return  # AiiDA names what is missing
    if inputs.get('settings', None) is not None:
        read_finetune(inputs['settings'].get_dict())
    check_trainings(inputs, plans(first_repeat(inputs)), KINDS)
    check_hops(inputs)
    check_child(EvaluateBaseWorkChain, parent_job(inputs), 'potential')
    potential, elsewhere = inputs['potential'], inputs.get(ELSEWHERE, None)
    for name in (TEST, ELSEWHERE):
        lacking = (
            [] if inputs.get(name, None) is None else potential.covers(inputs[name].base.attributes.get('elements'))
        )
        if lacking:
            raise ValueError(
                f'{name}: it has {", ".join(lacking)}, which the potential {potential.label!r} does not cover, so that '
                'there is nothing to compare with; leave those configurations out'
            )
    if elsewhere is not None:
        check_test(inputs, elsewhere, ELSEWHERE, 'frames')
        groups_of(elsewhere, elsewhere.shared_frames, read_comparison(inputs['comparison'].get_dict()).unit)
