"""What is said of a fine-tuning, alike in tables and figures: names, their order, and the answer in a line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .words import counted

PARENT, SCRATCH = 'zero_shot', 'scratch_'
"""Names of the comparison: the parent's, and what begins those that were trained from scratch."""
KINDS = {'before': 'parent', 'fine_tuned': 'fine-tuned', 'from_scratch': 'from scratch'}
UNITS = {'frame': 'configuration'}
"""What units of intervals are called where it is not the same."""


def kind_of(name: str) -> str:
    """Return what kind of potential a name of the comparison is of."""
    if name == PARENT:
        return 'before'
    return 'from_scratch' if name.startswith(SCRATCH) else 'fine_tuned'


def ordered(names: Iterable[str]) -> list[str]:
    """Return names of the comparison: the parent's, repeats by their numbers, those from scratch."""

    def place(name: str) -> tuple[int, int, str]:
        number = name.rpartition('_')[2]
        return list(KINDS).index(kind_of(name)), int(number) if number.isdecimal() else -1, name

    return sorted(names, key=place)


def called(name: str, parent: str | None = None) -> str:
    """Return what a potential is called: the parent ``parent``, with its own name where that is given."""
    return name if name != PARENT else 'parent' if parent is None else f'parent ({parent})'


def middle_of(values: Mapping[str, float]) -> tuple[str, str]:
    """Return the repeat whose number is nearest to the mean of all, and in words which one that is."""
    mean = sum(values.values()) / len(values)
    name = min(ordered(values), key=lambda one: abs(values[one] - mean))
    if len(values) == 1:
        return name, f'{name}, the only one'
    if len(values) == 2:
        return name, f'{name}, one of two'
    return name, f'{name}, of {len(values)} the nearest to their mean'


def verdict(found: Mapping[str, Any]) -> str:
    """Return in words what the interval of a ratio says; empty without one."""
    if found['ratio_interval'] is None:
        return ''
    return 'better' if found['better'] else 'worse' if found['worse'] else 'no difference shown'


def ratio_text(found: Mapping[str, Any]) -> str:
    """Return a ratio of errors with its interval, and what that says."""
    ends = found['ratio_interval']
    if ends is None:
        return f'{found["ratio"]:.3f}, not known whether better'
    return f'{found["ratio"]:.3f} [{ends[0]:.3f}, {ends[1]:.3f}], {verdict(found)}'


def over_text(block: Mapping[str, Any], n_materials: int | None = None) -> str:
    """Return what an interval goes over, like ``5 configurations of 1 material``.

    :param block: what the comparison says of one set.
    :param n_materials: of the set, if it is known.
    """
    told = counted(block['n_groups'], UNITS.get(block['unit'], block['unit']))
    return (
        told if block['unit'] == 'material' or n_materials is None else f'{told} of {counted(n_materials, "material")}'
    )


def answer(block: Mapping[str, Any], n_materials: int | None, confidence: float) -> str:
    """Return in a line whether fine-tuning was worth it: ratio, interval, seeds and over what; empty if not known."""
    improvement = block['improvement']['fine_tuned']
    force = None if improvement is None else improvement['force']
    if force is None:
        return ''
    seeds = counted(sum(kind_of(name) == 'fine_tuned' for name in block['potentials']), 'seed')
    over = over_text(block, n_materials)
    sure = (
        f'{100 * confidence:g} % interval over {over}'
        if force['ratio_interval']
        else f'{over}: too few for an interval'
    )
    return f'Force error fine-tuned / parent: {ratio_text(force)} ({seeds}; {sure})'


def energies_text(offsets: Mapping[str, Any]) -> str:
    """Return what energies count from in a fine-tuning.

    :param offsets: content of the output ``offsets``.
    """
    fits = {'least_squares': 'least squares', 'ridge': 'ridge'}
    if offsets['method'] not in fits or not offsets['rank']:
        return "energies as they are, the parent's too: without offsets of the elements"
    learnt = counted(offsets['n_frames'], 'configuration')
    return (
        f"energies: the parent's after offsets of the elements ({fits[offsets['method']]}, fitted to the {learnt} "
        'learnt), those of what was trained as they are'
    )


def energies_of_test_text(method: str) -> str:
    """Return what energies count from in a learning curve and in a sweep, by ``offsets`` of ``ComparisonSettings``."""
    if method == 'none':
        return 'energies as they are, without offsets of the elements'
    fit = method.replace('_', ' ')
    return f'energies after offsets of the elements, fitted ({fit}) to the test set for each potential'
