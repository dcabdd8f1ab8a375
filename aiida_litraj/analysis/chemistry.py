"""What kind of compound a composition is: its elements, and the class of its anion."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ase.data import chemical_symbols

ANION_CLASSES = {
    'F': 'fluoride', 'Cl': 'chloride', 'Br': 'bromide', 'I': 'iodide', 'O': 'oxide', 'S': 'sulfide', 'Se': 'selenide',
    'Te': 'telluride', 'N': 'nitride',
}  # fmt: skip
MIXED, OTHER = 'mixed anions', 'other'


def elements(numbers: Sequence[int]) -> frozenset[str]:
    """Return the elements among atoms with these atomic numbers."""
    return frozenset(chemical_symbols[number] for number in numbers)


def anion_class(numbers: Sequence[int]) -> str:
    """Return the class of the anion of a compound of these atoms, by counting them.

    It is one of ``ANION_CLASSES``, that of the commonest of these elements, as in Li3PS4 (sulfide), Li2SO4 (oxide,
    sulfur is the smaller part) and Li6PS5Cl (sulfide). Where another one has more than half as many atoms, as in Li3OCl
    or LiPO2F2, anions are mixed; so are they, by the counts alone, in a thiosulfate. A compound without any of these
    elements, such as a phosphide, is of the class other.
    """
    counts = Counter(chemical_symbols[number] for number in numbers)
    anions = Counter({symbol: counts[symbol] for symbol in ANION_CLASSES if counts[symbol]})
    if not anions:
        return OTHER
    (most, n_most), *rest = anions.most_common()
    if rest and 2 * rest[0][1] > n_most:
        return MIXED
    return ANION_CLASSES[most]
