"""Chains of many items in several jobs beside each other: shared out by what they are estimated to cost."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from functools import cached_property
from typing import Any, ClassVar

from aiida.common import AttributeDict
from aiida.engine import ExitCode, ToContext, if_, while_
from aiida.orm import Data, Dict, ProcessNode, load_node, to_aiida_type

from ..analysis.packing import components, sample, share_out
from ..calculations.base import LitrajCalcJob, register_exit_codes
from ..calculations.functions.merge_parts import merge_parts
from ..calculations.validation import node_hash, refuse
from ..contract.errors import FIRST_VERDICT
from .base import EngineBaseWorkChain
from .children import ending_of, nested
from .earlier import finished_items, known_rate, outputs_of, running_items, stopped_items
from .packing import (
    DEVICE,
    PACKED_EXTRA,
    Packing,
    doubled_text,
    estimate_text,
    limits_of,
    rate_of,
    read_packing,
    settle_options,
    workers_of,
)
from .submission import made_before, submitted_before
from .waiting import WaitsForAny

SAMPLE = 'sample'
ENOUGH_FOR_SAMPLE = 4
"""Times as many items as a sample has are worth one: else what it measures is already a good part of the work."""


class PackedWorkChain(WaitsForAny):
    """Does what a restarting chain does, with the same inputs and outputs, by several of them beside each other.

    Items that a job of before has finished are taken from there, those that one was cut off with go on from its
    checkpoint, and the rest is shared out among parts. Each part is a restarting chain of its own. One that fails keeps
    what it has finished, and the others go on.

    :cvar sample_items: items of the job that measures how fast it goes.
    :cvar any_parameters: whether the parameters of a job do not change what a unit of cost takes.
    """

    _base: ClassVar[type[EngineBaseWorkChain]]
    sample_items: ClassVar[int] = 8
    any_parameters: ClassVar[bool] = False

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define inputs, outline and outputs."""
        super().define(spec)
        spec.expose_inputs(cls._base)
        spec.input(
            'packing',
            valid_type=Dict,
            serializer=to_aiida_type,
            default=lambda: Dict({}),
            help='How the items are shared out among jobs: ``workflows.packing.Packing``.',
        )
        spec.inputs.validator = refuse(cls.check_packing, before=spec.inputs.validator)
        spec.outline(
            cls.prepare,
            if_(cls.wants_sample)(cls.run_sample),
            cls.share_out,
            while_(cls.is_under_way)(cls.advance),
            cls.gather,
            cls.verdict,
        )
        spec.expose_outputs(cls._base)
        register_exit_codes(spec, beside=cls._base.exit_codes)

    @classmethod
    def task(cls) -> str:
        """Return the task of the jobs, which is the namespace of their inputs too."""
        return cls._base.task()

    @classmethod
    def restarting(cls) -> type[EngineBaseWorkChain]:
        """Return the chain that a part is."""
        return cls._base

    @classmethod
    def job_class(cls) -> type[LitrajCalcJob]:
        """Return the class of the jobs."""
        return cls._base._process_class

    @classmethod
    def get_builder_from_protocol(cls, *args: Any, packing: Mapping[str, Any] | None = None, **kwargs: Any) -> Any:
        """Return a builder as that of the restarting chain, with a packing.

        :raises ValueError: if protocol, override or an input cannot be used, naming it.
        """
        given = cls._base.get_builder_from_protocol(*args, **kwargs)._inputs(prune=True)
        given['packing'] = Dict(read_packing(packing or {}).model_dump(mode='json', exclude_defaults=True))
        cls.check_packing(given)
        builder = cls.get_builder()
        for name, value in given.items():
            builder[name] = value
        return builder

    @classmethod
    def check_packing(cls, inputs: Mapping[str, Any]) -> None:
        """Refuse a packing that the jobs cannot have.

        :raises ValueError: naming field, value and remedy.
        """
        if inputs.get('packing', None) is None:
            return
        job = inputs.get(cls.task(), None) or {}
        options = (job.get('metadata', None) or {}).get('options', None) or {}
        known = cls.job_class().spec().inputs['metadata']['options']
        settle_options(read_packing(inputs['packing'].get_dict()), options, known, 'packing')

    @classmethod
    def costs(cls, inputs: Mapping[str, Any]) -> dict[str, float]:
        """Return of each item among the inputs of a job what it costs, in units of the task."""
        raise NotImplementedError

    @classmethod
    def shared(cls, items: Mapping[str, Any]) -> dict[str, list[str]] | None:
        """Return by item what it may share with others in the same job, ``None`` if items of the task share nothing."""
        return None

    @classmethod
    def beside(cls, inputs: Mapping[str, Any], item: Any) -> dict[str, Data]:
        """Return the nodes that the answer to an item depends on beside itself, by the label of their links."""
        return {}

    def narrowed(self, job: AttributeDict) -> AttributeDict:
        """Return the inputs of a job without what none of its items needs."""
        return job

    def take_apart(self, packing: Packing) -> dict[str, list[dict[str, Any]]]:
        """Return the pieces that large items are done in, by item: ``name``, ``uuid`` and ``n_frames`` of each."""
        return {}

    def put_together(self, made: dict[str, dict[str, Data]]) -> None:
        """Make of the outputs of pieces, by namespace and name, those of the items that they are of."""

    @cached_property
    def packing(self) -> Packing:
        """The knobs."""
        return read_packing(self.inputs.packing.get_dict())

    @cached_property
    def options(self) -> dict[str, Any]:
        """The options of all jobs."""
        options = dict(self.inputs[self.task()].metadata.options)
        return settle_options(self.packing, options, self.job_class().spec().inputs['metadata']['options'], 'packing')

    @cached_property
    def items(self) -> dict[str, Data]:
        """What is shared out, by name: the items that were given, or the pieces of those that were taken apart."""
        given = dict(self.inputs[self.task()][self.job_class().items_name()])
        pieces = self.ctx.get('pieces', {})
        whole = {name: node for name, node in given.items() if name not in pieces}
        return whole | {piece['name']: load_node(piece['uuid']) for block in pieces.values() for piece in block}

    def job_inputs(self, names: Collection[str]) -> AttributeDict:
        """Return the inputs of a job of some items."""
        job = AttributeDict({**self.exposed_inputs(self._base)[self.task()]})
        job[self.job_class().items_name()] = {name: self.items[name] for name in names}
        anew = {} if self.packing.reuse else {'disable_cache': True}
        job.metadata = AttributeDict({**job.metadata, 'options': AttributeDict(self.options), **anew})
        return self.narrowed(job)

    def prepare(self) -> None:
        """Find what jobs of before have done of the items."""
        self.ctx.plan, self.ctx.next, self.ctx.running, self.ctx.ended = [], 0, [], []
        self.ctx.works, self.ctx.stopped, self.ctx.refused = False, False, {}
        self.ctx.pieces = self.take_apart(self.packing)
        self.__dict__.pop('items', None)
        self.ctx.earlier, self.ctx.converged, self.ctx.rate, resumed = {}, 0, None, []
        job = self.job_inputs(self.items)
        if self.packing.reuse and not job.metadata.get('disable_cache', False):
            wanted = {name: self._content(job, name) for name in self.items}
            finished = finished_items(self.job_class(), job, wanted)
            self.ctx.earlier = {name: one.job.uuid for name, one in finished.items()}
            self.ctx.converged = sum(one.converged for one in finished.values())
            left = {name: labels for name, labels in wanted.items() if name not in finished}
            for pk, names in (running_items(self.job_class(), job, left) if left else {}).items():
                self.report(doubled_text(self._counted(names), names, f'{self.job_class().__name__}<{pk}>'))
            if 'parent_folder' not in job and left:
                resumed = stopped_items(self.job_class(), job, left)
        for number, one in enumerate(resumed):
            part = {'label': f'resumed_{number:03d}', 'items': one.items, 'folder': one.folder.uuid}
            self.ctx.plan.append(part)
            self.report(f'{one.job.process_label}<{one.job.pk}> was cut off: {self._counted(one.items)} go on from it')
        if self.ctx.earlier:
            jobs = len(set(self.ctx.earlier.values()))
            self.report(f'{self._counted(self.ctx.earlier)} were finished by {jobs} job(s) of before')
        self.ctx.open = sorted(set(self.items) - set(self.ctx.earlier) - {n for p in self.ctx.plan for n in p['items']})
        if self.ctx.open:
            self.ctx.rate = self._known_rate(job)

    def _content(self, job: Mapping[str, Any], name: str) -> dict[str, str]:
        """Return the hashes of an item and what it refers to, by the labels that their links to a job would have."""
        nodes = {f'{self.job_class().items_name()}__{name}': self.items[name], **self.beside(job, self.items[name])}
        known = self.__dict__.setdefault('_hashes', {})
        for node in nodes.values():
            if node.uuid not in known:  # a thousand replicas may share a structure
                known[node.uuid] = node_hash(node)
        return {label: known[node.uuid] for label, node in nodes.items()}

    def _known_rate(self, job: AttributeDict) -> dict[str, Any] | None:
        """Return what a unit of cost takes, as far as anybody knows before a job has run."""
        if self.packing.seconds_per_unit is not None:
            return {'seconds': self.packing.seconds_per_unit, 'units': 1.0, 'device': self.options.get(DEVICE, '')}
        device = self.options.get(DEVICE, None)
        wanted = None if device in (None, 'auto') else device
        return known_rate(self.job_class(), job, self.costs, self.any_parameters, wanted)

    def wants_sample(self) -> bool:
        """Return whether the first job has to measure how fast it goes: there is a walltime, and nothing is known."""
        limits = limits_of(self.packing, self.options)
        enough = len(self.ctx.open) >= ENOUGH_FOR_SAMPLE * self._sample_size()
        return limits.walltime_seconds is not None and self.ctx.rate is None and enough

    def _sample_size(self) -> int:
        return self.packing.sample_items or self.sample_items

    def run_sample(self) -> ToContext | None:
        """Run a few items that stand for all, alone."""
        names = sample(self._open_costs(), self._sample_size())
        self.ctx.open = sorted(set(self.ctx.open) - set(names))
        self.report(f'nothing is known of the time they take: {self._counted(names)} are done first')
        self._tell(waiting=len(self.ctx.open))
        node = self._submit({'label': SAMPLE, 'items': names, 'folder': None})
        if node is None:
            return None
        self.ctx.running.append([SAMPLE, node.pk])
        return ToContext(sample=node)

    def share_out(self) -> None:
        """Make parts of what is left."""
        self._judge_ended()
        for label, pk in self.ctx.ended:
            if label == SAMPLE and 'results' in (chain := load_node(pk)).outputs:
                costs = self.costs(chain.inputs[self.task()])
                self.ctx.rate = rate_of(costs, chain.outputs.results.get_dict())
        if not self.ctx.open:
            return
        costs, limits, rate = self._open_costs(), limits_of(self.packing, self.options), self.ctx.rate
        total, workers = sum(costs.values()), workers_of(self.options, rate)
        spent = None if rate is None else total * rate['seconds'] / rate['units']
        keys = self.shared({name: self.items[name] for name in self.ctx.open})
        groups = None if keys is None else components(keys)
        parts = share_out(costs, None if spent is None else spent / workers, limits, groups)
        for count, names in enumerate(parts):
            self.ctx.plan.append({'label': f'part_{count:03d}', 'items': names, 'folder': None})
        longest = max(sum(costs[name] for name in part) for part in parts) / total
        seconds = None if spent is None else (spent, longest * spent / workers)
        self.report(f'{self._counted(costs)}: {estimate_text(len(parts), seconds, (rate or {}).get("device"), limits)}')

    def _open_costs(self) -> dict[str, float]:
        return self.costs(self.job_inputs(self.ctx.open))

    def is_under_way(self) -> bool:
        """Return whether a part waits or runs."""
        return bool(self.ctx.running) or (self.ctx.next < len(self.ctx.plan) and not self.ctx.stopped)

    def advance(self) -> ToContext | None:
        """Judge which parts have ended, submit as many as there is room for, and wait for any of them."""
        self._judge_ended()
        while len(self.ctx.running) < self.packing.max_jobs and self.ctx.next < len(self.ctx.plan):
            if self.ctx.stopped:
                break
            part = self.ctx.plan[self.ctx.next]
            node = self._submit(part)
            self.ctx.next += 1
            if node is not None:
                self.ctx.running.append([part['label'], node.pk])
        self._tell(waiting=sum(len(part['items']) for part in self.ctx.plan[self.ctx.next :]))
        self.ctx.awaited = AttributeDict()
        return ToContext(**{f'awaited.{label}': load_node(pk) for label, pk in self.ctx.running}) or None

    def _tell(self, waiting: int) -> None:
        """Write down how many items there are, and how many wait, for those who ask how far the chain is."""
        about = {'total': len(self.items), 'earlier': len(self.ctx.earlier), 'waiting': waiting}
        about['earlier_converged'] = self.ctx.converged
        if self.ctx.get('told') != about:
            self.node.base.extras.set(PACKED_EXTRA, about)
            self.ctx.told = about

    def _submit(self, part: Mapping[str, Any]) -> ProcessNode | None:
        """Submit the chain of a part, or find the one that a killed worker has submitted; ``None`` if it is refused."""
        earlier = submitted_before(self, part['label'])
        if earlier is not None:
            return earlier
        inputs = AttributeDict(self.exposed_inputs(self._base))
        inputs[self.task()] = self.job_inputs(part['items'])
        if part['folder'] is not None:
            inputs[self.task()].parent_folder = load_node(part['folder'])
        inputs.metadata = AttributeDict({'call_link_label': part['label']})
        try:
            return self.submit(self._base, **inputs)
        except ValueError as error:
            if part['folder'] is not None:  # which may have been cleaned since it was found
                self.report(f'{part["label"]} begins anew: {error}')
                return self._submit({**part, 'folder': None})
            self.ctx.refused[part['label']] = str(error)
            self.report(f'{part["label"]} is refused: {error}')
            return None

    def _judge_ended(self) -> None:
        """Take note of parts that have ended; submit no more if the first of them come to nothing."""
        for label, pk in list(self.ctx.running):
            node = load_node(pk)
            if not node.is_terminated:
                continue
            self.ctx.running.remove([label, pk])
            self.ctx.ended.append([label, pk])
            self.ctx.works = self.ctx.works or _got_anywhere(node)
            if node.is_finished_ok:
                continue
            self.report(f'{label}: {node.process_label}<{node.pk}> ended with {node.exit_status}: {node.exit_message}')
            # Of a part that a person has killed nothing follows for others, but these wait for what a sample says.
            vain = node.exit_status < FIRST_VERDICT if node.is_finished else label == SAMPLE
            if vain and not self.ctx.works:
                self.ctx.stopped = True
                self.report('nothing has been finished so far: what has not been submitted is left alone')

    def gather(self) -> None:
        """Hand on what is finished, whichever job it comes from, and make one account."""
        parts = [(label, load_node(pk)) for label, pk in sorted(self.ctx.ended)]
        made: dict[str, dict[str, Data]] = {}
        for namespace in (self._base.outputs_name, *self._base.further_outputs):
            found = outputs_of(self.ctx.earlier, namespace)
            for _, chain in parts:
                found |= nested(chain, namespace)
            made[namespace] = found
        self.put_together(made)
        for namespace, nodes in made.items():
            for name, node in sorted(nodes.items()):
                self.out(f'{namespace}.{name}', node)
        accounts = {label: chain.outputs.results for label, chain in parts if 'results' in chain.outputs}
        take = {label: sorted(account['items']) for label, account in accounts.items()}
        earlier: dict[str, str] = {}
        for name, uuid in sorted(self.ctx.earlier.items()):
            label = earlier.setdefault(uuid, f'earlier_{len(earlier):03d}')
            accounts.setdefault(label, load_node(uuid).outputs.results)
            take.setdefault(label, []).append(name)
        if not accounts:
            return
        given = set(self.inputs[self.task()][self.job_class().items_name()]) - set(self.ctx.pieces)
        missing = sorted(given - {name for names in take.values() for name in names})
        about: dict[str, Any] = {'take': take, 'earlier': sorted(earlier.values()), 'missing': missing}
        if self.ctx.pieces:
            about['pieces'] = {
                block: [{key: piece[key] for key in ('name', 'n_frames')} for piece in pieces]
                for block, pieces in self.ctx.pieces.items()
            }
        elif len(accounts) == 1 and not earlier and not missing:
            self.out('results', next(iter(accounts.values())))
            return
        label = {'call_link_label': 'merge_parts'}
        results = made_before(self, 'merge_parts') or merge_parts(about=Dict(about), metadata=label, **accounts)
        self.out('results', results)

    def verdict(self) -> ExitCode | None:
        """End as the engine would have, had it done all items in one go; or as the first part did that left some."""
        results = self.outputs['results'].get_dict() if 'results' in self.outputs else {'items': {}}
        given = self.inputs[self.task()][self.job_class().items_name()]
        open_items = [name for name in given if results['items'].get(name, {}).get('status') in (None, 'unfinished')]
        if not open_items:
            ended = results['exit']
            return ExitCode(ended['status'], ended['message']) if ended['status'] else None
        for label, pk in sorted(self.ctx.ended):
            node = load_node(pk)
            if not node.is_finished or 0 < node.exit_status < FIRST_VERDICT:
                return ending_of(self, node, f'{label}, {len(open_items)} of {len(given)} left')
        codes = self.exit_codes
        if self.ctx.refused:
            label, why = next(iter(sorted(self.ctx.refused.items())))
            return ExitCode(codes.ERROR_JOB_INVALID.status, f'{label}: {why}')
        return codes.ERROR_RESULT_MISSING.format(file='account of some items', log='the reports of the parts')

    def _counted(self, names: Iterable[str]) -> str:
        number = len(list(names))
        name = 'pieces' if self.ctx.get('pieces') else self.job_class().items_name()
        return f'{number} {name}'


def _got_anywhere(node: ProcessNode) -> bool:
    """Return whether a part has brought an item to its end."""
    if 'results' not in node.outputs:
        return False
    return any(entry['status'] == 'finished' for entry in node.outputs.results['items'].values())
