"""Evaluation of configurations: the restarting chain of its jobs, and potentials side by side on labelled ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from aiida.engine import ExitCode, ToContext, WorkChain
from aiida.orm import AbstractCode, Computer, Data, Dict, to_aiida_type

from ..calculations.base import register_exit_codes
from ..calculations.evaluate import EvaluateCalculation, covers_any
from ..calculations.functions.compare_labels import compare_labels, families_of, groups_of, read_comparison
from ..calculations.functions.cut_frames import cut_frames, join_predictions
from ..calculations.validation import check_elements, check_parameters, refuse
from ..contract.evaluate import EvaluationParameters
from ..data.frames import FramesData
from ..data.potential import PotentialData
from .base import EngineBaseWorkChain
from .children import check_child, ending_of
from .packed import PackedWorkChain
from .packing import Packing
from .potentials import check_jobs, check_potentials, define_potentials, job_inputs, jobs_of, packed_or_not
from .protocols import ProtocolMixin
from .submission import made_before, outputs_made_before, submitted_before

BLOCK = 'all'
"""Name of the one block of a comparison's jobs."""


class EvaluateBaseWorkChain(EngineBaseWorkChain):
    """Has blocks of configurations evaluated; jobs that were cut off are gone on with, from the last configuration."""

    _process_class = EvaluateCalculation
    outputs_name = 'predictions'
    protocol_file = 'evaluate.yaml'

    @classmethod
    def get_builder_from_protocol(
        cls,
        code: AbstractCode,
        frames: Mapping[str, FramesData],
        potential: PotentialData,
        protocol: str | None = None,
        overrides: Mapping[str, Any] | Path | str | None = None,
        options: Mapping[str, Any] | None = None,
        computer: Computer | None = None,
    ) -> Any:
        """Return a builder with every number of a protocol filled in.

        :param frames: blocks of configurations, by name.
        :param overrides: what to change, like ``{'parameters': {'stress': False}}``, or a YAML file.
        :param options: ``metadata.options`` of the jobs.
        :param computer: where to run a code that is not bound to a computer.
        :raises ValueError: if protocol, override or an input cannot be used, naming it.
        """
        values = cls.get_protocol_inputs(protocol, overrides)['parameters']
        parameters = Dict(
            check_parameters(values, EvaluationParameters).model_dump(mode='json'),
            label=protocol or cls.get_default_protocol(),
        )
        EvaluateCalculation.check_items(frames)
        given = {'code': code, 'potential': potential, 'frames': dict(frames), 'parameters': parameters}
        EvaluateCalculation.check_together(given)
        return cls.filled_builder(given, options, computer)

    def largest(self) -> int:
        """Return the number of atoms of the largest configuration of the next job."""
        return max(int(block.base.attributes.get('n_atoms')) for block in self.ctx.inputs.frames.values())


class EvaluatePackedWorkChain(PackedWorkChain):
    """Has blocks of configurations evaluated by several jobs beside each other, large blocks cut into pieces."""

    _base = EvaluateBaseWorkChain
    sample_items = 1
    any_parameters = True

    @classmethod
    def costs(cls, inputs: Mapping[str, Any]) -> dict[str, float]:
        """Return what each block costs: its atoms, all configurations together."""
        return {name: float(block.shared_frames.offsets[-1]) for name, block in inputs['frames'].items()}

    def take_apart(self, packing: Packing) -> dict[str, list[dict[str, Any]]]:
        """Cut blocks that are larger than a piece; not those of which the potential covers a part only.

        A piece with none that it covers would be refused; in a block such configurations are named in the account.
        """
        job, cut = self.inputs.evaluate, {}
        for name, block in sorted(job.frames.items()):
            covered = not job.potential.covers(list(block.base.attributes.get('elements')))
            if not covered or block.shared_frames.offsets[-1] <= packing.piece_atoms or block.n_frames == 1:
                continue
            label = f'cut_{name}'
            pieces = outputs_made_before(self, label) or cut_frames(
                block, Dict({'piece_atoms': packing.piece_atoms}), metadata={'call_link_label': label}
            )
            cut[name] = [
                {'name': f'{name}_{piece}', 'uuid': node.uuid, 'n_frames': node.n_frames}
                for piece, node in sorted(pieces.items())
            ]
        return cut

    def put_together(self, made: dict[str, dict[str, Data]]) -> None:
        """Make of the predictions of pieces those of their block, in its order."""
        predictions = made[self._base.outputs_name]
        for name, pieces in self.ctx.pieces.items():
            known = {one['name']: predictions.pop(one['name']) for one in pieces if one['name'] in predictions}
            if known:
                label, order = f'join_{name}', [{'name': one['name'], 'n_frames': one['n_frames']} for one in pieces]
                predictions[name] = made_before(self, label) or join_predictions(
                    self.inputs.evaluate.frames[name],
                    Dict({'pieces': order}),
                    metadata={'call_link_label': label},
                    **known,
                )


