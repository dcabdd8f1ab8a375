"""Node types: paths of hops and potentials."""

from .path import PathData
from .potential import PotentialData

__all__ = ('PathData', 'PotentialData')
