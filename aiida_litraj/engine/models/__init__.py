"""Potential families behind one interface; a family's package is imported only when one of its potentials is loaded."""

from .interface import Configuration, DeviceOutOfMemory, Evaluation, Evaluator, Family, LoadRequest
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
)
