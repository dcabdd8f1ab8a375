"""Whether cutoff and k-points of labels are enough: the same configurations at several of both."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiida.engine import ExitCode, ToContext, WorkChain, while_
from aiida.orm import AbstractCode, Computer, Dict, List, Str, WorkChainNode, to_aiida_type

from ..calculations.base import register_exit_codes
from ..calculations.functions.analyse_convergence import analyse_convergence, sample_configurations
from ..calculations.validation import refuse, validated
from ..contract.convergence import ConvergenceGrid, settings_of
from ..contract.level import Level
from ..data.frames import FramesData
from .backends import load
from .label import LabelWorkChain
from .label_items import check_label_inputs, faults_of
from .protocols import ProtocolMixin
from .submission import made_before, submitted_before


class ConvergenceWorkChain(ProtocolMixin, WorkChain):
    """Labels a sample at each setting, one setting after the other, and tells the differences to the finest.

    A setting that is refused, or at which nothing can be labelled, is a row without numbers and with the reason; the
    others are compared all the same.
    """

    protocol_file = 'convergence.yaml'

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define inputs, outline and outputs."""
        super().define(spec)
        spec.input('frames', valid_type=FramesData, help='Configurations, of which a sample is taken.')
        spec.input('code', valid_type=AbstractCode, help='Of electronic structure.')
        spec.input('level', valid_type=Dict, serializer=to_aiida_type, help='What is to be judged, ``Level``.')
        spec.input('settings', valid_type=Dict, serializer=to_aiida_type, help='What only the back end knows.')
        spec.input('backend', valid_type=Str, serializer=to_aiida_type, help='Entry point in litraj.label_backends.')
        spec.input('grid', valid_type=Dict, serializer=to_aiida_type, help='``ConvergenceGrid``; a protocol gives it.')
        spec.input('jobs', valid_type=dict, non_db=True, default=dict, help='As ``litraj.label`` has them.')
        spec.inputs.validator = refuse(check_convergence_inputs)
        spec.outline(cls.prepare, while_(cls.is_under_way)(cls.label, cls.collect), cls.analyse)
        spec.output('table', valid_type=Dict, help='Differences to the finest setting, by series.')
        spec.output('sample', valid_type=FramesData, help='The configurations on which they were taken.')
        spec.output_namespace('frames', valid_type=FramesData, dynamic=True, help='With labels, by setting.')
        register_exit_codes(spec, beside=LabelWorkChain.exit_codes)

    @classmethod
    def get_builder_from_protocol(
        cls,
        code: AbstractCode,
        frames: FramesData,
        protocol: str | None = None,
        overrides: Mapping[str, Any] | Path | str | None = None,
        label_protocol: str | None = None,
        settings: Mapping[str, Any] | None = None,
        backend: str | None = None,
        options: Mapping[str, Any] | None = None,
        computer: Computer | None = None,
        max_in_flight: int | None = None,
    ) -> Any:
        """Return a builder with every number filled in.

        :param protocol: which settings are compared.
        :param overrides: what to change in them, like ``{'grid': {'cutoffs_ev': [400, 520]}}``, or in the level and
            the settings of the labels, as ``litraj.label`` takes them.
        :param label_protocol: that of the labels, whose level is judged.
        :raises ValueError: if protocol, override or an input cannot be used, naming value and remedy.
        """
        changes = dict(overrides) if isinstance(overrides, Mapping) else overrides
        of_grid = {'grid': changes.pop('grid')} if isinstance(changes, dict) and 'grid' in changes else {}
        grid = cls.get_protocol_inputs(protocol, of_grid)['grid']
        label = LabelWorkChain.get_builder_from_protocol(
            code, frames, label_protocol, changes, settings, backend, None, options, computer, max_in_flight
        )
        asked = validated(grid, ConvergenceGrid, 'grid').model_dump(mode='json')
        given = {name: label[name] for name in ('frames', 'code', 'level', 'settings', 'backend', 'jobs')}
        given['grid'] = Dict(asked, label=protocol or cls.get_default_protocol())
        check_convergence_inputs(given)
        builder = cls.get_builder()
        for key, value in given.items():
            builder[key] = value
        return builder

    def prepare(self) -> ExitCode | None:
        """Draw the sample of what can be labelled, and list the settings, each once."""
        frames, settings = self.inputs.frames.frames, self.inputs.settings.get_dict()
        faults = faults_of(frames, load(self.inputs.backend.value), self.inputs.code, settings)
        sound = [index for index in range(len(frames)) if index not in faults]
        for index, fault in faults.items():
            self.report(f'configuration {index} is not drawn: {fault.label}: {fault.reason}')
        if not sound:
            return self.exit_codes.ERROR_ITEM_INVALID.format(reason=next(iter(faults.values())).reason)
        drawn = made_before(self, 'sample_configurations') or sample_configurations(
            self.inputs.frames,
            self.inputs.grid,
            **({'sound': List(sound)} if faults else {}),
            metadata={'call_link_label': 'sample_configurations'},
        )
        self.ctx.sample = drawn
        self.out('sample', drawn)
        series = settings_of(self._grid(), Level.model_validate(self.inputs.level.get_dict()))
        levels = {name: level.model_dump(mode='json') for one in series.values() for name, level in one.items()}
        self.ctx.waiting = list(levels.items())
        self.ctx.ended = []
        return None

    def _grid(self) -> ConvergenceGrid:
        return ConvergenceGrid.model_validate(self.inputs.grid.get_dict())

    def is_under_way(self) -> bool:
        """Return whether a setting is left."""
        return bool(self.ctx.waiting)

    def label(self) -> Any:
        """Label the sample at the next setting, or find the chain that a killed worker has submitted.

        One that the back end refuses has ended with that.
        """
        name, level = self.ctx.waiting[0]
        label, self.ctx.chain = f'label_{name}', None
        earlier = submitted_before(self, label)
        if earlier is not None:
            return ToContext(chain=earlier)
        inputs = {
            'frames': self.ctx.sample,
            'level': Dict(level),
            **{key: self.inputs[key] for key in ('code', 'settings', 'backend', 'jobs')},
        }
        try:
            check_label_inputs(inputs)
        except ValueError as error:
            self.report(f'{name} is refused: {error}')
            self.ctx.ended.append((name, self.exit_codes.ERROR_JOB_INVALID.status, f'refused: {error}'))
            return None
        return ToContext(chain=self.submit(LabelWorkChain, **inputs, metadata={'call_link_label': label}))

    def collect(self) -> None:
        """Take the labels of a setting, if there are any."""
        name, _ = self.ctx.waiting.pop(0)
        chain: WorkChainNode | None = self.ctx.chain
        if chain is None:
            return
        if 'frames' in chain.outputs:
            self.out(f'frames.{name}', chain.outputs.frames)
        if not chain.is_finished_ok:
            message = chain.exit_message or chain.exception or 'it was killed'
            self.report(f'{name}: {chain.process_label}<{chain.pk}>: {message}')
            self.ctx.ended.append((name, chain.exit_status, str(message)))

    def analyse(self) -> ExitCode | None:
        """Make the table; end as the only setting that failed, or with how many did not."""
        table = analyse_convergence(
            self.inputs.grid,
            self.inputs.level,
            **({'reasons': Dict({name: said for name, _, said in self.ctx.ended})} if self.ctx.ended else {}),
            metadata={'call_link_label': 'analyse_convergence'},
            **self.outputs.get('frames', {}),
        )
        self.out('table', table)
        if not self.ctx.ended:
            return None
        statuses = {status for _, status, _ in self.ctx.ended}
        name, status, message = self.ctx.ended[0]
        if not self.outputs.get('frames', {}) and len(statuses) == 1 and status:
            return ExitCode(status, f'{name}: {message}')
        partial = self.exit_codes.ERROR_PARTIAL
        number = len(self.ctx.ended)
        lack = '1 setting lacks labels' if number == 1 else f'{number} settings lack labels'
        return ExitCode(partial.status, f'{lack}; {name}: {message}')


def check_convergence_inputs(inputs: Mapping[str, Any]) -> None:
    """Refuse settings that cannot be compared; inputs that are not there are not judged.

    :raises ValueError: naming the input, its value and the remedy.
    """
    grid, level = inputs.get('grid', None), inputs.get('level', None)
    of_labels = {key: value for key, value in inputs.items() if key != 'grid'}
    check_label_inputs(of_labels)
    if grid is None or level is None:
        return
    asked = validated(grid.get_dict(), ConvergenceGrid, 'grid')
    own = Level.model_validate(level.get_dict())
    series = settings_of(asked, own)
    if not series:
        raise ValueError(
            f'grid.cutoffs_ev = {asked.cutoffs_ev}, grid.kpoint_spacings_per_ang = {asked.kpoint_spacings_per_ang}: '
            "nothing but the level's own; add another to compare it with"
        )
    refusal = None
    for name, one in ((name, one) for levels in series.values() for name, one in levels.items() if one != own):
        try:
            check_label_inputs({**of_labels, 'level': Dict(one.model_dump(mode='json'))})
            return
        except ValueError as error:
            refusal = refusal or f'{name}: {error}'
    raise ValueError(f"grid: every setting but the level's own is refused; {refusal}")
