"""Labels of GPAW in plane waves, by the calculation ``ase.ase`` of aiida-ase.

Its parser calls almost every failure 300; what went wrong is read from the log and from what the job wrote to stderr.
Its output nodes hold 14 digits, so labels are read from the file that GPAW's Python wrote, ``results.json``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import numpy as np
from ase.data import atomic_numbers
from pydantic import PositiveFloat

from ...calculations.base import own_packages
from ...calculations.validation import DFT_EXTRA
from ...contract.base import Model
from ...contract.gpaw import SAFER_MIXER, SMEARINGS
from ...contract.level import Level
from .base import Label, LabelBackend, Outcome, check_code
from .scheduler import scheduler_verdict

if TYPE_CHECKING:
    from aiida.engine import Process
    from aiida.orm import AbstractCode, Computer, Node, ProcessNode, StructureData

RESULTS, LOG, ERRORS = 'results.json', 'aiida.out', '_scheduler-stderr.txt'
SETUP_REMEDY = (
    'install PAW set-ups where GPAW runs (gpaw install-data FOLDER, or the package gpaw-data) and let GPAW_SETUP_PATH '
    'name their folder'
)
SAFER: tuple[dict[str, Any], ...] = (
    {},
    {'mixer': dict(SAFER_MIXER)},
    {
        'mixer': {'method': 'separate', 'backend': 'pulay', 'beta': 0.01, 'nmaxold': 8, 'weight': 100.0},
        'eigensolver': {'name': 'dav', 'niter': 4},
    },
)
"""How each attempt comes to self-consistency: GPAW's habit, then slower mixing, then exacter states too."""
MISSING_SETUP = re.compile(r'Could not find required PAW dataset file "(\w+)\.')
MPI_WORDS = (
    'mpirun', 'mpiexec', 'srun: error', 'ORTE', 'PMIX', 'PRTE', 'MPI_INIT', 'not enough slots', 'hydra',
)  # fmt: skip
MEMORY_WORDS = ('MemoryError', 'oom-kill', 'Out Of Memory', 'signal 9', 'std::bad_alloc', ' Killed ')
"""A kernel whose memory is full kills with signal 9. So does mpirun the other ranks when one has raised an error."""
DEFAULT_CUTOFF_EV = 340.0
"""What ``gpaw.PW()`` takes if nothing is said (``gpaw/wavefunctions/pw.py``)."""
SETUPS_TOLD = ('PBE', 'LDA')
"""Functionals of which ``setup-dft`` has asked GPAW for its PAW set-ups."""


class GpawSettings(Model):
    """What can be said to GPAW alone."""

    setups: str
    """The functional whose PAW set-ups are taken: there are none of PBEsol, which goes with those of PBE."""
    eigenstates_ev2_per_electron: PositiveFloat
    """Residual of the wave functions at which the cycle ends."""
    point_group: bool
    """Whether the symmetry of a crystal saves k-points. Its grid is then another one than without symmetry, so the
    energies of a crystal and of the same crystal disturbed are not of quite the same accuracy."""


