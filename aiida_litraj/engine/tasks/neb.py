"""The ``neb`` task: any number of paths, each through relaxed ends, band and, if asked for, saddle check."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ...contract.arrays import AnyArray, Array
from ...contract.errors import BY_LABEL
from ...contract.neb import NebItem, NebItemResult, NebJob, NebParameters
from ..core.band import tangent
from ..core.endpoints import Order, canonical, carry_over
from ..core.hessian import System
from ..core.interpolation import idpp, linear, shift
from ..core.saddle import Modes, lowest_modes
from ..core.stages import Band, Demand, Evaluated, Relaxed, StageFailed, optimise_band, path_residuals, relax, top_image
from ..models.elements import symbols_of
from ..scheduler import Failure, Task

_ENDS = ('source', 'target')


@dataclass(frozen=True)
class PathInput:
    """One path as it came: arrays as in ``contract.neb``."""

    item: NebItem
    positions: Array
    cell: Array
    pbc: npt.NDArray[np.bool_]
    numbers: npt.NDArray[np.int64]
    fixed: npt.NDArray[np.bool_]

    @property
    def system(self) -> System:
        """The atoms without their positions."""
        return System(self.numbers, self.cell, self.pbc)

    @property
    def free(self) -> Array:
        """1 for each atom that may move, 0 for a frozen one, (n_atoms, 1)."""
        mask: Array = (~self.fixed).astype(np.float64)[:, None]
        return mask


@dataclass(frozen=True)
class End:
    """An end of one or more paths: the task that relaxes it, and how the atoms of that task are ordered."""

    task: str
    owner: str
    order: Order
    owner_order: Order
    owner_start: Array


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
        images, numbers that are not finite, a mobile ion that is not there, an element the potential lacks.
    """

    def invalid(reason: str) -> StageFailed:
        return StageFailed('ERROR_ITEM_INVALID', reason=f'{item.id}: {reason}')

    try:
        raw = {name: arrays[f'{item.id}/{name}'] for name in ('positions', 'cell', 'pbc', 'numbers', 'fixed')}
    except KeyError as error:
        raise invalid(f'the array {error} is missing') from error
    positions = np.array(raw['positions'], dtype=np.float64)
    if positions.ndim != 3 or positions.shape[2] != 3 or positions.shape[0] < 3:
        raise invalid(f'positions of shape {positions.shape}, not (at least 3 images, atoms, 3)')
    n_atoms = positions.shape[1]
    path = PathInput(
        item,
        positions,
        np.array(raw['cell'], dtype=np.float64),
        np.array(raw['pbc'], dtype=bool),
        np.array(raw['numbers'], dtype=np.int64),
        np.array(raw['fixed'], dtype=bool),
    )
    shapes = {'cell': (3, 3), 'pbc': (3,), 'numbers': (n_atoms,), 'fixed': (n_atoms,)}
    for name, shape in shapes.items():
        if getattr(path, name).shape != shape:
            raise invalid(f'{name} of shape {getattr(path, name).shape}, not {shape}')
    if not (np.isfinite(positions).all() and np.isfinite(path.cell).all()):
        raise invalid('positions or cell are not finite')
    if path.pbc.any() and abs(np.linalg.det(path.cell)) < 1e-6:
        raise invalid('the cell has no volume')
    if item.mobile is not None and item.mobile >= n_atoms:
        raise invalid(f'mobile ion {item.mobile} of {n_atoms} atoms')
    if elements is not None:
        lacking = [symbol for symbol in symbols_of(path.numbers.tolist()) if symbol not in elements]
        if lacking:
            raise StageFailed('ERROR_ELEMENTS_NOT_COVERED', potential='of this job', elements=', '.join(lacking))
    return path


def _fingerprint(*parts: object) -> str:
    digest = hashlib.sha256()
    for part in parts:
        content = np.ascontiguousarray(part).tobytes() if isinstance(part, np.ndarray) else repr(part).encode()
        digest.update(len(content).to_bytes(8, 'little') + content)
    return digest.hexdigest()


