"""Asking a sub-chain whether it would take its inputs, before anything is queued."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from ..calculations.base import LitrajCalcJob
from .base import EngineBaseWorkChain


def check_child(chain: type[EngineBaseWorkChain], job: Mapping[str, Any], name: str) -> None:
    """Refuse the inputs of the jobs of a restarting chain that it would refuse when it is submitted.

    By then other sub-chains may have computed for days, and the refusal would end the chain with an exception.

    :param name: what is at fault to the one who gave the inputs.
    :raises ValueError: as the chain, with the name in front.
    """
    port = chain.spec().inputs[chain.task()]
    problem = port.validate(port.pre_process(_thawed(job)))
    if problem is not None:
        raise ValueError(f'{name}: {problem.message}')


def _thawed(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return inputs that defaults can be put into: those that a process is validated with are frozen all the way."""
    return {name: _thawed(value) if isinstance(value, Mapping) else value for name, value in inputs.items()}


def check_options(options: Mapping[str, Any], job: type[LitrajCalcJob], name: str) -> None:
    """Refuse an option that a job does not know, with the nearest that it does.

    :raises ValueError: naming it.
    """
    known = list(job.spec().inputs['metadata']['options'])
    for option in options:
        if option not in known:
            near = difflib.get_close_matches(option, known, n=1)
            remedy = f', but {near[0]} is' if near else '; metadata.options of the job has them'
            raise ValueError(f'{name}.{option} = {options[option]!r} is not known{remedy}')
