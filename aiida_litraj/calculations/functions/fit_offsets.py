"""Offsets of the elements between labels and a potential, and for which compositions they hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from aiida.engine import calcfunction
from aiida.orm import Dict

from ...analysis.energy_offsets import OffsetFit, fit_offsets
from ...analysis.frames import composition
from ...analysis.offset_transfer import all_counts, element_counts, transfer
from ...contract.evaluate import ComparisonSettings
from ...contract.frames import Frames
from ...data.frames import FramesData
from .compare_labels import read_comparison

SHOWN = 5
STRANGE = 3.0
"""A parent whose forces are so many times those of the labels, or so many times less, has not met its own units."""


@calcfunction
def fit_parent_offsets(train: FramesData, predicted: FramesData, settings: Dict, **others: FramesData) -> Dict:
    """Return what the energies of a potential are short of the labels that are to be learnt, by element.

    :param train: labelled configurations.
    :param predicted: the same, in the same order, as the potential has them.
    :param settings: ``ComparisonSettings``, of which ``offsets`` and ``ridge_alpha`` say how they are fitted.
    :param others: configurations that the offsets may be wanted for, by name.
    """
    asked = read_comparison(settings.get_dict())
    return Dict(
        describe_offsets(train.frames, predicted.frames, asked, {name: one.frames for name, one in others.items()})
    )


def describe_offsets(
    labels: Frames, predicted: Frames, settings: ComparisonSettings, others: Mapping[str, Frames]
) -> dict[str, Any]:
    """Return the content of the output ``offsets``: the fit, its rank, and which compositions it holds for."""
    elements, counts = element_counts(labels)
    nothing = np.full(labels.n_frames, np.nan)
    own, theirs = (nothing if one.energies is None else one.energies for one in (labels, predicted))
    both = np.isfinite(own) & np.isfinite(theirs)
    short = np.asarray(own - theirs)[both]
    fit = fit_offsets(counts[both], short, elements, settings.offsets, settings.ridge_alpha)
    left = (short - counts[both] @ fit.offsets_ev) / np.diff(labels.offsets)[both]
    said = {name: transfer(fit, frames) for name, frames in others.items()}
    holds = {
        name: {'safe': list(one.safe), 'unsafe': list(one.unsafe), 'n_safe': int(one.determined.sum())}
        for name, one in said.items()
    }
    return {
        'method': fit.method,
        'elements': list(fit.elements),
        'offsets_ev': [float(one) for one in fit.offsets_ev],
        'rank': fit.rank,
        'unique': fit.unique,
        'basis': fit.basis.tolist(),
        'n_frames': int(both.sum()),
        'rmse_left_mev_per_atom': float(1000.0 * np.sqrt(np.square(left).mean())) if len(left) else None,
        'holds_for': holds,
        'warnings': [*strange_forces(labels, predicted), *warnings(fit, labels, holds)],
    }


def strange_forces(labels: Frames, predicted: Frames) -> list[str]:
    """Return that forces of labels are in another unit, or of another sign, where the parent makes one think so."""
    if labels.forces is None or predicted.forces is None:
        return []
    own, theirs = labels.forces.ravel(), predicted.forces.ravel()
    both = np.isfinite(own) & np.isfinite(theirs)
    power = float(own[both] @ own[both])
    slope = float(theirs[both] @ own[both]) / power if power > 0.0 else 1.0
    if 1.0 / STRANGE < slope < STRANGE:
        return []
    return [
        f'forces of the parent are {slope:.3g} times those of the labels that were learnt: see whether these are in '
        'eV/Ang and no gradients (Hartree/Bohr would give 51, a wrong sign -1); if they are right, the parent knows '
        'nothing of such configurations'
    ]


def read_offsets(content: Mapping[str, Any]) -> OffsetFit:
    """Return the fit that :func:`describe_offsets` has described."""
    elements = tuple(content['elements'])
    basis = np.array(content['basis'], dtype=float).reshape(-1, len(elements))
    return OffsetFit(elements, np.array(content['offsets_ev'], dtype=float), content['rank'], basis, content['method'])


def warnings(fit: OffsetFit, labels: Frames, holds: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return what a person should know of offsets that the compositions do not determine one by one."""
    if fit.method == 'none' or fit.unique:
        return []
    if not fit.rank:
        return ['no offsets: no configuration has the energy of both']
    formulas = sorted({composition(row.astype(np.int64).tobytes())[0] for row in all_counts(labels)})
    safe = _some(formulas) + (' and what is mixed of them' if fit.rank > 1 else '')
    found = [
        f'the compositions that are learnt determine {fit.rank} of {len(fit.elements)} offsets '
        f'({", ".join(fit.elements)}): energies after training are safe for {safe}, and mean nothing for others, such '
        'as formation energies from the elements; give configurations of other compositions too'
    ]
    for name, one in holds.items():
        if one['unsafe']:
            found.append(f'{name}: the offsets do not hold for {_some(one["unsafe"])}, whose energies are not compared')
    return found


def _some(formulas: list[str]) -> str:
    more = len(formulas) - SHOWN
    return ', '.join(formulas[:SHOWN]) + (f' and {more} others' if more > 0 else '')
