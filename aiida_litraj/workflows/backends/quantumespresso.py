"""Labels of Quantum ESPRESSO: ``pw.x`` through aiida-quantumespresso's chain, which restarts and repairs by itself.

Numbers are read from the XML file that pw.x writes, in Hartree atomic units with all digits. The parser of
aiida-quantumespresso reads the same file, but turns it into eV and Ang with the constants of CODATA 2006, of which
those of pw.x differ in the seventh digit: 0.1 meV in an energy of 1,000 eV.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np
from aiida.orm import Bool, Dict, FolderData, Int, KpointsData
from pydantic import PositiveFloat, PositiveInt

from ...contract.base import Model
from ...contract.level import Level
from ...contract.units import BOHR_ANG, HARTREE_EV, RYDBERG_EV
from ...groups.pseudo_families import find_family, header_of, recommended_rho_ry
from .base import Label, LabelBackend, Outcome, check_code
from .scheduler import scheduler_verdict

if TYPE_CHECKING:
    from aiida.engine import Process
    from aiida.orm import AbstractCode, CalcJobNode, Computer, Node, ProcessNode, StructureData

XML_FILE = 'data-file-schema.xml'
HARD_FACTOR = {'nc': 4.0, 'us': 8.0, 'paw': 8.0}
"""Cutoff of the density over that of wave functions where a pseudopotential suggests none: four is exact for
norm-conserving ones; augmentation charges are harder, and eight is what the manual of pw.x gives to start from."""
SMEARINGS = {
    'gaussian': 'gaussian',
    'fermi-dirac': 'fermi-dirac',
    'methfessel-paxton': 'methfessel-paxton',
    'marzari-vanderbilt': 'cold',
}
_TO_ZERO_WIDTH = {'gaussian': 1 / 2, 'gauss': 1 / 2, 'fermi-dirac': 1 / 2, 'fd': 1 / 2, 'f-d': 1 / 2}
"""Share of ``demet``, which is -TS, that is taken from the free energy to get to no smearing, F - E being quadratic."""
CONVERGENCE_FACTOR = 0.1
"""``conv_thr`` over the level's ``energy_convergence_ev``. pw.x estimates an error of the energy, to which that of the
density enters squared, where others take a change between steps: at a ``conv_thr`` of 1e-4 eV rattled Li2O has forces
with errors of 17 meV/Ang, at 1e-5 eV of 1.2, and an error goes with the root."""
MAX_SECONDS = 1.0e7
"""Clock of ``pw.x`` at which it stops by itself: its own default, which is never. Where it is not said,
``PwBaseWorkChain`` makes it 95 % of the walltime and puts it into the parameters, which are hashed: with more walltime
no finished label would be taken from the cache. What is lost is the soft stop, after which the chain goes on with the
cycle in another job. A label is one cycle: it ends at the walltime as 120, and is had with more of it."""
_NO_SCF = (410, 710)
_OWN_CLOCK = (340, 400)
_MPI = re.compile(r'\b(mpirun|mpiexec|orterun|prterun|srun|MPI_Init|ORTE|PMIX|hydra)', re.IGNORECASE)


class QuantumEspressoSettings(Model):
    """What only this back end knows."""

    pseudo_family: str
    """Label of an aiida-pseudo family, of files in the format UPF."""
    cutoff_rho_ev: PositiveFloat | None = None
    """Cutoff of the density; ``None``: what the pseudopotentials suggest, or a multiple of the level's cutoff."""
    max_calculations: PositiveInt = 5
    """How many times the chain starts pw.x for one label: its own default."""


