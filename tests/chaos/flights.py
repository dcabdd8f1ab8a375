"""A launch of a chain that is followed through everything that happens to it, and what must hold of it in the end."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from aiida.manage import get_manager
from aiida.orm import Log, ProcessNode, QueryBuilder, WorkChainNode, load_node

from tests.chaos.chains import Kind, differences
from tests.chaos.fault import LABEL_CODES, Fault

MOST_LAUNCHES = 5
LOG_LINES = 6
DATABASE_TRIES, DATABASE_WAIT_S = 20, 1.0
Answer = TypeVar('Answer')


@dataclass
class Hit:
    """A fault that a flight has met."""

    number: int
    fault: Fault
    said: str


@dataclass(frozen=True)
class State:
    """What the database has of a chain or of what it has called."""

    pk: int
    state: str
    exit_status: int | None
    paused: bool
    status: str
    job_id: str | None
    folder: Path | None

    @property
    def is_terminated(self) -> bool:
        return self.state in ('finished', 'excepted', 'killed')


STATE_KEYS = ('process_state', 'exit_status', 'paused', 'process_status', 'job_id', 'remote_workdir')


def states_of(chains: list[int]) -> dict[int, list[State]]:
    """Return the state of each chain, and after it those of what it has called, in two queries."""
    keys = ['id', *(f'attributes.{key}' for key in STATE_KEYS)]
    query = QueryBuilder().append(WorkChainNode, filters={'id': {'in': chains}}, project=keys)
    called = QueryBuilder().append(WorkChainNode, filters={'id': {'in': chains}}, project='id', tag='chain')
    called.append(ProcessNode, with_incoming='chain', project=keys)
    rows = [[row[0], *row] for row in query.all()] + sorted(called.all(), key=lambda row: row[1])
    found: dict[int, list[State]] = {chain: [] for chain in chains}
    for chain, pk, state, exit_status, paused, status, job_id, folder in rows:
        place = Path(folder) if folder else None
        found[chain].append(State(pk, state or '', exit_status, bool(paused), status or '', job_id, place))
    return found


@dataclass
class Flight:
    """One launch with its nonce, and the launches again of what ended with a clear exit code.

    :ivar chains: their primary keys, in their order.
    :ivar paused: what paused processes said, and after which faults they were played.
    """

    kind: Kind
    nonce: int
    rerunnable: bool
    begun: float = field(default_factory=time.monotonic)
    chains: list[int] = field(default_factory=list)
    hits: list[Hit] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)
    paused: list[str] = field(default_factory=list)
    remedies: list[str] = field(default_factory=list)
    pulse: list[State] = field(default_factory=list)
    moved: float = field(default_factory=time.monotonic)
    work: int = 0
    violations: list[str] = field(default_factory=list)

    @property
    def label(self) -> str:
        return f'{self.kind.name} {self.nonce}'

    def launch(self) -> None:
        """Submit the chain, once, whatever happens to broker and database meanwhile."""
        known = set(self.chains)
        try:
            found = self.kind.launch(self.nonce, self.rerunnable).pk
        except Exception as error:
            self.remedies.append(f'submission failed: {type(error).__name__}: {error}'[:200])
            begin_anew()
            query = QueryBuilder().append(WorkChainNode, filters={'label': self.label}, project='id')
            left = sorted(set(ask(lambda: query.all(flat=True))) - known)
            if not left:
                return
            found = left[-1]
        self.chains.append(found)
        self.moved = time.monotonic()

    @property
    def node(self) -> ProcessNode:
        return load_node(self.chains[-1])

    def expected(self) -> frozenset[int]:
        """Return the exit codes with which it may end, to be launched again."""
        codes = {code for hit in self.hits for code in hit.fault.ends_as(self.kind.name)}
        return frozenset(codes | (LABEL_CODES if self.kind.name == 'label' and self.hits else set()))

    def bound(self, reference: int) -> int:
        """Return the most work that it may have done."""
        allowed = reference
        for hit in self.hits:
            whole = 'checkpoint' in hit.fault.name or 'truncated' in hit.fault.name
            allowed += reference if whole else hit.fault.costs * self.kind.lost_by_a_kill()
        return allowed

    def judge(self, reference: dict[str, Any], work: int) -> None:
        """Note every invariant that does not hold, now that it has come to its end."""
        self.work = sum(self.kind.work(load_node(pk)) for pk in self.chains)
        told = (
            differences(self.kind.numbers(self.node), reference, self.kind.tolerance)
            if self.node.is_finished_ok
            else []
        )
        self.violations += [f'number differs: {each}' for each in told[:5]]
        if self.work > self.bound(work):
            self.violations.append(f'{self.work} {self.kind.unit}, at most {self.bound(work)} were expected of {work}')
        chains = [load_node(pk) for pk in self.chains]
        self.violations += [f'done twice: {each}' for each in self.kind.done_twice(chains)]

    def evidence(self) -> list[str]:
        """Return what a person needs to find out what went wrong."""
        lines = [f'hits: {[(hit.number, hit.fault.name, hit.said) for hit in self.hits]}']
        lines += [f'remedies: {self.remedies}', f'paused: {self.paused}', f'codes: {self.codes}']
        for pk in self.chains:
            node = load_node(pk)
            lines.append(f'chain {pk}: {node.process_state} {node.exit_status} {node.exit_message}')
            for each in node.called_descendants:
                said = f'{each.process_state} {each.exit_status} {each.exit_message} {each.process_status or ""}'
                lines.append(f'  {each.pk} {each.process_label}: {said}')
                lines += [f'    {log.message[-400:]}' for log in Log.collection.get_logs_for(each)[-LOG_LINES:]]
            lines += [f'  report: {log.message[-400:]}' for log in Log.collection.get_logs_for(node)[-LOG_LINES:]]
        return lines


def ask(question: Callable[[], Answer]) -> Answer:
    """Return an answer of the database, which may be away or full for a while."""
    for attempt in range(DATABASE_TRIES):
        try:
            return question()
        except Exception:
            if attempt == DATABASE_TRIES - 1:
                raise
            roll_back()
            time.sleep(DATABASE_WAIT_S)
    raise AssertionError


def roll_back() -> None:
    try:
        get_manager().get_profile_storage().get_session().rollback()
    except Exception:
        time.sleep(DATABASE_WAIT_S)


def begin_anew() -> None:
    """Let go of a broker that may have died."""
    roll_back()
    manager = get_manager()
    try:
        manager.reset_broker()
        manager.reset_runner()
    except Exception:
        manager._broker = manager._process_controller = manager._runner = None
