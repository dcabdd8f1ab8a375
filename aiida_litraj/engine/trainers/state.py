"""How far a training is, on disk after each whole epoch, so that a kill costs no more than the running one."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np

from ...contract.arrays import Array, write_atomic
from ...contract.train import CURVE, TrainingParameters
from ..models.refusal import sha256_of
from .interface import Epoch

_STATE = 'state.json'
_SUFFIX = '.epoch'


class State:
    """The curve of a training and the checkpoints of its last and its best epoch; empty in a new folder.

    Each checkpoint has the name of its epoch, and the state is written after it: together they are always of one epoch.
    A state whose checkpoints are not there with the bytes that they were written with counts for nothing.

    :ivar native_input: what the trainer was given at first.
    :ivar offsets_ev: what is added for each element to the energies that the parent counts from.
    """

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self._folder, self._fingerprint = folder, fingerprint
        self.rows: list[list[float]] = []
        self.native_input: str | None = None
        self.offsets_ev: dict[str, float] | None = None
        self._sha256: dict[str, str] = {}
        try:
            known = json.loads((folder / _STATE).read_text())
            if known['fingerprint'] == fingerprint and all(len(row) == len(CURVE) for row in known['rows']):
                self.rows, self.native_input = known['rows'], known['native_input']
                self.offsets_ev = known['offsets_ev']
                self._sha256 = {path.name: known['sha256'][path.name] for path in self._wanted()}
                if any(sha256_of(self._folder / name) != sha256 for name, sha256 in self._sha256.items()):
                    raise ValueError('a checkpoint has lost its end')
        except (OSError, ValueError, KeyError, TypeError):
            self.rows, self.native_input, self.offsets_ev, self._sha256 = [], None, None, {}
        folder.mkdir(exist_ok=True)

    @property
    def n_epochs(self) -> int:
        """Whole epochs so far."""
        return len(self.rows)

    @property
    def curve(self) -> Array:
        """A row for each epoch (epochs, len(CURVE)), in the columns of ``CURVE``."""
        return np.array(self.rows, dtype=float).reshape(-1, len(CURVE))

    def column(self, name: str) -> Array:
        """Return a column of the curve."""
        values: Array = self.curve[:, CURVE.index(name)]
        return values

    @property
    def best_epoch(self) -> int | None:
        """The epoch with the lowest loss on the validation set, of those before a divergence the first."""
        losses = self.column('valid_loss')
        return int(np.nanargmin(losses)) + 1 if np.isfinite(losses).any() else None

    def checkpoint(self, epoch: int) -> Path:
        """Return the native checkpoint of an epoch, which is there for the best and the last one."""
        return self._folder / f'{epoch}{_SUFFIX}'

    def _wanted(self) -> list[Path]:
        return [self.checkpoint(epoch) for epoch in {self.best_epoch, self.n_epochs} if epoch]

    def take(self, epoch: Epoch) -> None:
        """Note a whole epoch, with its checkpoint."""
        target = self.checkpoint(epoch.number)
        passing = target.with_name(f'.{target.name}')
        shutil.move(epoch.checkpoint, passing)
        with passing.open('rb') as handle:
            os.fsync(handle.fileno())
        os.replace(passing, target)
        values = {**epoch.values, 'epoch': float(epoch.number)}
        self.rows.append([float(values.get(name, np.nan)) for name in CURVE])
        known = self._sha256 | {target.name: sha256_of(target)}
        self._sha256 = {path.name: known[path.name] for path in self._wanted()}
        self.write()
        for path in self._folder.glob(f'*{_SUFFIX}'):
            if path not in self._wanted():
                path.unlink()

    def write(self) -> None:
        """Put it on disk."""
        content = {
            'fingerprint': self._fingerprint,
            'rows': self.rows,
            'native_input': self.native_input,
            'offsets_ev': self.offsets_ev,
            'sha256': self._sha256,
        }
        write_atomic(self._folder / _STATE, json.dumps(content).encode())

    def diverged(self, most: float) -> str | None:
        """Return what says that the last epoch has diverged, ``None`` if it has not.

        :param most: how many times the loss of the first epoch it may be.
        """
        for name in ('valid_loss', 'train_loss'):
            losses = self.column(name)
            if not len(losses) or (name == 'train_loss' and np.isnan(losses).all()):  # the trainer does not say
                continue
            if not np.isfinite(losses[-1]):
                return f'the {name} is not finite'
            if losses[-1] > most * losses[0]:
                return (
                    f'the {name} is {losses[-1]:.4g}, more than {most:g} times the {losses[0]:.4g} of the first epoch'
                )
        return None

    def stalled(self, parameters: TrainingParameters) -> bool:
        """Return whether the loss on the validation set has not fallen for as long as ends a training early."""
        limit, best = parameters.early_stop_epochs, self.best_epoch
        return limit is not None and best is not None and self.n_epochs - best >= limit

    def seconds_per_epoch(self) -> float | None:
        """Return what an epoch takes, the median of all."""
        seconds = self.column('seconds')
        seconds = seconds[np.isfinite(seconds)]
        return float(np.median(seconds)) if len(seconds) else None
