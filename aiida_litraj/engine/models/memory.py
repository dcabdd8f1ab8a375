"""Recognising that torch ran out of memory, whichever of its libraries says so."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from .interface import DeviceOutOfMemory

_SIGNS = (
    'out of memory',
    "can't allocate memory",
    'CUBLAS_STATUS_ALLOC_FAILED',
    'CUDNN_STATUS_ALLOC_FAILED',
    'CUSOLVER_STATUS_ALLOC_FAILED',
)


def says_out_of_memory(text: str) -> bool:
    """Return whether an error's message is about memory."""
    return any(sign in text for sign in _SIGNS)


@contextlib.contextmanager
def torch_memory() -> Iterator[None]:
    """Turn torch's errors about memory into :class:`DeviceOutOfMemory`, with what was reserved handed back."""
    import torch

    message = None
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not isinstance(error, MemoryError) and not says_out_of_memory(str(error)):
            raise
        message = str(error)
    if message is not None:  # out here the traceback, which keeps the tensors of the failed batch alive, is gone
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        raise DeviceOutOfMemory(message)
