"""How the error falls with the number of configurations that are learnt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aiida.common import AttributeDict
from aiida.engine import ExitCode
from aiida.orm import AbstractCode, Computer, Dict, Str, to_aiida_type

from ..calculations.functions.compare_finetuned import TEST, ZERO_SHOT
from ..calculations.functions.compare_sizes import compare_sizes
from ..calculations.functions.draw_subsets import draw_subsets, read_sizes, subset_name, subsets_of
from ..calculations.train_sets import elements_of
from ..calculations.validation import refuse, validated
from ..data.frames import FramesData
from ..data.potential import PotentialData
from .finetune import comparison_of, filled, parameters_of
from .potentials import jobs_of
from .submission import made_before, outputs_made_before
from .train import TrainBaseWorkChain, Trainings, default_protocol, trainings_of
from .trainings import JOBS, TrainingsWorkChain, check_trainings, first_repeat, training_job

MOST_SIZES = 5
WANTED = ('code', 'train', 'valid', TEST, 'trainings', 'parameters', 'evaluation', 'comparison', 'held_out', 'settings')


class LearningCurveWorkChain(TrainingsWorkChain):
    """Trains on nested subsets of configurations, several times over, and judges all on the same others."""

    protocol_file = 'learning_curve.yaml'

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define inputs, outline and outputs."""
        super().define(spec)
        spec.input('parameters', valid_type=Dict, help='``TrainingParameters`` of all trainings.')
        spec.input('settings', valid_type=Dict, serializer=to_aiida_type, help='``sizes`` of the subsets.')
        spec.inputs.validator = refuse(check_learning_curve_inputs)
        spec.outline(cls.draw, cls.train, cls.evaluate, cls.compare)
        spec.output_namespace(
            'subsets', valid_type=FramesData, dynamic=True, required=False, help='What each training has learnt.'
        )
        spec.output('comparison', valid_type=Dict, required=False, help='Errors by the number of configurations.')
        spec.default_output_node = 'comparison'

    @classmethod
    def get_builder_from_protocol(
        cls,
        code: AbstractCode,
        train: FramesData,
        valid: FramesData,
        test: FramesData,
        potential: PotentialData | None = None,
        trainer: str | None = None,
        sizes: Sequence[int] | None = None,
        protocol: str | None = None,
        overrides: Mapping[str, Any] | Path | str | None = None,
        seeds: Sequence[int] | None = None,
        held_out: str | None = None,
        options: Mapping[str, Any] | None = None,
        computer: Computer | None = None,
        jobs: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> Any:
        """Return a builder with every number of a protocol filled in.

        :param train: labelled configurations, of which subsets are learnt.
        :param potential: what is gone on from; from scratch without, by the ``trainer``.
        :param sizes: of the subsets; without, the whole set, half of it, and so on.
        :param seeds: a repeat for each, with subsets of its own; without, those of the protocol.
        :param options: ``metadata.options`` of all jobs, ``jobs`` of the jobs ``train`` or ``evaluate``.
        :raises ValueError: if protocol, override or an input cannot be used, naming it.
        """
        inputs = cls.get_protocol_inputs(protocol, overrides)
        name = protocol or cls.get_default_protocol()
        repeats = repeats_of(inputs, seeds, held_out)
        parameters = parameters_of(train_section(inputs['train'], potential, trainer), family_of(potential, trainer))
        wanted = sizes or inputs['settings']['sizes'] or halves(train.n_frames, int(parameters['batch_size']))
        given: dict[str, Any] = {
            'code': code,
            'train': train,
            'valid': valid,
            TEST: test,
            'trainings': trainings_of(repeats.seeds),
            'held_out': Str(repeats.held_out),
            'parameters': parameters,
            **comparison_of(inputs['evaluate'], name),
            'settings': Dict(read_sizes({**inputs['settings'], 'sizes': list(wanted)}).model_dump(), label=name),
            'jobs': jobs_of(JOBS, options, computer, jobs),
            **({} if potential is None else {'potential': potential}),
        }
        check_learning_curve_inputs(given)
        return filled(cls, given)

    def draw(self) -> None:
        """Draw the subsets."""
        label = 'draw_subsets'
        made = outputs_made_before(self, label) or draw_subsets(
            self.inputs.train, self.inputs.settings, **dict(self.inputs.trainings), metadata={'call_link_label': label}
        )
        self.ctx.subsets = dict(made)
        for name, node in self.ctx.subsets.items():
            self.out(f'subsets.{name}', node)

    def planned(self) -> dict[str, AttributeDict]:
        """Return the inputs of the job of each training."""
        return plans(self.inputs, self.ctx.subsets)

    def asked(self, where: str) -> dict[str, PotentialData]:
        """Return the parent, if there is one, and what was trained."""
        parent = {ZERO_SHOT: self.inputs.potential} if 'potential' in self.inputs else {}
        return {**parent, **self.ctx.made}

    def compare(self) -> ExitCode | None:
        """Say how the errors fall, and end with the first code of what did not go well."""
        self.show_evaluations()
        chain = self.ctx.get(f'evaluate_{TEST}')
        errors = dict(chain.outputs.errors) if chain is not None and 'errors' in chain.outputs else {}
        if errors:
            label = 'compare_sizes'
            compared = made_before(self, label) or compare_sizes(
                self.inputs.settings, self.inputs[TEST], **errors, metadata={'call_link_label': label}
            )
            self.out('comparison', compared)
        return self.ended()


def plans(inputs: Mapping[str, Any], subsets: Mapping[str, FramesData]) -> dict[str, AttributeDict]:
    """Return the inputs of the jobs of all trainings, each by the name of its subset."""
    jobs = {}
    for name in inputs['trainings']:
        for size in read_sizes(inputs['settings'].get_dict()).sizes:
            subset = subset_name(name, size)
            parent = inputs.get('potential', None)
            jobs[subset] = training_job(inputs, name, inputs['parameters'], subsets[subset], parent)
    return jobs


def check_learning_curve_inputs(inputs: Mapping[str, Any]) -> None:
    """Refuse inputs that no curve can be made of; those that are not there are not judged.

    :raises ValueError: naming the input, its value and the remedy.
    """
    if any(inputs.get(name, None) is None for name in WANTED):
        return  # AiiDA names what is missing
    sizes, there = read_sizes(inputs['settings'].get_dict()).sizes, inputs['train'].n_frames
    if max(sizes) > there:
        raise ValueError(f'settings.sizes: {max(sizes)}, but train has {there} configurations; take {there} at most')
    check_smallest(inputs, min(sizes))
    first = first_repeat(inputs)
    check_trainings(inputs, plans(first, subsets_of(inputs['train'], sizes, seeds_of(first))))


def seeds_of(inputs: Mapping[str, Any]) -> dict[str, int]:
    """Return the seeds of the repeats, by name."""
    return {name: int(one['seed']) for name, one in inputs['trainings'].items()}


def check_smallest(inputs: Mapping[str, Any], least: int) -> None:
    """Refuse subsets so small that they lack elements that they are judged by; each larger one has the smaller.

    :raises ValueError: naming the first.
    """
    parent, parameters = inputs.get('potential', None), inputs['parameters'].get_dict()
    judged = [] if parent is not None else [TEST]
    judged += ['valid'] if parent is None or parameters.get('energy_references') == 'least_squares' else []
    there = set(elements_of(inputs['train']))
    wanted = {symbol for name in judged for symbol in elements_of(inputs[name])} & there
    for name, node in subsets_of(inputs['train'], [least], seeds_of(inputs)).items():
        lacking = sorted(wanted - set(elements_of(node)))
        if lacking:
            raise ValueError(
                f'settings.sizes: {least}, but {name} then has no {", ".join(lacking)}, by which it is judged; take '
                'more, so that each size can learn every element'
            )


def halves(n_frames: int, least: int) -> list[int]:
    """Return the whole number of configurations, half of it, and so on, as long as a batch is full."""
    sizes = [n_frames // 2**power for power in range(MOST_SIZES)]
    return sorted({size for size in sizes if size >= max(least, 2)}) or [n_frames]


def repeats_of(inputs: Mapping[str, Any], seeds: Sequence[int] | None, held_out: str | None) -> Trainings:
    """Return the repeats of a protocol, with what is said instead."""
    told = {'seeds': None if seeds is None else list(seeds), 'held_out': held_out}
    asked = {**inputs['trainings'], **{key: value for key, value in told.items() if value is not None}}
    return validated(asked, Trainings, 'trainings')


def train_section(section: Mapping[str, Any], potential: PotentialData | None, trainer: str | None) -> dict[str, Any]:
    """Return a section with the protocol of trainings that the start asks for, where it names none.

    With a potential the one that goes on is taken of two of a name: ``fast-finetune`` for ``fast``.

    :raises ValueError: if nothing says by which trainer a potential is made from scratch.
    """
    name = section.get('protocol') or default_protocol(potential, trainer)
    if potential is not None and f'{name}-finetune' in TrainBaseWorkChain.get_available_protocols():
        name = f'{name}-finetune'
    return {**section, 'protocol': name}


def family_of(potential: PotentialData | None, trainer: str | None) -> str | None:
    """Return the trainer that is meant; ``None``: that of the protocol."""
    return trainer if potential is None else trainer or str(potential.family)
