"""One account of what several jobs did to the same items."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiida.engine import calcfunction
from aiida.orm import Dict

from ...contract.result import ITEMS, ItemResult
from ...contract.verdict import judge

CALLS = ('band_calls', 'endpoint_calls', 'saddle_calls', 'model_calls')
"""Fields of an item, of whatever task, that count evaluations."""
SUMS = ('model_seconds', 'cpu_seconds', 'wall_seconds', 'out_of_memory_halvings')


@calcfunction
def merge_results(**iterations: Dict) -> Dict:
    """Return the results of jobs that resumed each other as one, in the order of the numbers in their names."""
    ordered = sorted(iterations, key=lambda name: int(name.rpartition('_')[2]))
    return Dict(merge([iterations[name].get_dict() for name in ordered]))


def merge(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the results of one chain of jobs as those of one job.

    Of each item the last word counts, unless a later job did not get to it. The audit is the last there is, with the
    costs of all jobs that left one; model calls are summed over the items, so that none resumed is counted twice, or,
    where items do not count them, over what each job has not resumed.
    """
    items: dict[str, dict[str, Any]] = {}
    for result in results:
        for name, entry in result['items'].items():
            if name not in items or entry['status'] != 'unfinished':
                items[name] = entry
    audits = [result['audit'] for result in results if result['audit'] is not None]
    audit = None
    if audits:
        counted = [entry[key] for entry in items.values() for key in CALLS if key in entry]
        calls = sum(counted or [each['model_calls'] - each['resumed_calls'] for each in audits])
        audit = {
            **audits[-1],
            **{key: sum(each[key] for each in audits) for key in SUMS},
            'peak_memory_mb': max(each['peak_memory_mb'] for each in audits),
            'started_at': audits[0]['started_at'],
            'model_calls': max(calls, audits[-1]['model_calls']),
        }
    ended = judge([of_any_task(name, entry) for name, entry in items.items()], ITEMS[results[-1]['task']])
    return {
        **results[-1],
        'exit': ended.model_dump(mode='json'),
        'items': items,
        'audit': audit,
        'n_jobs': len(results),
    }


def of_any_task(name: str, entry: dict[str, Any]) -> ItemResult:
    """Return what an account says of an item, as far as all tasks say it."""
    shared = {field: entry[field] for field in ItemResult.model_fields if field in entry}
    return ItemResult.model_validate({'id': name, **shared})
