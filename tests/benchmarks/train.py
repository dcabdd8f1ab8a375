"""How fast the trainers are and what memory they take, by configurations of several sizes: the figures of a plan.

    export PYTHONPATH=. OMP_NUM_THREADS=1
    .venv-sevennet/bin/python tests/benchmarks/train.py --trainer sevennet --parent 7net-0 --atoms 32,128 --batch 1,4
    .venv-mace/bin/python tests/benchmarks/train.py --trainer mace --atoms 32,128 --batch 1,4
    .venv-sevennet/bin/python tests/benchmarks/train.py --trainer sevennet --parent 7net-0 --device cuda --batch 4,16,64

Wants the environment of the family, without AiiDA, and is started by its path (mace brings a package "tests" too).
Each row is a job of the engine: a few epochs over rattled cells of gamma-Li3PO4, whose labels are made up, for they
cost nothing else than real ones. Prints atoms of a configuration and configurations of a step; seconds of the median
epoch after the first, on the clock and of a core; configurations and atoms that are learnt in a second (on a CPU in one
of a core, so that other programs do not count); and the peak memory of the trainer: on a CPU its resident set, with
--device cuda what nvidia-smi says of it. One more configuration tells the best epoch; it costs about a third of one
that is learnt, and is counted so.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from ase.io import read

from aiida_litraj.contract import PotentialSpec, Runtime, files, pack_arrays, unpack_arrays
from aiida_litraj.contract.frames import Frames
from aiida_litraj.contract.train import CURVE, TrainingParameters, TrainItem, TrainJob, TrainResult

CRYSTAL = Path(__file__).parents[2] / 'examples' / 'structures' / 'Li3PO4_gamma.cif'
REPEATS = {32: (1, 1, 1), 64: (1, 1, 2), 128: (1, 2, 2), 256: (2, 2, 2)}
"""Atoms of a configuration, and of how many cells it is."""
POLL_SECONDS = 0.1
COLUMNS = ('atoms', 'batch', 'frames', 's/epoch', 'core s', 'frames/s', 'atoms/s', 'peak/MiB')
VALID_SHARE = 1.0 / 3.0
"""Of the time of a configuration that is learnt: energies and forces without the way back to the weights."""


def frames_of(atoms: int, number: int) -> Frames:
    """Return rattled cells with energies and forces that are made up."""
    random, crystal = np.random.default_rng(0), read(CRYSTAL).repeat(REPEATS[atoms])
    parts = []
    for _ in range(number):
        places = crystal.positions + random.normal(0.0, 0.05, crystal.positions.shape)
        energy, forces = -6.0 * atoms + random.normal(), random.normal(0.0, 0.5, places.shape)
        parts.append(Frames.of_one(crystal.numbers, places, crystal.cell.array, crystal.pbc, energy, forces))
    return Frames.stack(parts)


def parameters_of(chosen: argparse.Namespace, batch: int) -> TrainingParameters:
    """Return the parameters: of the parent's architecture, or from scratch of that which the protocols have."""
    scratch = {
        'sevennet': {'model': None, 'cutoff_ang': 5.0, 'channels': 32, 'lmax': 2, 'layers': 3},
        'mace': {'model': None, 'cutoff_ang': 6.0, 'channels': 128, 'lmax': 1, 'layers': 2},
    }
    return TrainingParameters.model_validate(
        {
            'trainer': chosen.trainer,
            'dtype': chosen.dtype,
            'architecture': None if chosen.parent else {**scratch[chosen.trainer], **json.loads(chosen.architecture)},
            'epochs': chosen.epochs,
            'batch_size': batch,
            'optimizer': 'adam',
            'learning_rate': 1e-4,
            'weight_decay': 0.0,
            'schedule': {'kind': 'constant', 'factor': None, 'patience_epochs': None},
            'loss': {
                'kind': 'mse', 'huber_delta': None, 'energy_weight': 1.0, 'force_weight': 1.0, 'stress_weight': 0.0,
            },
            'ema_decay': None,
            'early_stop_epochs': None,
            'energy_references': 'least_squares',
            'energy_references_ev': None,
            'max_loss_ratio': 1e9,
            'replay': None,
            'native': {},
        }
    )  # fmt: skip


def write_job(chosen: argparse.Namespace, atoms: int, batch: int, number: int, folder: Path) -> None:
    """Write a training on ``number`` configurations into a folder."""
    job = TrainJob(
        potential=PotentialSpec(family=chosen.trainer, name=chosen.parent) if chosen.parent else None,
        parameters=parameters_of(chosen, batch),
        runtime=Runtime(device=chosen.device),
        items=[TrainItem(id='a', train='a', valid='a', seed=0)],
    )
    known = ('offsets', 'numbers', 'positions', 'cells', 'pbc', 'energies', 'forces')
    sets = {'train.a': frames_of(atoms, number), 'valid.a': frames_of(atoms, 1)}
    arrays = {f'{name}/{key}': getattr(frames, key) for name, frames in sets.items() for key in known}
    (folder / files.JOB).write_text(job.model_dump_json())
    (folder / files.ARRAYS).write_bytes(pack_arrays(arrays))


