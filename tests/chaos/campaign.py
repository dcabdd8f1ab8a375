"""The campaign: chains in flight, faults at random moments, remedies, and what must hold in the end."""

from __future__ import annotations

import contextlib
import math
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import psutil
from aiida.engine.processes import control
from aiida.orm import load_node

from tests.chaos.bench import Bench
from tests.chaos.chains import Kind
from tests.chaos.fault import Fault, Target
from tests.chaos.flights import MOST_LAUNCHES, Flight, Hit, State, begin_anew, states_of

IN_FLIGHT = 6
GAP_S = (0.5, 3.0)
"""Between the end of a fault and the next one."""
TARGET_S = 60.0
"""How long is waited for a job that a fault can hit."""
STALE_S, HOPELESS_S = 45.0, 240.0
"""After so long without any sign of life processes are repaired, while the daemon is stopped; then it hangs."""
REFERENCE_S = 400.0
HURRIED = 'scontrol update StartTime=now'
EXCEPTED = -1
"""For the exit code of a chain that has none."""
LOOK_S = 1.0
LANDING_S = 120.0
"""What chains have to come to their end after the last fault, where there is a limit in minutes."""


@dataclass
class Injection:
    """A fault that has happened."""

    number: int
    name: str
    kind: str
    moment: float
    said: str
    hit: list[str] = field(default_factory=list)


