"""Whole hops: against ASE, against saddles known by symmetry, and seen from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from ase.mep import NEB
from ase.optimize import FIRE, LBFGS
from scipy.optimize import minimize_scalar

from aiida_litraj.contract import NebItem
from aiida_litraj.contract.arrays import Array
from aiida_litraj.engine.core.stages import StageFailed
from aiida_litraj.engine.tasks.neb_path import PathInput, check_hop, check_way

PARITY = 1e-9
"""eV: the same steps in another order of summation."""
SAME_HOP = 1e-6
"""eV: the same hop seen from elsewhere, by the same steps with other round-off, however loosely it converges."""
LOOSE = 0.05
KNOWN_SADDLE = 1e-4
"""eV"""


def optimisers(name: str) -> dict[str, Any]:
    return {'ends': {'optimizer': name}, 'band': {'optimizer': name}}


@pytest.fixture
def uneven(vacancy_hop: Any) -> Any:
    """A hop without any symmetry: a second vacancy beside it, atoms off their sites, two elements."""
    hop = vacancy_hop(drop=(2,), noise=0.1)
    return hop.replace(numbers=np.where(np.arange(len(hop.numbers)) % 3, 3, 8))


def neb_of_ase(ase_atoms: Any, hop: Any, keep: bool, optimizer: Any, ends: tuple[Any, Any], band: Any) -> Any:
    """ASE's run of the published protocol: relax the ends, draw the line anew (or keep it), climb from step 0."""
    images = [ase_atoms(hop, k) for k in range(len(hop.positions))]
    steps = []
    for image, (fmax, max_steps) in zip((images[0], images[-1]), ends):
        run = optimizer(image, logfile=None)
        run.run(fmax=fmax, steps=max_steps)
        steps.append(run.nsteps)
    if not keep:
        first, last = images[0].positions, images[-1].positions
        for k, image in enumerate(images[1:-1], start=1):
            image.positions = first + k / (len(images) - 1) * (last - first)
    neb = NEB(images, k=5.0, climb=True, method='improvedtangent')
    run = optimizer(neb, logfile=None)
    run.run(fmax=band[0], steps=band[1])
    energies = np.array([image.get_potential_energy() for image in images])
    return energies, [*steps, run.nsteps], sum(image.calc.calls for image in images)


@pytest.mark.parametrize('keep', [False, True], ids=['linear', 'keep'])
@pytest.mark.parametrize(
    ('name', 'optimizer', 'band_steps'), [('fire', FIRE, 200), ('fire', FIRE, 12), ('lbfgs', LBFGS, 200)]
)
def test_whole_run_is_that_of_ase(
    keep: bool,
    name: str,
    optimizer: Any,
    band_steps: int,
    uneven: Any,
    ase_atoms: Any,
    run_job: Any,
    neb_parameters: Any,
) -> None:
    """Number of steps of both ends and of the band, number of model calls, and the whole profile."""
    uneven.fixed[[5, 9]] = True
    energies, steps, calls = neb_of_ase(
        ase_atoms, uneven, keep, optimizer, ends=((0.05, 1000), (0.1, 100)), band=(0.05, band_steps)
    )
    shared = {'criterion': 'norm', 'optimizer': name}
    parameters = neb_parameters(
        source={'fmax_ev_per_ang': 0.05, 'max_steps': None} | shared,
        target={'fmax_ev_per_ang': 0.1, 'max_steps': 100} | shared,
        band={'fmax_ev_per_ang': 0.05, 'max_steps': band_steps} | shared,
        initial_path='keep' if keep else 'linear',
        acceptance={'fmax_ev_per_ang': 0.1, 'criterion': 'component'},
    )
    ran = run_job({'hop': uneven}, parameters)
    item = ran['hop']
    assert [item.source_steps, item.target_steps, item.n_steps] == steps
    assert ran.calls == item.band_calls + item.endpoint_calls == calls
    np.testing.assert_allclose(ran.energies('hop') - energies[0], energies - energies[0], atol=PARITY)
    assert item.converged == (band_steps == 200)
    assert steps[2] > 10


