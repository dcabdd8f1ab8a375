"""From a configuration and what a code wrote of it to the same configuration with energy, forces and stress."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiida.engine import calcfunction
from aiida.orm import Data, Dict

from ...contract.frames import Frames
from ...contract.level import Level
from ...data.frames import FramesData

if TYPE_CHECKING:
    from ...workflows.backends import Label

EXTRAPOLATED = 'energy_extrapolated_ev'


@calcfunction
def collect_label(frames: FramesData, about: Dict, **outputs: Data) -> FramesData:
    """Return the configuration with its label: the numbers are the code's own, to the last bit that it wrote.

    Atoms, cell, arrays and info are those of the input configuration; its info gets ``energy_extrapolated_ev`` too,
    where occupations were smeared and the code gives it. What the input knew of energy, forces and stress is replaced.

    :param about: ``index`` of the configuration, ``entry_id``, ``backend``, ``level``, ``beside``, what else the answer
        depends on, and ``dataset`` if it is an entry of one.
    :param outputs: nodes of the code that the back end reads.
    :raises ValueError: if they hold no label of this configuration.
    """
    from ...workflows.backends import load

    asked = about.get_dict()
    frame = frames.shared_frames[asked['index']]
    label = load(asked['backend']).read(outputs)
    problem = problem_of(label, frame, Level.model_validate(asked['level']))
    if problem is not None:
        raise ValueError(problem)
    node = FramesData.from_frames(labelled(frame, label), facts(frames, frame, label, asked))
    node.label = asked['entry_id'][:255]  # by which entries of a set are found
    return node


def problem_of(label: Label, frame: Frames, level: Level) -> str | None:
    """Return why a label is none of a configuration; ``None`` if it is one."""
    wanted = frame.positions.shape
    if label.forces.shape != wanted:
        return f'forces of the shape {label.forces.shape}, not {wanted}'
    if level.stress and (label.stress is None or label.stress.shape != (6,)):
        return f'no stress, or one of another shape than (6,): {label.stress}'
    if not label.is_finite():
        return 'an energy, force or stress that is not finite'
    return None


def labelled(frame: Frames, label: Label) -> Frames:
    """Return one configuration with a label in place of what it knew."""
    info = dict(frame.info[0]) if frame.info else {}
    info.pop(EXTRAPOLATED, None)
    if label.extrapolated is not None:
        info[EXTRAPOLATED] = label.extrapolated
    return Frames.of_one(
        frame.numbers, frame.positions, frame.cells[0], frame.pbc[0], label.energy, label.forces, label.stress,
        dict(frame.arrays), info,
    )  # fmt: skip


def facts(frames: FramesData, frame: Frames, label: Label, asked: dict[str, Any]) -> dict[str, Any]:
    """Return the attributes of a labelled node beside those that all configurations have."""
    level = Level.model_validate(asked['level'])
    found = {
        'entry_id': asked['entry_id'],
        'material_id': of_index(frames, 'material_id', 'material_ids', asked['index']),
        'split': of_index(frames, 'split', 'splits', asked['index']),
        'trajectory_id': of_index(frames, 'trajectory_id', 'trajectory_ids', asked['index']),
        'indices': [asked['index']],
        'level': {
            **level.model_dump(mode='json'),
            **asked.get('beside', {}),
            'kpoint_mesh': list(level.mesh(frame.cells[0])),
            'code': asked['backend'],
            'version': label.version,
            'pseudopotentials': dict(label.pseudopotentials),
        },
    }
    found |= {'dataset': asked['dataset']} if asked.get('dataset') else {}
    return {key: value for key, value in found.items() if value is not None}


def of_index(frames: FramesData, one: str, many: str, index: int) -> Any:
    """Return what a node of configurations says of one of them, in a list of its own or once for all."""
    every = frames.base.attributes.get(many, None)
    if every is not None and index < len(every):
        return every[index]
    return frames.base.attributes.get(one, None)
