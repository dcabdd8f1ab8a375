"""``aiida-litraj dataset``: fetch, import, find, select, export and delete data sets."""

from .group import dataset

__all__ = ('dataset',)
