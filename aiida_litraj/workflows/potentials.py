"""Potentials side by side: what a chain is given by the name of each, and how the jobs of each are run."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from aiida.common import AttributeDict, NotExistent
from aiida.orm import AbstractCode, Computer, Dict

from ..calculations.base import LitrajCalcJob
from ..calculations.validation import check_family, check_names
from ..data.potential import PotentialData
from .base import EngineBaseWorkChain
from .children import check_options
from .packed import PackedWorkChain
from .packing import read_packing, settle_options

JOB_KEYS = ('computer', 'disable_cache', 'options')
"""What can be said of the jobs of a potential."""
PACKING = 'packing'
"""What can be said too where a chain has many items: how they are shared out among jobs."""


def define_potentials(spec: Any) -> None:
    """Give a chain the inputs ``potentials`` and ``jobs``."""
    spec.input_namespace(
        'potentials',
        valid_type=(PotentialData, AbstractCode),
        dynamic=True,
        help='By name: ``potential``, and the ``code`` with its environment.',
    )
    spec.input(
        'jobs',
        valid_type=dict,
        non_db=True,
        default=dict,
        help='By name of the potential: ``computer``, the label of one for a code that is not bound to any, '
        '``options``, which are ``metadata.options`` of the jobs, ``disable_cache``, and, of chains with many items, '
        '``packing``, how they are shared out among jobs.',
    )


def jobs_of(
    potentials: Iterable[str],
    options: Mapping[str, Any] | None,
    computer: Computer | None,
    jobs: Mapping[str, Mapping[str, Any]] | None,
) -> dict[str, Any]:
    """Return the input ``jobs``: for each potential its own settings over those for all.

    What cannot be is left in it for :func:`check_jobs` to refuse: a name of none of the potentials, no dictionary.

    :param options: ``metadata.options`` of all jobs.
    :param computer: where to run codes that are not bound to a computer.
    """
    every = {'options': dict(options or {}), **({} if computer is None else {'computer': computer.label})}
    given = {**{name: {} for name in potentials}, **(jobs or {})}
    return {name: {**every, **own} if isinstance(own, Mapping) else own for name, own in given.items()}


def job_inputs(chosen: Mapping[str, Any], job: Mapping[str, Any], given: Mapping[str, Any]) -> AttributeDict:
    """Return the inputs of the jobs of a potential: what is ``given``, its node and code, and how they run."""
    inputs = AttributeDict({**given, 'code': chosen['code'], 'potential': chosen['potential']})
    inputs.metadata = AttributeDict(job_metadata(job))
    return inputs


def packed_or_not(
    packed: type[PackedWorkChain], job: Mapping[str, Any]
) -> tuple[type[EngineBaseWorkChain] | type[PackedWorkChain], dict[str, Any]]:
    """Return the chain that does items of a potential, and what it is told of their packing.

    That is the restarting chain, with all in one job, unless the settings of the jobs have a packing.

    :param packed: the chain that does them by several jobs.
    """
    if job.get(PACKING) is None:
        return packed.restarting(), {}
    return packed, {PACKING: Dict(dict(job[PACKING]))}


def job_metadata(job: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``metadata`` of a job: its computer, by label, its options, and whether an equal one will not do."""
    from aiida.orm import load_computer

    metadata: dict[str, Any] = {'options': AttributeDict(job.get('options') or {})}
    if job.get('computer') is not None:
        metadata['computer'] = load_computer(job['computer'])
    if job.get('disable_cache') is not None:
        metadata['disable_cache'] = job['disable_cache']
    return metadata


def check_potentials(potentials: Mapping[str, Any]) -> None:
    """Refuse none, or one without its code or potential, or a code without the family.

    :raises ValueError: naming the first that is at fault.
    """
    check_names(potentials, 'potentials', 'potential with its code')
    for name, chosen in potentials.items():
        for part, kind in (('potential', PotentialData), ('code', AbstractCode)):
            if not isinstance(chosen, Mapping) or not isinstance(chosen.get(part, None), kind):
                raise ValueError(f'potentials.{name}.{part} is missing; give {{code: ..., potential: ...}}')
        unknown = sorted(set(chosen) - {'potential', 'code'})
        if unknown:
            raise ValueError(f'potentials.{name}.{unknown[0]} is not known; there are: code, potential')
        check_family(chosen['code'], chosen['potential'])


def check_jobs(
    jobs: Mapping[str, Any],
    potentials: Collection[str],
    tasks: Iterable[type[LitrajCalcJob]],
    packable: bool = False,
) -> None:
    """Refuse settings of jobs that are of no potential, or that no job knows.

    :param tasks: a job of each gets them.
    :param packable: whether the items of these jobs can be shared out among several.
    :raises ValueError: naming the first that is at fault.
    """
    for name, job in jobs.items():
        where = f'jobs.{name}'
        if name not in potentials:
            raise ValueError(f'{where}: no potential is called {name!r}; there are: {", ".join(potentials)}')
        if not isinstance(job, Mapping) or not isinstance(job.get('options') or {}, Mapping):
            raise ValueError(f"{where} = {job!r}; give a dictionary such as {{'options': {{'device': 'cuda'}}}}")
        known = (*JOB_KEYS, PACKING) if packable else JOB_KEYS
        unknown = sorted(set(job) - set(known))
        if unknown:
            raise ValueError(f'{where}.{unknown[0]} is not known; there are: {", ".join(known)}')
        for task in tasks:
            check_options(job.get('options') or {}, task, f'{where}.options')
            check_packing(job, task, where)
        try:
            job_metadata(job)
        except NotExistent as error:
            raise ValueError(
                f'{where}.computer = {job["computer"]!r}: there is none of that label; verdi computer list tells them'
            ) from error


def check_packing(job: Mapping[str, Any], task: type[LitrajCalcJob], name: str) -> None:
    """Refuse a packing among the settings of jobs that they cannot have; none is none to be judged.

    :param name: of the settings, to the one who gave them.
    :raises ValueError: naming field, value and remedy.
    """
    given = job.get(PACKING)
    if given is None:
        return
    if not isinstance(given, Mapping) or not given:  # builders of AiiDA leave out what is empty, and so all in one job
        raise ValueError(f"{name}.{PACKING} = {given!r}; give a dictionary such as {{'max_jobs': 20}}")
    packing = read_packing(given, f'{name}.{PACKING}')
    settle_options(packing, job.get('options') or {}, task.spec().inputs['metadata']['options'], f'{name}.{PACKING}')
