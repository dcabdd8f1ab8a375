"""From what potentials say of held-out configurations, before and after training, to whether training was worth it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from aiida.engine import calcfunction
from aiida.orm import Dict
from pydantic import NonNegativeFloat

from ...analysis.bootstrap import Bootstrap
from ...analysis.deviations import Sums
from ...analysis.energy_offsets import OffsetFit
from ...analysis.force_errors import over_single
from ...analysis.improvement import Judged, Ratio, judge, ratio
from ...analysis.offset_transfer import transfer
from ...analysis.stage_errors import spread
from ...contract.base import Model
from ...contract.evaluate import ComparisonSettings
from ...data.frames import FramesData
from ..validation import validated
from .compare_hop import describe_barriers
from .compare_labels import groups_of, materials_of, read_comparison
from .fit_offsets import read_offsets

MEV = 1000.0
ZERO_SHOT = 'zero_shot'
SCRATCH = 'scratch_'
"""Before the name of a repeat that was trained from scratch."""
TEST, ELSEWHERE, HOP = 'test', 'elsewhere', 'hop'
NUMBERS = ('rmse_force_mev_per_ang', 'slope_force', 'rmse_energy_mev_per_atom')


class FinetuneSettings(Model):
    """When a potential is said to forget."""

    forgetting_tolerance: NonNegativeFloat
    """By which part the force error elsewhere may grow: it forgets if the whole interval is above that."""


@calcfunction
def compare_finetuned(
    test: FramesData, comparison: Dict, settings: Dict, offsets: Dict, elsewhere: FramesData | None = None,
    **found: FramesData | Dict,
) -> Dict:  # fmt: skip
    """Return errors before and after training, their spread over repeats, and paired improvements.

    :param test: labelled configurations that were not learnt; ``elsewhere`` those that should not be forgotten.
    :param comparison: ``ComparisonSettings``; ``settings`` the fields of :class:`FinetuneSettings`.
    :param offsets: by which energies of the parent are shifted, as ``litraj.fit_offsets`` gives them.
    :param found: ``test_<name>`` and ``elsewhere_<name>``: the configurations as each potential has them, by the names
        ``zero_shot``, ``seed_<n>`` and ``scratch_seed_<n>``; ``hop_<name>``, what ``litraj.compare_hop`` says of a hop.
    """
    asked = read_comparison(comparison.get_dict())
    fit = read_offsets(offsets.get_dict())
    tolerance = read_finetune(settings.get_dict()).forgetting_tolerance
    said: dict[str, Any] = {}
    for where, labels in ((TEST, test), (ELSEWHERE, elsewhere)):
        of_it = _named(found, where)
        said[where] = describe(labels, of_it, fit, asked) if labels is not None and of_it else None
    forgets = forgotten(said[ELSEWHERE], tolerance)
    hops = {name: one.get_dict() for name, one in _named(found, HOP).items()}
    of_hops = [f'{name}: {warning}' for name, one in hops.items() for warning in one['warnings']]
    return Dict(
        {
            **said,
            'barriers': describe_barriers(hops, ZERO_SHOT),
            'forgets': forgets,
            'forgetting_tolerance': tolerance,
            'confidence': asked.confidence,
            'warnings': [*offsets['warnings'], *warnings(said, forgets), *of_hops],
        }
    )


def _named(found: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Return what has a name that begins so, by the rest of it."""
    return {name.removeprefix(f'{prefix}_'): one for name, one in found.items() if name.startswith(f'{prefix}_')}


def read_finetune(values: Mapping[str, Any]) -> FinetuneSettings:
    """Return settings as their model.

    :raises ValueError: naming each field that is missing, not known or out of range.
    """
    return validated(values, FinetuneSettings, 'settings')


def describe(
    labels: FramesData, predicted: Mapping[str, FramesData], fit: OffsetFit, settings: ComparisonSettings
) -> dict[str, Any]:
    """Return what is said of one set: each potential, the kinds of them, and how they compare."""
    frames, bootstrap = labels.frames, Bootstrap(settings.samples, settings.seed, settings.confidence)
    unit, groups = groups_of(labels, frames, settings.unit)
    brought = transfer(fit, frames)
    judged = judge(
        frames, {name: one.frames for name, one in predicted.items()}, groups, bootstrap,
        {ZERO_SHOT: brought.shift_ev}, brought.determined,
    )  # fmt: skip
    blocks = {name: block(one) for name, one in judged.items()}
    kinds = {
        'fine_tuned': [name for name in judged if name != ZERO_SHOT and not name.startswith(SCRATCH)],
        'from_scratch': [name for name in judged if name.startswith(SCRATCH)],
    }
    before = [judged[ZERO_SHOT]] if ZERO_SHOT in judged else []
    sides = {kind: [judged[name] for name in names] for kind, names in kinds.items()}
    return {
        'n_frames': frames.n_frames,
        'not_evaluated': lost(predicted),
        'unit': unit,
        'n_materials': materials_of(labels, frames),
        'n_groups': max((one.force.n_groups for one in judged.values()), default=0),
        'potentials': blocks,
        'repeats': {kind: spreads([blocks[name] for name in names]) for kind, names in kinds.items()},
        'improvement': {kind: compared(side, before, groups, bootstrap) for kind, side in sides.items()},
        'fine_tuned_over_scratch': compared(sides['fine_tuned'], sides['from_scratch'], groups, bootstrap),
    }


