"""Jobs from file to file: paths that do not touch one another, and every way a job can end."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aiida_litraj.contract import (
    BY_LABEL,
    TABLE,
    NebItemResult,
    PotentialReport,
    Progress,
    files,
    pack_arrays,
    unpack_arrays,
)
from aiida_litraj.engine import run as run_module
from aiida_litraj.engine.evaluation import Pool
from aiida_litraj.engine.models import Configuration, DeviceOutOfMemory, Evaluation, registry
from aiida_litraj.engine.models.toy import morse

REPOSITORY = Path(__file__).resolve().parents[2]


class Troubled:
    """The Morse potential, with trouble for configurations of certain sizes: ``{n_atoms: answer or exception}``."""

    device = 'cpu'
    dtype = 'float64'

    def __init__(self, trouble: dict[int, Any] | None = None, elements: list[str] | None = None) -> None:
        self.report = PotentialReport(family='toy', name='troubled', sha256='0' * 64, elements=elements)
        self.trouble = trouble or {}
        self.calls = 0

    def evaluate(self, configurations: Sequence[Configuration]) -> list[Evaluation]:
        self.calls += len(configurations)
        return [self._one(configuration) for configuration in configurations]

    def _one(self, configuration: Configuration) -> Evaluation:
        trouble = self.trouble.get(len(configuration))
        if isinstance(trouble, Exception):
            raise trouble
        return morse(configuration) if trouble is None else trouble(configuration)


class Breaking(Troubled):
    """The Morse potential on a device that breaks when it meets a configuration of 31 atoms once more."""

    def _one(self, configuration: Configuration) -> Evaluation:
        if len(configuration) == 31 and self.calls > 1:
            self.trouble = dict.fromkeys(range(100), RuntimeError('no bananas'))
        return super()._one(configuration)


@pytest.fixture
def with_potential(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    """Jobs run after ``with_potential(evaluator)`` are evaluated with it, whatever they ask for."""
    return lambda evaluator: monkeypatch.setattr(run_module, 'Pool', lambda *_: Pool.of(evaluator))


@pytest.fixture(scope='module')
def paths(vacancy_hop: Any) -> dict[str, Any]:
    """Sound paths of different sizes, none with an end of another."""
    return {
        'even': vacancy_hop(n_images=5, noise=0.05),
        'short': vacancy_hop(n_images=3, drop=(2,), noise=0.1),
        'long.one': vacancy_hop(n_images=7, drop=(2, 9), noise=0.02),
    }


LOOSE = {
    'ends': {'fmax_ev_per_ang': 0.1},
    'band': {'fmax_ev_per_ang': 0.1},
    'acceptance': {'fmax_ev_per_ang': 0.2},
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
    assert re.search(f'^the path is malformed: bad: .*{message}', ran['bad'].reason), ran['bad'].reason
    assert_same(ran, alone['short'], 'short')
    assert (ran.result.exit.status, ran.result.exit.message) == (501, '1 of 2 paths converged')


def test_mobile_ion_that_is_not_there(vacancy_hop: Any, run_job: Any) -> None:
    ran = run_job({'bad': vacancy_hop().replace(mobile=31)})
    assert ran['bad'].reason == 'the path is malformed: bad: mobile ion 31 of 31 atoms'


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
    assert 'ArithmeticError: no bananas (test_run.py:' in ran['raising'].reason
    assert '25 atoms' in ran['too_large'].reason
    for name in paths:
        assert_same(ran, alone[name], name)
    assert (ran.result.exit.status, ran.result.exit.message) == (311, f'raising: {ran["raising"].reason}')


def costs(ran: Any) -> int:
    """The model calls that the items have cost by their own account."""
    return sum(item.endpoint_calls + item.band_calls + item.saddle_calls for item in ran.result.items)


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


class Bench:
    """Makes jobs that end in a certain way."""

    def __init__(self, hop: Any, job_folder: Any, rerun: Any, with_potential: Any, monkeypatch: Any) -> None:
        self.hop, self.job_folder, self.rerun = hop, job_folder, rerun
        self.with_potential, self.monkeypatch = with_potential, monkeypatch
        self.folder: Path

    def run(self, changes: dict[str, Any] | None = None, hops: dict[str, Any] | None = None, **runtime: Any) -> Any:
        self.folder = self.job_folder(hops or {'hop': self.hop}, LOOSE | (changes or {}), runtime=runtime)
        return self.rerun(self.folder)

    def run_spec(self, **changes: Any) -> Any:
        self.folder = self.job_folder({'hop': self.hop}, LOOSE)
        job = json.loads((self.folder / files.JOB).read_text())
        job['potential'] |= changes
        (self.folder / files.JOB).write_text(json.dumps(job))
        return self.rerun(self.folder)

    def run_with(self, evaluator: Any, **changes: Any) -> Any:
        self.with_potential(evaluator)
        return self.run(changes)

    def run_crashing(self) -> Any:
        with pytest.raises(RuntimeError, match='no bananas'):
            self.run_with(Breaking())
        return self.rerun.read(self.folder)

    def run_broken_family(self) -> Any:
        self.monkeypatch.setitem(registry._BUILTIN, 'chgnet', 'no_such_module')
        registry.discover.cache_clear()
        try:
            return self.run_spec(family='chgnet', name='any')
        finally:
            registry.discover.cache_clear()

    def run_truncated(self) -> Any:
        self.folder = self.job_folder({'hop': self.hop}, LOOSE)
        (self.folder / files.JOB).write_bytes((self.folder / files.JOB).read_bytes()[:-20])
        return self.rerun(self.folder)

    def run_returning(self) -> Any:
        """The ion is asked to go 0.7 Ang up a slope."""
        hop = self.hop.replace(positions=self.hop.positions[[0, 1, 1]])
        hop.positions[1, 0] = hop.positions[:2, 0].mean(axis=0)
        return self.run({'hop_tolerance_ang': 0.5}, {'hop': hop})


PARSERS_OWN = {'ERROR_RESULT_MISSING', 'ERROR_RESULT_INVALID', 'ERROR_RESULT_SCHEMA', 'ERROR_RESULT_ARRAYS'}
"""What only a reader of results can say."""
ENDINGS: dict[str, Callable[[Bench], Any]] = {
    'ERROR_JOB_INVALID': Bench.run_truncated,
    'ERROR_ELEMENTS_NOT_COVERED': lambda b: b.run_with(Troubled(elements=['O'])),
    'ERROR_ITEM_INVALID': lambda b: b.run(hops={'hop': b.hop.replace(mobile=99)}),
    'ERROR_ENGINE_CRASHED': Bench.run_crashing,
    'ERROR_EVALUATION': lambda b: b.run_with(Troubled({31: ArithmeticError('no bananas')})),
    'ERROR_FAMILY_MISSING': lambda b: b.run_spec(family='nowhere'),
    'ERROR_POTENTIAL_NOT_LOADED': lambda b: b.run_spec(name='lennard_jones'),
    'ERROR_POTENTIAL_CHECKSUM': lambda b: b.run_spec(sha256='0' * 64),
    'ERROR_DTYPE': lambda b: b.run({'dtype': 'float32'}),
    'ERROR_DEVICE': lambda b: b.run(device='cuda'),
    'ERROR_KERNELS': lambda b: b.run(kernels='flash'),
    'ERROR_ENVIRONMENT': Bench.run_broken_family,
    'ERROR_OUT_OF_TIME': lambda b: b.run(max_seconds=1e-9),
    'ERROR_DEVICE_MEMORY': lambda b: b.run_with(Troubled({31: DeviceOutOfMemory()})),
    'ERROR_ITEM_OUT_OF_TIME': lambda b: b.run(max_item_seconds=1e-9),
    'ERROR_NOT_CONVERGED': lambda b: b.run({'band': {'max_steps': 1}}),
    'ERROR_PARTIAL': lambda b: b.run(hops={'good': b.hop, 'bad': b.hop.replace(mobile=99)}),
    'ERROR_ENDPOINT_NOT_CONVERGED': lambda b: b.run({'target': {'max_steps': 0}}),
    'ERROR_ENDPOINT_MOVED': Bench.run_returning,
    'ERROR_NON_FINITE': lambda b: b.run_with(Troubled({31: lambda c: Evaluation(1.0, np.full((31, 3), np.inf))})),
    'ERROR_EXPLODED': lambda b: b.run({'max_force_ev_per_ang': 0.01}),
}
JOB_ENDS_BEFORE_ITEMS = {'ERROR_JOB_INVALID', 'ERROR_ENGINE_CRASHED', 'ERROR_PARTIAL'}


@pytest.fixture
def bench(vacancy_hop: Any, job_folder: Any, rerun: Any, with_potential: Any, monkeypatch: Any) -> Bench:
    return Bench(vacancy_hop(noise=0.05), job_folder, rerun, with_potential, monkeypatch)


def test_every_ending_is_tested() -> None:
    assert set(ENDINGS) | PARSERS_OWN == {code.label for code in TABLE}


@pytest.mark.parametrize('label', ENDINGS)
def test_endings(label: str, bench: Bench) -> None:
    """Whatever happens there is a result, with the status of the table and a message without holes."""
    ran = ENDINGS[label](bench)
    ended, code = ran.result.exit, BY_LABEL[label]
    assert (ended.label, ended.status) == (label, code.status)
    assert not set('{}') & set(ended.message)
    assert '/work' not in ended.message
    before_items = code.status in range(312, 400) or label in JOB_ENDS_BEFORE_ITEMS
    assert before_items or [item.label for item in ran.result.items] == [label]
    assert (ran.result.audit is None) == (code.status in {200, *range(312, 400)})
    if ran.result.items and ran.result.audit is not None:
        assert costs(ran) == ran.calls
    resumable = (bench.folder / files.CHECKPOINT).exists()
    assert resumable == code.invalidates_cache


def test_successful_ending(bench: Bench) -> None:
    ran = bench.run()
    assert (ran.result.exit.status, ran.result.exit.label) == (0, 'SUCCESS')
    assert not (bench.folder / files.CHECKPOINT).exists()
    audit = ran.result.audit
    assert audit.potential.name == 'morse'
    assert len(audit.potential.sha256) == 64
    assert (audit.device, audit.dtype, audit.seed, audit.resumed_calls) == ('cpu', 'float64', 0, 0)
    assert {'numpy', 'pydantic'} <= set(audit.packages)
    assert 0.0 < audit.model_seconds <= audit.wall_seconds
    progress = Progress.model_validate_json((bench.folder / files.PROGRESS).read_bytes())
    assert (progress.n_items, progress.n_finished, progress.n_converged, progress.n_active) == (1, 1, 1, 0)
    assert progress.model_calls == audit.model_calls
    stored = NebItemResult.model_validate_json((bench.folder / files.ITEMS / 'hop.json').read_bytes())
    assert stored == ran['hop']
    kept = unpack_arrays(bench.folder / files.ITEMS / 'hop.npz')
    for name, array in kept.items():
        np.testing.assert_array_equal(ran.arrays[f'hop/{name}'], array)
    assert ran.arrays['hop/energies'].dtype == np.float64


def test_old_results_are_not_passed_off_as_new(bench: Bench) -> None:
    """In a folder with items of other parameters, a job that cannot go on reports none of them."""
    assert bench.run()['hop'].converged
    folder = bench.folder
    bench.with_potential(Breaking())
    with pytest.raises(RuntimeError, match='no bananas'):
        bench.rerun(folder)
    result = bench.rerun.read(folder).result
    assert (result.exit.label, result.items) == ('ERROR_ENGINE_CRASHED', [])


def test_what_was_finished_before_a_crash_is_in_the_result(bench: Bench, vacancy_hop: Any) -> None:
    bench.with_potential(Breaking())
    with pytest.raises(RuntimeError, match='no bananas'):
        bench.run(hops={'good': vacancy_hop(drop=(2,), n_images=3), 'bad': bench.hop})
    ran = bench.rerun.read(bench.folder)
    assert ran.result.exit.label == 'ERROR_ENGINE_CRASHED'
    assert [(item.id, item.converged) for item in ran.result.items] == [('good', True)]
    assert ran.energies('good').shape == (3,)
    assert ran.calls > 5


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


def test_program_prints_one_line_and_exits_well(bench: Bench, run_engine: Any) -> None:
    folder = bench.job_folder({'hop': bench.hop}, LOOSE)
    finished = run_engine(folder)
    assert finished.wait(60) == 0
    line = finished.stdout.read().decode()
    assert json.loads(line[: line.index('}') + 1]) == {'exit': 0, 'message': 'all paths converged'}
    assert 'model calls' in line
    assert bench.rerun.read(folder).result.exit.status == 0
