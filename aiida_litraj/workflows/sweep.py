"""Options of trainings tried side by side, and which are worth their cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from aiida.common import AttributeDict
from aiida.engine import ExitCode
from aiida.orm import AbstractCode, Computer, Dict, Str, to_aiida_type

from ..calculations.functions.compare_finetuned import TEST
from ..calculations.functions.compare_points import (
    ERRORS,
    EVALUATED,
    TRAINED,
    compare_points,
    read_points,
)  # fmt: skip
from ..calculations.validation import refuse
from ..data.frames import FramesData
from ..data.potential import PotentialData
from .finetune import comparison_of, filled, parameters_of
from .learning_curve import family_of, repeats_of, train_section
from .potentials import jobs_of
from .protocols.mixin import merge
from .submission import made_before
from .train import trainings_of
from .trainings import JOBS, TrainingsWorkChain, check_trainings, first_repeat, training_job

WANTED = ('code', 'train', 'valid', TEST, 'trainings', 'parameters', 'evaluation', 'comparison', 'held_out', 'settings')


class SweepWorkChain(TrainingsWorkChain):
    """Trains with each of several choices of options, several times over, and says what each costs and is off."""

    protocol_file = 'sweep.yaml'

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define inputs, outline and outputs."""
        super().define(spec)
        spec.input_namespace('parameters', valid_type=Dict, dynamic=True, help='``TrainingParameters`` of each point.')
        spec.input('settings', valid_type=Dict, serializer=to_aiida_type, help='``points``: what each of them changes.')
        spec.inputs.validator = refuse(check_sweep_inputs)
        spec.outline(cls.train, cls.evaluate, cls.compare)
        spec.output('comparison', valid_type=Dict, required=False, help='Error and cost of each point, and the fronts.')
        spec.default_output_node = 'comparison'

    @classmethod
    def get_builder_from_protocol(
        cls,
        code: AbstractCode,
        train: FramesData,
        valid: FramesData,
        test: FramesData,
        grid: Mapping[str, Sequence[Any]] | None = None,
        points: Sequence[Mapping[str, Any]] | None = None,
        potential: PotentialData | None = None,
        trainer: str | None = None,
        protocol: str | None = None,
        overrides: Mapping[str, Any] | Path | str | None = None,
        seeds: Sequence[int] | None = None,
        held_out: str | None = None,
        options: Mapping[str, Any] | None = None,
        computer: Computer | None = None,
        jobs: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> Any:
        """Return a builder with every number of a protocol filled in.

        :param grid: values of training parameters by their dotted names, like ``{'architecture.channels': [8, 16]}``,
            of which all combinations are tried; or ``points``, a list of choices like ``{'learning_rate': 0.01}``.
        :param potential: what is gone on from; from scratch without, by the ``trainer``.
        :param seeds: a repeat for each; without, those of the protocol.
        :param options: ``metadata.options`` of all jobs, ``jobs`` of the jobs ``train`` or ``evaluate``.
        :raises ValueError: if protocol, override or an input cannot be used, naming it.
        """
        inputs = cls.get_protocol_inputs(protocol, overrides)
        name = protocol or cls.get_default_protocol()
        repeats, choices = repeats_of(inputs, seeds, held_out), choices_of(grid, points)
        section, family = train_section(inputs['train'], potential, trainer), family_of(potential, trainer)
        parameters = {}
        for point, changes in choices.items():
            try:
                parameters[point] = parameters_of(merge(section, nested(changes)), family)
            except ValueError as error:
                raise ValueError(f'{point} ({described(changes)}): {error}') from error
        given: dict[str, Any] = {
            'code': code,
            'train': train,
            'valid': valid,
            TEST: test,
            'trainings': trainings_of(repeats.seeds),
            'held_out': Str(repeats.held_out),
            'parameters': parameters,
            **comparison_of(inputs['evaluate'], name),
            'settings': Dict(read_points({'points': choices}).model_dump(mode='json'), label=name),
            'jobs': jobs_of(JOBS, options, computer, jobs),
            **({} if potential is None else {'potential': potential}),
        }
        check_sweep_inputs(given)
        return filled(cls, given)

    def planned(self) -> dict[str, AttributeDict]:
        """Return the inputs of the job of each training."""
        return plans(self.inputs)

    def compare(self) -> ExitCode | None:
        """Say error and cost of each point, and end with the first code of what did not go well."""
        self.show_evaluations()
        chain = self.ctx.get(f'evaluate_{TEST}')
        errors = dict(chain.outputs.errors) if chain is not None and 'errors' in chain.outputs else {}
        if errors:
            evaluated = dict(chain.outputs.results) if 'results' in chain.outputs else {}
            given: dict[str, Dict] = {}
            for name, node in errors.items():
                given |= {f'{ERRORS}{name}': node, f'{TRAINED}{name}': self.ctx[f'train_{name}'].outputs.results}
                given |= {f'{EVALUATED}{name}': evaluated[name]} if name in evaluated else {}
            label = 'compare_points'
            compared = made_before(self, label) or compare_points(
                self.inputs.settings, **given, metadata={'call_link_label': label}
            )
            self.out('comparison', compared)
        return self.ended()


def plans(inputs: Mapping[str, Any]) -> dict[str, AttributeDict]:
    """Return the inputs of the jobs of all trainings, by ``<point>_<repeat>``."""
    parent = inputs.get('potential', None)
    return {
        f'{point}_{name}': training_job(inputs, name, parameters, inputs['train'], parent)
        for point, parameters in inputs['parameters'].items()
        for name in inputs['trainings']
    }


def choices_of(
    grid: Mapping[str, Sequence[Any]] | None, points: Sequence[Mapping[str, Any]] | None
) -> dict[str, dict[str, Any]]:
    """Return the points by name, in their order: ``point_0`` and so on.

    :raises ValueError: if neither or both are given, an option has no values, or two points are the same.
    """
    if (grid is None) == (points is None):
        raise ValueError('grid and points: give one of both, {name: [values]} or [{name: value}]')
    if grid is not None:
        for name, values in grid.items():
            if isinstance(values, str) or not isinstance(values, Sequence) or not values:
                raise ValueError(f'grid.{name} = {values!r}: give a list of values')
        listed = [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]
    else:
        listed = [dict(one) for one in points or ()]
    if not listed or not all(listed):
        raise ValueError('grid and points: nothing is varied; give at least one option with its values')
    for number, one in enumerate(listed):
        if one in listed[:number]:
            raise ValueError(f'points: {described(one)} is given twice')
    return {f'point_{number}': one for number, one in enumerate(listed)}


def nested(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return changes by dotted names as mappings in each other.

    :raises ValueError: if one is inside of what another sets.
    """
    made: dict[str, Any] = {}
    for name, value in changes.items():
        *outer, last = name.split('.')
        place = made
        for key in outer:
            place = place.setdefault(key, {})
            if not isinstance(place, dict):
                raise ValueError(f'{name}: {key} is set as a whole too')
        if last in place:
            raise ValueError(f'{name}: a part of it is set too')
        place[last] = value
    return made


def described(changes: Mapping[str, Any]) -> str:
    """Return what a point changes, in words."""
    return ', '.join(f'{name} = {value}' for name, value in changes.items())


def check_sweep_inputs(inputs: Mapping[str, Any]) -> None:
    """Refuse inputs that cannot be tried; those that are not there are not judged.

    :raises ValueError: naming the input, its value and the remedy.
    """
    if any(inputs.get(name, None) is None for name in WANTED):
        return  # AiiDA names what is missing
    points, given = read_points(inputs['settings'].get_dict()).points, inputs['parameters']
    if set(points) != set(given):
        raise ValueError(f'parameters: of {", ".join(given)}, but settings.points has {", ".join(points)}')
    names = Counter(f'{point}_{name}' for point in points for name in inputs['trainings'])
    twice = next((name for name, number in names.items() if number > 1), None)
    if twice is not None:
        raise ValueError(
            f'settings.points and trainings: two trainings would be called {twice}, <point>_<training>; take other '
            'names'
        )
    check_trainings(inputs, plans(first_repeat(inputs)))
