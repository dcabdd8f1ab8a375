"""Potentials beside labels with the real engine: errors that are known, cuts, the cache, and what fails alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from aiida.engine import run_get_node
from aiida.manage.caching import enable_caching
from aiida.orm import CalcJobNode

from aiida_litraj.contract.frames import Frames
from aiida_litraj.data import FramesData, PotentialData
from aiida_litraj.parsers.evaluate import FAILED
from aiida_litraj.workflows.evaluate import EvaluateBaseWorkChain, EvaluateWorkChain
from tests.e2e.ender import Ender, written
from tests.fixtures.labels import crystal, labelled, some_labelled
from tests.fixtures.nodes import potential

pytestmark = pytest.mark.e2e
DEPTH, SOFT = 0.5, 0.4
"""Of the Morse potential that makes the labels, and of one that is softer by a fifth, everywhere."""
MANY, TIMES = 1500, 2
"""Configurations, and how often their engine is cut off, each time after it has answered at least a few."""


@pytest.fixture
def builder(engine_code: Any, computer: Any) -> Any:
    def make(frames: FramesData, potentials: Any, **keywords: Any) -> Any:
        return EvaluateWorkChain.get_builder_from_protocol(
            {name: {'code': engine_code, 'potential': node} for name, node in potentials.items()}, frames,
            computer=computer, options={'processes': 1}, **keywords,
        )  # fmt: skip

    return make


def test_softening_is_found(builder: Any) -> None:
    """Of a potential that is the reference all errors are none; of one that is softer by a fifth the slopes say so."""
    frames = some_labelled(12, DEPTH, material_ids=[f'm{index // 2}' for index in range(12)])
    chosen = {'same': potential(depth=DEPTH), 'soft': potential(depth=SOFT)}
    outputs, node = run_get_node(builder(frames, chosen))
    assert node.is_finished_ok, (node.exit_status, node.exit_message)
    same, soft = outputs['errors']['same'].get_dict(), outputs['errors']['soft'].get_dict()
    assert same['rmse_force_mev_per_ang'] < 1e-9 and same['slope_force'] == pytest.approx(1.0, abs=1e-12)
    ratio, reference = SOFT / DEPTH, frames.frames
    for quantity in ('force', 'stress'):
        assert soft[f'slope_{quantity}'] == pytest.approx(ratio, abs=1e-9)
        assert soft[f'slope_{quantity}_interval'] == pytest.approx([ratio, ratio], abs=1e-9)
    rms = 1000.0 * np.sqrt(np.square(reference.forces).mean())
    assert soft['rmse_force_mev_per_ang'] == pytest.approx((1.0 - ratio) * rms, rel=1e-9)
    low, high = soft['rmse_force_mev_per_ang_interval']
    assert low < soft['rmse_force_mev_per_ang'] < high
    assert (soft['unit'], soft['n_groups'], soft['family_key']) == ('material', 6, 'stage')
    assert set(soft['per_family']) == {'hold', 'melt'} and set(soft['per_element']) == {'Li'}
    assert soft['offset_rank'] == 1 and soft['rmse_energy_mev_per_atom'] < soft['rmse_energy_raw_mev_per_atom']
    predicted = outputs['predictions']['soft'].frames
    np.testing.assert_allclose(predicted.forces, ratio * reference.forces, atol=1e-12)
    np.testing.assert_array_equal(predicted.positions, reference.positions)
    assert outputs['predictions']['soft'].base.attributes.get('material_ids')[3] == 'm1'
    made = outputs['errors']['soft'].creator
    assert made.process_type == 'aiida.calculations:litraj.compare_labels'
    assert made.inputs.reference.uuid == frames.uuid
    assert made.inputs.predicted.creator.process_type == 'aiida.calculations:litraj.evaluate'


def test_prediction_comes_from_the_cache(builder: Any) -> None:
    frames = some_labelled(3)
    with enable_caching():
        run_get_node(builder(frames, {'a': potential(depth=SOFT)}))
        _, node = run_get_node(builder(some_labelled(3), {'b': potential(depth=SOFT)}))
    (job,) = (one for one in node.called_descendants if isinstance(one, CalcJobNode))
    assert job.base.caching.is_created_from_cache
    assert node.outputs.errors.b['slope_force'] == pytest.approx(SOFT / DEPTH)


def test_potential_that_cannot_be_asked_stops_no_other(builder: Any) -> None:
    chosen = {
        'oxides': PotentialData.packaged('toy', 'morse', elements=['O'], label='oxides'),
        'broken': potential('morse', no_such_option=1.0),
        'soft': potential(depth=SOFT),
    }
    outputs, node = run_get_node(builder(some_labelled(3), chosen))
    assert node.exit_status == 201
    assert node.exit_message.startswith('oxides: ')
    assert "potential 'oxides' does not cover Li, only O; choose another potential" in node.exit_message
    assert set(outputs['errors']) == set(outputs['predictions']) == {'soft'}
    assert outputs['results']['broken']['exit']['status'] == 321


def test_configurations_that_fail_are_told_and_the_errors_are_of_the_others(builder: Any) -> None:
    """One of an element that the potential lacks."""
    frames = [labelled(crystal(0)), labelled(crystal(1, number=8)), labelled(crystal(2))]
    node = FramesData.from_frames(Frames.stack(frames), {'entry_ids': ['a', 'b', 'c']})
    chosen = {
        'lithium': PotentialData.packaged('toy', 'morse', options={'depth': DEPTH}, elements=['Li'], label='lithium')
    }
    outputs, chain = run_get_node(builder(node, chosen))
    assert chain.exit_status == 501
    assert 'frame 1: the potential of this job does not cover O' in chain.exit_message
    errors, predicted = outputs['errors']['lithium'], outputs['predictions']['lithium']
    assert (errors['n_failed'], errors['n_frames_force'], errors['rmse_force_mev_per_ang']) == (1, 2, 0.0)
    assert np.isfinite(predicted.frames.energies).tolist() == [True, False, True]
    assert 'does not cover O' in predicted.frames.info[1][FAILED]
    assert predicted.entry_ids == ['a', 'b', 'c']
    assert outputs['results']['lithium']['items']['all']['n_evaluated'] == 2


def test_blocks_that_are_cut_off_are_gone_on_with(engine_code: Any, computer: Any, ender: Ender) -> None:
    """The first jobs are told to end; together they evaluate each configuration once."""
    many = FramesData.from_frames(Frames.stack([crystal(seed) for seed in range(MANY)]))
    ender.begin(written('many.journal', 10_000), TIMES)
    builder = EvaluateBaseWorkChain.get_builder_from_protocol(
        engine_code, {'many': many, 'one': FramesData.from_frames(crystal(0))}, potential(), computer=computer,
        options={'processes': 1},
    )  # fmt: skip
    outputs, node = run_get_node(builder)
    assert node.is_finished_ok, (node.exit_status, node.exit_message)
    assert len([job for job in node.called if isinstance(job, CalcJobNode)]) == TIMES + 1
    assert outputs['results']['audit']['model_calls'] == MANY + 1
    assert set(outputs['predictions']) == {'many', 'one'}
    assert np.isfinite(outputs['predictions']['many'].frames.energies).all()
