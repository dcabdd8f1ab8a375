"""The ``neb`` task: any number of paths, each through relaxed ends, band and, if asked for, saddle check."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...contract.arrays import AnyArray, Array
from ...contract.errors import BY_LABEL
from ...contract.neb import NebItem, NebItemResult, NebJob, NebParameters, NebResult, RelaxParameters, check_frozen
from ..core.band import tangent
from ..core.interpolation import idpp, linear, shift
from ..core.saddle import Modes, lowest_modes
from ..core.stages import Band, Demand, Evaluated, Relaxed, StageFailed, optimise_band, path_residuals, relax
from ..ends import End, Ends, Frame, Use, fingerprint
from ..failure import Failure
from ..models.elements import SYMBOLS
from ..scheduler import Task
from ..stage_run import StageRun
from .reading import ItemArrays

_ENDS = {'source': 0, 'target': -1}
"""The ends and their images."""


@dataclass(frozen=True)
class PathInput(Frame):
    """One path as it came: arrays as in ``contract.neb``."""

    item: NebItem
    positions: Array
    cell: Array
    pbc: npt.NDArray[np.bool_]
    numbers: npt.NDArray[np.int64]
    fixed: npt.NDArray[np.bool_]

    def end(self, which: str) -> End:
        """Return the source or the target as it came."""
        positions = self.positions[_ENDS[which]]
        return End('', self.item.id, which, self.numbers, positions, self.cell, self.pbc, self.fixed)


@dataclass(frozen=True)
class Outcome:
    """What a finished path has to say."""

    source: Relaxed
    target: Relaxed
    band: Band
    modes: Modes | None


def read_path(item: NebItem, arrays: Mapping[str, AnyArray], elements: list[str] | None) -> PathInput:
    """Return the path of an item.

    :raises StageFailed: naming what is wrong with it: a missing array, shapes that do not match, fewer than three
        images, numbers that are not finite, a frozen atom that moves, a mobile ion that is not there, an element the
        potential lacks.
    """
    given = ItemArrays(item.id, arrays)
    positions = given.read('positions', np.float64)
    if positions.ndim != 3 or positions.shape[2] != 3 or positions.shape[0] < 3 or not positions.shape[1]:
        raise given.invalid(f'positions of shape {positions.shape}, not (at least 3 images, atoms, 3)')
    n_atoms = positions.shape[1]
    path = PathInput(
        item,
        positions,
        given.read('cell', np.float64, (3, 3)),
        given.read('pbc', np.bool_, (3,)),
        given.read('numbers', np.int64, (n_atoms,)),
        given.read('fixed', np.bool_, (n_atoms,)),
    )
    given.check(positions, path.cell, path.pbc, path.numbers, elements)
    try:
        check_frozen(path.positions, path.fixed)
    except ValueError as error:
        raise given.invalid(str(error)) from error
    if item.mobile is not None and item.mobile >= n_atoms:
        raise given.invalid(f'mobile ion {item.mobile} of {n_atoms} atoms')
    return path


class NebRun(StageRun[NebJob, NebItemResult]):
    """One run of a ``neb`` job."""

    job_model = NebJob
    result_model = NebResult
    item_model = NebItemResult

    @classmethod
    def at_once(cls, job: NebJob, arrays: Mapping[str, AnyArray]) -> int:
        """Return how many configurations can be evaluated at the same time: ends, or inner images."""
        paths = [arrays.get(f'{item.id}/positions') for item in job.items]
        return sum(max(2, len(path) - 2) for path in paths if path is not None and path.ndim == 3) or 1

    def stage_tasks(self) -> NebTasks:
        """Return the stages of the job's paths."""
        return NebTasks(self._job, self._salt, self._folder.checkpoint)


