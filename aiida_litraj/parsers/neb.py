"""Parser of ``neb`` jobs: optimised paths, how each ended, and all configurations on the way if they were kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from aiida.orm import Data

from ..contract.arrays import AnyArray, Array
from ..contract.errors import LitrajError
from ..contract.frames import Frames
from ..contract.gpaw import FAMILY as DFT_FAMILY
from ..contract.gpaw import GpawOptions
from ..contract.neb import CONFIGURATIONS, STAGES, NebItemResult, NebResult
from ..contract.result import ItemResult
from ..data.frames import FramesData
from ..data.path import PathData
from ..data.potential import PotentialData
from .batch import BatchParser

PATH_ARRAYS = ('positions', 'energies', 'forces', 'neb_forces')


class NebParser(BatchParser):
    """Makes the optimised paths."""

    task = 'neb'
    result_model = NebResult
    item_model = NebItemResult
    outputs_name = 'paths'

    def node_of(self, given: PathData, item: ItemResult, arrays: Mapping[str, AnyArray]) -> PathData | None:
        """Return the optimised path that belongs to the path ``given``, ``None`` if it was given up before.

        :raises LitrajError: if an array is missing or does not fit the atoms and images that were given.
        """
        own = {name: values for name, values in arrays.items() if not name.startswith(f'{CONFIGURATIONS}/')}
        return optimised_path(given, own, item.id) if own or item.status == 'finished' else None

    def further(self, given: PathData, item: ItemResult, arrays: Mapping[str, AnyArray]) -> dict[str, Data]:
        """Return the configurations on the way to the path, if they were kept.

        :raises LitrajError: if they do not fit the atoms that were given.
        """
        start = f'{CONFIGURATIONS}/'
        found = {name.removeprefix(start): values for name, values in arrays.items() if name.startswith(start)}
        if not found:
            return {}
        return {CONFIGURATIONS: configurations_of(given, found, item, self.node.inputs.potential, self.audit)}


def optimised_path(given: PathData, arrays: Mapping[str, AnyArray], name: str) -> PathData:
    """Return the optimised path that belongs to the path ``given``.

    :raises LitrajError: if an array is missing or does not fit the atoms and images that were given.
    """
    lacking = [key for key in PATH_ARRAYS if key not in arrays]
    if lacking:
        raise LitrajError('ERROR_RESULT_ARRAYS', reason=f'{name}: {", ".join(lacking)} missing')
    shape = (given.n_images, given.natoms, 3)
    if arrays['positions'].shape != shape:
        found = arrays['positions'].shape
        raise LitrajError('ERROR_RESULT_ARRAYS', reason=f'{name}: positions of shape {found}, not {shape}')
    try:
        return PathData.from_arrays(
            symbols=given.symbols,
            cell=given.cell,
            pbc=given.pbc,
            mobile=given.mobile,
            fixed=given.fixed,
            labels=given.labels,
            **arrays,
        )
    except (ValueError, TypeError) as error:
        raise LitrajError('ERROR_RESULT_ARRAYS', reason=f'{name}: {error}') from error


def configurations_of(
    given: PathData,
    arrays: Mapping[str, AnyArray],
    item: ItemResult,
    potential: PotentialData,
    audit: Mapping[str, Any] | None = None,
) -> FramesData:
    """Return all configurations that were evaluated for a path, each as an entry ``<name>_<stage>_<step>_<image>``.

    Positions are continuous, as along the path. The info of a frame is ``path``, ``stage``, ``step`` and ``image``. The
    attributes of the node say of which hop it is (``hop_of``) and how its path ended.

    :param arrays: as in ``contract.neb``, without the folder in their names.
    :param audit: of the job, which says of a DFT code what only a run of it can tell.
    :raises LitrajError: if one is missing or does not fit the atoms that were given.
    """
    name, wanted = item.id, ('positions', 'energies', 'forces', 'stages', 'steps', 'images')
    lacking = [key for key in wanted if key not in arrays]
    if lacking:
        raise LitrajError('ERROR_RESULT_ARRAYS', reason=f'{name}: {CONFIGURATIONS}/{", ".join(lacking)} missing')
    number = len(arrays['energies'])
    shapes = dict.fromkeys(('positions', 'forces'), (number, given.natoms, 3)) | dict.fromkeys(wanted[3:], (number,))
    for key, shape in shapes.items():
        if arrays[key].shape != shape:
            reason = f'{name}: {CONFIGURATIONS}/{key} of shape {arrays[key].shape}, not {shape}'
            raise LitrajError('ERROR_RESULT_ARRAYS', reason=reason)
    places = [
        {'path': name, 'stage': STAGES[int(stage)], 'step': int(step), 'image': int(image)}
        for stage, step, image in zip(arrays['stages'], arrays['steps'], arrays['images'])  # type: ignore[call-overload]
    ]
    frames = Frames(
        offsets=np.arange(number + 1) * given.natoms,
        numbers=np.tile(given.numbers, number).astype(np.uint8),
        positions=arrays['positions'].reshape(-1, 3),
        cells=np.repeat(given.cell[None], number, axis=0),
        pbc=np.repeat(np.array(given.pbc, dtype=bool)[None], number, axis=0),
        energies=arrays['energies'],
        forces=arrays['forces'].reshape(-1, 3),
        info=places,
    )
    ids = [f'{name}_{place["stage"]}_{place["step"]:04d}_{place["image"]}' for place in places]
    of_each = [{key: place[key] for key in ('stage', 'step', 'image')} for place in places]
    about: dict[str, Any] = {'path': name, 'trajectory_id': name, **hop_of(given)}
    level = {**level_of(potential, given.cell), **ran_with(potential, audit or {}, given.symbols)}
    about |= {'status': item.status, 'converged': item.converged, 'level': level}
    node = FramesData.from_frames(frames, {'entry_ids': ids, 'entry_properties': of_each, **about})
    node.label = f'{ids[0]} .. {ids[-1]}'
    return node


def hop_of(path: PathData) -> dict[str, Any]:
    """Return what tells a hop from others: ``mobile``, ``displacement`` in Ang and ``labels``, and its material."""
    way, material = path.hop_displacement, path.labels.get('material_id')
    facts = {'mobile': path.mobile, 'displacement': None if way is None else way.tolist(), 'labels': path.labels}
    return facts if material is None else {**facts, 'material_id': material}


def level_of(potential: PotentialData, cell: Array | None = None) -> dict[str, Any]:
    """Return what the labels of a potential were computed with, as those of DFT codes have it: ``code`` and a level.

    Energies of two levels cannot be compared. Of a potential that is no DFT code the ``code`` alone tells.
    """
    if potential.family != DFT_FAMILY:
        return {'code': f'{potential.family} {potential.name or potential.sha256}', 'options': potential.options}
    options = GpawOptions.from_options(potential.options)
    mesh = {} if cell is None else {'kpoint_mesh': list(options.level.mesh(cell))}
    beside = {'setups': options.setup_functional, 'point_group': options.point_group, 'code': DFT_FAMILY}
    return {**options.level.model_dump(mode='json'), **mesh, **beside}


def ran_with(potential: PotentialData, audit: Mapping[str, Any], symbols: Sequence[str]) -> dict[str, Any]:
    """Return what a run of a DFT code has told of itself, as its labels have it: ``version`` and ``pseudopotentials``.

    :param audit: of the job; one from before the engine told leaves out what it lacks.
    :param symbols: of the atoms; only what stands for their cores is returned.
    """
    if potential.family != DFT_FAMILY:
        return {}
    version = audit.get('packages', {}).get(DFT_FAMILY)
    known = (audit.get('potential') or {}).get('pseudopotentials') or {}
    used = {symbol: known[symbol] for symbol in sorted(set(symbols)) if symbol in known}
    return ({'version': version} if version else {}) | ({'pseudopotentials': used} if used else {})
