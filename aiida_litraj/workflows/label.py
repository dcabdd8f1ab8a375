"""Reference labels: energy, forces and stress of configurations by a code of electronic structure."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from aiida.common import AttributeDict
from aiida.engine import ExitCode, ToContext, while_
from aiida.orm import AbstractCode, Computer, Dict, Int, ProcessNode, Str, load_node, to_aiida_type

from ..calculations.base import register_exit_codes
from ..calculations.functions.collect_label import collect_label, problem_of
from ..calculations.functions.extract_configuration import extract_configuration
from ..calculations.validation import refuse, validated
from ..contract.errors import FIRST_VERDICT
from ..contract.level import Level
from ..data.frames import FramesData
from ..groups.labelled import join
from .backends import LabelBackend, Outcome, load, of_code
from .cleaning import clean_up, folders_of_successful
from .label_blocks import BLOCK, FAILED, LABELLED, RUNNING, WAITING, Blocks, give, given
from .label_items import (
    check_label_inputs,
    entry_id,
    fault_at,
    in_flight,
    one_kind_of_kpoints,
    symbols_of,
    warnings_of,
)
from .label_jobs import ALIKE, bar_from_cache, common_fault, computer_of, is_of_environment, status_of
from .protocols import ProtocolMixin
from .submission import made_before, submitted_before
from .waiting import WaitsForAny

MOST_LOST = 2
"""Attempts of one configuration that are made once more because the machine has failed them."""


class LabelWorkChain(ProtocolMixin, WaitsForAny):
    """Has configurations labelled by a code, some at a time; tries again what may be mended, and reports the rest.

    A configuration that cannot be labelled is an item of the report with its reason; the others are labelled all the
    same, and every finished label stays, however the chain ends.
    """

    protocol_file = 'label.yaml'

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define inputs, outline and outputs."""
        super().define(spec)
        spec.input('frames', valid_type=FramesData, help='Configurations to be labelled.')
        spec.input('code', valid_type=AbstractCode, help='Of electronic structure.')
        spec.input('level', valid_type=Dict, serializer=to_aiida_type, help='``Level``; a protocol gives it.')
        spec.input('settings', valid_type=Dict, serializer=to_aiida_type, help='What only the back end knows.')
        spec.input('backend', valid_type=Str, serializer=to_aiida_type, help='Entry point in litraj.label_backends.')
        spec.input(
            'dataset', valid_type=Str, required=False, serializer=to_aiida_type, help='Set which the labels join.'
        )
        spec.input(
            'jobs',
            valid_type=dict,
            non_db=True,
            default=dict,
            help='``options``, which are ``metadata.options`` of the jobs, ``computer``, the label of one for a code '
            'that is not bound to any, ``max_in_flight``, how many calculations are under way at a time, and '
            '``keep_folders``, whether those of labels stay on their computer.',
        )
        spec.inputs.validator = refuse(check_label_inputs)
        spec.outline(cls.prepare, while_(cls.is_under_way)(cls.advance), cls.finish)
        spec.output_namespace('labels', valid_type=FramesData, dynamic=True, help='One for each that was labelled.')
        spec.output('frames', valid_type=FramesData, required=False, help='All of them, in the order of the input.')
        spec.output('report', valid_type=Dict, help='What became of each configuration.')
        register_exit_codes(spec)

    @classmethod
    def get_builder_from_protocol(
        cls,
        code: AbstractCode,
        frames: FramesData,
        protocol: str | None = None,
        overrides: Mapping[str, Any] | Path | str | None = None,
        settings: Mapping[str, Any] | None = None,
        backend: str | None = None,
        dataset: str | None = None,
        options: Mapping[str, Any] | None = None,
        computer: Computer | None = None,
        max_in_flight: int | None = None,
    ) -> Any:
        """Return a builder with every number of a protocol filled in.

        :param overrides: what to change, like ``{'level': {'kpoint_mesh': [2, 2, 2]}}``, or a YAML file. A mesh takes
            the place of a spacing, and the other way round.
        :param settings: of the back end, like ``{'pseudo_family': 'label'}``, over those of the protocol.
        :param backend: name in ``litraj.label_backends``; by default the one that takes the code.
        :param dataset: name of the ``litraj.dataset`` group that the labels join.
        :param options: ``metadata.options`` of the jobs.
        :param computer: where to run a code that is not bound to a computer.
        :param max_in_flight: how many calculations are under way at a time; by default one on a computer without a
            queueing system, ten elsewhere.
        :raises ValueError: if protocol, override or an input cannot be used, naming value and remedy.
        """
        inputs = cls.get_protocol_inputs(protocol, overrides)
        level = one_kind_of_kpoints(inputs['level'], cls.get_protocol_inputs(protocol)['level'])
        name, of = protocol or cls.get_default_protocol(), backend or of_code(code)
        own = {**inputs['settings'].get(of, {}), **(settings or {})}
        jobs = {'options': dict(options or {}), 'computer': computer and computer.label, 'max_in_flight': max_in_flight}
        given: dict[str, Any] = {
            'frames': frames,
            'code': code,
            'level': Dict(validated(level, Level, 'level').model_dump(mode='json'), label=name),
            'settings': Dict(load(of).settings(own).model_dump(mode='json'), label=of),
            'backend': Str(of),
            'jobs': {key: value for key, value in jobs.items() if value is not None},
        }
        if dataset is not None:
            given['dataset'] = Str(dataset)
        check_label_inputs(given)
        builder = cls.get_builder()
        for key, value in given.items():
            builder[key] = value
        return builder

    @property
    def backend(self) -> LabelBackend:
        """The code as a giver of labels."""
        return load(self.inputs.backend.value)

    def level(self) -> Level:
        """Return the level of theory."""
        return Level.model_validate(self.inputs.level.get_dict())

    def settings(self) -> dict[str, Any]:
        """Return the settings of the back end, the same for all configurations."""
        return self.backend.settled(self.inputs.settings.get_dict(), self.level(), self._symbols())

    def _symbols(self) -> list[str]:
        found: list[str] = self.inputs.frames.base.attributes.get('elements')
        return found

    def prepare(self) -> None:
        """Begin with none of the configurations known; each becomes an item when its turn comes."""
        self.ctx.blocks, self.ctx.opened = {}, 0
        self.ctx.running, self.ctx.again = [], []
        self.ctx.n_labelled = self.ctx.n_failed = 0
        self.ctx.broken, self.ctx.works = [], False
        self.blocks.tell()

    @property
    def blocks(self) -> Blocks:
        """The items that are known, by their keys."""
        if '_blocks' not in self.__dict__:
            self._blocks = Blocks(self, self.inputs.frames.n_frames, partial(entry_id, self.inputs))
        return self._blocks

    def is_under_way(self) -> bool:
        """Return whether a configuration waits or runs."""
        return not self.blocks.is_over()

    def advance(self) -> Any:
        """Judge what has ended, submit as many as there is room for, and wait for any of them."""
        for key, pk in list(self.ctx.running):
            node = load_node(pk)
            if node.is_terminated:
                self.ctx.running.remove([key, pk])
                self._judge(key, node)
        try:
            self._fill()
        finally:  # also where the chain is killed, which it is when it would submit the next
            self.blocks.tell()
        self.blocks.close(self._about())
        self.ctx.awaited = AttributeDict()
        return ToContext(**{f'awaited.{key}': load_node(pk) for key, pk in self.ctx.running}) or None

    def _fill(self) -> None:
        """Submit what is to be tried again and then what comes next, until there is no room.

        After so many others have their turn, for each that is submitted, or cannot be labelled, takes a while.
        """
        most = in_flight(self.inputs)
        for _ in range(BLOCK):
            if len(self.ctx.running) >= most:
                return
            key = self.ctx.again.pop(0) if self.ctx.again else self.blocks.next_key()
            if key is None:
                return
            fault = self._fault(key)
            if fault is None:
                try:
                    self.ctx.running.append([key, self._submit(key).pk])
                    continue
                except ValueError as error:  # of what is sound; others may be taken
                    fault = Outcome('ERROR_JOB_INVALID', f'its calculation does not take its inputs: {error}')
            self._fail(key, fault)

    def _fault(self, key: str) -> Outcome | None:
        """Return why a configuration is not submitted: it can have no label, or none can be made where this runs."""
        item = self.blocks[key]
        frame = self.inputs.frames.shared_frames[item['index']]
        if '_lacking' not in self.__dict__:
            self._lacking = self.backend.lacking(self.inputs.code, self._symbols(), self.inputs.settings.get_dict())
        fault = None if item['attempts'] else fault_at(frame, self._lacking)
        if fault is None and not self.ctx.works:
            fault = common_fault([ended[1:] for ended in self.ctx.broken])
            if fault is not None and not self._elements_of_broken() <= set(symbols_of(frame)):
                return None  # one without an element that all of those have may fare better
        return fault

    def _elements_of_broken(self) -> set[str]:
        frames = self.inputs.frames.shared_frames
        return set.intersection(*(set(symbols_of(frames[index])) for index, *_ in self.ctx.broken))

    def _submit(self, key: str) -> ProcessNode:
        """Submit the next attempt at a label, or find the one that a killed worker has submitted."""
        item = self.blocks[key]
        label = f'{key}_{item["attempts"]}'
        node = submitted_before(self, label)
        if node is None:
            job = self.inputs.jobs
            backend = self.backend
            inputs = backend.inputs(
                self.inputs.code,
                self._structure(key),
                self.level(),
                self.settings(),
                job.get('options') or {},
                item['attempts'] - item.get('lost', 0),
                computer_of(job),
            )
            inputs.setdefault('metadata', {})['call_link_label'] = label
            node = self.submit(backend.process(), **inputs)
        item.update(status=RUNNING, attempts=item['attempts'] + 1, uuid=node.uuid)
        return node

    def _structure(self, key: str) -> Any:
        return made_before(self, f'extract_{key}') or extract_configuration(
            self.inputs.frames,
            Int(self.blocks[key]['index']),
            metadata={'call_link_label': f'extract_{key}'},
        )

    def _judge(self, key: str, node: ProcessNode) -> None:
        """Take a label, or leave the item to be tried again, or let it have failed."""
        item, outcome = self.blocks[key], self._outcome(key, node)
        item['elapsed_seconds'] = round((node.mtime - node.ctime).total_seconds(), 1)
        if not is_of_environment(outcome):
            self.ctx.works, self.ctx.broken = True, []
        elif not self.ctx.works:
            self.ctx.broken.append([item['index'], outcome.label, outcome.reason])
            if len(self.ctx.broken) >= ALIKE and common_fault([ended[1:] for ended in self.ctx.broken]) is None:
                self.ctx.works, self.ctx.broken = True, []  # not alike, and will not be: nothing to go by
        if outcome.label is None:
            self._collect(key, node)
            return
        if status_of(outcome.label) < FIRST_VERDICT:  # no verdict on the configuration
            bar_from_cache(node)
        lost = item.get('lost', 0)
        if outcome.lost and lost < MOST_LOST:
            self.report(f'{item["entry_id"]}: {outcome.reason}; once more as it was')
            item.update(status=WAITING, lost=lost + 1)
            self.ctx.again.append(key)
            return
        if outcome.retry and item['attempts'] - lost < self.backend.n_attempts:
            self.report(f'{item["entry_id"]}: {outcome.reason}; attempt {item["attempts"] + 1} with safer settings')
            item['status'] = WAITING
            self.ctx.again.append(key)
            return
        self._fail(key, outcome)

    def _outcome(self, key: str, node: ProcessNode) -> Outcome:
        """Return how an attempt ended; also a code that says it went well must have left a whole label."""
        if node.is_excepted or node.is_killed:
            how = 'was killed' if node.is_killed else f'ended with an exception: {node.exception}'
            return Outcome('ERROR_DFT_CRASHED', f'{node.process_label}<{node.pk}> {how}', lost=node.is_excepted)
        backend, outcome = self.backend, self.backend.outcome(node)
        if outcome.label is not None:
            return outcome
        try:
            frame = self.inputs.frames.shared_frames[self.blocks[key]['index']]
            problem = problem_of(backend.read(backend.outputs(node)), frame, self.level())
        except ValueError as error:
            problem = str(error)
        return outcome if problem is None else Outcome('ERROR_DFT_CRASHED', problem)

    def _collect(self, key: str, node: ProcessNode) -> None:
        item = self.blocks[key]
        about = {'index': item['index'], 'entry_id': item['entry_id']}
        about |= {'backend': self.inputs.backend.value, 'level': self.inputs.level.get_dict()}
        about['beside'] = self.backend.beside_level(self.settings(), self._symbols())
        if 'dataset' in self.inputs:
            about['dataset'] = self.inputs.dataset.value
        made = made_before(self, f'collect_{key}')
        labelled = made or collect_label(
            frames=self.inputs.frames,
            about=Dict(about),
            **self.backend.outputs(node),
            metadata={'call_link_label': f'collect_{key}'},
        )
        give(self, key, labelled)
        steps = self.backend.read(self.backend.outputs(node)).n_scf_steps
        item.update(status=LABELLED, label=None, reason='', n_scf_steps=steps, labelled=labelled.uuid)
        self.ctx.n_labelled += 1
        if 'dataset' in self.inputs:
            item['reason'] = join(self.inputs.dataset.value, labelled) or ''

    def _fail(self, key: str, outcome: Outcome) -> None:
        self.blocks[key].update(status=FAILED, label=outcome.label, reason=outcome.reason)
        self.ctx.n_failed += 1
        if outcome.reason != self.ctx.get('told'):  # of thousands that are not tried the first is enough
            self.report(f'{self.blocks[key]["entry_id"]}: {outcome.label}: {outcome.reason}')
        self.ctx.told = outcome.reason

    def _about(self) -> dict[str, Any]:
        """Return what a report says beside its items."""
        return {
            'level': self.inputs.level.get_dict(),
            'backend': self.inputs.backend.value,
            'settings': self.inputs.settings.get_dict(),
            'warnings': warnings_of(self.inputs),
        }

    def finish(self) -> ExitCode | None:
        """Gather the labels, say what became of each configuration, and end as that went."""
        for key, label in given(self):
            self.out(f'labels.{key}', label)
        made = self.blocks.gather(self._about())
        for name, node in made.items():
            self.out(name, node)
        if not self.inputs.jobs.get('keep_folders', False):
            told = clean_up(lambda: folders_of_successful(self.node.pk))
            if told is not None:
                self.report(told)
        return ending(made['report']['items'])


def ending(items: Mapping[str, Mapping[str, Any]]) -> ExitCode | None:
    """Return as what a chain ends: ``None`` if all are labelled, the one code of all, or how many of them are."""
    failed = {key: item for key, item in items.items() if item['status'] != LABELLED}
    if not failed:
        return None
    labels = {item['label'] for item in failed.values()}
    if len(failed) == len(items) and len(labels) == 1:
        item = next(iter(failed.values()))
        return ExitCode(status_of(str(item['label'])), f'{item["entry_id"]}: {item["reason"]}')
    n_labelled, first = len(items) - len(failed), next(iter(failed.values()))
    told = f'{n_labelled} of {len(items)} labels converged; {first["entry_id"]}: {first["label"]}: {first["reason"]}'
    return ExitCode(status_of('ERROR_PARTIAL'), told)
