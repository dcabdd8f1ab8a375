"""Units of the integrators: Ang, eV and atomic mass units, so time in Ang (u/eV)^(1/2), about 10.18 fs."""

from __future__ import annotations

import math
from typing import Final

from ....contract.units import ATOMIC_MASS_KG, BOLTZMANN_EV_PER_K, ELEMENTARY_CHARGE_C, EV_PER_ANG3_OF_GPA

BOLTZMANN: Final = BOLTZMANN_EV_PER_K
"""eV/K."""
FEMTOSECOND: Final = 1e-5 * math.sqrt(ELEMENTARY_CHARGE_C / ATOMIC_MASS_KG)
"""In units of time."""
GIGAPASCAL: Final = EV_PER_ANG3_OF_GPA
"""eV/Ang^3."""
