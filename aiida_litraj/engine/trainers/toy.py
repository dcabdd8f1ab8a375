"""The toy trainer: the depth and the range of a Morse potential, so that all about a training can be tried in seconds.

Native options: ``seconds_per_epoch``, how long an epoch takes at least; ``fail_in_epoch``, where it dies;
``throw_in_epoch``, where its steps are a thousand times as long.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from ...contract.errors import LitrajError
from ..models.toy import read_file, write_file
from .data import write_arrays
from .epochs import told
from .interface import Order, Start, Trainer, check_offered
from .process import last_words

_NATIVE = {'seconds_per_epoch': 0.0, 'fail_in_epoch': 0, 'throw_in_epoch': 0}
_CONSTANTS = {'radius': 2.8, 'cutoff': 6.0}
_START = {'depth': (0.1, 0.5), 'alpha': (1.2, 2.0)}
"""Between which values a fit from scratch starts, by its seed, in eV and 1/Ang."""


def _refuse(reason: str) -> LitrajError:
    return LitrajError('ERROR_JOB_INVALID', reason=f'the trainer toy {reason}')


def _beginning(order: Order) -> tuple[list[float], dict[str, float]]:
    """Return depth and range that the fit starts from, and the parameters that it leaves alone."""
    cutoff = order.parameters.architecture
    constants = _CONSTANTS | ({} if cutoff is None else {'cutoff': cutoff.cutoff_ang})
    if order.parent is None:
        random = np.random.default_rng(order.seed)
        return [float(random.uniform(*bounds)) for bounds in _START.values()], constants
    known: dict[str, Any] = {'depth': 0.3, 'alpha': 1.6}
    if order.parent_file is not None:
        found = read_file(order.parent_file)
        if found['name'] != 'morse':
            raise _refuse(f'goes on from morse only, not from {found["name"]}')
        known |= found['options']
    elif order.parent.name != 'morse':
        raise _refuse(f'goes on from morse only, not from {order.parent.name}')
    known |= {name: float(value) for name, value in order.parent.options.items()}
    return [known['depth'], known['alpha']], {name: known.get(name, value) for name, value in constants.items()}


def start(order: Order) -> Start:
    """Return how to start the fit.

    :raises LitrajError: ``ERROR_JOB_INVALID`` for what it cannot do.
    """
    parameters = order.parameters
    unknown = sorted(set(parameters.native) - set(_NATIVE))
    if unknown:
        raise _refuse(f'has no native option {", ".join(unknown)}, but {", ".join(_NATIVE)}')
    check_offered(parameters)
    if parameters.ema_decay is not None:
        raise _refuse('does not know ema_decay: leave it out')
    if parameters.loss.kind != 'mse':
        raise _refuse(f'does not know loss.kind {parameters.loss.kind}: take mse')
    beginning, constants = _beginning(order)
    asked = {
        'train': os.path.relpath(order.train, order.work),
        'valid': os.path.relpath(order.valid, order.work),
        'seed': order.seed,
        'epochs': parameters.epochs,
        'epochs_done': order.epochs_done,
        'resume': None if order.resume is None else os.path.relpath(order.resume, order.work),
        'batch_size': parameters.batch_size,
        'learning_rate': parameters.learning_rate,
        'weight_decay': parameters.weight_decay,
        'schedule': parameters.schedule.model_dump(),
        'weights': [parameters.loss.energy_weight, parameters.loss.force_weight],
        'start': beginning,
        'constants': constants,
        **_NATIVE,
        **parameters.native,
    }
    text = json.dumps(asked, indent=1)
    (order.work / 'toy.json').write_text(text)
    return Start([sys.executable, '-m', f'{__package__}.run_toy'], text)


def export(order: Order, checkpoint: Path, target: Path) -> None:
    """Write the potential of a checkpoint to a file that the family toy loads."""
    depth, alpha = np.exp(json.loads(checkpoint.read_text())['logs'])
    _, constants = _beginning(order)
    write_file(target, 'morse', {'depth': float(depth), 'alpha': float(alpha), **constants}, order.symbols)


TRAINER = Trainer(
    name='toy',
    family='toy',
    package='numpy',
    start=start,
    epochs=told,
    export=export,
    why=lambda order: last_words(order.work),
    write=write_arrays,
)
