"""What is made of the files of a job: one test for each way to end, on folders that the engine has written.

The engine runs once for each kind of folder; damage is done to copies.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from aiida_litraj.calculations.neb import NebCalculation
from aiida_litraj.contract import SCHEMA_VERSION, files, pack_arrays, unpack_arrays
from aiida_litraj.contract.errors import BY_LABEL, TABLE
from aiida_litraj.data import PathData, PotentialData
from aiida_litraj.parsers.neb import NebParser
from tests.fixtures.nodes import MUELLER_BROWN, WELL_HEIGHT, Job, neb_parameters, potential, surface_path, vacancy_path

BARRIER_TOLERANCE_EV = 1e-3
TWO = {'first': surface_path, 'second': lambda: surface_path((-0.9, 0.0, 0.1), (0.8, 0.3, 0.0))}
KILLED = 'Killed'

Folder = Callable[[str], Path]


class Parsed(NamedTuple):
    status: int | None
    message: str | None
    results: dict[str, Any] | None
    paths: dict[str, PathData]


@pytest.fixture
def two(neb_inputs: Any) -> dict[str, Any]:
    """Inputs of two hops over the double well."""
    return neb_inputs({name: make() for name, make in TWO.items()})


@pytest.fixture(scope='module')
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the folders that the engine has written are kept for all tests."""
    return tmp_path_factory.mktemp('kept')


@pytest.fixture
def ran(kept: Path, run_engine_on: Any, tmp_path: Path) -> Callable[..., Path]:
    """``ran(name, inputs)`` is a copy of the folder in which the engine ran the job of that name."""

    def make(name: str, inputs: dict[str, Any]) -> Path:
        if not (kept / name).exists():
            shutil.copytree(run_engine_on(NebCalculation, inputs), kept / name)
        return Path(shutil.copytree(kept / name, tmp_path / name))

    return make


@pytest.fixture
def good(ran: Any, two: Any) -> Path:
    """The folder of a job whose two paths converged."""
    return ran('good', two)


@pytest.fixture
def parse(job_node: Any) -> Callable[..., Parsed]:
    """``parse(inputs, folder)`` is what the parser makes of it; ``exit_status`` is that of the scheduler, if any."""

    def make(inputs: dict[str, Any], folder: Path, exit_status: int | None = None) -> Parsed:
        job = Job(exit_status=exit_status, exit_message='the scheduler said so', retrieved=folder)
        parser = NebParser(job_node(inputs, job))
        code = parser.parse(retrieved_temporary_folder=str(folder))
        outputs = dict(parser.outputs)
        results = outputs.pop('results', None)
        paths = {label.removeprefix('paths.'): node for label, node in outputs.items()}
        assert all(isinstance(node, PathData) for node in paths.values())
        if code is not None:
            assert code.invalidates_cache == (code.status < 500)
        return Parsed(
            None if code is None else code.status,
            None if code is None else code.message,
            None if results is None else results.get_dict(),
            paths,
        )

    return make