class QuantumEspressoBackend(LabelBackend):
    """Labels by ``PwBaseWorkChain``, whose handlers mix more gently, change the diagonalisation and restart."""

    name = 'quantumespresso'
    plugins = ('quantumespresso.pw',)
    settings_model = QuantumEspressoSettings

    def check(self, code: AbstractCode, symbols: Iterable[str], level: Level, settings: Mapping[str, Any]) -> None:
        """Refuse a family that is not there, or pseudopotentials of another functional than the level's.

        :raises ValueError: naming family, element and remedy.
        """
        check_code(self, code)
        chosen = self.settings(settings)
        family = find_family(chosen.pseudo_family)
        for symbol in sorted(set(symbols) & set(family.elements)):
            header = header_of(family.get_pseudo(symbol))
            if header.functional != level.functional:
                raise ValueError(
                    f'level.functional = {level.functional!r}, but the pseudopotential of {symbol} in the family '
                    f'{family.label!r} is of {header.functional!r}; take a family of {level.functional}, or the '
                    f'protocol of {header.functional}'
                )
            if header.spin_orbit:
                raise ValueError(
                    f'the pseudopotential of {symbol} in the family {family.label!r} is fully relativistic; labels '
                    'have no spin-orbit coupling: take a scalar-relativistic one'
                )
        hard = chosen.cutoff_rho_ev
        if hard is not None and hard < 4.0 * level.cutoff_ev:
            raise ValueError(
                f'settings.cutoff_rho_ev = {hard:g}: a density has four times the cutoff of its wave functions '
                f'(level.cutoff_ev = {level.cutoff_ev:g}) or more'
            )

    def lacking(self, code: AbstractCode, symbols: Iterable[str], settings: Mapping[str, Any]) -> dict[str, Outcome]:
        """Return the elements for which the family has no pseudopotential."""
        family = find_family(self.settings(settings).pseudo_family)
        return {
            symbol: Outcome(
                'ERROR_PSEUDO_MISSING',
                f'the pseudopotential family {family.label!r} has none for {symbol} (it has: '
                f'{", ".join(sorted(family.elements))}); install one that has it: aiida-litraj setup-dft '
                '--pseudo-folder FOLDER',
            )
            for symbol in sorted(set(symbols))
            if symbol not in family.elements
        }

    def settled(self, settings: Mapping[str, Any], level: Level, symbols: Iterable[str]) -> dict[str, Any]:
        """Return the settings with the cutoff of the density, the largest that any of the elements needs."""
        chosen = self.settings(settings)
        family = find_family(chosen.pseudo_family)
        pseudos = {each: family.get_pseudo(each) for each in symbols if each in family.elements}
        return {**settings, 'cutoff_rho_ev': cutoff_rho_ry(chosen, level, pseudos) * RYDBERG_EV}

    def beside_level(self, settings: Mapping[str, Any], symbols: Iterable[str]) -> dict[str, Any]:
        """Return the cutoff of the density in eV, the family, and the fingerprints of its pseudopotentials."""
        chosen = self.settings(settings)
        family = find_family(chosen.pseudo_family)
        known = sorted(set(symbols) & set(family.elements))
        return {
            'cutoff_rho_ev': chosen.cutoff_rho_ev,
            'pseudo_family': chosen.pseudo_family,
            'pseudopotentials': {each: _fingerprint(family.get_pseudo(each)) for each in known},
        }

    def wanted_cutoffs(self, settings: Mapping[str, Any], symbols: Iterable[str]) -> dict[str, tuple[float, str]]:
        """Return what the file of each pseudopotential suggests for the wave functions, where it does."""
        family = find_family(self.settings(settings).pseudo_family)
        known = {each: family.get_pseudo(each) for each in set(symbols) & set(family.elements)}
        suggested = {each: header_of(pseudo).cutoff_wfc_ry for each, pseudo in known.items()}
        who = f'the pseudopotentials of {family.label} suggest'
        return {each: (value * RYDBERG_EV, who) for each, value in suggested.items() if value is not None}

    def process(self) -> type[Process]:
        """Return ``PwBaseWorkChain``.

        :raises ValueError: if aiida-quantumespresso is not installed.
        """
        from aiida.common import EntryPointError
        from aiida.plugins import WorkflowFactory

        try:
            found: type[Process] = WorkflowFactory('quantumespresso.pw.base')
        except EntryPointError as error:
            raise ValueError(
                f'the back end quantumespresso needs its plugin: pip install "aiida-litraj[dft]" ({error})'
            ) from error
        return found

    def inputs(
        self,
        code: AbstractCode,
        structure: StructureData,
        level: Level,
        settings: Mapping[str, Any],
        options: Mapping[str, Any],
        attempt: int,
        computer: Computer | None = None,
    ) -> dict[str, Any]:
        """Return the inputs of the chain; what it leaves on the computer goes when it has ended."""
        chosen = self.settings(settings)
        pseudos = find_family(chosen.pseudo_family).get_pseudos(structure=structure)
        kpoints = KpointsData()
        kpoints.set_cell_from_structure(structure)
        kpoints.set_kpoints_mesh(level.mesh(structure.cell))
        how = {'resources': {'num_machines': 1, 'num_mpiprocs_per_machine': 1}, **options}
        if code.with_mpi is not None:  # the chain hands on its default as if asked for, and AiiDA sees a conflict
            how.setdefault('withmpi', code.with_mpi)
        metadata: dict[str, Any] = {'options': how}
        if computer is not None and getattr(code, 'computer', None) is None:
            metadata['computer'] = computer
        job = {
            'code': code,
            'structure': structure,
            'pseudos': pseudos,
            'parameters': Dict(parameters(level, cutoff_rho_ry(chosen, level, pseudos))),
            'metadata': metadata,
        }
        chain = {'clean_workdir': Bool(True), 'max_iterations': Int(chosen.max_calculations)}
        return {'pw': job, 'kpoints': kpoints, **chain}

    def outcome(self, node: ProcessNode) -> Outcome:
        """Return how the chain ended, by its last calculation: that is what the chain could not repair."""
        if node.is_finished_ok:
            return Outcome()
        jobs = _jobs(node)
        if not jobs:
            return Outcome('ERROR_DFT_CRASHED', f'pw.x was not run: {_words(node)}', started=False)
        return outcome_of(jobs[-1], len(jobs))

    def outputs(self, node: ProcessNode) -> dict[str, Node]:
        """Return the retrieved folder with the XML file, and the pseudopotentials."""
        pseudos = {f'pseudo_{pseudo.element}': pseudo for pseudo in node.inputs.pw.pseudos.values()}
        return {'retrieved': node.outputs.retrieved, **pseudos}

    def read(self, nodes: Mapping[str, Node]) -> Label:
        """Return the label in the XML file.

        :raises ValueError: if it is not there, or holds none.
        """
        folder: Any = nodes['retrieved']
        if XML_FILE not in folder.base.repository.list_object_names():
            raise ValueError(f'pw.x left no {XML_FILE}')
        label = read_label(folder.base.repository.get_object_content(XML_FILE, mode='rb'))
        pseudos = {name.removeprefix('pseudo_'): node for name, node in nodes.items() if name.startswith('pseudo_')}
        return replace(label, pseudopotentials={symbol: _fingerprint(node) for symbol, node in pseudos.items()})


