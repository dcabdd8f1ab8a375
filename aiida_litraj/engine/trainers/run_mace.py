"""The program of the trainer mace: ``mace_run_train`` itself, watched from epoch to epoch.

What is seen to that mace leaves open: random numbers start anew from a seed of their own in each epoch; going on starts
with the epoch after the checkpoint, at the rate that the schedule has then, with weights and their moving average as
they were (mace does the epoch again, at the rate before, with the average as the weights); the schedule on a plateau
takes any lower loss for better; nothing is evaluated after the last epoch. With replay the loss stays the one that is
asked for, and the new head alone is evaluated.
"""

from __future__ import annotations

import io
import json
import random
import sys
import time
from argparse import Namespace
from collections.abc import Mapping
from copy import deepcopy
from numbers import Real
from pathlib import Path
from typing import Any

import yaml

from .epochs import seed_of, tell
from .mace import GPA, INPUT, WATCH, arguments

_COLUMNS = {
    'rmse_e_per_atom': ('valid_energy_mev_per_atom', 1e3),
    'rmse_f': ('valid_force_mev_per_ang', 1e3),
    'rmse_stress': ('valid_stress_gpa', GPA),
}
"""What mace says of the validation set -> column of the curve, and its unit in that of the column."""
_HEAD = 'Default'
"""What mace calls the head that learns the training set."""
_STATE = 'going_on'
"""Key of a checkpoint: what going on needs beside mace's own state."""


class Trained(Exception):
    """The last epoch is over: what mace does then is of no use here."""


class Asked(Namespace):
    """Options of which the loss stays what it is: with replay mace takes one of its own."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name != 'loss' or 'loss' not in vars(self):
            super().__setattr__(name, value)


def potential(model: Any) -> bytes:
    """Return the content of a file of the whole model, as mace writes it, on the CPU."""
    import torch

    on_cpu = next(model.parameters()).device.type == 'cpu'
    stream = io.BytesIO()  # a file's name would be part of the bytes
    torch.save(model if on_cpu else deepcopy(model).to('cpu'), stream)
    return stream.getvalue()


def freeze_the_rest(model: Any, optimizer: Any) -> None:
    """Take gradients only of what is learnt.

    Of a parent the radial functions have some that nothing sets to zero: they grow from step to step, and would count
    in the norm by which mace clips all gradients, which a run that goes on begins anew.
    """
    learnt = {id(values) for group in optimizer.param_groups for values in group['params']}
    for values in model.parameters():
        if id(values) not in learnt:
            values.requires_grad_(False)


class Watch:
    """Stands in for mace's loop over epochs, which it calls, and for what the loop tells of itself.

    :param resume: the checkpoint that mace has been given, after ``done`` epochs.
    """

    def __init__(self, loop: Any, seed: int, done: int, resume: Path | None) -> None:
        self._loop, self._seed, self._done, self._resume = loop, seed, done, resume
        self._one_epoch = loop.train_one_epoch
        self._since = 0.0
        self._ema: Any = None
        self._per_batch = 1.0
        self._losses: list[float] = []
        self._said: Mapping[str, Any] = {}
        self._values: dict[str, float] = {}

    def train(self, **keywords: Any) -> None:
        """Train as mace does, from where it is.

        :raises Trained: after the last epoch.
        :raises RuntimeError: if mace has not taken the checkpoint.
        """
        if keywords['start_epoch'] != self._done:
            raise RuntimeError(f'mace has not taken the checkpoint after epoch {self._done}')
        schedule, self._ema = keywords['lr_scheduler'], keywords['ema']
        loader = keywords['valid_loaders'][_HEAD]
        keywords['valid_loaders'] = {_HEAD: loader}
        self._per_batch = len(loader.dataset) / len(loader)  # mace divides the sum over batches by the frames
        freeze_the_rest(keywords['model'], keywords['optimizer'])
        if self._resume is not None:
            self._go_on(schedule)
        if schedule.scheduler == 'ReduceLROnPlateau':
            schedule.lr_scheduler.threshold = 0.0
        self._loop.train_one_epoch = self.train_one_epoch
        keywords['checkpoint_handler'].save = self.save
        self._loop.train(**{**keywords, 'logger': self})
        raise Trained

    def _go_on(self, schedule: Any) -> None:
        import torch

        state = torch.load(self._resume, map_location='cpu', weights_only=False)[_STATE]
        if self._ema is not None:
            self._ema.load_state_dict(state['ema'])
            self._ema.restore()
        schedule.step(metrics=state['valid_loss'])

    def train_one_epoch(self, **keywords: Any) -> None:
        """Go once through the training set, with random numbers of this epoch."""
        import torch

        self._since, self._losses = time.monotonic(), []
        self._values = {'learning_rate': keywords['optimizer'].param_groups[0]['lr']}
        seed = seed_of(self._seed, keywords['epoch'] + 1)
        torch.manual_seed(seed)
        keywords['data_loader'].generator.manual_seed(seed)
        random.seed(seed)
        self._one_epoch(**keywords)

    def log(self, said: Mapping[str, Any]) -> None:
        """Take what mace says of a step, or of the validation set."""
        if said['mode'] == 'opt':
            self._losses.append(float(said['loss']))
        else:
            self._said = said

    def save(self, state: Any, epochs: int, **_: Any) -> None:
        """Write the checkpoint of an epoch, with the potential as it is evaluated, and tell of the epoch."""
        import torch
        from mace.tools.checkpoint import CheckpointBuilder

        average = None
        if self._ema is not None:  # its weights are in the model now, and those of the training put by
            average = self._ema.state_dict()
            average['collected_params'] = [values.detach() for values in average['collected_params']]
        content = CheckpointBuilder.create_checkpoint(state) | {
            _STATE: {'valid_loss': self._said['loss'], 'ema': average},
            'potential': potential(state.model),
        }
        values = self._values | {
            'train_loss': sum(self._losses) / len(self._losses),
            'valid_loss': float(self._said['loss']) * self._per_batch,
            'seconds': time.monotonic() - self._since,
        }
        for name, (column, unit) in _COLUMNS.items():
            value = self._said.get(name)
            if isinstance(value, Real):  # mace has a stand-in for what there are no labels of
                values[column] = float(value) * unit
        number = epochs + 1
        tell(Path.cwd(), number, values, f'{number}.pt', lambda whole: torch.save(content, whole))


def main() -> int:
    """Train as ``input.yaml`` in this folder says."""
    from mace import tools
    from mace.cli import run_train

    options = yaml.safe_load(Path(INPUT).read_text())
    known = json.loads(Path(WATCH).read_text())
    resume = None if known['resume'] is None else Path(known['resume'])
    watch = Watch(sys.modules['mace.tools.train'], known['seed'], known['done'], resume)
    tools.train = watch.train
    try:
        run_train.run(Asked(**vars(arguments(options))))
    except Trained:
        return 0
    return 1


if __name__ == '__main__':
    sys.exit(main())
