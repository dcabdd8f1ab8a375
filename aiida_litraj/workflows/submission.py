"""Submitting a child once, although a daemon worker may be killed at any moment.

A worker that is killed after it has submitted a child, and before the chain's checkpoint says so, leaves a chain whose
next worker takes the same step again. The child is then looked for in the graph before another one is made, or the
same paths would be computed by two jobs at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from aiida.common.links import LinkType
from aiida.engine import ProcessState, WorkChain
from aiida.orm import Data, ProcessNode

_CALLS = (LinkType.CALL_CALC, LinkType.CALL_WORK)
_NOT_BEGUN = (None, ProcessState.CREATED)


def submitted_before(chain: WorkChain, label: str, known: Iterable[ProcessNode] = ()) -> ProcessNode | None:
    """Return the child that ``chain`` has called ``label`` and lost sight of; ``None`` if there is none.

    :param known: children that the chain knows of, which are not meant.
    """
    seen = {node.pk for node in known}
    for child in _called(chain, label):
        if child.pk in seen:
            continue
        if child.process_state not in _NOT_BEGUN:
            return child
        if child.checkpoint is not None:
            _send(chain, child)
            return child
        # Without a checkpoint it was never sent, and never can be.
    return None


def made_before(chain: WorkChain, label: str) -> Data | None:
    """Return the result of the calculation function that a killed worker has already called ``label``, or ``None``.

    One that was cut off itself has none, be it that it says it has finished, and is called once more.
    """
    made = outputs_made_before(chain, label)
    return None if made is None else made['result']


def outputs_made_before(chain: WorkChain, label: str) -> dict[str, Any] | None:
    """Return the results of such a function by their names, where it has several."""
    for called in _called(chain, label):
        made = {name: called.outputs[name] for name in called.outputs}
        if called.is_finished_ok and made:  # the state is put on disk before the results are
            return made
    return None


def _called(chain: WorkChain, label: str) -> Iterator[ProcessNode]:
    """Yield what a chain has called ``label``."""
    # The filter is a pattern of SQL, in which an underscore stands for any character: mp_0 would find mp10.
    found = chain.node.base.links.get_outgoing(link_type=_CALLS, link_label_filter=label).all()
    return (link.node for link in found if link.link_label == label)


def _send(chain: WorkChain, child: ProcessNode) -> None:
    """Put a child on the queue that has not begun: whether it is there already cannot be seen from here.

    A worker that gets it twice drops the second.
    """
    if chain.runner.controller is not None:
        chain.runner.controller.continue_process(child.pk, nowait=False, no_reply=True)
