"""Molecular dynamics: the engine's ``md`` task beside ASE's integrators on the same potential, in one run.

    python -m tests.benchmarks.md                      # toy potential: a minute on one core
    python -m tests.benchmarks.md --potential 7net-0 --steps 10 --repeat 3 1 1

Prints, per ensemble: steps/s of a replica here and with ASE, model calls a step, what the engine spends outside the
model (in % of its wall time and in microseconds a step), and bytes per frame. ASE and engine take turns, so that they
see the same machine.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import ase
import ase.build
import ase.io
import numpy as np
from ase import units
from ase.calculators.calculator import Calculator, all_changes
from ase.md.langevinbaoab import LangevinBAOAB
from ase.md.nose_hoover_chain import MTKNPT, IsotropicMTKNPT, NoseHooverChainNVT
from ase.md.verlet import VelocityVerlet

from aiida_litraj.contract import PotentialSpec, Runtime, files, pack_arrays
from aiida_litraj.contract.md import MdItem, MdJob, MdParameters, MdResult, Segment
from aiida_litraj.contract.trajectory import read_records
from aiida_litraj.engine.core.dynamics.state import System, maxwell_boltzmann
from aiida_litraj.engine.models.interface import Configuration
from aiida_litraj.engine.models.toy import morse
from aiida_litraj.engine.run import run
from tests.engine.tasks.replicas import COUPLINGS, parameters

STRUCTURES = Path(__file__).parents[2] / 'examples' / 'structures'
TIMESTEP_FS = 1.0
KELVIN = 300.0
FRAME_EVERY = 20
THERMO_EVERY = 10


@dataclass
class Row:
    """One line of the table."""

    ensemble: str
    atoms: int
    replicas: int
    steps_per_s: float
    ase_steps_per_s: float | None
    calls_per_step: float
    outside_model_percent: float
    outside_model_us: float
    bytes_per_frame: int


class AseMorse(Calculator):
    """The Morse potential of the toy family for ASE."""

    implemented_properties = ('energy', 'free_energy', 'forces', 'stress')

    def calculate(self, atoms: Any = None, properties: Any = (), system_changes: Any = all_changes) -> None:
        """Evaluate everything at once, as the engine does."""
        super().calculate(atoms, properties, system_changes)
        answer = morse(Configuration(atoms.numbers, atoms.positions, np.array(atoms.cell), atoms.pbc, stress=True))
        assert answer.stress is not None
        voigt = answer.stress.flat[[0, 4, 8, 5, 2, 1]]
        self.results = {'energy': answer.energy, 'free_energy': answer.energy, 'forces': answer.forces, 'stress': voigt}


def ase_dynamics(name: str, atoms: ase.Atoms) -> Any | None:
    """Return ASE's integrator for a coupling of the tests, ``None`` where ASE has none."""
    step, tau, tau_cell = TIMESTEP_FS * units.fs, 50.0 * units.fs, 300.0 * units.fs
    made: dict[str, Callable[[], Any]] = {
        'nve': lambda: VelocityVerlet(atoms, step),
        'langevin': lambda: LangevinBAOAB(
            atoms, step, temperature_K=KELVIN, T_tau=100.0 * units.fs, rng=np.random.default_rng(0)
        ),
        'nose-hoover': lambda: NoseHooverChainNVT(atoms, step, KELVIN, tau),
        'mtk-isotropic': lambda: IsotropicMTKNPT(atoms, step, KELVIN, 0.0, tau, tau_cell),
        'mtk-full': lambda: MTKNPT(atoms, step, KELVIN, 0.0, tau, tau_cell),
    }
    return made[name]() if name in made else None


def with_ase(name: str, atoms: ase.Atoms, calculator: Any, n_steps: int) -> float | None:
    """Return the steps per second of ASE, its first evaluation left out."""
    atoms = atoms.copy()
    atoms.set_velocities(maxwell_boltzmann(System(atoms.get_masses(), atoms.pbc), units.kB * KELVIN))
    atoms.calc = calculator
    dynamics = ase_dynamics(name, atoms)
    if dynamics is None:
        return None
    atoms.get_forces()
    started = time.perf_counter()
    dynamics.run(n_steps)
    return n_steps / (time.perf_counter() - started)


