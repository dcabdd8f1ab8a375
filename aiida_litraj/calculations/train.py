"""Trains potentials on labelled configurations: one job, any number of trainings that differ in their seeds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida.common.datastructures import CalcInfo
from aiida.orm import ArrayData, Dict, Str, to_aiida_type

from ..contract import files
from ..contract.potential import PotentialSpec
from ..contract.runtime import Runtime
from ..contract.train import LOG, TrainingParameters, TrainItem, TrainJob
from ..contract.trainers import NO_REPLAY, TRAINERS, not_offered
from ..data.frames import FramesData
from ..data.potential import PotentialData
from .base import LitrajCalcJob
from .held_out import HELD_OUT
from .train_sets import SETS, check_configurations, check_named, check_replay, check_sets_of, set_arrays
from .validation import check_has_family, check_names, refuse, validated


class TrainCalculation(LitrajCalcJob):
    """Runs ``litraj-engine`` on trainings: from scratch, or going on from a potential."""

    task = 'train'
    resumable = ('ERROR_TRAINER', 'ERROR_TRAINED_UNUSABLE', 'ERROR_ITEM_OUT_OF_TIME')
    parameters_model = TrainingParameters
    item_type = Dict
    items_help = (
        'Trainings by name: ``train`` is the name of one of ``train_sets``, ``valid`` of one of ``valid_sets``, and '
        '``seed`` a number. They have the sets in common.'
    )

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define inputs, options and outputs."""
        super().define(spec)
        spec.inputs['potential'].required = False
        spec.inputs['potential'].help = 'What is gone on from; from scratch without.'
        for name, required, text in (
            ('train_sets', True, 'Labelled configurations to learn from, by name.'),
            ('valid_sets', True, 'Labelled configurations that tell the best epoch, by name.'),
            ('replay_sets', False, 'Labelled configurations that the potential knew, by name: it forgets less so.'),
        ):
            spec.input_namespace(
                name,
                valid_type=FramesData,
                dynamic=True,
                required=required,
                validator=refuse(check_named) if required else None,
                help=text,
            )
        spec.input(
            'held_out',
            valid_type=Str,
            serializer=to_aiida_type,
            default=lambda: Str(HELD_OUT[0]),
            help='What the validation sets have that is not learnt, which is checked: ``materials``, ``trajectories`` '
            'of known materials, or ``frames`` of known trajectories.',
        )
        for name, kind, text in (
            ('potentials', PotentialData, 'Of each training the potential of its best epoch.'),
            ('last_potentials', PotentialData, 'The same of its last epoch, where that is another.'),
            ('curves', ArrayData, 'Learning curves: an array for each column of ``contract.train.CURVE``.'),
        ):
            spec.output_namespace(name, valid_type=kind, dynamic=True, required=False, help=text)

    @classmethod
    def check_items(cls, items: Mapping[str, Dict]) -> None:
        """Refuse trainings that are malformed.

        :raises ValueError: naming the first that is at fault, with field, value and remedy.
        """
        check_names(items, 'trainings', 'Dict')
        for name, node in items.items():
            read_training(name, node)

    @classmethod
    def check_together(cls, inputs: Mapping[str, Any]) -> None:
        """Refuse also sets that cannot be learnt from or judged by, and a start that does not fit the trainer.

        :raises ValueError: naming input and remedy.
        """
        super().check_together(inputs)
        trainings = {name: read_training(name, node) for name, node in (inputs.get('trainings', None) or {}).items()}
        check_sets_of(trainings, inputs)
        gpus = ((inputs.get('metadata', None) or {}).get('options', None) or {}).get('gpus', None) or 1
        if gpus > 1:
            raise ValueError(
                f'metadata.options.gpus = {gpus}: a training uses one GPU; leave it out, and give each training a job '
                'of its own where they shall go on side by side'
            )
        if inputs.get('parameters', None) is None:
            return
        parameters = TrainingParameters.model_validate(inputs['parameters'].get_dict())
        check_start(parameters, inputs)
        check_offered(parameters, inputs)
        check_replay(parameters, inputs)
        check_configurations(parameters, inputs)

    @classmethod
    def symbols(cls, inputs: Mapping[str, Any]) -> set[str]:
        """Return the elements of all sets."""
        sets = [node for namespace in SETS for node in (inputs.get(namespace, None) or {}).values()]
        return {symbol for node in sets for symbol in node.base.attributes.get('elements')}

    def _setup_metadata(self, metadata: dict[str, Any]) -> None:
        # What is said of the sets changes no number: it is checked before.
        caching = self.node.base.caching
        caching._hash_ignored_inputs = [*caching._hash_ignored_inputs, 'held_out']
        super()._setup_metadata(metadata)

    def job(
        self, potential: PotentialSpec | None, parameters: TrainingParameters, runtime: Runtime, items: dict[str, Any]
    ) -> TrainJob:
        """Return the job of these trainings."""
        listed = [read_training(name, node) for name, node in items.items()]
        return TrainJob(potential=potential, parameters=parameters, runtime=runtime, items=listed)

    def job_arrays(self, items: Mapping[str, Any], parameters: TrainingParameters) -> dict[str, Any]:
        """Return the arrays of all sets, each once."""
        stress, arrays = bool(parameters.loss.stress_weight), {}
        for namespace, prefix in SETS.items():
            for name, node in sorted(self.inputs.get(namespace, {}).items()):
                found = set_arrays(node.shared_frames, stress)
                arrays |= {f'{prefix}.{name}/{key}': value for key, value in found.items()}
        return arrays

    def _calc_info(self) -> CalcInfo:
        """Return what AiiDA needs; the arrays of the result become nodes, and are not kept beside them.

        What the trainers have printed is: of one that died there is no other witness.
        """
        info = super()._calc_info()
        kept = [name for name in info.retrieve_list if name != files.RESULT_ARRAYS]
        info.retrieve_list = [*kept, (f'{files.ITEMS}/*{LOG}', '.', 2)]
        info.retrieve_temporary_list = [*info.retrieve_temporary_list, files.RESULT_ARRAYS]
        return info


