"""What is made of a job that was killed, or whose result is damaged: what it had finished is kept."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aiida_litraj.contract import SCHEMA_VERSION, files, unpack_arrays
from aiida_litraj.contract.errors import TABLE
from tests.fixtures.nodes import WELL_HEIGHT
from tests.parsers.folders import TWO, edit, edit_arrays, label_of, lose_result

BARRIER_TOLERANCE_EV = 1e-3


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
