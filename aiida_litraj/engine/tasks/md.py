"""The ``md`` task: any number of replicas, each on its own way through molecular dynamics."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...contract.arrays import AnyArray, Array
from ...contract.errors import BY_LABEL
from ...contract.job import Item
from ...contract.md import Death, MdItem, MdItemResult, MdJob, MdParameters, MdResult, check_start
from ...contract.result import ActiveItem
from ..batch import BatchRun
from ..core.dynamics.geometry import wrapped
from ..core.dynamics.integrators import integrator_for
from ..core.dynamics.limits import Verdict
from ..core.dynamics.masses import masses_of
from ..core.dynamics.replica import Replica, at_start
from ..core.dynamics.schedule import Schedule
from ..core.dynamics.state import State, System, maxwell_boltzmann
from ..core.dynamics.units import FEMTOSECOND
from ..core.stages import StageFailed
from ..ends import fingerprint
from ..evaluation import Pool
from ..failure import Failure, failure
from ..folder import Folder, Stop
from ..models.interface import Configuration, Evaluation
from .md_files import Checkpoint, Recorder, history
from .md_summary import segment_results
from .reading import ItemArrays

_WAIT_SECONDS = 1.0
"""How long to wait for an evaluation before the clock and the signals are looked at again."""
_DEATHS_OF_EVALUATION: dict[str, Death] = {'ERROR_DEVICE_MEMORY': 'memory', 'ERROR_ITEM_OUT_OF_TIME': 'wall_time'}


@dataclass(frozen=True)
class Start:
    """A replica as it came: arrays as in ``contract.md``, velocities in the units of the integrators."""

    item: MdItem
    numbers: npt.NDArray[np.int64]
    positions: Array
    velocities: Array
    cell: Array
    system: System
    schedule: Schedule


def read_start(
    item: MdItem, arrays: Mapping[str, AnyArray], parameters: MdParameters, elements: list[str] | None
) -> Start:
    """Return the start of a replica.

    :raises StageFailed: naming what is wrong with it: a missing array, shapes that do not match, numbers that are not
        finite, a structure that cannot be run in the ensemble, an element the potential lacks.
    """
    given = ItemArrays(item.id, arrays)
    numbers = given.read('numbers', np.int64)
    n_atoms = numbers.size
    positions = given.read('positions', np.float64, (n_atoms, 3))
    cell, pbc = given.read('cell', np.float64, (3, 3)), given.read('pbc', np.bool_, (3,))
    try:
        check_start(positions, cell, pbc, parameters)
    except ValueError as error:
        raise given.invalid(str(error)) from error
    given.check(positions, cell, pbc, numbers, elements)
    schedule = Schedule(item.schedule, parameters.timestep_fs)
    system = System(masses_of(numbers), pbc, item.seed, free_centre=parameters.ensemble == 'nve')
    if parameters.initial_velocities == 'given':
        velocities = given.read('velocities', np.float64, (n_atoms, 3)) / FEMTOSECOND
        if not np.isfinite(velocities).all():
            raise given.invalid('velocities are not finite')
        velocities = velocities if system.free_centre else system.resting(velocities)
    elif parameters.initial_velocities == 'zero':
        velocities = np.zeros_like(positions)
    else:
        velocities = maxwell_boltzmann(system, schedule.at(0).kt)
    return Start(item, numbers, positions, velocities, cell, system, schedule)


@dataclass
class _Running:
    """A replica under way, what it has on disk, and its last steps."""

    start: Start
    fingerprint: str
    replica: Replica
    recorder: Recorder
    last: deque[State]
    calls: int
    since: float = field(default_factory=time.monotonic)
    saved: float = field(default_factory=time.monotonic)

    @property
    def name(self) -> str:
        return self.start.item.id


class MdRun(BatchRun[MdJob, MdItemResult]):
    """One run of an ``md`` job."""

    job_model = MdJob
    result_model = MdResult
    item_model = MdItemResult
    items_name = 'replicas'

    def __init__(self, job: MdJob, folder: Folder, arrays: Mapping[str, AnyArray], pool: Pool, stop: Stop) -> None:
        super().__init__(job, folder, arrays, pool, stop)
        self._parameters = job.parameters
        self._job_salt = fingerprint(self._salt, job.parameters.model_dump_json())
        self._active: dict[int, _Running] = {}
        self._next_ticket = 0
        self._calls = 0
        self._resumed_calls = 0

    @property
    def calls(self) -> tuple[int, int]:
        """Evaluations so far, those of earlier runs included, and how many these are."""
        return self._calls, self._resumed_calls

    def active(self) -> list[ActiveItem]:
        """Return the replicas under way."""
        return [
            ActiveItem(
                id=running.name,
                phase=self._phase(running),
                step=running.replica.state.step,
                max_steps=running.start.schedule.n_steps,
            )
            for running in self._active.values()
        ]

    def drive(self) -> None:
        """Move all replicas that no earlier run has brought to an end."""
        waiting = deque(self._to_do())
        while waiting or self._active:
            while waiting and self._pool.pending < self._pool.capacity and self._stop.keep_running():
                self._begin(*waiting.popleft())
            if not self._stop.keep_running():
                break
            for ticket, answer in self._pool.collect(timeout=_WAIT_SECONDS):
                self._deliver(self._active.pop(ticket), answer)
            self.tick()
        for running in self._active.values():
            self._save(running)

    def _to_do(self) -> list[tuple[Start, str]]:
        """Return the replicas still to be moved, with their fingerprints; the others are settled."""
        found = []
        for item in self._job.items:
            try:
                start = read_start(item, self._arrays, self._parameters, self._pool.report.elements)
            except StageFailed as error:
                self.settle(_given_up(item, Failure(error.label, str(error))), {})
                continue
            content = (start.numbers, start.positions, start.velocities, start.cell, start.system.pbc)
            mark = fingerprint(self._job_salt, item.model_dump_json(exclude={'id'}), *content)
            kept = self._folder.kept(item.id, mark, MdItemResult)
            if kept is None:
                found.append((start, mark))
            else:
                self._credit(kept.calls[item.id])
                self.settle(kept.result, kept.arrays)
        return found

    def _credit(self, calls: int) -> None:
        """Count evaluations that earlier runs have paid for."""
        self._calls += calls
        self._resumed_calls += calls

    def _begin(self, start: Start, mark: str) -> None:
        self._ask(self._resumed(start, mark) or self._running(start, mark, None))

    def _resumed(self, start: Start, mark: str) -> _Running | None:
        """Return the replica as its checkpoint has it, ``None`` where there is none that fits its records."""
        checkpoint = Checkpoint.read(self._file(start.item), mark)
        if checkpoint is None:
            return None
        try:
            running = self._running(start, mark, checkpoint)
        except (OSError, ValueError):
            return None
        self._credit(running.calls)
        return running

    def _running(self, start: Start, mark: str, checkpoint: Checkpoint | None) -> _Running:
        parameters, system = self._parameters, start.system
        integrator = integrator_for(parameters, system)
        state = at_start(integrator, start.positions, start.velocities, start.cell)
        replica = Replica(
            system,
            start.schedule,
            integrator,
            FEMTOSECOND * parameters.timestep_fs,
            parameters.limits,
            self._pool.report.cutoff_ang,
            state if checkpoint is None else checkpoint.state,
            state.volume if checkpoint is None else checkpoint.volume,
            None if checkpoint is None else checkpoint.energy,
        )
        counts = (0, 0) if checkpoint is None else (checkpoint.frames, checkpoint.thermo)
        recorder = Recorder(self._folder, start.item.id, start.numbers.tolist(), system, parameters, *counts)
        last = deque([] if checkpoint is None else checkpoint.last, maxlen=parameters.last_frames)
        calls = 0 if checkpoint is None else checkpoint.state.step + 1
        return _Running(start, mark, replica, recorder, last, calls)

    def _file(self, item: MdItem) -> Path:
        return self._folder.checkpoint / f'{item.id}.npz'

    def _ask(self, running: _Running) -> None:
        """Submit where the replica wants forces next, or end it if it must not be asked."""
        verdict = running.replica.ask()
        if verdict is not None:
            self._end(running, verdict)
            return
        place, system = running.replica.pending, running.start.system
        assert place is not None
        stress = bool(system.pbc.all()) and (self._parameters.ensemble == 'npt' or running.recorder.due(place.step))
        positions = wrapped(place.positions, place.cell, system.pbc)
        configuration = Configuration(running.start.numbers, positions, place.cell, system.pbc, stress)
        self._pool.submit(self._next_ticket, configuration)
        self._active[self._next_ticket] = running
        self._next_ticket += 1

    def _deliver(self, running: _Running, answer: Evaluation | Failure) -> None:
        """Finish the step of a replica, and ask for the next or end it."""
        replica = running.replica
        if isinstance(answer, Failure):
            self._end(running, answer)
            return
        if self._parameters.ensemble == 'npt' and answer.stress is None:
            potential = f'{self._pool.report.family}:{self._pool.report.name or self._pool.report.file}'
            self._end(running, failure('ERROR_NO_STRESS', potential=potential, task='npt'))
            return
        self._calls += 1
        running.calls += 1
        verdict = replica.take(answer.energy, answer.forces, answer.stress)
        if verdict is not None:
            self._end(running, verdict)
            return
        running.recorder.record(replica)
        running.last.append(replica.state)
        now, limit = time.monotonic(), self._job.runtime.max_item_seconds
        if replica.done:
            self._end(running, None)
        elif limit is not None and now - running.since > limit:
            where = {'phase': self._phase(running), 'step': replica.state.step}
            self._end(running, failure('ERROR_ITEM_OUT_OF_TIME', seconds=f'{now - running.since:.0f}', **where))
        else:
            if now - running.saved > self._job.runtime.checkpoint_seconds:
                self._save(running)
            self._ask(running)

    def _save(self, running: _Running) -> None:
        """Put on disk where the replica stands, once its records are there."""
        replica, recorder = running.replica, running.recorder
        if replica.start_energy is not None:
            recorder.sync()
            counts = recorder.frames.n_records, recorder.thermo.n_records
            checkpoint = Checkpoint(list(running.last), replica.start_energy, replica.start_volume, *counts)
            checkpoint.write(self._file(running.start.item), running.fingerprint)
        running.saved = time.monotonic()

    def _end(self, running: _Running, cause: Verdict | Failure | None) -> None:
        """Settle a replica: through its schedule, dead, or given up for now."""
        result = self._result(running, cause)
        arrays = _arrays(running, result.death is not None)
        self.settle(result, arrays)
        if result.label is not None and BY_LABEL[result.label].invalidates_cache:
            self._save(running)  # the next run may do better
            return
        running.recorder.sync()
        self._folder.keep(result, arrays, running.fingerprint, {result.id: running.calls})
        self._file(running.start.item).unlink(missing_ok=True)

    def _phase(self, running: _Running) -> str:
        schedule = running.start.schedule
        return f'segment {schedule.segment(running.replica.state.step + 1) + 1} of {len(schedule.ends)}'

    def unfinished(self, item: Item, reason: str) -> MdItemResult:
        """Return the entry of a replica that was cut off, with how far it has come."""
        entry = super().unfinished(item, reason)
        found = [running for running in self._active.values() if running.name == item.id]
        return entry.model_copy(update=self._way(found[0])) if found else entry

    def _way(self, running: _Running) -> dict[str, Any]:
        """Return how far a replica has come."""
        replica, timestep = running.replica, self._parameters.timestep_fs
        return {
            'n_steps': replica.state.step,
            'time_fs': replica.state.step * timestep,
            'duration_fs': running.start.schedule.n_steps * timestep,
            'n_atoms': len(running.start.numbers),
            'n_frames': running.recorder.frames.n_records,
        }

    def _result(self, running: _Running, cause: Verdict | Failure | None) -> MdItemResult:
        """Return the entry of a replica that has come to an end of some kind."""
        way = self._way(running)
        if isinstance(cause, Failure) and cause.label == 'ERROR_EVALUATION' and running.replica.begun:
            cause = Verdict('evaluation', cause.reason)  # a configuration it has come to, not one it was given
        death = None
        if isinstance(cause, Verdict):
            death = cause.death
            cause = failure('ERROR_UNSTABLE', time=f'{way["time_fs"]:g}', reason=cause.reason)
        elif cause is not None:
            death = _DEATHS_OF_EVALUATION.get(cause.label)
        frames, thermo = running.recorder.read()
        schedule, closest = running.start.schedule, frames['closest_ang'][frames['step'] > 0]
        contacts = int((closest <= self._parameters.contact_distance_ang).sum())
        return MdItemResult(
            id=running.name,
            status='finished' if cause is None else 'failed',
            converged=cause is None,
            label=None if cause is None else cause.label,
            reason=None if cause is None else cause.reason,
            death=death,
            contact_frames=contacts,
            closest_ang=float(closest.min()) if len(closest) else None,
            segments=segment_results(
                thermo, schedule, running.replica.state.step, self._parameters.timestep_fs, way['n_atoms']
            ),
            **way,
        )


def _given_up(item: MdItem, fault: Failure) -> MdItemResult:
    """Return the entry of a replica that was never begun."""
    return MdItemResult(id=item.id, status='failed', converged=False, label=fault.label, reason=fault.reason)


def _arrays(running: _Running, died: bool) -> dict[str, AnyArray]:
    """Return where a replica stands, and of one that died the way there, as ``contract.md`` has it."""
    replica = running.replica
    state = replica.state
    arrays: dict[str, AnyArray] = {
        'positions': state.positions,
        'velocities': state.velocities * FEMTOSECOND,
        'cell': state.cell,
    }
    if died:
        steps = [*running.last, *([] if replica.pending is None else [replica.pending])]
        last = history(steps)
        last['velocities'] = np.array([step.velocities for step in steps]) * FEMTOSECOND
        arrays |= {f'last/{name}': value for name, value in last.items() if name != 'stresses'}
    return arrays
