"""Chemical symbols and their atomic numbers, with X, the pseudo-atom in the middle of a hop, as number 0."""

from __future__ import annotations

from typing import Final

import numpy as np

SYMBOLS: Final = tuple(
    'X H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr Rb Sr Y Zr '
    'Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt '
    'Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr Rf Db Sg Bh Hs Mt Ds Rg Cn Nh Fl Mc Lv '
    'Ts Og'.split()
)
UNKNOWN: Final = 255
ATOMIC_NUMBERS: Final[dict[bytes, int]] = {
    spelling.encode(): number
    for number, symbol in enumerate(SYMBOLS)
    for spelling in (symbol, symbol.lower(), symbol.upper())
}
"""By symbol, however it is capitalised."""


def _by_bytes() -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    table = np.full(1 << 16, UNKNOWN, dtype=np.uint8)
    for symbol, number in ATOMIC_NUMBERS.items():
        padded = symbol.ljust(2)
        if len(padded) == 2:
            table[padded[0] << 8 | padded[1]] = number
    return table


BY_BYTES: Final = _by_bytes()
"""Atomic number by the two bytes of a symbol, the second one a space for symbols of one letter."""
