"""Jobs and checkpoints made to do harm: each is refused by its code, and has not left the canary that it would have."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aiida_litraj.contract import LitrajError, PotentialReport, PotentialSpec, files
from aiida_litraj.contract.train import TrainJob
from aiida_litraj.contract.trainers import not_offered
from aiida_litraj.engine.folder import Folder
from aiida_litraj.engine.models import Evaluator, Family, LoadRequest, load, registry
from aiida_litraj.engine.models.registry import Found
from aiida_litraj.engine.models.toy import ToyEvaluator
from aiida_litraj.engine.trainers.workshop import Workshop

from .tasks.trainings import clusters, parameters
from .tasks.trainings import write_job as write_training

NAMES = [
    '', '.', '..', '../a', '/etc/passwd', 'a/b', 'a\\b', '-rf', '--help', 'a b', 'a\n', 'a\nb', '\na', 'a\x00b', 'a;b',
    '$(touch canary)', '`touch canary`', '${HOME}', 'a|b', 'a&b', '*', '~', 'a"b', "a'b", 'ä', 'a‮b', '．．',
]  # fmt: skip
"""That are no plain names: paths, options, shell, and characters that look like others."""


class Canary:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self._path,)


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Path]:
    """A file that must not be there in the end."""
    path = tmp_path / 'canary'
    yield path
    assert not path.exists()


@pytest.fixture
def attacked(vacancy_hop: Any, job_folder: Any, rerun: Any) -> Callable[..., Any]:
    """``attacked(('items', 0, 'id'), value)`` is the end of a job with that value; it has left nothing anywhere."""

    def go(where: tuple[str | int, ...], value: Any) -> Any:
        folder = job_folder({'hop': vacancy_hop()})
        job = json.loads((folder / files.JOB).read_text())
        inner: Any = job
        for key in where[:-1]:
            inner = inner[key]
        inner[where[-1]] = value
        (folder / files.JOB).write_text(json.dumps(job))
        before = {path.name for path in folder.parent.iterdir()}
        ended = rerun(folder).result.exit
        assert {path.name for path in folder.parent.iterdir()} == before
        left = {path.relative_to(folder).as_posix() for path in folder.rglob('*')}
        assert left <= {
            files.JOB, files.ARRAYS, files.ITEMS, files.CHECKPOINT, files.RESULT, files.RESULT_ARRAYS, files.LOCK
        }  # fmt: skip
        return ended

    return go


@pytest.mark.parametrize('name', NAMES, ids=ascii)
@pytest.mark.parametrize('where', [('items', 0, 'id'), ('task',), ('runtime', 'device')], ids=str)
def test_names_of_a_job_that_are_none_are_refused(where: Any, name: str, attacked: Any, canary: Path) -> None:
    assert attacked(where, name).label == 'ERROR_JOB_INVALID'


@pytest.mark.parametrize('name', NAMES, ids=ascii)
def test_file_of_a_potential_is_one_of_the_job(name: str, attacked: Any, canary: Path) -> None:
    spec = {'family': 'toy', 'file': name, 'sha256': '0' * 64}
    assert attacked(('potential',), spec).label == 'ERROR_JOB_INVALID'


@pytest.mark.parametrize('family', ['os.system', 'os:system', '../toy', 'Toy', 'toy\n', '+os.system'])
def test_family_that_names_code_is_refused(family: str, attacked: Any) -> None:
    assert attacked(('potential', 'family'), family).label == 'ERROR_JOB_INVALID'


@pytest.mark.parametrize('family', ['os', 'subprocess', 'ase_calculator', 'registry', '__main__'])
def test_module_is_no_family(family: str, attacked: Any) -> None:
    """Though it could be imported."""
    assert attacked(('potential', 'family'), family).label in ('ERROR_FAMILY_MISSING', 'ERROR_JOB_INVALID')


@pytest.mark.parametrize('name', ['ase.calculators.emt.EMT', 'EMT', '__import__("os")', '../emt', 'builtins.eval'])
def test_calculator_that_nobody_has_registered_is_refused(name: str, attacked: Any, canary: Path) -> None:
    assert attacked(('potential',), {'family': 'ase', 'name': name}).label == 'ERROR_POTENTIAL_NOT_LOADED'


@pytest.mark.parametrize('field', ['__class__', 'command', 'module', 'environment', 'prepend_text', 'code'])
@pytest.mark.parametrize('where', [(), ('runtime',), ('potential',), ('parameters',), ('items', 0)], ids=str)
def test_there_is_no_field_for_code(where: Any, field: str, attacked: Any, canary: Path) -> None:
    assert attacked((*where, field), f'touch {canary}').label == 'ERROR_JOB_INVALID'


@pytest.mark.parametrize('name', NAMES, ids=ascii)
def test_names_of_a_training_that_are_none_are_refused(name: str, tmp_path: Path, rerun: Any, canary: Path) -> None:
    sets = {'train.a': clusters(2), 'valid.a': clusters(2)}
    for number, field in enumerate(('id', 'train', 'valid')):
        folder = write_training(tmp_path / f'job_{number}', sets)
        job = json.loads((folder / files.JOB).read_text())
        job['items'][0][field] = name
        (folder / files.JOB).write_text(json.dumps(job))
        assert rerun.engine(folder).exit.label == 'ERROR_JOB_INVALID'


@pytest.mark.parametrize(
    ('trainer', 'label'),
    [('os', 'ERROR_FAMILY_MISSING'), ('run_mace', 'ERROR_FAMILY_MISSING'), ('../toy', 'ERROR_JOB_INVALID')],
)
def test_module_is_no_trainer(trainer: str, label: str, tmp_path: Path, rerun: Any) -> None:
    folder = write_training(tmp_path / 'job', {'train.a': clusters(2), 'valid.a': clusters(2)})
    job = json.loads((folder / files.JOB).read_text())
    job['parameters']['trainer'] = trainer
    (folder / files.JOB).write_text(json.dumps(job))
    assert rerun.engine(folder).exit.label == label


# Checkpoints


@pytest.fixture
def pickled(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """A family ``pickled`` whose checkpoints are pickles; the list has what is done just before it opens one."""
    before: list[Any] = []

    def open_it(request: LoadRequest) -> Evaluator:
        for action in before:
            action()
        assert request.path is not None
        content = request.path.read_bytes()
        options = pickle.loads(content)  # noqa: S301  what it is about
        sha256 = hashlib.sha256(content).hexdigest()
        report = PotentialReport(family='pickled', file=request.spec.file, sha256=sha256, dtypes=['float64'])
        return ToyEvaluator('morse', options, report)

    family = Family(name='pickled', package='numpy', load=open_it, names=list, devices=('cpu',), light=True)
    monkeypatch.setattr(registry, 'discover', lambda: (Found('pickled', 'tests', family),))
    return before


def spec_of(path: Path, family: str = 'pickled') -> PotentialSpec:
    return PotentialSpec(family=family, file=path.name, sha256=hashlib.sha256(path.read_bytes()).hexdigest())


@pytest.fixture
def honest(tmp_path: Path) -> Path:
    """The checkpoint that the user has imported."""
    path = tmp_path / 'potential.pth'
    path.write_bytes(pickle.dumps({'depth': 0.25}))
    return path


def test_canary_sings_where_it_is_opened(tmp_path: Path) -> None:
    """Else the other tests could not fail."""
    pickle.loads(pickle.dumps(Canary(tmp_path / 'sings')))  # noqa: S301  what it is about
    assert (tmp_path / 'sings').exists()


def test_other_bytes_are_refused_before_they_are_opened(
    pickled: list[Any], honest: Path, canary: Path, tmp_path: Path
) -> None:
    spec = spec_of(honest)
    honest.write_bytes(pickle.dumps(Canary(canary)))
    with pytest.raises(LitrajError, match='has sha256') as caught:
        load(spec, tmp_path)
    assert caught.value.code.label == 'ERROR_POTENTIAL_CHECKSUM'


def test_without_a_checksum_it_is_not_opened(pickled: list[Any], honest: Path, canary: Path, tmp_path: Path) -> None:
    honest.write_bytes(pickle.dumps(Canary(canary)))
    with pytest.raises(LitrajError, match='its sha256 is needed') as caught:
        load(PotentialSpec(family='pickled', file=honest.name), tmp_path)
    assert caught.value.code.label == 'ERROR_POTENTIAL_NOT_LOADED'


@pytest.mark.parametrize('how', ['written over', 'replaced', 'a link to another'])
def test_what_is_swapped_after_the_check_is_not_opened(
    how: str, pickled: list[Any], honest: Path, canary: Path, tmp_path: Path
) -> None:
    """What was checked is loaded."""
    spec, evil = spec_of(honest), pickle.dumps(Canary(canary))

    def swap() -> None:
        if how == 'written over':
            honest.write_bytes(evil)
            return
        other = tmp_path / 'other'
        other.write_bytes(evil)
        if how == 'replaced':
            os.replace(other, honest)
        else:
            honest.unlink()
            honest.symlink_to(other)

    pickled.append(swap)
    assert load(spec, tmp_path).report.sha256 == spec.sha256
    assert hashlib.sha256(honest.read_bytes()).hexdigest() != spec.sha256


def test_link_to_other_bytes_is_refused(pickled: list[Any], honest: Path, canary: Path, tmp_path: Path) -> None:
    spec = spec_of(honest)
    (tmp_path / 'elsewhere').write_bytes(pickle.dumps(Canary(canary)))
    honest.unlink()
    honest.symlink_to(tmp_path / 'elsewhere')
    with pytest.raises(LitrajError) as caught:
        load(spec, tmp_path)
    assert caught.value.code.label == 'ERROR_POTENTIAL_CHECKSUM'


@pytest.mark.timeout(30)
def test_pipe_is_not_waited_for(pickled: list[Any], honest: Path, tmp_path: Path) -> None:
    spec = spec_of(honest)
    honest.unlink()
    os.mkfifo(honest)
    with pytest.raises(LitrajError, match='is no regular file'):
        load(spec, tmp_path)


def test_nothing_of_a_copy_is_left_and_nobody_else_can_open_it(
    pickled: list[Any], honest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = tmp_path / 'tmp'
    room.mkdir()
    monkeypatch.setattr(tempfile, 'tempdir', str(room))
    seen = []
    pickled.append(lambda: seen.extend(path.stat().st_mode & 0o077 for path in room.iterdir()))
    load(spec_of(honest), tmp_path)
    assert seen == [0]
    assert list(room.iterdir()) == []


def test_parent_of_a_training_is_the_one_that_was_checked(tmp_path: Path) -> None:
    """Trainers open its file again, much later."""
    sets = {'train.a': clusters(2), 'valid.a': clusters(2)}
    honest = json.dumps({'name': 'morse', 'options': {'depth': 0.2}, 'elements': ['Ar']})
    folder = write_training(tmp_path / 'job', sets, settings={'architecture': None})
    (folder / 'potential.json').write_text(honest)
    job = json.loads((folder / files.JOB).read_text())
    job['potential'] = spec_of(folder / 'potential.json', 'toy').model_dump()
    read = TrainJob.model_validate(job)
    with Workshop(read, Folder(folder).path) as workshop:
        (folder / 'potential.json').write_text('swapped')
        assert workshop.parent_file is not None
        assert workshop.parent_file.read_text() == honest
        assert workshop.parent().report.elements == ['Ar']
    assert not workshop.parent_file.exists()


@pytest.mark.parametrize(
    'family',
    [
        pytest.param('sevennet', marks=pytest.mark.sevennet),
        pytest.param('mace', marks=pytest.mark.mace),
        pytest.param('graph_pes', marks=pytest.mark.mace),
        pytest.param('chgnet', marks=pytest.mark.chgnet),
    ],
)
def test_families_open_nothing_that_is_not_what_was_imported(family: str, canary: Path, tmp_path: Path) -> None:
    import torch

    path = tmp_path / 'potential.pth'
    torch.save({'weights': [1.0]}, path)
    spec = spec_of(path, family)
    torch.save({'weights': Canary(canary)}, path)
    with pytest.raises(LitrajError) as caught:
        load(spec, tmp_path, 'cpu')
    assert caught.value.code.label == 'ERROR_POTENTIAL_CHECKSUM'


# Native options of trainers

OBJECTS: list[Any] = [
    {'model': {'radial_features': '+os.getcwd()'}},
    {'model': {'radial_features': {'+os.system': {'command': 'touch canary'}}}},
    {'model': {'+os.system': 'touch canary'}},
    {'fitting': {'pre_fit_model': {'+pathlib.Path.touch': {'+pathlib.Path': 'canary'}}}},
    {'fitting': {'optimizer': {'betas': [0.9, '+evil.module']}}},
    {'fitting': {'trainer_kwargs': {'gradient_clip_val': '=/general/seed'}}},
    {'+os.system': 'touch canary'},
]
"""What the configuration language of graph-pes makes objects of, or copies."""


@pytest.mark.parametrize('native', OBJECTS, ids=str)
def test_native_options_that_make_objects_are_refused(native: dict[str, Any]) -> None:
    """Said on both sides, by the table in the contract."""
    architecture = {'model': 'PaiNN', 'cutoff_ang': 4.0, 'channels': 4, 'lmax': 1, 'layers': 1}
    said = not_offered(parameters(trainer='graph_pes', architecture=architecture, native=native))
    assert any('native = ' in reason and 'a job names no code' in reason for reason in said)
    plain = {'model': {'radial_features': 8}, 'fitting': {'trainer_kwargs': {'gradient_clip_val': 10.0}}}
    assert not_offered(parameters(trainer='graph_pes', architecture=architecture, native=plain)) == []


def trained_with(trainer: str, native: dict[str, Any], folder: Path, rerun: Any) -> Any:
    """Return the end of a job that asks for some native options."""
    sets = {'train.a': clusters(4), 'valid.a': clusters(2, 1)}
    model = 'PaiNN' if trainer == 'graph_pes' else None
    architecture = {'model': model, 'cutoff_ang': 4.0, 'channels': 4, 'lmax': 1, 'layers': 1}
    settings = {'trainer': trainer, 'architecture': architecture, 'epochs': 1, 'native': native}
    write_training(folder, sets, settings=settings)
    return rerun.engine(folder).exit


@pytest.mark.mace
@pytest.mark.parametrize('native', OBJECTS, ids=str)
def test_graph_pes_makes_no_objects_of_a_job(native: Any, rerun: Any, tmp_path: Path, canary: Path) -> None:
    ended = trained_with('graph_pes', native, tmp_path / 'job', rerun)
    assert ended.label == 'ERROR_JOB_INVALID'
    assert not list(tmp_path.rglob('canary'))


@pytest.mark.mace
@pytest.mark.parametrize(
    'option',
    [
        'config', 'foundation_model', 'foundation_model_kwargs', 'les_arguments', 'statistics_file', 'test_file',
        'train_file', 'pt_train_file', 'heads', 'wandb_dir', 'work_dir', 'checkpoints_dir', 'log_dir', 'launcher',
        'atomic_numbers', 'E0s', 'no_such_option',
    ],
)  # fmt: skip
def test_mace_is_told_no_file_and_no_expression(option: str, rerun: Any, tmp_path: Path, canary: Path) -> None:
    ended = trained_with('mace', {option: str(canary)}, tmp_path / 'job', rerun)
    assert ended.label == 'ERROR_JOB_INVALID'
    assert option in ended.message


@pytest.mark.mace
@pytest.mark.parametrize('value', ['16x0e --foundation_model=x', f'--config={os.devnull}', '-h'])
def test_value_of_an_option_is_no_option(value: str, rerun: Any, tmp_path: Path) -> None:
    """It is one word of mace's command line, whatever is in it."""
    ended = trained_with('mace', {'num_radial_basis': value}, tmp_path / 'job', rerun)
    assert ended.label == 'ERROR_JOB_INVALID'
    assert 'does not take a native option' in ended.message


@pytest.mark.sevennet
@pytest.mark.parametrize(
    'option',
    [
        'data.load_dataset_path', 'data.load_trainset_path', 'data.load_validset_path', 'data.load_testset_path',
        'data.load_my_path', 'data.save_dataset_path', 'data.save_by_label', 'data.save_by_train_valid',
        'train.continue', 'train.csv_log', 'model.chemical_species',
    ],
)  # fmt: skip
def test_sevenn_is_told_no_file(option: str, rerun: Any, tmp_path: Path, canary: Path) -> None:
    section, _, name = option.partition('.')
    ended = trained_with('sevennet', {section: {name: str(canary)}}, tmp_path / 'job', rerun)
    assert ended.label == 'ERROR_JOB_INVALID'
    assert option in ended.message
