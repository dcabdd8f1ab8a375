"""How far the forces of potentials are off on the way through a melt into a glass: task 2 of LiPS-25."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from aiida.common import AttributeDict
from aiida.engine import ExitCode, ToContext, WorkChain
from aiida.orm import AbstractCode, Computer, Dict, StructureData, to_aiida_type

from ..analysis.frames import from_ase
from ..calculations.base import register_exit_codes
from ..calculations.functions.compare_labels import names_of
from ..calculations.functions.compare_stages import ERRORS, PREDICTED, STAGE, compare_stages, read_ensembles
from ..calculations.functions.thin_frames import chosen_frames, read_sample, thin_frames
from ..calculations.validation import refuse
from ..data.frames import FramesData
from .barrier_check import fill_label, label_section
from .children import ending_of
from .evaluate import EvaluateWorkChain, check_evaluate_inputs
from .label import LabelWorkChain
from .label_items import check_label_inputs
from .melt_quench import MeltQuenchWorkChain
from .protocols import ProtocolMixin
from .submission import submitted_before

MELT_QUENCH, LABEL, EVALUATE = 'melt_quench', 'label', 'evaluate'
OUTPUTS = ('predictions', 'errors', 'results')
NOT_THERE = {'required': False, 'populate_defaults': False}


class ForceAccuracyWorkChain(ProtocolMixin, WorkChain):
    """Labels snapshots of a melt-quench and says how far each potential is off, in all of them and in each stage.

    Snapshots are given, or made by a melt-quench with a potential that drives it; they are labelled, unless they have
    labels already. What could not be labelled is said and counts for nothing.
    """

    protocol_file = 'force_accuracy.yaml'

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define inputs, outline and outputs."""
        super().define(spec)
        spec.input('frames', valid_type=FramesData, required=False, help='The snapshots, instead of ``melt_quench``.')
        spec.input('sample', valid_type=Dict, serializer=to_aiida_type, help='How many of them at most: ``Sample``.')
        spec.input(
            'ensembles', valid_type=Dict, required=False, serializer=to_aiida_type,
            help='By name the potentials that are repeats of one training, to be averaged.',
        )  # fmt: skip
        spec.expose_inputs(MeltQuenchWorkChain, namespace=MELT_QUENCH, namespace_options=dict(NOT_THERE))
        spec.expose_inputs(LabelWorkChain, namespace=LABEL, exclude=('frames',), namespace_options=dict(NOT_THERE))
        spec.expose_inputs(EvaluateWorkChain, namespace=EVALUATE, exclude=('frames',))
        spec.inputs.validator = refuse(check_force_accuracy_inputs)
        spec.outline(cls.run_melt_quench, cls.choose, cls.run_label, cls.run_evaluate, cls.analyse)
        spec.output('accuracy', valid_type=Dict, required=False, help='Errors in all and in each stage.')
        spec.output('snapshots', valid_type=FramesData, required=False, help='What was to be labelled.')
        spec.output('labelled', valid_type=FramesData, required=False, help='The snapshots that have a label.')
        spec.output('report', valid_type=Dict, required=False, help='How the label of each snapshot ended.')
        for name, kind, text in (
            ('predictions', FramesData, 'The snapshots as each potential has them.'),
            ('errors', Dict, 'Errors of each potential, as ``litraj.evaluate`` says them.'),
            ('results', Dict, 'How the evaluations ended, with the audit.'),
        ):
            spec.output_namespace(name, valid_type=kind, dynamic=True, required=False, help=text)
        spec.default_output_node = 'accuracy'
        register_exit_codes(spec, beside={**EvaluateWorkChain.exit_codes, **LabelWorkChain.exit_codes})

    @classmethod
    def get_builder_from_protocol(
        cls,
        potentials: Mapping[str, Mapping[str, Any]],
        frames: FramesData | None = None,
        structure: StructureData | None = None,
        driver: Mapping[str, Any] | None = None,
        dft_code: AbstractCode | None = None,
        protocol: str | None = None,
        overrides: Mapping[str, Any] | Path | str | None = None,
        ensembles: Mapping[str, list[str]] | None = None,
        options: Mapping[str, Any] | None = None,
        computer: Computer | None = None,
        jobs: Mapping[str, Mapping[str, Any]] | None = None,
        label: Mapping[str, Any] | None = None,
    ) -> Any:
        """Return a builder with every number of a protocol filled in.

        :param potentials: what is judged, by name, each ``{'code': ..., 'potential': ...}``.
        :param frames: the snapshots; or ``structure``, what is melted, with the ``driver``, like one of the potentials.
        :param dft_code: for the labels; without it the frames must have them.
        :param overrides: what to change, like ``{'label': {'level': {'cutoff_ev': 500.0}}}``, or a YAML file.
        :param ensembles: by name the potentials that are repeats of one training.
        :param options: ``metadata.options`` of all jobs of the engine.
        :param computer: where to run codes of the engine that are not bound to a computer.
        :param jobs: computer (its label) and options of some potentials, by name, instead of those for all.
        :param label: what ``litraj.label`` can be told beside: ``settings``, ``backend``, ``dataset``, ``options``,
            ``computer`` and ``max_in_flight``.
        :raises ValueError: if protocol, override or an input cannot be used, naming value and remedy.
        """
        inputs = cls.get_protocol_inputs(protocol, overrides)
        name = protocol or cls.get_default_protocol()
        sample = read_sample(inputs['sample'])
        check_source(frames, structure, driver, dft_code)
        builder = cls.get_builder()
        builder.sample = Dict(sample.model_dump(mode='json'), label=name)
        if ensembles:
            builder.ensembles = Dict(read_ensembles(ensembles, potentials))
        if frames is not None:
            builder.frames = snapshots = frames
        else:
            assert structure is not None and driver is not None
            melt = MeltQuenchWorkChain.get_builder_from_protocol(
                driver['code'], driver['potential'], structure, **label_section(inputs[MELT_QUENCH]), options=options,
                computer=computer,
            )  # fmt: skip
            fill_label(builder[MELT_QUENCH], melt)
            snapshots = stand_in(structure)
        section = label_section(by_stage(inputs[EVALUATE], snapshots))
        if dft_code is not None:
            labels = LabelWorkChain.get_builder_from_protocol(
                dft_code, snapshots, **label_section(inputs[LABEL]), **(label or {})
            )
            fill_label(builder[LABEL], labels)
            snapshots = with_zeros(snapshots)
        evaluation = EvaluateWorkChain.get_builder_from_protocol(
            potentials, snapshots, **section, options=options, computer=computer, jobs=jobs
        )
        fill_label(builder[EVALUATE], evaluation)
        return builder

    def run_melt_quench(self) -> Any:
        """Make the snapshots, unless they are given."""
        if 'frames' in self.inputs:
            return None
        inputs = AttributeDict(self.exposed_inputs(MeltQuenchWorkChain, MELT_QUENCH))
        return self._start(MeltQuenchWorkChain, MELT_QUENCH, inputs)

    def choose(self) -> ExitCode | None:
        """Take as many snapshots as are asked for; of a melt-quench that died those that it reached."""
        if 'frames' in self.inputs:
            every = self.inputs.frames
        else:
            chain = self.ctx[MELT_QUENCH]
            if 'snapshots' not in chain.outputs:
                return self._ended() or self.exit_codes.ERROR_UNSTABLE.format(time=0, reason='it left no snapshot')
            every = chain.outputs.snapshots
        self.ctx.asked = every
        if len(chosen_frames(every.n_frames, read_sample(self.inputs.sample.get_dict()))) < every.n_frames:
            self.ctx.asked = thin_frames(every, self.inputs.sample, metadata={'call_link_label': 'thin_frames'})
        self.out('snapshots', self.ctx.asked)
        return None

    def run_label(self) -> Any:
        """Label them, unless they are."""
        if LABEL not in self.inputs:
            return None
        inputs = AttributeDict(self.exposed_inputs(LabelWorkChain, LABEL))
        return self._start(LabelWorkChain, LABEL, AttributeDict({**inputs, 'frames': self.ctx.asked}))

    def run_evaluate(self) -> Any:
        """Compare the potentials with the labels that there are."""
        self.ctx.labelled, self.ctx.report = self.ctx.asked, None
        if LABEL in self.inputs:
            chain = self.ctx[LABEL]
            if 'report' in chain.outputs:
                self.ctx.report = chain.outputs.report
                self.out('report', self.ctx.report)
            if 'frames' not in chain.outputs:
                return self._ended()
            self.ctx.labelled = chain.outputs.frames
            self.out('labelled', self.ctx.labelled)
        inputs = AttributeDict(self.exposed_inputs(EvaluateWorkChain, EVALUATE))
        return self._start(EvaluateWorkChain, EVALUATE, AttributeDict({**inputs, 'frames': self.ctx.labelled}))

    def analyse(self) -> ExitCode | None:
        """Say the errors of each stage, and end as the first did that did not go well."""
        chain = self.ctx[EVALUATE]
        found = {name: dict(chain.outputs[name]) for name in OUTPUTS if name in chain.outputs}
        for name, nodes in found.items():
            for key, node in nodes.items():
                self.out(f'{name}.{key}', node)
        errors, predictions = found.get('errors', {}), found.get('predictions', {})
        both = [key for key in errors if key in predictions]
        if both:
            known = {ERRORS: errors, PREDICTED: predictions}
            given = {f'{prefix}{key}': nodes[key] for prefix, nodes in known.items() for key in both}
            given |= {} if self.ctx.report is None else {'report': self.ctx.report}
            given |= {'ensembles': self.inputs.ensembles} if 'ensembles' in self.inputs else {}
            compared = compare_stages(
                asked=self.ctx.asked, labelled=self.ctx.labelled, **given,
                metadata={'call_link_label': 'compare_stages'},
            )  # fmt: skip
            self.out('accuracy', compared)
        return self._ended()

    def _ended(self) -> ExitCode | None:
        """Return as what the first child ended that did not go well."""
        children = [self.ctx[name] for name in (MELT_QUENCH, LABEL, EVALUATE) if name in self.ctx]
        return next((code for child in children if (code := ending_of(self, child)) is not None), None)

    def _start(self, chain: Any, label: str, inputs: AttributeDict) -> Any:
        """Submit a child, or find the one that a killed worker has submitted."""
        earlier = submitted_before(self, label)
        if earlier is None:
            inputs.setdefault('metadata', AttributeDict())
            inputs.metadata.call_link_label = label
            earlier = self.submit(chain, **inputs)
        return ToContext(**{label: earlier})