def read_training(name: str, node: Dict) -> TrainItem:
    """Return a training.

    :raises ValueError: naming each field that is missing, not known or out of range.
    """
    values = node.get_dict()
    if 'id' in values:
        raise ValueError(f'trainings.{name}.id = {values["id"]!r} is not known; a training is called by its input name')
    return validated({'id': name, **values}, TrainItem, f'trainings.{name}')


def check_offered(parameters: TrainingParameters, inputs: Mapping[str, Any]) -> None:
    """Refuse what the trainer cannot do, as far as it is one of the engine's: else the compute node would.

    :raises ValueError: naming each parameter, its value and the remedy.
    """
    trainer, lacking = parameters.trainer, not_offered(parameters)
    if lacking:
        raise ValueError(
            f'parameters.trainer = {trainer!r} does not do what these ask for: '
            + '; '.join(f'parameters.{said}' for said in lacking)
        )
    sets = inputs.get('replay_sets', None) or {}
    if sets and trainer in NO_REPLAY:
        raise ValueError(
            f'replay_sets.{next(iter(sets))}: the trainer {trainer!r} does not offer replay, mace does; leave it '
            'out, and put configurations that the parent knew into the training set'
        )


def check_start(parameters: TrainingParameters, inputs: Mapping[str, Any]) -> None:
    """Refuse a potential that the trainer cannot go on from, or parameters of the other way to begin.

    :raises ValueError: naming input, value and remedy.
    """
    potential, trainer = inputs.get('potential', None), parameters.trainer
    if potential is None:
        if parameters.architecture is None:
            raise ValueError(
                'parameters.architecture is none, and there is no potential to go on from: give one of both; the '
                'protocols scratch-mace, scratch-sevennet and scratch-graph-pes have an architecture'
            )
        if parameters.energy_references == 'parent':
            raise ValueError(
                "parameters.energy_references = 'parent', and there is no potential to go on from: take least_squares"
            )
        if trainer in TRAINERS and inputs.get('code', None) is not None:
            check_has_family(inputs['code'], trainer)
        return
    if parameters.architecture is not None:
        raise ValueError(
            f'parameters.architecture is given, but the potential {potential.label!r} has its own: leave out one of '
            'both; the protocols balanced, litraj-2025 and fast-finetune go on from a potential'
        )
    if trainer in TRAINERS and potential.family != trainer:
        raise ValueError(
            f'parameters.trainer = {trainer!r} cannot go on from the potential {potential.label!r} of the family '
            f'{potential.family}: take its trainer, or another potential'
        )


def used_sets(trainings: Mapping[str, Dict], sets: Mapping[str, Any], field: str) -> dict[str, Any]:
    """Return those of some sets that belong to one of the trainings as their ``field``."""
    wanted = {node[field] for node in trainings.values()}
    return {name: node for name, node in sets.items() if name in wanted}
