"""The analytic potentials against what is known of them on paper."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aiida_litraj.contract import LitrajError, PotentialSpec
from aiida_litraj.engine.models import Configuration, Evaluator, load
from aiida_litraj.engine.testing import EvaluatorContract

SADDLE_FORCE = 1e-3


def toy(name: str, **options: float) -> Evaluator:
    return load(PotentialSpec(family='toy', name=name, options=options), Path.cwd(), device='cpu')


def at(*position: float) -> Configuration:
    return Configuration(np.array([3]), np.array([position]), np.eye(3), np.zeros(3, dtype=bool))


class TestMorse(EvaluatorContract):
    @pytest.fixture
    def evaluator(self) -> Evaluator:
        return toy('morse')


class _InAField(EvaluatorContract):
    test_translation_invariance = None  # type: ignore[assignment]
    test_rotation_invariance = None  # type: ignore[assignment]

    def configurations(self, evaluator: Evaluator) -> list[Configuration]:
        rng = np.random.default_rng(0)
        cells = (np.eye(3), np.zeros(3, dtype=bool))
        return [Configuration(np.full(n, 3), rng.uniform(-0.8, 0.8, size=(n, 3)), *cells) for n in (1, 4)]


class TestSiteLattice(EvaluatorContract):
    @pytest.fixture
    def evaluator(self) -> Evaluator:
        return toy('site_lattice', barrier=0.3)

    def test_barrier_between_sites_of_lithium_and_of_the_framework(self, evaluator: Evaluator) -> None:
        cell, pbc = 6.0 * np.eye(3), np.ones(3, dtype=bool)
        origin = np.array([0.4, 0.2, -0.1])
        corners = 3.0 * np.array([[0, 0, 0], [1, 1, 0], [1, 0, 1], [0, 1, 1]]) + origin
        numbers = np.array([3, 16, 16, 16, 16])
        between, strained = evaluator.evaluate(
            [
                Configuration(numbers, np.vstack([origin + np.array([3.0, 1.5, 4.5]), corners]), cell, pbc),
                Configuration(numbers, 1.1 * np.vstack([origin + 1.5, corners]), 1.1 * cell, pbc, stress=True),
            ]
        )
        assert between.energy == pytest.approx(0.3, abs=1e-12)
        np.testing.assert_allclose(between.forces, 0.0, atol=1e-12)
        np.testing.assert_allclose(strained.forces, 0.0, atol=1e-12)
        np.testing.assert_allclose(strained.stress, 0.1 * (1.1**3 - 1.0) * np.eye(3))


class TestDoubleWell(_InAField):
    @pytest.fixture
    def evaluator(self) -> Evaluator:
        return toy('double_well', height=0.4)

    def test_barrier_is_the_height(self, evaluator: Evaluator) -> None:
        minimum, saddle = evaluator.evaluate([at(1.0, 0.0, 0.0), at(0.0, 0.0, 0.0)])
        assert saddle.energy - minimum.energy == pytest.approx(0.4, abs=1e-14)
        np.testing.assert_allclose([minimum.forces, saddle.forces], 0.0, atol=1e-14)


class TestMuellerBrown(_InAField):
    @pytest.fixture
    def evaluator(self) -> Evaluator:
        return toy('mueller_brown', scale=1.0)

    @pytest.mark.parametrize(
        ('x', 'y', 'energy'),
        [(-0.5582236, 1.4417258, -146.6995), (-0.8220015, 0.6243128, -40.6648), (0.6234994, 0.0280378, -108.1667)],
    )
    def test_stationary_points_of_the_paper(self, evaluator: Evaluator, x: float, y: float, energy: float) -> None:
        (found,) = evaluator.evaluate([at(x, y, 0.0)])
        assert found.energy == pytest.approx(energy, abs=1e-4)
        assert np.abs(found.forces).max() < SADDLE_FORCE


@pytest.mark.parametrize(
    ('name', 'arguments', 'label', 'message'),
    [
        ('no_such', {}, 'ERROR_POTENTIAL_NOT_LOADED', 'double_well, ideal_gas, morse, mueller_brown, site_lattice'),
        ('morse', {'dtype': 'float32'}, 'ERROR_DTYPE', 'it offers float64'),
        ('morse', {'kernels': 'flash'}, 'ERROR_KERNELS', 'has only plain'),
        ('morse', {'device': 'cuda'}, 'ERROR_DEVICE', 'cpu for this family'),
    ],
)
def test_refusals(name: str, arguments: dict[str, str], label: str, message: str) -> None:
    with pytest.raises(LitrajError, match=message) as caught:
        load(PotentialSpec(family='toy', name=name), Path.cwd(), **{'device': 'cpu', **arguments})
    assert caught.value.code.label == label


def test_unknown_option_is_named() -> None:
    with pytest.raises(LitrajError, match='dpeth') as caught:
        toy('morse', dpeth=1.0)
    assert caught.value.code.label == 'ERROR_POTENTIAL_NOT_LOADED'
