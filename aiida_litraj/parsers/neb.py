"""Parser of ``neb`` jobs: optimised paths and how each ended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from aiida.common.links import LinkType
from aiida.engine import ExitCode
from aiida.orm import Dict
from pydantic import ValidationError

from ..contract import files
from ..contract.arrays import AnyArray, unpack_arrays
from ..contract.errors import BY_LABEL, SUCCESS, LitrajError
from ..contract.neb import NebItemResult, NebResult
from ..contract.result import ExitReport, Progress
from ..data.path import PathData
from .base import LitrajParser

PATH_ARRAYS = ('positions', 'energies', 'forces', 'neb_forces')


class NebParser(LitrajParser):
    """Turns result file and arrays into nodes; without them, the paths that were finished before the job was lost."""

    def parse(self, retrieved_temporary_folder: str | None = None, **_: Any) -> ExitCode | None:
        """Attach ``results`` and ``paths``; return the exit code of the engine.

        If the scheduler has already said why the job ended, its exit code stands and only the outputs are kept.
        """
        try:
            result, arrays = self.read_result(NebResult), self.read_arrays()
            self._attach(result, arrays)
        except LitrajError as error:
            exit_code = self.exit_code(error)
            if self.node.exit_status is None:
                ended = ExitReport(status=error.code.status, label=error.code.label, message=str(error))
            else:
                ended = self._scheduler_report()
            self._attach_finished(retrieved_temporary_folder, ended)
        else:
            exit_code = self.exit_code(result.exit)
        return exit_code if self.node.exit_status is None else None

    def _given(self) -> dict[str, PathData]:
        return self.node.base.links.get_incoming(link_type=LinkType.INPUT_CALC).nested()['paths']

    def _scheduler_report(self) -> ExitReport:
        status = int(self.node.exit_status)
        label = next((label for label, code in self.exit_codes.items() if code.status == status), str(status))
        return ExitReport(status=status, label=label, message=self.node.exit_message or '')

    def _attach(self, result: NebResult, arrays: Mapping[str, AnyArray]) -> None:
        """Check result and arrays against each other and the inputs, then attach both.

        :raises LitrajError: if they do not match; then nothing is attached.
        """
        unknown = {result.exit.label, *(item.label for item in result.items)} - {*BY_LABEL, SUCCESS.label, None}
        if unknown:
            raise LitrajError('ERROR_RESULT_INVALID', reason=f'labels not in the table: {", ".join(map(str, unknown))}')
        given = self._given()
        items = {name: _unfinished(name, result.exit) for name in given}
        items |= {item.id: item for item in result.items if item.id in given}
        by_item: dict[str, dict[str, AnyArray]] = {name: {} for name in given}
        for key, value in arrays.items():
            name, _, kind = key.partition('/')
            by_item.get(name, {})[kind] = value
        paths = {
            name: optimised_path(given[name], by_item[name], name)
            for name, item in items.items()
            if by_item[name] or item.status == 'finished'
        }
        if result.exit.status == SUCCESS.status and set(given) - set(paths):
            raise LitrajError('ERROR_RESULT_ARRAYS', reason=f'no path for {", ".join(sorted(set(given) - set(paths)))}')
        self._out(result.exit, items, paths, None if result.audit is None else result.audit.model_dump(mode='json'))

    def _attach_finished(self, temporary: str | None, ended: ExitReport) -> None:
        """Attach what was finished before a job was lost, from the files of the single items."""
        given = self._given()
        items = {name: _unfinished(name, ended) for name in given}
        paths = {}
        for item, arrays in _finished_items(temporary):
            if item.id not in items:  # of an earlier job, which has given it already
                continue
            try:
                if arrays or item.status == 'finished':
                    paths[item.id] = optimised_path(given[item.id], arrays, item.id)
            except LitrajError:
                continue
            items[item.id] = item
        self._out(ended, items, paths, self._last_audit())

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
        items: Mapping[str, NebItemResult],
        paths: Mapping[str, PathData],
        audit: dict[str, Any] | None,
    ) -> None:
        self.out('results', Dict(results_dict(ended, items, audit)))
        for name, path in paths.items():
            self.out(f'paths.{name}', path)


def results_dict(ended: ExitReport, items: Mapping[str, NebItemResult], audit: dict[str, Any] | None) -> dict[str, Any]:
    """Return the content of the output ``results``: that of the result file, with the items by name."""
    return {
        'schema_version': NebResult.model_fields['schema_version'].default,
        'task': 'neb',
        'exit': ended.model_dump(mode='json'),
        'items': {name: item.model_dump(mode='json', exclude={'id'}) for name, item in items.items()},
        'audit': audit,
    }


def optimised_path(given: PathData, arrays: Mapping[str, AnyArray], name: str) -> PathData:
    """Return the optimised path that belongs to the path ``given``.

    :raises LitrajError: if an array is missing or does not fit the atoms and images that were given.
    """
    lacking = [key for key in PATH_ARRAYS if key not in arrays]
    if lacking:
        raise LitrajError('ERROR_RESULT_ARRAYS', reason=f'{name}: {", ".join(lacking)} missing')
    shape = (given.n_images, given.natoms, 3)
    if arrays['positions'].shape != shape:
        found = arrays['positions'].shape
        raise LitrajError('ERROR_RESULT_ARRAYS', reason=f'{name}: positions of shape {found}, not {shape}')
    try:
        return PathData.from_arrays(
            symbols=given.symbols,
            cell=given.cell,
            pbc=given.pbc,
            mobile=given.mobile,
            fixed=given.fixed,
            labels=given.labels,
            **arrays,
        )
    except (ValueError, TypeError) as error:
        raise LitrajError('ERROR_RESULT_ARRAYS', reason=f'{name}: {error}') from error


def _unfinished(name: str, ended: ExitReport) -> NebItemResult:
    return NebItemResult(id=name, status='unfinished', converged=False, label=ended.label, reason=ended.message)


def _finished_items(temporary: str | None) -> Iterator[tuple[NebItemResult, dict[str, AnyArray]]]:
    folder = Path(temporary or '.') / files.ITEMS
    for entry in sorted(folder.glob('*.json')) if temporary else []:
        try:
            item = NebItemResult.model_validate_json(entry.read_bytes())
            stored = entry.with_suffix('.npz')
            arrays = unpack_arrays(stored) if stored.exists() else {}
        except (OSError, ValueError):  # cut off in the middle of being written or fetched: it is done again
            continue
        yield item, arrays
