"""Importers: one per layout of a published data set, and one for a person's own."""

from .base import Importer
from .registry import LAYOUTS, importer_of

__all__ = ['LAYOUTS', 'Importer', 'importer_of']
