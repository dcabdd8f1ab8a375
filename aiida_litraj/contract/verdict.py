"""How a job as a whole ended, judged from how its items did: the same rule on both sides of the wire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .errors import BY_LABEL, SUCCESS
from .result import ExitReport, ItemResult

_ITEM_FAULTS = ('ERROR_ITEM_INVALID', 'ERROR_ELEMENTS_NOT_COVERED')
"""Faults of the input that come back the same however often the item is run."""


def judge(results: Sequence[ItemResult], items: str) -> ExitReport:
    """Return how the job ended, from how its items did; ``items`` is what they are called, such as ``paths``.

    Unfinished items come first (resubmit), then a fault of the engine (not a valid source for the cache), then one
    common verdict, then "n of N".
    """
    n_total, n_converged = len(results), sum(result.converged for result in results)
    unfinished = sum(result.status == 'unfinished' for result in results)
    if unfinished:
        return exit_report('ERROR_OUT_OF_TIME', n_done=n_total - unfinished, n_total=n_total, items=items)
    bad = [result for result in results if not result.converged]
    if not bad:
        return ExitReport(status=SUCCESS.status, label=SUCCESS.label, message=f'all {items} converged')
    faults = [result for result in bad if is_fault(str(result.label))]
    if faults or (not n_converged and len({result.label for result in bad}) == 1):
        worst = (faults or bad)[0]
        code = BY_LABEL[str(worst.label)]
        return ExitReport(status=code.status, label=code.label, message=f'{worst.id}: {worst.reason}')
    return exit_report('ERROR_PARTIAL', n_converged=n_converged, n_total=n_total, items=items)


def is_fault(label: str) -> bool:
    """Return whether what is wrong with an item is of the engine or its environment: another run may do better."""
    return BY_LABEL[label].invalidates_cache and label not in _ITEM_FAULTS


def is_end(entry: Mapping[str, Any]) -> bool:
    """Return whether an entry of an account says that its item is at an end which counts for any launch.

    One that was given up for where or how long its job ran is not, and a label that is not in the table says nothing.
    """
    label = entry.get('label')
    if entry.get('status') in (None, 'unfinished'):
        return False
    return label is None or (label in BY_LABEL and not BY_LABEL[label].invalidates_cache)


def exit_report(label: str, **fields: object) -> ExitReport:
    """Return a line of the table of errors with its fields filled in."""
    code = BY_LABEL[label]
    return ExitReport(status=code.status, label=code.label, message=code.message.format(**fields))
