"""Constants of nature and units, once for both sides of the contract.

Elementary charge and Boltzmann's constant are exact by the definition of the SI of 2019; the atomic mass constant and
the atomic units are CODATA's of 2018: E. Tiesinga et al., Rev. Mod. Phys. 93, 025010 (2021).
"""

from __future__ import annotations

from typing import Final

ELEMENTARY_CHARGE_C: Final = 1.602176634e-19
BOLTZMANN_J_PER_K: Final = 1.380649e-23
ATOMIC_MASS_KG: Final = 1.66053906660e-27
HARTREE_EV: Final = 27.211386245988
RYDBERG_EV: Final = HARTREE_EV / 2.0
BOHR_ANG: Final = 0.529177210903
"""These three also as ``Modules/constants.f90`` of pw.x has them since version 6.6."""

BOLTZMANN_EV_PER_K: Final = BOLTZMANN_J_PER_K / ELEMENTARY_CHARGE_C
EV_PER_ANG3_OF_GPA: Final = 1e-21 / ELEMENTARY_CHARGE_C
"""1 eV/Ang^3 is 160.2176634 GPa."""
FEMTOSECONDS_OF_PS: Final = 1000.0
