"""The jobs of a labelling: whether they would be taken, whether their environment works, and which may be had again."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from aiida.engine import CalcJob
from aiida.engine.processes.ports import PortNamespace
from aiida.orm import AbstractCode, CalcJobNode, Computer, ProcessNode, load_computer

from ..calculations.functions.extract_configuration import structure_of
from ..contract.errors import BY_LABEL
from ..contract.frames import Frames
from ..contract.level import Level
from .backends import LabelBackend, Outcome
from .children import check_names, thawed

ENVIRONMENT = range(320, 342)
"""Exit codes that are of the environment of a code, whatever the configuration; 342 is if the code did not start."""
ALIKE = 3
"""So many attempts that end alike, and no other, say that the next would too."""


def status_of(label: str) -> int:
    """Return the number of an exit code, of the table of errors or of those that all jobs have."""
    found: int = BY_LABEL[label].status if label in BY_LABEL else CalcJob.exit_codes[label].status
    return found


def computer_of(jobs: Mapping[str, Any]) -> Computer | None:
    """Return the computer for a code that is bound to none."""
    return None if jobs.get('computer') is None else load_computer(jobs['computer'])


def check_job_inputs(
    backend: LabelBackend,
    code: AbstractCode,
    frames: Sequence[Frames],
    level: Level,
    settings: Mapping[str, Any],
    jobs: Mapping[str, Any],
) -> None:
    """Refuse jobs that the code's calculation or its scheduler would not take when they are submitted.

    :param frames: configurations that can be labelled. One of each composition is tried, until one is taken: what is
        wrong with single ones is theirs alone.
    :raises ValueError: naming the option, or what the calculation says.
    """
    options, spec = jobs.get('options') or {}, backend.process().spec()
    known = option_names(spec.inputs)
    if known is not None:
        check_names(options, known, 'jobs.options')
    refusal = None
    for frame in {tuple(sorted(frame.numbers.tolist())): frame for frame in reversed(frames)}.values():
        try:
            given = backend.inputs(code, structure_of(frame), level, settings, options, 0, computer_of(jobs))
            problem = spec.inputs.validate(spec.inputs.pre_process(thawed(given)))
        except ValueError as error:
            refusal = refusal or str(error)
            continue
        if problem is None:
            return
        refusal = refusal or f'{problem.message} ({problem.port})'
    if refusal is not None:
        asked = f'jobs.options = {dict(options)}: ' if options else ''
        raise ValueError(f'{asked}the calculation of the back end {backend.name} does not take its inputs: {refusal}')


def option_names(ports: PortNamespace) -> list[str] | None:
    """Return the names of ``metadata.options`` of a calculation, or of that which a chain runs; None if it has none."""
    if 'options' in ports.get('metadata', {}):
        return list(ports['metadata']['options'])
    below = (option_names(port) for port in ports.values() if isinstance(port, PortNamespace))
    return next((names for names in below if names is not None), None)


def is_of_environment(outcome: Outcome) -> bool:
    """Return whether an attempt failed by where it ran."""
    if outcome.label is None:
        return False
    return status_of(outcome.label) in ENVIRONMENT or not outcome.started


def common_fault(ended: Sequence[Sequence[str]]) -> Outcome | None:
    """Return the fault of which all that waits would fail too; None if that is not sure.

    :param ended: label and reason of every attempt so far.
    """
    if len(ended) < ALIKE or len({(label, re.sub(r'\d+', '', reason)) for label, reason in ended}) > 1:
        return None
    label, reason = ended[0]
    return Outcome(label, f'not tried, for all {len(ended)} before it ended so: {reason}', started=False)


def bar_from_cache(node: ProcessNode) -> None:
    """Let no later job be had from the cache as one of an attempt that the machine has failed.

    An attempt may be a chain, of which only the jobs are ever taken from the cache; its plugin may hold some that ended
    badly for good. Where they were themselves taken from there, those that ended so before are barred with them.
    """
    node.base.caching.is_valid_cache = False
    for job in [node, *node.called_descendants]:
        if isinstance(job, CalcJobNode):
            for same in job.base.caching.get_all_same_nodes():
                if same.exit_status == job.exit_status:
                    same.base.caching.is_valid_cache = False
            job.base.caching.is_valid_cache = False