def edit(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    content = json.loads((folder / files.RESULT).read_text())
    change(content)
    (folder / files.RESULT).write_text(json.dumps(content))


def edit_arrays(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    arrays = dict(unpack_arrays(folder / files.RESULT_ARRAYS))
    change(arrays)
    (folder / files.RESULT_ARRAYS).write_bytes(pack_arrays(arrays))


def lose_result(folder: Path, stderr: str = KILLED) -> None:
    """Leave what a kill -9 leaves: no result, but what was finished."""
    (folder / files.RESULT).unlink()
    (folder / files.RESULT_ARRAYS).unlink()
    (folder / files.STDERR).write_text(stderr)


def label_of(parsed: Parsed) -> str:
    assert parsed.results is not None
    return str(parsed.results['exit']['label'])


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


# Jobs without a result


def test_killed_job_keeps_what_was_finished(parse: Any, two: Any, good: Path) -> None:
    lose_result(good)
    (good / files.ITEMS / 'second.json').unlink()
    found = parse(two, good)
    assert (found.status, found.message) == (303, 'the engine left no result.json: see litraj.err')
    assert label_of(found) == 'ERROR_RESULT_MISSING'
    assert set(found.paths) == {'first'}
    energies = found.paths['first'].energies
    assert energies.max() - energies[0] == pytest.approx(WELL_HEIGHT, abs=BARRIER_TOLERANCE_EV)
    statuses = {name: entry['status'] for name, entry in found.results['items'].items()}
    assert statuses == {'first': 'finished', 'second': 'unfinished'}
    # as the engine last wrote it: a barrier keeps the checksum it came from, however its job ended
    written = json.loads((good / files.PROGRESS).read_text())['audit']
    assert found.results['audit'] == written
    assert len(written['potential']['sha256']) == 64


@pytest.mark.parametrize('keep', [0, 100])
def test_item_cut_off_in_the_middle_is_left_to_be_done(parse: Any, two: Any, good: Path, keep: int) -> None:
    lose_result(good)
    for name in ('first.json', 'second.npz'):
        path = good / files.ITEMS / name
        path.write_bytes(path.read_bytes()[:keep])
    found = parse(two, good)
    assert found.status == 303
    assert found.paths == {}
    assert {entry['status'] for entry in found.results['items'].values()} == {'unfinished'}


def test_finished_item_without_its_arrays_is_left_to_be_done(parse: Any, two: Any, good: Path) -> None:
    lose_result(good)
    (good / files.ITEMS / 'first.npz').unlink()
    found = parse(two, good)
    assert set(found.paths) == {'second'}
    assert found.results['items']['first']['status'] == 'unfinished'


def test_items_of_an_earlier_job_are_not_given_twice(parse: Any, two: Any, good: Path) -> None:
    """The checkpoint a job resumes from may hold paths that this job was not asked for."""
    lose_result(good)
    found = parse({**two, 'paths': {'second': two['paths']['second']}}, good)
    assert set(found.paths) == set(found.results['items']) == {'second'}


def test_nothing_at_all(parse: Any, two: Any, tmp_path: Path) -> None:
    found = parse(two, tmp_path / 'empty')
    assert found.status == 303
    assert found.paths == {}
    assert set(found.results['items']) == set(TWO)


@pytest.mark.parametrize(
    'words',
    [
        '_aiidasubmit.sh: line 9: /envs/gone/bin/python: No such file or directory',
        '/envs/x/bin/python: No module named aiida_litraj',
        "ModuleNotFoundError: No module named 'numpy'",
        'litraj-engine: /usr/bin/python3 lacks pydantic: /usr/bin/python3 -m pip install pydantic',
        './litraj-engine: 9: exec: python3: not found',
        'bash: ./litraj-engine: Permission denied',
    ],
)
def test_engine_that_cannot_run(parse: Any, two: Any, tmp_path: Path, words: str) -> None:
    folder = tmp_path / 'job'
    folder.mkdir()
    (folder / files.STDERR).write_text(f'module load: done\n{words}\n')
    found = parse(two, folder)
    assert (found.status, found.message) == (332, f'the environment of the code cannot run the engine: {words}')


def test_complaint_in_the_middle_of_a_run_is_no_missing_engine(parse: Any, two: Any, good: Path) -> None:
    lose_result(good, 'rm: x: No such file or directory')
    assert parse(two, good).status == 303


# Results that cannot be used


def invalid(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    return lambda folder: edit(folder, change)


INVALID: dict[str, tuple[Callable[[Path], Any], int, str]] = {
    'cut off': (
        lambda folder: (folder / files.RESULT).write_text((folder / files.RESULT).read_text()[:200]),
        304, r'result\.json is no result',
    ),
    'no object': (lambda folder: (folder / files.RESULT).write_text('[]'), 304, r'result\.json is no result'),
    'no version': (invalid(lambda content: content.pop('schema_version')), 304, r"KeyError\('schema_version'\)"),
    'other version': (
        invalid(lambda content: content.update(schema_version=99)),
        305, f'the result has schema version 99, this plugin reads {SCHEMA_VERSION}',
    ),
    'unknown field': (invalid(lambda content: content.update(extra=1)), 304, r'extra: Extra inputs .* \(1 faults'),
    'negative steps': (
        invalid(lambda content: content['items'][0].update(n_steps=-1)), 304, r'items\.0\.n_steps: Input should be',
    ),
    'unknown label': (
        invalid(lambda content: content['exit'].update(label='ERROR_ODD', status=599)),
        304, r'labels not in the table: ERROR_ODD',
    ),
    'unknown label of an item': (
        invalid(lambda content: content['items'][0].update(label='ERROR_ODD')), 304, r'not in the table: ERROR_ODD',
    ),
    'no arrays': (
        lambda folder: (folder / files.RESULT_ARRAYS).unlink(), 306, r'result\.npz is missing',
    ),
    'arrays cut off': (
        lambda folder: os.truncate(folder / files.RESULT_ARRAYS, 300), 306, r'not a readable array file',
    ),
    'array missing': (
        lambda folder: edit_arrays(folder, lambda arrays: arrays.pop('first/forces')), 306, r'first: forces missing',
    ),
    'path missing': (
        lambda folder: edit_arrays(
            folder, lambda arrays: [arrays.pop(key) for key in list(arrays) if key.startswith('second')]
        ),
        306, r'second: positions, energies, forces, neb_forces missing',
    ),
    'atoms missing': (
        lambda folder: edit_arrays(folder, lambda arrays: arrays.update({'first/positions': np.zeros((5, 2, 3))})),
        306, r'first: positions of shape \(5, 2, 3\), not \(5, 1, 3\)',
    ),
    'energies of other shape': (
        lambda folder: edit_arrays(folder, lambda arrays: arrays.update({'first/energies': np.zeros(4)})),
        306, r'first: the array energies of the path has shape \(4,\), not \(5,\)',
    ),
    'not finite': (
        lambda folder: edit_arrays(folder, lambda arrays: arrays['first/forces'].fill(np.nan)),
        306, r'first: the array forces of the path holds numbers that are not finite',
    ),
    'array unknown': (
        lambda folder: edit_arrays(folder, lambda arrays: arrays.update({'first/magic': np.zeros(1)})),
        306, r'first: a path has no array magic',
    ),
}  # fmt: skip


@pytest.mark.parametrize('case', INVALID)
def test_result_that_cannot_be_used(case: str, parse: Any, two: Any, good: Path) -> None:
    """The paths are then those that the engine had put aside one by one."""
    damage, status, message = INVALID[case]
    damage(good)
    found = parse(two, good)
    assert found.status == status
    assert re.search(message, found.message), found.message
    assert set(found.paths) == set(TWO)
    assert found.results['exit'] == {
        'status': status,
        'label': next(code.label for code in TABLE if code.status == status),
        'message': found.message,
    }
    assert found.results['audit'] == json.loads((good / files.PROGRESS).read_text())['audit']


def test_nothing_is_unpickled(parse: Any, two: Any, good: Path) -> None:
    arrays = dict(unpack_arrays(good / files.RESULT_ARRAYS))
    np.savez(good / files.RESULT_ARRAYS, **{**arrays, 'first/energies': np.array([print], dtype=object)})
    found = parse(two, good)
    assert found.status == 306
    assert 'pickled' in found.message


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
    tested = {BY_LABEL[label].status for label in (*BY_ENGINE, *TOLD)} | by_damage
    assert tested == {code.status for code in TABLE}
