"""From labels of the same configurations at several settings to a table of differences to the finest."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
from aiida.engine import calcfunction
from aiida.orm import Dict, List

from ...analysis.convergence import differences
from ...contract.convergence import ConvergenceGrid, kpoints_text, settings_of
from ...contract.frames import Frames
from ...contract.level import Level
from ...data.frames import FramesData


@calcfunction
def sample_configurations(frames: FramesData, grid: Dict, sound: List | None = None) -> FramesData:
    """Return the configurations on which settings are compared, drawn at random, in the order of the input.

    ``indices`` are their numbers in the input, ``entry_ids`` and ``material_ids`` those that they have there.

    :param sound: numbers of those that can be labelled; by default all.
    """
    asked = ConvergenceGrid.model_validate(grid.get_dict())
    every = frames.frames
    able = np.arange(len(every)) if sound is None else np.array(sound.get_list())
    chosen = sorted(int(i) for i in np.random.default_rng(asked.seed).permutation(able)[: asked.n_sample])
    labels: dict[str, Any] = {'indices': chosen}
    ids = frames.entry_ids
    if len(ids) == len(every):
        labels['entry_ids'] = [ids[index] for index in chosen]
    materials = frames.base.attributes.get('material_ids', [])
    if len(materials) == len(every):
        labels['material_ids'] = [materials[index] for index in chosen]
    return FramesData.from_frames(Frames.stack([every[index] for index in chosen]), labels)


@calcfunction
def analyse_convergence(grid: Dict, level: Dict, reasons: Dict | None = None, **labelled: FramesData) -> Dict:
    """Return the table: for each series a row per setting with the differences to the finest that has labels.

    :param reasons: by name of the setting, why it was refused or ended badly; such a row has it as ``reason``.
    :param labelled: configurations with labels by the name of the setting (``settings_of``); those that failed at
        either of two settings are not compared.
    """
    asked, own = ConvergenceGrid.model_validate(grid.get_dict()), Level.model_validate(level.get_dict())
    table, said = {}, {} if reasons is None else reasons.get_dict()
    for name, levels in settings_of(asked, own).items():
        finest = next((key for key in reversed(levels) if key in labelled), list(levels)[-1])
        table[name] = [
            {
                'name': key,
                'cutoff_ev': one.cutoff_ev,
                'kpoints': kpoints_text(one),
                'mesh': _mesh(labelled.get(key)),
                'finest': key == finest,
                'own': one == own,
                **({'reason': said[key]} if key in said else {}),
                **_compare(labelled.get(finest), labelled.get(key)),
            }
            for key, one in levels.items()
        ]
    return Dict({'series': table, 'n_sample': asked.n_sample})


def _mesh(node: FramesData | None) -> list[int] | None:
    """Return the mesh of all configurations at a setting, if it is one."""
    found: list[int] | None = None if node is None else node.base.attributes.get('level', {}).get('kpoint_mesh')
    return found


def _compare(finest: FramesData | None, other: FramesData | None) -> dict[str, Any]:
    if finest is None or other is None:
        return {'n_frames': 0}
    places = [{index: place for place, index in enumerate(_indices(node))} for node in (finest, other)]
    shared = sorted(set(places[0]) & set(places[1]))
    if not shared:
        return {'n_frames': 0}
    first, second = (
        Frames.stack([node.frames[where[index]] for index in shared])
        for node, where in zip((finest, other), places, strict=True)
    )
    return asdict(differences(first, second))


def _indices(node: FramesData) -> list[int]:
    found: list[int] = node.base.attributes.get('indices')
    return found
