"""A batch of any size by a chain whose checkpoint stays small: items are known in blocks, and forgotten with them.

A block is opened when the turn of its first configuration comes, and put together into nodes when its last has ended;
what became of its items stands in these from then on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from aiida.common.links import LinkType
from aiida.engine import WorkChain
from aiida.orm import Dict, Node, load_node

from ..calculations.functions.gather_labels import gather_labels, join_labels
from ..groups.label_chains import OUTPUT, PROGRESS_EXTRA, labels_given
from .submission import outputs_made_before

WAITING, RUNNING, LABELLED, FAILED = 'waiting', 'running', 'labelled', 'failed'
BLOCK = 50
"""Configurations of which a chain knows at once, unless some of a block take long: then also of those after it."""


class Blocks:
    """The items of a chain by their keys, in its context.

    :param n_total: configurations of the batch.
    :param entry_id: of an index and a key, the identifier of the label.
    """

    def __init__(self, chain: WorkChain, n_total: int, entry_id: Callable[[int, str], str]) -> None:
        self._chain, self.n_total, self._entry_id = chain, n_total, entry_id
        self._width = max(5, len(str(n_total - 1)))

    @property
    def _open(self) -> dict[str, dict[str, dict[str, Any]]]:
        found: dict[str, dict[str, dict[str, Any]]] = self._chain.ctx.blocks
        return found

    def __getitem__(self, key: str) -> dict[str, Any]:
        return self._open[str(int(key[1:]) // BLOCK)][key]

    def key(self, index: int) -> str:
        """Return the name of an item."""
        return f'c{index:0{self._width}d}'

    def next_key(self) -> str | None:
        """Return the key of the next configuration that is not known yet, which is then; ``None`` after the last."""
        index = self._chain.ctx.opened
        if index == self.n_total:
            return None
        key = self.key(index)
        about = {'index': index, 'entry_id': self._entry_id(index, key), 'attempts': 0, 'status': WAITING}
        item = {**about, 'label': None, 'reason': '', 'uuid': None}
        self._open.setdefault(str(index // BLOCK), {})[key] = item
        self._chain.ctx.opened = index + 1
        return key

    def is_over(self) -> bool:
        """Return whether every configuration is known and has ended."""
        return self._chain.ctx.opened == self.n_total and all(map(_has_ended, self._open.values()))

    def close(self, about: dict[str, Any]) -> None:
        """Put together each block of which all have ended, and forget it; the only one is left to :meth:`gather`."""
        if self.n_total <= BLOCK:
            return
        for name, items in list(self._open.items()):
            if len(items) == len(self._range(int(name))) and _has_ended(items):
                self._put_together(f'gather_{name}', items, about)
                del self._open[name]

    def _range(self, number: int) -> range:
        return range(number * BLOCK, min((number + 1) * BLOCK, self.n_total))

    def _put_together(self, name: str, items: dict[str, Any], about: dict[str, Any]) -> dict[str, Node]:
        made = outputs_made_before(self._chain, name)
        if made is not None:
            return made
        labels = {key: load_node(item['labelled']) for key, item in items.items() if item['status'] == LABELLED}
        said = {key: {name: item[name] for name in item if name != 'labelled'} for key, item in items.items()}
        called: dict[str, Node] = gather_labels(
            about=Dict({'items': said, **about}), metadata={'call_link_label': name}, **labels
        )
        return called

    def gather(self, about: dict[str, Any]) -> dict[str, Node]:
        """Return ``report``, and ``frames`` if there is any label, of all items."""
        if self.n_total <= BLOCK:
            return self._put_together('gather_labels', self._open['0'], about)
        made = outputs_made_before(self._chain, 'gather_labels')
        if made is not None:
            return made
        parts: dict[str, Node] = {}
        last = (self.n_total - 1) // BLOCK
        for number in range(last + 1):
            outputs = outputs_made_before(self._chain, f'gather_{number}') or {}
            parts |= {f'{kind}_{number:0{len(str(last))}d}': node for kind, node in outputs.items()}
        joined: dict[str, Node] = join_labels(about=Dict(about), metadata={'call_link_label': 'gather_labels'}, **parts)
        return joined

    def tell(self) -> None:
        """Write down how far the batch is, for those who ask."""
        context = self._chain.ctx
        said = {'total': self.n_total, LABELLED: context.n_labelled, FAILED: context.n_failed}
        said['in_flight'] = len(context.running)
        if context.get('said') != said:
            self._chain.node.base.extras.set(PROGRESS_EXTRA, said)
            context.said = said


def _has_ended(items: dict[str, dict[str, Any]]) -> bool:
    return all(item['status'] in (LABELLED, FAILED) for item in items.values())


def give(chain: WorkChain, key: str, label: Node) -> None:
    """Make a label an output of a chain at once; ``out`` would write each into every checkpoint from then on."""
    links = label.base.links
    if not links.get_incoming(node_class=type(chain.node), link_type=LinkType.RETURN).all():
        links.add_incoming(chain.node, LinkType.RETURN, f'{OUTPUT}{key}')


def given(chain: WorkChain) -> Iterator[tuple[str, Node]]:
    """Yield the labels that a chain has given, by their keys."""
    yield from labels_given(chain.node).items()
