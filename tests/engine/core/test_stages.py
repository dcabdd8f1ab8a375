"""Relaxation and band, driven one image after the other on surfaces known on paper."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from aiida_litraj.contract.arrays import Array
from aiida_litraj.engine.core.band import residual
from aiida_litraj.engine.core.hessian import System
from aiida_litraj.engine.core.stages import (
    Band,
    Relaxed,
    StageFailed,
    optimise_band,
    path_residuals,
    relax,
)
from aiida_litraj.engine.models import Evaluation

OPTIMISERS = ('fire', 'lbfgs', 'lbfgs_model_hessian')
FMAX = 1e-3
"""eV/Ang, with curvatures of 1 eV/Ang^2 and more: energies are converged to 1e-6 eV."""
ENERGY = 1e-5
POSITION = 2e-3
LIMIT = 1e3
HEIGHT = 0.4

MINIMA = {'A': (-0.5582, 1.4417, 0.0), 'B': (-0.0500, 0.4667, 0.0), 'C': (0.6235, 0.0280, 0.0)}
"""Mueller-Brown, with their energies; the saddles between A and B, and between B and C."""
MINIMUM_ENERGIES = {'A': -146.70, 'B': -80.77, 'C': -108.17}
SADDLES = {'AB': ((-0.822, 0.624, 0.0), -40.66), 'BC': ((0.212, 0.293, 0.0), -72.25)}
PUBLISHED_ENERGY, PUBLISHED_POSITION = 0.01, 0.001
"""Rounding of the published numbers."""


class Counted:
    """A potential that counts its calls."""

    def __init__(self, evaluate: Callable[[Array], Evaluation]) -> None:
        self._evaluate = evaluate
        self.calls = 0

    def __call__(self, positions: Array) -> Evaluation:
        self.calls += 1
        return self._evaluate(positions)


def free_of(hop: Any) -> Array:
    free: Array = (~hop.fixed).astype(float)[:, None]
    return free


def system_of(hop: Any) -> System:
    return System(hop.numbers, hop.cell, hop.pbc)


def relaxed(drive: Any, hop: Any, evaluate: Any, image: int = 0, limit: float = LIMIT, **settings: Any) -> Relaxed:
    settings = {'optimizer': 'lbfgs', 'fmax_ev_per_ang': FMAX, 'criterion': 'norm', 'max_steps': 500} | settings
    parameters = settings.pop('parameters')(source=settings).source
    stage = relax(hop.positions[image], parameters, system_of(hop), free_of(hop), limit, 'source')
    result: Relaxed = drive(stage, evaluate)
    return result


def optimised(drive: Any, hop: Any, evaluate: Any, neb_parameters: Any, limit: float = LIMIT, **settings: Any) -> Band:
    """The band between ends taken as they are."""
    ends = []
    for positions in hop.positions[[0, -1]]:
        answer = evaluate(positions)
        ends.append(Relaxed(positions, answer.energy, answer.forces, 0, 1))
    band = neb_parameters(band={'fmax_ev_per_ang': FMAX} | settings).band
    stage = optimise_band(hop.positions, *ends, band, system_of(hop), free_of(hop), limit)
    result: Band = drive(stage, evaluate)
    return result


@pytest.mark.parametrize('optimizer', OPTIMISERS)
def test_relaxation_of_a_crystal(
    optimizer: str, vacancy_hop: Any, vacancy_saddle: Any, toy: Any, drive: Any, neb_parameters: Any
) -> None:
    """From 0.1 Ang of noise on every atom into the minimum that scipy finds without noise."""
    hop = vacancy_hop(noise=0.1)
    evaluate = Counted(toy('morse')(hop))
    found = relaxed(drive, hop, evaluate, optimizer=optimizer, parameters=neb_parameters)
    assert found.energy == pytest.approx(evaluate(vacancy_saddle.minimum).energy, abs=ENERGY)
    assert residual(found.forces, 'norm') < FMAX
    answer = evaluate(found.positions)
    assert (answer.energy, found.calls) == (found.energy, evaluate.calls - 2)
    np.testing.assert_array_equal(answer.forces, found.forces)
    assert found.n_steps == found.calls - 1


@pytest.mark.parametrize('optimizer', OPTIMISERS)
def test_frozen_atoms_stay_to_the_last_bit(
    optimizer: str, vacancy_hop: Any, toy: Any, drive: Any, neb_parameters: Any
) -> None:
    hop = vacancy_hop(noise=0.1)
    frozen = np.array([3, 7, 20])
    hop.fixed[frozen] = True
    evaluate = toy('morse')(hop)
    found = relaxed(drive, hop, evaluate, optimizer=optimizer, parameters=neb_parameters)
    np.testing.assert_array_equal(found.positions[frozen], hop.positions[0, frozen])
    moving = np.delete(np.arange(len(hop.numbers)), frozen)
    assert residual(found.forces[moving], 'norm') < FMAX < residual(found.forces[frozen], 'norm')
    band = optimised(drive, hop, evaluate, neb_parameters, optimizer=optimizer, max_steps=20)
    np.testing.assert_array_equal(band.positions[:, frozen], hop.positions[:, frozen])
    assert not band.neb_forces[:, frozen].any()
    assert band.forces[1:-1, frozen].any()
    band.forces[:, frozen] = 1e3  # whatever holds them
    norm, component = path_residuals(band, free_of(hop))
    felt = np.concatenate([band.forces[[0, -1]][:, moving], band.neb_forces[1:-1][:, moving]])
    assert (norm, component) == (residual(felt, 'norm'), residual(felt, 'component'))


def test_criterion_is_what_it_says(vacancy_hop: Any, toy: Any, drive: Any, neb_parameters: Any) -> None:
    """A relaxation stops at the first step whose criterion is met: on components that is never later than on norms."""
    hop = vacancy_hop(noise=0.1)
    steps = {}
    for criterion in ('norm', 'component'):
        seen: list[float] = []

        def evaluate(positions: Array, seen: list[float] = seen, criterion: str = criterion) -> Evaluation:
            answer = toy('morse')(hop)(positions)
            seen.append(residual(answer.forces, criterion))
            return answer

        found = relaxed(
            drive, hop, evaluate, optimizer='fire', criterion=criterion, fmax_ev_per_ang=0.05, parameters=neb_parameters
        )
        assert [value < 0.05 for value in seen] == [False] * found.n_steps + [True]
        steps[criterion] = found.n_steps
    assert steps['component'] < steps['norm']


@pytest.mark.parametrize('max_steps', [0, 1, 5])
def test_steps_are_limited(max_steps: int, vacancy_hop: Any, toy: Any, drive: Any, neb_parameters: Any) -> None:
    hop = vacancy_hop(noise=0.1)
    evaluate = Counted(toy('morse')(hop))
    end = relaxed(drive, hop, evaluate, max_steps=max_steps, parameters=neb_parameters)
    assert (end.n_steps, end.calls, evaluate.calls) == (max_steps, max_steps + 1, max_steps + 1)
    if not max_steps:
        np.testing.assert_array_equal(end.positions, hop.positions[0])
    evaluate.calls = 0
    band = optimised(drive, hop, evaluate, neb_parameters, max_steps=max_steps)
    assert (band.n_steps, band.calls, evaluate.calls) == (max_steps, 3 * (max_steps + 1), 3 * (max_steps + 1) + 2)


def test_without_a_limit_it_goes_on_until_relaxed(vacancy_hop: Any, toy: Any, drive: Any, neb_parameters: Any) -> None:
    hop = vacancy_hop(noise=0.1)
    found = relaxed(
        drive, hop, toy('morse')(hop), optimizer='fire', max_steps=None, fmax_ev_per_ang=1e-9, parameters=neb_parameters
    )
    assert residual(found.forces, 'norm') < 1e-9


@pytest.mark.parametrize('optimizer', OPTIMISERS)
def test_double_well_barrier_is_its_height(
    optimizer: str, surface_hop: Any, toy: Any, drive: Any, neb_parameters: Any
) -> None:
    """With an even number of images none starts on top: one has to climb there. Ends off the axis bend the line."""
    hop = surface_hop((-1.0, 0.0, 0.0), (1.0, 0.0, 0.0), n_images=6)
    hop.positions[1:-1, 0, 1] += 0.3
    evaluate = toy('double_well', height=HEIGHT)(hop)
    band = optimised(drive, hop, evaluate, neb_parameters, optimizer=optimizer)
    assert band.climbing == int(np.argmax(band.energies))
    assert band.energies.max() == pytest.approx(HEIGHT, abs=ENERGY)
    np.testing.assert_allclose(band.positions[band.climbing], 0.0, atol=POSITION)
    np.testing.assert_allclose(band.positions[:, 0, 1:], 0.0, atol=POSITION)
    assert path_residuals(band, free_of(hop))[0] < FMAX
    assert band.history[-1] < FMAX <= min(band.history[:-1])


def test_without_climbing_the_top_is_missed(surface_hop: Any, toy: Any, drive: Any, neb_parameters: Any) -> None:
    """Springs alone space the images evenly: with six of them the highest two straddle the top at x = +-0.2."""
    hop = surface_hop((-1.0, 0.0, 0.0), (1.0, 0.0, 0.0), n_images=6)
    evaluate = toy('double_well', height=HEIGHT)(hop)
    band = optimised(drive, hop, evaluate, neb_parameters, climb=False)
    assert band.climbing is None
    assert band.energies.max() == pytest.approx(HEIGHT * (0.2**2 - 1.0) ** 2, abs=1e-4)


@pytest.mark.parametrize('ends', ['AB', 'BC', 'AC'])
def test_mueller_brown_saddles_are_the_published_ones(
    ends: str, surface_hop: Any, toy: Any, drive: Any, neb_parameters: Any
) -> None:
    """From A to C the band passes B in between, and what climbs is the higher of the two saddles."""
    evaluate_of = toy('mueller_brown', scale=0.01)
    hop = surface_hop(MINIMA[ends[0]], MINIMA[ends[1]], n_images=11)
    evaluate = evaluate_of(hop)
    for image, name in ((0, ends[0]), (-1, ends[1])):
        end = relaxed(drive, hop, evaluate, image, fmax_ev_per_ang=1e-6, parameters=neb_parameters)
        assert 100.0 * end.energy == pytest.approx(MINIMUM_ENERGIES[name], abs=PUBLISHED_ENERGY)
        np.testing.assert_allclose(end.positions[0], MINIMA[name], atol=PUBLISHED_POSITION)
        hop.positions[image] = end.positions
    band = optimised(drive, hop, evaluate, neb_parameters)
    place, energy = SADDLES['AB' if ends == 'AC' else ends]
    assert 100.0 * band.energies.max() == pytest.approx(energy, abs=PUBLISHED_ENERGY)
    np.testing.assert_allclose(band.positions[band.climbing, 0], place, atol=PUBLISHED_POSITION)


def test_climbing_waits_for_the_residual(surface_hop: Any, toy: Any, drive: Any, neb_parameters: Any) -> None:
    """Below 0.1 eV/Ang the top image turns round; before, the band is that of a run that never climbs."""
    hop = surface_hop((-1.0, 0.3, 0.0), (1.0, -0.2, 0.0), n_images=6)
    evaluate = toy('double_well', height=HEIGHT)(hop)
    late = optimised(drive, hop, evaluate, neb_parameters, optimizer='fire', climb_below_ev_per_ang=0.1)
    never = optimised(drive, hop, evaluate, neb_parameters, optimizer='fire', climb=False)
    switch = next(k for k, value in enumerate(never.history) if value < 0.1)
    assert 0 < switch < late.n_steps
    assert late.history[: switch + 1] == never.history[: switch + 1]
    assert late.climbing is not None
    assert late.energies.max() == pytest.approx(HEIGHT, abs=ENERGY)


def test_a_band_that_never_climbed_says_so(surface_hop: Any, toy: Any, drive: Any, neb_parameters: Any) -> None:
    hop = surface_hop((-1.0, 0.3, 0.0), (1.0, -0.2, 0.0), n_images=6)
    evaluate = toy('double_well', height=HEIGHT)(hop)
    band = optimised(drive, hop, evaluate, neb_parameters, max_steps=4, climb_below_ev_per_ang=1e-6)
    assert band.climbing is None


def test_energy_still_to_be_gained_is_judged_too(
    vacancy_hop: Any, vacancy_saddle: Any, toy: Any, drive: Any, neb_parameters: Any
) -> None:
    """A loose force with an energy tolerance ends where the energy is right, not where the force first is small."""
    hop = vacancy_hop(noise=0.1)
    evaluate = toy('morse')(hop)
    lowest = evaluate(vacancy_saddle.minimum).energy
    errors = {}
    for tolerance in (None, 1e-3, 1e-5):
        found = relaxed(
            drive,
            hop,
            evaluate,
            optimizer='lbfgs_model_hessian',
            fmax_ev_per_ang=0.5,
            energy_tolerance_ev=tolerance,
            parameters=neb_parameters,
        )
        errors[tolerance] = found.energy - lowest
    assert errors[None] > 0.01
    assert abs(errors[1e-3]) < 3e-3
    assert abs(errors[1e-5]) < 3e-5


@pytest.mark.parametrize(
    ('answer', 'label', 'message'),
    [
        (lambda p: Evaluation(float('nan'), p), 'ERROR_NON_FINITE', 'not finite in'),
        (lambda p: Evaluation(0.0, np.full_like(p, np.inf)), 'ERROR_NON_FINITE', 'not finite in'),
        (lambda p: Evaluation(0.0, np.full_like(p, 60.0)), 'ERROR_EXPLODED', 'a force of 104 eV/Ang in'),
    ],
)
def test_trouble_has_its_label(
    answer: Any, label: str, message: str, vacancy_hop: Any, drive: Any, neb_parameters: Any
) -> None:
    hop = vacancy_hop()
    with pytest.raises(StageFailed, match=f'{message} source') as caught:
        relaxed(drive, hop, answer, limit=100.0, parameters=neb_parameters)
    assert caught.value.label == label
    with pytest.raises(StageFailed, match=f'{message} band') as caught:
        optimised(drive, hop, answer, neb_parameters, limit=100.0)
    assert caught.value.label == label
