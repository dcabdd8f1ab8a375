"""Codes of AiiDA that run the engine: what they ship, on which computer, and the probe which says that they work."""

from .problems import SetupProblem

__all__ = ('SetupProblem',)
