"""The program of the trainer sevennet: ``sevenn train`` itself, watched from epoch to epoch.

Three things are seen to that sevenn leaves open: random numbers start anew from a seed of their own in each epoch, the
schedule ``reducelronplateau`` is told the loss of the epoch (sevenn tells it the lowest of the epochs before, which it
forgets on a restart), and a checkpoint is told of when it is whole.
"""

from __future__ import annotations

import json
import random
import sys
import time
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .epochs import seed_of, tell

_COLUMNS = {
    'TotalLoss': ('loss', 1.0),
    'Energy_RMSE': ('energy_mev_per_atom', 1e3),
    'Force_ComponentRMSE': ('force_mev_per_ang', 1e3),
    'Stress_ComponentRMSE': ('stress_gpa', 1.0),
}
"""What sevenn records -> column of the curve after ``train_`` or ``valid_``, and its unit in that of the column."""


class Watch:
    """Stands between sevenn's loop over epochs and its trainer."""

    def __init__(self, trainer: Any, seed: int, start_epoch: int) -> None:
        self._trainer, self._seed, self._epoch = trainer, seed, start_epoch - 1
        self._since = 0.0
        self._values: dict[str, float] = {}
        self._run, self._step, self._write = trainer.run_one_epoch, trainer.scheduler_step, trainer.write_checkpoint
        trainer.run_one_epoch, trainer.scheduler_step = self.run_one_epoch, self.scheduler_step
        trainer.write_checkpoint = self.write_checkpoint

    def run_one_epoch(self, loader: Any, is_train: bool, recorder: Any, **keywords: Any) -> None:
        """Go once through a set, with random numbers of this epoch."""
        if is_train:
            import torch

            self._epoch += 1
            self._since = time.monotonic()
            self._values = {'learning_rate': self._trainer.get_lr()}
            seed = seed_of(self._seed, self._epoch)
            torch.manual_seed(seed)
            random.seed(seed)
        self._run(loader, is_train, recorder, **keywords)
        prefix = 'train_' if is_train else 'valid_'
        for name, value in recorder.get_metric_dict(with_unit=False).items():
            column, unit = _COLUMNS[name]
            self._values[prefix + column] = float(value) * unit

    def scheduler_step(self, _: float) -> None:
        """Tell the schedule the loss of this epoch on the validation set."""
        self._step(self._values['valid_loss'])

    def write_checkpoint(self, path: str, **content: Any) -> None:
        """Write that of an epoch and tell of it; the others of sevenn are of no use here."""
        if Path(path).name != f'checkpoint_{self._epoch}.pth' or not self._epoch:
            return
        values = self._values | {'seconds': time.monotonic() - self._since}
        tell(Path.cwd(), self._epoch, values, Path(path).name, lambda whole: self._write(str(whole), **content))


def watched(epochs: Callable[..., Any], seed: int) -> Callable[..., Any]:
    """Return sevenn's loop over epochs with a watch on it."""

    def run(config: Any, trainer: Any, loaders: Any, start_epoch: int = 1, **keywords: Any) -> Any:
        Watch(trainer, seed, start_epoch)
        return epochs(config, trainer, loaders, start_epoch, **keywords)

    return run


def main() -> int:
    """Train as ``input.yaml`` in this folder says."""
    from sevenn.main.sevenn import cmd_parser_train, run
    from sevenn.scripts import processing_epoch

    seed = json.loads(Path('seed.json').read_text())
    processing_epoch.processing_epoch_v2 = watched(processing_epoch.processing_epoch_v2, seed)
    parser = ArgumentParser()
    cmd_parser_train(parser)
    run(parser.parse_args(['input.yaml', '--screen']))
    return 0


if __name__ == '__main__':
    sys.exit(main())