def _fingerprint(pseudo: Any) -> str:
    return f'md5 {pseudo.md5}'


def parameters(level: Level, rho_ry: float) -> dict[str, Any]:
    """Return the namelists of pw.x for a level; energies in Ry."""
    system: dict[str, Any] = {'ecutwfc': level.cutoff_ev / RYDBERG_EV, 'ecutrho': rho_ry, 'nspin': 1}
    if level.smearing == 'fixed':
        system['occupations'] = 'fixed'
    else:
        system |= {
            'occupations': 'smearing',
            'smearing': SMEARINGS[level.smearing],
            'degauss': level.smearing_width_ev / RYDBERG_EV,
        }
    return {
        'CONTROL': {'calculation': 'scf', 'tprnfor': True, 'tstress': level.stress, 'max_seconds': MAX_SECONDS},
        'SYSTEM': system,
        'ELECTRONS': {
            'conv_thr': CONVERGENCE_FACTOR * level.energy_convergence_ev / RYDBERG_EV,
            'electron_maxstep': level.max_scf_steps,
        },
    }


def cutoff_rho_ry(settings: QuantumEspressoSettings, level: Level, pseudos: Mapping[str, Any]) -> float:
    """Return the cutoff of the density in Ry: as said, else the largest that any of the pseudopotentials needs.

    One that suggests a cutoff needs that, by its family or by its own header, and never less than four times the
    cutoff of the wave functions; one that suggests none needs :data:`HARD_FACTOR` times that.
    """
    if settings.cutoff_rho_ev is not None:
        return settings.cutoff_rho_ev / RYDBERG_EV
    family = find_family(settings.pseudo_family)
    wave_functions = level.cutoff_ev / RYDBERG_EV
    needed = [4.0 * wave_functions]
    for pseudo in pseudos.values():
        header = header_of(pseudo)
        suggested = recommended_rho_ry(family, pseudo.element) or header.cutoff_rho_ry
        needed.append(HARD_FACTOR[header.kind] * wave_functions if suggested is None else suggested)
    return float(max(needed))


