"""Trajectories as nodes: what the engine recorded, to the last bit, through repository, archive and cache."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiida.common.exceptions import ValidationError
from aiida.orm import Int, QueryBuilder, load_node
from aiida.plugins import CalculationFactory
from aiida.tools import delete_nodes
from aiida.tools.archive import create_archive, import_archive

from aiida_litraj.contract.trajectory import Header, RecordWriter
from aiida_litraj.data import FramesData, MdTrajectoryData

pytestmark = pytest.mark.usefixtures('aiida_profile')

NUMBERS = (3, 3, 16)
N_FRAMES = 5
CELL = np.array([[4.0, 0.0, 0.0], [0.5, 5.0, 0.0], [0.0, 0.3, 6.0]])
PRESSURE_GPA = 0.5
FOURTEEN_DIGITS = 1e-13
"""Relative: what a database keeps of an attribute, of which a structure is made."""


def frame(step: int, seed: int) -> dict[str, Any]:
    """A frame whose first atom has left the cell after some steps."""
    chance = np.random.default_rng([seed, step])
    positions = chance.random((3, 3)) @ CELL
    positions[0] += step * CELL[0]
    stress = chance.normal(size=(3, 3))
    return {
        'step': step,
        'time_fs': 2.0 * step,
        'energy_ev': -7.0 - 1.0 / (3 + step),
        'kinetic_ev': 0.1 * step,
        'closest_ang': 1.5,
        'stress': stress + stress.T,
        'cell': CELL * (1.0 + 0.01 * step),
        'positions': positions,
    }


def thermo(step: int) -> dict[str, Any]:
    values = dict.fromkeys(Header('thermo', NUMBERS, (True,) * 3).dtype.names or (), np.nan)
    return {**values, 'step': step, 'time_fs': 2.0 * step, 'temperature_k': 300.0 + step, 'pressure_gpa': PRESSURE_GPA}


@pytest.fixture
def written(tmp_path: Path) -> Any:
    """``written(seed)`` are the files of records of a replica."""

    def make(seed: int = 0, n_frames: int = N_FRAMES, kind: str = 'float32') -> tuple[Path, Path]:
        paths = tmp_path / f'{seed}.frames', tmp_path / f'{seed}.thermo'
        frames = RecordWriter(paths[0], Header('frames', NUMBERS, (True,) * 3, kind))  # type: ignore[arg-type]
        for step in range(n_frames):
            frames.append(frame(step, seed))
        series = RecordWriter(paths[1], Header('thermo', NUMBERS, (True,) * 3))
        for step in range(2 * n_frames):
            series.append(thermo(step))
        return paths

    return make


END = {
    'positions': np.arange(1.0, 10.0).reshape(3, 3) / 10 @ CELL,
    'velocities': np.ones((3, 3)) / 3,
    'cell': CELL / 0.9,
}
LAST = {
    'last/steps': np.array([8, 9]), 'last/positions': np.ones((2, 3, 3)) / 3, 'last/velocities': np.zeros((2, 3, 3)),
    'last/forces': np.full((2, 3, 3), np.nan), 'last/cells': np.stack([CELL, CELL]),
    'last/energies': np.array([1.0, 9.0]),
}  # fmt: skip


def test_all_that_was_recorded(written: Any) -> None:
    facts = {'ensemble': 'npt', 'status': 'failed', 'death': 'energy'}
    node = MdTrajectoryData.from_records(*written(), {**END, **LAST}, facts).store()
    node = load_node(node.uuid)
    raw = [frame(step, 0) for step in range(N_FRAMES)]
    assert node.positions.dtype == np.float32
    np.testing.assert_array_equal(node.positions, np.float32([each['positions'] for each in raw]))
    for found, name in (
        (node.cells, 'cell'), (node.energies, 'energy_ev'), (node.kinetic_energies, 'kinetic_ev'),
        (node.stresses, 'stress'), (node.closest, 'closest_ang'), (node.steps, 'step'),
    ):  # fmt: skip
        np.testing.assert_array_equal(found, [each[name] for each in raw])
    np.testing.assert_allclose(node.times_ps, [0.002 * step for step in range(N_FRAMES)], rtol=1e-15)
    np.testing.assert_array_equal(node.thermo['temperature_k'], [300.0 + step for step in range(2 * N_FRAMES)])
    assert (node.symbols, node.pbc, node.ended) == (['Li', 'Li', 'S'], (True, True, True), True)
    np.testing.assert_array_equal(node.end_velocities, END['velocities'])
    np.testing.assert_array_equal(node.get_array('last')['energies'], LAST['last/energies'])
    np.testing.assert_array_equal(node.get_array('last')['positions'], LAST['last/positions'])


def test_attributes_are_few_and_for_queries(written: Any) -> None:
    node = MdTrajectoryData.from_records(*written(), END, {'ensemble': 'npt', 'status': 'finished'}).store()
    attributes = {name: value for name, value in node.base.attributes.all.items() if '|' not in name}
    assert attributes == {
        'n_frames': N_FRAMES, 'n_atoms': 3, 'elements': ['Li', 'S'], 'formula': 'Li2S', 'pbc': [True, True, True],
        'duration_ps': 0.018, 'mean_temperature_k': 304.5, 'mean_pressure_gpa': PRESSURE_GPA, 'ensemble': 'npt',
        'status': 'finished',
    }  # fmt: skip
    assert len(node.base.repository.list_object_names()) == 5
    assert {f'array|{name}' for name in ('numbers', 'positions', 'frames', 'thermo', 'end')} < set(
        node.base.attributes.all
    )
    found = QueryBuilder().append(MdTrajectoryData, filters={'attributes.duration_ps': {'>': 0.0179}}, project='uuid')
    assert [node.uuid] in found.all()
    serialised = node.serialize()['attributes']
    assert all(serialised[name] == value for name, value in attributes.items())


def test_same_frames_have_the_same_hash(written: Any) -> None:
    one, same, other = (MdTrajectoryData.from_records(*written(seed), END).store() for seed in (0, 0, 1))
    hashes = [node.base.caching.get_hash() for node in (one, same, other)]
    assert hashes[0] == hashes[1] != hashes[2]


def test_through_an_archive(written: Any, tmp_path: Path) -> None:
    node = MdTrajectoryData.from_records(*written(), {**END, **LAST}).store()
    before = {name: node.get_array(name).tobytes() for name in node.get_arraynames()}
    content = node.base.caching.get_hash()
    create_archive([node], filename=tmp_path / 'x.aiida', test_run=False)
    pk, uuid = node.pk, node.uuid
    del node  # an object of what is deleted may not be asked for anything any more
    delete_nodes([pk], dry_run=False)
    import_archive(tmp_path / 'x.aiida')
    back = load_node(uuid)
    assert {name: back.get_array(name).tobytes() for name in back.get_arraynames()} == before
    assert back.base.caching.compute_hash() == content


def test_double_precision_stays(written: Any) -> None:
    node = MdTrajectoryData.from_records(*written(kind='float64'))
    np.testing.assert_array_equal(node.positions, [frame(step, 0)['positions'] for step in range(N_FRAMES)])
    assert not node.ended
    with pytest.raises(ValueError, match='nothing to go on from'):
        node.end_structure()


def test_as_ase(written: Any) -> None:
    node = MdTrajectoryData.from_records(*written())
    last, raw = node.to_ase(-1), frame(N_FRAMES - 1, 0)
    np.testing.assert_array_equal(last.positions, raw['positions'].astype(np.float32))
    np.testing.assert_array_equal(last.cell, raw['cell'])
    assert last.get_potential_energy() == raw['energy_ev']
    np.testing.assert_array_equal(last.get_stress(voigt=False), raw['stress'])
    way = (node.to_ase(-1, wrapped=True).positions - last.positions) @ np.linalg.inv(raw['cell'])
    np.testing.assert_allclose(way, np.rint(way), atol=1e-5)
    assert way[0, 0] < -2.5
    images = node.to_ase(slice(1, None, 2))
    assert [image.get_potential_energy() for image in images] == [frame(step, 0)['energy_ev'] for step in (1, 3)]
    assert len(node.to_ase()) == N_FRAMES
    with pytest.raises(IndexError, match='there is no frame 5, only 5'):
        node.to_ase(5)


def test_frames_with_labels(written: Any) -> None:
    """As a data set has configurations: energy and stress of the potential, wrapped."""
    node = MdTrajectoryData.from_records(*written()).store()
    frames = node.frames([0, -1])
    assert [info['step'] for info in frames.info] == [0, N_FRAMES - 1]
    made = FramesData.from_frames(frames)
    assert (made.n_frames, made.base.attributes.get('formula')) == (2, 'Li2S')
    for image, index in zip(made.to_ase(), (0, -1)):
        expected = node.to_ase(index, wrapped=True)
        np.testing.assert_array_equal(image.positions, expected.positions)
        np.testing.assert_array_equal(image.cell, expected.cell)
        assert image.get_potential_energy() == expected.get_potential_energy()
        np.testing.assert_array_equal(image.get_stress(), expected.get_stress())
    assert node.frames(slice(0, 0)).n_frames == 0
    assert node.frames().n_frames == N_FRAMES


def test_structures(written: Any) -> None:
    node = MdTrajectoryData.from_records(*written(), END)
    structure = node.step_structure(2).get_ase()
    assert list(structure.symbols) == ['Li', 'Li', 'S']
    np.testing.assert_allclose(structure.positions, node.to_ase(2, wrapped=True).positions, atol=1e-12)
    np.testing.assert_array_equal(structure.cell, frame(2, 0)['cell'])
    end = node.end_structure()
    np.testing.assert_array_equal(end.cell, END['cell'])
    np.testing.assert_allclose(end.get_ase().positions, END['positions'], atol=1e-12)


def test_structure_in_the_graph(written: Any) -> None:
    """A frame, and the end, with the trajectory as what they were created from."""
    trajectory = MdTrajectoryData.from_records(*written(), END).store()
    extract_frame = CalculationFactory('litraj.extract_frame')
    frame_numbers: tuple[dict[str, Int], ...] = ({'frame': Int(2)}, {'frame': Int(-1)}, {})
    found = [extract_frame(trajectory, **given) for given in frame_numbers]
    for structure, expected in zip(found, (trajectory.to_ase(2), trajectory.to_ase(-1), None)):
        creator = load_node(structure.uuid).creator
        assert creator.inputs.trajectory.uuid == trajectory.uuid
        assert creator.process_type == 'aiida.calculations:litraj.extract_frame'
        positions, cell = (END['positions'], END['cell'])
        if expected is not None:
            positions, cell = expected.positions, expected.cell.array
        np.testing.assert_allclose(structure.cell, cell, rtol=FOURTEEN_DIGITS)
        way = (structure.get_ase().positions - positions) @ np.linalg.inv(cell)
        np.testing.assert_allclose(way, np.rint(way), atol=1e-12)  # the same but for whole cells
        assert list(structure.get_ase().symbols) == ['Li', 'Li', 'S']
    with pytest.raises(IndexError, match='there is no frame 5, only 5'):
        extract_frame(trajectory, Int(5))
    with pytest.raises(ValueError, match='nothing to go on from'):
        extract_frame(MdTrajectoryData.from_records(*written(1)))


def test_what_makes_no_trajectory(written: Any) -> None:
    frames, series = written()
    for paths, arrays, message in (
        (written(1, n_frames=0), {}, 'there are no frames'),
        ((frames, series), {'positions': END['positions']}, 'of a replica there are the arrays positions'),
        ((frames, series), {**END, 'magic': np.zeros(1)}, 'magic'),
        ((frames, series), {**END, 'velocities': np.zeros((2, 3))}, r'velocities at the end of shape \(2, 3\) for 3'),
        ((frames, series), {**LAST, 'last/energies': np.zeros(3)}, 'last steps of different numbers: 2, 3'),
        ((b'', series), {}, 'no file of records'),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            MdTrajectoryData.from_records(*paths, arrays)
    with pytest.raises(ValidationError, match='build it with from_records'):
        MdTrajectoryData().store()


def test_frame_that_was_cut_off_is_left_out(written: Any) -> None:
    frames, series = written()
    node = MdTrajectoryData.from_records(frames.read_bytes()[:-1], series)
    assert node.n_frames == N_FRAMES - 1
