"""A melt-quench with the real engine: stages, snapshots, and one that dies on the way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from aiida.engine import run_get_node
from aiida.manage.caching import enable_caching
from aiida.orm import StructureData

from aiida_litraj.calculations.functions.analyse_melt_quench import stages_from
from aiida_litraj.workflows.melt_quench import MeltQuenchWorkChain
from tests.fixtures.nodes import fcc, potential

pytestmark = pytest.mark.e2e
SCHEDULE = {
    'melt_temperature_k': 600.0, 'end_temperature_k': 100.0, 'melt_ps': 0.04, 'quench_ps': 0.08, 'hold_ps': 0.04,
    'n_snapshots': 8,
}  # fmt: skip
OFTEN = {'timestep_fs': 2.0, 'frame_interval_fs': 4.0, 'thermo_interval_fs': 4.0}


@pytest.fixture(autouse=True)
def cached() -> Iterator[None]:
    with enable_caching():
        yield


@pytest.fixture
def quench(engine_code: Any, computer: Any) -> Any:
    def make(structure: StructureData, schedule: Any = None, share: float = 0.5, **dynamics: Any) -> Any:
        builder = MeltQuenchWorkChain.get_builder_from_protocol(
            engine_code, potential('morse'), structure, computer=computer, options={'processes': 1},
            overrides={
                'schedule': {**SCHEDULE, **(schedule or {})},
                'dynamics': {**OFTEN, **dynamics},
                'analysis': {'averaged_share': share},
            },
        )  # fmt: skip
        return run_get_node(builder)

    return make


def test_stages_of_a_crystal(quench: Any) -> None:
    """At these temperatures and times an fcc crystal stays one: twelve neighbours up to behind the first shell."""
    outputs, node = quench(fcc())
    assert node.is_finished_ok, (node.exit_status, node.exit_message)
    stages = outputs['stages']['stages']
    assert [stage['name'] for stage in stages] == ['melt', 'quench', 'glass']
    assert [stage['n_frames'] for stage in stages] == [5, 10, 5]  # of their last half
    assert [stage['stop_ps'] for stage in stages] == pytest.approx([0.04, 0.12, 0.16])
    assert all(stage['motifs'] is None for stage in stages)
    drawn = stages_from(outputs['stages'].get_dict(), outputs['distributions'])
    for stage in drawn:
        assert stage.distributions['Li', 'Li'].coordination(3.25) == pytest.approx(12.0, abs=1.0)
    # Li4 in a cube of 3.77 Ang that breathes a little: 4 x 6.94 u / V.
    assert stages[0]['density_g_per_cm3'] == pytest.approx(4 * 6.94 / 0.602214 / 3.77**3, rel=0.05)


def test_snapshots_are_evenly_spaced_and_labelled(quench: Any) -> None:
    outputs, _ = quench(fcc())
    snapshots = outputs['snapshots']
    frames = snapshots.frames
    assert frames.n_frames == 8
    np.testing.assert_allclose([one['time_fs'] for one in frames.info], 20.0 * np.arange(1, 9))
    assert [one['stage'] for one in frames.info] == ['melt'] * 2 + ['quench'] * 4 + ['glass'] * 2
    assert np.isfinite(frames.energies).all()
    assert np.isfinite(frames.stresses).all()
    assert snapshots.creator.process_type == 'aiida.calculations:litraj.extract_snapshots'
    assert snapshots.creator.inputs.trajectory.uuid == outputs['trajectory'].uuid
    assert outputs['stages'].creator.process_type == 'aiida.calculations:litraj.analyse_melt_quench'


def thiophosphate() -> StructureData:
    """One P in the middle of a tetrahedron of S with bonds of 2 Ang, and three Li, in a cube of 9 Ang."""
    structure = StructureData(cell=9.0 * np.eye(3))
    middle, bond = np.full(3, 4.5), 2.0 / np.sqrt(3.0)
    structure.append_atom(position=middle.tolist(), symbols='P')
    for corner in ((1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1)):
        structure.append_atom(position=(middle + bond * np.array(corner)).tolist(), symbols='S')
    for place in ((0.5, 0.5, 0.5), (0.5, 4.5, 0.5), (0.5, 0.5, 4.5)):
        structure.append_atom(position=list(place), symbols='Li')
    return structure


def test_one_anion_is_counted_in_every_frame(quench: Any) -> None:
    """Known: one PS4. With frames only 2 fs apart from the start it cannot have changed."""
    few = {'melt_temperature_k': 2.0, 'end_temperature_k': 1.0, 'melt_ps': 0.002, 'quench_ps': 0.002, 'hold_ps': 0.002}
    outputs, _ = quench(thiophosphate(), {**few, 'n_snapshots': 3}, 1.0, frame_interval_fs=2.0, thermo_interval_fs=2.0)
    for stage in outputs['stages']['stages']:
        assert stage['motifs'] == {'ps4': 1.0, 'p2s7': 0.0, 'p2s6': 0.0, 'other': 0.0, 'free_sulfur': 0.0}
        assert stage['coordination']['P-S'] == {'mean': 4.0, 'shares': {'4': 1.0}}
    again = stages_from(outputs['stages'].get_dict(), outputs['distributions'])
    assert again[0].motifs is not None
    assert again[0].motifs.shares()['PS4'] == 1.0


def test_replica_that_dies_at_once_leaves_its_reason(quench: Any) -> None:
    outputs, node = quench(fcc(), {'melt_temperature_k': 1e9})
    assert node.exit_status == 510
    assert 'moved' in node.exit_message
    assert 'snapshots' not in outputs
    assert outputs['results']['items']['quench']['death'] == 'atom_lost'
