"""Formation energies of crystals on a line, such as Li2S-P2S5, of potentials and of DFT: task 1 of LiPS-25."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiida.engine import ExitCode, ToContext, WorkChain
from aiida.orm import Computer, Dict, Str, StructureData, to_aiida_type

from ..analysis.formation import Line
from ..calculations.base import register_exit_codes
from ..calculations.functions.analyse_formation import POTENTIAL, RESULTS, analyse_formation, read_reference
from ..calculations.functions.place_on_line import CRYSTAL, line_between, place_on_line, read_settings
from ..calculations.relax import RelaxCalculation
from ..calculations.validation import check_parameters, refuse
from ..contract.errors import BY_LABEL, FIRST_VERDICT
from ..contract.relax import RelaxationParameters
from .children import check_child, ending_of, resolved
from .potentials import check_jobs, check_potentials, define_potentials, job_inputs, jobs_of
from .protocols import ProtocolMixin
from .relax import RelaxBaseWorkChain
from .submission import submitted_before

ZERO_EV = 1e-9
"""Formation energies of end members are zero; in published tables too."""


class FormationEnergyWorkChain(ProtocolMixin, WorkChain):
    """Relaxes crystals with each potential and gives formation energies, hulls, and errors beside a reference.

    All crystals of a potential are one job. A crystal that is off the line, or that does not converge, is left out and
    said so; without one of the end members a potential has no formation energies, and the others still have theirs.
    """

    protocol_file = 'formation_energy.yaml'

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define inputs, outline and outputs."""
        super().define(spec)
        spec.input_namespace('structures', valid_type=StructureData, dynamic=True, help='The crystals, by name.')
        define_potentials(spec)
        for name, required, text in (
            ('settings', True, 'End members and what is warned of: ``FormationSettings``; a protocol gives them.'),
            ('relaxation', True, 'Parameters of the relaxations, as ``litraj.relax`` has them.'),
            ('reference_energies', False, 'Published formation energies to compare with: ``ReferenceEnergies``.'),
        ):
            spec.input(name, valid_type=Dict, required=required, serializer=to_aiida_type, help=text)
        spec.input(
            'reference', valid_type=Str, required=False, serializer=to_aiida_type,
            help='Name of the potential that the others are compared with, such as that of DFT.',
        )  # fmt: skip
        spec.inputs.validator = refuse(check_formation_inputs)
        spec.outline(cls.place, cls.relax, cls.analyse)
        spec.output('line', valid_type=Dict, help='Where each crystal is on the line, and why others are not on it.')
        spec.output_namespace('relaxed', dynamic=True, help='By potential: the relaxed crystals by name.')
        spec.output_namespace(
            'results',
            valid_type=Dict,
            dynamic=True,
            help="How each potential's relaxations ended, with the audit.",
        )
        spec.output('formation', valid_type=Dict, required=False, help='Formation energies, hulls, errors, warnings.')
        register_exit_codes(spec, beside=RelaxBaseWorkChain.exit_codes)

    @classmethod
    def get_builder_from_protocol(
        cls,
        potentials: Mapping[str, Mapping[str, Any]],
        structures: Mapping[str, StructureData],
        protocol: str | None = None,
        overrides: Mapping[str, Any] | Path | str | None = None,
        reference: str | None = None,
        reference_energies: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        computer: Computer | None = None,
        jobs: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> Any:
        """Return a builder with every number of a protocol filled in.

        :param potentials: by name, each ``{'code': ..., 'potential': ...}``.
        :param structures: crystals by name, the end members among them.
        :param overrides: what to change, like ``{'settings': {'end_members': ['Li2S', 'P2S5']}}``, or a YAML file.
        :param reference: name of the potential that the others are compared with.
        :param reference_energies: ``{'formation_energies_ev_per_atom': {...}, 'source': ...}`` instead.
        :param options: ``metadata.options`` of all jobs.
        :param computer: where to run codes that are not bound to a computer.
        :param jobs: computer (its label) and options of some potentials, by name, instead of those for all.
        :raises ValueError: if protocol, override or an input cannot be used, naming value and remedy.
        """
        inputs = cls.get_protocol_inputs(protocol, overrides)
        name = protocol or cls.get_default_protocol()
        relaxation = resolved(RelaxBaseWorkChain, inputs['relaxation'], RelaxationParameters)
        given: dict[str, Any] = {
            'structures': dict(structures),
            'potentials': {key: dict(value) for key, value in potentials.items()},
            'settings': Dict(read_settings(inputs['settings']).model_dump(mode='json'), label=name),
            'relaxation': Dict(relaxation, label=name),
        }
        if reference is not None:
            given['reference'] = Str(reference)
        if reference_energies is not None:
            given['reference_energies'] = Dict(read_reference(reference_energies).model_dump(mode='json'))
        given['jobs'] = jobs_of(potentials, options, computer, jobs)
        check_formation_inputs(given)
        builder = cls.get_builder()
        for key, value in given.items():
            builder[key] = value
        return builder

    def place(self) -> None:
        """Find the place of each crystal on the line; those that are off it are left out."""
        crystals = {f'{CRYSTAL}{name}': node for name, node in self.inputs.structures.items()}
        placed = place_on_line(settings=self.inputs.settings, **crystals, metadata={'call_link_label': 'place_on_line'})
        self.out('line', placed)
        self.ctx.line = placed
        for name, reason in placed['refused'].items():
            self.report(f'{name} is left out: {reason}')

    def relax(self) -> Any:
        """Relax all crystals on the line with each potential, one job for each."""
        started = {}
        structures = {name: self.inputs.structures[name] for name in self.ctx.line['crystals']}
        for name in self.inputs.potentials:
            label = f'relax_{name}'
            chain = submitted_before(self, label)  # by a worker that was killed
            if chain is None:
                given = {'parameters': self.inputs.relaxation, 'structures': structures}
                inputs = job_inputs(self.inputs.potentials[name], self.inputs.jobs.get(name, {}), given)
                chain = self.submit(RelaxBaseWorkChain, relax=inputs, metadata={'call_link_label': label})
            started[label] = chain
        return ToContext(**started)

    def analyse(self) -> ExitCode | None:
        """Make the formation energies of what converged; end with the first code of a potential that was not asked."""
        given: dict[str, Any] = {}
        for name, chosen in self.inputs.potentials.items():
            chain = self.ctx[f'relax_{name}']
            if 'results' not in chain.outputs:
                self.report(f'{name}: {chain.process_label}<{chain.pk}> left nothing: {chain.exit_message}')
                continue
            self.out(f'results.{name}', chain.outputs.results)
            for crystal, node in (chain.outputs.structures if 'structures' in chain.outputs else {}).items():
                self.out(f'relaxed.{name}.{crystal}', node)
            given |= {f'{RESULTS}{name}': chain.outputs.results, f'{POTENTIAL}{name}': chosen['potential']}
        for key in ('reference', 'reference_energies'):
            if key in self.inputs:
                given[key] = self.inputs[key]
        if any(key.startswith(RESULTS) for key in given):
            formation = analyse_formation(
                line=self.ctx.line,
                settings=self.inputs.settings,
                **given,
                metadata={'call_link_label': 'analyse_formation'},
            )
            self.out('formation', formation)
        return self._ended()

    def _ended(self) -> ExitCode | None:
        """Return how the chain ends: as a potential that could not be asked, or by how many crystals converged."""
        chains = {name: self.ctx[f'relax_{name}'] for name in self.inputs.potentials}
        for name, chain in chains.items():
            code = ending_of(self, chain, name)
            if code is not None and code.status < FIRST_VERDICT:
                return code
        ended = [chain.outputs.results['items'] for chain in chains.values() if 'results' in chain.outputs]
        entries = [one for items in ended for one in items.values()]
        n_converged = sum(one['converged'] for one in entries)
        n_total = len(self.inputs.structures) * len(chains)
        if n_converged == n_total:
            return None
        labels = {one.get('label') for one in entries}
        if not n_converged and len(labels) == 1 and labels <= set(BY_LABEL):
            return ExitCode(BY_LABEL[labels.pop()].status, entries[0].get('reason'))
        return self.exit_codes.ERROR_PARTIAL.format(n_converged=n_converged, n_total=n_total, items='crystals')


def check_formation_inputs(inputs: Mapping[str, Any]) -> None:
    """Refuse inputs that cannot give formation energies; those that are not there are not judged.

    A crystal that is off the line is no reason: it is left out, and the others go on.

    :raises ValueError: naming the input, its value and the remedy.
    """
    structures, potentials = inputs.get('structures', None) or {}, inputs.get('potentials', None) or {}
    check_potentials(potentials)
    jobs = inputs.get('jobs', None) or {}
    check_jobs(jobs, potentials, (RelaxCalculation,))
    RelaxCalculation.check_items(structures)
    if inputs.get('settings', None) is None:
        return
    line = line_between(read_settings(inputs['settings'].get_dict()), structures)
    if not line.between:
        off = '; '.join(line.refused.values())
        raise ValueError(
            f'structures: there is none between {" and ".join(line.end_members)}{": " + off if off else ""}; give at '
            'least one crystal that is a mixture of the end members'
        )
    check_reference(inputs, line)
    if inputs.get('relaxation', None) is None:
        return
    check_parameters(inputs['relaxation'].get_dict(), RelaxationParameters)
    there = {name: structures[name] for name in line.places}
    for key, chosen in potentials.items():
        given = {'parameters': inputs['relaxation'], 'structures': there}
        check_child(RelaxBaseWorkChain, job_inputs(chosen, jobs.get(key, {}), given), f'potentials.{key}')


def check_reference(inputs: Mapping[str, Any], line: Line) -> None:
    """Refuse a reference that is none of the potentials, or numbers that are not those of these crystals.

    :raises ValueError: naming what is at fault.
    """
    reference, energies = inputs.get('reference', None), inputs.get('reference_energies', None)
    if reference is not None and energies is not None:
        raise ValueError('reference and reference_energies: both are given; compare with one or the other')
    if reference is not None and reference.value not in inputs['potentials']:
        raise ValueError(
            f'reference = {reference.value!r} is none of the potentials; there are: {", ".join(inputs["potentials"])}'
        )
    if energies is None:
        return
    numbers = read_reference(energies.get_dict()).formation_energies_ev_per_atom
    where = 'reference_energies.formation_energies_ev_per_atom'
    for name in numbers:
        if name not in line.places:
            raise ValueError(
                f'{where}.{name}: no crystal on the line is called so; there are: {", ".join(line.places)}'
            )
    for name in line.end_members:
        if abs(numbers.get(name, 0.0)) > ZERO_EV:
            raise ValueError(
                f'{where}.{name} = {numbers[name]:g}: the formation energy of an end member is zero; give numbers '
                f'against {" and ".join(line.end_members)}, or other settings.end_members'
            )
    if not set(line.between) & set(numbers):
        raise ValueError(f'{where} has none of {", ".join(line.between)}: there is nothing to compare with')
