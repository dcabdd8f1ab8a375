"""From parameters to the integrator they name."""

from __future__ import annotations

from ....contract.md import CellRescaling, MdParameters
from ....contract.md import Langevin as LangevinParameters
from ....contract.units import FEMTOSECONDS_OF_PS
from .cell_rescaling import CellRescalingLangevin
from .integrator import Integrator, VelocityVerlet
from .langevin import LangevinBaoab
from .mtk import DEGREES, MartynaTobiasKlein
from .nose_hoover import Chain, NoseHooverChain
from .state import System
from .units import FEMTOSECOND, GIGAPASCAL


def integrator_for(parameters: MdParameters, system: System) -> Integrator:
    """Return the integrator of an ensemble, its thermostat and its barostat."""
    timestep, thermostat, barostat = FEMTOSECOND * parameters.timestep_fs, parameters.thermostat, parameters.barostat
    if thermostat is None:
        return VelocityVerlet(system, timestep)
    if isinstance(thermostat, LangevinParameters):
        langevin = LangevinBaoab(system, timestep, thermostat.friction_per_ps / (FEMTOSECONDS_OF_PS * FEMTOSECOND))
        if barostat is None:
            return langevin
        assert isinstance(barostat, CellRescaling)
        mobility = barostat.compressibility_per_gpa / GIGAPASCAL / (FEMTOSECOND * barostat.tau_fs)
        return CellRescalingLangevin(langevin, mobility, barostat.cell == 'full')
    chain = Chain(system.degrees, FEMTOSECOND * thermostat.tau_fs, thermostat.chain_length)
    if barostat is None:
        return NoseHooverChain(system, timestep, chain)
    assert not isinstance(barostat, CellRescaling)
    tau, full = FEMTOSECOND * barostat.tau_fs, barostat.cell == 'full'
    piston = Chain(DEGREES[full], tau, barostat.chain_length)
    return MartynaTobiasKlein(system, timestep, chain, piston, tau, full)
