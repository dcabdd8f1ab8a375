"""What is made of the files of a job of dynamics: one test for each way to end, on folders the engine has written."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiida.orm import CalcJobNode, Dict

from aiida_litraj.calculations.md import MdCalculation
from aiida_litraj.calculations.monitors import DEAD, STALLED, STOPPED_EXTRA
from aiida_litraj.contract import files, unpack_arrays
from aiida_litraj.contract.errors import BY_LABEL
from aiida_litraj.contract.trajectory import read_records
from aiida_litraj.data import PotentialData
from aiida_litraj.parsers.md import MdParser
from tests.fixtures.nodes import fcc, md_parameters, potential, rattled, replica
from tests.parsers.folders import Parsed, edit, edit_arrays, label_of, lose_result

STEPS, FRAMES = 50, 11
"""Of a replica of the fixtures: 100 fs, a frame each 10."""
HOT = {'duration_fs': 100.0, 'temperature_k': 9000.0}
BOTH = ('cold', 'warm')


@pytest.fixture
def both(md_inputs: Any) -> dict[str, Any]:
    """Inputs of two replicas that live."""
    replicas = {'cold': replica(), 'warm': replica('off', 2)}
    return md_inputs(replicas, {'fcc': fcc(), 'off': rattled()})


@pytest.fixture
def mixed(md_inputs: Any) -> dict[str, Any]:
    """Inputs of a replica that lives and of one that is too hot for its limits."""
    limits = {'temperature_factor': 1.8, 'temperature_floor_k': 800.0}
    parameters = md_parameters('nve', limits=limits, last_frames=3)
    far = md_inputs({'cold': replica(), 'hot': replica('off')}, {'fcc': fcc(), 'off': rattled(ang=0.5)}, parameters)
    return far


@pytest.fixture
def good(ran: Any, both: Any) -> Path:
    """The folder of a job whose two replicas came to the end of their schedules."""
    return ran('md', both, MdCalculation)


@pytest.fixture
def read(parse: Any) -> Callable[..., Parsed]:
    """``read(inputs, folder)`` is what the parser makes of it."""
    return lambda inputs, folder, exit_status=None, **job: parse(inputs, folder, exit_status, MdParser, **job)


def cut(folder: Path, name: str, n_frames: int) -> None:
    """Leave of a replica what a kill leaves in the middle of its frame ``n_frames``."""
    path = folder / files.ITEMS / f'{name}.frames'
    header, _ = read_records(path)
    size = len(header.packed()) + n_frames * header.stored.itemsize + header.stored.itemsize // 2
    os.truncate(path, size)
    for suffix in ('.json', '.npz'):
        (folder / files.ITEMS / f'{name}{suffix}').unlink()


def test_success(read: Any, both: Any, good: Path) -> None:
    found = read(both, good)
    assert (found.status, label_of(found)) == (None, 'SUCCESS')
    assert set(found.nodes) == set(BOTH)
    raw = unpack_arrays(good / files.RESULT_ARRAYS)
    for name, node in found.nodes.items():
        header, records = read_records(good / files.ITEMS / f'{name}.frames')
        _, series = read_records(good / files.ITEMS / f'{name}.thermo')
        np.testing.assert_array_equal(node.positions, records['positions'])
        np.testing.assert_array_equal(node.energies, records['energy_ev'])
        assert node.thermo.tobytes() == series.tobytes()
        np.testing.assert_array_equal(node.steps, np.arange(0, STEPS + 1, 5))
        np.testing.assert_array_equal(node.end_velocities, raw[f'{name}/velocities'])
        assert tuple(node.numbers) == header.numbers
        attributes = node.base.attributes
        assert [attributes.get(key) for key in ('ensemble', 'status', 'death')] == ['nvt', 'finished', None]
        assert attributes.get('duration_ps') == 0.1
        entry = found.results['items'][name]
        assert (entry['status'], entry['n_steps'], entry['n_frames']) == ('finished', STEPS, FRAMES)
    audit = json.loads((good / files.RESULT).read_text())['audit']
    assert found.results['audit'] == audit
    assert audit['model_calls'] == 2 * (STEPS + 1)


def test_result_arrays_are_not_kept_twice(read: Any, both: Any, good: Path) -> None:
    """They come with the temporary files, whether the folder of the node has them or not."""
    found = read(both, good)
    assert 'end' in found.nodes['cold'].get_arraynames()
    (good / files.RESULT_ARRAYS).unlink()
    lost = read(both, good)
    assert (lost.status, lost.message) == (
        306,
        'the arrays of the result do not match it: result.npz is missing',
    )
    assert set(lost.nodes) == set(BOTH)


def test_dead_replica_is_a_result_with_its_frames_until_then(read: Any, mixed: Any, ran: Any) -> None:
    folder = ran('mixed', mixed, MdCalculation)
    found = read(mixed, folder)
    assert (found.status, found.message) == (501, '1 of 2 replicas converged')
    entry = found.results['items']['hot']
    assert (entry['status'], entry['label'], entry['death']) == ('failed', 'ERROR_UNSTABLE', 'temperature')
    assert re.search(r'the replica died after \d+ fs: \d+ K, above 1440', entry['reason'])
    node = found.nodes['hot']
    assert node.base.attributes.get('death') == 'temperature'
    assert node.base.attributes.get('status') == 'failed'
    assert 1 <= node.n_frames == entry['n_frames'] < FRAMES
    raw = unpack_arrays(folder / files.RESULT_ARRAYS)
    np.testing.assert_array_equal(node.get_array('last')['forces'], raw['hot/last/forces'])
    assert node.ended
    assert found.nodes['cold'].base.attributes.get('death') is None
    assert 'last' not in found.nodes['cold'].get_arraynames()


BY_ENGINE: dict[str, tuple[Callable[[Any], dict[str, Any]], str, set[str]]] = {
    'ERROR_UNSTABLE': (
        lambda make: make(
            {'a': replica('off')}, {'off': rattled(ang=0.5)},
            md_parameters('nve', limits={'temperature_factor': 1.2, 'temperature_floor_k': 300.0}),
        ),
        r'a: the replica died after \d+ fs: .* K, above 360', {'a'},
    ),
    'ERROR_OUT_OF_TIME': (
        lambda make: make(max_seconds=1e-6), r'0 of 1 replicas finished before the time ran out', set(),
    ),
    'ERROR_ITEM_OUT_OF_TIME': (
        lambda make: make(max_item_seconds=1e-9), r'cold: given up after .* s in segment 1 of 1, step 0', {'cold'},
    ),
    'ERROR_NO_STRESS': (
        lambda make: make(
            {'a': replica('fcc', 1, {**HOT, 'pressure_gpa': 0.0})}, None, md_parameters('npt'), potential('double_well')
        ),
        r'the potential toy:double_well gives no stress, which npt needs', set(),
    ),
    'ERROR_POTENTIAL_NOT_LOADED': (
        lambda make: make(evaluated_by=potential('morze')), r'the potential morze could not be loaded', set(),
    ),
    'ERROR_POTENTIAL_CHECKSUM': (
        lambda make: make(evaluated_by=PotentialData.packaged('toy', 'morse', sha256='0' * 64)), r'not 0{64}', set(),
    ),
    'ERROR_DTYPE': (
        lambda make: make(parameters=md_parameters(dtype='float32')), r'cannot be evaluated in float32', set(),
    ),
    'ERROR_DEVICE': (lambda make: make(device='cuda:7'), r'the device cuda:7 is not there', set()),
}  # fmt: skip


@pytest.mark.parametrize('label', BY_ENGINE)
def test_engine_says_how_it_ended(label: str, read: Any, md_inputs: Any, ran: Any) -> None:
    make_inputs, message, nodes = BY_ENGINE[label]
    inputs = make_inputs(md_inputs)
    found = read(inputs, ran(f'md_{label}', inputs, MdCalculation))
    assert (found.status, label_of(found)) == (BY_LABEL[label].status, label)
    assert re.search(message, found.message), found.message
    assert set(found.nodes) == nodes
    assert set(found.results['items']) == set(inputs['replicas'])
    assert not any(entry['converged'] for entry in found.results['items'].values())


# Replicas that were cut off


def test_killed_job_keeps_what_was_computed(read: Any, both: Any, good: Path) -> None:
    """On its own, nobody goes on from it: the frames of the replica under way are kept too."""
    lose_result(good)
    cut(good, 'warm', 4)
    found = read(both, good)
    assert found.status == 303
    items = found.results['items']
    assert {name: entry['status'] for name, entry in items.items()} == {'cold': 'finished', 'warm': 'unfinished'}
    assert {name: node.n_frames for name, node in found.nodes.items()} == {'cold': FRAMES, 'warm': 4}
    warm = found.nodes['warm']
    assert (warm.base.attributes.get('status'), warm.ended) == ('unfinished', False)
    assert (items['warm']['n_frames'], items['warm']['n_atoms']) == (4, 4)
    assert found.results['audit'] == json.loads((good / files.PROGRESS).read_text())['audit']


IN_A_CHAIN = {'options': {'keep_unfinished': False}, 'in_a_chain': True}
OURS, ANOTHER = 'litraj.hopeless', 'core.always_kill'


def test_chain_that_goes_on_stores_each_frame_once(read: Any, both: Any, good: Path) -> None:
    lose_result(good)
    cut(good, 'warm', 4)
    found = read(both, good, **IN_A_CHAIN)
    assert set(found.nodes) == {'cold'}
    assert found.results['items']['warm']['n_frames'] == 4


def test_job_with_the_inputs_of_one_of_a_chain_keeps_its_frames(read: Any, both: Any, good: Path) -> None:
    """As ``get_builder_restart`` gives them, options too: nobody goes on from a job that was launched by hand."""
    lose_result(good)
    cut(good, 'warm', 4)
    found = read(both, good, options=IN_A_CHAIN['options'])
    assert {name: node.n_frames for name, node in found.nodes.items()} == {'cold': FRAMES, 'warm': 4}


@pytest.mark.parametrize(('monitor', 'made'), [(OURS, {'cold'}), (ANOTHER, {'cold', 'warm'})])
def test_monitor_of_somebody_else_may_have_said_that_this_is_the_end(
    monitor: str, made: set[str], read: Any, both: Any, good: Path
) -> None:
    lose_result(good)
    cut(good, 'warm', 4)
    watched = {**both, 'monitors': {'watch': Dict({'entry_point': monitor})}}
    assert set(read(watched, good, **IN_A_CHAIN).nodes) == made


@pytest.mark.parametrize('status', [110, 120, 140])
def test_after_these_the_chain_goes_on(status: int, read: Any, both: Any, good: Path) -> None:
    lose_result(good)
    cut(good, 'warm', 4)
    found = read(both, good, status, **IN_A_CHAIN)
    assert (found.status, found.results['exit']['status']) == (None, status)
    assert set(found.nodes) == {'cold'}


def test_chain_that_ends_here_keeps_the_frames(read: Any, both: Any, good: Path) -> None:
    """A damaged result is no reason to submit again: then nobody else has the frames."""
    cut(good, 'warm', 4)
    (good / files.RESULT_ARRAYS).write_bytes(b'')
    found = read(both, good, **IN_A_CHAIN)
    assert found.status == 306
    assert {name: node.n_frames for name, node in found.nodes.items()} == {'cold': FRAMES, 'warm': 4}


@pytest.mark.parametrize(('stopped', 'made'), [(STALLED, {'cold'}), (DEAD, {'cold', 'warm'})])
def test_stopped_by_a_monitor(
    stopped: str, made: set[str], read: Any, both: Any, good: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AiiDA says so only after the parser."""
    lose_result(good)
    cut(good, 'warm', 4)
    store = CalcJobNode.store

    def with_extra(self: CalcJobNode) -> Any:
        stored = store(self)
        self.base.extras.set(STOPPED_EXTRA, stopped)
        return stored

    monkeypatch.setattr(CalcJobNode, 'store', with_extra)
    assert set(read(both, good, **IN_A_CHAIN).nodes) == made


