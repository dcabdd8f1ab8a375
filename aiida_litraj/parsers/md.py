"""Parser of ``md`` jobs: trajectories and how each replica ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida.common.links import LinkType
from aiida.orm import Data, Dict

from ..calculations.md import KEEP_UNFINISHED, MdParameters
from ..calculations.monitors import HOPELESS, STALLED, STOPPED_EXTRA
from ..calculations.relax import structure_arrays
from ..contract import files
from ..contract.arrays import AnyArray, unpack_arrays
from ..contract.errors import LitrajError
from ..contract.md import MdItemResult, MdResult
from ..contract.result import ExitReport, ItemResult
from ..contract.trajectory import FRAMES_SUFFIX, THERMO_SUFFIX
from ..contract.units import FEMTOSECONDS_OF_PS
from ..data.trajectory import MdTrajectoryData
from .batch import BatchParser

GONE_ON_FROM = frozenset({110, 120, 140, 303, 310, 400, 410})
"""How a job may end that a restarting chain goes on from: after all others nobody comes who has the frames again."""


class MdParser(BatchParser):
    """Makes a trajectory of each replica, from its files of records; the arrays of the result are part of it.

    Of one that was cut off too, unless the job belongs to a chain that goes on: the next job has the same frames and
    more, and they need be stored once.
    """

    task = 'md'
    result_model = MdResult
    item_model = MdItemResult
    outputs_name = 'trajectories'

    def read_arrays(self) -> dict[str, AnyArray]:
        """Return the arrays of the result, which are fetched only to be parsed.

        :raises LitrajError: if they are missing or unreadable.
        """
        if self._temporary is None or not (self._temporary / files.RESULT_ARRAYS).exists():
            raise LitrajError('ERROR_RESULT_ARRAYS', reason=f'{files.RESULT_ARRAYS} is missing')
        try:
            return unpack_arrays(self._temporary / files.RESULT_ARRAYS)
        except ValueError as error:
            raise LitrajError('ERROR_RESULT_ARRAYS', reason=str(error)) from error

    def node_of(self, given: Dict, item: ItemResult, arrays: Mapping[str, AnyArray]) -> MdTrajectoryData | None:
        """Return the trajectory of a replica that has come to an end; ``None`` if it has no frames.

        :raises LitrajError: if its files are missing or damaged, or of other atoms than were given.
        """
        return None if item.status == 'unfinished' else self._trajectory(given, item, arrays)

    def _trajectory(self, given: Dict, item: ItemResult, arrays: Mapping[str, AnyArray]) -> MdTrajectoryData | None:
        if self._temporary is None or (item.status == 'failed' and not getattr(item, 'n_frames', 0)):
            return None
        frames = self._temporary / files.ITEMS / f'{item.id}{FRAMES_SUFFIX}'
        thermo = frames.with_suffix(THERMO_SUFFIX)
        inputs = self._inputs()
        facts = {
            'ensemble': MdParameters.model_validate(inputs['parameters'].get_dict()).ensemble,
            'status': item.status,
            'death': getattr(item, 'death', None),
        }
        try:
            node = MdTrajectoryData.from_records(frames, thermo if thermo.exists() else None, arrays, facts)
        except FileNotFoundError as error:
            if item.status != 'finished':
                return None
            raise LitrajError('ERROR_RESULT_ARRAYS', reason=f'{item.id}: {frames.name} is missing') from error
        except ValueError as error:
            none = not arrays or not getattr(item, 'n_frames', 0)
            if none and item.status != 'finished':  # cut off or dead before its first frame, or in the middle of it
                return None
            raise LitrajError('ERROR_RESULT_ARRAYS', reason=f'{item.id}: {error}') from error
        numbers = structure_arrays(inputs['structures'][given['structure']])['numbers']
        if node.numbers.tolist() != numbers.tolist():
            raise LitrajError('ERROR_RESULT_ARRAYS', reason=f'{item.id}: frames of other atoms than were given')
        return node

    def _inputs(self) -> dict[str, Any]:
        return self.node.base.links.get_incoming(link_type=LinkType.INPUT_CALC).nested()

    def _out(
        self,
        ended: ExitReport,
        items: Mapping[str, ItemResult],
        made: Mapping[str, Data | None],
        beside: Mapping[str, Mapping[str, Data]],
    ) -> None:
        """Attach also how far the replicas have come that were cut off, and their frames if nobody goes on."""
        given, keep = self._given(), self._keep_unfinished(ended)
        all_items, nodes = dict(items), dict(made)
        for name, item in items.items():
            if item.status != 'unfinished':
                continue
            try:
                node = self._trajectory(given[name], item, {})
            except LitrajError:
                continue
            if node is None:
                continue
            reached = {'time_fs': FEMTOSECONDS_OF_PS * node.base.attributes.get('duration_ps')}
            all_items[name] = item.model_copy(update={'n_frames': node.n_frames, 'n_atoms': node.n_atoms, **reached})
            nodes[name] = node if keep else None
        super()._out(ended, all_items, nodes, beside)

    def _keep_unfinished(self, ended: ExitReport) -> bool:
        """Return whether to make nodes of replicas that were cut off: unless a chain has this job and goes on."""
        options = (self.node.get_metadata_inputs() or {}).get('metadata', {}).get('options', {})
        if options.get(KEEP_UNFINISHED, True) or self.node.caller is None:  # inputs of a job may be used again by hand
            return True
        if any(monitor['entry_point'] != HOPELESS for monitor in self._inputs().get('monitors', {}).values()):
            return True  # it may have ended the job for good, which AiiDA says only after the parser
        stopped = self.node.base.extras.get(STOPPED_EXTRA, None)
        return ended.status not in GONE_ON_FROM or stopped not in (None, STALLED)