class EvaluateWorkChain(ProtocolMixin, WorkChain):
    """Has potentials evaluate labelled configurations, and says how far each is from the labels, and how sure that is.

    A potential that cannot be asked, or not about some of the configurations, stops none of the others: the chain ends
    with the exit code of the first such, and has the errors of all that said anything.
    """

    protocol_file = 'evaluate.yaml'

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define inputs, outline and outputs."""
        super().define(spec)
        spec.input('frames', valid_type=FramesData, help='Configurations with energies or forces to compare with.')
        for name, text in (
            ('parameters', 'What the potentials are asked for: ``EvaluationParameters``; a protocol gives them.'),
            ('settings', 'How they are compared: ``ComparisonSettings``; a protocol gives them.'),
        ):
            spec.input(name, valid_type=Dict, serializer=to_aiida_type, help=text)
        define_potentials(spec)
        spec.inputs.validator = refuse(check_evaluate_inputs)
        spec.outline(cls.evaluate, cls.compare)
        for name, kind, text in (
            ('predictions', FramesData, 'The configurations, in their order, as each potential has them.'),
            ('errors', Dict, 'Errors of each potential, with intervals, per element and per family.'),
            ('results', Dict, 'How the evaluations of each potential ended, with the audit.'),
        ):
            spec.output_namespace(name, valid_type=kind, dynamic=True, required=False, help=text)
        register_exit_codes(spec, beside=EvaluateBaseWorkChain.exit_codes)

    @classmethod
    def get_builder_from_protocol(
        cls,
        potentials: Mapping[str, Mapping[str, Any]],
        frames: FramesData,
        protocol: str | None = None,
        overrides: Mapping[str, Any] | Path | str | None = None,
        options: Mapping[str, Any] | None = None,
        computer: Computer | None = None,
        jobs: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> Any:
        """Return a builder with every number of a protocol filled in.

        :param potentials: by name, each ``{'code': ..., 'potential': ...}``.
        :param frames: labelled configurations.
        :param overrides: what to change, like ``{'settings': {'offsets': 'none'}}``, or a YAML file.
        :param options: ``metadata.options`` of all jobs.
        :param computer: where to run codes that are not bound to a computer.
        :param jobs: computer (its label) and options of some potentials, by name, instead of those for all.
        :raises ValueError: if protocol, override or an input cannot be used, naming value and remedy.
        """
        inputs = cls.get_protocol_inputs(protocol, overrides)
        name = protocol or cls.get_default_protocol()
        parameters = check_parameters(inputs['parameters'], EvaluationParameters)
        given: dict[str, Any] = {
            'potentials': {key: dict(value) for key, value in potentials.items()},
            'frames': frames,
            'parameters': Dict(parameters.model_dump(mode='json'), label=name),
            'settings': Dict(read_comparison(inputs['settings']).model_dump(mode='json'), label=name),
            'jobs': jobs_of(potentials, options, computer, jobs),
        }
        check_evaluate_inputs(given)
        builder = cls.get_builder()
        for key, value in given.items():
            builder[key] = value
        return builder

    def evaluate(self) -> Any:
        """Have each potential evaluate all configurations; one that covers none of them is not asked."""
        started, self.ctx.refused = {}, {}
        for name, chosen in self.inputs.potentials.items():
            label = f'evaluate_{name}'
            earlier = submitted_before(self, label)
            if earlier is not None:
                started[label] = earlier
                continue
            given = {'parameters': self.inputs.parameters, 'frames': {BLOCK: self.inputs.frames}}
            job = self.inputs.jobs.get(name, {})
            chain, beside = packed_or_not(EvaluatePackedWorkChain, job)
            inputs = {'evaluate': job_inputs(chosen, job, given), **beside, 'metadata': {'call_link_label': label}}
            try:
                started[label] = self.submit(chain, **inputs)
            except ValueError as error:
                self.ctx.refused[name] = str(error)
                self.report(f'{name}: {error}')
        return ToContext(**started)

    def compare(self) -> ExitCode | None:
        """Say the errors of each potential; end with the first code of one that did not say all it was asked."""
        ended = None
        for name, chosen in self.inputs.potentials.items():
            if name in self.ctx.refused:
                ended = ended or self._refused(chosen['potential'], name)
                continue
            chain = self.ctx[f'evaluate_{name}']
            if 'results' in chain.outputs:
                self.out(f'results.{name}', chain.outputs.results)
            predicted = dict(chain.outputs.predictions).get(BLOCK) if 'predictions' in chain.outputs else None
            if predicted is not None:
                self.out(f'predictions.{name}', predicted)
                errors = compare_labels(
                    self.inputs.frames,
                    predicted,
                    self.inputs.settings,
                    metadata={'call_link_label': f'compare_labels_{name}'},
                )
                self.out(f'errors.{name}', errors)
            ended = ended or ending_of(self, chain, name)
        return ended

    def _refused(self, potential: PotentialData, name: str) -> ExitCode:
        """Return as what a potential ends whose inputs its chain did not take: as what they lack, in its words."""
        lacking = potential.covers(self.inputs.frames.base.attributes.get('elements'))
        codes = self.exit_codes
        code = codes.ERROR_ELEMENTS_NOT_COVERED if lacking else codes.ERROR_JOB_INVALID
        return ExitCode(code.status, f'{name}: {self.ctx.refused[name]}')


def check_evaluate_inputs(inputs: Mapping[str, Any]) -> None:
    """Refuse inputs that cannot give errors; those that are not there are not judged.

    A potential that covers none of the configurations is refused only if no other covers any.

    :raises ValueError: naming the input, its value and the remedy.
    """
    potentials, jobs = inputs.get('potentials', None) or {}, inputs.get('jobs', None) or {}
    check_potentials(potentials)
    check_jobs(jobs, potentials, (EvaluateCalculation,), packable=True)
    if inputs.get('parameters', None) is not None:
        check_parameters(inputs['parameters'].get_dict(), EvaluationParameters)
    settings = None if inputs.get('settings', None) is None else read_comparison(inputs['settings'].get_dict())
    frames = inputs.get('frames', None)
    if frames is None:
        return
    check_labels(frames)
    if settings is not None:
        content = frames.frames
        families_of(frames, content, settings.family)
        groups_of(frames, content, settings.unit)
    able = {key: chosen for key, chosen in potentials.items() if covers_any(chosen['potential'], frames)}
    if not able:
        first = next(iter(potentials.values()))['potential']
        check_elements(first, frames.base.attributes.get('elements'))
    if inputs.get('parameters', None) is None:
        return
    for key, chosen in able.items():
        given = {'frames': {BLOCK: frames}, 'parameters': inputs['parameters']}
        check_child(EvaluateBaseWorkChain, job_inputs(chosen, jobs.get(key, {}), given), f'potentials.{key}')


def check_labels(frames: FramesData) -> None:
    """Refuse configurations that there is nothing to compare with.

    :raises ValueError: if no energy and no force is known, or they are only those of the potential which made them.
    """
    remedy = 'aiida-litraj launch label makes labels'
    attributes = frames.base.attributes.all
    if attributes.get('sampled_from') and not attributes.get('level'):
        raise ValueError(
            f'frames: they were sampled from a {attributes["sampled_from"]} and have what the potential said that '
            f'drove it, no labels; {remedy}'
        )
    content = frames.frames
    known = [values is not None and bool(np.isfinite(values).any()) for values in (content.energies, content.forces)]
    if not any(known):
        raise ValueError(
            f'frames: none of the {content.n_frames} configurations has an energy or forces to compare with; {remedy}'
        )
