"""The ``train`` task: trainings one after the other, each by the trainer of its family, in a program of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np

from ...contract.arrays import AnyArray, write_atomic
from ...contract.errors import LitrajError
from ...contract.job import Item
from ...contract.potential import PotentialSpec
from ...contract.result import ActiveItem
from ...contract.train import BEST, LAST, LOG, TrainItem, TrainItemResult, TrainJob, TrainResult
from ..batch import BatchRun
from ..core.stages import StageFailed
from ..ends import fingerprint
from ..failure import Failure, failure, told
from ..folder import Folder, Stop
from ..models.interface import DeviceOutOfMemory
from ..models.refusal import sha256_of
from ..trainers.check import Unusable, check
from ..trainers.interface import Order
from ..trainers.process import tail
from ..trainers.references import offsets, references
from ..trainers.state import State
from ..trainers.training import DIVERGED, PHASE, Ended, Training
from ..trainers.workshop import Workshop
from .train_sets import Sets, symbols_of

WORK = 'training'
"""Folder of the trainers' own files, of no use once a training has ended."""


class TrainRun(BatchRun[TrainJob, TrainItemResult]):
    """One run of a ``train`` job."""

    job_model = TrainJob
    result_model = TrainResult
    item_model = TrainItemResult

    _pool: Workshop  # type: ignore[assignment]

    def __init__(
        self, job: TrainJob, folder: Folder, arrays: Mapping[str, AnyArray], pool: Workshop, stop: Stop
    ) -> None:
        super().__init__(job, folder, arrays, pool, stop)  # type: ignore[arg-type]
        self._job_salt = fingerprint(self._salt, job.parameters.model_dump_json())
        self._under_way: Training | None = None
        self._cut_off: dict[str, TrainItemResult] = {}
        self._curves: dict[str, AnyArray] = {}
        self._calls = self._resumed_calls = 0

    @classmethod
    def open_pool(
        cls, job: TrainJob, folder: Folder, arrays: Mapping[str, AnyArray]
    ) -> AbstractContextManager[Workshop]:
        """Return what the job trains with.

        :raises LitrajError: see :class:`~aiida_litraj.engine.trainers.workshop.Workshop`.
        """
        return Workshop(job, folder.path)

    @property
    def calls(self) -> tuple[int, int]:
        """Evaluations by the engine itself so far, those of earlier runs included, and how many these are."""
        return self._calls, self._resumed_calls

    def active(self) -> list[ActiveItem]:
        """Return the training under way."""
        if self._under_way is None:
            return []
        state, epochs = self._under_way.state, self._job.parameters.epochs
        loss = float(state.column('valid_loss')[-1]) if state.n_epochs else np.nan
        seconds = state.seconds_per_epoch()
        return [
            ActiveItem(
                id=self._under_way.order.work.name,
                phase=PHASE,
                step=state.n_epochs,
                max_steps=epochs,
                loss=loss if np.isfinite(loss) else None,
                seconds_left=None if seconds is None else seconds * (epochs - state.n_epochs),
            )
        ]

    def unfinished(self, item: Item, reason: str) -> TrainItemResult:
        """Return the entry of a training that was cut off, with how far it is, and why if not for the whole run."""
        known = self._cut_off.get(item.id)
        if known is None:
            return super().unfinished(item, reason)
        return known.model_copy(update={'reason': known.reason or reason})

    def finished(self) -> tuple[list[TrainItemResult], dict[str, AnyArray]]:
        """Return the entries and arrays of what is done, with the curve so far of what was cut off."""
        done, arrays = super().finished()
        return done, arrays | {f'{name}/curve': curve for name, curve in self._curves.items()}

    def drive(self) -> None:
        """Do the trainings that no earlier run has done, one after the other."""
        for item in self._job.items:
            if not self._stop.keep_running():
                break
            try:
                self._do(item)
            except StageFailed as error:
                self.settle(
                    TrainItemResult(
                        id=item.id, status='failed', converged=False, label=error.label, reason=str(error)
                    ),
                    {},
                )  # fmt: skip
            finally:
                self._under_way = None

    def _do(self, item: TrainItem) -> None:
        """Do one training.

        :raises StageFailed: if there is something wrong with what it is given.
        :raises LitrajError: if the trainer cannot do what is asked of all.
        """
        sets = Sets(item, self._job.parameters, self._arrays, self._pool.report.elements)
        mark = fingerprint(self._job_salt, item.seed, *sets.arrays())
        if self._take_kept(item, mark):
            return
        state = State(self._folder.checkpoint / f'{item.id}.training', mark)
        work = self._folder.path / WORK / item.id
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        order = self._order(item, sets, state, work)
        runtime = self._job.runtime
        training = Training(self._pool.trainer, order, state, runtime.threads_per_process)
        self._under_way = training
        ended = training.run(self._stop.keep_running, self.tick, runtime.max_item_seconds)
        printed = tail(work)
        if printed:
            write_atomic(self._folder.items / f'{item.id}{LOG}', printed.encode())
        if ended is None or ended.cut_off:
            entry = super().unfinished(item, '')
            if ended is not None and ended.failure is not None:
                entry = entry.model_copy(update={'label': ended.failure.label, 'reason': ended.failure.reason})
            self._cut_off[item.id] = self._entry(item, sets, state, entry)
            self._curves[item.id] = state.curve
        else:
            self._end(item, sets, training, ended, mark)
        shutil.rmtree(work, ignore_errors=True)
        with contextlib.suppress(OSError):  # something may be left in it
            work.parent.rmdir()

    def _take_kept(self, item: TrainItem, mark: str) -> bool:
        """Return whether an earlier run has done the training, and its potentials are there as it left them."""
        kept = self._folder.kept(item.id, mark, TrainItemResult)
        if kept is None:
            return False
        for suffix, sha256 in ((BEST, kept.result.best_sha256), (LAST, kept.result.last_sha256)):
            path = self._folder.items / f'{item.id}{suffix}'
            if sha256 is not None and (not path.is_file() or sha256_of(path) != sha256):
                return False
        calls = sum(kept.calls.values())
        self._calls += calls
        self._resumed_calls += calls
        self.settle(kept.result, kept.arrays)
        return True

    def _order(self, item: TrainItem, sets: Sets, state: State, work: Path) -> Order:
        """Return what the trainer is asked for; the sets are on disk then."""
        trainer = self._pool.trainer
        files = {'train': sets.train, 'valid': sets.valid} | ({} if sets.replay is None else {'replay': sets.replay})
        for name, frames in files.items():
            trainer.write(frames, work / f'{name}.set')
        return Order(
            work=work,
            parameters=self._job.parameters,
            seed=item.seed,
            train=work / 'train.set',
            valid=work / 'valid.set',
            replay=None if sets.replay is None else work / 'replay.set',
            symbols=sets.symbols,
            references_ev=self._references(item, sets),
            offsets_ev=self._offsets(sets, state),
            parent=self._job.potential,
            parent_file=self._pool.parent_file,
            device=self._pool.device,
            epochs_done=state.n_epochs,
            resume=state.checkpoint(state.n_epochs) if state.n_epochs else None,
        )

    def _references(self, item: TrainItem, sets: Sets) -> dict[str, float] | None:
        """Return the energies that the elements are counted from, ``None``: from those of the parent.

        :raises StageFailed: if one is not given.
        """
        parameters = self._job.parameters
        given = parameters.energy_references_ev
        if given is not None:
            lacking = [symbol for symbol in symbols_of(sets.train, sets.valid) if symbol not in given]
            if lacking:
                raise StageFailed(
                    'ERROR_ITEM_INVALID',
                    reason=f'{item.id}: energy_references_ev has no {", ".join(lacking)}: add them, or leave out what '
                    'has them',
                )
            return dict(given)
        if self._job.potential is not None:
            return None
        return dict.fromkeys(sets.symbols, 0.0) | references(sets.train)

    def _offsets(self, sets: Sets, state: State) -> dict[str, float] | None:
        """Return what the elements of the parent are offset by, evaluated once for a training."""
        if self._job.potential is None or self._job.parameters.energy_references != 'least_squares':
            return None
        if state.offsets_ev is None:
            state.offsets_ev, calls = offsets(sets.train, self._pool.parent())
            state.write()
            self._calls += calls
        return state.offsets_ev

    def _entry(self, item: TrainItem, sets: Sets, state: State, entry: TrainItemResult) -> TrainItemResult:
        """Return an entry with what is known of a training whatever its end."""
        best = state.best_epoch
        said = None if best is None else float(state.column('valid_force_mev_per_ang')[best - 1])
        known = {
            'n_steps': state.n_epochs,
            'n_epochs': state.n_epochs,
            'best_epoch': best,
            'valid_force_mev_per_ang': said if said is not None and np.isfinite(said) else None,
            'n_train': len(sets.train),
            'n_valid': len(sets.valid),
            'seconds_per_epoch': state.seconds_per_epoch(),
            'native_input': state.native_input,
        }
        return entry.model_copy(update=known)

    def _end(self, item: TrainItem, sets: Sets, training: Training, ended: Ended, mark: str) -> None:
        """Export the potentials of a training that has ended, see that the best is what it is said to be, and note it.

        One that failed leaves the best it had.
        """
        state, why = training.state, ended.failure
        before = self._calls
        plain = TrainItemResult(id=item.id, status='finished', converged=False, stopped_early=ended.early)
        entry = self._entry(item, sets, state, plain)
        try:
            if state.best_epoch is not None:
                found = self._checked(item, sets, training, entry.valid_force_mev_per_ang)
                entry = entry.model_copy(update=found)
        except Unusable as error:
            self._path(item, BEST).unlink(missing_ok=True)
            why = why or failure('ERROR_TRAINED_UNUSABLE', reason=str(error))
        except Exception as error:  # the trainer's own code, and whatever loading what it wrote can raise
            self._path(item, BEST).unlink(missing_ok=True)
            if why is None or why.label == DIVERGED:  # which would be kept without its potential
                why = self._unchecked(state.n_epochs, error)
        if why is None and state.n_epochs:
            entry = entry.model_copy(update={'last_sha256': self._export(item, training, state.n_epochs, LAST)})
        entry = _judged(entry, why)
        arrays = {'curve': state.curve} if state.n_epochs else {}
        self.settle(entry, arrays)
        if why is None or why.label == DIVERGED:  # else the next run may do better
            self._folder.keep(entry, arrays, mark, {item.id: self._calls - before})
            shutil.rmtree(self._folder.checkpoint / f'{item.id}.training', ignore_errors=True)

    def _unchecked(self, n_epochs: int, error: Exception) -> Failure:
        """Return why a training has no potential although its trainer is done: another run may well have one."""
        if isinstance(error, DeviceOutOfMemory):
            return Failure(
                'ERROR_DEVICE_MEMORY',
                f'out of memory on {self._pool.device} with one configuration of the validation set, after the '
                f'training of {n_epochs} epochs: take a device with more memory; what is trained is gone on from',
            )
        said = str(error) if isinstance(error, LitrajError) else told(error)
        reason = f'after {n_epochs} epochs, what it left could not be made a potential and checked: {said}'
        return failure('ERROR_TRAINER', trainer=self._pool.trainer.name, reason=reason)

    def _checked(self, item: TrainItem, sets: Sets, training: Training, said: float | None) -> dict[str, Any]:
        """Export the best potential and return what is found of it, by the fields of the result.

        :raises Unusable: if it does not give what the trainer said.
        """
        best = training.state.best_epoch
        assert best is not None
        sha256 = self._export(item, training, best, BEST)
        spec = PotentialSpec(family=self._pool.trainer.family, file=f'{item.id}{BEST}', sha256=sha256)
        found = check(spec, self._folder.items, self._pool.device, sets.valid, said)
        self._calls += found.n_evaluated
        return {
            'best_sha256': sha256,
            'checked_force_mev_per_ang': found.force_mev_per_ang,
            'elements': found.report.elements or list(sets.symbols),
            'cutoff_ang': found.report.cutoff_ang,
            'n_parameters': found.n_parameters,
        }

    def _export(self, item: TrainItem, training: Training, epoch: int, suffix: str) -> str:
        """Write the potential of an epoch; return its sha256."""
        target = self._path(item, suffix)
        passing = target.with_name(f'.{target.name}')
        training.trainer.export(training.order, training.state.checkpoint(epoch), passing)
        os.replace(passing, target)
        return sha256_of(target)

    def _path(self, item: TrainItem, suffix: str) -> Path:
        return self._folder.items / f'{item.id}{suffix}'


def _judged(entry: TrainItemResult, why: Failure | None) -> TrainItemResult:
    if why is None:
        return entry.model_copy(update={'converged': True})
    return entry.model_copy(update={'status': 'failed', 'label': why.label, 'reason': why.reason})