def check_source(
    frames: FramesData | None, structure: StructureData | None, driver: Mapping[str, Any] | None, label: Any
) -> None:
    """Refuse snapshots from two sources or none, and those that nobody would label.

    :param label: whatever says that they are labelled; ``None`` if they are not.
    :raises ValueError: naming the input and the remedy.
    """
    if (frames is None) == (structure is None):
        given = 'none is' if frames is None else 'both are'
        raise ValueError(f'frames and structure: {given} given; give snapshots, or what is to be melted')
    if structure is not None and driver is None:
        raise ValueError('driver: none given; a melt-quench needs the potential that drives it, with its code')
    if label is None and frames is None:
        raise ValueError('dft_code: none given; snapshots of a melt-quench have no labels')


def by_stage(section: Mapping[str, Any], frames: FramesData) -> dict[str, Any]:
    """Return the section of the evaluation with the stages as families, where frames name them and nobody others.

    Of one melt alone there would be no interval over trajectories: single snapshots are drawn then, and a warning says
    what that is worth.
    """
    settings = dict(section.get('settings') or {})
    if any(info.get(STAGE) is not None for info in frames.frames.info):
        settings.setdefault('family', STAGE)
    if all(len(set(names_of(frames, frames.frames, kind) or ())) < 2 for kind in ('material', 'trajectory')):
        settings.setdefault('unit', 'frame')
    return {**section, 'settings': settings}


