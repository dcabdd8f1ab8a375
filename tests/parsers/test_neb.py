"""What is made of the files of a job: one test for each way to end, on folders that the engine has written."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aiida_litraj.contract import files, unpack_arrays
from aiida_litraj.contract.errors import BY_LABEL, TABLE
from aiida_litraj.data import PathData, PotentialData
from tests.fixtures.nodes import MUELLER_BROWN, WELL_HEIGHT, neb_parameters, potential, surface_path, vacancy_path
from tests.parsers.folders import TWO, edit, edit_arrays, label_of, lose_result

BARRIER_TOLERANCE_EV = 1e-3


# Jobs that end as the engine says


def test_success(parse: Any, two: Any, good: Path) -> None:
    found = parse(two, good)
    assert (found.status, label_of(found)) == (None, 'SUCCESS')
    assert set(found.paths) == set(TWO)
    raw = unpack_arrays(good / files.RESULT_ARRAYS)
    for name, path in found.paths.items():
        assert path.energies.max() - path.energies[0] == pytest.approx(WELL_HEIGHT, abs=BARRIER_TOLERANCE_EV)
        np.testing.assert_array_equal(path.get_positions(), raw[f'{name}/positions'])
        np.testing.assert_array_equal(path.image_forces, raw[f'{name}/forces'])
        np.testing.assert_array_equal(path.neb_forces, raw[f'{name}/neb_forces'])
        assert (path.mobile, path.symbols) == (0, ['Li'])
        entry = found.results['items'][name]
        assert (entry['status'], entry['converged'], entry['label']) == ('finished', True, None)
        assert entry['band_calls'] + entry['endpoint_calls'] > 0
    audit = found.results['audit']
    raw_result = json.loads((good / files.RESULT).read_text())
    assert audit == raw_result['audit']
    assert audit['model_calls'] == sum(
        entry['band_calls'] + entry['endpoint_calls'] for entry in found.results['items'].values()
    )
    assert audit['potential']['sha256'] == raw_result['audit']['potential']['sha256']


def test_curvatures_of_a_verified_saddle_are_kept(parse: Any, neb_inputs: Any, ran: Any) -> None:
    saddle = {'n_modes': 2, 'displacement_ang': 0.01, 'max_iterations': 10, 'tolerance_ev_per_ang2': 0.01}
    inputs = neb_inputs(parameters=neb_parameters(verify_saddle=saddle))
    found = parse(inputs, ran('saddle', inputs))
    # V'' = -4 height / width^2 along x and 1 across, in eV/Ang^2
    np.testing.assert_allclose(found.paths['hop'].curvatures, [-4 * WELL_HEIGHT, 1.0], atol=0.02)
    assert found.paths['hop'].get_array('modes').shape == (2, 1, 3)
    assert found.results['items']['hop']['negative_modes'] == 1


def from_the_slope() -> PathData:
    """A hop of 0.6 Ang whose ends roll down by 0.7 Ang each."""
    return surface_path((-0.3, 0.0, 0.0), (0.3, 0.0, 0.0))


def stopped_early(make: Any) -> dict[str, Any]:
    path = surface_path(MUELLER_BROWN['source'], MUELLER_BROWN['target'])
    return make({'hop': path}, potential('mueller_brown'), neb_parameters(band={'max_steps': 1, 'optimizer': 'fire'}))


BY_ENGINE: dict[str, tuple[Callable[[Any], dict[str, Any]], str, set[str]]] = {
    'ERROR_NOT_CONVERGED': (stopped_early, r'hop: residual force .* after 1 steps', {'hop'}),
    'ERROR_ENDPOINT_NOT_CONVERGED': (
        lambda make: make(
            parameters=neb_parameters(source={'max_steps': 0}, target={'max_steps': 0}, band={'max_steps': 2})
        ),
        r'hop: the source did not relax: .* after 0 steps',
        {'hop'},
    ),
    'ERROR_ENDPOINT_MOVED': (
        lambda make: make({'hop': from_the_slope()}, parameters=neb_parameters(hop_tolerance_ang=0.5)),
        r'hop: the relaxed ends describe another hop: the hop changed by 1\.40 Ang \(at most 0\.5 allowed\)',
        set(),
    ),
    'ERROR_EXPLODED': (
        lambda make: make(parameters=neb_parameters(max_force_ev_per_ang=0.01)),
        r'hop: a force of .* above the limit 0\.01',
        set(),
    ),
    'ERROR_NON_FINITE': (
        lambda make: make(evaluated_by=potential('double_well', height=1e308)),
        r'hop: .*not finite',
        set(),
    ),
    'ERROR_PARTIAL': (
        lambda make: make(
            {'good': surface_path(), 'moved': from_the_slope()},
            parameters=neb_parameters(hop_tolerance_ang=0.5),
        ),
        r'1 of 2 paths converged',
        {'good'},
    ),
    'ERROR_OUT_OF_TIME': (
        lambda make: make(max_seconds=1e-6), r'0 of 1 paths finished before the time ran out', set(),
    ),
    'ERROR_ITEM_OUT_OF_TIME': (
        lambda make: make(max_item_seconds=1e-9), r'hop: given up after .* s in .*: max_item_seconds', set(),
    ),
    'ERROR_POTENTIAL_NOT_LOADED': (
        lambda make: make(evaluated_by=potential('morze')), r'the potential morze could not be loaded', set(),
    ),
    'ERROR_POTENTIAL_CHECKSUM': (
        lambda make: make(evaluated_by=PotentialData.packaged('toy', 'morse', sha256='0' * 64)),
        r'the potential toy:morse has sha256 [0-9a-f]{64}, not 0{64}',
        set(),
    ),
    'ERROR_FAMILY_MISSING': (
        lambda make: make(evaluated_by=PotentialData.packaged('sevennet', '7net-0')),
        r'this environment lacks the family sevennet: pip install sevenn',
        set(),
    ),
    'ERROR_DTYPE': (
        lambda make: make(parameters=neb_parameters(dtype='float32')), r'cannot be evaluated in float32', set(),
    ),
    'ERROR_DEVICE': (lambda make: make(device='cuda:7'), r'the device cuda:7 is not there', set()),
    'ERROR_KERNELS': (lambda make: make(kernels='flash'), r'the flash kernels', set()),
}  # fmt: skip


@pytest.mark.parametrize('label', BY_ENGINE)
def test_engine_says_how_it_ended(label: str, parse: Any, neb_inputs: Any, ran: Any) -> None:
    """Real runs; paths that came to an end are kept, also of those that did not converge."""
    make_inputs, message, paths = BY_ENGINE[label]
    inputs = make_inputs(neb_inputs)
    found = parse(inputs, ran(label, inputs))
    assert (found.status, label_of(found)) == (BY_LABEL[label].status, label)
    assert found.message is not None
    assert found.results['exit']['message'] == found.message
    assert set(found.paths) == paths
    assert re.search(message, found.message), found.message
    items = found.results['items']
    assert set(items) == set(inputs['paths'])
    assert {name for name, entry in items.items() if entry['converged']} <= paths
    assert all(entry['label'] for entry in items.values() if not entry['converged'])


TOLD = {
    # what the analytic potentials cannot provoke, or only damage of the job itself
    'ERROR_JOB_INVALID': {'reason': 'no field x'},
    'ERROR_ELEMENTS_NOT_COVERED': {'potential': 'p', 'elements': 'Xe'},
    'ERROR_ITEM_INVALID': {'reason': 'cell'},
    'ERROR_ENGINE_CRASHED': {'reason': 'ZeroDivisionError'},
    'ERROR_EVALUATION': {'reason': 'ValueError: no neighbours (graph.py:7)'},
    'ERROR_DEVICE_MEMORY': {'device': 'cuda:0', 'atoms': 900},
}


@pytest.mark.parametrize('label', TOLD)
def test_whatever_the_engine_says_is_passed_on(label: str, parse: Any, two: Any, good: Path) -> None:
    code = BY_LABEL[label]
    message = code.message.format(**TOLD[label])

    def change(content: dict[str, Any]) -> None:
        content['exit'] = {'status': code.status, 'label': label, 'message': message}
        content['items'] = content['items'][:1]

    edit(good, change)
    edit_arrays(good, lambda arrays: [arrays.pop(key) for key in list(arrays) if key.startswith('second')])
    found = parse(two, good)
    assert (found.status, found.message) == (code.status, message)
    assert set(found.paths) == {'first'}
    assert found.results['items']['first']['converged']
    left = found.results['items']['second']
    assert (left['status'], left['label'], left['reason']) == ('unfinished', label, message)


# The scheduler has spoken before


@pytest.mark.parametrize('status', [110, 120, 140])
def test_word_of_the_scheduler_stands(status: int, parse: Any, two: Any, good: Path) -> None:
    lose_result(good)
    (good / files.ITEMS / 'second.json').unlink()
    found = parse(two, good, exit_status=status)
    assert found.status is None
    assert set(found.paths) == {'first'}
    assert found.results['exit']['status'] == status
    assert found.results['exit']['label'].startswith('ERROR_SCHEDULER_')
    assert found.results['exit']['message'] == 'the scheduler said so'
    assert found.results['items']['second']['reason'] == 'the scheduler said so'


@pytest.mark.parametrize('earlier', [303, 332, 400, 501])
def test_word_of_a_worker_that_was_killed_after_it_does_not_stand(
    earlier: int, parse: Any, two: Any, good: Path
) -> None:
    """The next worker parses once more; were it silent, AiiDA would take the job for one that went well."""
    lose_result(good)
    found = parse(two, good, exit_status=earlier)
    assert found.status == found.results['exit']['status'] == 303


def test_result_that_was_written_in_time_is_read_all_the_same(parse: Any, two: Any, good: Path) -> None:
    found = parse(two, good, exit_status=120)
    assert found.status is None
    assert set(found.paths) == set(TWO)
    assert found.results['audit'] is not None


def test_ids_of_other_jobs_are_ignored(parse: Any, two: Any, good: Path) -> None:
    found = parse({**two, 'paths': {'first': two['paths']['first'], 'third': vacancy_path(1)}}, good)
    assert set(found.results['items']) == {'first', 'third'}
    assert found.results['items']['third']['status'] == 'unfinished'


def test_every_line_of_the_table_is_tested() -> None:
    by_damage = {303, 304, 305, 306, 332}
    of_other_tasks = {203, 312, 313, 324, 340, 341, 342, 506, 507, 508, *range(510, 530)}
    tested = {BY_LABEL[label].status for label in (*BY_ENGINE, *TOLD)} | by_damage
    assert tested == {code.status for code in TABLE} - of_other_tasks
