"""Every way in which a job can end."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aiida_litraj.contract import BY_LABEL, TABLE, NebItemResult, Progress, files, unpack_arrays
from aiida_litraj.engine.models import Configuration, DeviceOutOfMemory, Evaluation, registry

from .troubled import LOOSE, Troubled, costs


class Breaking(Troubled):
    """The Morse potential on a device that breaks when it meets a configuration of 31 atoms once more."""

    def _one(self, configuration: Configuration) -> Evaluation:
        if len(configuration) == 31 and self.calls > 1:
            self.trouble = dict.fromkeys(range(100), RuntimeError('no bananas'))
        return super()._one(configuration)


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


OF_OTHER_TASKS = {'ERROR_NO_STRESS', 'ERROR_VOLUME', 'ERROR_STRESS_LEFT', 'ERROR_UNSTABLE'}
OF_DFT_CODES = {
    'ERROR_PSEUDO_MISSING', 'ERROR_SETUP_MISSING', 'ERROR_MPI', 'ERROR_DFT_CRASHED', 'ERROR_SCF_NOT_CONVERGED',
}  # fmt: skip
OF_TRAINERS = {'ERROR_TRAINER', 'ERROR_TRAINED_UNUSABLE', 'ERROR_TRAINING_DIVERGED'}
"""Endings that no path has: tests/engine/tasks/test_relax.py and test_md.py."""
PARSERS_OWN = {'ERROR_RESULT_MISSING', 'ERROR_RESULT_INVALID', 'ERROR_RESULT_SCHEMA', 'ERROR_RESULT_ARRAYS'}
"""What only a reader of results can say."""
CHAINS_OWN = {'ERROR_RELAXED_UNUSABLE'}
"""What only a chain of several jobs can say: tests/e2e/test_robustness.py."""
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
    assert set(ENDINGS) | PARSERS_OWN | CHAINS_OWN | OF_OTHER_TASKS | OF_DFT_CODES | OF_TRAINERS == {
        code.label for code in TABLE
    }


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
    assert 0.0 < audit.seconds_per_call <= audit.cpu_seconds
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
    job = json.loads((folder / files.JOB).read_text())
    job['parameters']['seed'] += 1
    (folder / files.JOB).write_text(json.dumps(job))
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


def test_program_prints_one_line_and_exits_well(bench: Bench, run_engine: Any) -> None:
    folder = bench.job_folder({'hop': bench.hop}, LOOSE)
    finished = run_engine(folder)
    assert finished.wait(60) == 0
    line = finished.stdout.read().decode()
    assert json.loads(line[: line.index('}') + 1]) == {'exit': 0, 'message': 'all paths converged'}
    assert 'model calls' in line
    assert bench.rerun.read(folder).result.exit.status == 0