def stand_in(structure: StructureData) -> FramesData:
    """Return the structure as configurations, of which the checks of the labelling can judge before there are any."""
    atoms = structure.get_ase()
    atoms.info = {STAGE: 'melt'}
    return FramesData.from_frames(from_ase([atoms]))


def with_zeros(frames: FramesData) -> FramesData:
    """Return configurations as if they had labels, of which the checks of the evaluation can judge before they do."""
    content = frames.frames
    zeros = {'energies': np.zeros(content.n_frames), 'forces': np.zeros_like(content.positions)}
    return FramesData.from_frames(replace(content, **zeros))


def check_force_accuracy_inputs(inputs: Mapping[str, Any]) -> None:
    """Refuse inputs that cannot be compared; those that are not there are not judged.

    :raises ValueError: naming the input, its value and the remedy.
    """
    if inputs.get('sample', None) is not None:
        read_sample(inputs['sample'].get_dict())
    frames, label, melt = inputs.get('frames', None), inputs.get(LABEL, None), inputs.get(MELT_QUENCH, None)
    if (frames is None) == (not melt):
        given = 'none is' if frames is None else 'both are'
        raise ValueError(f'frames and melt_quench: {given} given; the snapshots come from one or the other')
    if not label and frames is None:
        raise ValueError('label: none given; snapshots of a melt-quench have no labels')
    evaluate = inputs.get(EVALUATE, None) or {}
    if inputs.get('ensembles', None) is not None:
        read_ensembles(inputs['ensembles'].get_dict(), evaluate.get('potentials', None) or {})
    snapshots = frames if frames is not None else stand_in(melt['structure'])
    if label:
        check_label_inputs({**label, 'frames': snapshots})
        snapshots = with_zeros(snapshots)
    check_evaluate_inputs({**evaluate, 'frames': snapshots})
