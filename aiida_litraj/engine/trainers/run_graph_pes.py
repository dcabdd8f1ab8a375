"""The program of the trainer graph_pes: ``graph-pes-train`` itself, watched from epoch to epoch.

What is seen to that graph-pes leaves open: going on from a checkpoint (its own ``graph-pes-resume`` does not get as
far), which is written after the schedule has seen the epoch and not before; random numbers start anew from a seed of
their own in each epoch; the optimiser has its parameters in the order of the model (else in that of a set, which
changes from run to run); nothing is deployed to LAMMPS, and nothing evaluated after the last epoch.
"""

from __future__ import annotations

import io
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...contract.units import EV_PER_ANG3_OF_GPA
from .epochs import seed_of, tell
from .graph_pes import INPUT, WATCH

_COLUMNS = {
    'valid/loss/total': ('valid_loss', 1.0),
    'valid/metrics/per_atom_energy_rmse': ('valid_energy_mev_per_atom', 1e3),
    'valid/metrics/forces_rmse': ('valid_force_mev_per_ang', 1e3),
    'valid/metrics/stress_rmse': ('valid_stress_gpa', 1.0 / EV_PER_ANG3_OF_GPA),
}
"""What graph-pes logs of the validation set -> column of the curve, and its unit in that of the column."""
_LEFT_OUT = ('ModelCheckpoint', 'SaveBestModel')
"""Callbacks of graph-pes that write what is of no use here."""


def potential(model: Any) -> bytes:
    """Return the content of a file of the whole model on the CPU, the same for the same weights."""
    import graph_pes
    import torch

    for module in model.modules():
        if '_GRAPH_PES_VERSION' in vars(module):  # one string for all: a checkpoint brings its own
            module._GRAPH_PES_VERSION = graph_pes.__version__
    stream = io.BytesIO()
    torch.save(model, stream)
    if next(model.parameters()).device.type != 'cpu':  # a deep copy would forget which elements were seen
        stream.seek(0)
        on_cpu = torch.load(stream, map_location='cpu', weights_only=False)
        stream = io.BytesIO()
        torch.save(on_cpu, stream)
    return stream.getvalue()


def in_order(make: Callable[..., Any]) -> Callable[..., Any]:
    """Return what makes an optimiser of a model, its parameters in the order in which the model has them."""

    def made(factory: Any, model: Any) -> Any:
        optimizer = make(factory, model)
        place = {id(parameter): index for index, parameter in enumerate(model.parameters())}
        for group in optimizer.param_groups:
            group['params'].sort(key=lambda parameter: place[id(parameter)])
        return optimizer

    return made


class Watch:
    """Stands between graph-pes and the loop over epochs of Lightning's trainer.

    :param resume: a checkpoint after ``done`` epochs.
    """

    def __init__(self, trainer: Any, seed: int, done: int, resume: Path | None) -> None:
        self._trainer, self._seed, self._done, self._resume = trainer, seed, done, resume
        self._loop = trainer.fit_loop
        self._fit = trainer.fit
        self._begin, self._end = self._loop.on_advance_start, self._loop.on_advance_end
        self._since = 0.0
        self._losses: list[float] = []
        self._values: dict[str, float] = {}
        trainer.callbacks = [c for c in trainer.callbacks if type(c).__name__ not in _LEFT_OUT]
        trainer.fit = self.fit
        self._loop.on_advance_start, self._loop.on_advance_end = self.begin, self.end

    def fit(self, task: Any, train_loader: Any, valid_loader: Any) -> None:
        """Train as Lightning does, from where it is."""
        import torch

        # The loader draws a number of its own before the first epoch of a run, and within the others: not of these.
        train_loader.generator, self._order = torch.Generator(), torch.Generator()
        train_loader.sampler.generator = self._order
        step = task.training_step

        def training_step(*batch: Any) -> Any:
            loss = step(*batch)
            self._losses.append(float(loss))
            return loss

        def add_potential(checkpoint: dict[str, Any]) -> None:
            checkpoint['potential'] = potential(task.model)

        task.training_step, task.on_save_checkpoint = training_step, add_potential
        self._fit(task, train_loader, valid_loader, ckpt_path=self._resume, weights_only=False)

    def begin(self) -> None:
        """Begin an epoch, with random numbers of its own.

        :raises RuntimeError: if Lightning has not taken the checkpoint.
        """
        import torch

        if self._trainer.current_epoch != self._done:
            raise RuntimeError(f'Lightning has not taken the checkpoint after epoch {self._done}')
        self._since, self._losses = time.monotonic(), []
        self._values = {'learning_rate': float(self._trainer.optimizers[0].param_groups[0]['lr'])}
        seed = seed_of(self._seed, self._done + 1)
        self._order.manual_seed(seed)
        torch.manual_seed(seed)
        self._begin()

    def end(self) -> None:
        """End an epoch with its schedule, write its checkpoint, and tell of it."""
        self._end()
        self._done += 1
        values = self._values | {
            'train_loss': sum(self._losses) / len(self._losses),
            'seconds': time.monotonic() - self._since,
        }
        said = self._trainer.callback_metrics
        for name, (column, unit) in _COLUMNS.items():
            if name in said:
                values[column] = float(said[name]) * unit
        tell(Path.cwd(), self._done, values, f'{self._done}.ckpt', self._trainer.save_checkpoint)


def main() -> int:
    """Train as ``input.yaml`` in this folder says."""
    from graph_pes.scripts import train
    from graph_pes.training.opt import Optimizer

    known = json.loads(Path(WATCH).read_text())
    resume = None if known['resume'] is None else Path(known['resume'])
    make_trainer = train.trainer_from_config

    def watched(*options: Any) -> Any:
        trainer = make_trainer(*options)
        Watch(trainer, known['seed'], known['done'], resume)
        return trainer

    train.trainer_from_config = watched
    train.test_with_lightning = lambda *_, **__: None
    Optimizer.__call__ = in_order(Optimizer.__call__)
    sys.argv[1:] = [INPUT]
    train.main()
    return 0


if __name__ == '__main__':
    sys.exit(main())
