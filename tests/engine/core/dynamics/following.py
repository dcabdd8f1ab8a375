"""Systems with known answers, following them for many steps, and what their averages are worth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ase.build
import numpy as np
import numpy.typing as npt

from aiida_litraj.engine.core.dynamics.cell_rescaling import CellRescalingLangevin
from aiida_litraj.engine.core.dynamics.integrator import Integrator
from aiida_litraj.engine.core.dynamics.langevin import LangevinBaoab
from aiida_litraj.engine.core.dynamics.mtk import DEGREES, MartynaTobiasKlein
from aiida_litraj.engine.core.dynamics.nose_hoover import Chain
from aiida_litraj.engine.core.dynamics.replica import at_start
from aiida_litraj.engine.core.dynamics.schedule import Conditions
from aiida_litraj.engine.core.dynamics.state import State, System, maxwell_boltzmann
from aiida_litraj.engine.core.dynamics.units import BOLTZMANN, FEMTOSECOND, GIGAPASCAL
from aiida_litraj.engine.models.interface import Configuration
from aiida_litraj.engine.models.toy import morse

Array = npt.NDArray[np.float64]
Answer = tuple[float, Array, Array | None]
Potential = Callable[[State], Answer]
PERIODIC = np.ones(3, dtype=bool)
OPEN = np.zeros(3, dtype=bool)
FS = FEMTOSECOND


def ideal_gas(state: State) -> Answer:
    """Nothing."""
    return 0.0, np.zeros_like(state.positions), np.zeros((3, 3))


@dataclass(frozen=True)
class VolumeSpring:
    """U = B (V - V0)^2 / 2 V0 of the cell alone: V has the density exp(-(U + PV)/kT) V^(N-1)."""

    modulus: float
    volume: float

    def __call__(self, state: State) -> Answer:
        energy, slope = self.energy(state.volume), self.modulus * (state.volume / self.volume - 1.0)
        return float(energy), np.zeros_like(state.positions), slope * np.eye(3)

    def energy(self, volume: Any) -> Any:
        return 0.5 * self.modulus * (volume - self.volume) ** 2 / self.volume

    def moments(self, n_atoms: int, kt: float, pressure: float) -> tuple[float, float]:
        """Mean and standard deviation of the volume, by quadrature."""
        v = self.volume * np.linspace(0.01, 10.0, 20001)
        log = -(self.energy(v) + pressure * v) / kt + (n_atoms - 1) * np.log(v)
        weight = np.exp(log - log.max())
        mean = (weight * v).sum() / weight.sum()
        return float(mean), float(np.sqrt((weight * (v - mean) ** 2).sum() / weight.sum()))


@dataclass(frozen=True)
class Springs:
    """Independent oscillators: each atom at a spring of its own to the origin."""

    constant: Array

    def __call__(self, state: State) -> Answer:
        x = state.positions
        return float(0.5 * (self.constant * x * x).sum()), -self.constant * x, None


@dataclass(frozen=True)
class QuarticSprings:
    """U = k/4 of the fourth powers of all distances: chaotic, and U is Gamma distributed with shape degrees/4."""

    constant: float

    def __call__(self, state: State) -> Answer:
        vectors = state.positions[None] - state.positions[:, None]
        squared = (vectors * vectors).sum(axis=2)
        energy = 0.125 * self.constant * float((squared * squared).sum())
        forces = self.constant * (squared[:, :, None] * vectors).sum(axis=1)
        pulls = 0.5 * self.constant * np.einsum('ij,ija,ijb->ab', squared, vectors, vectors)
        return energy, forces, pulls / state.volume


@dataclass(frozen=True)
class ShapeSpring:
    """U = G V0 |e|^2 / 2 of the cell alone, e being the logarithmic strain of a cube of edge L."""

    modulus: float
    edge: float

    def __call__(self, state: State) -> Answer:
        _, stretches, axes = np.linalg.svd(state.cell / self.edge)
        strains, scale = np.log(stretches), self.modulus * self.edge**3
        stress = scale * (axes.T * strains) @ axes / state.volume
        return 0.5 * scale * float((strains * strains).sum()), np.zeros_like(state.positions), stress


def both(first: Potential, second: Potential) -> Potential:
    """The sum of two potentials."""

    def of(state: State) -> Answer:
        one, other = first(state), second(state)
        stress = None if one[2] is None or other[2] is None else one[2] + other[2]
        return one[0] + other[0], one[1] + other[1], stress

    return of


@dataclass(frozen=True)
class Morse:
    """The Morse crystal of the toy family."""

    atoms: ase.Atoms

    def __call__(self, state: State) -> Answer:
        answer = morse(Configuration(self.atoms.numbers, state.positions, state.cell, self.atoms.pbc, stress=True))
        return answer.energy, answer.forces, answer.stress

    def system(self, **options: Any) -> System:
        return System(self.atoms.get_masses(), self.atoms.pbc, **options)


def morse_crystal(rattle: float = 0.05) -> Morse:
    atoms = ase.build.bulk('Ar', 'fcc', a=3.95, cubic=True).repeat((2, 1, 1))
    atoms.rattle(rattle, seed=1)
    return Morse(atoms)


def begin(integrator: Integrator, potential: Potential, positions: Array, velocities: Array, cell: Array) -> State:
    state = at_start(integrator, positions, velocities, cell)
    return state.evaluated(*potential(state))


def follow(
    integrator: Integrator,
    potential: Potential,
    state: State,
    n_steps: int,
    kelvin: float = 300.0,
    gigapascal: float = 0.0,
    observe: Callable[[State], Any] = lambda _: None,
) -> tuple[State, Array]:
    """Return the state ``n_steps`` later and what was observed after each."""
    now = Conditions(BOLTZMANN * kelvin, GIGAPASCAL * gigapascal)
    seen = []
    for _ in range(n_steps):
        state = integrator.advance(state, now)
        state = integrator.complete(state.evaluated(*potential(state)), now)
        seen.append(observe(state))
    return state, np.array(seen)


def random_start(system: System, integrator: Integrator, potential: Potential, volume: float, kelvin: float) -> State:
    """Atoms anywhere in a cube."""
    edge = volume ** (1 / 3)
    positions = np.random.default_rng(system.seed).uniform(0.0, edge, (len(system), 3))
    velocities = maxwell_boltzmann(system, BOLTZMANN * kelvin)
    return begin(integrator, potential, positions, velocities, edge * np.eye(3))


def rescaling(system: System, timestep: float, friction: float, tau: float, gigapascal: float, full: bool) -> Any:
    """Stochastic cell rescaling of a system with a bulk modulus of ``gigapascal``; times in fs, friction in 1/fs."""
    langevin = LangevinBaoab(system, timestep * FS, friction / FS)
    return CellRescalingLangevin(langevin, 1.0 / (gigapascal * GIGAPASCAL * tau * FS), full)


def mtk(system: System, timestep: float, tau: float, tau_cell: float, full: bool) -> MartynaTobiasKlein:
    """Martyna-Tobias-Klein with chains of three; times in fs."""
    return MartynaTobiasKlein(
        system,
        timestep * FS,
        Chain(system.degrees, tau * FS, 3),
        Chain(DEGREES[full], tau_cell * FS, 3),
        tau_cell * FS,
        full,
    )


@dataclass(frozen=True)
class Estimate:
    """A mean with its standard error from blocks, which are longer than what the series remembers."""

    mean: float
    error: float

    @classmethod
    def of(cls, series: Array, blocks: int = 25) -> Estimate:
        means = np.array([part.mean() for part in np.array_split(series, blocks)])
        return cls(float(means.mean()), float(means.std(ddof=1) / np.sqrt(blocks)))

    def agrees(self, expected: float, precision: float, sigmas: float = 4.0, bias: float = 0.0) -> None:
        """Assert that it is ``expected`` within its error, and that the error is a relative ``precision`` at most.

        ``bias`` is what the finite timestep may add, relative.
        """
        assert self.error < precision * abs(expected), f'{self} says too little about {expected:g}'
        allowed = sigmas * self.error + bias * abs(expected)
        assert abs(self.mean - expected) < allowed, f'{self} is not {expected:g}'