class NebTasks:
    """The tasks of a job: an end shared by several paths is relaxed once, by the path that comes first.

    ``salt`` says which potential evaluates; ``folder`` is that of the checkpoint.
    """

    def __init__(self, job: NebJob, salt: str, folder: Path) -> None:
        self._parameters: NebParameters = job.parameters
        self._salt = fingerprint(salt, job.parameters.model_dump_json())
        self._ends = Ends(folder, self._salt)
        self.uses: dict[str, dict[str, Use]] = {}
        self.paths: dict[str, PathInput] = {}
        self.titles: dict[str, str] = {}
        """What a task is called before people."""

    def add(self, item: NebItem, arrays: Mapping[str, AnyArray], elements: list[str] | None) -> list[Task]:
        """Return the tasks of one more path, ends first.

        :raises StageFailed: naming what is wrong with it.
        """
        path = read_path(item, arrays, elements)
        name = item.id
        self.paths[name], self.uses[name], self.titles[name] = path, {}, name
        made = []
        for which in _ENDS:
            settings: RelaxParameters = getattr(self._parameters, which)
            use, first = self._ends.use(path.end(which), settings.model_dump_json())
            self.uses[name][which] = use
            if first:
                self.titles[use.end.task] = f'{name}.{which}'
                made.append(self._end_task(use.end, which, settings))
        made.append(
            Task(
                id=name,
                numbers=path.numbers,
                cell=path.cell,
                pbc=path.pbc,
                fingerprint=self.fingerprint(name),
                start=lambda outcomes: self._stage(path, outcomes),
                needs=self.needs(name),
            )
        )
        return made

    def owns(self, name: str) -> bool:
        """Return whether a task is that of a path, and not of an end."""
        return name in self.paths

    def result(
        self, name: str, outcome: Any, spent: Mapping[str, Counter[str]]
    ) -> tuple[NebItemResult, Mapping[str, AnyArray]]:
        """Return the entry of a path in the result, and its arrays."""
        uses = self.uses.get(name, {})
        if isinstance(outcome, Failure):
            return failed(name, outcome, uses, spent), {}
        return summarise(self.paths[name], outcome, uses, self._parameters)

    def needs(self, name: str) -> tuple[str, ...]:
        """Return the tasks of a path's ends, one if they are the same configuration."""
        return tuple(dict.fromkeys(use.end.task for use in self.uses[name].values()))

    def fingerprint(self, name: str) -> str:
        """Return what the result of a path depends on, as a hash."""
        path = self.paths[name]
        return fingerprint(self._salt, path.positions, path.cell, path.pbc, path.numbers, path.fixed, path.item.mobile)

    def _end_task(self, end: End, phase: str, settings: RelaxParameters) -> Task:
        limit = self._parameters.max_force_ev_per_ang

        def start(_: Mapping[str, Any]) -> Generator[Demand, Evaluated, Relaxed]:
            self._ends.note(end)
            return relax(end.positions, settings, end.system, end.free, limit, phase)

        return Task(end.task, end.numbers, end.cell, end.pbc, end.fingerprint, start)

    def _stage(self, path: PathInput, outcomes: Mapping[str, Any]) -> Generator[Demand, Evaluated, Outcome]:
        parameters, free = self._parameters, path.free
        source, target = (use.own(outcomes[use.end.task]) for use in self.uses[path.item.id].values())
        check_hop(path, source.positions, target.positions, parameters.hop_tolerance_ang)
        check_sites(path, source.positions, target.positions, parameters.end_tolerance_ang)
        start = _initial(path, source.positions, target.positions, parameters.initial_path)
        limit = parameters.max_force_ev_per_ang
        band = yield from optimise_band(start, source, target, parameters.band, path.system, free, limit)
        check_way(path, band.positions)
        modes = None
        top = int(np.argmax(band.energies))
        # where an end is the highest, the path has no saddle to check
        if parameters.verify_saddle is not None and 0 < top < len(band.energies) - 1:
            along = tangent(band.positions, band.energies, top)
            modes = yield from lowest_modes(
                band.positions[top],
                along,
                parameters.verify_saddle,
                free,
                bool(path.pbc.any()),
                parameters.seed,
                limit,
                path.system,
            )
        return Outcome(source, target, band, modes)


def _initial(path: PathInput, source: Array, target: Array, kind: str) -> Array:
    n_images = len(path.positions)
    if kind == 'linear':
        return linear(source, target, n_images)
    if kind == 'idpp':
        return idpp(source, target, n_images, path.cell, path.pbc, path.free)
    if kind == 'shift':
        return shift(path.positions, source, target)
    return path.positions


