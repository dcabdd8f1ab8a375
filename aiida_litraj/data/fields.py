"""How the attributes of a node become fields of its model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def attribute(name: str, default: Any = None) -> Callable[[Any], Any]:
    """Return the function that reads an attribute of a node, for one that is no property of the class.

    aiida-core would look for a property of the field's name, and serialise the node without what it does not find.
    """
    return lambda node: node.base.attributes.get(name, default)
