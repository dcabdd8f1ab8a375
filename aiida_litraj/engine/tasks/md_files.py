"""What a replica leaves on disk while it runs: records of its way, and the checkpoint to go on from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ...contract.arrays import AnyArray, pack_arrays, unpack_arrays, write_atomic
from ...contract.md import MdParameters, steps_in
from ...contract.trajectory import FRAMES_SUFFIX, THERMO_SUFFIX, Header, Records, RecordWriter, read_records
from ..core.dynamics.geometry import closest
from ..core.dynamics.replica import Replica
from ..core.dynamics.state import State, System, pressure_tensor, temperature
from ..core.dynamics.units import BOLTZMANN, GIGAPASCAL
from ..folder import Folder

_NO_STRAIN_RATE = np.zeros((0, 3))


class Recorder:
    """The two files of records of a replica, cut back to ``frames`` and ``thermo`` records on opening.

    :raises OSError: if they are not there.
    :raises ValueError: if they have fewer records, or belong to something else.
    """

    def __init__(
        self,
        folder: Folder,
        name: str,
        numbers: Sequence[int],
        system: System,
        parameters: MdParameters,
        frames: int = 0,
        thermo: int = 0,
    ) -> None:
        self._system, self._parameters = system, parameters
        every = parameters.timestep_fs
        self._frame_every = steps_in(parameters.frame_interval_fs, every, 'frame_interval_fs')
        self._thermo_every = steps_in(parameters.thermo_interval_fs, every, 'thermo_interval_fs')
        a, b, c = (bool(periodic) for periodic in system.pbc)
        self._paths = folder.items / f'{name}{FRAMES_SUFFIX}', folder.items / f'{name}{THERMO_SUFFIX}'
        self.frames = RecordWriter(
            self._paths[0], Header('frames', tuple(numbers), (a, b, c), parameters.frame_dtype), frames
        )
        self.thermo = RecordWriter(self._paths[1], Header('thermo', tuple(numbers), (a, b, c)), thermo)

    def due(self, step: int) -> bool:
        """Return whether a step is recorded in any of the files."""
        return step % self._frame_every == 0 or step % self._thermo_every == 0

    def record(self, replica: Replica) -> None:
        """Write what is due at the last whole step of a replica."""
        state = replica.state
        if state.step % self._frame_every == 0:
            self.frames.append(self._frame(state))
        if state.step % self._thermo_every == 0:
            self.thermo.append(self._thermo(replica))

    def _frame(self, state: State) -> dict[str, Any]:
        return {
            'step': state.step,
            'time_fs': state.step * self._parameters.timestep_fs,
            'energy_ev': state.energy,
            'kinetic_ev': 0.5 * self._system.doubled_kinetic(state.velocities),
            'closest_ang': closest(state.positions, state.cell, self._system.pbc),
            'stress': state.stress,
            'cell': state.cell,
            'positions': state.positions,
        }

    def _thermo(self, replica: Replica) -> dict[str, Any]:
        state, system = replica.state, self._system
        target = replica.schedule.at(state.step)
        conserved = replica.integrator.conserved(state)
        volume = state.volume if system.pbc.all() else np.nan
        pressure = float(np.trace(pressure_tensor(system, state))) / 3.0 if system.pbc.all() else np.nan
        return {
            'step': state.step,
            'time_fs': state.step * self._parameters.timestep_fs,
            'temperature_k': temperature(system, state),
            'target_temperature_k': target.kt / BOLTZMANN,
            'pressure_gpa': pressure / GIGAPASCAL,
            'target_pressure_gpa': target.pressure / GIGAPASCAL if self._parameters.ensemble == 'npt' else np.nan,
            'energy_ev': state.energy,
            'kinetic_ev': 0.5 * system.doubled_kinetic(state.velocities),
            'conserved_ev': np.nan if conserved is None else conserved,
            'volume_ang3': volume,
        }

    def sync(self) -> None:
        """Bring the records to the disk itself."""
        self.frames.sync()
        self.thermo.sync()

    def read(self) -> tuple[Records, Records]:
        """Return the frames and the thermodynamic records written so far."""
        return read_records(self._paths[0])[1], read_records(self._paths[1])[1]


@dataclass(frozen=True)
class Checkpoint:
    """Where a replica stood: ``last`` are its last whole steps, the youngest of which is where it goes on.

    ``energy`` in eV and ``volume`` in Ang^3 of the start; how many records there were of each kind.
    """

    last: list[State]
    energy: float
    volume: float
    frames: int
    thermo: int

    @property
    def state(self) -> State:
        """The last whole step."""
        return self.last[-1]

    def write(self, path: Path, fingerprint: str) -> None:
        """Put it on disk in place of an older one."""
        state = self.state
        arrays: dict[str, AnyArray] = {
            'fingerprint': np.frombuffer(bytes.fromhex(fingerprint), dtype=np.uint8),
            'counts': np.array([self.frames, self.thermo], dtype=np.int64),
            'energies_and_volume': np.array([self.energy, state.reservoir, self.volume]),
            'chain': np.array(state.chain),
            'piston_chain': np.array(state.piston_chain),
            'strain_rate': _NO_STRAIN_RATE if state.strain_rate is None else state.strain_rate,
            **history(self.last),
        }
        write_atomic(path, pack_arrays(arrays))

    @classmethod
    def read(cls, path: Path, fingerprint: str) -> Checkpoint | None:
        """Return the checkpoint in a file, ``None`` if there is none, or it is damaged or of something else."""
        try:
            arrays = unpack_arrays(path)
            if arrays['fingerprint'].tobytes().hex() != fingerprint:
                return None
            last = states(arrays)
            strain_rate = arrays['strain_rate'].astype(np.float64)
            energy, reservoir, volume = (float(value) for value in arrays['energies_and_volume'])
            last[-1] = replace(
                last[-1],
                chain=tuple(arrays['chain'].tolist()),
                piston_chain=tuple(arrays['piston_chain'].tolist()),
                strain_rate=strain_rate if len(strain_rate) else None,
                reservoir=reservoir,
            )
            frames, thermo = (int(value) for value in arrays['counts'])
            return cls(last, energy, volume, frames, thermo)
        except (OSError, ValueError, KeyError, IndexError, TypeError):
            return None


def history(last: Sequence[State]) -> dict[str, AnyArray]:
    """Return some states as arrays over them, without what belongs to the integrator."""
    return {
        'steps': np.array([state.step for state in last], dtype=np.int64),
        'positions': np.array([state.positions for state in last]),
        'velocities': np.array([state.velocities for state in last]),
        'forces': np.array([state.forces for state in last]),
        'cells': np.array([state.cell for state in last]),
        'energies': np.array([state.energy for state in last]),
        'stresses': np.array([state.stress for state in last]),
    }


def states(arrays: Mapping[str, AnyArray]) -> list[State]:
    """Return the states that :func:`history` has turned into arrays."""
    names = ('steps', 'positions', 'velocities', 'cells', 'energies', 'forces', 'stresses')
    return [
        State(int(step), positions, velocities, cell, float(energy), forces, stress)
        for step, positions, velocities, cell, energy, forces, stress in zip(*(arrays[name] for name in names))
    ]