@pytest.mark.parametrize(
    ('name', 'n_images', 'initial_path'),
    [
        ('fire', 5, 'linear'),
        ('lbfgs', 5, 'idpp'),
        ('lbfgs', 6, 'linear'),
        ('lbfgs_model_hessian', 5, 'shift'),
        ('lbfgs_model_hessian', 6, 'linear'),
    ],
)
def test_vacancy_hop_has_the_saddle_of_its_symmetry(
    name: str,
    n_images: int,
    initial_path: str,
    vacancy_hop: Any,
    vacancy_saddle: Any,
    run_job: Any,
    neb_parameters: Any,
) -> None:
    """The relaxed midpoint, found without a band; an even number of images has to climb there."""
    parameters = neb_parameters(**optimisers(name), initial_path=initial_path)
    ran = run_job({'hop': vacancy_hop(n_images=n_images)}, parameters)
    item, energies = ran['hop'], ran.energies('hop')
    assert item.converged
    assert ran.barrier('hop') == pytest.approx(vacancy_saddle.barrier, abs=KNOWN_SADDLE)
    assert energies[-1] - energies[0] == pytest.approx(0.0, abs=SAME_HOP)
    saddle = ran.arrays['hop/positions'][item.climbing_image]
    centred = [p - p.mean(axis=0) for p in (saddle, vacancy_saddle.positions)]
    np.testing.assert_allclose(*centred, atol=5e-3)


def test_saddle_is_verified(vacancy_hop: Any, run_job: Any, neb_parameters: Any) -> None:
    """One negative mode on top, along the path; its calls are counted apart."""
    settings = {
        'n_modes': 2,
        'displacement_ang': 0.01,
        'max_iterations': 100,
        'tolerance_ev_per_ang2': 0.01,
    }
    ran = run_job({'hop': vacancy_hop()}, neb_parameters(verify_saddle=settings))
    item = ran['hop']
    assert item.negative_modes == 1
    assert item.lowest_curvatures_ev_per_ang2[0] < -1.0 < 1.0 < item.lowest_curvatures_ev_per_ang2[1]
    np.testing.assert_array_equal(ran.arrays['hop/curvatures'], item.lowest_curvatures_ev_per_ang2)
    path, mode = ran.arrays['hop/positions'], ran.arrays['hop/modes'][0]
    along = path[3] - path[1]
    assert abs(np.vdot(mode, along)) > 0.8 * np.linalg.norm(along)
    assert ran.calls == item.band_calls + item.endpoint_calls + item.saddle_calls
    assert item.saddle_calls > 0


@pytest.fixture(scope='module')
def seen() -> dict[str, Any]:
    """The result of the untouched hop, computed once for all ways to look at it."""
    return {}


def _turn(seed: int) -> Array:
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    turn: Array = q * np.sign(np.linalg.det(q))
    return turn


def _one_by_one(hop: Any) -> Any:
    images = np.random.default_rng(3).integers(-2, 3, size=(len(hop.numbers), 3))
    return hop.translated(images @ hop.cell)


def _wrapped_at_source(hop: Any, by: Array) -> Any:
    """Moved so that the ion starts inside the cell and leaves it: what a structure file gives for such a hop."""
    moved = hop.translated(by)
    out = np.floor(moved.positions[0] @ np.linalg.inv(hop.cell))
    return moved.translated(-out @ hop.cell)


ASPECTS: dict[str, Callable[[Any], Any]] = {
    'backward': lambda hop: hop.reversed(),
    'permuted': lambda hop: hop.permuted(np.random.default_rng(1).permutation(len(hop.numbers))),
    'translated': lambda hop: hop.translated(np.array([1.1, -2.3, 0.7])),
    'turned with its cell': lambda hop: hop.turned(_turn(2)),
    'atoms in other periodic images': _one_by_one,
    'across the boundary': lambda hop: _wrapped_at_source(hop, -hop.positions[0, 0] - np.array([0.5, 0.5, 0.5])),
    'all at once': lambda hop: _one_by_one(
        hop.permuted(np.random.default_rng(4).permutation(len(hop.numbers))).reversed()
    ).turned(_turn(5)),
}