def test_killed_before_its_first_frame(read: Any, both: Any, good: Path) -> None:
    lose_result(good)
    cut(good, 'warm', 0)
    (good / files.ITEMS / 'cold.json').unlink()
    os.truncate(good / files.ITEMS / 'cold.frames', 7)
    found = read(both, good)
    assert (found.status, found.nodes) == (303, {})
    assert {entry['status'] for entry in found.results['items'].values()} == {'unfinished'}


def test_nothing_at_all(read: Any, both: Any, tmp_path: Path) -> None:
    found = read(both, tmp_path / 'empty')
    assert (found.status, found.nodes) == (303, {})
    assert set(found.results['items']) == set(BOTH)


def test_engine_stopped_by_its_clock(read: Any, md_inputs: Any, ran: Any) -> None:
    """The entry says how far the replica is, in steps and in time."""
    long = {'duration_fs': 1e7, 'temperature_k': 300.0}
    inputs = md_inputs({'long': replica('fcc', 1, long)}, max_seconds=3.0)
    folder = ran('md_clock', inputs, MdCalculation)
    found = read(inputs, folder, **IN_A_CHAIN)
    assert (found.status, found.nodes) == (400, {})
    entry = found.results['items']['long']
    assert entry['n_steps'] > 10
    assert entry['time_fs'] == pytest.approx(2.0 * (entry['n_steps'] - entry['n_steps'] % 5))
    assert entry['duration_fs'] == 1e7
    kept = read(inputs, folder)
    assert kept.nodes['long'].n_frames == entry['n_frames'] == entry['n_steps'] // 5 + 1


