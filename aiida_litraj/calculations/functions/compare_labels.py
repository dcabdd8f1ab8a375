"""From labelled configurations and what a potential says of them to its errors."""

from __future__ import annotations

from typing import Any

from aiida.engine import calcfunction
from aiida.orm import Dict

from ...analysis.bootstrap import FEWEST_GROUPS, Bootstrap, Interval
from ...analysis.deviations import Deviation
from ...analysis.duplicates import duplicates_text, same_configurations
from ...analysis.force_errors import Errors, Family, energy_forces_errors
from ...contract.evaluate import ComparisonSettings
from ...contract.frames import Frames
from ...contract.units import EV_PER_ANG3_OF_GPA
from ...data.frames import FramesData
from ..validation import validated

MEV = 1000.0
GPA = 1.0 / EV_PER_ANG3_OF_GPA
FAMILIES = ('label', 'stage')
"""Keys of the info that name families, in the order in which they are looked for."""
MOST_FAMILIES = 50
"""A key with more names is not taken for that of families unless it is asked for."""
OF_NODE = {
    'material': ('material_ids', 'material_id'),
    'trajectory': ('trajectory_ids', 'trajectory_id'),
    'dataset': ('dataset',),
}
"""Attributes that say it of the configurations of a node, in their order or once for all."""
ALSO = {'material': ('material', 'material_id'), 'trajectory': ('trajectory', 'trajectory_id', 'replica')}
"""Keys of the info that say it too."""
Names = list[str | None]


@calcfunction
def compare_labels(reference: FramesData, predicted: FramesData, settings: Dict) -> Dict:
    """Return the errors of a potential.

    :param reference: labelled configurations.
    :param predicted: the same, in the same order, as the potential has them.
    :param settings: the fields of ``ComparisonSettings``.
    """
    return Dict(describe_errors(reference, predicted, read_comparison(settings.get_dict())))


def read_comparison(values: dict[str, Any]) -> ComparisonSettings:
    """Return settings as their model.

    :raises ValueError: naming each field that is missing, not known or out of range.
    """
    return validated(values, ComparisonSettings, 'settings', '; get_builder_from_protocol gives a full set')


def describe_errors(reference: FramesData, predicted: FramesData, settings: ComparisonSettings) -> dict[str, Any]:
    """Return the content of the output ``errors`` of one potential.

    :raises ValueError: if the two are not of the same atoms, or a family or group that is asked for is not known.
    """
    frames = reference.frames
    key, families = families_of(reference, frames, settings.family)
    unit, groups = groups_of(reference, frames, settings.unit)
    errors = energy_forces_errors(
        frames,
        predicted.frames,
        settings.offsets,
        settings.ridge_alpha,
        groups,
        families,
        Bootstrap(settings.samples, settings.seed, settings.confidence),
        materials_of(reference, frames),
    )
    said = {**as_dict(errors), 'family_key': key, 'unit': unit, 'settings': settings.model_dump(mode='json')}
    few = sorted({one.partition(' ')[2] for one in groups or ()})
    said['groups'] = few if 0 < len(few) < FEWEST_GROUPS else []
    twice = duplicates_text(_named_duplicates(reference, frames))
    if twice is not None:
        said['warnings'] = [*said['warnings'], f'{twice}; each counts as often']
    return said


def _named_duplicates(node: FramesData, frames: Frames) -> list[list[str]]:
    """Return the names of configurations that are the same."""
    names = node.entry_ids
    if len(names) != frames.n_frames:
        names = [f'configuration {index}' for index in range(frames.n_frames)]
    return [[names[index] for index in group] for group in same_configurations(list(frames))]


def as_dict(errors: Errors) -> dict[str, Any]:
    """Return errors in meV/Ang, meV per atom and GPa, by names that say so."""
    fit = errors.offsets
    offsets = dict(zip(fit.elements, (float(one) for one in fit.offsets_ev), strict=True))
    return {
        **_family(errors.whole),
        **_named('energy_raw', 'mev_per_atom', errors.raw_energy, MEV),
        'n_atoms': errors.n_atoms,
        'n_groups': errors.n_groups,
        'n_failed': errors.n_failed,
        'missing': errors.missing,
        'per_element': {name: _named('force', 'mev_per_ang', one, MEV) for name, one in errors.per_element.items()},
        'per_family': {name: _family(one) for name, one in errors.per_family.items()},
        'offsets': {} if fit.method == 'none' else offsets,
        'offset_method': fit.method,
        'offset_rank': fit.rank,
        'offset_unique': fit.unique,
        'warnings': errors.warnings,
    }


