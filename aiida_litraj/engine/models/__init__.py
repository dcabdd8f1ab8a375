"""Potential families behind one interface; a family's package is imported only when one of its potentials is loaded."""

from .interface import Configuration, DeviceOutOfMemory, Evaluation, Evaluator, Family, LoadRequest
from .kernels import verified
from .memory import torch_memory
from .refusal import not_loaded, resolve_dtype, resolve_kernels, verify_checksum
from .registry import discover, families, get_family, load

__all__ = (
    'Configuration',
    'DeviceOutOfMemory',
    'Evaluation',
    'Evaluator',
    'Family',
    'LoadRequest',
    'discover',
    'families',
    'get_family',
    'load',
    'not_loaded',
    'resolve_dtype',
    'resolve_kernels',
    'torch_memory',
    'verified',
    'verify_checksum',
)
