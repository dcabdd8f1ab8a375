"""The records that imports leave: a process node for each chunk, with what was left out of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiida.orm import CalcFunctionNode, Data, Dict, QueryBuilder

from ...calculations.functions.import_entries import import_entries
from ...data.source import SourceData
from ...groups.dataset import DatasetGroup
from ..entry import Problem
from .names import printable

NO_CARD = '00000000-0000-0000-0000-000000000000'
"""Uuid that no node has, where a set was not imported: a database server takes nothing else for one."""
PROCESS_LABEL = import_entries.__name__
PROCESS_MODULE = import_entries.__module__


def imports_of(group: DatasetGroup, project: Sequence[str], part: str | None = None) -> QueryBuilder:
    """Return the query for the imports of a set, those that its own card is an input of, with the tag ``import``.

    Of a split that stands alone, those that made its entries; there may be other splits with the same card.

    :param part: of the source, if only those of one are wanted.
    """
    whole = group.whole
    conditions: dict[str, Any] = {'attributes.process_label': PROCESS_LABEL}
    if part is not None:
        conditions['attributes.part'] = part
    if whole.split is not None:
        made = QueryBuilder().append(DatasetGroup, filters={'id': whole.pk}, tag='split')
        made.append(Data, with_group='split', tag='entry').append(CalcFunctionNode, with_outgoing='entry', project='id')
        conditions['id'] = {'in': made.distinct().all(flat=True) or [0]}
    query = QueryBuilder().append(Dict, filters={'uuid': whole.facts.get('card') or NO_CARD}, tag='card')
    return query.append(CalcFunctionNode, with_incoming='card', tag='import', filters=conditions, project=list(project))


def recorded_problems(group: DatasetGroup, sha256: str | None = None) -> list[Problem]:
    """Return what was left out of a set by its imports, in the order of file and line.

    :param sha256: checksum of the source, if only what was left out of one is wanted.
    """
    query = imports_of(group, ['attributes.problems'])
    query.append(SourceData, with_outgoing='import', filters={} if sha256 is None else {'attributes.sha256': sha256})
    found = {Problem(*one) for some in query.all(flat=True) for one in some}
    return sorted(found, key=lambda one: (one.file, one.line, one.entry_id or '', one.reason))


def written(problem: Problem) -> Problem:
    """Return a problem as a record has it."""
    entry_id = None if problem.entry_id is None else printable(problem.entry_id)
    return Problem(printable(problem.file), problem.line, entry_id, printable(problem.reason))


def is_malformed(problem: Problem) -> bool:
    """Return whether a problem is of an entry; a split of which there is no file is none."""
    return bool(problem.line) or problem.entry_id is not None
