"""What a set has already, before labels are computed that are to join it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..calculations.functions.collect_label import of_index
from ..contract.frames import Frames
from ..contract.level import Level
from ..data.frames import FramesData
from ..groups.labelled import check_entries, check_joinable
from .backends import LabelBackend


def check_set(name: str, frames: FramesData, backend: LabelBackend, level: Level, settings: Mapping[str, Any]) -> None:
    """Refuse a set that labels of these configurations cannot join.

    :raises ValueError: if labels that are there are of another level, set-ups or pseudopotentials, if the set has a
        configuration's name for another one, or two configurations have one name.
    """
    symbols = frames.base.attributes.get('elements')
    beside = backend.beside_level(backend.settled(settings, level, symbols), symbols)
    check_joinable(name, {**level.model_dump(mode='json'), **beside, 'code': backend.name})
    entries: dict[str, Frames] = {}
    for index, frame in enumerate(frames.shared_frames):
        entry_id = of_index(frames, 'entry_id', 'entry_ids', index)
        if entry_id is None:  # then its name is of its content
            continue
        if str(entry_id) in entries:
            raise ValueError(
                f'frames: two configurations have the entry_id {entry_id!r}, and the set {name!r} takes each once; '
                'give them names of their own'
            )
        entries[str(entry_id)] = frame
    check_entries(name, entries)
