"""Families of pseudopotentials, which are groups of aiida-pseudo: found by their label, or by their functional."""

from __future__ import annotations

import contextlib
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from aiida.orm import QueryBuilder

from ..data.upf import UpfHeader, read_upf_header

if TYPE_CHECKING:
    from aiida_pseudo.groups.family import PseudoPotentialFamily


def recommended_rho_ry(family: PseudoPotentialFamily, element: str) -> float | None:
    """Return the cutoff of the density that a family recommends for an element, in Ry."""
    from aiida_pseudo.groups.mixins import RecommendedCutoffMixin

    if not isinstance(family, RecommendedCutoffMixin) or not family.get_cutoff_stringencies():
        return None
    try:
        return float(family.get_recommended_cutoffs(elements=(element,), unit='Ry')[1])
    except ValueError:  # some families have cutoffs for some of their elements
        return None


def find_family(label: str) -> PseudoPotentialFamily:
    """Return the family of pseudopotentials with a label.

    :raises ValueError: if there is none or there are several, naming those that are known; or without aiida-pseudo.
    """
    try:
        from aiida_pseudo.groups.family import PseudoPotentialFamily
    except ImportError as error:
        raise ValueError(f'pseudopotentials need aiida-pseudo: pip install "aiida-litraj[dft]" ({error})') from error

    found = QueryBuilder().append(PseudoPotentialFamily, filters={'label': label}).all(flat=True)
    if len(found) == 1:
        return found[0]
    if found:
        raise ValueError(f'settings.pseudo_family = {label!r}: several families have that label; relabel all but one')
    known = sorted(QueryBuilder().append(PseudoPotentialFamily, project='label').all(flat=True))
    raise ValueError(
        f'settings.pseudo_family = {label!r}: there is none of that label (there are: {", ".join(known) or "none"}); '
        'install one: aiida-litraj setup-dft --pseudo-folder FOLDER, or with a network: aiida-pseudo install sssp'
    )


def only_family(functional: str) -> str:
    """Return the label of the family whose pseudopotentials are all of a functional, if there is one such.

    :raises ValueError: if there is none or there are several, naming them.
    """
    from aiida_pseudo.groups.family import PseudoPotentialFamily

    families = QueryBuilder().append(PseudoPotentialFamily).all(flat=True)
    fitting = [one.label for one in families if _functionals(one) == {functional}]
    if len(fitting) == 1:
        return str(fitting[0])
    if fitting:
        raise ValueError(
            f'several pseudopotential families are of {functional}: {", ".join(sorted(fitting))}; name one'
        )
    known = ', '.join(f'{one.label} ({"/".join(sorted(_functionals(one)))})' for one in families) or 'none at all'
    raise ValueError(
        f'no pseudopotential family is of {functional} (there are: {known}); install one: aiida-litraj setup-dft '
        f'--pseudo-folder FOLDER --functional {functional}'
    )


def _functionals(family: PseudoPotentialFamily) -> set[str]:
    """Return the functionals of a family's pseudopotentials, those that are no UPF left out."""
    found = set()
    for pseudo in family.pseudos.values():
        with contextlib.suppress(ValueError):
            found.add(header_of(pseudo).functional)
    return found


def header_of(pseudo: Any) -> UpfHeader:
    """Return the header of a pseudopotential's file.

    :raises ValueError: if it is not in the format UPF, naming the element.
    """
    try:
        return _header(str(pseudo.uuid))
    except ValueError as error:
        raise ValueError(f'the pseudopotential of {pseudo.element} ({pseudo.filename}): {error}') from error


@lru_cache(maxsize=256)
def _header(uuid: str) -> UpfHeader:
    from aiida.orm import load_node

    return read_upf_header(load_node(uuid).get_content())
