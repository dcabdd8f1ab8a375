"""A calculation function of thousands of inputs, whose links are stored at once."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from aiida import __version__ as core_version
from aiida.common.hashing import make_hash
from aiida.common.links import LinkType
from aiida.engine import ProcessState
from aiida.manage import get_manager
from aiida.orm import CalcFunctionNode, Data, ProcessNode
from aiida.orm.entities import EntityTypes
from aiida.orm.nodes.caching import NodeCaching

from .. import __version__


def run_with_many_inputs(
    function: Callable[..., Any],
    criteria: Data,
    called_by: tuple[ProcessNode, str] | None = None,
    **inputs: Data,
) -> tuple[Mapping[str, Data], CalcFunctionNode]:
    """Run a calculation function and return its outputs by name, the only one as ``result``, and its process.

    The engine stores links one by one and compares each with all before it, so that ten thousand take an hour. Here
    they are inserted together; graph and process are the same, but the process is never taken from the cache.

    :param function: decorated with ``calcfunction``.
    :param criteria: its first argument, by whatever name; stored if it is not.
    :param called_by: the chain that calls it, and the label of the call.
    :param inputs: its other arguments, stored nodes.
    :raises ValueError: if the function does; then nothing is stored.
    """
    made = function.__wrapped__(criteria, **inputs)  # type: ignore[attr-defined]
    outputs: Mapping[str, Data] = {'result': made} if isinstance(made, Data) else made
    first = next(iter(inspect.signature(function.__wrapped__).parameters))  # type: ignore[attr-defined]
    given = {first: criteria, **inputs}
    node = function.node_class()  # type: ignore[attr-defined]
    specification = function.process_class  # type: ignore[attr-defined]
    node.set_process_label(function.__name__)
    node.set_process_type(specification.build_process_type())
    node.base.attributes.set_many({'version': {'core': core_version, 'plugin': __version__}, 'metadata_inputs': None})
    node.store_source_info(function.__wrapped__)  # type: ignore[attr-defined]
    storage = get_manager().get_profile_storage()
    with storage.transaction():
        criteria.store()
        node.store()
        links = [(one, label, LinkType.INPUT_CALC) for label, one in given.items()]
        if called_by is not None:
            links.append((*called_by, LinkType.CALL_CALC))
        storage.bulk_insert(
            EntityTypes.LINK,
            [
                {'input_id': one.pk, 'output_id': node.pk, 'label': label, 'type': kind.value}
                for one, label, kind in links
            ],
        )
        for label, output in outputs.items():
            output.base.links.add_incoming(node, LinkType.CREATE, label)
            output.store()
        node.set_process_state(ProcessState.FINISHED)
        node.set_exit_status(0)
        node.base.extras.set(node.base.caching._HASH_EXTRA_KEY, _hash(node, given))
        node.seal()
    return outputs, node


def _hash(node: CalcFunctionNode, inputs: Mapping[str, Data]) -> str:
    """Return the hash that ``rehash`` would give, from the hashes the inputs have instead of from their contents."""
    objects = NodeCaching.get_objects_to_hash(node.base.caching)
    known = {
        label: given.base.caching.get_hash() or given.base.caching.compute_hash() for label, given in inputs.items()
    }
    return make_hash({**objects, 'inputs': known})
