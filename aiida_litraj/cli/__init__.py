"""Command line ``aiida-litraj``. Nothing heavy is imported before a command runs."""

from .root import main

__all__ = ('main',)