def check_hop(path: PathInput, source: Array, target: Array, tolerance: float | None) -> None:
    """Assert that the mobile ion still makes the hop that was asked for.

    Its displacement between the ends is compared, as a vector, with that of the path as it came.

    :raises StageFailed: if they differ by a lattice vector, or by more than ``tolerance`` in Ang.
    """
    mobile = path.item.mobile
    if mobile is None:
        return
    asked = path.positions[-1, mobile] - path.positions[0, mobile]
    change = (target[mobile] - source[mobile]) - asked
    if path.pbc.any():
        turns = np.rint(np.linalg.solve(path.cell.T, change)) * path.pbc
        if turns.any():
            raise StageFailed(
                'ERROR_ENDPOINT_MOVED',
                reason=f'they differ by the lattice vector {turns.astype(int)}: the ion left an end for a copy of its '
                'site; relax the crystal with this potential first, or choose another hop',
            )
    distance = float(np.linalg.norm(change))
    if tolerance is not None and distance > tolerance:
        raise StageFailed(
            'ERROR_ENDPOINT_MOVED',
            reason=f'the hop changed by {distance:.2f} Ang (at most {tolerance:g} allowed): '
            f'{_farther(path, source, target)}; relax the crystal with this potential first, choose another hop, or '
            'raise hop_tolerance_ang',
        )


def _farther(path: PathInput, source: Array, target: Array) -> str:
    """Return which end the mobile ion left while it relaxed, how far and where to, as a person reads it."""
    ways = {which: relaxed - path.positions[_ENDS[which]] for which, relaxed in zip(_ENDS, (source, target))}
    mobile = path.item.mobile
    which = max(ways, key=lambda end: float(np.linalg.norm(ways[end][mobile])))
    place = (source if which == 'source' else target)[mobile]
    where = np.array2string(place, precision=2, separator=', ', floatmode='fixed')
    return f'at the {which} the ion moved by {np.linalg.norm(ways[which][mobile]):.2f} Ang to {where} Ang'


def check_sites(path: PathInput, source: Array, target: Array, tolerance: float | None) -> None:
    """Assert that all atoms of the ends are still at the sites that they came at.

    The mobile ion may well have made its hop while a neighbour has fallen into the vacancy: a barrier between two
    other configurations.

    :raises StageFailed: naming end, atom and way, if an atom has moved by more than ``tolerance`` in Ang.
    """
    for which, relaxed in zip(_ENDS, (source, target)):
        moved = np.linalg.norm(relaxed - path.positions[_ENDS[which]], axis=1)
        atom = int(moved.argmax())
        if tolerance is not None and moved[atom] > tolerance:
            others = int((moved > tolerance).sum()) - 1
            raise StageFailed(
                'ERROR_ENDPOINT_MOVED',
                reason=f'while the {which} relaxed, atom {atom} ({SYMBOLS[path.numbers[atom]]}) moved by '
                f'{moved[atom]:.2f} Ang{f" and {others} more so" if others else ""} (at most {tolerance:g} allowed): '
                'relax the crystal with this potential first, choose another hop, or raise end_tolerance_ang',
            )


def check_way(path: PathInput, positions: Array) -> None:
    """Assert that the mobile ion went the way between the ends that it was asked to go.

    From image to image its steps in ``positions`` (n_images, n_atoms, 3) are compared with those of the path as it
    came: none may have become that to another periodic image, which a band that is torn apart could bring about.

    :raises StageFailed: naming the images.
    """
    mobile = path.item.mobile
    if mobile is None or not path.pbc.any():
        return
    change = np.diff(positions[:, mobile], axis=0) - np.diff(path.positions[:, mobile], axis=0)
    turns = np.rint(np.linalg.solve(path.cell.T, change.T).T) * path.pbc
    for i in np.flatnonzero(turns.any(axis=1)):
        raise StageFailed(
            'ERROR_ENDPOINT_MOVED',
            reason=f'between images {i} and {i + 1} the ion went round by the lattice vector {turns[i].astype(int)}; '
            'use more images, or a larger supercell',
        )


