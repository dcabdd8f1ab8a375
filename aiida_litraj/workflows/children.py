"""Sub-chains: their parameters, whether they would take their inputs before anything is queued, and how they ended."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from aiida.engine import ExitCode, WorkChain
from aiida.orm import WorkChainNode

from ..calculations.base import LitrajCalcJob
from ..calculations.validation import check_parameters
from .base import EngineBaseWorkChain


def resolved(chain: Any, section: Mapping[str, Any], model: Any) -> dict[str, Any]:
    """Return the parameters of a protocol of another chain, changed as the section says, every field validated.

    :param section: ``protocol``, and what differs from it.
    :raises ValueError: naming what is not known or out of range.
    """
    changes = {key: value for key, value in section.items() if key != 'protocol'}
    values = chain.get_protocol_inputs(section.get('protocol'), {'parameters': changes})['parameters']
    found: dict[str, Any] = check_parameters(values, model).model_dump(mode='json')
    return found


def check_child(chain: type[EngineBaseWorkChain], job: Mapping[str, Any], name: str) -> None:
    """Refuse the inputs of the jobs of a restarting chain that it would refuse when it is submitted.

    By then other sub-chains may have computed for days, and the refusal would end the chain with an exception.

    :param name: what is at fault to the one who gave the inputs.
    :raises ValueError: as the chain, with the name in front.
    """
    port = chain.spec().inputs[chain.task()]
    problem = port.validate(port.pre_process(thawed(job)))
    if problem is not None:
        raise ValueError(f'{name}: {problem.message}')


def thawed(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return inputs that defaults can be put into: those that a process is validated with are frozen all the way."""
    return {name: thawed(value) if isinstance(value, Mapping) else value for name, value in inputs.items()}


def check_options(options: Mapping[str, Any], job: type[LitrajCalcJob], name: str) -> None:
    """Refuse an option that a job does not know, with the nearest that it does.

    :raises ValueError: naming it.
    """
    check_names(options, list(job.spec().inputs['metadata']['options']), name)


def check_names(options: Mapping[str, Any], known: list[str], name: str) -> None:
    """Refuse an option that is not among those known, with the nearest that is.

    :raises ValueError: naming it.
    """
    for option in options:
        if option not in known:
            near = difflib.get_close_matches(option, known, n=1)
            remedy = f', but {near[0]} is' if near else '; metadata.options of the job has them'
            raise ValueError(f'{name}.{option} = {options[option]!r} is not known{remedy}')


def nested(chain: WorkChainNode, name: str) -> dict[str, Any]:
    """Return a namespace of the outputs of a chain, empty if it has none of that name."""
    return dict(chain.outputs[name]) if name in chain.outputs else {}


def ending_of(process: WorkChain, chain: WorkChainNode, name: str | None = None) -> ExitCode | None:
    """Return as what a chain ends that ends as a child of it did; ``None`` if that went well.

    :param name: of the potential that the child is of, said before its own words.
    """
    if chain.is_finished_ok:
        return None
    if chain.is_killed:
        return process.exit_codes.ERROR_SUB_PROCESS_KILLED
    if not chain.is_finished:
        return process.exit_codes.ERROR_SUB_PROCESS_EXCEPTED
    return ExitCode(chain.exit_status, chain.exit_message if name is None else f'{name}: {chain.exit_message}')
