"""A family whose potential takes its time and leaves a trace: the toy Morse, with a pause at each call.

What was evaluated is thereby known whatever becomes of the job: each call is a line in a file of the folder that
``LITRAJ_CALLS`` names, a file for each folder of a job.
"""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from aiida_litraj.engine.models import Configuration, Evaluation, Family, LoadRequest
from aiida_litraj.engine.models.toy import ToyEvaluator


class SlowMorse(ToyEvaluator):
    """The toy Morse; ``seconds`` are slept before each answer, ``nonce`` makes one launch another than the next."""

    def __init__(self, options: dict[str, float]) -> None:
        super().__init__('morse', {key: value for key, value in options.items() if key not in ('seconds', 'nonce')})
        self._seconds = options.get('seconds', 0.0)

    def evaluate(self, configurations: Sequence[Configuration]) -> list[Evaluation]:
        """Return an evaluation for each configuration."""
        for configuration in configurations:
            time.sleep(self._seconds)
            leave_trace(configuration)
        return super().evaluate(configurations)


def leave_trace(configuration: Configuration) -> None:
    """Note a call, in one write: several processes of a job do so at once, and any of them may be killed."""
    folder = os.environ.get('LITRAJ_CALLS')
    if folder is None:
        return
    parts = [configuration.positions, configuration.cell]
    asked = zlib.crc32(b''.join(np.ascontiguousarray(part, dtype=float).tobytes() for part in parts))
    name = '-'.join(Path.cwd().parts[-3:])
    handle = os.open(Path(folder, name), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        os.write(handle, f'{asked:08x}\n'.encode())
    finally:
        os.close(handle)


def load(request: LoadRequest) -> SlowMorse:
    """Return the potential."""
    return SlowMorse({key: float(value) for key, value in request.spec.options.items()})


FAMILY = Family(name='slow', package='litraj-slow', load=load, names=lambda: ['morse'], devices=('cpu',), light=True)
