"""Texts of figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import reduce
from math import gcd, hypot
from typing import Any

from .energy_profile import Caption
from .words import counted

# Order of the non-metals in a formula: IUPAC, Nomenclature of Inorganic Chemistry (2005), table VI.
_NON_METALS = 'B Si C Sb As P N H Te Se S At I Br Cl O F'.split()
_SUBSCRIPTS = str.maketrans('0123456789', '₀₁₂₃₄₅₆₇₈₉')
_DIGITS = str.maketrans('₀₁₂₃₄₅₆₇₈₉', '0123456789')
_FAMILIES = {
    'sevennet': 'SevenNet',
    'mace': 'MACE',
    'graph_pes': 'graph-pes',
    'chgnet': 'CHGNet',
    'gpaw': 'GPAW',
    'toy': 'analytic',
    'ase': 'ASE',
}


def formula(symbols: Sequence[str]) -> str:
    """Return the reduced formula of a crystal, for example Li₃PO₄."""
    counts = Counter(symbols)
    divisor = reduce(gcd, counts.values())

    def place(symbol: str) -> tuple[int, str]:
        return (_NON_METALS.index(symbol) + 1 if symbol in _NON_METALS else 0, symbol)

    return ''.join(
        symbol + (str(counts[symbol] // divisor).translate(_SUBSCRIPTS) if counts[symbol] > divisor else '')
        for symbol in sorted(counts, key=place)
    )


def plain_formula(symbols: Sequence[str]) -> str:
    """Return the same in plain digits, for example Li3PO4."""
    return formula(symbols).translate(_DIGITS)


def hop_text(labels: Mapping[str, Any]) -> str:
    """Return the hop in words, for example ``site 0 → 11 (+0 0 1)``, empty if it has no sites."""
    if 'source' not in labels or 'target' not in labels:
        return ''
    target = labels['target']
    if not isinstance(target, int):
        target = '(' + ', '.join(f'{value:g}' for value in target) + ')'
    offset = labels.get('offset') or (0, 0, 0)
    shift = f' in cell ({" ".join(str(number) for number in offset)})' if any(offset) else ''
    return f'site {labels["source"]} → {target}{shift}'


def plan_text(
    labels: Mapping[str, Any], displacement: Sequence[float] | None, natoms: int, n_images: int, protocol: str
) -> str:
    """Return in a line what will be computed.

    For example ``Li site 0 → 6, 3.02 Å, supercell 1x1x1, 31 atoms, 5 images, protocol balanced``.
    """
    hop = hop_text(labels)
    parts = [f'{labels.get("mobile_element") or ""} {hop or "hop between two structures"}'.strip()]
    if displacement is not None:
        parts.append(f'{hypot(*displacement):.2f} Å')
    if labels.get('repetition'):
        parts.append(f'supercell {supercell_text(labels)}')
    return ', '.join([*parts, counted(natoms, 'atom'), counted(n_images, 'image'), f'protocol {protocol}'])


def supercell_text(labels: Mapping[str, Any]) -> str | None:
    """Return the repetition of the cell, for example ``2x2x1``, ``None`` if it has none."""
    repetition = labels.get('repetition')
    return 'x'.join(str(number) for number in repetition) if repetition else None


def barrier_caption(
    symbols: Sequence[str], labels: Mapping[str, Any], potential: tuple[str, str], barrier: Mapping[str, Any]
) -> Caption:
    """Return the caption of a barrier's energy profile.

    :param symbols: chemical symbols of the crystal.
    :param labels: labels of the path.
    :param potential: its family and its label.
    :param barrier: content of the output ``barrier``.
    """
    family, name = potential
    mobile = f'{labels["mobile_element"]} hop' if labels.get('mobile_element') else 'Hop'
    parts = (
        hop_text(labels),
        f'{_FAMILIES.get(family, family)} {name}',
        counted(barrier['natoms'], 'atom'),
        counted(barrier['n_images'], 'image'),
    )
    warning = ''
    if not barrier['converged']:
        warning = 'not converged'
        if barrier.get('fmax_ev_per_ang') is not None:
            warning += f': residual force {barrier["fmax_ev_per_ang"]:.2f} eV/Å'
    return Caption(f'{mobile} in {formula(symbols)}', ' · '.join(part for part in parts if part), warning)