@pytest.mark.parametrize('initial_path', ['linear', 'idpp'])
@pytest.mark.parametrize('aspect', ASPECTS)
def test_hop_is_the_same_seen_from_elsewhere(
    aspect: str, initial_path: str, uneven: Any, run_job: Any, neb_parameters: Any, seen: dict[str, Any]
) -> None:
    loose = {'optimizer': 'lbfgs_model_hessian', 'fmax_ev_per_ang': LOOSE}
    parameters = neb_parameters(
        ends=loose, band=loose, initial_path=initial_path, acceptance={'fmax_ev_per_ang': LOOSE}
    )
    if initial_path not in seen:
        seen[initial_path] = run_job({'hop': uneven}, parameters)
    expected, hop = seen[initial_path], ASPECTS[aspect](uneven)
    found = run_job({'hop': hop}, parameters)
    assert found['hop'].converged
    profile = found.energies('hop')
    np.testing.assert_allclose(
        profile[::-1] if aspect in ('backward', 'all at once') else profile, expected.energies('hop'), atol=SAME_HOP
    )
    assert found['hop'].n_steps == expected['hop'].n_steps
    lengths = [np.linalg.norm(ran['hop'].hop_displacement_ang) for ran in (found, expected)]
    assert lengths[0] == pytest.approx(lengths[1], abs=1e-5)
    positions = found.arrays['hop/positions']
    steps = np.diff(positions[:, hop.mobile], axis=0)
    assert np.linalg.norm(steps, axis=1).max() < 1.5  # nothing jumps by a lattice vector on the way


class Channel:
    """An ion in a periodic channel with a narrow and a wide gate, frozen rings of four atoms each.

    It rests a little nearer to the wide gate, so the hop through the narrow one is longer than half the cell: the
    minimum image of the relaxed ends is the other hop. By symmetry the saddles lie in the middle of the gates.
    """

    length, narrow, wide = 7.0, 2.4, 2.6

    def __init__(self, template: Any, toy: Any) -> None:
        self._template = template
        self._rings = np.array(
            [
                (x, radius * np.cos(angle), radius * np.sin(angle))
                for x, radius in ((0.0, self.narrow), (self.length / 2.0, self.wide))
                for angle in np.pi * np.arange(4) / 2.0
            ]
        )
        self._evaluate = toy('morse')(self.hop())
        bottom = minimize_scalar(self.energy, bounds=(0.5, 3.0), method='bounded', options={'xatol': 1e-9})
        self.rest = float(bottom.x)

    def hop(self, start: float = 1.7, end: float = -1.7) -> Any:
        """The ion goes from ``start`` to ``end`` along the channel, in Ang."""
        ion = np.linspace(start, end, 5)[:, None, None] * np.array([1.0, 0.0, 0.0])
        return self._template.replace(
            numbers=np.full(9, 3),
            positions=np.concatenate([ion, np.broadcast_to(self._rings, (5, 8, 3))], axis=1),
            cell=np.diag([self.length, 14.0, 14.0]),
            fixed=np.arange(9) > 0,
        )

    def energy(self, x: float) -> float:
        return float(self._evaluate(np.vstack([[x, 0.0, 0.0], self._rings])).energy)

    def barrier(self, gate: float) -> float:
        return self.energy(gate) - self.energy(self.rest)


@pytest.fixture
def channel(vacancy_hop: Any, toy: Any) -> Channel:
    return Channel(vacancy_hop(), toy)


