"""The ``md`` task stopped and gone on with, in this process: the same last bit, whatever was damaged in between."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aiida_litraj.contract import files
from aiida_litraj.contract.trajectory import read_records

from .replicas import COUPLINGS, Replica, assert_same, crystal, hold, parameters, write_job
from .trouble import Run, StopAfter, spoilt


@pytest.mark.parametrize('coupling', COUPLINGS)
def test_stopped_again_and_again_it_comes_to_the_same_last_bit(
    coupling: str, run_md: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    pressure = 1.0 if COUPLINGS[coupling]['ensemble'] == 'npt' else None
    ramp = {} if coupling == 'nve' else {'temperature_end_k': 500.0}
    replicas = {f'r{k}': Replica(crystal(1), [hold(40.0, 300.0, pressure) | ramp], seed=k) for k in range(2)}
    settings = parameters(coupling)
    StopAfter(10**9, monkeypatch)
    unbroken = run_md(replicas, settings)
    assert unbroken.result.exit.status == 0
    StopAfter(7, monkeypatch)
    ran = run_md(replicas, settings)
    assert ran.result.exit.label == 'ERROR_OUT_OF_TIME'
    assert ran['r0'].status == 'unfinished'
    assert ran['r0'].time_fs == 12.0  # the start and six steps
    times = 1
    while ran.result.exit.label == 'ERROR_OUT_OF_TIME':
        StopAfter(7, monkeypatch)
        ran = run_md(again=ran.folder)
        times += 1
    assert times == 6
    assert_same(ran, unbroken)


def broken_off(replicas: Any, settings: Any, run_md: Run, monkeypatch: pytest.MonkeyPatch, calls: int = 15) -> Path:
    StopAfter(calls, monkeypatch)
    folder = run_md(replicas, settings).folder
    StopAfter(10**9, monkeypatch)
    return folder


ONE = {'a': Replica(crystal(1), [hold(60.0)])}


@pytest.mark.parametrize('damage', ['checkpoint', 'records', 'short', 'gone', 'other seed'])
def test_a_checkpoint_that_does_not_fit_is_not_gone_on_from(
    damage: str, run_md: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The replica starts anew, and comes to what it would have come to."""
    settings = parameters('langevin')
    StopAfter(10**9, monkeypatch)
    replicas = ONE if damage != 'other seed' else {'a': Replica(crystal(1), [hold(60.0)], seed=5)}
    unbroken = run_md(replicas, settings)
    folder = broken_off(ONE, settings, run_md, monkeypatch)
    checkpoint, frames = folder / files.CHECKPOINT / 'a.npz', folder / files.ITEMS / 'a.frames'
    if damage == 'checkpoint':
        content = bytearray(checkpoint.read_bytes())
        content[len(content) // 2] ^= 255
        checkpoint.write_bytes(content)
    elif damage == 'records':
        frames.write_bytes(b'x' + frames.read_bytes()[1:])
    elif damage == 'short':
        frames.write_bytes(frames.read_bytes()[:-100])
    elif damage == 'gone':
        frames.unlink()
    else:
        write_job(folder, replicas, settings)
    ran = run_md(again=folder)
    assert ran.result.audit is not None
    assert ran.result.audit.resumed_calls == 0
    assert_same(ran, unbroken)


def test_records_beyond_the_checkpoint_are_written_once(run_md: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a killed run has written after its last checkpoint, down to half a record, is cut off."""
    settings = parameters('langevin')
    StopAfter(10**9, monkeypatch)
    unbroken = run_md(ONE, settings)
    folder = broken_off(ONE, settings, run_md, monkeypatch)
    frames = folder / files.ITEMS / 'a.frames'
    layout = read_records(frames)[0].stored.itemsize
    frames.write_bytes(frames.read_bytes() + unbroken.bytes_of('a')[0][-layout - 33 :][: layout + 20])
    ran = run_md(again=folder)
    assert ran.result.audit is not None
    assert ran.result.audit.resumed_calls == 15
    assert_same(ran, unbroken)


def test_the_dead_stay_dead_when_the_others_are_gone_on_with(run_md: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their last frames too are in the result of the run that comes to the end of the job."""
    replicas = {'dies': Replica(crystal(1), [hold(20.0)]), 'lives': Replica(crystal(2), [hold(20.0)])}
    trouble = {(4, 5): spoilt(energy=1000.0)}
    StopAfter(10**9, monkeypatch, trouble)
    unbroken = run_md(replicas)
    StopAfter(10, monkeypatch, trouble)
    ran = run_md(replicas)
    assert [item.status for item in ran.result.items] == ['failed', 'unfinished']
    evaluator = StopAfter(10**9, monkeypatch)
    ran = run_md(again=ran.folder)
    assert 4 not in evaluator.seen
    assert 'dies/last/positions' in ran.arrays
    assert_same(ran, unbroken)


def test_a_replica_out_of_its_time_is_gone_on_with_by_the_next_run(run_md: Run) -> None:
    settings = parameters('nose-hoover')
    replicas = {'a': Replica(crystal(1), [hold(200.0)])}
    unbroken = run_md(replicas, settings)
    ran = run_md(replicas, settings, runtime={'max_item_seconds': 0.02})
    assert (ran['a'].label, ran['a'].death) == ('ERROR_ITEM_OUT_OF_TIME', 'wall_time')
    assert ran['a'].reason is not None
    assert 'segment 1 of 1, step' in ran['a'].reason
    assert ran['a'].time_fs < 200.0
    write_job(ran.folder, replicas, settings)
    assert_same(run_md(again=ran.folder), unbroken)
