"""One account of what jobs beside each other did to items of which each had its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida.engine import calcfunction
from aiida.orm import Dict

from ...contract.errors import BY_LABEL
from ...contract.result import ITEMS
from ...contract.verdict import is_fault, judge
from .merge_results import CALLS, SUMS, of_any_task

_MOST_NAMED = 1000
"""Failed configurations that the account of a block spells out, as in the engine."""


@calcfunction
def merge_parts(about: Dict, **accounts: Dict) -> Dict:
    """Return the accounts of parts as one.

    :param about: ``take``, by the name of an account the items that are taken from it; ``earlier``, the names of those
        that are of jobs from before; ``n_items``; by choice ``pieces``, by the name of a block its pieces, each with
        ``name`` and ``n_frames``, which are items of the accounts and become one.
    """
    return Dict(merged(about.get_dict(), {name: node.get_dict() for name, node in accounts.items()}))


def merged(about: Mapping[str, Any], accounts: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """Return one account of the items that are taken from each.

    The audit is that of the part with the most evaluations, with the costs of all: seconds are those of all jobs
    together, as if they had been one after the other. Of a job from before, which may have had other items too, its
    share of the evaluations counts.
    """
    take = about['take']
    items: dict[str, dict[str, Any]] = {}
    audits: list[dict[str, Any]] = []
    for key in sorted(accounts):
        account = accounts[key]
        items |= {name: account['items'][name] for name in take[key] if name in account['items']}
        if account['audit'] is not None:
            share = _share(account['items'], take[key]) if key in about['earlier'] else 1.0
            audits.append(_scaled(account['audit'], share))
    for block, pieces in about.get('pieces', {}).items():
        known = [(piece, items.pop(piece['name'], None)) for piece in pieces]
        items[block] = joined_entry(known)
    last = accounts[max(accounts)]
    ended = judge([of_any_task(name, entry) for name, entry in items.items()], ITEMS[last['task']])
    return {
        **{key: last[key] for key in ('schema_version', 'task')},
        'exit': ended.model_dump(mode='json'),
        'items': items,
        'audit': _together(audits),
        'n_jobs': sum(account.get('n_jobs', 1) for account in accounts.values()),
        'n_parts': len(accounts) - len(about['earlier']),
        'n_earlier': sum(len(take[key]) for key in about['earlier']),
    }


def _share(items: Mapping[str, Mapping[str, Any]], taken: list[str]) -> float:
    """Return the part of the evaluations of a job that were of some of its items."""
    calls = {name: sum(entry.get(key, 0) for key in CALLS) for name, entry in items.items()}
    total = sum(calls.values())
    return sum(calls.get(name, 0) for name in taken) / total if total else len(taken) / max(len(items), 1)


def _scaled(audit: Mapping[str, Any], share: float) -> dict[str, Any]:
    counts = {key: round(share * audit[key]) for key in ('model_calls', 'resumed_calls')}
    return {**audit, **counts, **{key: share * audit[key] for key in SUMS}}


def _together(audits: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Return one audit of jobs beside each other, ``None`` if none left one."""
    if not audits:
        return None
    return {
        **max(audits, key=lambda audit: audit['model_calls']),
        **{key: sum(audit[key] for audit in audits) for key in (*SUMS, 'model_calls', 'resumed_calls')},
        'out_of_memory_halvings': round(sum(audit['out_of_memory_halvings'] for audit in audits)),
        'peak_memory_mb': max(audit['peak_memory_mb'] for audit in audits),
        'started_at': min(audit['started_at'] for audit in audits),
    }


def joined_entry(pieces: list[tuple[Mapping[str, Any], dict[str, Any] | None]]) -> dict[str, Any]:
    """Return the account of a block from those of its pieces in their order; of one that is missing nothing is known.

    :param pieces: ``name`` and ``n_frames`` of each, and its account.
    """
    there = [entry for _, entry in pieces if entry is not None]
    failures, first = [], 0
    for piece, entry in pieces:
        failures += [{**one, 'frame': one['frame'] + first} for one in (entry or {}).get('failures', [])]
        first += piece['n_frames']
    n_evaluated = sum(entry['n_evaluated'] for entry in there)
    cut_off = next((entry for entry in there if entry['status'] == 'unfinished'), None)
    if cut_off is not None:
        status, label, reason = 'unfinished', cut_off['label'], cut_off['reason']
    elif len(there) < len(pieces):
        status, label, reason = 'unfinished', 'ERROR_RESULT_MISSING', 'a piece of it left no account'
    else:
        status = 'failed' if all(entry['status'] == 'failed' for entry in there) else 'finished'
        label, reason = _verdict(there, failures, n_evaluated, first)
    return {
        'status': status,
        'converged': status != 'unfinished' and all(entry['converged'] for entry in there),
        'label': label,
        'reason': reason,
        'n_steps': 0,
        'n_frames': first,
        'n_evaluated': n_evaluated,
        'failures': failures[:_MOST_NAMED],
        'model_calls': sum(entry['model_calls'] for entry in there),
    }


def _verdict(
    entries: list[dict[str, Any]], failures: list[dict[str, Any]], n_evaluated: int, n_frames: int
) -> tuple[str | None, str | None]:
    """Return label and reason of a block as the engine has them: its own fault first, then how many failed and why."""
    bad = [entry for entry in entries if not entry['converged']]
    if not bad:
        return None, None
    faults = [one for one in failures if is_fault(one['label'])]
    if not failures:  # malformed as a whole
        return bad[0]['label'], bad[0]['reason']
    first, some = (faults or failures)[0], BY_LABEL['ERROR_PARTIAL']
    counted = some.message.format(n_converged=n_evaluated, n_total=n_frames, items='frames')
    label = some.label if not faults and n_evaluated else first['label']
    return label, f'{counted}; frame {first["frame"]}: {first["reason"]}'