def with_engine(
    name: str, atoms: ase.Atoms, spec: PotentialSpec, n_steps: int, replicas: int, processes: int
) -> tuple[MdResult, int]:
    """Return the engine's result and the bytes of a frame."""
    pressure = 0.0 if COUPLINGS[name]['ensemble'] == 'npt' else None
    settings = parameters(
        name,
        timestep_fs=TIMESTEP_FS,
        frame_interval_fs=FRAME_EVERY * TIMESTEP_FS,
        thermo_interval_fs=THERMO_EVERY * TIMESTEP_FS,
    )
    schedule = [Segment(duration_fs=n_steps * TIMESTEP_FS, temperature_k=KELVIN, pressure_gpa=pressure)]
    job = MdJob(
        potential=spec,
        parameters=MdParameters.model_validate(settings),
        runtime=Runtime(device='cpu', processes=processes),
        items=[MdItem(id=f'r{seed}', seed=seed, schedule=schedule) for seed in range(replicas)],
    )
    given = {'positions': atoms.positions, 'cell': np.array(atoms.cell), 'pbc': atoms.pbc, 'numbers': atoms.numbers}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        (path / files.JOB).write_text(job.model_dump_json())
        arrays = {f'{item.id}/{key}': value for item in job.items for key, value in given.items()}
        (path / files.ARRAYS).write_bytes(pack_arrays(arrays))
        result = run(path / files.JOB)
        header, _ = read_records(path / files.ITEMS / 'r0.frames')
    assert result.exit.status == 0, result.exit
    return result, header.stored.itemsize


def row(name: str, atoms: ase.Atoms, chosen: argparse.Namespace, spec: PotentialSpec, calculator: Any) -> Row:
    """Return the figures of one ensemble."""
    theirs = None if chosen.no_ase else with_ase(name, atoms, calculator, chosen.steps)
    result, frame_bytes = with_engine(name, atoms, spec, chosen.steps, chosen.replicas, chosen.processes)
    audit = result.audit
    assert audit is not None
    n_steps = chosen.steps * chosen.replicas
    inside = audit.model_seconds / chosen.processes
    return Row(
        ensemble=name,
        atoms=len(atoms),
        replicas=chosen.replicas,
        steps_per_s=n_steps / audit.wall_seconds / chosen.replicas,
        ase_steps_per_s=theirs,
        calls_per_step=(audit.model_calls - chosen.replicas) / n_steps,
        outside_model_percent=100.0 * (1.0 - inside / audit.wall_seconds),
        outside_model_us=1e6 * (audit.wall_seconds - inside) / n_steps,
        bytes_per_frame=frame_bytes,
    )


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--potential', default='morse', help='morse, or a packaged SevenNet such as 7net-0')
    parser.add_argument('--structure', default='Li3PO4_gamma', help='for SevenNet: a file of examples/structures')
    parser.add_argument('--repeat', type=int, nargs=3, default=(3, 1, 1))
    parser.add_argument('--ensembles', nargs='+', default=list(COUPLINGS), choices=list(COUPLINGS))
    parser.add_argument('--steps', type=int, default=200)
    parser.add_argument('--replicas', type=int, default=1)
    parser.add_argument('--processes', type=int, default=1)
    parser.add_argument('--no-ase', action='store_true')
    parser.add_argument('--json', type=Path, help='also write the rows to this file')
    chosen = parser.parse_args()
    if chosen.potential == 'morse':
        spec, calculator = PotentialSpec(family='toy', name='morse'), AseMorse()
        atoms = ase.build.bulk('Ar', 'fcc', a=3.95, cubic=True).repeat((2, 3, 4))
    else:
        from sevenn.calculator import SevenNetCalculator

        spec, calculator = PotentialSpec(family='sevennet', name=chosen.potential), None
        if not chosen.no_ase:
            calculator = SevenNetCalculator(chosen.potential, device='cpu')
        atoms = ase.io.read(STRUCTURES / f'{chosen.structure}.cif').repeat(tuple(chosen.repeat))
    rows: list[Row] = []
    for name in chosen.ensembles:
        rows.append(row(name, atoms, chosen, spec, calculator))
        _print(rows[-1], len(rows) == 1)
        if chosen.json is not None:
            chosen.json.write_text(json.dumps([asdict(one) for one in rows], indent=1))


def _print(found: Row, first: bool) -> None:
    if first:
        sys.stdout.write(
            f'{"ensemble":20s} {"atoms":>5s} {"replicas":>8s} {"steps/s":>8s} {"ASE":>8s} {"ratio":>6s} '
            f'{"calls/step":>10s} {"outside":>8s} {"us/step":>8s} {"bytes/frame":>11s}\n'
        )
    theirs = '' if found.ase_steps_per_s is None else f'{found.ase_steps_per_s:.2f}'
    ratio = '' if found.ase_steps_per_s is None else f'{found.steps_per_s / found.ase_steps_per_s:.2f}'
    sys.stdout.write(
        f'{found.ensemble:20s} {found.atoms:5d} {found.replicas:8d} {found.steps_per_s:8.2f} {theirs:>8s} {ratio:>6s} '
        f'{found.calls_per_step:10.2f} {found.outside_model_percent:6.2f} % {found.outside_model_us:8.0f} '
        f'{found.bytes_per_frame:11d}\n'
    )
    sys.stdout.flush()


if __name__ == '__main__':
    main()
