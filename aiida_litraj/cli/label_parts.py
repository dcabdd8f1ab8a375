"""Labels of a chain that has no report: it goes on, or was killed. What it has made is there all the same."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aiida.orm import WorkChainNode

UNDER_WAY, LEFT_BEHIND = 'under way', 'left behind'


def labels_made(chain: WorkChainNode) -> dict[str, Any] | None:
    """Return the labels that a chain has made so far as ``--json`` prints them, or ``None`` without any.

    Beside what a chain that has ended has there are ``total``, ``state`` and ``rest``, what becomes of the others.
    """
    from ..analysis.label_warnings import pressure_warning
    from ..groups.label_chains import labels_together
    from ..workflows.label_items import warnings_of
    from .label_state import labels_so_far
    from .left_behind import is_left_behind

    frames = labels_together(chain)
    if frames is None:
        return None
    inputs = chain.inputs
    warnings: list[str | None] = []
    with contextlib.suppress(ValueError):  # a family of pseudopotentials may be gone by now
        warnings += warnings_of(inputs)
    warnings.append(pressure_warning(frames.frames, frames.entry_ids))
    state = chain.process_state.value if chain.is_terminated and chain.process_state else UNDER_WAY
    state = LEFT_BEHIND if is_left_behind(chain) else state
    return {
        'uuid': chain.uuid,
        'pk': chain.pk,
        'labelled': frames.n_frames,
        'failed': sum(one['failed'] for one in labels_so_far(chain)),
        'total': inputs.frames.n_frames,
        'state': state,
        'rest': None if state == UNDER_WAY else _rest(chain),
        'items': _items(chain, frames, state),
        'level': inputs.level.get_dict(),
        'protocol': inputs.level.label or None,
        'backend': inputs.backend.value,
        'settings': inputs.settings.get_dict(),
        'warnings': [warning for warning in warnings if warning],
        'code': inputs.code.full_label,
        'version': frames.base.attributes.get('level')['version'],
        'frames_uuid': None,
        'frames_pk': None,
        'dataset': inputs.dataset.value if 'dataset' in inputs else None,
        'exit_status': chain.exit_status,
    }


def _rest(chain: WorkChainNode) -> str:
    from .label_state import reuses

    if reuses(chain):
        return 'the same launch makes the rest'
    return 'the same launch makes all of them again, unless it is given --cache'


def _items(chain: WorkChainNode, frames: Any, state: str) -> list[dict[str, Any]]:
    """Return what has a label, and what was begun and has none; of the others there is nothing to say."""
    from ..workflows.label_items import entry_id
    from .label import numbers_of

    attempts = _attempts(chain)
    numbers = numbers_of(frames)
    names = dict(zip(frames.base.attributes.get('indices'), frames.entry_ids, strict=True))
    begun = {int(key[1:]): calls for key, calls in attempts.items()}
    items = []
    for index in sorted({*names, *begun}):
        key, calls = f'c{index:05d}', begun.get(index, [])
        last = calls[-1] if calls else None
        has_ended = last is None or last.is_terminated
        ended = ('failed' if last is not None and last.is_finished else 'killed') if has_ended else state
        items.append(
            {
                'name': key,
                'index': index,
                'entry_id': names.get(index) or entry_id(chain.inputs, index, key),
                'status': 'labelled' if index in names else ended,
                'attempts': len(calls),
                'label': None,
                'reason': '' if index in names or last is None else last.exit_message or '',
                'uuid': None if last is None else last.uuid,
                **numbers.get(index, {}),
            }
        )
    return items


def _attempts(chain: WorkChainNode) -> dict[str, list[Any]]:
    """Return the calculations of each configuration that were begun, in their order."""
    from aiida.common.links import LinkType

    found: dict[str, list[Any]] = {}
    links = chain.base.links.get_outgoing(link_type=(LinkType.CALL_CALC, LinkType.CALL_WORK)).all()
    for link in sorted(links, key=lambda one: one.node.pk):
        key, _, number = link.link_label.partition('_')
        if key[:1] == 'c' and key[1:].isdigit() and number.isdigit():
            found.setdefault(key, []).append(link.node)
    return found


def part_line(result: Mapping[str, Any]) -> str:
    """Return in a line how much there is, like ``3 of 6 labelled, killed; kept in my-labels; ...``."""
    failed = f', {result["failed"]} failed' if result['failed'] else ''
    kept = f'kept in {result["dataset"]}' if result['dataset'] else 'kept'
    parts = [f'{result["labelled"]} of {result["total"]} labelled{failed}, {result["state"]}', kept, result['rest']]
    return '; '.join(part for part in parts if part)
