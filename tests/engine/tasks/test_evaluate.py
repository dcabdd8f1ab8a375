"""Evaluation of many configurations: as ASE does it one by one, whatever fails among them, and however often killed."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ase
import numpy as np
import pytest

from aiida_litraj.contract import Runtime, files
from aiida_litraj.engine.models import Configuration, DeviceOutOfMemory, Evaluation
from aiida_litraj.engine.models.toy import morse
from tests.engine.troubled import Troubled

from .blocks import VOIGT, Evaluated, arrays_of, crystals, write_job

SIZES = (1, 3, 2, 4, 1, 2)
SAME = 1e-12
"""Of a potential that is asked for the same atoms in the same order."""


@pytest.fixture
def evaluated(rerun: Any, tmp_path: Path) -> Callable[..., Evaluated]:
    """``evaluated(blocks, spec, runtime, stress)`` is what a job of them has left behind."""

    def run(*arguments: Any, **keywords: Any) -> Evaluated:
        folder = write_job(tmp_path / f'job_{len(list(tmp_path.iterdir()))}', *arguments, **keywords)
        rerun.engine(folder)
        return Evaluated.read(folder)

    return run


def reference(frames: list[ase.Atoms]) -> tuple[Any, Any, Any]:
    """Energies, forces and stresses of the Morse potential, one call a configuration."""
    answers = [
        morse(Configuration(a.numbers.astype(np.int64), a.positions, a.cell.array, np.array(a.pbc), stress=True))
        for a in frames
    ]
    return (
        np.array([answer.energy for answer in answers]),
        np.concatenate([answer.forces for answer in answers]),
        np.array([answer.stress[VOIGT] for answer in answers]),
    )


def assert_is(found: Evaluated, name: str, frames: list[ase.Atoms]) -> None:
    for kind, expected in zip(('energies', 'forces', 'stresses'), reference(frames), strict=True):
        got = found.arrays[f'{name}/{kind}']
        assert got.dtype == np.float64
        np.testing.assert_allclose(got, expected, rtol=0, atol=SAME, err_msg=kind)


def test_frames_of_any_sizes(evaluated: Any) -> None:
    frames, others = crystals(SIZES), crystals((2, 2), seed=1)
    found = evaluated({'many': frames, 'few': others})
    assert found.result.exit.status == 0
    assert_is(found, 'many', frames)
    assert_is(found, 'few', others)
    entry = found['many']
    assert (entry.status, entry.converged, entry.n_frames, entry.n_evaluated, entry.model_calls) == (
        'finished', True, 6, 6, 6,
    )  # fmt: skip
    assert found.calls == 8


def test_stress_is_the_derivative_of_the_energy_by_the_strain(evaluated: Any) -> None:
    """In the order xx yy zz yz xz xy, positive under tension: differences of energies of strained copies."""
    (atoms,) = crystals((2,))
    step, pairs = 1e-5, list(zip(*VOIGT, strict=True))
    strained = []
    for i, j in pairs:
        for sign in (1, -1):
            strain = np.zeros((3, 3))
            strain[i, j] += 0.5 * sign * step
            strain[j, i] += 0.5 * sign * step
            copy = atoms.copy()
            copy.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
            strained.append(copy)
    found = evaluated({'a': [atoms, *strained]})
    energies = found.arrays['a/energies'][1:].reshape(6, 2)
    derivative = (energies[:, 0] - energies[:, 1]) / (2.0 * step * atoms.get_volume())
    np.testing.assert_allclose(found.arrays['a/stresses'][0], derivative, atol=1e-7)


@pytest.mark.parametrize('runtime', [{'processes': 2}, {'processes': 1}])
def test_workers_say_the_same(runtime: dict[str, Any], evaluated: Any) -> None:
    frames = crystals(SIZES)
    assert_is(evaluated({'a': frames}, runtime=runtime), 'a', frames)


class Device(Troubled):
    """The Morse potential on a device with room for so many atoms a call."""

    device = 'cuda:0'

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room
        self.batches: list[int] = []

    def evaluate(self, configurations: Any) -> list[Evaluation]:
        if sum(len(configuration) for configuration in configurations) > self.room:
            raise DeviceOutOfMemory
        self.batches.append(len(configurations))
        return super().evaluate(configurations)


def test_batches_of_a_device(evaluated: Any, with_potential: Any) -> None:
    """Many a call, smaller batches where the memory is full: the same numbers; what is too large fails alone."""
    frames = crystals((1, 2, 1, 2, 9, 1, 2, 1))
    device = with_potential(Device(room=20), Runtime(batch_atoms=100))
    found = evaluated({'a': frames})
    assert max(device.batches) > 1
    entry = found['a']
    assert [failure.frame for failure in entry.failures] == [4]
    assert (entry.status, entry.converged, entry.n_evaluated) == ('finished', False, 7)
    assert found.result.exit.label == 'ERROR_DEVICE_MEMORY'
    assert np.isnan(found.arrays['a/energies'][4])
    alone = evaluated({'a': frames[:4] + frames[5:]})
    np.testing.assert_allclose(
        np.delete(found.arrays['a/energies'], 4), alone.arrays['a/energies'], rtol=0, atol=SAME
    )  # fmt: skip


def nonsense(configuration: Configuration) -> Evaluation:
    return Evaluation(float('nan'), np.zeros_like(configuration.positions))


def outside(atoms: ase.Atoms, **changes: Any) -> ase.Atoms:
    copy = atoms.copy()
    for name, value in changes.items():
        setattr(copy, name, value)
    return copy


def test_frames_that_fail_are_named_and_the_others_go_on(evaluated: Any, with_potential: Any) -> None:
    """Nonsense, an exception, an element, a place that is none, a cell that is none: each says what it is."""
    with_potential(Troubled({12: nonsense, 16: ValueError('no bananas')}, elements=['Ar']))
    frames = crystals((1, 2, 3, 4, 1, 2, 2, 2))
    frames[4] = outside(frames[4], symbols='Kr4')
    frames[5].positions[0, 0] = np.nan
    frames[6].cell[:] = 0.0
    found = evaluated({'a': frames, 'b': frames[:2]})
    assert {one.frame: one.label for one in found['a'].failures} == {
        2: 'ERROR_NON_FINITE', 3: 'ERROR_EVALUATION', 4: 'ERROR_ELEMENTS_NOT_COVERED', 5: 'ERROR_ITEM_INVALID',
        6: 'ERROR_ITEM_INVALID',
    }  # fmt: skip
    reasons = {one.frame: one.reason for one in found['a'].failures}
    assert 'no bananas' in reasons[3] and 'Kr' in reasons[4] and 'no volume' in reasons[6]
    good = [0, 1, 7]
    energies, forces, _ = reference([frames[index] for index in good])
    np.testing.assert_allclose(found.arrays['a/energies'][good], energies, rtol=0, atol=SAME)
    assert np.flatnonzero(np.isfinite(found.arrays['a/energies'])).tolist() == good
    np.testing.assert_allclose(
        found.arrays['a/forces'][np.isfinite(found.arrays['a/forces']).all(axis=1)], forces, rtol=0, atol=SAME
    )
    assert found['b'].converged
    assert found.result.exit.label == 'ERROR_EVALUATION'  # the engine's fault is told first: it may go away
    assert found['a'].reason.startswith('3 of 8 frames converged; frame 3: ')


@pytest.mark.parametrize(
    ('own', 'said'), [(None, ['Ar']), (['Ar'], None), (['Ar', 'Kr'], ['Ar']), (['Ar'], ['Ar', 'Kr'])]
)
def test_elements_by_either_account(own: Any, said: Any, evaluated: Any, with_potential: Any) -> None:
    with_potential(Troubled(elements=own))
    frames = crystals((1, 2))
    found = evaluated({'a': [frames[0], outside(frames[1], symbols='Kr8')]}, elements=said)
    assert [(one.frame, one.label) for one in found['a'].failures] == [(1, 'ERROR_ELEMENTS_NOT_COVERED')]


def test_what_is_physics_is_partial(evaluated: Any, with_potential: Any) -> None:
    with_potential(Troubled({12: nonsense}))
    found = evaluated({'a': crystals((1, 3, 2))})
    assert (found.result.exit.status, found['a'].label) == (501, 'ERROR_PARTIAL')
    assert '2 of 3 frames converged; frame 1: ' in found.result.exit.message


def test_nothing_but_failures(evaluated: Any, with_potential: Any) -> None:
    with_potential(Troubled(elements=['Li']))
    found = evaluated({'a': crystals((1, 2))})
    assert (found.result.exit.label, found['a'].status) == ('ERROR_ELEMENTS_NOT_COVERED', 'failed')
    assert not found.arrays


@pytest.mark.parametrize(
    'change',
    [
        {'offsets': np.array([0, 4])}, {'offsets': np.array([0, 0, 4, 12])}, {'cells': np.zeros((3, 3))},
        {'positions': np.zeros((5, 3))},
    ],
)  # fmt: skip
def test_block_that_is_none(change: dict[str, Any], evaluated: Any) -> None:
    good = crystals((1, 2))
    found = evaluated({'bad': arrays_of(good) | change, 'good': good})
    assert (found['bad'].status, found['bad'].label) == ('failed', 'ERROR_ITEM_INVALID')
    assert_is(found, 'good', good)


def test_stress_that_is_not_asked_for(evaluated: Any) -> None:
    """Nor is it of a cluster, whose cell has no meaning."""
    frames = crystals((2, 2))
    found = evaluated({'a': frames}, stress=False)
    assert np.isnan(found.arrays['a/stresses']).all()
    frames[1].pbc = (True, True, False)
    found = evaluated({'a': frames})
    assert found.result.exit.status == 0
    assert np.isfinite(found.arrays['a/stresses']).all(axis=1).tolist() == [True, False]


def test_block_given_up_for_its_time(evaluated: Any, with_potential: Any) -> None:
    """It keeps what it has, and the next goes on."""

    def slow(configuration: Configuration) -> Evaluation:
        time.sleep(0.2)
        return morse(configuration)

    with_potential(Troubled({8: slow}))
    frames, others = crystals((1, 2, 2, 2)), crystals((1,))
    found = evaluated({'long': frames, 'short': others}, runtime={'max_item_seconds': 0.1})
    assert [one.frame for one in found['long'].failures] == [2, 3]
    assert {one.label for one in found['long'].failures} == {'ERROR_ITEM_OUT_OF_TIME'}
    assert np.isfinite(found.arrays['long/energies']).tolist() == [True, True, False, False]
    assert found['short'].converged


MANY = crystals((1, 2, 1, 3) * 60)


@pytest.fixture(scope='module')
def unbroken(tmp_path_factory: pytest.TempPathFactory, rerun: Any) -> Evaluated:
    folder = write_job(tmp_path_factory.mktemp('job'), {'a': MANY, 'b': MANY[:30]})
    rerun.engine(folder)
    return Evaluated.read(folder)


def journal(folder: Path) -> int:
    """Bytes of the answers on disk, of a block that is through all of them."""
    through = (folder / files.CHECKPOINT / 'a.done').exists() or (folder / files.RESULT).exists()
    path = folder / files.CHECKPOINT / 'a.journal'
    return 10**9 if through else path.stat().st_size if path.exists() else 0


def test_killed_with_9_and_resumed(tmp_path: Path, run_engine: Any, unbroken: Evaluated) -> None:
    """At three moments: the bytes of an unbroken run, nothing evaluated twice but what was in flight."""
    folder = write_job(tmp_path / 'job', {'a': MANY, 'b': MANY[:30]})
    for moment in (3000, 20_000, 40_000):
        process = run_engine(folder)
        while journal(folder) < moment:
            assert process.poll() is None, process.communicate()
            time.sleep(0.001)
        process.kill()
        assert process.wait() == -signal.SIGKILL, 'it was through before it was killed'
    n_files = len(list(folder.rglob('*')))
    assert n_files < 12  # however many frames there are
    process = run_engine(folder)
    assert process.wait(100) == 0
    found = Evaluated.read(folder)
    assert found.result.audit.resumed_calls > 0
    assert found.result.items == unbroken.result.items
    for key, expected in unbroken.arrays.items():
        np.testing.assert_array_equal(found.arrays[key], expected, err_msg=key)
    assert found.calls == unbroken.calls == len(MANY) + 30


def test_stopped_by_its_clock(rerun: Any, tmp_path: Path, with_potential: Any, unbroken: Evaluated) -> None:
    """It says how far it came; what it had is not asked for again."""

    def slow(configuration: Configuration) -> Evaluation:
        time.sleep(0.03)
        return morse(configuration)

    first = with_potential(Troubled({4: slow}))
    folder = write_job(tmp_path / 'job', {'a': MANY, 'b': MANY[:30]}, runtime={'max_seconds': 1.5})
    rerun.engine(folder)
    found = Evaluated.read(folder)
    assert found.result.exit.label == 'ERROR_OUT_OF_TIME'
    assert (found['a'].status, found['a'].n_evaluated) == ('unfinished', first.calls)
    assert 0 < first.calls < len(MANY)
    second = with_potential(Troubled())
    write_job(folder, {'a': MANY, 'b': MANY[:30]})
    rerun.engine(folder)
    found = Evaluated.read(folder)
    assert first.calls + second.calls == len(MANY) + 30
    np.testing.assert_array_equal(found.arrays['a/energies'], unbroken.arrays['a/energies'])


def test_finished_block_is_not_done_again(rerun: Any, tmp_path: Path, with_potential: Any) -> None:
    with_potential(Troubled({12: ValueError('only today')}))
    blocks = {'good': crystals((1, 2)), 'bad': crystals((1, 3, 2))}
    folder = write_job(tmp_path / 'job', blocks)
    rerun.engine(folder)
    again = with_potential(Troubled())
    rerun.engine(folder)
    found = Evaluated.read(folder)
    assert again.calls == 1  # the one frame that the engine could not do
    assert found.result.exit.status == 0
    assert_is(found, 'bad', blocks['bad'])


def test_other_blocks_are_not_taken_for_the_same(rerun: Any, tmp_path: Path) -> None:
    folder = write_job(tmp_path / 'job', {'a': crystals((1, 2, 3))}, runtime={'max_seconds': 1e-6})
    rerun.engine(folder)
    moved = crystals((1, 2, 3), seed=9)
    write_job(folder, {'a': moved})
    rerun.engine(folder)
    assert_is(Evaluated.read(folder), 'a', moved)
