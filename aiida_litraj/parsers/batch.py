"""From the result of a job to nodes, item by item: what the parsers of all tasks do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from aiida.common.links import LinkType
from aiida.engine import ExitCode
from aiida.orm import Data, Dict
from pydantic import ValidationError

from ..contract import files
from ..contract.arrays import AnyArray, unpack_arrays
from ..contract.base import SCHEMA_VERSION
from ..contract.errors import BY_LABEL, SUCCESS, LitrajError
from ..contract.result import ITEMS, ExitReport, ItemResult, JobResult, Progress
from .base import LitrajParser

SCHEDULERS = range(100, 200)
"""Exit codes that aiida-core gives a job before it is parsed."""


class BatchParser(LitrajParser):
    """Turns result file and arrays into nodes; without them, the items that were finished before the job was lost.

    :cvar result_model: of the result file.
    :cvar item_model: of an item's entry in it.
    :cvar outputs_name: namespace of the nodes made of items.
    :ivar audit: of the engine, as far as it has written one, before any node is made.
    """

    task: ClassVar[str]
    result_model: ClassVar[type[JobResult[Any]]]
    item_model: ClassVar[type[ItemResult]]
    outputs_name: ClassVar[str]
    audit: dict[str, Any] | None = None

    def node_of(self, given: Any, item: ItemResult, arrays: Mapping[str, AnyArray]) -> Data | None:
        """Return the node made of an item, ``None`` if there is nothing to make one of.

        :raises LitrajError: if its arrays are missing or do not fit what was given.
        """
        raise NotImplementedError

    def further(self, given: Any, item: ItemResult, arrays: Mapping[str, AnyArray]) -> dict[str, Data]:
        """Return what else is made of an item, by the namespace of outputs that it goes to under the item's name.

        :raises LitrajError: if its arrays do not fit what was given.
        """
        return {}

    def parse(self, retrieved_temporary_folder: str | None = None, **_: Any) -> ExitCode | None:
        """Attach ``results`` and a node for each item; return the exit code of the engine.

        If the scheduler has already said why the job ended, its exit code stands and only the outputs are kept.
        """
        self._temporary = Path(retrieved_temporary_folder) if retrieved_temporary_folder else None
        try:
            result, arrays = self.read_result(self.result_model), self.read_arrays()
            self._attach(result, arrays)
        except LitrajError as error:
            exit_code = self.exit_code(error)
            if not self._scheduler_said():
                ended = ExitReport(status=error.code.status, label=error.code.label, message=str(error))
            else:
                ended = self._scheduler_report()
            self._attach_finished(ended)
        else:
            exit_code = self.exit_code(result.exit)
        return None if self._scheduler_said() else exit_code

    def _scheduler_said(self) -> bool:
        """Return whether the scheduler has said why the job ended.

        Any other exit status is our own: of a worker that was killed before it had put the job's end on disk, which is
        therefore parsed once more. Taken for the scheduler's, it would let AiiDA end a job that failed with 0.
        """
        return self.node.exit_status in SCHEDULERS

    def _given(self) -> dict[str, Any]:
        return self.node.base.links.get_incoming(link_type=LinkType.INPUT_CALC).nested()[ITEMS[self.task]]

    def _scheduler_report(self) -> ExitReport:
        status = int(self.node.exit_status)
        label = next((label for label, code in self.exit_codes.items() if code.status == status), str(status))
        return ExitReport(status=status, label=label, message=self.node.exit_message or '')

    def _attach(self, result: JobResult[Any], arrays: Mapping[str, AnyArray]) -> None:
        """Check result and arrays against each other and the inputs, then attach both.

        :raises LitrajError: if they do not match; then nothing is attached.
        """
        unknown = {result.exit.label, *(item.label for item in result.items)} - {*BY_LABEL, SUCCESS.label, None}
        if unknown:
            raise LitrajError('ERROR_RESULT_INVALID', reason=f'labels not in the table: {", ".join(map(str, unknown))}')
        self.audit = None if result.audit is None else result.audit.model_dump(mode='json')
        given = self._given()
        items = {name: self._unfinished(name, result.exit) for name in given}
        items |= {item.id: item for item in result.items if item.id in given}
        by_item: dict[str, dict[str, AnyArray]] = {name: {} for name in given}
        for key, value in arrays.items():
            name, _, kind = key.partition('/')
            by_item.get(name, {})[kind] = value
        made = {name: self.node_of(given[name], item, by_item[name]) for name, item in items.items()}
        beside = {name: self.further(given[name], item, by_item[name]) for name, item in items.items()}
        lacking = [name for name, node in made.items() if node is None]
        if result.exit.status == SUCCESS.status and lacking:
            raise LitrajError('ERROR_RESULT_ARRAYS', reason=f'nothing for {", ".join(sorted(lacking))}')
        self._out(result.exit, items, made, beside)

    def _attach_finished(self, ended: ExitReport) -> None:
        """Attach what was finished before a job was lost, from the files of the single items."""
        self.audit = self._last_audit()
        given = self._given()
        items = {name: self._unfinished(name, ended) for name in given}
        made: dict[str, Data | None] = {}
        beside: dict[str, dict[str, Data]] = {}
        for item, arrays in self._finished_items():
            if item.id not in items:  # of an earlier job, which has given it already
                continue
            try:
                node, others = self.node_of(given[item.id], item, arrays), self.further(given[item.id], item, arrays)
            except LitrajError:
                continue
            items[item.id], made[item.id], beside[item.id] = item, node, others
        self._out(ended, items, made, beside)

    def _last_audit(self) -> dict[str, Any] | None:
        """Return the audit as the engine wrote it with its last progress, before it was killed."""
        try:
            audit = Progress.model_validate_json(self.text(files.PROGRESS) or '{}').audit
        except ValidationError:
            return None
        return None if audit is None else audit.model_dump(mode='json')

    def _out(
        self,
        ended: ExitReport,
        items: Mapping[str, ItemResult],
        made: Mapping[str, Data | None],
        beside: Mapping[str, Mapping[str, Data]],
    ) -> None:
        self.out('results', Dict(results_dict(self.task, ended, items, self.audit)))
        for name, node in made.items():
            if node is not None:
                self.out(f'{self.outputs_name}.{name}', node)
        for name, others in beside.items():
            for namespace, other in others.items():
                self.out(f'{namespace}.{name}', other)

    def _unfinished(self, name: str, ended: ExitReport) -> ItemResult:
        return self.item_model(id=name, status='unfinished', converged=False, label=ended.label, reason=ended.message)

    def _finished_items(self) -> Iterator[tuple[ItemResult, dict[str, AnyArray]]]:
        if self._temporary is None:
            return
        for entry in sorted((self._temporary / files.ITEMS).glob('*.json')):
            try:
                item = self.item_model.model_validate_json(entry.read_bytes())
                stored = entry.with_suffix('.npz')
                arrays = unpack_arrays(stored) if stored.exists() else {}
            except (OSError, ValueError):  # cut off in the middle of being written or fetched: it is done again
                continue
            yield item, arrays


def results_dict(
    task: str, ended: ExitReport, items: Mapping[str, ItemResult], audit: dict[str, Any] | None
) -> dict[str, Any]:
    """Return the content of the output ``results``: that of the result file, with the items by name."""
    return {
        'schema_version': SCHEMA_VERSION,
        'task': task,
        'exit': ended.model_dump(mode='json'),
        'items': {name: item.model_dump(mode='json', exclude={'id'}) for name, item in items.items()},
        'audit': audit,
    }
