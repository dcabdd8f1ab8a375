"""The benchmark of barriers: potentials beside the reference paths of a set of hops."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from aiida.common import AttributeDict
from aiida.engine import ExitCode, ToContext, while_
from aiida.orm import Computer, Data, Dict, WorkChainNode, load_computer, load_node, to_aiida_type

from ..analysis.benchmark_numbers import is_judged
from ..calculations.base import register_exit_codes
from ..calculations.functions.compare_benchmark import compare_benchmark, read_settings
from ..calculations.functions.rank_potentials import PREFIX, rank_potentials
from ..calculations.many_inputs import run_with_many_inputs
from ..calculations.validation import refuse
from ..contract.errors import stands
from ..data.path import PathData
from .children import ending_of, nested
from .label_items import WITHOUT_QUEUE
from .neb import NebBaseWorkChain, NebPackedWorkChain
from .neb_benchmark_inputs import (
    about_benchmark,
    check_benchmark_inputs,
    covered,
    materials_of,
    reference_of,
    tight_sample,
)
from .neb_benchmark_numbers import materials_taken_over, numbers_of, taken_over
from .potentials import PACKING, define_potentials, job_inputs, jobs_of
from .protocols import ProtocolMixin
from .protocols.mixin import read_overrides
from .submission import made_before, submitted_before
from .waiting import WaitsForAny

ALL_IN_ONE = {'max_jobs': 1}
"""Packing of a potential without one: a job after the other; what jobs of before have done is taken all the same."""
NEB, TIGHT = 'neb', 'tight'
"""The two chains of a potential, one after the other: all hops, and a sample converged tightly."""


class NebBenchmarkWorkChain(ProtocolMixin, WaitsForAny):
    """Optimises the paths of a set of hops with each potential, and says how far it is from the reference.

    Each potential has a packed chain of its own, which takes what jobs of before have done: launched again with a
    potential or hops more, what is new is computed alone. A potential is judged as soon as it is through. One that does
    not converge, or does not cover an element, fails on that hop, which is a result; the chain fails only where a
    potential could not be asked, and then still has the benchmarks of the others.
    """

    protocol_file = 'neb_benchmark.yaml'

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define inputs, outline and outputs."""
        super().define(spec)
        for name, text in (
            ('paths', 'Where each hop starts, by its name.'),
            ('references', 'The path that each is compared with, by the same names, with energies.'),
        ):
            spec.input_namespace(name, valid_type=PathData, dynamic=True, help=text)
        for name, required, text in (
            ('materials', False, 'By hop what material it is of; by default what its entry says, else its formula.'),
            ('parameters', True, 'Parameters of the optimisations, as ``litraj.neb`` has them.'),
            ('tight_parameters', False, 'The same of the sample that is converged tightly.'),
            ('analysis', True, 'How hops are judged: ``BenchmarkSettings``; a protocol gives them.'),
        ):
            spec.input(name, valid_type=Dict, required=required, serializer=to_aiida_type, help=text)
        define_potentials(spec)
        spec.inputs.validator = refuse(check_benchmark_inputs)
        spec.outline(cls.prepare, while_(cls.is_under_way)(cls.advance), cls.rank)
        spec.output_namespace(
            'benchmark', valid_type=Dict, dynamic=True, help='How good each potential is, hop by hop.'
        )
        spec.output_namespace('paths', valid_type=PathData, dynamic=True, help='Paths by potential and hop.')
        spec.output_namespace('results', valid_type=Dict, dynamic=True, help='How the paths ended, with the audit.')
        spec.output('leaderboard', valid_type=Dict, required=False, help='The potentials in their order.')
        spec.default_output_node = 'leaderboard'
        register_exit_codes(spec, beside=NebBaseWorkChain.exit_codes)

    @classmethod
    def get_builder_from_protocol(
        cls,
        potentials: Mapping[str, Mapping[str, Any]],
        paths: Mapping[str, PathData],
        references: Mapping[str, PathData],
        materials: Mapping[str, str] | None = None,
        protocol: str | None = None,
        overrides: Mapping[str, Any] | Path | str | None = None,
        options: Mapping[str, Any] | None = None,
        computer: Computer | None = None,
        jobs: Mapping[str, Mapping[str, Any]] | None = None,
        like: WorkChainNode | None = None,
    ) -> Any:
        """Return a builder with every number of a protocol filled in, or of a benchmark of before.

        :param potentials: by name, each ``{'code': ..., 'potential': ...}``.
        :param paths: where each hop starts; ``references`` the path it is compared with, by the same names.
        :param materials: of each hop, by its name; see ``neb_benchmark_inputs.materials_of``.
        :param overrides: what to change, like ``{'analysis': {'tight_sample': 0}}``, or a YAML file.
        :param options: ``metadata.options`` of all jobs.
        :param computer: where to run codes that are not bound to a computer.
        :param jobs: computer (its label), options and packing of some potentials, by name, instead of those for all.
        :param like: a benchmark to go on with: ``overrides`` change its numbers, unless there is a ``protocol``, and
            its materials hold where no others are given.
        :raises ValueError: if protocol, override or an input cannot be used, naming value and remedy.
        """
        inputs = cls.get_protocol_inputs(protocol, overrides)
        known = taken_over(like, read_overrides(overrides)) if like is not None and protocol is None else {}
        if materials is None and like is not None:
            materials = materials_taken_over(like, paths)
        given: dict[str, Any] = {
            'potentials': {key: dict(value) for key, value in potentials.items()},
            'paths': dict(paths),
            'references': dict(references),
            'jobs': jobs_of(potentials, options, computer, jobs),
            **numbers_of(inputs, protocol or cls.get_default_protocol(), known),
        }
        if materials is not None:
            given['materials'] = Dict(dict(materials))
        check_benchmark_inputs(given)
        builder = cls.get_builder()
        for key, value in given.items():
            builder[key] = value
        return builder

    def prepare(self) -> None:
        """Note which hops are converged tightly as well, and which chains are to be run."""
        settings = read_settings(self.inputs.analysis.get_dict())
        materials = materials_of(self.inputs)
        wanted = settings.tight_sample if 'tight_parameters' in self.inputs else 0
        self.ctx.sample = tight_sample(materials, wanted, settings.seed)
        self.ctx.materials, self.ctx.refused, self.ctx.open = materials, {}, list(self.inputs.potentials)
        self.ctx.chains = {name: {} for name in self.ctx.open}
        self.ctx.reference = reference_of(list(self.inputs.references.values()))

    def is_under_way(self) -> bool:
        """Return whether a potential is not through."""
        return bool(self.ctx.open)

    def advance(self) -> ToContext | None:
        """Submit the next chain of each potential, judge those that are through, and wait for any of the others."""
        while any(self._take_further(name) for name in list(self.ctx.open)):
            pass
        self.ctx.awaited = AttributeDict()
        return ToContext(**{f'awaited.chain_{pk}': load_node(pk) for pk in self._running()}) or None

    def _take_further(self, name: str) -> bool:
        """Submit the next chain of a potential, or judge it if there is none; ``False`` if it has to wait."""
        chains = self.ctx.chains[name]
        if self._running([name]):
            return False
        kind = next((one for one in (NEB, TIGHT) if one not in chains), None)
        if kind is None:
            self._judge(name)
            self.ctx.open.remove(name)
            return True
        place = self._place(name)
        if place is not None and any(self._place(other) == place for other in self.ctx.open if self._running([other])):
            return False
        chains[kind] = self._start(kind, name)
        return True

    def _running(self, names: Iterable[str] | None = None) -> list[int]:
        """Return the pks of the chains of some potentials, or all, that go on."""
        given = self.ctx.open if names is None else names
        pks = [pk for name in given for pk in self.ctx.chains[name].values() if pk is not None]
        return [pk for pk in pks if not load_node(pk).is_terminated]

    def _place(self, name: str) -> str | None:
        """Return the computer on which potentials take turns, as nothing queues their jobs; ``None`` if one does."""
        chosen, label = self.inputs.potentials[name], self.inputs.jobs.get(name, {}).get('computer')
        computer = load_computer(label) if label is not None else chosen['code'].computer
        return str(computer.uuid) if computer.scheduler_type == WITHOUT_QUEUE else None

    def _start(self, kind: str, name: str) -> int | None:
        """Submit one of the two chains of a potential, or find the one that a killed worker has submitted.

        ``None`` if there is nothing to do, or it is refused.
        """
        chosen = self.inputs.potentials[name]
        names = covered(self.inputs.paths, chosen['potential'])[0]
        if kind == TIGHT and not self._was_asked(NEB, name):
            return None
        if kind == TIGHT:
            names = [one for one in names if one in self.ctx.sample]
        if not names:
            return None
        label = f'{kind}_{name}'
        earlier = submitted_before(self, label)
        if earlier is not None:
            return int(earlier.pk)
        parameters = self.inputs.parameters if kind == NEB else self.inputs.tight_parameters
        job = self.inputs.jobs.get(name, {})
        given = {'parameters': parameters, 'paths': {one: self.inputs.paths[one] for one in names}}
        inputs = {NEB: job_inputs(chosen, job, given), PACKING: Dict(dict(job.get(PACKING) or ALL_IN_ONE))}
        try:
            node = self.submit(NebPackedWorkChain, **inputs, metadata={'call_link_label': label, 'label': name})
        except ValueError as error:
            self.ctx.refused[name] = str(error)
            self.report(f'{label} is refused: {error}')
            return None
        return int(node.pk)

    def _judge(self, name: str) -> None:
        """Compare what a potential has found with the references; one that has found nothing has no benchmark."""
        chain, tight = self._chain(NEB, name), self._chain(TIGHT, name)
        if chain is not None and 'results' in chain.outputs:
            self.out(f'results.{name}', chain.outputs.results)
        if chain is None or not is_through_some(chain):
            nothing = self.ctx.refused.get(name, 'it covers none of the hops')
            self.report(f'{name} has no benchmark: {nothing if chain is None else ended_text(chain)}')
            return
        paths = nested(chain, 'paths')
        nodes: dict[str, Data] = {f'path_{hop}': path for hop, path in paths.items()}
        if tight is not None and 'results' in tight.outputs:
            nodes |= {f'tight_{hop}': path for hop, path in nested(tight, 'paths').items()}
            nodes['results_tight'] = tight.outputs.results  # not tight_results, which is the path of a hop called so
        label = f'compare_{name}'
        self.out(f'benchmark.{name}', made_before(self, label) or self._compare(name, chain.outputs.results, nodes))
        for hop, path in sorted(paths.items()):
            self.out(f'paths.{name}.{hop}', path)

    def _compare(self, name: str, results: Dict, nodes: Mapping[str, Data]) -> Dict:
        potential = self.inputs.potentials[name]['potential']
        about = Dict(about_benchmark(self.inputs, self.ctx.materials, self.ctx.reference, potential))
        given = {f'{kind}_{hop}': path for kind, paths in (('reference', 'references'), ('initial', 'paths'))
                 for hop, path in self.inputs[paths].items()}  # fmt: skip
        made, _ = run_with_many_inputs(
            compare_benchmark, about, (self.node, f'compare_{name}'), results=results, potential=potential, **given,
            **nodes,
        )  # fmt: skip
        compared: Dict = made['result']  # type: ignore[assignment]
        return compared

    def _chain(self, kind: str, name: str) -> WorkChainNode | None:
        pk = self.ctx.chains[name].get(kind)
        return None if pk is None else load_node(pk)

    def rank(self) -> ExitCode | None:
        """Make the leaderboard, and end as the first potential did that could not be asked."""
        if 'benchmark' in self.outputs:
            label = 'rank_potentials'
            benchmarks = {f'{PREFIX}{name}': node for name, node in self.outputs['benchmark'].items()}
            self.out(
                'leaderboard',
                made_before(self, label) or rank_potentials(**benchmarks, metadata={'call_link_label': label}),
            )
        for name in self.inputs.potentials:
            if name in self.ctx.refused:
                code = self.exit_codes.ERROR_JOB_INVALID
                return ExitCode(code.status, f'{name}: {self.ctx.refused[name]}')
            able, lacking = covered(self.inputs.paths, self.inputs.potentials[name]['potential'])
            if not able:
                missing = ', '.join(sorted(set().union(*lacking.values())))
                return self.exit_codes.ERROR_ELEMENTS_NOT_COVERED.format(potential=name, elements=missing)
            for kind in (NEB, TIGHT):
                chain = self._chain(kind, name)
                if chain is not None and not self._was_asked(kind, name):
                    return ending_of(self, chain, name)
        return None

    def _was_asked(self, kind: str, name: str) -> bool:
        """Return whether a chain of a potential came to its end, be it that no hop converged."""
        chain = self._chain(kind, name)
        return chain is not None and chain.is_finished and stands(chain.exit_status)


def is_through_some(chain: WorkChainNode) -> bool:
    """Return whether a chain has brought a hop to its end, be it that the potential failed on it."""
    if 'results' not in chain.outputs:
        return False
    return any(is_judged(entry) for entry in chain.outputs.results['items'].values())


def ended_text(chain: WorkChainNode) -> str:
    """Return in words how a chain ended; one that was killed has no message."""
    state = chain.process_state.value if chain.process_state else 'not begun'
    return chain.exit_message or f'{chain.process_label}<{chain.pk}> is {state}'
