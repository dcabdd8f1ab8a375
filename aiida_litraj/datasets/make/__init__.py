"""Makers of data in the publishers' formats, at any size: for tests, benchmarks and a first try without a download."""

from .registry import MAKERS, make
from .spoil import KINDS, Spoiled, spoil

__all__ = ('KINDS', 'MAKERS', 'Spoiled', 'make', 'spoil')