@pytest.mark.parametrize('initial_path', ['keep', 'shift', 'linear', 'idpp'])
def test_hop_longer_than_half_the_cell_is_not_turned_round(
    initial_path: str, channel: Channel, run_job: Any, neb_parameters: Any
) -> None:
    """The trap of the minimum image: asked for 3.4 Ang through the narrow gate, the relaxed ends are 3.9 apart there,
    and 3.1 through the wide one, whose barrier is lower and whose saddle is just as real."""
    asked = channel.hop(1.7, -1.7)
    half = channel.length / 2.0
    assert 2 * 1.7 < half < 2 * channel.rest
    assert channel.barrier(0.0) > channel.barrier(half) + 0.5
    ran = run_job(
        {'narrow': asked, 'wide': channel.hop(1.7, channel.length - 1.7)}, neb_parameters(initial_path=initial_path)
    )
    assert ran['narrow'].converged
    assert ran.barrier('narrow') == pytest.approx(channel.barrier(0.0), abs=KNOWN_SADDLE)
    np.testing.assert_allclose(ran['narrow'].hop_displacement_ang, [-2 * channel.rest, 0.0, 0.0], atol=1e-2)
    assert ran.barrier('wide') == pytest.approx(channel.barrier(half), abs=KNOWN_SADDLE)


@pytest.mark.parametrize('tolerance', [1.0, None])
def test_end_that_falls_back_is_no_end(
    tolerance: float | None, channel: Channel, run_job: Any, neb_parameters: Any
) -> None:
    """An end on the near slope of the gate relaxes back to where the hop began."""
    ran = run_job({'hop': channel.hop(1.7, 0.3)}, neb_parameters(hop_tolerance_ang=tolerance))
    item = ran['hop']
    if tolerance is None:  # asked not to judge: what is there is a path that leads nowhere
        assert item.label != 'ERROR_ENDPOINT_MOVED'
        return
    assert (item.status, item.converged, item.label) == ('failed', False, 'ERROR_ENDPOINT_MOVED')
    assert f'changed by {1.4:.2f} Ang (at most 1 allowed)' in item.reason
    assert ran.result.exit.label == 'ERROR_ENDPOINT_MOVED'
    assert 'hop/positions' not in ran.arrays


@pytest.mark.parametrize('tolerance', [1.0, None])
@pytest.mark.parametrize('way', [0.45, 0.55])
def test_neighbour_that_goes_to_another_site_is_found(
    way: float, tolerance: float | None, vacancy_hop: Any, run_job: Any, neb_parameters: Any
) -> None:
    """In the target another ion starts near the middle of its way into the new vacancy: back it goes, or into it. The
    mobile ion does as it was asked."""
    hop = vacancy_hop(n_images=3)
    falling = int(np.argmin(np.linalg.norm(hop.positions[0] - hop.positions[0][0] - [1.885, 1.885, 0.0], axis=1)))
    hop.positions[-1, falling] += way * (hop.positions[0, 0] - hop.positions[0, falling])
    ran = run_job({'hop': hop}, neb_parameters(end_tolerance_ang=tolerance, band={'max_steps': 0}))
    item = ran['hop']
    if tolerance is None:
        assert item.status == 'finished'
        return
    assert (item.status, item.label) == ('failed', 'ERROR_ENDPOINT_MOVED')
    went = min(way, 1.0 - way) * np.sqrt(2.0) * 1.885
    found = re.search(
        rf'while the target relaxed, atom {falling} \(Li\) moved by (\S+) Ang \(at most 1 allowed\)', item.reason
    )
    assert found is not None, item.reason
    assert float(found[1]) == pytest.approx(went, abs=0.2)
    assert 'raise end_tolerance_ang' in item.reason


def path_of(hop: Any, mobile: int | None = 0) -> PathInput:
    return PathInput(NebItem(id='hop', mobile=mobile), hop.positions, hop.cell, hop.pbc, hop.numbers, hop.fixed)


