"""Submitting a child once, although a daemon worker may be killed at any moment.

A worker that is killed after it has submitted a child, and before the chain's checkpoint says so, leaves a chain whose
next worker takes the same step again. The child is then looked for in the graph before another one is made, or the
same paths would be computed by two jobs at once.
"""

from __future__ import annotations

from collections.abc import Iterable

from aiida.common.links import LinkType
from aiida.engine import ProcessState
from aiida.orm import ProcessNode, WorkChainNode

_CALLS = (LinkType.CALL_CALC, LinkType.CALL_WORK)


def submitted_before(chain: WorkChainNode, label: str, known: Iterable[ProcessNode] = ()) -> ProcessNode | None:
    """Return the child that ``chain`` has called ``label`` and lost sight of; ``None`` if there is none.

    :param known: children that the chain knows of, which are not meant.
    """
    seen = {node.pk for node in known}
    for link in chain.base.links.get_outgoing(link_type=_CALLS, link_label_filter=label).all():
        child = link.node
        # Without a checkpoint it was never sent, and never will be.
        sent = child.process_state is not ProcessState.CREATED or child.checkpoint is not None
        if child.pk not in seen and sent:
            return child
    return None
