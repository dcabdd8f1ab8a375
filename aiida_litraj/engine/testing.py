"""What any potential must hold to be used here, as tests that the author of a family inherits.

In the tests of a family::

    @pytest.fixture(scope='module')
    def evaluator():
        return load(PotentialSpec(family='my_family', name='my_potential'), Path.cwd(), device='cpu')

    class TestMyPotential(EvaluatorContract):
        pass

A potential in an external field is neither translation nor rotation invariant: such a class sets those tests to
``None``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..contract.arrays import Array
from .models.elements import covered_numbers
from .models.interface import Configuration, Evaluation, Evaluator
from .models.kernels import verification_crystals

STEP_ANG = 0.01
"""Displacement of finite differences: small against a bond, large against the round-off of a float32 energy."""

GRADIENT_TOLERANCE = {'float32': 5e-3, 'float64': 1e-6}
"""Allowed error of forces against the energy's finite differences, per unit of the largest force (at least 1 eV/Ang):
in float32 an energy of 100 eV is known to 8e-6 eV, which over a step of 0.01 Ang is 1e-3 eV/Ang."""

STRESS_SCALE = 0.01
"""eV/Ang^3 (1.6 GPa): errors of a stress are relative to the largest component, at least to this."""

STRAIN_STEP = 1e-3
"""Strain of finite differences: moves atoms at the edge of a cell of 10 Ang by 0.01 Ang."""

STRAIN_TOLERANCE = {'float32': 3e-2, 'float64': 1e-5}
"""Allowed error of the virial in eV per unit of the largest (at least 1 eV): in float32 an energy of 100 eV is known to
8e-6 eV, which over a strain of 0.001 is 1e-2 eV."""

SYMMETRY_TOLERANCE = {'float32': 1e-4, 'float64': 1e-10}
"""Allowed difference between configurations that are the same, likewise relative."""


def crystals_for(evaluator: Evaluator) -> list[Configuration]:
    """Return small distorted crystals of elements that ``evaluator`` covers."""
    return verification_crystals(covered_numbers(evaluator.report))


def _changed(configuration: Configuration, positions: Array, cell: Array | None = None) -> Configuration:
    return replace(configuration, positions=positions, cell=configuration.cell if cell is None else cell)


def _rotation(seed: int) -> Array:
    """Return a random proper rotation, (3, 3)."""
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    turn: Array = q * np.sign(np.linalg.det(q))
    return turn


def assert_same(found: Evaluation, expected: Evaluation, tolerance: float) -> None:
    """Assert equal energies per atom and equal forces, relative to the largest force (at least 1 eV/Ang)."""
    n_atoms, scale = len(expected.forces), max(1.0, float(np.abs(expected.forces).max()))
    np.testing.assert_allclose(found.energy / n_atoms, expected.energy / n_atoms, rtol=0, atol=tolerance * scale)
    np.testing.assert_allclose(found.forces, expected.forces, rtol=0, atol=tolerance * scale)
    assert (found.stress is None) == (expected.stress is None)
    if found.stress is not None and expected.stress is not None:
        largest = max(STRESS_SCALE, float(np.abs(expected.stress).max()))
        np.testing.assert_allclose(found.stress, expected.stress, rtol=0, atol=tolerance * largest)


class EvaluatorContract:
    """Tests of one potential; a subclass gives a fixture ``evaluator`` and may override :meth:`configurations`."""

    def configurations(self, evaluator: Evaluator) -> list[Configuration]:
        """Return what to evaluate: at least two configurations of different sizes."""
        return crystals_for(evaluator)

    def test_outputs_are_float64_and_finite(self, evaluator: Evaluator) -> None:
        """Energies are floats in eV, forces float64 arrays of the shape of the positions."""
        configurations = self.configurations(evaluator)
        for configuration, evaluation in zip(configurations, evaluator.evaluate(configurations), strict=True):
            assert type(evaluation.energy) is float
            assert evaluation.forces.dtype == np.float64
            assert evaluation.forces.shape == (len(configuration), 3)
            assert np.isfinite(evaluation.energy)
            assert np.isfinite(evaluation.forces).all()

    def test_evaluating_leaves_the_configuration_alone(self, evaluator: Evaluator) -> None:
        """Positions and cell are the same arrays with the same numbers afterwards."""
        configuration = self.configurations(evaluator)[0]
        positions, cell = configuration.positions.copy(), configuration.cell.copy()
        evaluator.evaluate([configuration])
        np.testing.assert_array_equal(configuration.positions, positions)
        np.testing.assert_array_equal(configuration.cell, cell)

    def test_forces_are_minus_the_gradient(self, evaluator: Evaluator) -> None:
        """F . d = -dE/ds along random unit displacements d of all atoms (five-point differences)."""
        rng = np.random.default_rng(1)
        for configuration in self.configurations(evaluator):
            forces = evaluator.evaluate([configuration])[0].forces
            scale = max(1.0, float(np.abs(forces).max()))
            for _ in range(3):
                direction = rng.normal(size=forces.shape)
                direction /= np.linalg.norm(direction)
                moved = [
                    _changed(configuration, configuration.positions + step * STEP_ANG * direction)
                    for step in (-2, -1, 1, 2)
                ]
                far, near, ahead, beyond = (evaluation.energy for evaluation in evaluator.evaluate(moved))
                slope = (far - 8.0 * near + 8.0 * ahead - beyond) / (12.0 * STEP_ANG)
                tolerance = GRADIENT_TOLERANCE[evaluator.dtype] * scale
                np.testing.assert_allclose((forces * direction).sum(), -slope, rtol=0, atol=tolerance)

    def test_stress_is_the_gradient_by_the_strain(self, evaluator: Evaluator) -> None:
        """V stress : e = dE/ds along random unit symmetric strains e (five-point differences).

        A potential without stress gives ``None``, for whatever is asked; one with it only gives it where it is asked.
        """
        rng = np.random.default_rng(3)
        for configuration in self.configurations(evaluator):
            asked = replace(configuration, stress=bool(configuration.pbc.all()))
            before, silent = evaluator.evaluate([asked, replace(configuration, stress=False)])
            assert silent.stress is None
            if before.stress is None:
                continue
            assert before.stress.shape == (3, 3) and before.stress.dtype == np.float64
            np.testing.assert_allclose(before.stress, before.stress.T, rtol=0, atol=1e-6)
            volume = abs(np.linalg.det(configuration.cell))
            for _ in range(3):
                strain = rng.normal(size=(3, 3))
                strain += strain.T
                strain /= np.linalg.norm(strain)
                strained = []
                for step in (-2, -1, 1, 2):
                    turn = np.eye(3) + step * STRAIN_STEP * strain
                    strained.append(_changed(asked, asked.positions @ turn, asked.cell @ turn))
                far, near, ahead, beyond = (evaluation.energy for evaluation in evaluator.evaluate(strained))
                slope = (far - 8.0 * near + 8.0 * ahead - beyond) / (12.0 * STRAIN_STEP)
                scale = max(1.0, volume * float(np.abs(before.stress).max()))
                tolerance = STRAIN_TOLERANCE[evaluator.dtype] * scale
                np.testing.assert_allclose(volume * (before.stress * strain).sum(), slope, rtol=0, atol=tolerance)

    def test_batch_equals_one_by_one(self, evaluator: Evaluator) -> None:
        """A batch of different sizes gives what single calls give, in the order of the batch."""
        configurations = self.configurations(evaluator)
        mixed: Sequence[Configuration] = [*configurations, *reversed(configurations)]
        single = [evaluator.evaluate([configuration])[0] for configuration in mixed]
        for found, expected in zip(evaluator.evaluate(mixed), single, strict=True):
            assert_same(found, expected, SYMMETRY_TOLERANCE[evaluator.dtype])
        assert evaluator.evaluate([]) == []

    def test_permutation_invariance(self, evaluator: Evaluator) -> None:
        """Numbering the atoms otherwise permutes the forces."""
        for configuration in self.configurations(evaluator):
            order = np.random.default_rng(2).permutation(len(configuration))
            permuted = replace(
                configuration, numbers=configuration.numbers[order], positions=configuration.positions[order]
            )
            before, after = evaluator.evaluate([configuration, permuted])
            expected = Evaluation(before.energy, before.forces[order], before.stress)
            assert_same(after, expected, SYMMETRY_TOLERANCE[evaluator.dtype])

    def test_translation_invariance(self, evaluator: Evaluator) -> None:
        """Moving all atoms, and single ones by lattice vectors, changes nothing."""
        for configuration in self.configurations(evaluator):
            moved = configuration.positions + np.array([0.7, -1.1, 12.3])
            moved[0] += configuration.cell[0] - 2.0 * configuration.cell[2]
            before, after = evaluator.evaluate([configuration, _changed(configuration, moved)])
            assert_same(after, before, SYMMETRY_TOLERANCE[evaluator.dtype])

    def test_rotation_invariance(self, evaluator: Evaluator) -> None:
        """Turning atoms and cell turns the forces."""
        for seed, configuration in enumerate(self.configurations(evaluator)):
            turn = _rotation(seed)
            turned = _changed(configuration, configuration.positions @ turn.T, configuration.cell @ turn.T)
            before, after = evaluator.evaluate([configuration, turned])
            stress = None if before.stress is None else turn @ before.stress @ turn.T
            expected = Evaluation(before.energy, before.forces @ turn.T, stress)
            assert_same(after, expected, SYMMETRY_TOLERANCE[evaluator.dtype])