# Files that cannot be used


def damage(folder: Path) -> None:
    path = folder / files.ITEMS / 'cold.frames'
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


INVALID: dict[str, tuple[Callable[[Path], Any], str]] = {
    'frames missing': (
        lambda folder: (folder / files.ITEMS / 'cold.frames').unlink(), r'cold: cold\.frames is missing',
    ),
    'frame damaged': (damage, r'cold: record \d+ of 11 in cold\.frames is damaged'),
    'no frames': (
        lambda folder: (folder / files.ITEMS / 'cold.frames').write_bytes(b''), r'cold: cold\.frames is no file of rec',
    ),
    'end missing': (
        lambda folder: edit_arrays(folder, lambda arrays: arrays.pop('cold/cell')), r'cold: of a replica there are',
    ),
    'other atoms': (
        lambda folder: (folder / files.ITEMS / 'cold.frames').write_bytes(of_sodium(folder)),
        r'cold: frames of other atoms than were given',
    ),
}  # fmt: skip


def of_sodium(folder: Path) -> bytes:
    content = (folder / files.ITEMS / 'cold.frames').read_bytes()
    header, _ = read_records(content)
    from dataclasses import replace

    return replace(header, numbers=(11,) * 4).packed() + content[len(header.packed()) :]


@pytest.mark.parametrize('case', INVALID)
def test_result_that_cannot_be_used(case: str, read: Any, both: Any, good: Path) -> None:
    """The other replica is kept all the same."""
    spoil, message = INVALID[case]
    spoil(good)
    found = read(both, good)
    assert found.status == 306
    assert re.search(message, found.message), found.message
    assert 'warm' in found.nodes


def test_result_of_another_version(read: Any, both: Any, good: Path) -> None:
    edit(good, lambda content: content.update(schema_version=99))
    assert read(both, good).status == 305


def test_ids_of_other_jobs_are_ignored(read: Any, both: Any, good: Path) -> None:
    """The checkpoint a job resumes from may hold replicas that this job was not asked for."""
    lose_result(good)
    only: Mapping[str, Any] = {**both, 'replicas': {'warm': both['replicas']['warm']}}
    found = read(only, good)
    assert set(found.nodes) == set(found.results['items']) == {'warm'}
