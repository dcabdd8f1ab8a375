"""Times an ``evaluate`` job against a plain loop with ASE: what the engine costs beside the potential.

    python -m tests.benchmarks.evaluate --family sevennet --name 7net-0 --frames 10 --cells 1
    python -m tests.benchmarks.evaluate --family toy --name morse --frames 100000 --cells 1

Prints seconds in all and inside the potential, of both, what is on disk half way, and how long it takes to take up a
job whose every answer is there.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from aiida_litraj.contract import PotentialSpec, Runtime, files, pack_arrays
from aiida_litraj.contract.evaluate import EvaluateItem, EvaluateJob, EvaluationParameters
from aiida_litraj.engine.models import Configuration, load
from aiida_litraj.engine.run import run

LI2S_ANG = 5.7


def antifluorite(cells: int, seed: int) -> Atoms:
    """A rattled crystal of Li2S, 12 atoms for each cell."""
    sites = [[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]
    lithium = [[x, y, z] for x in (0.25, 0.75) for y in (0.25, 0.75) for z in (0.25, 0.75)]
    atoms = Atoms('S4Li8', scaled_positions=sites + lithium, cell=LI2S_ANG * np.eye(3), pbc=True).repeat((cells, 1, 1))
    atoms.rattle(0.05, seed=seed)
    return atoms


def write_job(folder: Path, frames: list[Atoms], spec: PotentialSpec, runtime: dict[str, Any]) -> Path:
    job = EvaluateJob(
        potential=spec, parameters=EvaluationParameters(dtype='native', stress=True), runtime=Runtime(**runtime),
        items=[EvaluateItem(id='all')],
    )  # fmt: skip
    arrays = {
        'all/offsets': np.concatenate([[0], np.cumsum([len(atoms) for atoms in frames])]),
        'all/numbers': np.concatenate([atoms.numbers for atoms in frames]).astype(np.int64),
        'all/positions': np.concatenate([atoms.positions for atoms in frames]),
        'all/cells': np.array([atoms.cell.array for atoms in frames]),
        'all/pbc': np.array([atoms.pbc for atoms in frames]),
    }
    (folder / files.JOB).write_text(job.model_dump_json())
    (folder / files.ARRAYS).write_bytes(pack_arrays(arrays))
    return folder / files.JOB


def engine(frames: list[Atoms], spec: PotentialSpec, device: str) -> dict[str, float]:
    """Return the seconds of a job, cut off half way and gone on with."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        started = time.perf_counter()
        audit = run(write_job(folder, frames, spec, {'processes': 1, 'device': device})).audit
        seconds = time.perf_counter() - started
        assert audit is not None
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run(write_job(folder, frames, spec, {'processes': 1, 'device': device, 'max_seconds': 0.6 * seconds}))
        kept = [path.stat().st_size for path in folder.rglob('*') if path.is_file()]
        started = time.perf_counter()
        again = run(write_job(folder, frames, spec, {'processes': 1, 'device': device})).audit
        resumed = time.perf_counter() - started
        assert again is not None
    return {
        'total_s': seconds,
        'model_s': audit.model_seconds,
        'beside_the_model_ms_per_frame': 1000.0 * (audit.wall_seconds - audit.model_seconds) / len(frames),
        'files_when_cut_off': len(kept),
        'megabytes_when_cut_off': sum(kept) / 1e6,
        'resumed_frames': again.resumed_calls,
        'resumed_run_s': resumed,
        'resumed_run_model_s': again.model_seconds,
    }


def plain_loop(frames: list[Atoms], spec: PotentialSpec, device: str) -> dict[str, float]:
    """Return the seconds of a loop with the calculator of the family, or where there is none with the potential."""
    started = time.perf_counter()
    if spec.family == 'sevennet':
        from sevenn.calculator import SevenNetCalculator

        calculator = SevenNetCalculator(spec.name, device='cuda' if device.startswith('cuda') else 'cpu')
        loaded = time.perf_counter()
        for atoms in frames:
            atoms.calc = calculator
            atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress()
    else:
        evaluator = load(spec, Path.cwd(), device=device)
        loaded = time.perf_counter()
        for a in frames:
            evaluator.evaluate(
                [Configuration(a.numbers.astype(np.int64), a.positions, a.cell.array, np.array(a.pbc), stress=True)]
            )
    ended = time.perf_counter()
    return {'total_s': ended - started, 'loop_s': ended - loaded}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--family', default='toy')
    parser.add_argument('--name', default='morse')
    parser.add_argument('--frames', type=int, default=1000)
    parser.add_argument('--cells', type=int, default=1, help='of twelve atoms each')
    parser.add_argument('--device', default='cpu')
    chosen = parser.parse_args()
    spec = PotentialSpec(family=chosen.family, name=chosen.name)
    frames = [antifluorite(chosen.cells, seed) for seed in range(chosen.frames)]
    found = {
        'engine': engine(frames, spec, chosen.device), 'plain loop': plain_loop(frames, spec, chosen.device)
    }  # fmt: skip
    print(json.dumps({'frames': chosen.frames, 'atoms': len(frames[0]), **found}, indent=1))


if __name__ == '__main__':
    main()
