"""Jobs of the ``md`` task on crystals and gases of toys, and what they leave behind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ase
import ase.build
import numpy as np

from aiida_litraj.contract import PotentialSpec, Runtime, files, pack_arrays, unpack_arrays
from aiida_litraj.contract.md import MdItem, MdItemResult, MdJob, MdParameters, MdResult, Segment
from aiida_litraj.contract.trajectory import read_records

LIMITS = {
    'temperature_factor': 20.0,
    'temperature_floor_k': 300.0,
    'energy_change_ev_per_atom': 100.0,
    'volume_ratio_min': 0.1,
    'volume_ratio_max': 8.0,
    'max_displacement_ang': 1.0,
    'max_neighbours': 2000.0,
}
LANGEVIN = {'kind': 'langevin', 'friction_per_ps': 10.0}
NOSE_HOOVER = {'kind': 'nose-hoover', 'tau_fs': 50.0, 'chain_length': 3}
COUPLINGS: dict[str, dict[str, Any]] = {
    'nve': {'ensemble': 'nve', 'thermostat': None, 'barostat': None},
    'langevin': {'ensemble': 'nvt', 'thermostat': LANGEVIN, 'barostat': None},
    'nose-hoover': {'ensemble': 'nvt', 'thermostat': NOSE_HOOVER, 'barostat': None},
}
for _cell in ('isotropic', 'full'):
    COUPLINGS[f'rescaling-{_cell}'] = {
        'ensemble': 'npt',
        'thermostat': LANGEVIN,
        'barostat': {
            'kind': 'stochastic-cell-rescaling',
            'tau_fs': 200.0,
            'compressibility_per_gpa': 0.02,
            'cell': _cell,
        },
    }
    COUPLINGS[f'mtk-{_cell}'] = {
        'ensemble': 'npt',
        'thermostat': NOSE_HOOVER,
        'barostat': {'kind': 'mtk', 'tau_fs': 300.0, 'chain_length': 3, 'cell': _cell},
    }


def parameters(coupling: str = 'nve', **changes: Any) -> dict[str, Any]:
    """Parameters as on the wire; a dictionary changes only the fields it names."""
    values: dict[str, Any] = {
        'dtype': 'native',
        'timestep_fs': 2.0,
        'initial_velocities': 'maxwell-boltzmann',
        'frame_interval_fs': 10.0,
        'thermo_interval_fs': 4.0,
        'frame_dtype': 'float32',
        'contact_distance_ang': 1.0,
        'last_frames': 3,
        'limits': LIMITS,
        **COUPLINGS[coupling],
    }
    for name, value in changes.items():
        values[name] = values[name] | value if isinstance(values[name], dict) and value is not None else value
    return values


def hold(duration: float, kelvin: float = 300.0, gigapascal: float | None = None) -> dict[str, Any]:
    return {'duration_fs': duration, 'temperature_k': kelvin, 'pressure_gpa': gigapascal}


def crystal(repeat: int = 2, a: float = 3.95) -> ase.Atoms:
    atoms = ase.build.bulk('Ar', 'fcc', a=a, cubic=True).repeat((repeat, 1, 1))
    atoms.rattle(0.05, seed=1)
    return atoms


def gas(n_atoms: int, edge: float = 20.0, seed: int = 0, pbc: bool = True) -> ase.Atoms:
    places = np.random.default_rng(seed).uniform(0.0, edge, (n_atoms, 3))
    return ase.Atoms(f'Ar{n_atoms}', positions=places, cell=edge * np.eye(3), pbc=pbc)


@dataclass(frozen=True)
class Replica:
    """One item of a job."""

    atoms: ase.Atoms
    schedule: list[dict[str, Any]]
    seed: int = 0
    velocities: Any = None

    @property
    def arrays(self) -> dict[str, Any]:
        atoms = self.atoms
        found = {
            'positions': atoms.positions,
            'cell': np.array(atoms.cell),
            'pbc': atoms.pbc,
            'numbers': atoms.numbers.astype(np.int64),
        }
        return found if self.velocities is None else found | {'velocities': self.velocities}


def write_job(
    folder: Path,
    replicas: Mapping[str, Replica],
    settings: Mapping[str, Any],
    potential: str = 'morse',
    runtime: Mapping[str, Any] | None = None,
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    job = MdJob(
        potential=PotentialSpec(family='toy', name=potential),
        parameters=MdParameters.model_validate(settings),
        runtime=Runtime(**({'device': 'cpu', 'processes': 1} | dict(runtime or {}))),
        items=[
            MdItem(id=name, seed=replica.seed, schedule=[Segment(**segment) for segment in replica.schedule])
            for name, replica in replicas.items()
        ],
    )
    arrays = {f'{name}/{key}': value for name, replica in replicas.items() for key, value in replica.arrays.items()}
    (folder / files.JOB).write_text(job.model_dump_json(indent=1))
    (folder / files.ARRAYS).write_bytes(pack_arrays(arrays))
    return folder


@dataclass(frozen=True)
class Ran:
    """What a run has left behind."""

    folder: Path
    result: MdResult
    arrays: dict[str, Any]

    @classmethod
    def read(cls, folder: Path) -> Ran:
        result = MdResult.model_validate_json((folder / files.RESULT).read_bytes())
        return cls(folder, result, unpack_arrays(folder / files.RESULT_ARRAYS))

    def __getitem__(self, name: str) -> MdItemResult:
        return next(item for item in self.result.items if item.id == name)

    def frames(self, name: str) -> Any:
        return read_records(self.folder / files.ITEMS / f'{name}.frames')[1]

    def thermo(self, name: str) -> Any:
        return read_records(self.folder / files.ITEMS / f'{name}.thermo')[1]

    def bytes_of(self, name: str) -> tuple[bytes, bytes]:
        items = self.folder / files.ITEMS
        return (items / f'{name}.frames').read_bytes(), (items / f'{name}.thermo').read_bytes()

    @property
    def calls(self) -> int:
        assert self.result.audit is not None
        return self.result.audit.model_calls


def assert_same(found: Ran, expected: Ran, names: list[str] | None = None) -> None:
    """All records to the last byte, all numbers to the last bit."""
    for entry in expected.result.items:
        if names is None or entry.id in names:
            assert found[entry.id] == entry
            assert found.bytes_of(entry.id) == expected.bytes_of(entry.id)
    keys = [key for key in expected.arrays if names is None or key.split('/')[0] in names]
    assert set(keys) <= set(found.arrays)
    for key in keys:
        np.testing.assert_array_equal(found.arrays[key], expected.arrays[key], err_msg=key)
    if names is None:
        assert found.calls == expected.calls
        assert found.result.exit == expected.result.exit
