"""Node types: paths of hops, configurations, potentials, and where data were read from."""

from .frames import FramesData
from .path import PathData
from .potential import PotentialData
from .source import SourceData
from .trajectory import MdTrajectoryData

__all__ = ('FramesData', 'MdTrajectoryData', 'PathData', 'PotentialData', 'SourceData')
