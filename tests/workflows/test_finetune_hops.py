"""Hops before and after a fine-tuning: heights that are known, what fails is told and counted, what leaks is said."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from aiida.engine import run_get_node
from aiida.orm import Dict

from aiida_litraj.calculations.functions.compare_hop import describe_barriers, describe_one, describe_reference
from aiida_litraj.data import PathData
from aiida_litraj.workflows.finetune import FinetuneWorkChain
from aiida_litraj.workflows.finetune_hops import learnt_warnings
from tests.fixtures.nodes import potential, vacancy_path
from tests.fixtures.training import ALPHA, DEPTH, labelled
from tests.workflows.test_finetune import LEARNING, sets

FINISHED = {
    'status': 'finished', 'converged': True, 'reason': '', 'n_steps': 4, 'fmax_ev_per_ang': 0.01, 'band_calls': 9,
    'endpoint_calls': 2, 'saddle_calls': 0, 'negative_modes': None, 'lowest_curvatures_ev_per_ang2': None,
}  # fmt: skip
WAY = 2.0


def hill(height: float, lift: float = 0.0, last: float = 0.0) -> PathData:
    """Return a path of one ion over a barrier of that height, beside a straight one by ``lift``."""
    positions = np.zeros((5, 1, 3))
    positions[:, 0, 0] = np.linspace(0.0, WAY, 5)
    positions[:, 0, 1] = lift
    energies = np.array([0.0, 0.5 * height, height, 0.5 * (height + last), last])
    slopes = np.gradient(energies, positions[:, 0, 0])
    forces = np.zeros_like(positions)
    forces[:, 0, 0] = -slopes
    cell, mobile = 9.0 * np.eye(3), 0
    return PathData.from_arrays(['Li'], positions, cell, [True] * 3, mobile, energies - 7.0, forces)


def one(height: float, reference: PathData | None, lift: float = 0.0, **changes: Any) -> dict[str, Any]:
    said = describe_reference(reference, None)
    return describe_one(hill(height, lift), FINISHED | changes, {}, reference, said)


def test_errors_are_of_the_potential_less_the_reference() -> None:
    """Known: 0.4 eV beside 0.5, and every image 0.1 Ang off."""
    found = one(0.4, hill(0.5, last=0.1), lift=0.1)
    assert found['barrier_ev'] == pytest.approx(0.4) and found['barrier_error_ev'] == pytest.approx(-0.1)
    assert found['path_error_ang'] == pytest.approx(0.1) and found['range_error_ev'] == pytest.approx(-0.1)
    assert one(0.4, None)['barrier_error_ev'] is None and one(0.4, None)['path_error_ang'] is None


def test_single_points_are_a_reference_of_heights_only() -> None:
    heights = {'barrier_ev': 0.6, 'reverse_barrier_ev': 0.5, 'reaction_energy_ev': 0.1, 'range_ev': 0.6}
    images = [{'reference_ev': energy, 'distance_ang': at} for at, energy in ((0, 0.0), (1, 0.6), (2, None), (3, 0.1))]
    check = {'potential_crest': None, 'reference': heights, 'images': images}
    known = describe_reference(None, check)
    assert known is not None and (known['kind'], known['profile_ev']) == ('single_points', [0.0, 0.6, 0.1])
    found = describe_one(hill(0.4), FINISHED, {}, None, known)
    assert found['barrier_error_ev'] == pytest.approx(-0.2) and found['path_error_ang'] is None
    with pytest.raises(ValueError, match='no barrier on single points'):
        describe_reference(None, check | {'reference': None})


def test_means_are_over_what_all_have_found() -> None:
    """Parent 0.1 eV too low on the first hop, seeds 0.02 too low and 0.04 too high; of the second one has none."""
    failed = describe_one(None, {'status': 'failed', 'reason': 'it exploded'}, {}, None, None)
    assert failed['reason'] == 'it exploded'
    reference = hill(0.5)
    first = {'zero_shot': one(0.4, reference), 'seed_0': one(0.48, reference), 'seed_1': one(0.54, reference)}
    second = {'zero_shot': one(0.1, reference), 'seed_0': failed, 'seed_1': one(0.2, reference)}
    hops = {'a': {'potentials': first, 'reference': {}}, 'b': {'potentials': second, 'reference': {}}}
    said = describe_barriers(hops, 'zero_shot')
    assert said is not None
    assert (said['n_hops'], said['n_compared']) == (2, 1)
    assert said['n_failed'] == {'zero_shot': 0, 'seed_0': 1, 'seed_1': 0}
    assert said['mae_barrier_ev']['zero_shot'] == pytest.approx(0.1)
    assert said['mae_barrier_ev']['fine_tuned']['mean'] == pytest.approx(0.03)
    tuned = said['hops']['a']['fine_tuned']['barrier_ev']
    assert tuned == {'mean': pytest.approx(0.51), 'std': pytest.approx(0.06 / np.sqrt(2.0)), 'n': 2}
    assert said['hops']['b']['fine_tuned']['barrier_ev']['n'] == 1
    assert describe_barriers({}, 'zero_shot') is None


def test_a_hop_of_a_material_that_was_learnt_is_told() -> None:
    reference = hill(0.5)
    reference.base.attributes.set('material_id', 'm0_2')
    given = sets()
    assert learnt_warnings(given, {'reference': reference}) == ['configurations of its material m0_2 were learnt']
    reference.base.attributes.set('material_id', 'm2_0')
    assert learnt_warnings(given, {'reference': reference}) == [], 'that is of the test set'


BAD: dict[str, tuple[Any, str]] = {
    'no path': (lambda: {'reference': hill(0.5)}, r'hops\.a\.path is missing'),
    'unknown': (lambda: {'path': hill(0.5), 'way': hill(0.5)}, r'hops\.a\.way is not known'),
    'kind': (lambda: {'path': hill(0.5), 'reference': Dict({})}, r'hops\.a\.reference is a Dict'),
    'nothing in it': (lambda: {'path': hill(0.5), 'reference_barrier': Dict({'a': 1})}, 'cannot be compared with'),
    'no energies': (lambda: {'path': hill(0.5), 'reference': vacancy_path()}, 'its path has no energies'),
    'two images': (lambda: {'path': vacancy_path(n_images=2)}, 'hops: .*a path needs at least 3'),
    'element': (
        lambda: {'path': PathData.from_arrays(['O'], hill(0.5).get_positions(), np.eye(3), [False] * 3)},
        r"hops\.a: it has O, which the potential 'li' does not cover",
    ),
}  # fmt: skip


def test_bad_hops_are_refused(launcher_code: Any, computer: Any, count_processes: Any) -> None:
    from aiida_litraj.data import PotentialData

    parent = PotentialData.packaged('toy', 'morse', elements=['Li'], label='li')
    before = count_processes()
    for case, (hop, words) in BAD.items():
        with pytest.raises(ValueError, match=words):
            FinetuneWorkChain.get_builder_from_protocol(
                launcher_code, parent, **sets(), protocol='fast', computer=computer, hops={'a': hop()}
            )
            pytest.fail(case)
    assert count_processes() == before


@pytest.mark.e2e
def test_the_barrier_of_the_truth_is_found(engine_code: Any, computer: Any) -> None:
    """A Morse potential of the same range is the same path at a height that goes with its depth."""
    builder = FinetuneWorkChain.get_builder_from_protocol(
        engine_code, potential(depth=0.8 * DEPTH, alpha=ALPHA), labelled(6), labelled(3, seed=1), labelled(6, seed=2),
        protocol='fast', seeds=[0], overrides={'train': LEARNING}, options={'processes': 1}, computer=computer,
        hops={'known': {'path': vacancy_path(n_images=3)}},
    )  # fmt: skip
    outputs, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    found = outputs['comparison']['barriers']
    known = found['hops']['known']['potentials']
    truth = known['zero_shot']['barrier_ev'] / 0.8
    assert known['zero_shot']['converged'] and known['seed_0']['converged']
    assert abs(known['seed_0']['barrier_ev'] - truth) < 0.1 * truth
    assert found['n_failed'] == {'zero_shot': 0, 'seed_0': 0}
    assert set(outputs['paths']['seed_0']) == {'known'} and set(outputs['optimised']) == {'zero_shot', 'seed_0'}
