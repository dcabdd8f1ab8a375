"""Hops on analytic surfaces, and what is known of them without a band."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ase.calculators.calculator import Calculator, all_changes
from scipy.optimize import minimize

from aiida_litraj.contract import PotentialSpec
from aiida_litraj.contract.arrays import Array
from aiida_litraj.engine.models import Configuration, Evaluation, load

FCC_CONSTANT = 3.77
"""Ang: within 0.01 of the lattice constant at which the toy Morse crystal has no pressure."""


@dataclass(frozen=True)
class Hop:
    """A path as a job wants it; ``positions`` (n_images, n_atoms, 3) continuous, in Ang."""

    numbers: npt.NDArray[np.int64]
    positions: Array
    cell: Array
    pbc: npt.NDArray[np.bool_]
    fixed: npt.NDArray[np.bool_]
    mobile: int | None

    @property
    def arrays(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ('positions', 'cell', 'pbc', 'numbers', 'fixed')}

    def replace(self, **changes: Any) -> Hop:
        return dataclasses.replace(self, **changes)

    def reversed(self) -> Hop:
        return self.replace(positions=self.positions[::-1].copy())

    def permuted(self, order: npt.NDArray[np.int64]) -> Hop:
        """The same atoms, the k-th now being the old one ``order[k]``."""
        mobile = None if self.mobile is None else int(np.flatnonzero(order == self.mobile)[0])
        return Hop(self.numbers[order], self.positions[:, order], self.cell, self.pbc, self.fixed[order], mobile)

    def translated(self, by: Array) -> Hop:
        """Everything moved by ``by`` (3,), or each atom by its own vector (n_atoms, 3), in Ang."""
        return self.replace(positions=self.positions + by)

    def turned(self, rotation: Array) -> Hop:
        return self.replace(positions=self.positions @ rotation.T, cell=self.cell @ rotation.T)

    def configuration(self, image: int) -> Configuration:
        return Configuration(self.numbers, self.positions[image], self.cell, self.pbc)


def straight(source: Array, target: Array, n_images: int) -> Array:
    return source + np.linspace(0.0, 1.0, n_images)[:, None, None] * (target - source)


def vacancy_hop(
    n_cells: int = 2, n_images: int = 5, constant: float = FCC_CONSTANT, drop: tuple[int, ...] = (), noise: float = 0.0
) -> Hop:
    """A vacancy hop between nearest neighbours of an fcc crystal, along (0, a/2, a/2) from the origin.

    ``drop``: further atoms to take away (which makes the two ends differ); ``noise`` in Ang on the atoms of both ends.
    """
    basis = constant * np.array([[0.0, 0.0, 0.0], [0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]])
    corners = constant * np.stack(np.meshgrid(*[np.arange(n_cells)] * 3, indexing='ij'), axis=-1).reshape(-1, 3)
    sites = (corners[:, None] + basis).reshape(-1, 3)  # site 0 is the origin, site 1 the vacancy
    source = np.delete(sites, [1, *drop], axis=0)
    target = source.copy()
    target[0] = sites[1]
    rattle = np.random.default_rng(0).normal(scale=noise, size=source.shape) if noise else 0.0
    return Hop(
        numbers=np.full(len(source), 3),
        positions=straight(source + rattle, target + rattle, n_images),
        cell=n_cells * constant * np.eye(3),
        pbc=np.ones(3, dtype=bool),
        fixed=np.zeros(len(source), dtype=bool),
        mobile=0,
    )


def surface_hop(source: tuple[float, ...], target: tuple[float, ...], n_images: int = 7) -> Hop:
    """One atom, without a lattice, from one point of an analytic surface to another."""
    return Hop(
        numbers=np.array([3]),
        positions=straight(np.array([source]), np.array([target]), n_images),
        cell=np.eye(3),
        pbc=np.zeros(3, dtype=bool),
        fixed=np.zeros(1, dtype=bool),
        mobile=0,
    )


def vacancy_fan(template: Hop, neighbours: tuple[int, ...]) -> dict[str, Hop]:
    """Hops of several neighbours into the vacancy of ``template``: one crystal, in each path in another atom order."""
    n_images = len(template.positions)
    sites = np.insert(template.positions[0], 1, template.positions[-1, 0], axis=0)  # the vacancy is site 1
    hops = {}
    for site in neighbours:
        others = np.delete(sites, [1, site], axis=0)
        way = sites[1] - sites[site]
        way -= np.rint(way @ np.linalg.inv(template.cell)) @ template.cell  # to the nearest copy: a vector from here on
        source, target = (np.vstack([ion, others]) for ion in (sites[site], sites[site] + way))
        hops[f'from_{site}'] = template.replace(positions=straight(source, target, n_images))
    return hops


@dataclass(frozen=True)
class Saddle:
    """What is known of a vacancy hop without any band: ``positions`` (n_atoms, 3), ``barrier`` in eV."""

    hop: Hop
    minimum: Array
    positions: Array
    barrier: float


def minimise(evaluate: Callable[[Array], Evaluation], start: Array, held: Array) -> tuple[Array, float]:
    """Return the minimum across the direction ``held`` (n_atoms, 3; a unit vector or zero), by scipy."""

    def energy_and_gradient(x: Array) -> tuple[float, Array]:
        answer = evaluate(x.reshape(-1, 3))
        gradient = -answer.forces
        return answer.energy, (gradient - np.vdot(gradient, held) * held).ravel()

    found = minimize(
        energy_and_gradient, start.ravel(), jac=True, method='L-BFGS-B', options={'gtol': 1e-6, 'ftol': 0.0}
    )
    return found.x.reshape(-1, 3), float(found.fun)


class ToyCalculator(Calculator):
    """An analytic potential for ASE, which counts how often it was asked."""

    implemented_properties = ('energy', 'forces')

    def __init__(self, name: str, **options: float) -> None:
        super().__init__()
        self._evaluator = load(PotentialSpec(family='toy', name=name, options=options), Path.cwd(), device='cpu')
        self.calls = 0

    def calculate(self, atoms: Any = None, properties: Any = ('energy',), system_changes: Any = all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        self.calls += 1
        asked = Configuration(atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc)
        (answer,) = self._evaluator.evaluate([asked])
        self.results = {'energy': answer.energy, 'forces': answer.forces}