class GpawBackend(LabelBackend):
    """GPAW: the code is its Python, or the script ``gpaw``; with MPI or without."""

    name = 'gpaw'
    plugins = ('ase.ase',)
    settings_model = GpawSettings
    n_attempts = len(SAFER)

    def check(self, code: AbstractCode, symbols: Iterable[str], level: Level, settings: Mapping[str, Any]) -> None:
        """Refuse a code of another plugin, or settings that are not known.

        :raises ValueError: naming it.
        """
        check_code(self, code)
        self.settings(settings)

    def lacking(self, code: AbstractCode, symbols: Iterable[str], settings: Mapping[str, Any]) -> dict[str, Outcome]:
        """Return the elements without a PAW set-up, as ``setup-dft`` found them; of other codes nothing is known."""
        own, told = self.settings(settings), code.base.extras.get(DFT_EXTRA, {}).get('setups')
        if told is None or own.setups not in SETUPS_TOLD:
            return {}
        missing = sorted(set(symbols) - set(told.get(own.setups, [])))
        return {
            symbol: Outcome(
                'ERROR_SETUP_MISSING',
                f'GPAW has no PAW set-up of {own.setups} for {symbol}, as the code {code.full_label} was set up: '
                f'{SETUP_REMEDY}, then run aiida-litraj setup-dft once more',
            )
            for symbol in missing
        }

    def beside_level(self, settings: Mapping[str, Any], symbols: Iterable[str]) -> dict[str, Any]:
        """Return the functional of the PAW set-ups, themselves known where GPAW has run, and how the grid is chosen."""
        own = self.settings(settings)
        return {'setups': own.setups, 'point_group': own.point_group}

    def wanted_cutoffs(self, settings: Mapping[str, Any], symbols: Iterable[str]) -> dict[str, tuple[float, str]]:
        """Return GPAW's own default for plane waves for each element: its set-ups say nothing of their own."""
        return dict.fromkeys(symbols, (DEFAULT_CUTOFF_EV, 'GPAW takes by itself'))

    def process(self) -> type[Process]:
        """Return the calculation ``ase.ase``.

        :raises ValueError: if aiida-ase is not installed.
        """
        from aiida.common import EntryPointError
        from aiida.plugins import CalculationFactory

        try:
            found: type[Process] = CalculationFactory('ase.ase')
        except EntryPointError as error:
            raise ValueError(f'the back end gpaw needs aiida-ase: pip install "aiida-litraj[dft]" ({error})') from error
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
        """Return the inputs of ``ase.ase``, whose script is asked for all that a label has."""
        from aiida.orm import Dict

        own = self.settings(settings)
        arguments = calculator_arguments(level, own, structure.cell, [site.kind_name for site in structure.sites])
        arguments |= {'maxiter': level.max_scf_steps * 2**attempt, **SAFER[attempt]}
        parameters = {
            'calculator': {'name': 'gpaw', 'args': arguments},
            'atoms_getters': [['potential_energy', {'force_consistent': 'True'}], 'forces'],
            'pre_lines': _functional(level.functional, own.setups),
            'post_lines': [
                'import gpaw',
                "results['energy_extrapolated'] = atoms.get_potential_energy()",
                "results['n_scf_steps'] = calculator.get_number_of_iterations()",
                "results['version'] = gpaw.__version__",
                "results['setups'] = {each.symbol: each.fingerprint for each in calculator.setups}",
            ],
        }
        if level.stress:
            parameters['atoms_getters'].append('stress')
        asked = {'resources': {'num_machines': 1, 'num_mpiprocs_per_machine': 1}, **options}
        if code.with_mpi is not None:  # by this option the script knows that not every rank may write
            asked.setdefault('withmpi', code.with_mpi)
        inputs: dict[str, Any] = {
            'code': code,
            'structure': structure,
            'parameters': Dict(parameters),
            'settings': Dict({'CMDLINE': _command(code)}),
            'metadata': {'options': own_packages(asked, computer or code.computer)},
        }
        if computer is not None:
            inputs['metadata']['computer'] = computer
        return inputs

    def outcome(self, node: ProcessNode) -> Outcome:
        """Return how a calculation ended, read from what it wrote where its exit code does not tell."""
        if node.is_finished_ok:
            return Outcome()
        verdict = scheduler_verdict(node)
        if verdict is not None:
            return verdict
        if 'retrieved' not in node.outputs:
            return Outcome('ERROR_DFT_CRASHED', f'nothing was retrieved of {node.process_label}<{node.pk}>')
        return diagnose(_text(node, LOG), _text(node, ERRORS))

    def outputs(self, node: ProcessNode) -> dict[str, Node]:
        """Return the retrieved folder, which has the numbers to the last bit."""
        return {'retrieved': node.outputs.retrieved}

    def read(self, nodes: Mapping[str, Node]) -> Label:
        """Return the label in ``results.json``: free energy, forces, and the stress if it was asked for.

        :raises ValueError: if the file is not one of the script's.
        """
        try:
            found = json.loads(nodes['retrieved'].base.repository.get_object_content(RESULTS))
            return Label(
                energy=float(found['potential_energy']),
                forces=np.array(found['forces'], dtype=float),
                stress=np.array(found['stress'], dtype=float) if 'stress' in found else None,
                extrapolated=float(found['energy_extrapolated']),
                n_scf_steps=int(found['n_scf_steps']),
                version=str(found['version']),
                pseudopotentials=dict(found['setups']),
            )
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f'{RESULTS} holds no label: {type(error).__name__}: {error}') from error


