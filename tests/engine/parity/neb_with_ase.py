"""The same hop through plain ASE and through the engine, with every model call counted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.mep import NEB
from ase.optimize import FIRE

from aiida_litraj.analysis.hops import Geometry, HopPath, build_hop, parse_hop
from aiida_litraj.contract import NebItem, NebJob, NebParameters, PotentialSpec, Runtime, files, unpack_arrays
from aiida_litraj.contract.arrays import Array, pack_arrays
from aiida_litraj.contract.neb import NebResult
from aiida_litraj.engine.run import run
from aiida_litraj.workflows.protocols.mixin import ProtocolMixin

STRUCTURES = Path(__file__).parents[3] / 'examples' / 'structures'


class Protocols(ProtocolMixin):
    """The protocols of the plugin."""

    protocol_file = 'neb.yaml'


def parameters(protocol: str, **changes: Any) -> NebParameters:
    """Return the parameters of a protocol, with top-level fields changed."""
    return NebParameters.model_validate(Protocols.get_protocol_inputs(protocol)['parameters'] | changes)


def hop_in(crystal: str, hop: str, min_image_distance: float, n_images: int = 5) -> HopPath:
    """Return a straight path for a vacancy hop in one of the crystals."""
    atoms = ase.io.read(STRUCTURES / f'{crystal}.cif')
    geometry = Geometry(min_image_distance_ang=min_image_distance, n_images=n_images, site_tolerance_ang=0.5)
    return build_hop(atoms, parse_hop(hop), geometry)


class CountingCalculator(Calculator):
    """Passes on to another calculator, and counts."""

    implemented_properties = ('energy', 'forces')

    def __init__(self, inner: Calculator, counter: list[int]) -> None:
        super().__init__()
        self._inner, self._counter = inner, counter

    def calculate(self, atoms: Atoms | None = None, properties: Any = None, system_changes: Any = all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        self._inner.calculate(atoms, ['energy', 'forces'], all_changes)
        self._counter[0] += 1
        self.results = {name: self._inner.results[name] for name in ('energy', 'forces')}


@dataclass(frozen=True)
class AseRun:
    """What plain ASE made of a hop."""

    source_steps: int
    target_steps: int
    band_steps: int
    calls: int
    energies: Array
    fmax_component: float

    @property
    def range(self) -> float:
        return float(np.ptp(self.energies))


def neb_with_ase(path: HopPath, calculator: Calculator, fmax: float, max_steps: int, spring: float) -> AseRun:
    """Return the published way: ends by FIRE, then a climbing band by FIRE from the images as they are."""
    counter = [0]
    images = path.to_images()
    for image in images:
        image.calc = CountingCalculator(calculator, counter)
    steps = []
    for image in (images[0], images[-1]):
        optimiser = FIRE(image, logfile=None)
        optimiser.run(fmax=fmax, steps=max_steps)
        steps.append(optimiser.nsteps)
    band = NEB(images, k=spring, climb=True, method='improvedtangent')
    optimiser = FIRE(band, logfile=None)
    optimiser.run(fmax=fmax, steps=max_steps)
    forces = [band.get_forces(), images[0].get_forces(), images[-1].get_forces()]
    return AseRun(
        *steps,
        band_steps=optimiser.nsteps,
        calls=counter[0],
        energies=np.array([image.get_potential_energy() for image in images], dtype=float),
        fmax_component=float(max(np.abs(part).max() for part in forces)),
    )


def neb_with_engine(
    folder: Path,
    paths: dict[str, HopPath],
    potential: PotentialSpec,
    chosen: NebParameters,
    prepare: Callable[[Path], None] | None = None,
    runtime: Runtime | None = None,
) -> tuple[NebResult, dict[str, Any]]:
    """Return result and arrays of a job run in ``folder``, in this process."""
    folder.mkdir(parents=True, exist_ok=True)
    if prepare is not None:
        prepare(folder)
    job = NebJob(
        potential=potential,
        parameters=chosen,
        runtime=runtime or Runtime(device='cpu', processes=1),
        items=[NebItem(id=name, mobile=path.mobile) for name, path in paths.items()],
    )
    arrays: dict[str, Any] = {}
    for name, path in paths.items():
        arrays[f'{name}/positions'] = path.positions
        arrays[f'{name}/cell'] = path.cell
        arrays[f'{name}/pbc'] = path.pbc
        arrays[f'{name}/numbers'] = path.numbers
        arrays[f'{name}/fixed'] = np.zeros(len(path.numbers), dtype=bool)
    (folder / files.JOB).write_text(job.model_dump_json())
    (folder / files.ARRAYS).write_bytes(pack_arrays(arrays))
    return run(folder / files.JOB), unpack_arrays(folder / files.RESULT_ARRAYS)


def barrier(energies: Array) -> float:
    """Return the barrier from the first image, in eV."""
    return float(energies.max() - energies[0])
