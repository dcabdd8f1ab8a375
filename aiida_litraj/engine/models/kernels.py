"""Faster kernels are trusted only once they have given the plain ones' numbers on this very node."""

from __future__ import annotations

import numpy as np

from ...contract.errors import LitrajError
from .elements import SYMBOLS, covered_numbers
from .interface import Configuration, Evaluator

ENERGY_TOLERANCE_EV_PER_ATOM = 2e-5
FORCE_TOLERANCE = 1e-4
"""Largest difference of a force component, in units of the largest force there or of 1 eV/Ang if that is larger."""

_PREFERRED = ('Li', 'O', 'P', 'S')
_SPACING_ANG = 2.4
_DISPLACEMENT_ANG = 0.15


def verification_crystals(covered: frozenset[int] | None) -> list[Configuration]:
    """Return two distorted crystals of up to four of the ``covered`` elements: 8 and 12 atoms, no symmetry left.

    Their numbers of neighbours differ, so that a kernel compiled for the shapes of the first shows on the second.
    """
    numbers = [SYMBOLS.index(symbol) for symbol in _PREFERRED]
    if covered is not None:
        numbers = [number for number in numbers if number in covered] or sorted(covered)[:4]
    rng = np.random.default_rng(0)
    crystals = []
    for repeats in ((2, 2, 2), (3, 2, 2)):
        grid = np.stack(np.meshgrid(*(np.arange(n) for n in repeats), indexing='ij'), axis=-1).reshape(-1, 3)
        kinds = np.array([numbers[index % len(numbers)] for index in grid.sum(axis=1)])
        cell = _SPACING_ANG * np.diag(np.array(repeats, dtype=float))
        cell[0, 1] = 0.3  # not orthogonal
        positions = _SPACING_ANG * grid + rng.uniform(-_DISPLACEMENT_ANG, _DISPLACEMENT_ANG, size=grid.shape)
        crystals.append(Configuration(kinds, positions, cell, np.ones(3, dtype=bool), stress=True))
    return crystals


def verified(fast: Evaluator, plain: Evaluator, kernels: str) -> Evaluator:
    """Return ``fast`` once it has been seen to agree with ``plain``, one by one and together in a batch.

    :raises LitrajError: ``ERROR_KERNELS`` if an energy or a force differs by more than the tolerances, or the
        kernels do not run.
    """
    crystals = verification_crystals(covered_numbers(plain.report))
    try:
        found = [fast.evaluate([crystal])[0] for crystal in crystals] + fast.evaluate(crystals)
    except LitrajError:
        raise
    except Exception as error:  # a compiler, a driver, a missing library: the user can go on with the plain ones
        raise LitrajError('ERROR_KERNELS', kernels=kernels, reason=f'{type(error).__name__}: {error}') from error
    expected = [plain.evaluate([crystal])[0] for crystal in crystals] * 2
    for ours, theirs in zip(found, expected, strict=True):
        if ours.forces.shape != theirs.forces.shape:
            raise LitrajError(
                'ERROR_KERNELS', kernels=kernels, reason='the forces are not those of the atoms asked for'
            )
        energy = abs(ours.energy - theirs.energy) / len(theirs.forces)
        scale = max(1.0, float(np.abs(theirs.forces).max()))
        force = float(np.abs(ours.forces - theirs.forces).max()) / scale
        if (ours.stress is None) != (theirs.stress is None):
            raise LitrajError('ERROR_KERNELS', kernels=kernels, reason='they give no stress, as the plain ones do')
        # Negated so that a difference that is no number does not pass.
        if not (energy <= ENERGY_TOLERANCE_EV_PER_ATOM and force <= FORCE_TOLERANCE):
            reason = (
                f'energy off by {energy:.1e} eV/atom (allowed {ENERGY_TOLERANCE_EV_PER_ATOM:.0e}), '
                f'a force by {force * scale:.1e} eV/Ang (allowed {FORCE_TOLERANCE * scale:.0e})'
            )
            raise LitrajError('ERROR_KERNELS', kernels=kernels, reason=reason)
    return fast