def lost(predicted: Mapping[str, FramesData]) -> dict[str, int]:
    """Return how many configurations potentials have not evaluated, of those that have not evaluated all."""
    energies = {name: one.frames.energies for name, one in predicted.items()}
    known = {name: 0 if one is None else int(np.isfinite(one).sum()) for name, one in energies.items()}
    return {name: one.n_frames - known[name] for name, one in predicted.items() if known[name] < one.n_frames}


def block(judged: Judged) -> dict[str, Any]:
    """Return the numbers of one potential, each with its interval."""
    force, energy = judged.force, judged.energy
    return {
        'rmse_force_mev_per_ang': _scaled(force.rmse, MEV),
        'rmse_force_mev_per_ang_interval': _ends(force.rmse_interval, MEV),
        'slope_force': force.slope,
        'slope_force_interval': _ends(force.slope_interval, 1.0),
        'n_frames_force': force.n_frames,
        'rmse_energy_mev_per_atom': _scaled(energy.rmse, MEV),
        'rmse_energy_mev_per_atom_interval': _ends(energy.rmse_interval, MEV),
        'n_frames_energy': energy.n_frames,
    }


def spreads(blocks: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return mean and standard deviation of each number over repeats; ``None`` where it is known of none."""
    found: dict[str, Any] = {}
    for key in NUMBERS:
        values = [one[key] for one in blocks if one[key] is not None]
        said = spread(values) if values else None
        found[key] = None if said is None else {'mean': said.mean, 'std': said.std, 'n': said.n}
    return found


def compared(
    after: Sequence[Judged], before: Sequence[Judged], groups: Sequence[str] | None, bootstrap: Bootstrap
) -> dict[str, Any] | None:
    """Return the ratio of errors of some repeats to that of others, for forces and energies; ``None`` without both."""
    if not after or not before:
        return None
    force = _ratio([one.force_sums for one in after], [one.force_sums for one in before], groups, bootstrap)
    energy = _ratio([one.energy_sums for one in after], [one.energy_sums for one in before], groups, bootstrap)
    return {'force': force, 'energy': energy}


def _ratio(
    after: Sequence[Sums], before: Sequence[Sums], groups: Sequence[str] | None, bootstrap: Bootstrap
) -> dict[str, Any] | None:
    try:
        said: Ratio = ratio(after, before, groups, bootstrap)
    except ValueError:  # nothing is known of both, or the error compared with is none
        return None
    return {
        'ratio': said.value,
        'ratio_interval': _ends(said.interval, 1.0),
        'n_groups': said.n_groups,
        'better': said.is_below(1.0),
        'worse': said.is_above(1.0),
    }


def forgotten(elsewhere: Mapping[str, Any] | None, tolerance: float) -> bool | None:
    """Return whether training has made the forces elsewhere worse, beyond doubt and tolerance; ``None``: not known."""
    improvement = None if elsewhere is None else elsewhere['improvement']['fine_tuned']
    force = None if improvement is None else improvement['force']
    if force is None or force['ratio_interval'] is None:
        return None
    return bool(force['ratio_interval'][0] > 1.0 + tolerance)


def warnings(found: Mapping[str, Any], forgets: bool | None) -> list[str]:
    """Return what a person should know before believing the comparison."""
    said = []
    for where in (TEST, ELSEWHERE):
        one = found[where]
        if one is None:
            continue
        said += [
            f'{where}: {name} has not evaluated {number} of {one["n_frames"]} configurations, left out for all'
            for name, number in one['not_evaluated'].items()
        ]
        improvement = one['improvement']['fine_tuned']
        force = None if improvement is None else improvement['force']
        if force is not None and force['ratio_interval'] is None:
            said.append(f'{where}: {one["n_groups"]} groups ({one["unit"]}s) are too few to say how sure that is')
        elif one['unit'] == 'frame' and one['n_materials'] != one['n_frames']:
            said.append(f'{where}: {over_single(one["n_frames"], one["n_materials"])}')
    if forgets:
        said.append(
            'it forgets: the force error elsewhere has grown; learn configurations from there too, or fewer epochs'
        )
    return said


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None or not np.isfinite(value) else factor * value


def _ends(interval: Any, factor: float) -> list[float] | None:
    return None if interval is None else [factor * end for end in interval]