def measure(chosen: argparse.Namespace, atoms: int, batch: int) -> dict[str, float]:
    """Return the figures of one job.

    :raises RuntimeError: if it did not come to its end, with what the engine says.
    """
    number = max(chosen.frames, batch)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_job(chosen, atoms, batch, number, folder)
        command = [sys.executable, '-m', 'aiida_litraj.engine.cli', 'run', str(folder / files.JOB)]
        engine = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        watch = Watch(engine.pid, folder, chosen.device.startswith('cuda'))
        engine.wait()
        watch.end()
        if not (folder / files.RESULT).exists():
            raise RuntimeError(f'the engine ended with {engine.returncode} and left no result')
        (item,) = TrainResult.model_validate_json((folder / files.RESULT).read_bytes()).items
        if item.n_epochs < chosen.epochs:
            raise RuntimeError(f'{atoms} atoms, batch {batch}: {item.reason}')
        curve = unpack_arrays(folder / files.RESULT_ARRAYS)['a/curve']
    seconds = float(np.median(curve[1:, CURVE.index('seconds')]))
    core = float(np.median(np.diff([watch.used[epoch] for epoch in sorted(watch.used)])))
    speed = (number + VALID_SHARE) / (seconds if watch.gpu else core)
    return {
        'atoms': atoms, 'batch': batch, 'frames': number, 's/epoch': seconds, 'core s': core, 'frames/s': speed,
        'atoms/s': atoms * speed, 'peak/MiB': watch.peak,
    }  # fmt: skip


class Watch:
    """Looks at all that a process has started until it is told to end.

    :ivar peak: the most memory that one of them has had, in MiB.
    :ivar used: seconds of a core that they had used when each epoch had come to its end.
    """

    def __init__(self, pid: int, folder: Path, gpu: bool) -> None:
        self.gpu, self.peak, self.used = gpu, 0.0, dict[int, float]()
        self._pid, self._folder, self._over = pid, folder, threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def end(self) -> None:
        """Look no more."""
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        spent: dict[int, float] = {}
        while not self._over.wait(POLL_SECONDS):
            children = descendants(self._pid)
            memory = on_gpu() if self.gpu else {pid: resident(pid) for pid in children}
            self.peak = max([self.peak, *(memory.get(pid, 0.0) for pid in children)])
            for pid in children:  # also of those that are gone when the last epoch is told of
                spent[pid] = max(spent.get(pid, 0.0), core_seconds(pid))
            for told in self._folder.rglob('epochs.jsonl'):
                with contextlib.suppress(OSError):
                    for epoch in range(1, told.read_text().count('\n') + 1):
                        self.used.setdefault(epoch, sum(spent.values()))


def descendants(pid: int) -> set[int]:
    """Return the processes that one has started, and those that these have."""
    parents = {}
    for stat in Path('/proc').glob('[0-9]*/stat'):
        with contextlib.suppress(OSError):
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(')')[2].split()[1])
    found, new = set(), {pid}
    while new:
        new = {child for child, parent in parents.items() if parent in new}
        found |= new
    return found


def resident(pid: int) -> float:
    """Return the most that a process has had in memory so far, in MiB; zero of one that is gone."""
    with contextlib.suppress(OSError):
        for line in Path(f'/proc/{pid}/status').read_text().splitlines():
            if line.startswith('VmHWM'):
                return float(line.split()[1]) / 1024
    return 0.0


def core_seconds(pid: int) -> float:
    """Return the seconds of a core that a process has used; zero of one that is gone."""
    with contextlib.suppress(OSError):
        fields = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
        return (float(fields[11]) + float(fields[12])) / os.sysconf('SC_CLK_TCK')
    return 0.0


def on_gpu() -> dict[int, float]:
    """Return what each process has of the memory of a GPU, in MiB, with what torch keeps for later."""
    query = ['nvidia-smi', '--query-compute-apps=pid,used_memory', '--format=csv,noheader,nounits']
    rows = [line.split(',') for line in subprocess.run(query, capture_output=True, text=True).stdout.splitlines()]
    return {int(pid): float(used) for pid, used in rows}


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--trainer', default='sevennet', choices=['sevennet', 'mace'])
    parser.add_argument('--parent', help='what is gone on from, 7net-0 for example; from scratch without')
    parser.add_argument('--architecture', default='{}', help='what of it differs from scratch, as JSON')
    parser.add_argument('--atoms', default='32,128', help=f'of a configuration: of {", ".join(map(str, REPEATS))}')
    parser.add_argument('--batch', default='1,4', help='configurations of a step')
    parser.add_argument('--frames', type=int, default=4, help='configurations that are learnt, at least one batch')
    parser.add_argument('--epochs', type=int, default=3, help='the first is not counted')
    parser.add_argument('--dtype', default='native')
    parser.add_argument('--device', default='cpu')
    chosen = parser.parse_args()
    print('  '.join(f'{name:>9}' for name in COLUMNS), flush=True)
    for atoms in map(int, chosen.atoms.split(',')):
        for batch in map(int, chosen.batch.split(',')):
            began, figures = time.monotonic(), measure(chosen, atoms, batch)
            print('  '.join(f'{figures[name]:>9.4g}' for name in COLUMNS), flush=True)
            print(f'{time.monotonic() - began:.0f} s', file=sys.stderr, flush=True)


if __name__ == '__main__':
    main()
