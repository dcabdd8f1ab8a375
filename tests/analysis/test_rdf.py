"""Radial distributions of lattices, of an ideal gas, and in skewed cells."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk, make_supercell

from aiida_litraj.analysis.rdf import coordination_numbers, radial_distributions

ALL = np.ones(3, dtype=bool)
ROUND_OFF = 1e-9
CONSTANT = 4.0
SHELLS = ((1 / np.sqrt(2), 12), (1.0, 6), (np.sqrt(1.5), 24), (np.sqrt(2.0), 12), (np.sqrt(2.5), 24))
"""Radii in units of the cubic constant and numbers of neighbours of the face-centred lattice."""


@pytest.mark.parametrize('transformation', [np.eye(3), 2 * np.eye(3), [[1, 3, 0], [0, 1, 4], [0, 0, 1]]])
def test_shells_of_the_face_centred_lattice(transformation: np.ndarray) -> None:
    """One atom, eight atoms, and one atom in a cell that is skewed beyond recognition."""
    crystal = make_supercell(bulk('Ar', 'fcc', a=CONSTANT), transformation)
    found = radial_distributions(['Ar'] * len(crystal), [crystal.positions], [np.asarray(crystal.cell)], ALL, 7.0)
    gas = found['Ar', 'Ar']
    total = 0
    for radius, number in SHELLS:
        total += number
        assert gas.coordination(radius * CONSTANT + 0.1) == pytest.approx(total)
    assert gas.g[gas.radii_ang < CONSTANT / np.sqrt(2) - 0.1].max() == 0.0


def test_integral_of_g_is_the_coordination_number() -> None:
    generator = np.random.default_rng(0)
    symbols = ['Li'] * 20 + ['S'] * 10
    cells = [np.diag(generator.uniform(9.0, 12.0, 3)) for _ in range(3)]
    frames = [generator.uniform(0.0, 1.0, (30, 3)) @ cells[0] for _ in range(3)]
    same_volume = [cells[0]] * 3
    found = radial_distributions(symbols, frames, same_volume, ALL, 8.0, 0.1)
    volume = float(np.linalg.det(cells[0]))
    for (_, around), one in found.items():
        shells = 4.0 / 3.0 * np.pi * np.diff(one.edges_ang**3)
        density = symbols.count(around) / volume
        np.testing.assert_allclose(np.cumsum(density * one.g * shells), one.neighbours, rtol=ROUND_OFF)
    assert found['Li', 'S'].neighbours[-1] * 20 == pytest.approx(
        radial_distributions(symbols, frames, same_volume, ALL, 8.0, 0.1, [('S', 'Li')])['S', 'Li'].neighbours[-1] * 10
    )


def test_ideal_gas_has_one_everywhere_whatever_its_cell_does() -> None:
    """Cells that are skewed and change their volume by a factor of three: each frame counts with its own density."""
    generator, n_atoms = np.random.default_rng(1), 200
    cells = [scale * np.array([[8.0, 0, 0], [5.0, 8.0, 0], [-3.0, 2.0, 8.0]]) for scale in (1.0, 1.2, 1.45) * 4]
    frames = [generator.uniform(0.0, 1.0, (n_atoms, 3)) @ cell for cell in cells]
    symbols = ['Li'] * (n_atoms // 2) + ['S'] * (n_atoms // 2)
    found = radial_distributions(symbols, frames, cells, ALL, 6.0, 0.5)
    for (centre, around), one in found.items():
        number = n_atoms // 2
        expected = 1.0 - 1.0 / number if centre == around else 1.0
        # Poisson: pairs that were counted in each shell, those of equals from both sides.
        counted = one.g / one.g.mean() * np.diff(np.concatenate([[0.0], one.neighbours])) * number * len(frames)
        error = np.sqrt((2.0 if centre == around else 1.0) / np.maximum(counted, 1.0))
        assert (abs(one.g - expected) < 4.5 * error).all(), (centre, around, one.g)


def test_elements_are_told_apart() -> None:
    salt = bulk('NaCl', 'rocksalt', a=5.6)
    symbols = list(salt.symbols)
    found = radial_distributions(symbols, [salt.positions], [np.asarray(salt.cell)], ALL, 4.5)
    assert list(found) == [('Na', 'Na'), ('Na', 'Cl'), ('Cl', 'Cl')]
    assert found['Na', 'Cl'].coordination(3.0) == pytest.approx(6.0)
    assert found['Na', 'Na'].coordination(3.0) == 0.0
    assert found['Na', 'Na'].coordination(4.2) == pytest.approx(12.0)
    shares = coordination_numbers(symbols, [salt.positions] * 2, [np.asarray(salt.cell)] * 2, ALL, {'Cl-Na': 3.0})
    assert shares == {'Cl-Na': {6: 1.0}}


def test_coordination_numbers_are_shares() -> None:
    """Two S of which one has two Li, the other one none."""
    positions = np.array([[0.0, 0, 0], [5.0, 5, 5], [1.5, 0, 0], [0.0, 1.5, 0]])
    found = coordination_numbers(['S', 'S', 'Li', 'Li'], [positions], [20.0 * np.eye(3)], ALL, {'S-Li': 2.0, 'Li-S': 2})
    assert found == {'S-Li': {0: 0.5, 2: 0.5}, 'Li-S': {1: 1.0}}


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'frames': []}, '0 frames and 1 cells'),
        ({'pbc': np.array([True, True, False])}, 'periodic in all directions'),
        ({'max_distance_ang': 0.0}, 'must be positive'),
        ({'shell_ang': -1.0}, 'must be positive'),
        ({'pairs': [('Li', 'Xe')]}, 'there is no Xe but Li'),
    ],
)
def test_bad_input_is_refused(change: dict[str, object], message: str) -> None:
    inputs = {
        'symbols': ['Li'],
        'frames': [np.zeros((1, 3))],
        'cells': [np.eye(3)],
        'pbc': ALL,
        'max_distance_ang': 1.0,
    }
    with pytest.raises(ValueError, match=message):
        radial_distributions(**{**inputs, **change})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match='Li-Xe is not a pair of Li'):
        coordination_numbers(['Li'], [np.zeros((1, 3))], [np.eye(3)], ALL, {'Li-Xe': 1.0})
