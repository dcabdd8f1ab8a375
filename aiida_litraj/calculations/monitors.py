"""Ending jobs early that have nothing more to give."""

from __future__ import annotations

import contextlib
import tempfile
from datetime import datetime, timezone
from pathlib import Path

from aiida.orm import CalcJobNode
from aiida.schedulers import JobState
from aiida.transports import Transport
from pydantic import ValidationError

from .. import __version__ as __version__  # aiida-core asks the module of a monitor for it
from ..contract import files
from ..contract.result import ITEMS, Progress

HOPELESS = 'litraj.hopeless'
"""Entry point of the monitor in this module."""
STOPPED_EXTRA = 'litraj_stopped'
"""Extra of a job that a monitor has ended: why, ``STALLED`` or ``DEAD``."""
STALLED, DEAD = 'stalled', 'dead'
_SEEN_EXTRA = 'litraj_seen'
"""Extra of a running job: the run of the engine, how far it was when last seen to move, and when that was."""
STALLED_SECONDS = 3600.0
"""The slowest model call there is, the compiling of a potential, or a file system that hangs, are over by then."""


def hopeless(
    node: CalcJobNode, transport: Transport, stalled_seconds: float = STALLED_SECONDS, most_dead: float | None = None
) -> str | None:
    """Return why a running job is to be ended, ``None`` if it is to go on.

    A job is hopeless if it has evaluated nothing, and come no step further, for ``stalled_seconds`` (a device or a file
    system that hangs: a restarting chain goes on from the checkpoint; of a training it has to be more than its longest
    epoch, for nothing is seen of it within one), or if more than the share ``most_dead`` of its items has been given
    up while others still run (whoever wants all of them need not wait; without it that is no reason, for an item that
    was given up is a result). A job that waits in the queue, loads its potential, or is at its end, is left alone.

    The clock is that of this machine: when the job was last seen to move is kept in an extra of the job. It begins
    anew with each run of the engine, for a scheduler may put a job back into its queue.
    """
    if node.get_scheduler_state() is not JobState.RUNNING:
        if node.base.extras.get(_SEEN_EXTRA, None) is not None:
            node.base.extras.delete(_SEEN_EXTRA)
        return None
    progress = _read_progress(node, transport)
    if progress is None or progress.n_finished == progress.n_items:
        return None
    given_up = progress.n_finished - progress.n_converged
    if most_dead is not None and given_up > most_dead * progress.n_items:
        node.base.extras.set(STOPPED_EXTRA, DEAD)
        items = ITEMS.get(progress.task, 'items')
        return f'{given_up} of {progress.n_items} {items} were given up, more than the share of {most_dead:g}'
    idle = _idle_seconds(node, progress)
    if idle > stalled_seconds:
        node.base.extras.set(STOPPED_EXTRA, STALLED)
        if progress.task == 'train':
            return (
                f'no epoch came to its end for {idle:.0f} s, more than {stalled_seconds:g}: if one takes longer, give '
                'the monitor more stalled_seconds'
            )
        return f'nothing was evaluated for {idle:.0f} s, more than {stalled_seconds:g}'
    return None


def _read_progress(node: CalcJobNode, transport: Transport) -> Progress | None:
    """Return how far the engine is, ``None`` if it has not said so yet, or is just saying it."""
    work = node.get_remote_workdir()
    if work is None:
        return None
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(OSError, ValidationError):
        copy = Path(folder) / files.PROGRESS
        transport.getfile(str(Path(work) / files.PROGRESS), str(copy))
        return Progress.model_validate_json(copy.read_bytes())
    return None


def _idle_seconds(node: CalcJobNode, progress: Progress) -> float:
    """Return for how long neither model calls nor steps of what is under way have been seen to change."""
    now = datetime.now(timezone.utc)
    standing = {
        'run': None if progress.audit is None else progress.audit.started_at,
        'model_calls': progress.model_calls,
        # a training evaluates nothing before its end
        'n_finished': progress.n_finished,
        'steps': sum(item.step for item in progress.active),
    }
    seen = node.base.extras.get(_SEEN_EXTRA, None)
    if seen is None or {key: seen.get(key) for key in standing} != standing:
        node.base.extras.set(_SEEN_EXTRA, {**standing, 'at': now.isoformat()})
        return 0.0
    return (now - datetime.fromisoformat(seen['at'])).total_seconds()
