"""Jobs from file to file: paths that do not touch one another."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aiida_litraj.contract import files, pack_arrays, unpack_arrays
from aiida_litraj.engine.models import Configuration, DeviceOutOfMemory, Evaluation
from aiida_litraj.engine.models.toy import morse

from .troubled import LOOSE, Troubled, costs

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope='module')
def paths(vacancy_hop: Any) -> dict[str, Any]:
    """Sound paths of different sizes, none with an end of another."""
    return {
        'even': vacancy_hop(n_images=5, noise=0.05),
        'short': vacancy_hop(n_images=3, drop=(2,), noise=0.1),
        'long.one': vacancy_hop(n_images=7, drop=(2, 9), noise=0.02),
    }


def assert_same(found: Any, expected: Any, name: str) -> None:
    """The item's entry and arrays are the same to the last bit."""
    assert found[name] == expected[name]
    keys = [key for key in expected.arrays if key.startswith(f'{name}/')]
    assert keys == [key for key in found.arrays if key.startswith(f'{name}/')]
    for key in keys:
        np.testing.assert_array_equal(found.arrays[key], expected.arrays[key], err_msg=key)


def spoil(folder: Path, name: str, **arrays: Any) -> None:
    """Put other arrays in the place of those of a path; ``None`` takes one away."""
    stored = unpack_arrays(folder / files.ARRAYS)
    for key, value in arrays.items():
        del stored[f'{name}/{key}']
        if value is not None:
            stored[f'{name}/{key}'] = value
    (folder / files.ARRAYS).write_bytes(pack_arrays(stored))


@pytest.fixture(scope='module')
def alone(paths: dict[str, Any], run_elsewhere: Any) -> dict[str, Any]:
    """Each of the paths in a job of its own."""
    return {name: run_elsewhere({name: hop}, LOOSE) for name, hop in paths.items()}


@pytest.mark.parametrize('processes', [1, 2])
def test_together_or_one_by_one_the_bits_are_the_same(
    processes: int, paths: dict[str, Any], alone: dict[str, Any], run_job: Any
) -> None:
    """Paths of 29 to 31 atoms and 3 to 7 images, evaluated in whatever order the workers are ready."""
    together = run_job(paths, LOOSE, runtime={'processes': processes, 'device': 'cpu'})
    assert together.result.exit.status == 0
    assert together.result.audit.processes == processes
    for name in paths:
        assert together[name].converged
        assert_same(together, alone[name], name)
    assert together.calls == sum(ran.calls for ran in alone.values())


MALFORMED: dict[str, tuple[dict[str, Any], str]] = {
    'missing array': ({'numbers': None}, 'the array numbers is missing'),
    'two images': ({'positions': np.zeros((2, 31, 3))}, r'shape \(2, 31, 3\), not \(at least 3 images'),
    'one image without its axis': ({'positions': np.zeros((31, 3))}, r'shape \(31, 3\)'),
    'no atoms': ({'positions': np.zeros((5, 0, 3)), 'numbers': np.zeros(0, int), 'fixed': np.zeros(0, bool)}, 'atoms'),
    'other number of atoms': ({'numbers': np.full(30, 3)}, r'numbers of shape \(30,\), not \(31,\)'),
    'flat cell': ({'cell': np.diag([7.0, 7.0, 0.0])}, 'no volume'),
    'cell of six numbers': ({'cell': np.ones(6)}, r'cell of shape \(6,\)'),
    'position that is no number': ({'positions': np.full((5, 31, 3), np.nan)}, 'not finite'),
    'infinite cell': ({'cell': np.diag([7.0, np.inf, 7.0])}, 'not finite'),
    'text': ({'positions': np.full((5, 31, 3), 'x')}, 'positions'),
    'frozen atom that moves': ({'fixed': np.arange(31) == 0}, 'the frozen atom 0 is 2.666 Ang away in image 4'),
    'symbols for numbers': ({'numbers': np.full(31, 'Li')}, 'numbers'),
    'halves of elements': ({'numbers': np.full(31, 3.5)}, 'numbers'),
    'element zero': ({'numbers': np.zeros(31, int)}, 'numbers'),
}


@pytest.mark.parametrize('fault', MALFORMED)
def test_malformed_path_is_named_and_alone(
    fault: str, vacancy_hop: Any, alone: dict[str, Any], paths: dict[str, Any], rerun: Any, job_folder: Any
) -> None:
    arrays, message = MALFORMED[fault]
    folder = job_folder({'bad': vacancy_hop(), 'short': paths['short']}, LOOSE)
    spoil(folder, 'bad', **arrays)
    ran = rerun(folder)
    assert (ran['bad'].status, ran['bad'].converged, ran['bad'].label) == ('failed', False, 'ERROR_ITEM_INVALID')
    assert re.search(f'^the item is malformed: bad: .*{message}', ran['bad'].reason), ran['bad'].reason
    assert_same(ran, alone['short'], 'short')
    assert (ran.result.exit.status, ran.result.exit.message) == (501, '1 of 2 paths converged')