def summarise(
    path: PathInput, outcome: Outcome, uses: Mapping[str, Use], parameters: NebParameters
) -> tuple[NebItemResult, dict[str, Array]]:
    """Return the item's entry in the result and its arrays (keys without the id)."""
    band, name = outcome.band, path.item.id
    norm, component = path_residuals(band, path.free)
    acceptance = parameters.acceptance
    worst = component if acceptance.criterion == 'component' else norm
    climbed = band.climbing is not None or not parameters.band.climb
    converged = climbed and worst < acceptance.fmax_ev_per_ang
    shared = _shared(name, uses)
    own = {'source': outcome.source, 'target': outcome.target}
    label = reason = None
    if not converged:
        label, reason = _why(path, outcome, parameters, worst)
    mobile, modes = path.item.mobile, outcome.modes
    hop = None if mobile is None else band.positions[-1, mobile] - band.positions[0, mobile]
    arrays = {
        'positions': band.positions,
        'energies': band.energies,
        'forces': band.forces,
        'neb_forces': band.neb_forces,
    }
    if modes is not None:
        arrays |= {'curvatures': modes.curvatures, 'modes': modes.vectors}
    result = NebItemResult(
        id=name,
        status='finished',
        converged=converged,
        label=label,
        reason=reason,
        n_steps=band.n_steps,
        source_steps=outcome.source.n_steps,
        target_steps=outcome.target.n_steps,
        source_shared_with=shared.get('source'),
        target_shared_with=shared.get('target'),
        fmax_ev_per_ang=norm,
        fmax_component_ev_per_ang=component,
        band_calls=band.calls,
        endpoint_calls=sum(own[which].calls for which in _ENDS if which not in shared),
        saddle_calls=0 if modes is None else modes.calls,
        climbing_image=band.climbing,
        hop_displacement_ang=None if hop is None else (float(hop[0]), float(hop[1]), float(hop[2])),
        energy_settled=outcome.source.settled and outcome.target.settled and band.settled,
        saddle_check_converged=None if modes is None else modes.converged,
        negative_modes=None if modes is None or not modes.converged else modes.n_negative,
        lowest_curvatures_ev_per_ang2=None if modes is None else [float(value) for value in modes.curvatures],
    )
    return result, arrays


def _why(path: PathInput, outcome: Outcome, parameters: NebParameters, worst: float) -> tuple[str, str]:
    """Return label and reason of a path that did not converge: an end is to blame before the band is."""
    acceptance = parameters.acceptance
    for which, end in zip(_ENDS, (outcome.source, outcome.target)):
        forces = end.forces * path.free
        left = np.abs(forces).max() if acceptance.criterion == 'component' else np.linalg.norm(forces, axis=1).max()
        if left >= acceptance.fmax_ev_per_ang:
            code = BY_LABEL['ERROR_ENDPOINT_NOT_CONVERGED']
            return code.label, code.message.format(end=which, fmax=f'{left:.4f}', steps=end.n_steps)
    code = BY_LABEL['ERROR_NOT_CONVERGED']
    target = f'{acceptance.fmax_ev_per_ang:g} ({acceptance.criterion})'
    if worst < acceptance.fmax_ev_per_ang:  # however small the forces, the top of such a band is no saddle
        target = f'{parameters.band.climb_below_ev_per_ang:g} before it climbs'
    return code.label, code.message.format(fmax=f'{worst:.4f}', steps=outcome.band.n_steps, target=target)


def failed(
    name: str, failure: Failure, uses: Mapping[str, Use] | None = None, spent: Mapping[str, Counter[str]] | None = None
) -> NebItemResult:
    """Return the entry of a path that was given up, with what it has cost: ``spent``, by task and phase."""
    uses, spent = uses or {}, spent or {}
    shared, own = _shared(name, uses), spent.get(name, Counter())
    return NebItemResult(
        id=name,
        status='failed',
        converged=False,
        label=failure.label,
        reason=failure.reason,
        source_shared_with=shared.get('source'),
        target_shared_with=shared.get('target'),
        band_calls=own['band'],
        endpoint_calls=sum(spent[use.end.task].total() for which, use in uses.items() if which not in shared),
        saddle_calls=own['saddle'],
    )


def _shared(name: str, uses: Mapping[str, Use]) -> dict[str, str]:
    """Return which ends of a path another one, or its own other end, has paid for, and which that is."""
    return {which: use.end.owner for which, use in uses.items() if (use.end.owner, use.end.which) != (name, which)}
