"""Node types: paths of hops, configurations, potentials, and where data were read from."""

from .frames import FramesData
from .path import PathData
from .potential import PotentialData
from .source import SourceData

__all__ = ('FramesData', 'PathData', 'PotentialData', 'SourceData')