class NebTasks:
    """The tasks of a job: an end shared by several paths is relaxed once, by the path that comes first."""

    def __init__(self, job: NebJob, salt: str) -> None:
        self._parameters: NebParameters = job.parameters
        self._salt = _fingerprint(salt, job.parameters.model_dump_json())
        self._known: dict[tuple[str, str], End] = {}
        self.ends: dict[str, dict[str, End]] = {}
        self.paths: dict[str, PathInput] = {}

    def tasks(self, path: PathInput) -> list[Task]:
        """Return the tasks for one more path, ends first."""
        name = path.item.id
        self.paths[name] = path
        self.ends[name] = {}
        made = []
        for which, positions in zip(_ENDS, (path.positions[0], path.positions[-1])):
            settings = getattr(self._parameters, which)
            key, order = canonical(path.numbers, positions, path.cell, path.pbc, path.fixed)
            known = self._known.get((key, settings.model_dump_json()))
            if known is None:
                known = End(f'{name}.{which}', name, order, order, positions)
                self._known[key, settings.model_dump_json()] = known
                made.append(self._end_task(known.task, path, which, positions))
            self.ends[name][which] = End(known.task, known.owner, order, known.owner_order, known.owner_start)
        needs = tuple(dict.fromkeys(self.ends[name][which].task for which in _ENDS))
        made.append(
            Task(
                id=name,
                numbers=path.numbers,
                cell=path.cell,
                pbc=path.pbc,
                fingerprint=self._print(path, 'band', path.positions),
                start=lambda outcomes: self._stage(path, outcomes),
                needs=needs,
            )
        )
        return made

    def fingerprint(self, name: str) -> str:
        """Return what the result of a path depends on, as a hash."""
        path = self.paths[name]
        return self._print(path, 'band', path.positions)

    def _print(self, path: PathInput, phase: str, positions: Array) -> str:
        return _fingerprint(self._salt, phase, positions, path.cell, path.pbc, path.numbers, path.fixed)

    def _end_task(self, task: str, path: PathInput, which: str, positions: Array) -> Task:
        settings = getattr(self._parameters, which)
        return Task(
            id=task,
            numbers=path.numbers,
            cell=path.cell,
            pbc=path.pbc,
            fingerprint=self._print(path, which, positions),
            start=lambda _: relax(
                positions, settings, path.system, path.free, self._parameters.max_force_ev_per_ang, which
            ),
        )

    def _stage(self, path: PathInput, outcomes: Mapping[str, Any]) -> Generator[Demand, Evaluated, Outcome]:
        parameters, free = self._parameters, path.free
        source, target = (
            _own(outcomes[end.task], end, start)
            for end, start in zip(
                (self.ends[path.item.id][which] for which in _ENDS), (path.positions[0], path.positions[-1])
            )
        )
        check_hop(path, source.positions, target.positions, parameters.hop_tolerance_ang)
        start = _initial(path, source.positions, target.positions, parameters.initial_path)
        limit = parameters.max_force_ev_per_ang
        band = yield from optimise_band(start, source, target, parameters.band, path.system, free, limit)
        check_hop(path, band.positions[0], band.positions[-1], parameters.hop_tolerance_ang)
        modes = None
        if parameters.verify_saddle is not None:
            top = top_image(band)
            along = tangent(band.positions, band.energies, top)
            modes = yield from lowest_modes(
                band.positions[top],
                along,
                parameters.verify_saddle,
                free,
                bool(path.pbc.any()),
                parameters.seed,
                limit,
            )
        return Outcome(source, target, band, modes)


def _own(relaxed: Relaxed, end: End, start: Array) -> Relaxed:
    """Return a relaxed end in the atom order and the lattice images of the path that asks for it."""
    moved = carry_over(relaxed.positions - end.owner_start, end.owner_order, end.order)
    forces = carry_over(relaxed.forces, end.owner_order, end.order)
    return Relaxed(start + moved, relaxed.energy, forces, relaxed.n_steps, relaxed.calls)


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
            raise StageFailed('ERROR_ENDPOINT_MOVED', reason=f'they differ by the lattice vector {turns.astype(int)}')
    distance = float(np.linalg.norm(change))
    if tolerance is not None and distance > tolerance:
        raise StageFailed(
            'ERROR_ENDPOINT_MOVED',
            reason=f'the hop changed by {distance:.2f} Ang (at most {tolerance:g} allowed): an end left its site',
        )


def summarise(
    path: PathInput, outcome: Outcome, ends: Mapping[str, End], parameters: NebParameters
) -> tuple[NebItemResult, dict[str, Array]]:
    """Return the item's entry in the result and its arrays (keys without the id)."""
    band, name = outcome.band, path.item.id
    norm, component = path_residuals(band, path.free)
    acceptance = parameters.acceptance
    worst = component if acceptance.criterion == 'component' else norm
    climbed = band.climbing is not None or not parameters.band.climb
    converged = climbed and worst < acceptance.fmax_ev_per_ang
    shared = {which: ends[which].owner for which in _ENDS if ends[which].task != f'{name}.{which}'}
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
        negative_modes=None if modes is None else modes.n_negative,
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


def failed(name: str, failure: Failure) -> NebItemResult:
    """Return the entry of a path that was given up."""
    return NebItemResult(id=name, status='failed', converged=False, label=failure.label, reason=failure.reason)
