"""Chemical symbols and atomic numbers, without a dependency on ASE."""

from __future__ import annotations

from collections.abc import Iterable

from ...contract.errors import LitrajError
from ...contract.potential import PotentialReport

SYMBOLS: tuple[str, ...] = tuple(
    """X
    H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr
    Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe
    Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn
    Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr Rf Db Sg Bh Hs Mt Ds Rg Cn Nh Fl Mc Lv Ts Og""".split()
)
"""Symbols by atomic number; ``X`` (zero) is no element."""

_NUMBERS = {symbol: number for number, symbol in enumerate(SYMBOLS)}


def symbols_of(numbers: Iterable[int]) -> list[str]:
    """Return the chemical symbols of the distinct atomic ``numbers``, in the order of the periodic table.

    A number that is no element's reads as itself, so that a message about it still says which.
    """
    return [SYMBOLS[number] if 0 < number < len(SYMBOLS) else str(number) for number in sorted(set(numbers))]


def covered_numbers(report: PotentialReport) -> frozenset[int] | None:
    """Return the atomic numbers that a potential covers, ``None`` where it cannot tell."""
    if report.elements is None:
        return None
    return frozenset(_NUMBERS[symbol] for symbol in report.elements)


def check_covered(report: PotentialReport, covered: frozenset[int] | None, numbers: Iterable[int]) -> None:
    """Refuse atoms that the potential was not made for.

    :raises LitrajError: ``ERROR_ELEMENTS_NOT_COVERED`` naming them.
    """
    missing = set() if covered is None else set(numbers) - covered
    if missing:
        raise LitrajError(
            'ERROR_ELEMENTS_NOT_COVERED',
            potential=f'{report.family}:{report.name or report.file}',
            elements=', '.join(symbols_of(missing)),
        )
