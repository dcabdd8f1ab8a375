"""What a trainer's program tells the engine: a line for each whole epoch, written once its checkpoint is whole."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from .interface import Epoch, Order

_FILE = 'epochs.jsonl'


def seed_of(seed: int, epoch: int) -> int:
    """Return the seed of the random numbers of an epoch: 63 bits of a hash of the training's seed and the epoch.

    With it each epoch draws the same numbers whether or not the program was started anew before it.
    """
    return int.from_bytes(hashlib.sha256(f'{seed} {epoch}'.encode()).digest()[:8], 'big') >> 1


def tell(work: Path, number: int, values: Mapping[str, float], name: str, write: Callable[[Path], None]) -> None:
    """Have ``write`` put the checkpoint of a whole epoch into the file ``name`` of ``work``, then tell of the epoch.

    ``values``: by the columns of ``contract.train.CURVE``.
    """
    unfinished = work / f'.{name}'
    write(unfinished)
    os.replace(unfinished, work / name)
    with (work / _FILE).open('a', encoding='ascii') as handle:
        handle.write(json.dumps({'number': number, 'values': dict(values), 'checkpoint': name}) + '\n')


def told(order: Order) -> list[Epoch]:
    """Return the whole epochs of a run so far."""
    try:
        text = (order.work / _FILE).read_text(encoding='ascii')
    except OSError:
        return []
    whole = text[: text.rfind('\n') + 1]  # the last line may be in the making
    lines = [json.loads(line) for line in whole.splitlines()]
    return [Epoch(line['number'], line['values'], order.work / line['checkpoint']) for line in lines]