@pytest.mark.parametrize('tolerance', [1.0, None])
def test_another_periodic_image_is_another_hop(tolerance: float | None, vacancy_hop: Any) -> None:
    """Whatever the tolerance, in a skewed cell too; without a lattice along that direction it is only a distance."""
    hop = vacancy_hop()
    hop = hop.replace(cell=hop.cell + np.array([[0.0, 0.0, 0.0], [2.0, 0.0, 0.0], [0.0, -3.0, 0.0]]))
    source, target = hop.positions[0], hop.positions[-1].copy()
    check_hop(path_of(hop), source, target + 0.3, tolerance)
    target[0] -= hop.cell[1]
    with pytest.raises(StageFailed, match=r'lattice vector \[ ?0 -1  ?0\]') as caught:
        check_hop(path_of(hop), source, target, tolerance)
    assert caught.value.label == 'ERROR_ENDPOINT_MOVED'
    check_hop(path_of(hop, mobile=None), source, target, tolerance)
    open_hop = hop.replace(pbc=np.array([True, False, True]))
    if tolerance is None:
        check_hop(path_of(open_hop), source, target, tolerance)
    else:
        with pytest.raises(StageFailed, match='hop changed by'):
            check_hop(path_of(open_hop), source, target, tolerance)


def test_ion_that_went_round_between_two_images_is_found(vacancy_hop: Any) -> None:
    """The ends are those of the hop; in between the ion is once in the next cell: a band torn apart."""
    hop = vacancy_hop()
    check_way(path_of(hop), hop.positions + 0.3)
    torn = hop.positions.copy()
    torn[2:4, 0] += hop.cell[2]
    with pytest.raises(StageFailed, match=r'between images 1 and 2 the ion went round .* \[ ?0  ?0  ?1\]') as caught:
        check_way(path_of(hop), torn)
    assert caught.value.label == 'ERROR_ENDPOINT_MOVED'
    check_way(path_of(hop, mobile=None), torn)
    check_way(path_of(hop.replace(pbc=np.zeros(3, dtype=bool))), torn)


def test_frozen_atoms_of_a_hop_stay(uneven: Any, run_job: Any, neb_parameters: Any) -> None:
    uneven.fixed[[5, 9, 14]] = True
    ran = run_job({'hop': uneven}, neb_parameters())
    assert ran['hop'].converged
    path = ran.arrays['hop/positions']
    np.testing.assert_array_equal(path[:, uneven.fixed], uneven.positions[:, uneven.fixed])
    assert np.abs(path - uneven.positions)[:, ~uneven.fixed].max() > 0.05
    assert np.abs(ran.arrays['hop/forces'][:, uneven.fixed]).max() > 0.1


@pytest.mark.parametrize(('criterion', 'converged'), [('norm', False), ('component', True)])
def test_acceptance_by_norm_or_component(
    criterion: str, converged: bool, uneven: Any, run_job: Any, neb_parameters: Any
) -> None:
    """A band stopped early, judged at a force between its largest component and its largest norm."""
    stopped = {'band': {'max_steps': 3}}
    measured = run_job({'hop': uneven}, neb_parameters(**stopped))['hop']
    between = 0.5 * (measured.fmax_component_ev_per_ang + measured.fmax_ev_per_ang)
    assert measured.fmax_component_ev_per_ang < between < measured.fmax_ev_per_ang
    ran = run_job(
        {'hop': uneven}, neb_parameters(**stopped, acceptance={'fmax_ev_per_ang': between, 'criterion': criterion})
    )
    assert ran['hop'].converged == converged
    assert ran['hop'].label == (None if converged else 'ERROR_NOT_CONVERGED')


def test_path_that_was_to_climb_and_did_not_is_not_converged(uneven: Any, run_job: Any, neb_parameters: Any) -> None:
    """However small its forces: its top is no saddle."""
    parameters = neb_parameters(
        band={'max_steps': 30, 'climb_below_ev_per_ang': 1e-6}, acceptance={'fmax_ev_per_ang': 1e3}
    )
    item = run_job({'hop': uneven}, parameters)['hop']
    assert (item.climbing_image, item.n_steps) == (None, 30)
    assert (item.converged, item.label) == (False, 'ERROR_NOT_CONVERGED')
    assert 'climb' in item.reason