def _family(family: Family) -> dict[str, Any]:
    return {
        'n_frames': family.n_frames,
        **_named('force', 'mev_per_ang', family.force, MEV),
        **_named('energy', 'mev_per_atom', family.energy, MEV),
        **_named('stress', 'gpa', family.stress, GPA),
    }


def _named(quantity: str, unit: str, deviation: Deviation, factor: float) -> dict[str, Any]:
    """Return a deviation under names such as ``rmse_force_mev_per_ang``, with ``..._interval`` and the counts."""

    def scaled(value: float | None) -> float | None:
        return None if value is None else factor * value

    def ends(interval: Interval | None) -> list[float] | None:
        return None if interval is None else [factor * end for end in interval]

    found: dict[str, Any] = {
        f'rmse_{quantity}_{unit}': scaled(deviation.rmse),
        f'rmse_{quantity}_{unit}_interval': ends(deviation.rmse_interval),
        f'mae_{quantity}_{unit}': scaled(deviation.mae),
        f'mae_{quantity}_{unit}_interval': ends(deviation.mae_interval),
        f'n_frames_{quantity}': deviation.n_frames,
    }
    if not quantity.startswith('energy'):
        interval = deviation.slope_interval
        found[f'slope_{quantity}'] = deviation.slope
        found[f'slope_{quantity}_interval'] = None if interval is None else list(interval)
    return found


def families_of(node: FramesData, frames: Frames, wanted: str | None) -> tuple[str | None, Names | None]:
    """Return by what configurations are grouped in the tables, and the family of each.

    :raises ValueError: if what is asked for is known of none.
    """
    if wanted is None:
        return None, None
    if wanted == 'auto':
        for key in (*FAMILIES, 'dataset'):
            names = names_of(node, frames, key)
            if names is not None and 1 < len(set(names)) <= MOST_FAMILIES:
                return key, names
        return None, None
    names = names_of(node, frames, wanted)
    if names is None:
        known = sorted({key for info in frames.info for key in info})
        raise ValueError(
            f'settings.family = {wanted!r}: no configuration has it; their info has: {", ".join(known) or "nothing"}'
        )
    return wanted, names


def groups_of(node: FramesData, frames: Frames, wanted: str) -> tuple[str, list[str] | None]:
    """Return what is drawn for intervals, and to which of it each configuration belongs; none for single ones.

    A configuration of unknown material or trajectory is a group of its own.

    :raises ValueError: if what is asked for is known of none.
    """
    for unit in ('material', 'trajectory'):
        if wanted in (unit, 'auto'):
            names = names_of(node, frames, unit)
            if names is not None:
                return unit, [f'frame {index}' if one is None else f'{unit} {one}' for index, one in enumerate(names)]
            if wanted == unit:
                raise ValueError(
                    f'settings.unit = {wanted!r}: it is known of no configuration; auto takes what there is'
                )
    return 'frame', None


def materials_of(node: FramesData, frames: Frames) -> int | None:
    """Return how many materials there are among configurations; ``None`` if it is not known of all."""
    names = names_of(node, frames, 'material')
    return None if names is None or None in names else len(set(names))


def names_of(node: FramesData, frames: Frames, key: str) -> Names | None:
    """Return what each configuration has under a key; ``None`` if none has anything."""
    names = _of_attributes(node, frames.n_frames, key)
    if names is not None:
        return names
    for one in ALSO.get(key, (key,)):
        found = [None if info.get(one) is None else str(info[one]) for info in frames.info]
        if any(name is not None for name in found):
            return found
    return None


def _of_attributes(node: FramesData, n_frames: int, key: str) -> Names | None:
    """Return the material, trajectory or data set of each configuration, said one by one or once for all."""
    for name in OF_NODE.get(key, ()):
        value = node.base.attributes.get(name, None)
        if isinstance(value, list) and len(value) == n_frames and any(one is not None for one in value):
            return [None if one is None else str(one) for one in value]
        if isinstance(value, str):
            return [value] * n_frames
    return None
