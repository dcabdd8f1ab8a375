"""What is refused of labelled configurations before a potential is trained on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..analysis.energy_offsets import fit_offsets
from ..analysis.offset_transfer import element_counts, transfer
from ..contract.arrays import AnyArray
from ..contract.frames import Frames
from ..contract.train import TrainingParameters, TrainItem
from ..data.frames import FramesData
from .held_out import check_held_out
from .validation import check_names

SETS = {'train_sets': 'train', 'valid_sets': 'valid', 'replay_sets': 'replay'}
"""Namespace of inputs -> what its sets are called in the arrays of a job."""
LEAST_LEARNT = 2
"""Configurations to learn from: of one alone only its own energy is learnt."""
_SHOWN = 3
_REMEDY = 'aiida-litraj launch label makes labels'


def check_named(sets: Mapping[str, FramesData]) -> None:
    """Refuse no sets, or names that cannot be those of links.

    :raises ValueError: naming the first that is at fault.
    """
    check_names(sets, 'sets of configurations', 'FramesData')


def check_sets_of(trainings: Mapping[str, TrainItem], inputs: Mapping[str, Any]) -> None:
    """Refuse trainings whose sets are not there, sets of no training, and trainings that do not have theirs in common.

    With one set for all, the links of a job say what each of its potentials has learnt from.

    :raises ValueError: naming the first that is at fault.
    """
    for namespace, field in (('train_sets', 'train'), ('valid_sets', 'valid')):
        sets = inputs.get(namespace, None) or {}
        if not sets or not trainings:
            continue
        used: dict[str, str] = {}
        for name, training in trainings.items():
            wanted = getattr(training, field)
            if wanted not in sets:
                raise ValueError(
                    f'trainings.{name}.{field} = {wanted!r} is not among the {namespace}: {", ".join(sets)}'
                )
            used.setdefault(wanted, name)
        if len(used) > 1:
            (one, first), (two, second) = list(used.items())[:2]
            raise ValueError(
                f'trainings.{first}.{field} = {one!r}, but trainings.{second}.{field} = {two!r}: the trainings of a '
                'job have their sets in common, so that its links say what each potential has seen; give each set a '
                'job of its own'
            )
        unused = sorted(set(sets) - set(used))
        if unused:
            raise ValueError(f'{namespace}.{unused[0]}: no training is of it, only of {", ".join(used)}; leave it out')


def check_replay(parameters: TrainingParameters, inputs: Mapping[str, Any]) -> None:
    """Refuse configurations to learn beside that nobody wants, and those that are wanted and not there.

    :raises ValueError: naming the input, and the remedy.
    """
    sets, replay = inputs.get('replay_sets', None) or {}, parameters.replay
    if replay is None:
        if sets:
            raise ValueError(
                f'replay_sets.{next(iter(sets))}: parameters.replay is none; set it to {{set: ..., weight: ...}}, or '
                'leave the set out'
            )
        return
    if inputs.get('potential', None) is None:
        raise ValueError('parameters.replay: there is no potential that could forget; leave it out, or give one')
    if set(sets) != {replay.set}:
        raise ValueError(
            f'parameters.replay.set = {replay.set!r}, but replay_sets has {", ".join(sets) or "none"}: give that one '
            'set'
        )


def check_configurations(parameters: TrainingParameters, inputs: Mapping[str, Any]) -> None:
    """Refuse sets without labels, or too small, or that judge by what was learnt, or by elements that were not.

    :raises ValueError: naming the set, and the remedy.
    """
    for namespace in SETS:
        for name, node in (inputs.get(namespace, None) or {}).items():
            check_labels(node, f'{namespace}.{name}', bool(parameters.loss.stress_weight))
    for name, node in (inputs.get('train_sets', None) or {}).items():
        where = f'train_sets.{name}'
        if node.n_frames < LEAST_LEARNT:
            raise ValueError(f'{where}: one configuration, from which nothing is learnt; give {LEAST_LEARNT} or more')
        if parameters.batch_size > node.n_frames:
            raise ValueError(
                f'parameters.batch_size = {parameters.batch_size}, but {where} has {node.n_frames} configurations: '
                f'take {node.n_frames} or less, or give more configurations'
            )
        check_references(parameters, node, where)
        held_out = inputs.get('held_out', None)
        for other, judged in (inputs.get('valid_sets', None) or {}).items():
            if inputs.get('potential', None) is None or parameters.energy_references == 'least_squares':
                check_learnt(node, judged, f'valid_sets.{other}', where)
            if held_out is not None:
                check_held_out(node, judged, held_out.value, f'valid_sets.{other}', where)
    for name, node in (inputs.get('replay_sets', None) or {}).items():  # which is learnt too
        for other, judged in (inputs.get('valid_sets', None) or {}).items():
            if inputs.get('held_out', None) is not None:
                check_held_out(node, judged, inputs['held_out'].value, f'valid_sets.{other}', f'replay_sets.{name}')


def check_learnt(learnt: FramesData, judged: FramesData, where: str, other: str) -> None:
    """Refuse configurations to judge by with elements that were not learnt.

    Of such an element nothing is fitted, not even what its energy counts from: what a potential says of it is chance.

    :param where: what the configurations to judge by are called; ``other`` those that are learnt.
    :raises ValueError: naming elements and remedy.
    """
    lacking = [symbol for symbol in elements_of(judged) if symbol not in elements_of(learnt)]
    if lacking:
        raise ValueError(
            f'{where}: it has {", ".join(lacking)}, which {other} has not: what is not learnt cannot be judged; part '
            'them anew, as --split-seed does, give sets with the same elements (--valid, --test), or leave those '
            'configurations out'
        )


def composition_warning(parameters: Mapping[str, Any], learnt: FramesData, judged: FramesData) -> str | None:
    """Return of which compositions that tell the best epoch the energy is not known, where it is fitted; or ``None``.

    It is of those that are mixed of what is learnt: of other ones the loss has a constant in it that no epoch changes.

    :param parameters: ``TrainingParameters``.
    """
    if parameters['energy_references'] != 'least_squares':
        return None
    elements, counts = element_counts(learnt.shared_frames)
    unsafe = transfer(fit_offsets(counts, np.zeros(len(counts)), elements), judged.shared_frames).unsafe
    if not unsafe:
        return None
    more = f' and {len(unsafe) - _SHOWN} more' if len(unsafe) > _SHOWN else ''
    return (
        f'what is learnt does not fix the energies of {", ".join(unsafe[:_SHOWN])}{more}, which are to tell the '
        'best epoch: their energy errors have a constant in them; learn more compositions, or go by the forces'
    )


def elements_of(node: FramesData) -> list[str]:
    """Return the elements of all configurations of a node."""
    return list(node.base.attributes.get('elements'))


def check_references(parameters: TrainingParameters, node: FramesData, where: str) -> None:
    """Refuse energies of the elements of which some are missing.

    :raises ValueError: naming them.
    """
    given = parameters.energy_references_ev
    if given is None:
        return
    lacking = sorted(set(elements_of(node)) - set(given))
    if lacking:
        raise ValueError(
            f'parameters.energy_references_ev has none for {", ".join(lacking)}, which {where} has; give it, or set '
            "energy_references to 'least_squares'"
        )


def check_labels(node: FramesData, where: str, stress: bool) -> None:
    """Refuse configurations without energy, forces or, if they are learnt, stress.

    :raises ValueError: saying how many.
    """
    attributes = node.base.attributes.all
    if attributes.get('sampled_from') and not attributes.get('level'):
        raise ValueError(
            f'{where}: they were sampled from a {attributes["sampled_from"]} and have what the potential said that '
            f'drove it, no labels; {_REMEDY}'
        )
    frames = node.shared_frames
    if 0 in frames.numbers:
        raise ValueError(f'{where}: it has centroids, X, which are no atoms; remove them')
    unknown = {'energy': _unknown(frames, frames.energies), 'forces': _unknown(frames, frames.forces)}
    for what, number in unknown.items():
        if number:
            raise ValueError(
                f'{where}: {_of(number, frames.n_frames)} {_have(number)} no {what} to learn from; {_REMEDY}'
            )
    number = _without_stress(frames) if stress else 0
    if number:
        raise ValueError(
            f'{where}: {_of(number, frames.n_frames)} {_have(number)} no stress, but parameters.loss.stress_weight is '
            'above 0: set it to 0, or give labels with stresses'
        )


def _of(number: int, n_frames: int) -> str:
    return f'{number} of {n_frames} configurations'


def _have(number: int) -> str:
    return 'has' if number == 1 else 'have'


def _unknown(frames: Frames, values: AnyArray | None) -> int:
    """Return of how many frames a number is not known, of energies or stresses (F, ...) or of forces (N, 3)."""
    if values is None:
        return frames.n_frames
    bad = ~np.isfinite(values).reshape(len(values), -1).all(axis=1)
    if values.shape == frames.positions.shape:  # one for each atom; a single frame of one atom is the same either way
        bad = np.add.reduceat(bad, frames.offsets[:-1]) > 0
    return int(bad.sum())


def _without_stress(frames: Frames) -> int:
    """Return how many frames have no stress that should have one: those that are periodic in all directions."""
    known = np.zeros(frames.n_frames, dtype=bool)
    if frames.stresses is not None:
        known = np.isfinite(frames.stresses).all(axis=1)
    return int((frames.pbc.all(axis=1) & ~known).sum())


def set_arrays(frames: Frames, stress: bool) -> dict[str, Any]:
    """Return the arrays of a set as they go into a job."""
    arrays: dict[str, Any] = {
        'offsets': np.asarray(frames.offsets, dtype=np.int64),
        'numbers': frames.numbers.astype(np.int64),
        'positions': frames.positions,
        'cells': frames.cells,
        'pbc': frames.pbc,
        'energies': frames.energies,
        'forces': frames.forces,
    }
    return arrays | ({'stresses': frames.stresses} if stress and frames.stresses is not None else {})