class Campaign:
    """See :meth:`run`."""

    def __init__(
        self,
        bench: Bench,
        kinds: dict[str, Kind],
        faults: list[Fault],
        seed: int,
        tell: Callable[[str], None],
        in_flight: int = IN_FLIGHT,
    ) -> None:
        self.bench, self.kinds, self.faults, self.tell = bench, kinds, faults, tell
        self.chance = random.Random(seed)
        self.in_flight = in_flight
        self.told: Callable[[], None] = lambda: None
        self.begun = time.monotonic()
        self.references: dict[str, tuple[dict[str, Any], int]] = {}
        self.flights: list[Flight] = []
        self.ended: list[Flight] = []
        self.injections: list[Injection] = []
        self.nonces = count(1)
        self.order = self._kinds_in_turn()

    def run(self, n_faults: int, minutes: float = math.inf) -> None:
        """Inject faults until there were ``n_faults``, or for so long, and follow chains to their end.

        What is left in ``flights`` had not come to its end when the time was over.
        """
        plan = self._plan()
        limit = time.monotonic() + 60.0 * minutes
        while len(self.injections) < n_faults and time.monotonic() < limit:
            self._fill_up()
            fault, hold = next(plan)
            self._wait(self.chance.uniform(*GAP_S))
            self._inject(fault, hold)
        while self.flights and time.monotonic() < limit + LANDING_S:
            self._look()
            time.sleep(LOOK_S)

    # --- undisturbed -------------------------------------------------------------------------------------------------

    def undisturbed(self) -> None:
        """Run a chain of each kind in peace: its numbers and its work are what the others are compared with."""
        flights = []
        for kind in self.kinds.values():
            flights.append(Flight(kind, next(self.nonces), rerunnable=True))
            flights[-1].launch()
        limit = time.monotonic() + REFERENCE_S
        while not all(flight.node.is_terminated for flight in flights):
            if time.monotonic() > limit:
                raise RuntimeError(f'no reference: {[flight.evidence() for flight in flights]}')
            time.sleep(LOOK_S)
        for flight in flights:
            if not flight.node.is_finished_ok:
                raise RuntimeError('no reference: ' + '\n'.join(flight.evidence()))
            self.references[flight.kind.name] = flight.kind.numbers(flight.node), flight.kind.work(flight.node)
            self.tell(f'undisturbed {flight.label}: {self.references[flight.kind.name][1]} {flight.kind.unit}')

    # --- faults ------------------------------------------------------------------------------------------------------

    def _kinds_in_turn(self) -> Iterator[str]:
        while True:
            names = list(self.kinds)
            self.chance.shuffle(names)
            yield from names

    def _plan(self) -> Iterator[tuple[Fault, float]]:
        """Yield faults, each as often as the others, with how long each lasts."""
        while True:
            for fault in self.chance.sample(self.faults, len(self.faults)):
                yield fault, self.chance.uniform(*fault.holds)

    def _inject(self, fault: Fault, hold: float) -> None:
        flight, target = self._target(fault) if fault.of_job else (None, None)
        if fault.of_job and target is None:
            return
        number = len(self.injections) + 1
        moment = time.monotonic() - self.begun
        alive = list(self.flights)
        said = fault.inject(self.bench, target, self.chance)
        if said is None:
            return
        self.tell(f'{moment:6.1f} s  {number:3d} {fault.name}{f" of {flight.label}" if flight else ""}: {said}')
        kind = target.kind if target else 'all'
        injection = Injection(number, fault.name, kind, round(moment, 1), said)
        for each in [flight] if flight else alive:
            each.hits.append(Hit(number, fault, said))
            injection.hit.append(each.label)
        self.injections.append(injection)
        self.told()
        time.sleep(hold)
        fault.heal(self.bench)
        if fault.holds[1]:
            begin_anew()

    def _target(self, fault: Fault) -> tuple[Flight | None, Target | None]:
        """Return a job that runs and its flight, of the kind that this fault has met least often so far."""
        limit = time.monotonic() + TARGET_S
        while time.monotonic() < limit:
            found = [pair for pair in self._targets() if pair[1].kind in fault.kinds]
            if found:
                met = Counter(each.kind for each in self.injections if each.name == fault.name)
                least = min(met[target.kind] for _, target in found)
                return self.chance.choice([pair for pair in found if met[pair[1].kind] == least])
            self._wait(LOOK_S)
        return None, None

    def _targets(self) -> list[tuple[Flight, Target]]:
        running = processes_below(self.bench.work)
        found = []
        for flight in self.flights:
            for state in flight.pulse:
                inside = tuple(running.get(state.folder, ())) if state.folder and state.job_id else ()
                if inside and not state.is_terminated:
                    target = Target(flight.kind.name, state.folder, state.job_id, inside)
                    found += [(flight, target)] if target.main else []
        return found

    # --- chains ------------------------------------------------------------------------------------------------------

    def _fill_up(self) -> None:
        while len(self.flights) < self.in_flight:
            flight = Flight(self.kinds[next(self.order)], next(self.nonces), self.chance.random() < 0.5)
            flight.launch()
            if not flight.chains:
                return
            self.flights.append(flight)

    def _wait(self, seconds: float) -> None:
        limit = time.monotonic() + seconds
        self._look()
        while time.monotonic() < limit:
            time.sleep(min(LOOK_S, max(0.0, limit - time.monotonic())))
            self._look()
        self._fill_up()

    def _look(self) -> None:
        """Judge what has ended, play what is paused, mend what has not moved for long."""
        try:
            states = states_of([flight.chains[-1] for flight in self.flights])
            for flight in list(self.flights):
                pulse = states[flight.chains[-1]]
                if pulse != flight.pulse or traced(self.bench, pulse) > flight.moved:
                    flight.pulse, flight.moved = pulse, time.monotonic()
                if pulse[0].is_terminated:
                    self._end(flight)
                else:
                    self._play(flight)
                    self._hurry(flight)
        except Exception as error:
            self.tell(f'          asked in vain: {type(error).__name__}: {str(error)[:100]}')
            begin_anew()
        self._mend()

    def _end(self, flight: Flight) -> None:
        node, (reference, work) = flight.node, self.references[flight.kind.name]
        if node.is_finished_ok:
            flight.judge(reference, work)
        else:
            ended = f'{node.process_state.value} {node.exit_status}: {node.exit_message or node.exception}'
            flight.codes.append(node.exit_status or EXCEPTED)
            self.tell(f'          {flight.label} <{node.pk}> {ended}'[:220])
            excused = any(hit.fault.excepts for hit in flight.hits) if node.is_excepted else False
            if not excused and (not node.is_finished or node.exit_status not in flight.expected()):
                flight.violations.append(f'unexpected end: {ended}')
            if len(flight.chains) < MOST_LAUNCHES:
                flight.launch()
                return
            flight.violations.append(f'not done after {MOST_LAUNCHES} launches')
        self._close(flight)

    def _close(self, flight: Flight) -> None:
        self.flights.remove(flight)
        self.ended.append(flight)
        for each in flight.violations:
            self.tell(f'VIOLATION {flight.label}: {each}')
        if flight.violations:
            self.tell('\n'.join(f'    {line}' for line in flight.evidence()))

    def _play(self, flight: Flight) -> None:
        for state in flight.pulse:
            if state.paused and not state.is_terminated:
                flight.paused.append(state.status)
                self.tell(f'          {flight.label}: play {state.pk}: {state.status}')
                try:
                    control.play_processes([load_node(state.pk)], timeout=10)
                except Exception as error:
                    self.tell(f'          not played: {type(error).__name__}: {error}')
                    begin_anew()

    def _hurry(self, flight: Flight) -> None:
        """Let begin what Slurm has queued again: that waits for two minutes, and AiiDA calls it held."""
        for state in flight.pulse:
            if 'QUEUED_HELD' in state.status and not state.is_terminated and state.job_id:
                self.bench.slurm('scontrol', 'release', state.job_id)
                self.bench.slurm('scontrol', 'update', f'JobId={state.job_id}', 'StartTime=now')
                if HURRIED not in flight.remedies:
                    flight.remedies.append(HURRIED)

    def _mend(self) -> None:
        now = time.monotonic()
        stale = [flight for flight in self.flights if now - flight.moved > STALE_S]
        for flight in [each for each in stale if now - each.begun > HOPELESS_S and len(each.remedies) > 2]:
            flight.violations.append(f'hangs: nothing has moved for {now - flight.moved:.0f} s')
            self._close(flight)
            stale.remove(flight)
        if not stale:
            return
        for flight in stale:
            told = [f'{each.pk} {each.state} {each.status}' for each in flight.pulse if not each.is_terminated]
            self.tell(f'          {flight.label}: no life for {STALE_S:.0f} s, repaired: {told}')
        self.bench.resume_node()
        said = self.bench.repair()
        self.tell('\n'.join(f'            {line}' for line in said.splitlines()[-8:]))
        begin_anew()
        for flight in stale:
            flight.remedies.append('processes repaired')
        for flight in self.flights:
            flight.moved = time.monotonic()


def traced(bench: Bench, pulse: list[State]) -> float:
    """Return when a job of a chain last evaluated anything, on the clock of ``time.monotonic``."""
    ago = [math.inf]
    for state in pulse:
        trace = bench.calls / '-'.join(state.folder.parts[-3:]) if state.folder else None
        if trace and trace.exists():
            ago.append(time.time() - trace.stat().st_mtime)
    return time.monotonic() - min(ago)


def processes_below(work: Path) -> dict[Path, list[psutil.Process]]:
    """Return the processes that run in the folder of a job, or below, by that folder."""
    found: dict[Path, list[psutil.Process]] = {}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ValueError, OSError):
            parts = Path(process.cwd()).relative_to(work).parts
            if len(parts) >= 3:
                found.setdefault(work.joinpath(*parts[:3]), []).append(process)
    return found
