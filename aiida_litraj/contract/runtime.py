"""How a job runs: nothing in here can change an answer beyond round-off."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt, SerializerFunctionWrapHandler, model_serializer, model_validator

from .base import Model

Kernels = Literal['plain', 'compiled', 'cuequivariance', 'flash', 'openequivariance']
LARGEST_BATCH_ATOMS = 8192
"""The most atoms per model call that the engine goes to by itself: beyond, messages between atoms fill tensors of 2^31
elements, where kernels have bugs."""


class Runtime(Model):
    """Settings of the run, filled from ``metadata.options`` and so outside the hash of the calculation.

    ``processes=None`` lets the engine choose: one worker process per available core on a CPU; each GPU has one anyway.
    ``gpus``: of those visible to the job, with a process each; ``None`` for all of them with the device ``auto`` or
    ``cuda``. ``cuda:N`` is one. A training uses one.
    ``batch_atoms=None`` lets the engine fill a GPU's memory; on a CPU there is one graph per call.
    ``ranks_per_process``: MPI ranks that share each evaluation, of families that know ranks (gpaw). Like ``gpus`` it is
    written only where it is given: an engine from before it refuses what it does not know.
    ``max_seconds`` is the engine's own clock: it checkpoints and ends before the scheduler kills it.
    ``max_item_seconds``: a path that takes longer than this in one run is given up, so that the others can go on.
    ``checkpoint_seconds``: how often the way of a replica is put on disk so that it can be gone on from.
    """

    device: str = Field(default='auto', pattern=r'^(auto|cpu|cuda(:\d+)?)$')
    processes: PositiveInt | None = None
    threads_per_process: PositiveInt | None = None
    batch_atoms: PositiveInt | None = None
    max_seconds: PositiveFloat | None = None
    max_item_seconds: PositiveFloat | None = None
    checkpoint_seconds: PositiveFloat = 30.0
    kernels: Kernels = 'plain'
    ranks_per_process: PositiveInt | None = None
    gpus: PositiveInt | None = None

    @model_validator(mode='after')
    def _gpus_of_device(self) -> Runtime:
        if self.gpus is not None and (self.device == 'cpu' or (self.gpus > 1 and self.device.startswith('cuda:'))):
            has = 'no GPU' if self.device == 'cpu' else 'one GPU'
            raise ValueError(
                f'gpus is {self.gpus}, but the device {self.device} is {has}: take the device cuda, or leave gpus out'
            )
        return self

    @model_serializer(mode='wrap')
    def _only_what_is_given(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values: dict[str, Any] = dump(self)
        for name in ('ranks_per_process', 'gpus'):
            if values.get(name) is None:
                values.pop(name, None)
        return values
