"""Potentials side by side, as a launch names them: each with its code, its jobs, and a name that a link can have."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from .launching import job_options, packing_of

if TYPE_CHECKING:
    from aiida.orm import AbstractCode


def choose_potentials(
    texts: Iterable[str], request: Mapping[str, Any], cache: bool | None
) -> tuple[dict[str, Any], dict[str, Any], dict[str, str]]:
    """Return potentials with their codes and the settings of their jobs, both by name, and the name of each text.

    :param request: of the command: ``code``, and the options of jobs.
    :raises ValueError: if there is no such potential or code, or a potential is given twice.
    """
    potentials: dict[str, Any] = {}
    jobs: dict[str, Any] = {}
    names: dict[str, str] = {}
    for text in texts:
        chosen, job = choose_potential(text, request, cache)
        name = names[text] = name_of(chosen['potential'].label or text, potentials, f'--potential {text}')
        potentials[name], jobs[name] = chosen, job
    return potentials, jobs, names


def choose_potential(
    text: str, request: Mapping[str, Any], cache: bool | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a potential with its code, and the settings of its jobs."""
    from ..codes.choose import choose_code
    from ..codes.potentials import load_potential

    potential = load_potential(text)
    code = choose_code(request['code'], potential.family)
    return {'code': code, 'potential': potential}, job_of(code, request, cache)


def job_of(code: AbstractCode, asked: Mapping[str, Any], cache: bool | None) -> dict[str, Any]:
    """Return the settings of jobs of a code: computer, options, packing, and whether an equal one will not do."""
    from ..codes.choose import computer_of

    job: dict[str, Any] = {'computer': computer_of(code).label, 'options': job_options(code, asked)}
    packing = packing_of(asked)
    if packing is not None:
        job['packing'] = packing
    return {**job, 'disable_cache': True} if cache is False else job


def name_of(label: str, taken: Collection[str], given: str) -> str:
    """Return a label as a name that can be part of a link.

    :raises ValueError: if it is taken.
    """
    name = re.sub(r'[^A-Za-z0-9]+', '_', label).strip('_') or 'unnamed'
    if name in taken:
        raise ValueError(f'{given}: {name} is given twice, or too much like another; each needs a name of its own')
    return name


def labels_of(labels: Mapping[str, str]) -> dict[str, str]:
    """Return what potentials are called, by name: their label, or the name where the label is none or that of two."""
    every = list(labels.values())
    return {name: label if label and every.count(label) == 1 else name for name, label in labels.items()}
