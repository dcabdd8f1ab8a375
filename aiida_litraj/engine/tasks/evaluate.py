"""The ``evaluate`` task: blocks of configurations of any sizes, each evaluated once, as they are.

A block has one journal in the checkpoint, to which each answer is appended as it comes, so that a kill costs what was
in flight, and a hundred thousand configurations are one file and not as many.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

from ...contract.arrays import AnyArray, Array
from ...contract.errors import BY_LABEL
from ...contract.evaluate import EvaluateItem, EvaluateItemResult, EvaluateJob, EvaluateResult, FrameFailure
from ...contract.job import Item
from ...contract.result import ActiveItem
from ...contract.verdict import is_fault
from ..batch import BatchRun
from ..core.stages import StageFailed
from ..ends import fingerprint
from ..evaluation import Pool
from ..failure import Failure, failure
from ..folder import Folder, Stop
from ..journal import Journal
from ..models.interface import Configuration, Evaluation
from .reading import ItemArrays

PHASE = 'evaluation'
MOST_NAMED = 1000
"""Failures that the result of a block spells out."""
_WAIT_SECONDS = 1.0
"""How long to wait for an evaluation before the clock and the signals are looked at again."""
_VOIGT = ([0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1])


class Block:
    """The configurations of an item, and what is known of them so far."""

    def __init__(self, item: EvaluateItem, arrays: Mapping[str, AnyArray]) -> None:
        """Read them.

        :raises StageFailed: if an array is missing, or they do not go together.
        """
        given = ItemArrays(item.id, arrays)
        self.name = item.id
        self.offsets = given.read('offsets', np.int64)
        self.numbers = given.read('numbers', np.int64)
        n_frames, n_atoms = len(self.offsets) - 1, len(self.numbers)
        self.positions = given.read('positions', np.float64, (n_atoms, 3))
        self.cells = given.read('cells', np.float64, (n_frames, 3, 3))
        self.pbc = given.read('pbc', np.bool_, (n_frames, 3))
        sizes = np.diff(self.offsets)
        if n_frames < 1 or self.offsets[0] or self.offsets[-1] != n_atoms or (sizes < 1).any():
            raise given.invalid(f'offsets {self.offsets[:5].tolist()}... of {n_atoms} atoms are no frames of atoms')
        self.energies: Array = np.full(n_frames, np.nan)
        self.forces: Array = np.full((n_atoms, 3), np.nan)
        self.stresses: Array = np.full((n_frames, 6), np.nan)
        self.failures: dict[int, Failure] = {}
        self.n_done = self.n_calls = 0
        self.since: float | None = None

    def __len__(self) -> int:
        return len(self.cells)

    def configuration(self, frame: int, stress: bool, elements: list[str] | None) -> Configuration:
        """Return a frame.

        :raises StageFailed: if it cannot be evaluated, saying why.
        """
        atoms = slice(self.offsets[frame], self.offsets[frame + 1])
        numbers, positions = self.numbers[atoms], self.positions[atoms]
        cell, pbc = self.cells[frame], self.pbc[frame]
        ItemArrays(f'frame {frame}', {}).check(positions, cell, pbc, numbers, elements)
        return Configuration(numbers, positions, cell, pbc, stress=stress and bool(pbc.all()))

    def take(self, frame: int, answer: Evaluation | Failure) -> None:
        """Note what is known of a frame."""
        self.n_done += 1
        if isinstance(answer, Evaluation):
            self.n_calls += 1
            if not (np.isfinite(answer.energy) and np.isfinite(answer.forces).all()):
                answer = failure('ERROR_NON_FINITE', phase=PHASE)
        if isinstance(answer, Failure):
            self.failures[frame] = answer
            return
        self.energies[frame] = answer.energy
        self.forces[self.offsets[frame] : self.offsets[frame + 1]] = answer.forces
        if answer.stress is not None and np.isfinite(answer.stress).all():
            self.stresses[frame] = answer.stress[_VOIGT]

    def result(self) -> EvaluateItemResult:
        """Return how the block ended."""
        bad = sorted(self.failures)
        label, reason = self._verdict(bad)
        return EvaluateItemResult(
            id=self.name,
            status='finished' if len(bad) < len(self) else 'failed',
            converged=not bad,
            label=label,
            reason=reason,
            n_frames=len(self),
            n_evaluated=len(self) - len(bad),
            failures=[
                FrameFailure(frame=frame, label=self.failures[frame].label, reason=self.failures[frame].reason)
                for frame in bad[:MOST_NAMED]
            ],
            model_calls=self.n_calls,
        )

    def _verdict(self, bad: list[int]) -> tuple[str | None, str | None]:
        """Return label and reason of a block: the engine's fault first, then that some failed, then why all did."""
        if not bad:
            return None, None
        faults = [frame for frame in bad if is_fault(self.failures[frame].label)]
        first = (faults or bad)[0]
        why = f'frame {first}: {self.failures[first].reason}'
        some = BY_LABEL['ERROR_PARTIAL']
        counted = some.message.format(n_converged=len(self) - len(bad), n_total=len(self), items='frames')
        label = some.label if not faults and len(bad) < len(self) else self.failures[first].label
        return label, why if len(self) == 1 else f'{counted}; {why}'

    def arrays(self) -> dict[str, AnyArray]:
        """Return the arrays of the result; none if nothing was evaluated."""
        if len(self.failures) == len(self):
            return {}
        return {'energies': self.energies, 'forces': self.forces, 'stresses': self.stresses}


