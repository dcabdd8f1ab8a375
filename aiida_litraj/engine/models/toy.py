"""Analytic potentials for tests and for a first try without any package: their barriers are known on paper."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...contract.arrays import Array
from ...contract.cells import heights
from ...contract.errors import LitrajError
from ...contract.potential import PotentialReport
from .interface import Configuration, Evaluation, Family, LoadRequest
from .refusal import resolve_dtype, resolve_kernels, sha256_of

_MUELLER_BROWN = np.array(
    # A, a, b, c, x0, y0: K. Mueller and L. D. Brown, Theor. Chim. Acta 53, 75 (1979)
    [
        (-200.0, -1.0, 0.0, -10.0, 1.0, 0.0),
        (-100.0, -1.0, 0.0, -10.0, 0.0, 0.5),
        (-170.0, -6.5, 11.0, -6.5, -0.5, 1.5),
        (15.0, 0.7, 0.6, 0.7, -1.0, 1.0),
    ]
)


def double_well(configuration: Configuration, height: float = 1.0, width: float = 1.0) -> Evaluation:
    """Return the energy of independent atoms in a quartic double well along x, harmonic in y and z.

    V = height ((x/width)^2 - 1)^2 + (y^2 + z^2)/2, in eV and Ang: minima at x = -width and width, saddle at the
    origin, barrier ``height``.
    """
    x, y, z = configuration.positions.T
    scaled = (x / width) ** 2 - 1.0
    energy = height * scaled**2 + 0.5 * (y**2 + z**2)
    forces = -np.stack([4.0 * height * scaled * x / width**2, y, z], axis=1)
    return Evaluation(float(energy.sum()), forces)


def mueller_brown(configuration: Configuration, scale: float = 0.01) -> Evaluation:
    """Return the energy of independent atoms on the Mueller-Brown surface in x and y, harmonic in z.

    ``scale`` turns its arbitrary units into eV. The saddles lie at (-0.822, 0.624) with -40.66 and (0.212, 0.293)
    with -72.25, the minima at (-0.558, 1.442) with -146.70, (0.623, 0.028) with -108.17, (-0.050, 0.467) with -80.77.
    """
    amplitude, a, b, c, x0, y0 = _MUELLER_BROWN.T[:, :, None]
    dx = configuration.positions[:, 0] - x0
    dy = configuration.positions[:, 1] - y0
    terms = amplitude * np.exp(a * dx**2 + b * dx * dy + c * dy**2)
    z = configuration.positions[:, 2]
    gradient = np.stack(
        [(terms * (2 * a * dx + b * dy)).sum(axis=0), (terms * (b * dx + 2 * c * dy)).sum(axis=0), z], axis=1
    )
    return Evaluation(float(scale * (terms.sum() + 0.5 * (z**2).sum())), -scale * gradient)


def _pairs(configuration: Configuration, cutoff: float) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Array]:
    """Return ``i``, ``j`` and the vector r_j - r_i of every directed pair within ``cutoff``, all images included."""
    cell, pbc = configuration.cell, configuration.pbc
    # Atoms may lie outside the cell (positions are continuous along a path), so wrap a copy first.
    positions = configuration.positions
    if pbc.any():
        fractional = np.linalg.solve(cell.T, positions.T).T
        fractional[:, pbc] -= np.floor(fractional[:, pbc])
        positions = fractional @ cell
    # fractional coordinates of two wrapped atoms differ by less than one
    reach = [int(cutoff / height) + 1 if periodic else 0 for height, periodic in zip(heights(cell), pbc)]
    shifts = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in reach), indexing='ij'), axis=-1).reshape(-1, 3)
    vectors = positions[None, :, None, :] + (shifts @ cell)[None, None, :, :] - positions[:, None, None, :]
    squared = (vectors**2).sum(axis=-1)
    i, j, s = np.nonzero((squared < cutoff**2) & (squared > 1e-12))
    return i, j, vectors[i, j, s]


def morse(
    configuration: Configuration, depth: float = 0.3, alpha: float = 1.6, radius: float = 2.8, cutoff: float = 6.0
) -> Evaluation:
    """Return the energy of atoms with a Morse pair potential, whatever their element.

    V(r) = depth [(1 - exp(-alpha (r - radius)))^2 - 1], brought to zero at ``cutoff`` by subtracting value and slope.
    """
    i, _, vectors = _pairs(configuration, cutoff)
    distance = np.linalg.norm(vectors, axis=1)

    def pair(r: Array) -> tuple[Array, Array]:
        decay = np.exp(-alpha * (r - radius))
        return depth * ((1.0 - decay) ** 2 - 1.0), 2.0 * depth * alpha * (1.0 - decay) * decay

    value, slope = pair(distance)
    value_cut, slope_cut = pair(np.array([cutoff]))
    energy = 0.5 * (value - value_cut - slope_cut * (distance - cutoff)).sum()
    forces = np.zeros_like(configuration.positions)
    pulls = ((slope - slope_cut) / distance)[:, None] * vectors
    np.add.at(forces, i, pulls)
    stress = 0.5 * vectors.T @ pulls / abs(np.linalg.det(configuration.cell)) if configuration.stress else None
    return Evaluation(float(energy), forces, stress)


def ideal_gas(configuration: Configuration) -> Evaluation:
    """Return the energy of atoms that do not feel each other: none, without forces or stress."""
    stress = np.zeros((3, 3)) if configuration.stress else None
    return Evaluation(0.0, np.zeros_like(configuration.positions), stress)


def site_lattice(
    configuration: Configuration,
    spacing: float = 3.0,
    barrier: float = 0.2,
    framework: float = 4.0,
    modulus: float = 0.1,
) -> Evaluation:
    """Return the energy of atoms on a simple cubic lattice of sites, blind to each other else: a toy conductor.

    V = sum h/2 sum_k (1 - cos 2 pi n_k s_k), with s_k the fractional coordinates and n_k the number of ``spacing`` in
    cell vector k; the sites of lithium are the centres between the others. Between neighbouring sites stands a barrier
    h in eV: ``barrier`` for lithium, ``framework`` for all other elements. These carry the lattice: its origin is their
    mean (on the circle), so that momentum is conserved. The cell resists changes of its volume from
    n_1 n_2 n_3 spacing^3 with ``modulus`` in eV/Ang^3, and nothing else.
    """
    cell, lithium = configuration.cell, configuration.numbers == 3
    counts = np.maximum(np.rint(np.linalg.norm(cell, axis=1) / spacing), 1.0)
    inverse = np.linalg.inv(cell)
    phases = 2.0 * np.pi * counts * (configuration.positions @ inverse)
    carriers = phases[~lithium]
    phases = phases - np.arctan2(np.sin(carriers).sum(axis=0), np.cos(carriers).sum(axis=0))
    phases[lithium] -= np.pi
    depths = np.where(lithium, barrier, framework)[:, None]
    slopes = 0.5 * depths * np.sin(phases)
    if len(carriers):  # what is against the lattice is carried by its atoms
        shares = np.cos(phases[~lithium])
        slopes[~lithium] -= slopes.sum(axis=0) * shares / shares.sum(axis=0)
    rest, volume = counts.prod() * spacing**3, abs(np.linalg.det(cell))
    strain = volume / rest - 1.0
    energy = (0.5 * depths * (1.0 - np.cos(phases))).sum() + 0.5 * modulus * rest * strain**2
    stress = modulus * strain * np.eye(3) if configuration.stress else None
    return Evaluation(float(energy), -(2.0 * np.pi * counts * slopes) @ inverse.T, stress)


_FUNCTIONS: dict[str, Callable[..., Evaluation]] = {
    'double_well': double_well,
    'mueller_brown': mueller_brown,
    'morse': morse,
    'ideal_gas': ideal_gas,
    'site_lattice': site_lattice,
}


class ToyEvaluator:
    """One of the analytic potentials, with its parameters from ``options`` of the potential."""

    device = 'cpu'
    dtype = 'float64'

    def __init__(self, name: str, options: dict[str, float], report: PotentialReport | None = None) -> None:
        self._function = _FUNCTIONS[name]
        self._options = options
        digest = hashlib.sha256(repr((name, sorted(options.items()))).encode()).hexdigest()
        plain = PotentialReport(family='toy', name=name, sha256=digest, elements=None, dtypes=['float64'])
        self.report = report or plain

    def evaluate(self, configurations: Sequence[Configuration]) -> list[Evaluation]:
        """Return an evaluation for each configuration."""
        return [self._function(configuration, **self._options) for configuration in configurations]


def write_file(path: Path, name: str, options: dict[str, float], elements: Sequence[str]) -> None:
    """Write an analytic potential with its parameters to a file that the family loads, made for ``elements``."""
    path.write_text(json.dumps({'name': name, 'options': options, 'elements': list(elements)}, indent=1) + '\n')


def read_file(path: Path) -> dict[str, Any]:
    """Return ``name``, ``options`` and ``elements`` of a potential in a file.

    :raises ValueError: if it is none.
    """
    found = json.loads(path.read_text())
    if not isinstance(found, dict) or set(found) != {'name', 'options', 'elements'}:
        raise ValueError('the file is no analytic potential: it has not just name, options and elements')
    return found


def _load(request: LoadRequest) -> ToyEvaluator:
    name, asked, elements = request.spec.name, dict(request.spec.options), None
    if request.path is not None:
        found = read_file(request.path)
        name, asked, elements = found['name'], found['options'] | asked, found['elements']
    if name not in _FUNCTIONS:
        raise LitrajError(
            'ERROR_POTENTIAL_NOT_LOADED',
            potential=name or request.spec.file,
            reason=f'the toy family has {", ".join(sorted(_FUNCTIONS))}',
        )
    resolve_dtype(request, ('float64',))
    resolve_kernels(request, ('plain',))
    options = {key: float(value) for key, value in asked.items()}
    report = None
    if request.path is not None:
        report = PotentialReport(
            family='toy',
            file=request.spec.file,
            sha256=sha256_of(request.path),
            elements=elements,
            cutoff_ang=options.get('cutoff'),
            dtypes=['float64'],
        )
    evaluator = ToyEvaluator(name, options, report)
    try:  # unknown options show here and not in the middle of a run
        evaluator.evaluate([Configuration(np.array([3]), np.zeros((1, 3)), np.eye(3), np.zeros(3, dtype=bool))])
    except TypeError as error:
        raise LitrajError('ERROR_POTENTIAL_NOT_LOADED', potential=name, reason=str(error)) from error
    return evaluator


FAMILY = Family(
    name='toy',
    package='numpy',
    load=_load,
    names=lambda: sorted(_FUNCTIONS),
    devices=('cpu',),
    light=True,
)
