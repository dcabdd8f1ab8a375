"""Storing of data sets in AiiDA; the only part of ``datasets`` that knows of it.

Nothing is imported here: the processes that parse must start quickly, and need no profile. See ``run``.
"""