class EvaluateRun(BatchRun[EvaluateJob, EvaluateItemResult]):
    """One run of an ``evaluate`` job."""

    job_model = EvaluateJob
    result_model = EvaluateResult
    item_model = EvaluateItemResult

    def __init__(
        self, job: EvaluateJob, folder: Folder, arrays: Mapping[str, AnyArray], pool: Pool, stop: Stop
    ) -> None:
        super().__init__(job, folder, arrays, pool, stop)
        self._job_salt = fingerprint(self._salt, job.parameters.model_dump_json(), job.elements)
        own, said = pool.report.elements, job.elements
        self._elements = own if said is None else said if own is None else sorted(set(own) & set(said))
        self._blocks: dict[str, Block] = {}
        self._marks: dict[str, str] = {}
        self._journals: dict[str, Journal] = {}
        self._tickets: dict[int, tuple[Block, int, Configuration]] = {}
        self._next_ticket = 0
        self._calls = self._resumed_calls = 0

    @classmethod
    def at_once(cls, job: EvaluateJob, arrays: Mapping[str, AnyArray]) -> int:
        """Return how many configurations of a job can be evaluated at the same time: all there are."""
        return max(1, sum(len(arrays.get(f'{item.id}/cells', ())) for item in job.items))

    @property
    def calls(self) -> tuple[int, int]:
        """Evaluations so far, those of earlier runs included, and how many these are."""
        return self._calls, self._resumed_calls

    def active(self) -> list[ActiveItem]:
        """Return the blocks under way."""
        return [
            ActiveItem(id=name, phase=PHASE, step=block.n_done, max_steps=len(block))
            for name, block in self._blocks.items()
            if name in self._journals
        ]

    def unfinished(self, item: Item, reason: str) -> EvaluateItemResult:
        """Return the entry of a block that was cut off, with how far it is."""
        entry, block = super().unfinished(item, reason), self._blocks.get(item.id)
        if block is None:
            return entry
        known = {'n_frames': len(block), 'n_evaluated': block.n_done - len(block.failures)}
        return entry.model_copy(update={**known, 'model_calls': block.n_calls})

    def drive(self) -> None:
        """Evaluate all frames that no earlier run has evaluated."""
        waiting = self._to_ask()
        more = True
        while more or self._tickets:
            while more and self._pool.pending < self._pool.capacity and self._stop.keep_running():
                more = self._ask_next(waiting)
            if not self._stop.keep_running():
                break
            for ticket, answer in self._pool.collect(timeout=_WAIT_SECONDS):
                self._deliver(*self._tickets.pop(ticket), answer)
            self.tick()
        for journal in self._journals.values():
            journal.close()

    def _to_ask(self) -> Iterator[tuple[Block, int, Configuration]]:
        """Yield the frames that are to be evaluated; those known, or beyond evaluation, are noted on the way."""
        for item in self._job.items:
            block = self._open(item)
            if block is None:
                continue
            for frame in range(len(block)):
                if not self._stop.keep_running():
                    return
                if block.name not in self._journals:  # given up for its time
                    break
                try:
                    asked = block.configuration(frame, self._job.parameters.stress, self._elements)
                except StageFailed as error:
                    self._note(block, frame, Failure(error.label, str(error)))
                    continue
                known = self._journals[block.name].recall(0, frame, asked.positions, asked.cell)
                if known is None:
                    yield block, frame, asked
                    continue
                self._calls += 1
                self._resumed_calls += 1
                self._note(block, frame, known)

    def _open(self, item: EvaluateItem) -> Block | None:
        """Return a block and open its journal; ``None`` if it is settled already, or malformed."""
        try:
            block = Block(item, self._arrays)
        except StageFailed as error:
            self.settle(
                EvaluateItemResult(
                    id=item.id, status='failed', converged=False, label=error.label, reason=str(error)
                ),
                {},
            )  # fmt: skip
            return None
        parts = (block.offsets, block.numbers, block.positions, block.cells, block.pbc)
        mark = fingerprint(self._job_salt, *parts)
        kept = self._folder.kept(item.id, mark, EvaluateItemResult)
        if kept is not None:
            calls = sum(kept.calls.values())
            self._calls += calls
            self._resumed_calls += calls
            self.settle(kept.result, kept.arrays)
            return None
        self._blocks[item.id], self._marks[item.id] = block, mark
        self._journals[item.id] = Journal(self._folder.checkpoint / f'{item.id}.journal', mark)
        return block

    def _ask_next(self, waiting: Iterator[tuple[Block, int, Configuration]]) -> bool:
        """Submit the next frame; return whether there was one."""
        asked = next(waiting, None)
        if asked is None:
            return False
        block = asked[0]
        block.since = block.since or time.monotonic()
        self._tickets[self._next_ticket] = asked
        self._pool.submit(self._next_ticket, asked[2])
        self._next_ticket += 1
        return True

    def _deliver(self, block: Block, frame: int, asked: Configuration, answer: Evaluation | Failure) -> None:
        if block.name not in self._journals:  # given up for its time
            return
        if isinstance(answer, Evaluation):
            self._calls += 1
            self._journals[block.name].append(0, frame, asked.positions, answer, asked.cell)
        self._note(block, frame, answer)
        limit = self._job.runtime.max_item_seconds
        taken = time.monotonic() - (block.since or 0.0)
        if limit is not None and taken > limit and block.name in self._journals:
            self._give_up(block, failure('ERROR_ITEM_OUT_OF_TIME', seconds=f'{taken:.0f}', phase=PHASE, step=frame))

    def _give_up(self, block: Block, why: Failure) -> None:
        """End a block with the frames it has; the others fail."""
        open_frames: npt.NDArray[np.int64] = np.flatnonzero(np.isnan(block.energies))
        for frame in open_frames:
            block.failures.setdefault(int(frame), why)
        self._finish_block(block)

    def _note(self, block: Block, frame: int, answer: Evaluation | Failure) -> None:
        block.take(frame, answer)
        if block.n_done == len(block):
            self._finish_block(block)

    def _finish_block(self, block: Block) -> None:
        result, arrays = block.result(), block.arrays()
        self.settle(result, arrays)
        self._journals.pop(block.name).close()
        if not any(is_fault(one.label) for one in block.failures.values()):  # else the next run may do better
            self._folder.keep(result, arrays, self._marks[block.name], {block.name: block.n_calls})