def read_label(xml: bytes) -> Label:
    """Return the label in the XML file of pw.x.

    The energy is ``output/total_energy/etot``: with smeared occupations that is the free energy, ``demet`` = -TS
    included, of which the forces are the negative gradient. The stress is the file's with the sign turned: pw.x has it
    positive under compression.

    :raises ValueError: if the file is no such XML, has no forces, or the cycle did not converge.
    """
    try:
        root = ElementTree.fromstring(xml)
    except ElementTree.ParseError as error:
        raise ValueError(f'{XML_FILE} is damaged: {error}') from error
    output, creator = root.find('output'), root.find('general_info/creator')
    if output is None:
        raise ValueError(f'{XML_FILE} has no output')
    converged = output.findtext('convergence_info/scf_conv/convergence_achieved', '').strip()
    if converged != 'true':
        raise ValueError(f'the cycle to self-consistency did not converge: convergence_achieved is {converged!r}')
    energy, forces = output.findtext('total_energy/etot'), output.findtext('forces')
    if energy is None or forces is None:
        raise ValueError(f'{XML_FILE} has no {"energy" if energy is None else "forces"}')
    stress, smearing = output.findtext('stress'), output.findtext('band_structure/smearing', '').strip()
    entropy = float(output.findtext('total_energy/demet') or 0.0)
    share = _TO_ZERO_WIDTH.get(smearing, 0.0) if smearing else 0.0
    steps = output.findtext('convergence_info/scf_conv/n_scf_steps')
    return Label(
        energy=float(energy) * HARTREE_EV,
        forces=_numbers(forces).reshape(-1, 3) * (HARTREE_EV / BOHR_ANG),
        stress=None if stress is None else _voigt(_numbers(stress)) * (-HARTREE_EV / BOHR_ANG**3),
        extrapolated=(float(energy) - share * entropy) * HARTREE_EV,
        n_scf_steps=None if steps is None else int(steps),
        version='' if creator is None else str(creator.get('VERSION')),
    )


def _numbers(text: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array([float(word) for word in text.split()])


def _voigt(tensor: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    return tensor.reshape(3, 3)[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]


def outcome_of(job: CalcJobNode, n_jobs: int = 1) -> Outcome:
    """Return why a calculation of pw.x gave no label.

    :param n_jobs: how many the chain has run.
    """
    tries = f'{n_jobs} calculations' if n_jobs > 1 else 'one calculation'
    said, errors = _text(job, 'output_filename'), _text(job, 'scheduler_stderr')
    if job.exit_status in _NO_SCF:
        return Outcome('ERROR_SCF_NOT_CONVERGED', f'{_accuracy(said, job)} after {tries} of pw.x (pk {job.pk})')
    if job.exit_status in _OWN_CLOCK:
        return Outcome('ERROR_SCHEDULER_OUT_OF_WALLTIME', f'{_words(job)} ({tries} of pw.x, the last pk {job.pk})')
    verdict = scheduler_verdict(job)
    if verdict is not None:
        return verdict
    if 'Program PWSCF' not in said and _MPI.search(errors):
        return Outcome('ERROR_MPI', f'pw.x wrote nothing (pk {job.pk}): {_telling(errors)}', started=False)
    reason = _error_line(said) or _error_line(_text(job, 'CRASH')) or _telling(errors) or _words(job)
    return Outcome('ERROR_DFT_CRASHED', f'{reason} (pw.x, pk {job.pk})', started='Program PWSCF' in said)


def _jobs(node: ProcessNode) -> list[CalcJobNode]:
    from aiida.orm import CalcJobNode

    found = [node, *node.called_descendants]
    return sorted((each for each in found if isinstance(each, CalcJobNode)), key=lambda each: each.pk)


def _text(job: CalcJobNode, name: str) -> str:
    """Return a retrieved file, by its name or the option that has it; nothing if it is not there."""
    folder = job.outputs.retrieved if 'retrieved' in job.outputs else None
    wanted = name if name == 'CRASH' else job.get_option(name)
    if not isinstance(folder, FolderData) or wanted not in folder.base.repository.list_object_names():
        return ''
    return str(folder.base.repository.get_object_content(wanted, mode='rb').decode(errors='replace'))


def _accuracy(said: str, job: CalcJobNode) -> str:
    """Return how near to self-consistency pw.x came, and what was asked for."""
    found = re.findall(r'estimated scf accuracy\s+<\s+([\d.Ee+-]+)', said)
    asked = job.inputs.parameters.get_dict().get('ELECTRONS', {}).get('conv_thr')
    reached = f'an estimated {float(found[-1]) * RYDBERG_EV:.1e} eV' if found else 'no step was finished'
    return f'{reached}, asked for {float(asked) * RYDBERG_EV:.1e} eV,' if asked is not None else reached


def _error_line(said: str) -> str:
    """Return what pw.x says between the lines of percent signs with which it ends on an error."""
    block = re.search(r'%{20,}\s*\n(.*?)\n\s*%{20,}', said, re.DOTALL)
    return ' '.join(block[1].split()) if block else ''


def _telling(errors: str) -> str:
    """Return the first line of an error stream that has words."""
    return next((line.strip() for line in errors.splitlines() if re.search(r'[A-Za-z]{3}', line)), '')


def _words(node: ProcessNode) -> str:
    return str(node.exit_message or node.exception or node.process_state).strip().splitlines()[-1]
