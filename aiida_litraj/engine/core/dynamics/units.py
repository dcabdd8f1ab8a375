"""Units of the integrators: Ang, eV and atomic mass units, so time in Ang (u/eV)^(1/2), about 10.18 fs."""

from __future__ import annotations

import math
from typing import Final

# CODATA 2018: Tiesinga et al., Rev. Mod. Phys. 93, 025010 (2021)
_ELEMENTARY_CHARGE: Final = 1.602176634e-19
_ATOMIC_MASS: Final = 1.66053906660e-27

BOLTZMANN: Final = 1.380649e-23 / _ELEMENTARY_CHARGE
"""eV/K."""
FEMTOSECOND: Final = 1e-5 * math.sqrt(_ELEMENTARY_CHARGE / _ATOMIC_MASS)
"""In units of time."""
GIGAPASCAL: Final = 1e-21 / _ELEMENTARY_CHARGE
"""eV/Ang^3."""
