"""The ``neb`` task: any number of paths, each through relaxed ends, band and, if asked for, saddle check."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...contract.arrays import AnyArray, Array
from ...contract.errors import BY_LABEL
from ...contract.neb import NebItem, NebItemResult, NebJob, NebParameters, NebResult, RelaxParameters
from ..core.band import tangent
from ..core.saddle import Modes, lowest_modes
from ..core.stages import Band, Demand, Evaluated, Relaxed, optimise_band, path_residuals, relax
from ..ends import End, Ends, Use, fingerprint
from ..failure import Failure
from ..record import Record
from ..scheduler import Listener, Task
from ..stage_run import StageRun
from .neb_path import ENDS, PathInput, check_hop, check_sites, check_way, initial, read_path


@dataclass(frozen=True)
class Outcome:
    """What a finished path has to say."""

    source: Relaxed
    target: Relaxed
    band: Band
    modes: Modes | None


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
        tasks = NebTasks(self._job, self._salt, self._folder.checkpoint)
        self.listener = tasks.listener()
        return tasks


class NebTasks:
    """The tasks of a job: an end shared by several paths is relaxed once, by the path that comes first.

    ``salt`` says which potential evaluates; ``folder`` is that of the checkpoint.
    """

    def __init__(self, job: NebJob, salt: str, folder: Path) -> None:
        self._parameters: NebParameters = job.parameters
        self._record = Record() if job.keep_configurations else None
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
        for which in ENDS:
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
                fingerprint=self._question(name),
                start=lambda outcomes: self._stage(path, outcomes),
                needs=self.needs(name),
            )
        )
        return made

    def listener(self) -> Listener | None:
        """Return who keeps the configurations."""
        return None if self._record is None else self._record.note

    def owns(self, name: str) -> bool:
        """Return whether a task is that of a path, and not of an end."""
        return name in self.paths

    def result(
        self, name: str, outcome: Any, spent: Mapping[str, Counter[str]]
    ) -> tuple[NebItemResult, Mapping[str, AnyArray]]:
        """Return the entry of a path in the result, and its arrays."""
        uses = self.uses.get(name, {})
        if isinstance(outcome, Failure):
            return failed(name, outcome, uses, spent), self._recorded(name)
        result, arrays = summarise(self.paths[name], outcome, uses, self._parameters)
        return result, arrays | self._recorded(name)

    def _recorded(self, name: str) -> dict[str, AnyArray]:
        """Return what was evaluated for a path and the ends that it has had relaxed, if that is to be kept."""
        if self._record is None or name not in self.paths:
            return {}
        shared = _shared(name, self.uses[name])
        own = [use.end.task for which, use in self.uses[name].items() if which not in shared]
        return self._record.arrays([*own, name], len(self.paths[name].positions))

    def needs(self, name: str) -> tuple[str, ...]:
        """Return the tasks of a path's ends, one if they are the same configuration."""
        return tuple(dict.fromkeys(use.end.task for use in self.uses[name].values()))

    def fingerprint(self, name: str) -> str:
        """Return what the result of a path depends on, as a hash; with all its configurations it is another one."""
        question = self._question(name)
        return question if self._record is None else fingerprint(question, 'with all configurations')

    def _question(self, name: str) -> str:
        """Return what the answers to a path's questions depend on, as a hash."""
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
        start = initial(path, source.positions, target.positions, parameters.initial_path)
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
        endpoint_calls=sum(own[which].calls for which in ENDS if which not in shared),
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
    for which, end in zip(ENDS, (outcome.source, outcome.target)):
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
