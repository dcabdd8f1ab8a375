"""Labelled configurations of Morse atoms, and jobs that train on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from aiida_litraj.contract import PotentialSpec, Runtime, files, pack_arrays, unpack_arrays
from aiida_litraj.contract.frames import Frames
from aiida_litraj.contract.train import (
    CURVE,
    TrainingParameters,
    TrainItem,
    TrainItemResult,
    TrainJob,
    TrainResult,
)
from aiida_litraj.engine.models import Configuration
from aiida_litraj.engine.models.toy import morse

DEPTH, ALPHA = 0.25, 1.4
"""Of the potential that has labelled the configurations."""
ARGON, KRYPTON = 18, 36
ARCHITECTURE = {'model': None, 'cutoff_ang': 6.0, 'channels': 4, 'lmax': 1, 'layers': 2}


def clusters(n_frames: int, seed: int = 0, number: int = ARGON, **options: float) -> Frames:
    """Clusters of six atoms about 2.8 Ang apart, with what the Morse potential says of them."""
    random = np.random.default_rng(seed)
    sites = 2.8 * np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [0, 1, 1]], dtype=float)
    parts = []
    for _ in range(n_frames):
        positions = sites + random.uniform(-0.3, 0.3, sites.shape)
        numbers = np.full(len(sites), number)
        asked = Configuration(numbers, positions, np.eye(3), np.zeros(3, dtype=bool))
        found = morse(asked, **{'depth': DEPTH, 'alpha': ALPHA, **options})
        parts.append(Frames.of_one(numbers, positions, np.eye(3), np.zeros(3, bool), found.energy, found.forces))
    return Frames.stack(parts)


def parameters(**changes: Any) -> TrainingParameters:
    """A fit that finds the potential in some seconds; a dictionary changes only the fields it names."""
    values: dict[str, Any] = {
        'trainer': 'toy',
        'dtype': 'native',
        'architecture': ARCHITECTURE,
        'epochs': 60,
        'batch_size': 2,
        'optimizer': 'adam',
        'learning_rate': 0.05,
        'weight_decay': 0.0,
        'schedule': {'kind': 'exponential', 'factor': 0.93, 'patience_epochs': None},
        'loss': {
            'kind': 'mse', 'huber_delta': None, 'energy_weight': 1.0, 'force_weight': 1.0, 'stress_weight': 0.0,
        },
        'ema_decay': None,
        'early_stop_epochs': None,
        'energy_references': 'least_squares',
        'energy_references_ev': None,
        'max_loss_ratio': 1e3,
        'replay': None,
        'native': {},
    }  # fmt: skip
    for name, value in changes.items():
        merged = isinstance(value, dict) and isinstance(values[name], dict)
        values[name] = values[name] | value if merged else value
    return TrainingParameters.model_validate(values)


def arrays_of(frames: Frames) -> dict[str, Any]:
    known = ('offsets', 'numbers', 'positions', 'cells', 'pbc', 'energies', 'forces', 'stresses')
    return {name: getattr(frames, name) for name in known if getattr(frames, name) is not None}


def write_job(
    folder: Path,
    sets: Mapping[str, Any],
    items: Mapping[str, Mapping[str, Any]] | None = None,
    settings: Mapping[str, Any] | None = None,
    potential: PotentialSpec | None = None,
    runtime: Mapping[str, Any] | None = None,
) -> Path:
    """Write a job into ``folder`` and return it.

    ``sets``: by their names in the arrays, ``train.a``; ``items``: by default one called ``a`` that has ``train.a`` and
    ``valid.a``; ``settings``: changes of :func:`parameters`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    plain = {'train': 'a', 'valid': 'a', 'seed': 0}
    job = TrainJob(
        potential=potential,
        parameters=parameters(**(settings or {})),
        runtime=Runtime(**{'device': 'cpu', **(runtime or {})}),
        items=[TrainItem(id=name, **{**plain, **item}) for name, item in (items or {'a': {}}).items()],
    )
    arrays = {
        f'{name}/{key}': value
        for name, frames in sets.items()
        for key, value in (frames if isinstance(frames, dict) else arrays_of(frames)).items()
    }
    (folder / files.JOB).write_text(job.model_dump_json())
    (folder / files.ARRAYS).write_bytes(pack_arrays(arrays))
    return folder


@dataclass(frozen=True)
class Trained:
    """What a run has left behind."""

    folder: Path
    result: TrainResult
    arrays: dict[str, Any]

    def __getitem__(self, name: str) -> TrainItemResult:
        return next(item for item in self.result.items if item.id == name)

    def column(self, item: str, name: str) -> Any:
        return self.arrays[f'{item}/curve'][:, CURVE.index(name)]

    def potential(self, item: str, which: str = 'best') -> Path:
        return self.folder / files.ITEMS / f'{item}.{which}'

    @classmethod
    def read(cls, folder: Path) -> Trained:
        result = TrainResult.model_validate_json((folder / files.RESULT).read_bytes())
        return cls(folder, result, unpack_arrays(folder / files.RESULT_ARRAYS))


def assert_same_training(found: Trained, unbroken: Trained) -> None:
    """Assert the same curves and potentials to the last bit, but for how long it took."""
    for mine, theirs in zip(found.result.items, unbroken.result.items, strict=True):
        timed = {'seconds_per_epoch': None, 'native_input': None}
        assert mine.model_copy(update=timed) == theirs.model_copy(update=timed)
        a, b = (ran.arrays[f'{mine.id}/curve'][:, :-1] for ran in (found, unbroken))
        np.testing.assert_array_equal(a, b)
        for which in ('best', 'last'):
            assert found.potential(mine.id, which).read_bytes() == unbroken.potential(mine.id, which).read_bytes()
