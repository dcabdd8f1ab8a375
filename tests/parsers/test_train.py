"""What is made of the files of a job of trainings, as the contract has them: whole, damaged, of jobs that were lost."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiida.orm import ArrayData

from aiida_litraj.contract import files, pack_arrays
from aiida_litraj.contract.audit import Audit
from aiida_litraj.contract.errors import BY_LABEL, LitrajError
from aiida_litraj.contract.potential import PotentialReport
from aiida_litraj.contract.result import ExitReport, Progress
from aiida_litraj.contract.train import BEST, CURVE, LAST, TrainItemResult, TrainResult
from aiida_litraj.contract.verdict import exit_report, judge
from aiida_litraj.data import PotentialData
from aiida_litraj.parsers.train import TrainParser
from tests.fixtures.nodes import Job, potential
from tests.fixtures.training import train_parameters, training
from tests.parsers.folders import edit, edit_arrays, lose_result

EPOCHS = 3


def curve(n_epochs: int) -> Any:
    """Return a learning curve whose column k is k + 1/epoch."""
    numbers = np.arange(1.0, n_epochs + 1)
    columns = np.arange(len(CURVE)) + 1.0 / numbers[:, None] if n_epochs else np.empty((0, len(CURVE)))
    columns[:, 0] = numbers
    columns[:, CURVE.index('valid_stress_gpa')] = np.nan
    return columns


class Folder:
    """A folder as the engine leaves it: each training is settled, or cut off after some epochs."""

    def __init__(self, path: Path) -> None:
        self.path, self.items, self.arrays = path, [], {}  # type: ignore[var-annotated]
        (path / files.ITEMS).mkdir()

    def _write(self, name: str, content: bytes) -> str:
        (self.path / files.ITEMS / name).write_bytes(content)
        return hashlib.sha256(content).hexdigest()

    def settle(
        self, name: str, label: str | None = None, n_epochs: int = EPOCHS, last: bytes = b'last', **beside: Any
    ) -> None:
        found: dict[str, Any] = {}
        if label not in ('ERROR_TRAINER', 'ERROR_TRAINED_UNUSABLE'):
            found = {'best_sha256': self._write(f'{name}{BEST}', b'best'), 'elements': ['Li'], 'cutoff_ang': 6.0}
        if label is None:
            found['last_sha256'] = self._write(f'{name}{LAST}', last)
        reason = None if label is None else reason_of(label)
        item = TrainItemResult(
            id=name, status='finished' if label is None else 'failed', converged=label is None, label=label,
            reason=reason, n_epochs=n_epochs, best_epoch=2 if n_epochs else None, **(found | beside),
        )  # fmt: skip
        self.items.append(item)
        own = {'curve': curve(n_epochs)} if n_epochs else {}
        self._write(f'{name}.json', item.model_dump_json().encode())
        self._write(f'{name}.npz', pack_arrays(own))
        self.arrays |= {f'{name}/{key}': value for key, value in own.items()}

    def cut_off(self, name: str, n_epochs: int) -> None:
        self.items.append(
            TrainItemResult(
                id=name, status='unfinished', converged=False, label='ERROR_OUT_OF_TIME', reason='so', n_epochs=n_epochs
            )
        )  # fmt: skip
        self.arrays |= {f'{name}/curve': curve(n_epochs)} if n_epochs else {}

    def close(self, ended: ExitReport | None = None) -> Path:
        result = TrainResult(exit=ended or judge(self.items, 'trainings'), items=self.items, audit=audit())
        (self.path / files.RESULT).write_text(result.model_dump_json())
        (self.path / files.RESULT_ARRAYS).write_bytes(pack_arrays(self.arrays))
        return self.path


def reason_of(label: str) -> str:
    fields = {'trainer': 'toy', 'reason': 'out of chalk', 'epoch': 3}
    return str(LitrajError(label, **fields))


def audit() -> Audit:
    return Audit(
        engine_version='0', schema_version=1, python_version='3', platform='p', packages={},
        potential=PotentialReport(family='toy'), device='cpu', dtype='float64', kernels='plain', processes=1,
        model_calls=6, resumed_calls=0, model_seconds=0.0, cpu_seconds=0.0, wall_seconds=1.0, peak_memory_mb=1.0,
        started_at='2026-01-01T00:00:00',
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


@pytest.fixture
def read(job_node: Any, train_inputs: Any) -> Callable[..., Any]:
    """``read(folder)`` are status, message, results and nodes that the parser makes of it, nested by namespace."""

    def make(path: Path, trainings: Any = None, parent: PotentialData | None = None, exit_status: Any = None) -> Any:
        parameters = None if parent is None else train_parameters('fast-finetune')
        inputs = train_inputs(trainings or {'a': training(1), 'b': training(2)}, parameters, parent)
        parser = TrainParser(job_node(inputs, Job(exit_status, 'the scheduler said so', path, task='train')))
        code = parser.parse(retrieved_temporary_folder=str(path))
        if code is not None:
            assert code.invalidates_cache == (code.status < 500)
        made: dict[str, Any] = {'potentials': {}, 'last_potentials': {}, 'curves': {}}
        results = None
        for label, node in parser.outputs.items():
            if label == 'results':
                results = node.get_dict()
                continue
            namespace, _, name = label.partition('.')
            made[namespace][name] = node
        return (None if code is None else code.status, None if code is None else code.message, results, made)

    return make


def test_success(read: Any, folder: Folder) -> None:
    folder.settle('a')
    folder.settle('b', last=b'best')
    status, _, results, made = read(folder.close())
    assert status is None
    assert results['exit']['label'] == 'SUCCESS'
    assert set(made['potentials']) == set(made['curves']) == {'a', 'b'}
    assert set(made['last_potentials']) == {'a'}, 'the last epoch of b is its best one'
    node = made['potentials']['a']
    with node.open() as handle:
        assert handle.read() == b'best'
    assert (node.family, node.elements, node.cutoff_ang, node.options) == ('toy', ['Li'], 6.0, {})
    assert (node.licence, node.citation) == (None, 'trained from scratch with toy')
    assert node.label == f'toy-a-{node.sha256[:8]}'
    assert node.store().is_stored, 'its checksum is that of its bytes'
    with made['last_potentials']['a'].open() as handle:
        assert handle.read() == b'last'
    assert results['items']['a']['best_epoch'] == 2


def test_curve_is_a_column_each(read: Any, folder: Folder) -> None:
    folder.settle('a')
    folder.settle('b', n_epochs=5)
    node = read(folder.close())[3]['curves']['b']
    assert isinstance(node, ArrayData)
    assert set(node.get_arraynames()) == set(CURVE)
    for name, column in zip(CURVE, curve(5).T):
        np.testing.assert_array_equal(node.get_array(name), column)
    assert node.get_array('epoch').dtype == np.int64


def test_what_the_parent_is_told_for_stays(read: Any, folder: Folder) -> None:
    folder.settle('a')
    parent = potential()
    parent.base.attributes.set_many({'licence': 'MIT', 'citation': 'Morse (1929)'})
    node = read(folder.close(), {'a': training()}, parent)[3]['potentials']['a']
    assert (node.licence, node.citation) == ('MIT', 'trained with toy from morse (Morse (1929))')


def test_best_potential_of_a_training_that_diverged_is_kept(read: Any, folder: Folder) -> None:
    folder.settle('a', 'ERROR_TRAINING_DIVERGED')
    folder.settle('b')
    status, message, results, made = read(folder.close())
    assert (status, message) == (501, '1 of 2 trainings converged')
    assert results['items']['a']['label'] == 'ERROR_TRAINING_DIVERGED'
    assert set(made['potentials']) == {'a', 'b'}
    assert set(made['last_potentials']) == {'b'}


ENDED = {
    'ERROR_TRAINING_DIVERGED': 'a: the training diverged in epoch 3: out of chalk',
    'ERROR_TRAINER': 'a: the trainer toy ended without a potential: out of chalk',
    'ERROR_TRAINED_UNUSABLE': 'a: the trained potential does not give what the trainer said: out of chalk',
}


@pytest.mark.parametrize('label', ENDED)
def test_training_that_failed(label: str, read: Any, folder: Folder) -> None:
    """What is no potential is no node; its curve says how it came to that."""
    folder.settle('a', label)
    (folder.path / files.ITEMS / f'a{BEST}').write_bytes(b'anything')
    if label == 'ERROR_TRAINING_DIVERGED':
        (folder.path / files.ITEMS / f'a{BEST}').write_bytes(b'best')
    status, message, _, made = read(folder.close(), {'a': training()})
    assert (status, message) == (BY_LABEL[label].status, ENDED[label])
    assert set(made['potentials']) == ({'a'} if label == 'ERROR_TRAINING_DIVERGED' else set())
    assert set(made['curves']) == {'a'}


def test_training_without_an_epoch_has_nothing(read: Any, folder: Folder) -> None:
    folder.settle('a', 'ERROR_TRAINER', n_epochs=0)
    status, _, results, made = read(folder.close(), {'a': training()})
    assert status == 312
    assert not any(made.values())
    assert results['items']['a']['n_epochs'] == 0


def test_cut_off_by_the_clock(read: Any, folder: Folder) -> None:
    """Of what was cut off there is the curve so far, and no potential: the next job has its checkpoint."""
    folder.settle('a')
    folder.cut_off('b', 2)
    status, message, results, made = read(folder.close())
    assert (status, message) == (400, '1 of 2 trainings finished before the time ran out or a signal came')
    assert set(made['potentials']) == {'a'}
    assert made['curves']['b'].get_array('epoch').tolist() == [1, 2]
    assert results['items']['b']['status'] == 'unfinished'


TOLD = {
    'ERROR_JOB_INVALID': {'reason': 'the trainer toy has no native option bananas'},
    'ERROR_FAMILY_MISSING': {'family': 'toy', 'package': 'numpy'},
    'ERROR_POTENTIAL_NOT_LOADED': {'potential': 'morse', 'reason': 'no'},
    'ERROR_POTENTIAL_CHECKSUM': {'potential': 'morse', 'found': '0', 'expected': '1'},
    'ERROR_DEVICE': {'device': 'cuda', 'available': 'cpu'},
    'ERROR_ENGINE_CRASHED': {'reason': 'ZeroDivisionError'},
    'ERROR_ENVIRONMENT': {'reason': 'trainer toy: ImportError'},
    'ERROR_DEVICE_MEMORY': {'device': 'cuda:0', 'atoms': 900},
}


@pytest.mark.parametrize('label', TOLD)
def test_whatever_the_engine_says_is_passed_on(label: str, read: Any, folder: Folder) -> None:
    folder.settle('a')
    ended = exit_report(label, **TOLD[label])
    status, message, results, made = read(folder.close(ended))
    assert (status, message) == (ended.status, ended.message)
    assert set(made['potentials']) == {'a'}
    assert results['items']['b']['status'] == 'unfinished'
    assert results['items']['b']['label'] == label


def test_finished_trainings_of_a_lost_job_stay(read: Any, folder: Folder) -> None:
    folder.settle('a')
    folder.cut_off('b', 2)
    (folder.path / files.PROGRESS).write_text(
        Progress(
            task='train', n_items=2, n_finished=1, n_converged=1, n_active=1, model_calls=3, wall_seconds=1.0,
            updated_at='', audit=audit(),
        ).model_dump_json()
    )  # fmt: skip
    lose_result(folder.close())
    status, message, results, made = read(folder.path)
    assert (status, message) == (303, 'the engine left no result.json: see litraj.err')
    assert set(made['potentials']) == set(made['curves']) == {'a'}
    assert results['items']['b']['status'] == 'unfinished'
    assert results['audit'] is not None


@pytest.mark.parametrize('scheduler', [110, 120, 140])
def test_word_of_the_scheduler_stands(scheduler: int, read: Any, folder: Folder) -> None:
    folder.settle('a')
    lose_result(folder.close())
    status, _, results, made = read(folder.path, exit_status=scheduler)
    assert status is None
    assert set(made['potentials']) == {'a'}
    assert results['exit']['status'] == scheduler


def rewrite(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    edit(folder, lambda content: change({item['id']: item for item in content['items']}))


DAMAGE: Mapping[str, tuple[Callable[[Path], Any], int, str]] = {
    'a potential is missing': (
        lambda path: (path / files.ITEMS / f'a{BEST}').unlink(), 306, r'a: potential file .*a\.best: no such file',
    ),
    'a potential is another': (
        lambda path: (path / files.ITEMS / f'a{BEST}').write_bytes(b'bes'), 306, r'a: potential file .* has sha256',
    ),
    'the last one is missing': (
        lambda path: (path / files.ITEMS / f'a{LAST}').unlink(), 306, r'a: potential file .*a\.last: no such file',
    ),
    'nothing of a training that went well': (
        lambda path: rewrite(path, lambda items: items['b'].update(best_sha256=None)), 306, r'nothing for b',
    ),
    'curve too short': (
        lambda path: rewrite(path, lambda items: items['a'].update(n_epochs=7)),
        306, r'a: curve \(3, 11\), not \(7, 11\)',
    ),
    'curve missing': (
        lambda path: edit_arrays(path, lambda arrays: arrays.update({'a/other': arrays.pop('a/curve')})),
        306, r'a: curve missing, not \(3, 11\)',
    ),
    'epochs out of order': (
        lambda path: edit_arrays(path, lambda arrays: arrays.update({'a/curve': arrays['a/curve'][::-1]})),
        306, r'a: its epochs are not counted from 1',
    ),
    'no arrays': (lambda path: (path / files.RESULT_ARRAYS).unlink(), 306, r'result\.npz is missing'),
    'pickled arrays': (
        lambda path: np.save((path / files.RESULT_ARRAYS).open('wb'), np.array([{}], dtype=object)), 306, r'no archive',
    ),
    'no JSON': (lambda path: (path / files.RESULT).write_text('{'), 304, r'result\.json is no result'),
    'of another version': (lambda path: edit(path, lambda content: content.update(schema_version=9)), 305, r'n 9'),
}  # fmt: skip


@pytest.mark.parametrize('damage', DAMAGE)
def test_damaged_results(damage: str, read: Any, folder: Folder) -> None:
    """The good ones of the single accounts stay, as of a job that was lost."""
    spoil, code, message = DAMAGE[damage]
    folder.settle('a')
    folder.settle('b')
    spoil(folder.close())
    status, said, _, made = read(folder.path)
    assert status == code
    assert re.search(message, said), said
    assert 'b' in made['potentials'] or damage.startswith('nothing')


def test_engine_that_never_ran(read: Any, folder: Folder) -> None:
    (folder.path / files.STDERR).write_text('python: command not found')
    assert read(folder.path)[0] == 332


def test_account_that_was_cut_off_in_the_middle_is_left_out(read: Any, folder: Folder) -> None:
    folder.settle('a')
    folder.settle('b')
    lose_result(folder.close())
    account = folder.path / files.ITEMS / 'b.json'
    account.write_text(account.read_text()[:-20])
    assert set(read(folder.path)[3]['potentials']) == {'a'}
    assert json.loads((folder.path / files.ITEMS / 'a.json').read_text())['id'] == 'a'
