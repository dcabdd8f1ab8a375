"""AiiDA's hash of many alike nodes, without hashing again what they share."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from operator import itemgetter
from typing import Any

from aiida.common import hashing


class NodeHasher:
    """Computes what ``node.base.caching.compute_hash()`` gives, four times as fast over many entries of a set.

    The hash of a mapping is made of the digests of its keys and values (``aiida.common.hashing``); most of them are
    the same for all entries, so they are kept. The first result is compared with aiida-core's own: should a later
    version hash in another way, that is used throughout.
    """

    def __init__(self) -> None:
        self._trusted: bool | None = None

    def __call__(self, attributes: Mapping[str, Any], keys: Mapping[str, str], node_class: str) -> str:
        """Return the hash of a node of ``node_class`` with files of these sha256 and no computer."""
        if self._trusted is None:
            self._trusted = _combined(attributes, keys, node_class) == _by_core(attributes, keys, node_class)
        compute = _combined if self._trusted else _by_core
        return compute(attributes, keys, node_class)


def _by_core(attributes: Mapping[str, Any], keys: Mapping[str, str], node_class: str) -> str:
    repository = hashing.make_hash({'__dirnames__': [], **keys})
    return hashing.make_hash(_objects(attributes, repository, node_class))


def _combined(attributes: Mapping[str, Any], keys: Mapping[str, str], node_class: str) -> str:
    repository = _hexdigest(_digests({'__dirnames__': [], **keys}))
    return _hexdigest(_digests(_objects(attributes, repository, node_class)))


def _objects(attributes: Mapping[str, Any], repository_hash: str, node_class: str) -> dict[str, Any]:
    return {
        'class': node_class,
        'attributes': attributes,
        'repository_hash': repository_hash,
        'computer_uuid': None,
    }


def _hexdigest(digests: bytes) -> str:
    final = hashlib.blake2b(digests, node_depth=1, last_node=True, **hashing.BLAKE2B_OPTIONS)
    final.update(hashlib.blake2b(node_depth=0, last_node=True, **hashing.BLAKE2B_OPTIONS).digest())
    return final.hexdigest()


def _digests(value: Any) -> bytes:
    if isinstance(value, Mapping):
        pairs = sorted(((_of_leaf(str, key), inner) for key, inner in value.items()), key=itemgetter(0))
        return b''.join([_OPEN_DICT, *(key + _digests(inner) for key, inner in pairs), _CLOSE])
    if isinstance(value, list | tuple):
        return b''.join([_OPEN_LIST, *map(_digests, value), _CLOSE])
    return _of_leaf(type(value), value)


@lru_cache(maxsize=20000)
def _of_leaf(kind: type, value: Any) -> bytes:
    """Return the digests of a word or a number; ``kind`` keeps 1, 1.0 and True apart."""
    return b''.join(hashing._make_hash(value))


_OPEN_DICT = hashing._single_digest('dict(')
_OPEN_LIST = hashing._single_digest('list(')
_CLOSE = hashing._END_DIGEST
