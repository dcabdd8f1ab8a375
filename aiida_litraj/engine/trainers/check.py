"""A trained potential, loaded as anybody would load it, and what it says of the validation set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...contract.frames import Frames
from ...contract.potential import PotentialReport, PotentialSpec
from ..models import load
from ..models.interface import Evaluator
from .references import configuration, spread

MOST_FRAMES = 50
"""How many frames of the validation set are evaluated, spread over it."""
RELATIVE, ABSOLUTE_MEV = 0.02, 0.1
"""How far the force error of the loaded potential may be from what the trainer said, of it and in meV/Ang."""


class Unusable(Exception):
    """The potential does not give what the trainer said."""


@dataclass(frozen=True)
class Checked:
    """What a trained potential is: ``force_mev_per_ang`` is its root mean square error by components."""

    report: PotentialReport
    n_parameters: int | None
    force_mev_per_ang: float
    n_evaluated: int


def _n_parameters(evaluator: Evaluator) -> int | None:
    known: int | None = getattr(evaluator, 'n_parameters', None)
    if known is not None:
        return known
    parameters = getattr(getattr(evaluator, 'model', None), 'parameters', None)
    return None if parameters is None else sum(parameter.numel() for parameter in parameters())


def check(spec: PotentialSpec, folder: Path, device: str, valid: Frames, said: float | None) -> Checked:
    """Load a potential and evaluate it on the validation set.

    :param said: what the trainer said of its force error on this set, in meV/Ang; compared if all of it is evaluated.
    :raises Unusable: if it gives what is not finite, or another error.
    :raises LitrajError: if it cannot be loaded.
    """
    evaluator = load(spec, folder, device)
    which = spread(len(valid), MOST_FRAMES)
    squares = []
    for index in which:
        found = evaluator.evaluate([configuration(valid, index)])[0]
        if not (np.isfinite(found.energy) and np.isfinite(found.forces).all()):
            raise Unusable(f'an energy or force of frame {index} of the validation set is not finite')
        assert valid.forces is not None
        squares.append(((found.forces - valid.forces[valid.offsets[index] : valid.offsets[index + 1]]) ** 2).ravel())
    error = 1e3 * float(np.sqrt(np.concatenate(squares).mean()))
    if said is not None and len(which) == len(valid) and abs(error - said) > RELATIVE * said + ABSOLUTE_MEV:
        raise Unusable(
            f'the force error on the {len(valid)} frames of the validation set is {error:.2f} meV/Ang, the trainer '
            f'said {said:.2f}'
        )
    return Checked(evaluator.report, _n_parameters(evaluator), error, len(which))
