"""Restarting chains of the engine's jobs: every item to its end, across walltimes, lost jobs and full memories."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from aiida.common import AttributeDict
from aiida.common.links import LinkType
from aiida.engine import (
    BaseRestartWorkChain,
    CalcJob,
    ExitCode,
    ProcessHandlerReport,
    ToContext,
    append_,
    process_handler,
    while_,
)
from aiida.orm import Bool, CalcJobNode, Computer, Data, Dict, Int

from ..calculations.base import KEEP_FOLDER, LitrajCalcJob, register_exit_codes
from ..calculations.functions.merge_results import merge, merge_results
from ..calculations.monitors import STALLED, STOPPED_EXTRA
from ..contract.errors import BY_LABEL, FIRST_VERDICT
from ..contract.result import ITEMS
from .cleaning import clean_up, finished_folders
from .halving import halve, halve_processes, last_words
from .protocols import ProtocolMixin
from .resume import stopped_job
from .submission import submitted_before

MAX_IDLE_JOBS = 6
"""Jobs in a row that were cut off without a single new evaluation: then it is not bad luck."""
MAX_IDLE_CRASHES = 2
"""The same for an engine that says itself what it died of: a worker may have been killed once."""
KILLED_WORKER = 'signal 9'
SCHEDULER = CalcJob.exit_codes
NODE_FAILURES = (SCHEDULER.ERROR_SCHEDULER_OUT_OF_WALLTIME, SCHEDULER.ERROR_SCHEDULER_NODE_FAILURE)


def exit_code(label: str) -> ExitCode:
    """Return a line of the table of errors as AiiDA has it."""
    return ExitCode(BY_LABEL[label].status, BY_LABEL[label].message)


class EngineBaseWorkChain(ProtocolMixin, BaseRestartWorkChain):
    """Has items of one task done; resubmits those that were cut off, from their checkpoint, and gathers the finished.

    What a potential says of an item is not repeated: one that was given up or did not converge is kept as it is, and
    the chain ends with the exit code that the engine would have given, had it run in one go.

    :cvar outputs_name: namespace of the nodes that are made of items.
    :cvar further_outputs: namespaces of what else is made of some of them.
    """

    _process_class: type[LitrajCalcJob]
    outputs_name: ClassVar[str]
    further_outputs: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define inputs, outline and outputs."""
        super().define(spec)
        spec.expose_inputs(cls._process_class, namespace=cls.task())
        spec.inputs['max_iterations'].default = lambda: Int(20)
        spec.inputs['clean_workdir'].default = lambda: Bool(True)
        spec.inputs['clean_workdir'].help = 'Whether folders are cleaned once every item has come to its end.'
        spec.outline(
            cls.setup,
            while_(cls.should_run_process)(cls.run_process, cls.inspect_process),
            cls.results,
            cls.clean_up,
            cls.verdict,
        )
        spec.expose_outputs(cls._process_class, include=(cls.outputs_name, *cls.further_outputs, 'results'))
        register_exit_codes(spec)

    @classmethod
    def task(cls) -> str:
        """Return the task of the chain's jobs, which is the namespace of their inputs too."""
        return cls._process_class.task

    @classmethod
    def items_name(cls) -> str:
        """Return the name of the namespace of the items among the inputs of a job."""
        return ITEMS[cls.task()]

    @classmethod
    def filled_builder(
        cls, inputs: Mapping[str, Any], options: Mapping[str, Any] | None, computer: Computer | None
    ) -> Any:
        """Return a builder with these inputs of the jobs.

        :param options: ``metadata.options`` of the jobs.
        :param computer: where to run a code that is not bound to a computer.
        """
        builder = cls.get_builder()
        job = builder[cls.task()]
        for name, value in inputs.items():
            job[name] = value
        job.metadata.options = dict(options or {})
        if computer is not None:
            job.metadata.computer = computer
        return builder

    def given_items(self) -> dict[str, Any]:
        """Return the items of the chain, by name."""
        return dict(self.inputs[self.task()][self.items_name()])

    def largest(self) -> int:
        """Return the number of atoms of the largest item of the next job."""
        raise NotImplementedError

    @property
    def options(self) -> AttributeDict:
        """Options of the next job."""
        return self.ctx.inputs.metadata.options

    def setup(self) -> None:
        """Prepare the inputs of the first job."""
        super().setup()
        self.ctx.inputs = AttributeDict(self.exposed_inputs(self._process_class, self.task()))
        self.ctx.inputs.metadata = AttributeDict(self.ctx.inputs.metadata)
        self.ctx.inputs.metadata.options = AttributeDict(self.ctx.inputs.metadata.options)
        self.ctx.idle_jobs = self.ctx.furthest = self.ctx.last_calls = 0
        self._go_on_from_stopped()

    def _go_on_from_stopped(self) -> None:
        """Let the first job take up one of before that was cut off, unless it is told to, or that nothing be reused."""
        if 'parent_folder' in self.ctx.inputs or self.ctx.inputs.metadata.get('disable_cache', False):
            return
        found = stopped_job(self._process_class, self.ctx.inputs)
        if found is not None:
            job, self.ctx.inputs.parent_folder = found
            self.report(
                f'going on from {job.process_label}<{job.pk}>, which was cut off on the way to the same numbers'
            )

    def jobs(self) -> list[CalcJobNode]:
        """Return all jobs so far, in their order; aiida-core knows only of those since it last paused."""
        return [*self.ctx.get('before_pause', ()), *self.ctx.get('children', ())]

    def run_process(self) -> ToContext:
        """Submit the next job, or go on with the one that a killed worker has already submitted."""
        count, number = self.ctx.iteration + 1, len(self.jobs()) + 1
        earlier = submitted_before(self, f'iteration_{number:02d}', self.jobs())
        if earlier is None:
            self._leave_what_is_gone()
            self.ctx.iteration = number - 1  # what aiida-core makes the label of, which goes on after a pause
            submitted = super().run_process()
            self.ctx.iteration = count
            return submitted
        self.ctx.iteration = count
        considered = self.node.base.extras.get(self._considered_handlers_extra, [])
        if len(considered) < number:
            self.node.base.extras.set(self._considered_handlers_extra, [*considered, []])
        self.report(f'{earlier.process_label}<{earlier.pk}> was submitted before the worker was lost: going on with it')
        return ToContext(children=append_(earlier))

    def _leave_what_is_gone(self) -> None:
        """Begin anew where the folder to go on from has been cleaned meanwhile, which would not be accepted."""
        folder = self.ctx.inputs.get('parent_folder', None)
        if folder is not None and folder.is_cleaned:
            self.ctx.inputs.pop('parent_folder')
            self.report(f'the folder {folder.pk} to go on from has been cleaned meanwhile: beginning anew')

    def inspect_process(self) -> ExitCode | None:
        """Judge the last job; a chain that ends here, for whatever reason, keeps the items finished so far."""
        ended = super().inspect_process()
        if ended is not None and ended.status:
            for name, output in self.get_outputs(self.ctx.children[-1]).items():
                self.out(name, output)
        elif ended is None and not self.ctx.is_finished:
            self._go_on_after_all()
        return ended

    def _go_on_after_all(self) -> None:
        """Prepare the next job where aiida-core pauses, or tries once more, although no handler knows a remedy.

        It then counts from nothing, if these were all jobs allowed, and would judge the first of its jobs again: the
        chain takes them away from it.
        """
        self._prepare(self.ctx.children[-1])
        self.ctx.idle_jobs = 0
        if self.ctx.iteration == 0:
            self.ctx.before_pause, self.ctx.children = self.jobs(), []

    @process_handler(priority=700)
    def handle_all_finished(self, node: CalcJobNode) -> ProcessHandlerReport | None:
        """Whatever the job ended with: once no item is left to be done, the chain is done."""
        if node.is_finished_ok or self._unfinished():
            return None
        self.ctx.is_finished = True
        return ProcessHandlerReport(True)

    @process_handler(priority=600, exit_codes=[exit_code('ERROR_OUT_OF_TIME')])
    def handle_out_of_time(self, node: CalcJobNode) -> ProcessHandlerReport:
        """The engine stopped by its clock or a signal: go on from its checkpoint."""
        return self._resume(node)

    @process_handler(priority=595, exit_codes=[exit_code('ERROR_RESULT_MISSING')])
    def handle_lost_job(self, node: CalcJobNode) -> ProcessHandlerReport:
        """The engine was killed without a last word: go on from its checkpoint."""
        return self._resume(node)

    @process_handler(priority=592, exit_codes=[exit_code('ERROR_RESULT_INVALID'), exit_code('ERROR_RESULT_ARRAYS')])
    def handle_unreadable_result(self, node: CalcJobNode) -> ProcessHandlerReport:
        """The result has lost its end, on a full disk or on the way here: go on from the checkpoint."""
        return self._resume(node, patience=MAX_IDLE_CRASHES)

    @process_handler(priority=590, exit_codes=[exit_code('ERROR_ENGINE_CRASHED')])
    def handle_crash(self, node: CalcJobNode) -> ProcessHandlerReport:
        """The engine crashed, perhaps because a worker of it was killed: go on from its checkpoint.

        A worker that got signal 9 was most likely killed for memory (without accounting the scheduler does not say
        so): then with half as many.
        """
        halved = halve(self.options, node, self.largest()) if KILLED_WORKER in (node.exit_message or '') else None
        return self._resume(node, halved, patience=MAX_IDLE_CRASHES)

    @process_handler(priority=580, exit_codes=list(NODE_FAILURES))
    def handle_scheduler(self, node: CalcJobNode) -> ProcessHandlerReport:
        """The scheduler ended the job, or its node went down: go on from its checkpoint."""
        return self._resume(node)

    @process_handler(priority=570, exit_codes=[SCHEDULER.ERROR_SCHEDULER_OUT_OF_MEMORY])
    def handle_out_of_memory(self, node: CalcJobNode) -> ProcessHandlerReport:
        """The node's memory was full: go on with half of what fills it."""
        return self._resume(node, halve(self.options, node, self.largest()), patience=MAX_IDLE_CRASHES)

    @process_handler(priority=565, exit_codes=[SCHEDULER.STOPPED_BY_MONITOR])
    def handle_stopped(self, node: CalcJobNode) -> ProcessHandlerReport:
        """A monitor ended the job, which is the end; but go on from one that only hung, perhaps of the node's fault."""
        if node.base.extras.get(STOPPED_EXTRA, None) == STALLED:
            return self._resume(node, patience=MAX_IDLE_CRASHES)
        return self._give_up(node, 'a monitor has ended it for good')

    @process_handler(priority=560, exit_codes=[exit_code('ERROR_DEVICE_MEMORY')])
    def handle_device_memory(self, node: CalcJobNode) -> ProcessHandlerReport:
        """Worker processes that share a memory had no room for one configuration each: go on with half as many.

        Alone, and on a GPU, the engine itself has gone down to one configuration before it said so.
        """
        halved = halve_processes(self.options, node)
        if halved is None:
            return self._give_up(node, 'one configuration alone does not fit')
        return self._resume(node, halved)

    @process_handler(priority=100)
    def handle_unrecoverable(self, node: CalcJobNode) -> ProcessHandlerReport | None:
        """Nothing a restart could change: end with the job's own exit code and what is finished."""
        if node.is_finished_ok or node.exit_status not in {code.status for code in BY_LABEL.values()}:
            return None
        return self._give_up(node, 'a restart cannot change that')

    def get_outputs(self, node: CalcJobNode) -> Mapping[str, Any]:
        """Return all finished items, whichever job they are from, and one account of them.

        A chain makes no data: a single job's account is passed on as it is, several are merged by a calcfunction.
        """
        accounts = self._accounts()
        if not accounts:
            return {}
        made: dict[str, Any] = {}
        for namespace in (self.outputs_name, *self.further_outputs):
            done: dict[str, Data] = {}
            for child, _ in accounts:
                done |= _outputs(child).get(namespace, {})
            made |= {namespace: done} if done else {}
        if len(accounts) == 1:
            return {**made, 'results': accounts[0][1]}
        numbered = {f'iteration_{number:02d}': account for number, (_, account) in enumerate(accounts, start=1)}
        merged = merge_results(**numbered, metadata={'call_link_label': 'merge_results'})
        return {**made, 'results': merged}

    def clean_up(self) -> None:
        """Clean the folders, unless they shall stay, or another launch goes on: an item may have lost its trainer."""
        ended = self.verdict()
        if ended is not None and ended.status < FIRST_VERDICT:
            return
        if not self.inputs.clean_workdir.value or self.options.get(KEEP_FOLDER, False):
            return
        told = clean_up(lambda: finished_folders(self.jobs()))
        if told is not None:
            self.report(told)

    def on_terminated(self) -> None:
        """Leave what is there: aiida-core would clean the folders of a chain that another launch may go on from."""
        super(BaseRestartWorkChain, self).on_terminated()

    def verdict(self) -> ExitCode | None:
        """Return the exit code of the engine's table for all items together; ``None`` if all converged."""
        ended = merge([account.get_dict() for _, account in self._accounts()])['exit']
        return ExitCode(ended['status'], ended['message']) if ended['status'] else None

    def _accounts(self) -> list[tuple[CalcJobNode, Dict]]:
        """Return the jobs that left an account, with it. A job that has ended is asked once, for nothing is added."""
        known: dict[int, Dict | None] = self.__dict__.setdefault('_known_accounts', {})
        found = []
        for job in self.jobs():
            if job.pk not in known:
                link = job.base.links.get_outgoing(link_label_filter='results').first()
                account = None if link is None else link.node
                if job.is_terminated:
                    known[job.pk] = account
            else:
                account = known[job.pk]
            if account is not None:
                found.append((job, account))
        return found

    def _unfinished(self) -> dict[str, Any]:
        """Return the items that no job has brought to an end yet, as they were given."""
        done = set()
        for _, account in self._accounts():
            items = account['items']
            done |= {name for name, entry in items.items() if entry['status'] != 'unfinished'}
        return {name: item for name, item in self.given_items().items() if name not in done}

    def _resume(
        self, node: CalcJobNode, halved: str | None = None, patience: int = MAX_IDLE_JOBS
    ) -> ProcessHandlerReport:
        """Prepare the next job for what is left; give up if as many jobs in a row as ``patience`` got nowhere.

        ``halved`` tells what the next one will have less of; that makes it another job, so the counting starts again.
        """
        left = self._unfinished()
        moved = self._moved(node, len(left)) or halved is not None
        self.ctx.idle_jobs = 0 if moved else self.ctx.idle_jobs + 1
        if self.ctx.idle_jobs >= patience:
            return self._give_up(node, f'{self.ctx.idle_jobs} job(s) in a row did not get anywhere')
        changed = f' with {halved}' if halved else ''
        self.report(
            f'{node.process_label}<{node.pk}> ended with {node.exit_status}: {node.exit_message}; resuming from the '
            f'checkpoint{changed}, {len(left)} of {len(self.given_items())} {self.items_name()} left'
        )
        self._prepare(node)
        return ProcessHandlerReport(True)

    def _moved(self, node: CalcJobNode, n_left: int) -> bool:
        """Return whether a job has finished an item, or come further than any before it with the same items.

        One whose checkpoint was lost evaluates again what was evaluated before, which is not getting anywhere; the
        next one is, if it takes up all of that and goes on.
        """
        if n_left < len(self.ctx.inputs[self.items_name()]):
            self.ctx.furthest = self.ctx.last_calls = 0  # the next job counts the evaluations of fewer items
            return True
        progress = last_words(node)
        if progress is None:
            return False
        took_up_all = progress.resumed_calls >= self.ctx.last_calls > 0
        reached = progress.resumed_calls if took_up_all else max(progress.resumed_calls, self.ctx.furthest)
        self.ctx.furthest = max(progress.model_calls, self.ctx.furthest)
        self.ctx.last_calls = progress.model_calls
        return progress.model_calls > reached

    def _prepare(self, node: CalcJobNode) -> None:
        """Let the next job do what is left, from where the last one came to."""
        self.ctx.inputs[self.items_name()] = self._unfinished()
        if 'remote_folder' in node.outputs:
            self.ctx.inputs.parent_folder = node.outputs.remote_folder

    def _give_up(self, node: CalcJobNode, why: str) -> ProcessHandlerReport:
        """End the chain with the exit code of the job, also where this was the last job it was allowed."""
        self.ctx.is_finished = True
        self.report(f'{node.process_label}<{node.pk}> ended with {node.exit_status}: {node.exit_message}; {why}')
        return ProcessHandlerReport(True, ExitCode(node.exit_status, node.exit_message))


def _outputs(node: CalcJobNode) -> dict[str, Any]:
    return dict(node.base.links.get_outgoing(link_type=LinkType.CREATE).nested())
