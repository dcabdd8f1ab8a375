"""The daemon as a person starts, restarts and stops it: from any folder, on a busy machine, after a full disk."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.cli.conftest import Installation

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope='module')
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """An installation whose daemon AiiDA itself gives a second, with a file of the user where commands are typed."""
    made = Installation(tmp_path_factory.mktemp('own'))
    made.json('setup')
    made.call('config', 'set', 'daemon.timeout', '1', program=('-m', 'aiida'))
    (made.folder / 'thesis.tex').write_text('three years of work')
    yield made
    made.call('daemon', 'stop', '--patience', '120')


def test_started_restarted_and_stopped_where_nothing_can_be_lost(own: Installation) -> None:
    started = own.json('daemon', 'start', '--workers', '2')
    assert (started['done'], started['state'], len(started['workers'])) == ('started', 'running', 2)
    nowhere = Path(started['folder'])
    assert not list(nowhere.iterdir()) and not started['at_risk']
    family = psutil.Process(started['pid']).children(recursive=True)
    assert {Path(one.cwd()) for one in family} == {nowhere}  # the broker among them, which deletes its folder
    assert own.json('daemon', 'start')['pid'] == started['pid']

    restarted = own.json('daemon', 'restart')
    assert restarted['before'] == started['pid'] != restarted['pid']
    assert len(restarted['workers']) == 2 and not set(restarted['workers']) & set(started['workers'])
    assert Path(restarted['folder']) == nowhere
    assert not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in family)

    assert own.json('daemon', 'stop') == {'done': 'stopped', 'pid': restarted['pid']}
    assert not psutil.pid_exists(restarted['pid']) or psutil.Process(restarted['pid']).status() == 'zombie'
    assert own.json('daemon', 'stop') == {'done': 'nothing', 'pid': None}
    status = own.call('-p', 'presto', 'daemon', 'status')
    assert status.returncode == 1 and 'Next: aiida-litraj -p presto daemon start' in status.stdout


def test_one_that_verdi_has_started_among_files_is_moved_away_with_the_note_of_a_full_disk(own: Installation) -> None:
    own.call('daemon', 'start', '--timeout', '60', program=('-m', 'aiida'))
    found = own.json('daemon', 'status')
    assert (Path(found['folder']), found['at_risk']) == (own.folder, True)
    quick = own.call('doctor', '--quick').stdout
    assert 'in which there are files' in quick and 'aiida-litraj -p presto daemon restart' in quick
    (note,) = (own.folder / 'aiida').rglob('broker.sockets')
    note.write_text('')  # what a full disk leaves: the next broker deletes the folder that it is in
    moved = own.json('daemon', 'restart')
    assert Path(moved['folder']) != own.folder and not moved['at_risk']
    assert (own.folder / 'thesis.tex').read_text() == 'three years of work'
    assert note.read_text().strip()


def test_one_that_was_killed_is_started_again(own: Installation) -> None:
    """Its pid file says that it runs."""
    pid = own.json('daemon', 'start')['pid']
    family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    for process in family:
        process.send_signal(signal.SIGKILL)
    psutil.wait_procs(family, timeout=10)
    status = own.call('daemon', 'status')
    assert status.returncode == 1 and f'process {pid}, has died' in status.stdout
    again = own.json('daemon', 'start')
    assert again['done'] == 'started' and again['pid'] != pid


def test_what_one_that_was_killed_alone_has_left_is_ended(own: Installation) -> None:
    """Its workers live on, and hold on to chains beside those of the next one."""
    pid = own.json('daemon', 'restart', '--workers', '2')['pid']
    left: list[psutil.Process] = []
    while len(left) < 4:  # two workers, a broker and what circus measures with come in turn; a test's time is limited
        time.sleep(0.1)
        left = psutil.Process(pid).children(recursive=True)
    psutil.Process(pid).kill()
    again = own.json('daemon', 'start', '--patience', '120')
    assert again['done'] == 'started' and len(again['workers']) > 0
    assert not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in left)


def test_one_that_is_halted_is_not_stopped_by_force(own: Installation) -> None:
    pid = own.json('daemon', 'start')['pid']
    os.kill(pid, signal.SIGSTOP)
    try:
        said = own.call('daemon', 'stop', '--patience', '2')
        assert said.returncode == 1 and f'kill -CONT {pid}' in said.stderr
        assert psutil.pid_exists(pid)
    finally:
        os.kill(pid, signal.SIGCONT)


def test_one_whose_sockets_were_tidied_away_is_stopped_all_the_same(own: Installation) -> None:
    """They lie in the folder for temporary files, which many machines tidy up."""
    pid = own.json('daemon', 'start')['pid']
    (note,) = (own.folder / 'aiida').rglob('circus-*.sockets')
    for socket in Path(note.read_text().strip()).iterdir():
        socket.unlink()
    done: dict[str, Any] = own.json('daemon', 'stop', '--patience', '10')
    assert done == {'done': 'stopped', 'pid': pid}
