"""Groups of nodes: data sets."""

from .dataset import DatasetGroup

__all__ = ('DatasetGroup',)
