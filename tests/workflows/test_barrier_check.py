"""Checks of a barrier: what is refused before anything runs, and analytic labels through the real chains."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from aiida.engine import run_get_node

from aiida_litraj.calculations.functions.compare_barrier import CAVEAT
from aiida_litraj.data import PathData
from aiida_litraj.engine.models.interface import Configuration
from aiida_litraj.engine.models.toy import ToyEvaluator
from aiida_litraj.workflows.barrier_check import BarrierCheckWorkChain
from tests.fixtures.nodes import surface_path, vacancy_path

DEEPER = {'depth': 0.36}
"""A Morse well a fifth deeper than the potential's: energies and forces are exactly 1.2 times as large."""
DIGITS = 1e-9
"""Positions in a StructureData keep 14 digits."""


def evaluated(path: PathData, **options: float) -> PathData:
    """The path with energies and forces of the Morse potential."""
    evaluator = ToyEvaluator('morse', options)
    found = evaluator.evaluate(
        [Configuration(path.numbers, image, path.cell, np.array(path.pbc)) for image in path.get_positions()]
    )
    return PathData.from_arrays(
        path.symbols, path.get_positions(), path.cell, path.pbc, mobile=path.mobile,
        energies=[one.energy for one in found], forces=[one.forces for one in found],
    )  # fmt: skip


@pytest.fixture
def path(aiida_profile: Any) -> PathData:
    """A vacancy hop in an fcc crystal, straight, with the highest image in the middle."""
    return evaluated(vacancy_path())


@pytest.fixture
def build(toy_dft: Any) -> Any:
    """``build(path, overrides, settings)`` is the builder with the analytic code."""

    def make(path: PathData, overrides: Any = None, protocol: str = 'balanced', **settings: Any) -> Any:
        return BarrierCheckWorkChain.get_builder_from_protocol(
            code=toy_dft, path=path, protocol=protocol, overrides=overrides, settings={'options': DEEPER, **settings}
        )

    return make


@pytest.mark.parametrize(
    ('protocol', 'images', 'mesh', 'spacing'),
    [('balanced', 'all', None, 0.4), ('litraj-2025', 'all', [1, 1, 1], None), ('fast', 'ends and saddle', None, 0.6)],
)
def test_builder_of_a_protocol(
    protocol: str, images: str, mesh: Any, spacing: float | None, build: Any, path: PathData
) -> None:
    builder = build(path, protocol=protocol)
    assert (builder.check.get_dict(), builder.check.label) == ({'images': images}, protocol)
    level = builder.label.level
    assert (level['kpoint_mesh'], level['kpoint_spacing_per_ang'], level['functional']) == (mesh, spacing, 'PBE')
    assert builder.label.settings['options'] == DEEPER
    assert 'frames' not in builder.label


def test_bad_input_is_refused(build: Any, path: PathData, count_processes: Any, toy_dft: Any) -> None:
    before = count_processes()
    with pytest.raises(ValueError, match=r"check\.images = 'some'"):
        build(path, {'check': {'images': 'some'}})
    with pytest.raises(ValueError, match='path: it has no energies'):
        build(vacancy_path())
    with pytest.raises(ValueError, match=r'level\.cutoff_ev = -1'):
        build(path, {'label': {'level': {'cutoff_ev': -1.0}}})
    with pytest.raises(ValueError, match="override 'images' = 'all' is not known"):
        build(path, {'images': 'all'})
    with pytest.raises(ValueError, match=r'pbc = \[False, False, False\]'):
        surface = surface_path()
        nothing = np.zeros((surface.n_images, 1, 3))
        known = {'energies': np.arange(surface.n_images), 'forces': nothing}
        build(PathData.from_arrays(['Li'], surface.get_positions(), np.eye(3) * 5, [False] * 3, **known))
    assert count_processes() == before


def test_inputs_of_a_chain_are_checked_too(build: Any, path: PathData, instantiate: Any) -> None:
    inputs = build(path)._inputs(prune=True)
    with pytest.raises(ValueError, match='path: it has no energies'):
        instantiate(BarrierCheckWorkChain, {**inputs, 'path': vacancy_path()})


@pytest.mark.e2e
def test_a_surface_that_is_a_fifth_higher(build: Any, path: PathData) -> None:
    """All energies and forces are 1.2 times the potential's, so are barrier and slopes; the errors follow."""
    outputs, node = run_get_node(build(path))
    assert node.is_finished_ok, (node.exit_status, node.exit_message)
    found = outputs['check'].get_dict()
    above = path.energies - path.energies[0]
    assert found['labelled'] == list(range(5)) and found['failed'] == []
    for name in ('barrier_ev', 'reverse_barrier_ev', 'reaction_energy_ev', 'range_ev'):
        assert found['reference'][name] == pytest.approx(1.2 * found['potential'][name], abs=DIGITS)
        assert found['error'][name] == pytest.approx(-0.2 * found['potential'][name], abs=DIGITS)
    assert found['potential']['barrier_ev'] == pytest.approx(above.max()) and above.max() > 0.1
    np.testing.assert_allclose([one['reference_ev'] for one in found['images']], 1.2 * above, atol=DIGITS)
    rmse = 1e3 * np.sqrt(np.square(0.2 * path.image_forces).mean())
    assert found['rmse_force_mev_per_ang'] == pytest.approx(rmse, rel=1e-6)
    assert found['reference_crest']['coordinate_ang'] == pytest.approx(found['potential_crest']['coordinate_ang'])
    assert found['level']['code'] == 'toy'
    assert found['caveat'] == CAVEAT


@pytest.mark.e2e
def test_graph_knows_what_the_check_is_of(build: Any, path: PathData) -> None:
    outputs, _ = run_get_node(build(path, protocol='fast'))
    made = outputs['check'].creator
    assert made.process_type == 'aiida.calculations:litraj.compare_barrier'
    assert made.inputs.path.uuid == path.uuid
    assert made.inputs.images.creator.process_type == 'aiida.calculations:litraj.extract_images'
    assert outputs['check']['labelled'] == [0, 2, 4]
    assert [info['image'] for info in outputs['labelled'].frames.info] == [0, 2, 4]
    assert outputs['report']['n_labelled'] == 3


@pytest.mark.e2e
def test_without_the_saddle_there_is_no_barrier(build: Any, path: PathData) -> None:
    """The highest image does not converge: the others are compared, and the chain ends as the labels did."""
    energies = 1.2 * np.asarray(path.energies)
    ceiling = float(np.sort(energies)[-2:].mean())
    outputs, node = run_get_node(build(path, ceiling_ev=ceiling))
    assert node.exit_status == 501
    found = outputs['check'].get_dict()
    assert found['labelled'] == [0, 1, 3, 4]
    assert [(one['image'], one['label']) for one in found['failed']] == [(2, 'ERROR_SCF_NOT_CONVERGED')]
    assert found['reference'] is None
    assert 'there is no barrier on single points: image 2 is not labelled' in found['warnings']


@pytest.mark.e2e
def test_no_label_at_all(build: Any, path: PathData) -> None:
    outputs, node = run_get_node(build(path, ceiling_ev=-1e9))
    assert node.exit_status == 520
    assert 'check' not in outputs
    assert {item['status'] for item in outputs['report']['items'].values()} == {'failed'}
    assert outputs['images'].n_frames == 5