def test_mobile_ion_that_is_not_there(vacancy_hop: Any, run_job: Any) -> None:
    ran = run_job({'bad': vacancy_hop().replace(mobile=31)})
    assert ran['bad'].reason == 'the item is malformed: bad: mobile ion 31 of 31 atoms'


def test_trouble_of_any_kind_stays_with_its_path(
    paths: dict[str, Any], alone: dict[str, Any], vacancy_hop: Any, run_job: Any, with_potential: Any
) -> None:
    """Paths that explode, are answered with NaN, an exception or no memory, hop back, lack an element: in one job."""
    answers = {
        27: lambda c: Evaluation(float('nan'), c.positions),
        26: ArithmeticError('no bananas'),
        25: DeviceOutOfMemory(),
    }
    with_potential(Troubled(answers, elements=['Li']))
    exploding, returning = vacancy_hop(drop=(3, 4, 5)), vacancy_hop(drop=(3,))
    exploding.positions[:, 1] = exploding.positions[:, 2] + 0.05
    returning.positions[:] = returning.positions[0]
    returning.positions[:, 0, 1:] += np.linspace(0.0, 0.5, 5)[:, None]
    trouble = {
        'exploding': exploding,
        'not_a_number': vacancy_hop(drop=(3, 4, 5, 6)),
        'raising': vacancy_hop(drop=(3, 4, 5, 6, 7)),
        'too_large': vacancy_hop(drop=(3, 4, 5, 6, 7, 8)),
        'oxygen': vacancy_hop(drop=(4,)).replace(numbers=np.full(30, 8)),
        'returning': returning,
    }
    first, *others = paths
    hops = {first: paths[first], **trouble, **{name: paths[name] for name in others}}
    ran = run_job(hops, LOOSE | {'max_force_ev_per_ang': 20.0, 'hop_tolerance_ang': 0.5})
    labels = {entry.id: entry.label for entry in ran.result.items if not entry.converged}
    assert labels == {
        'exploding': 'ERROR_EXPLODED',
        'not_a_number': 'ERROR_NON_FINITE',
        'raising': 'ERROR_EVALUATION',
        'too_large': 'ERROR_DEVICE_MEMORY',
        'oxygen': 'ERROR_ELEMENTS_NOT_COVERED',
        'returning': 'ERROR_ENDPOINT_MOVED',
    }
    assert ran.calls == costs(ran)
    assert (ran['raising'].endpoint_calls, ran['oxygen'].endpoint_calls) == (0, 0)
    assert ran['exploding'].endpoint_calls == 2
    assert ran['returning'].endpoint_calls > 4
    assert 'limit 20' in ran['exploding'].reason
    assert 'O' in ran['oxygen'].reason
    assert 'ArithmeticError: no bananas (troubled.py:' in ran['raising'].reason
    assert '25 atoms' in ran['too_large'].reason
    for name in paths:
        assert_same(ran, alone[name], name)
    assert (ran.result.exit.status, ran.result.exit.message) == (311, f'raising: {ran["raising"].reason}')


def test_band_that_fails_is_paid_for_like_its_ends(paths: dict[str, Any], run_job: Any, with_potential: Any) -> None:
    """The potential raises on the image half way: the other images are counted, and so are the ends."""

    def answer(asked: Configuration) -> Evaluation:
        if 0.8 < asked.positions[0, 1] < 1.1:
            raise ArithmeticError('no bananas')
        return morse(asked)

    with_potential(Troubled({31: answer}))
    ran = run_job({'hop': paths['even']}, LOOSE)
    item = ran['hop']
    assert (item.status, item.label, item.band_calls) == ('failed', 'ERROR_EVALUATION', 2)
    assert item.endpoint_calls > 4
    assert ran.calls == costs(ran)


@pytest.mark.parametrize('name', ['a.source', 'a.target', 'a.done', 'a.journal', 'end', 'A', '0', '_'])
def test_ids_that_look_like_ours_do_not_collide(name: str, paths: dict[str, Any], alone: Any, run_job: Any) -> None:
    ran = run_job({'a': paths['even'], name: paths['short']}, LOOSE)
    assert ran['a'] == alone['even']['even'].model_copy(update={'id': 'a'})
    assert ran[name] == alone['short']['short'].model_copy(update={'id': name})


def test_engine_needs_neither_aiida_nor_torch() -> None:
    """Every module of the engine and of the contract, imported in a fresh interpreter."""
    program = """
import importlib, pkgutil, sys
import aiida_litraj.contract, aiida_litraj.engine
for package in (aiida_litraj.contract, aiida_litraj.engine):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + '.'):
        importlib.import_module(module.name)
present = sorted({name.split('.')[0] for name in sys.modules} & {'aiida', 'torch', 'ase', 'sevenn', 'mace', 'scipy'})
print(len([name for name in sys.modules if name.startswith('aiida_litraj.')]), present)
"""
    output = subprocess.run(
        [sys.executable, '-c', program], cwd=REPOSITORY, capture_output=True, text=True, check=True, timeout=60
    ).stdout.split(maxsplit=1)
    assert int(output[0]) > 25
    assert output[1].strip() == '[]'
