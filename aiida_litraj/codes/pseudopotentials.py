"""Families of pseudopotentials from a folder of files, without a network: one file per element."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..data.upf import PSEUDO_KINDS, UpfHeader, read_upf_header
from .problems import SetupProblem

STRINGENCY = 'suggested'
"""What the cutoffs of a family are called: those that the files themselves suggest."""


@dataclass(frozen=True)
class UpfFile:
    """A pseudopotential in a folder."""

    path: Path
    header: UpfHeader


@dataclass(frozen=True)
class Choice:
    """What of a folder fits, by element: ``chosen``, and what was passed over for it; ``unread`` is no UPF."""

    chosen: dict[str, UpfFile]
    passed_over: dict[str, list[str]]
    unread: list[str]


@dataclass(frozen=True)
class FamilyState:
    """A family, and whether it is ``new``, the ``same`` as before, or got more elements: ``extended``."""

    family: Any
    state: str
    choice: Choice


def choose_files(
    folder: Path, functional: str, kind: str | None = None, elements: Iterable[str] | None = None
) -> Choice:
    """Return one file of a folder for each element: of the functional, scalar-relativistic, and of one kind.

    Without a ``kind`` PAW goes before ultrasoft before norm-conserving, element by element. Of several that fit it is
    the one with the highest version in its name.

    :param functional: ``PBE``, ``PBEsol``.
    :param kind: ``paw``, ``us`` or ``nc``.
    :param elements: only these; all of them have to be there.
    :raises SetupProblem: if the folder is not there, nothing fits, or an element is missing.
    """
    if not folder.is_dir():
        raise SetupProblem(f'the folder of pseudopotentials {folder} is not there', 'Give a folder of UPF files.')
    files, unread = _read(folder)
    wanted = None if elements is None else set(elements)
    order = [kind] if kind else list(PSEUDO_KINDS)
    fitting: dict[str, list[UpfFile]] = {}
    for file in files:
        header = file.header
        if header.functional != functional or header.kind not in order or header.spin_orbit:
            continue
        if wanted is None or header.element in wanted:
            fitting.setdefault(header.element, []).append(file)
    missing = sorted((wanted or set()) - set(fitting))
    if missing or not fitting:
        raise _nothing_fits(folder, files, functional, kind, missing)
    chosen, passed_over = {}, {}
    for element, candidates in sorted(fitting.items()):
        candidates.sort(key=lambda file: (order.index(file.header.kind), _backwards(file.path.name)))
        chosen[element] = candidates[0]
        if candidates[1:]:
            passed_over[element] = [file.path.name for file in candidates[1:]]
    return Choice(chosen, passed_over, unread)


def _read(folder: Path) -> tuple[list[UpfFile], list[str]]:
    files, unread = [], []
    for path in sorted(folder.iterdir()):
        if not path.is_file() or path.suffix.lower() != '.upf':
            continue
        try:
            files.append(UpfFile(path, read_upf_header(path.read_text(encoding='utf-8', errors='replace'))))
        except ValueError as error:
            unread.append(f'{path.name}: {error}')
    return files, unread


def _nothing_fits(
    folder: Path, files: list[UpfFile], functional: str, kind: str | None, missing: list[str]
) -> SetupProblem:
    """Return what is missing, and what the folder has of it instead."""
    what = f'{PSEUDO_KINDS[kind]} pseudopotential' if kind else 'pseudopotential'
    of = f' of {", ".join(missing)}' if missing else ''
    others = [file for file in files if not missing or file.header.element in missing]
    there = sorted({f'{f.header.element} {f.header.functional} {f.header.kind}' for f in others})
    has = f'; it has {", ".join(there[:12])}{", ..." if len(there) > 12 else ""}' if there else ''
    return SetupProblem(
        f'the folder {folder} has no scalar-relativistic {what}{of} for {functional}{has}',
        'Give another folder, --functional, --kind or --elements. With a network: aiida-pseudo install sssp --help',
    )


def _backwards(name: str) -> tuple[Any, ...]:
    """Return a key by which the highest version comes first, then the name."""
    return (*(-int(number) for number in re.findall(r'\d+', name)), name)


def install_family(label: str, choice: Choice) -> FamilyState:
    """Return the family with these pseudopotentials, made if there is none of that label.

    Elements that the family lacks are added. The cutoffs that all files suggest, in Ry, become the family's.

    :raises SetupProblem: if the family has another pseudopotential for one of the elements.
    """
    from aiida.orm import QueryBuilder
    from aiida_pseudo.data.pseudo.upf import UpfData
    from aiida_pseudo.groups.family import CutoffsPseudoPotentialFamily, PseudoPotentialFamily

    found = QueryBuilder().append(PseudoPotentialFamily, filters={'label': label}).all(flat=True)
    family = found[0] if found else None
    nodes = {}
    for element, file in choice.chosen.items():
        with file.path.open('rb') as handle:
            nodes[element] = UpfData.get_or_create(handle, filename=file.path.name)
    if family is None:
        family, state = CutoffsPseudoPotentialFamily(label=label).store(), 'new'
        new = list(nodes)
    else:
        for element in set(nodes) & set(family.elements):
            if family.get_pseudo(element).md5 != nodes[element].md5:
                raise SetupProblem(
                    f'the family {label!r} has another pseudopotential for {element}: '
                    f'{family.get_pseudo(element).filename}',
                    'Labels that were made with it name the family: give another --pseudo-family.',
                )
        new = [element for element in nodes if element not in family.elements]
        state = 'extended' if new else 'same'
    if new:
        family.add_nodes([nodes[element].store() for element in new])
        _set_cutoffs(family)
    return FamilyState(family, state, choice)


def _set_cutoffs(family: Any) -> None:
    """Give a family the cutoffs that its files suggest, if all of them do."""
    cutoffs = {}
    for element, pseudo in family.pseudos.items():
        header = read_upf_header(pseudo.get_content())
        if header.cutoff_wfc_ry is None or header.cutoff_rho_ry is None:
            return
        cutoffs[element] = {'cutoff_wfc': header.cutoff_wfc_ry, 'cutoff_rho': header.cutoff_rho_ry}
    if hasattr(family, 'set_cutoffs'):
        family.set_cutoffs(cutoffs, STRINGENCY, unit='Ry')


def default_label(functional: str, choice: Choice) -> str:
    """Return a name for a family: its functional, and the kind of its pseudopotentials where that is one."""
    kinds = {file.header.kind for file in choice.chosen.values()}
    return f'{functional}-{kinds.pop() if len(kinds) == 1 else "mixed"}'
