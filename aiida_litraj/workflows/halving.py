"""Half of what fills the memory of a compute node, by what the engine of the last job said that it had."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from aiida.orm import CalcJobNode
from pydantic import ValidationError

from ..contract import files
from ..contract.audit import Audit
from ..contract.result import Progress
from ..contract.runtime import LARGEST_BATCH_ATOMS

Options = MutableMapping[str, Any]


def halve(options: Options, node: CalcJobNode, largest: int) -> str | None:
    """Halve in the options what fills the node's memory; return what the next job has, ``None`` if there is no half.

    :param largest: atoms of the largest item of the next job, which a batch cannot be smaller than.
    """
    ran = _audit(node)
    return _halve_processes(options, ran) or _halve_batch(options, ran, largest) or _halve_gpus(options, ran)


def halve_processes(options: Options, node: CalcJobNode) -> str | None:
    """Halve the worker processes of a CPU alone, which each hold the potential; return as ``halve``."""
    return _halve_processes(options, _audit(node))


def last_words(node: CalcJobNode) -> Progress | None:
    """Return what the engine of a job said last, if it said anything."""
    if 'retrieved' not in node.outputs:
        return None
    try:
        content = node.outputs.retrieved.base.repository.get_object_content(files.PROGRESS, mode='rb')
        return Progress.model_validate_json(content)
    except (FileNotFoundError, ValidationError):
        return None


def _halve_processes(options: Options, ran: Audit | None) -> str | None:
    if ran is not None and ran.device != 'cpu':  # a GPU has one process, and a memory of its own
        return None
    # Left to itself the engine starts one process per core; its last words say how many that were.
    now = options.get('processes', None) or (2 if ran is None else ran.processes)
    if now <= 1:
        return None
    options['processes'] = now // 2
    return f'{options["processes"]} process(es)'


def _halve_batch(options: Options, ran: Audit | None, largest: int) -> str | None:
    """Halve the atoms per model call of a GPU: their graphs are made in the memory of the node."""
    now = options.get('batch_atoms', None) or LARGEST_BATCH_ATOMS
    if ran is None or ran.device == 'cpu' or now <= largest:
        return None
    options['batch_atoms'] = max(largest, now // 2)
    return f'{options["batch_atoms"]} atoms per model call'


def _halve_gpus(options: Options, ran: Audit | None) -> str | None:
    """Halve the GPUs: the process of each holds the potential in the memory of the node, too."""
    if ran is None or ran.device == 'cpu' or ran.processes <= 1:
        return None
    options['gpus'] = ran.processes // 2
    return f'{options["gpus"]} GPU(s)'


def _audit(node: CalcJobNode) -> Audit | None:
    progress = last_words(node)
    return None if progress is None else progress.audit
