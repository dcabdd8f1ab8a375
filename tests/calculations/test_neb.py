"""What a job is given: its files to the last number, and what is refused before it is made."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiida.orm import Bool, Dict

from aiida_litraj.calculations.base import RUNTIME_OPTIONS, runtime_of
from aiida_litraj.calculations.neb import NebCalculation
from aiida_litraj.contract import NebJob, Runtime, files, unpack_arrays
from aiida_litraj.contract.errors import TABLE
from aiida_litraj.contract.potential import FamilyReport, ProbeReport
from aiida_litraj.data import PathData, PotentialData
from tests.fixtures.nodes import Job, neb_parameters, potential, surface_path, vacancy_path

CONTENT = b'{"weights": [1, 2, 3]}'


def with_two_atoms(distance: float) -> PathData:
    positions = np.zeros((3, 2, 3))
    positions[:, 0, 0] = [0.0, 1.0, 2.0]
    positions[:, 1] = [distance, 0.0, 5.9]
    return PathData.from_arrays(['Li', 'O'], positions, np.diag([7.0, 7.0, 6.0]), [True] * 3, mobile=0)


def with_a_frozen_atom(*ways: float) -> PathData:
    """A path of three images whose second atom is frozen, and yet displaced in the second and third, in Ang."""
    positions = np.zeros((3, 2, 3))
    positions[:, 0, 0] = [3.0, 4.0, 5.0]
    positions[1:, 1, 1] = ways
    return PathData.from_arrays(['Li', 'O'], positions, 9.0 * np.eye(3), [True] * 3, mobile=0, fixed=[False, True])


def of_one_atom(symbol: str) -> PathData:
    return PathData.from_arrays([symbol], np.linspace([[0.0] * 3], [[1.0] * 3], 3), np.eye(3), [False] * 3)


def test_job_file(prepare: Any, neb_inputs: Any, data_regression: Any) -> None:
    paths = {'b': surface_path(), 'a_1': vacancy_path(1)}
    inputs = neb_inputs(paths, potential('double_well', height=0.4), device='cpu', max_wallclock_seconds=3600)
    _, folder = prepare(NebCalculation, inputs)
    job = NebJob.model_validate_json((folder / files.JOB).read_bytes())
    data_regression.check(job.model_dump(mode='json'))


def test_what_is_not_asked_for_is_not_in_the_job_file(prepare: Any, neb_inputs: Any) -> None:
    """An engine from before these fields refuses what it does not know."""
    _, folder = prepare(NebCalculation, neb_inputs())
    plain = json.loads((folder / files.JOB).read_text())
    assert 'keep_configurations' not in plain
    assert 'ranks_per_process' not in plain['runtime']
    _, folder = prepare(NebCalculation, {**neb_inputs(ranks_per_process=2), 'keep_configurations': Bool(True)})
    asked = json.loads((folder / files.JOB).read_text())
    assert (asked['keep_configurations'], asked['runtime']['ranks_per_process']) == (True, 2)


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        ({'functional': 'PBE', 'cutof_ev': 300.0}, r'potential\.options\.cutof_ev'),
        ({'functional': 'PBE', 'cutoff_ev': 300.0}, r'potential\.options\.smearing is missing'),
        ({'functional': 'PBE', 'ranks': 4}, r'potential\.options\.ranks: .*ranks_per_process'),
    ],
)
def test_options_of_gpaw_are_judged_before_a_job_is_made(
    options: dict[str, Any], words: str, instantiate: Any, neb_inputs: Any
) -> None:
    """In every task: it would come back from the engine, after the queue."""
    with pytest.raises(ValueError, match=words):
        instantiate(NebCalculation, neb_inputs(evaluated_by=PotentialData.packaged('gpaw', 'gpaw', options=options)))


def test_arrays_are_those_of_the_paths(prepare: Any, neb_inputs: Any) -> None:
    frozen = PathData.from_arrays(
        ['Li', 'O'], with_two_atoms(3.0).get_positions(), np.diag([7.0, 7.0, 6.0]), [True, True, False], mobile=0,
        fixed=[False, True],
    )  # fmt: skip
    paths = {'frozen': frozen, 'free': vacancy_path(1)}
    _, folder = prepare(NebCalculation, neb_inputs(paths))
    arrays = unpack_arrays(folder / files.ARRAYS)
    assert len(arrays) == 10
    for name, path in paths.items():
        np.testing.assert_array_equal(arrays[f'{name}/positions'], path.get_positions())
        np.testing.assert_array_equal(arrays[f'{name}/cell'], path.cell)
    np.testing.assert_array_equal(arrays['frozen/numbers'], [3, 8])
    np.testing.assert_array_equal(arrays['frozen/pbc'], [True, True, False])
    np.testing.assert_array_equal(arrays['frozen/fixed'], [False, True])
    np.testing.assert_array_equal(arrays['free/fixed'], [False] * 3)


def test_what_is_run_and_fetched(prepare: Any, neb_inputs: Any) -> None:
    info, folder = prepare(NebCalculation, neb_inputs())
    (code,) = info.codes_info
    assert (code.cmdline_params, code.stdout_name, code.stderr_name) == (
        ['run', 'job.json'],
        'litraj.out',
        'litraj.err',
    )
    assert set(info.retrieve_list) == {'result.json', 'result.npz', 'progress.json', 'litraj.out', 'litraj.err'}
    assert info.retrieve_temporary_list == ['items']
    assert info.provenance_exclude_list == ['arrays.npz']
    assert (info.local_copy_list, info.remote_copy_list) == ([], [])
    assert sorted(path.name for path in folder.iterdir()) == ['arrays.npz', 'job.json']


def test_checkpoint_is_copied_and_not_linked(prepare: Any, neb_inputs: Any, job_node: Any, computer: Any) -> None:
    inputs = neb_inputs()
    parent = job_node(inputs, Job(exit_status=400, outputs={})).outputs.remote_folder
    info, _ = prepare(NebCalculation, {**inputs, 'parent_folder': parent})
    place = parent.get_remote_path()
    assert info.remote_copy_list == [
        (computer.uuid, f'{place}/checkpoint', 'checkpoint'),
        (computer.uuid, f'{place}/items', 'items'),
    ]
    assert not info.remote_symlink_list


def test_checkpoint_of_the_potential_is_uploaded(prepare: Any, neb_inputs: Any, tmp_path: Path) -> None:
    source = tmp_path / 'my model.json'
    source.write_bytes(CONTENT)
    node = PotentialData.from_file(source, 'third_party')
    info, folder = prepare(NebCalculation, neb_inputs(evaluated_by=node))
    assert info.local_copy_list == [(node.uuid, 'potential', 'potential.json')]
    assert node.base.repository.get_object_content('potential', mode='rb') == CONTENT
    told = NebJob.model_validate_json((folder / files.JOB).read_bytes()).potential
    assert (told.file, told.name, told.sha256) == ('potential.json', None, hashlib.sha256(CONTENT).hexdigest())


@pytest.mark.parametrize(
    ('options', 'seconds'),
    [
        ({}, None),
        ({'max_wallclock_seconds': 3600}, 3360.0),
        ({'max_wallclock_seconds': 100}, 50.0),
        ({'max_wallclock_seconds': 3600, 'max_seconds': 7}, 7.0),
    ],
)
def test_clock_of_the_engine_ends_before_the_walltime(options: dict[str, Any], seconds: float | None) -> None:
    assert runtime_of(options).max_seconds == seconds


def test_every_runtime_setting_is_an_option(neb_inputs: Any, prepare: Any) -> None:
    assert set(RUNTIME_OPTIONS) == set(Runtime.model_fields)
    options = {
        'device': 'cuda:1', 'processes': 3, 'threads_per_process': 2, 'batch_atoms': 500, 'kernels': 'flash',
        'max_seconds': 10, 'max_item_seconds': 2.5, 'checkpoint_seconds': 5, 'ranks_per_process': 2,
    }  # fmt: skip
    _, folder = prepare(NebCalculation, neb_inputs(**options))
    job = NebJob.model_validate_json((folder / files.JOB).read_bytes())
    assert job.runtime == Runtime(**options)


def test_how_it_runs_is_not_in_the_hash_and_what_it_computes_is(instantiate: Any, neb_inputs: Any) -> None:
    path = surface_path()
    toy = potential('double_well', height=0.4)
    hashes = {}
    variants: dict[str, tuple[Any, ...]] = {
        'plain': ({'hop': path}, toy, neb_parameters(), {}),
        'equal': ({'hop': surface_path()}, potential('double_well', height=0.4), neb_parameters(), {}),
        'faster': (
            {'hop': path}, toy, neb_parameters(),
            {
                'device': 'cpu', 'processes': 2, 'ranks_per_process': 2, 'batch_atoms': 9, 'max_seconds': 5,
                'max_wallclock_seconds': 60,
            },
        ),
        'seed': ({'hop': path}, toy, neb_parameters(seed=1), {}),
        'higher': ({'hop': path}, potential('double_well', height=0.5), neb_parameters(), {}),
        'named': ({'other': path}, toy, neb_parameters(), {}),
        'longer': ({'hop': surface_path(n_images=6)}, toy, neb_parameters(), {}),
    }  # fmt: skip
    for name, (paths, evaluated_by, parameters, options) in variants.items():
        process = instantiate(NebCalculation, neb_inputs(paths, evaluated_by, parameters, **options))
        hashes[name] = process.node.base.caching.compute_hash()
    assert hashes['equal'] == hashes['faster'] == hashes['plain']
    assert len({hashes[name] for name in ('plain', 'seed', 'higher', 'named', 'longer')}) == 5


def test_table_of_errors_is_that_of_the_calculation() -> None:
    for code in TABLE:
        registered = NebCalculation.exit_codes[code.label]
        assert (registered.status, registered.invalidates_cache) == (code.status, code.status < 500)


PROBED = ProbeReport(
    engine_version='0.1.0', python_version='3.11.0', python='/envs/x/bin/python', platform='Linux',
    families=[
        FamilyReport(family='toy', available=True, package='numpy', version='2.0'),
        FamilyReport(family='mace', available=False, package='mace-torch'),
    ],
)  # fmt: skip


def test_frozen_atom_may_be_rounded(instantiate: Any, neb_inputs: Any) -> None:
    instantiate(NebCalculation, neb_inputs({'hop': with_a_frozen_atom(0.0, 0.0009)}))


@pytest.fixture
def probed_code(launcher_code: Any) -> Any:
    """The code, and what is known of its environment for the time of one test."""
    launcher_code.base.extras.set('litraj_probe', PROBED.model_dump(mode='json'))
    yield launcher_code
    launcher_code.base.extras.delete('litraj_probe')


def named(name: str, path: PathData | None = None) -> dict[str, Any]:
    return {'paths': {name: path or surface_path()}}


BAD: dict[str, tuple[Any, str]] = {
    'no paths': (lambda: {'paths': {}}, r'paths: none given; give at least one'),
    'name with a dot': (lambda: named('Li3PO4.hop'), r'paths\.Li3PO4\.hop: the name may have letters, digits'),
    'name with two underscores': (lambda: named('a__b'), r'paths\.a__b: the name may have letters, digits'),
    'two images': (lambda: named('hop', surface_path(n_images=2)), r'paths\.hop: 2 images; a path needs at least 3'),
    'no element': (
        lambda: named('hop', of_one_atom('Qq')),
        r'paths\.hop: Qq is no element; replace or remove it',
    ),
    'two atoms on one place, across the boundary': (
        lambda: named('hop', with_two_atoms(0.1)),
        r'paths\.hop: in the first image atoms 0 and 1 are on one place \(0\.141 Ang apart\); remove one',
    ),
    'two atoms on one place at the end': (
        lambda: named('hop', with_two_atoms(2.0)),
        r'paths\.hop: in the last image atoms 0 and 1 are on one place \(0\.100 Ang apart\)',
    ),
    'frozen atom that moves': (
        lambda: named('hop', with_a_frozen_atom(0.0, 0.002)),
        r'paths\.hop: the frozen atom 1 is 0\.002 Ang away in image 2 from where it is in image 0; give it one',
    ),
    'parameter missing': (
        lambda: {'parameters': Dict({k: v for k, v in neb_parameters().get_dict().items() if k != 'seed'})},
        r'parameters\.seed is missing; get_builder_from_protocol',
    ),
    'parameter unknown': (
        lambda: {'parameters': Dict({**neb_parameters().get_dict(), 'sede': 1})},
        r'parameters\.sede = 1 is not known, but seed is',
    ),
    'parameter out of range': (
        lambda: {'parameters': Dict({**neb_parameters().get_dict(), 'max_force_ev_per_ang': -3})},
        r'parameters\.max_force_ev_per_ang = -3: it should be greater than 0',
    ),
    'element not covered': (
        lambda: {'potential': PotentialData.packaged('toy', 'morse', elements=['O', 'P'], label='oxides')},
        r"potential 'oxides' does not cover Li, only O, P; choose another potential",
    ),
    'family missing': (
        lambda: {'potential': PotentialData.packaged('mace', 'small')},
        r"lacks the potential family 'mace' \(it has: toy\); pip install mace-torch there",
    ),
    'family unknown': (
        lambda: {'potential': PotentialData.packaged('other', 'small')},
        r"lacks the potential family 'other' \(it has: toy\); install a package that offers it",
    ),
    'device': (lambda: {'options': {'device': 'gpu'}}, r"metadata\.options\.device = 'gpu'"),
    'processes': (lambda: {'options': {'processes': 0}}, r'metadata\.options\.processes = 0: it should be greater'),
    'kernels': (lambda: {'options': {'kernels': 'magic'}}, r"metadata\.options\.kernels = 'magic'"),
    'option unknown': (lambda: {'options': {'devise': 'cpu'}}, r'devise'),
}  # fmt: skip


@pytest.mark.parametrize('case', BAD)
def test_bad_input_is_refused_before_anything_is_stored(
    case: str, instantiate: Any, neb_inputs: Any, probed_code: Any, count_processes: Any
) -> None:
    change, message = BAD[case]
    changes = change()
    inputs = neb_inputs(**changes.pop('options', {})) | changes
    before = count_processes()
    with pytest.raises(ValueError, match=message):
        instantiate(NebCalculation, inputs)
    assert count_processes() == before


def test_checkpoint_of_another_job_is_refused(
    instantiate: Any, neb_inputs: Any, job_node: Any, count_processes: Any
) -> None:
    inputs = neb_inputs()
    earlier = job_node(inputs, Job(exit_status=400, outputs={}))
    parent = earlier.outputs.remote_folder
    for change, message in (
        ({'parameters': neb_parameters(seed=7)}, f'parent_folder: job {earlier.pk} had other parameters'),
        ({'potential': potential('morse')}, f'parent_folder: job {earlier.pk} had other potential'),
        (
            {'paths': {'hop': surface_path(n_images=8)}},
            f'parent_folder: job {earlier.pk} had another hop among its paths',
        ),
    ):
        with pytest.raises(ValueError, match=message):
            instantiate(NebCalculation, {**inputs, 'parent_folder': parent, **change})
    assert instantiate(NebCalculation, {**inputs, 'parent_folder': parent}).inputs.parent_folder == parent


def test_changed_checkpoint_is_refused(instantiate: Any, neb_inputs: Any, tmp_path: Path) -> None:
    source = tmp_path / 'model.json'
    source.write_bytes(CONTENT)
    node = PotentialData.from_file(source, 'third_party')
    node.base.repository.put_object_from_filelike(io.BytesIO(b'other'), 'potential')
    with pytest.raises(Exception, match='sha256'):
        instantiate(NebCalculation, neb_inputs(evaluated_by=node))