def calculator_arguments(level: Level, settings: GpawSettings, cell: Any, symbols: list[str]) -> dict[str, Any]:
    """Return the arguments of GPAW's calculator for a level, but for what gets it to self-consistency.

    GPAW wants the change of the energy for each valence electron. Their number depends on the set-ups, but is not
    above that of all electrons, with which the criterion is at least as strict as the level says.
    """
    electrons = sum(atomic_numbers[symbol] for symbol in symbols)
    convergence = {
        'energy': level.energy_convergence_ev / electrons,
        'density': level.density_convergence,
        'eigenstates': settings.eigenstates_ev2_per_electron,
    }
    if level.force_convergence_ev_per_ang is not None:
        convergence['forces'] = level.force_convergence_ev_per_ang
    own = settings.setups == level.functional
    return {
        'mode': {'name': 'pw', 'ecut': level.cutoff_ev},
        'xc': level.functional if own else {'@function': 'functional', 'args': {}},
        'kpts': {'size': list(level.mesh(cell)), 'gamma': True},
        'occupations': {**SMEARINGS[level.smearing], 'width': level.smearing_width_ev},
        'spinpol': False,
        'convergence': convergence,
        'symmetry': {'point_group': settings.point_group},
    }


def diagnose(log: str, errors: str) -> Outcome:
    """Return what went wrong with GPAW, from its log and from what went to stderr.

    A traceback comes first: when one rank ends with it, MPI complains too, and kills the others. GPAW's log begins
    when its calculator is made; without one nothing was computed.
    """
    if 'KohnShamConvergenceError' in errors:
        steps = re.findall(r'^iter:\s*(\d+)', log, flags=re.MULTILINE)
        number = f' in {steps[-1]} {"step" if steps[-1] == "1" else "steps"}' if steps else ''
        done = f'GPAW did not converge{number}'
        return Outcome('ERROR_SCF_NOT_CONVERGED', done, retry=True)
    missing = MISSING_SETUP.search(errors)
    if missing:
        return Outcome('ERROR_SETUP_MISSING', f'GPAW has no PAW set-up for {missing[1]}: {SETUP_REMEDY}')
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    raised = [line for line in lines if re.match(r'(\w+\.)*\w*(Error|Exception|Interrupt)\b', line)]
    full = [line for line in raised if 'MemoryError' in line.partition(':')[0]]
    if raised and not full and 'Traceback' in errors:
        return Outcome('ERROR_DFT_CRASHED', raised[-1], started=bool(log.strip()))
    memory = full or [line for line in lines if any(word in line for word in MEMORY_WORDS)]
    if memory:
        return Outcome('ERROR_SCHEDULER_OUT_OF_MEMORY', f'the memory was full, or the process was killed: {memory[0]}')
    spoken = [line for line in lines if any(word in line for word in MPI_WORDS)]
    if spoken:
        return Outcome('ERROR_MPI', ' '.join(_sentence(lines)), started=False)
    last = lines or [line.strip() for line in log.splitlines() if line.strip()]
    words = f'GPAW left no result; its last words: {last[-1]}' if last else 'GPAW left not a word'
    return Outcome('ERROR_DFT_CRASHED', words, started=bool(log.strip()))


def _sentence(lines: list[str]) -> list[str]:
    """Return the first lines of a complaint of MPI, without what frames it."""
    return [line for line in lines if not set(line) <= set('-=*')][:3]


def _functional(functional: str, setups: str) -> list[str]:
    """Return lines that define ``functional()``, a functional with the PAW set-ups of another; none if not needed."""
    if functional == setups:
        return []
    return [
        'from gpaw.xc import XC',
        'def functional():',
        f'    made = XC({functional!r})',
        f'    made.get_setup_name = lambda: {setups!r}',
        '    return made',
    ]


def _command(code: AbstractCode) -> list[str]:
    """Return what stands between the executable and the script.

    ``gpaw python`` takes part in MPI in all versions of GPAW, Python alone only in some.
    """
    name = PurePath(str(code.get_executable())).name
    if name == 'gpaw':
        return ['python']
    return ['-m', 'gpaw', 'python'] if name.startswith('python') else []


def _text(node: ProcessNode, name: str) -> str:
    folder = node.outputs.retrieved
    if name not in folder.base.repository.list_object_names():
        return ''
    return str(folder.base.repository.get_object_content(name, mode='rb').decode(errors='replace'))
