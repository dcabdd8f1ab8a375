"""Finding trainers by their names; one is imported when it is asked for."""

from __future__ import annotations

import importlib
import importlib.metadata

from ...contract.errors import LitrajError
from ..models.registry import version_of
from .interface import Trainer

ENTRY_POINTS = 'litraj.trainers'
"""Group in which a third-party package offers a :class:`Trainer`."""

_BUILTIN = ('sevennet', 'mace', 'graph_pes', 'toy')
"""Each is the object ``TRAINER`` of the module of its name."""


def get_trainer(name: str) -> Trainer:
    """Return the trainer called ``name``.

    An entry point cannot take the name of a built-in one: a result must not depend on what else is installed.

    :raises LitrajError: ``ERROR_FAMILY_MISSING`` if nothing offers it or its package is not installed,
        ``ERROR_ENVIRONMENT`` if what offers it is broken.
    """
    offered = {point.name: point for point in importlib.metadata.entry_points(group=ENTRY_POINTS)}
    if name not in _BUILTIN and name not in offered:
        known = ', '.join([*_BUILTIN, *sorted(offered)])
        package = f'the package that offers the trainer in the entry-point group {ENTRY_POINTS} (here are {known})'
        raise LitrajError('ERROR_FAMILY_MISSING', family=name, package=package)
    try:
        builtin = name in _BUILTIN
        trainer = importlib.import_module(f'.{name}', __package__).TRAINER if builtin else offered[name].load()
        if not isinstance(trainer, Trainer):
            raise TypeError(f'it is a {type(trainer).__name__}, not a Trainer')
    except Exception as error:  # a broken plugin can fail in any way
        raise LitrajError('ERROR_ENVIRONMENT', reason=f'trainer {name}: {type(error).__name__}: {error}') from error
    if version_of(trainer.package) is None:
        raise LitrajError('ERROR_FAMILY_MISSING', family=name, package=trainer.package)
    return trainer
