"""A launch that is stopped in the foreground ends all it has started, and the same launch goes on from there."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.cli.conftest import HOP, Installation

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(600)]
SLOW = ('--supercell-min', '20', '--images', '5', '--processes', '1')
"""499 atoms: slow enough with the analytic potential to be met in the middle."""
UNDER_WAY = re.compile(rb'residual force')
PATIENCE_S = 180


def engines(folder: Path) -> list[psutil.Process]:
    """Return the engines and their workers that run below ``folder``."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if 'aiida_litraj.engine' in ' '.join(process.cmdline()) and folder in Path(process.cwd()).parents:
                found.append(process)
    return found


def launch_and_stop(installation: Installation, arguments: tuple[str, ...], stop: Any) -> tuple[int, str]:
    """Run the program on a terminal of its own, stop it once it is under way, return exit status and output."""
    ours, theirs = pty.openpty()
    program = [sys.executable, '-m', 'aiida_litraj.cli', *arguments]
    with subprocess.Popen(
        program, stdin=theirs, stdout=theirs, stderr=theirs, cwd=installation.folder, env=installation.environment,
        preexec_fn=_own_terminal,
    ) as process:  # fmt: skip
        os.close(theirs)
        said, sent, deadline = b'', False, time.monotonic() + PATIENCE_S
        while process.poll() is None or select.select([ours], [], [], 0.1)[0]:
            if time.monotonic() > deadline:
                process.kill()
                pytest.fail(f'it hangs: {said.decode()[-2000:]}')
            if select.select([ours], [], [], 0.1)[0]:
                try:
                    said += os.read(ours, 65536)
                except OSError:  # the terminal is gone with the last process on it
                    break
            if not sent and UNDER_WAY.search(said):
                sent = True
                stop(process, ours)
        status = process.wait(PATIENCE_S)
    os.close(ours)
    return status, re.sub(r'\x1b\[[0-9;?]*[A-Za-z]', '', said.decode())


def _own_terminal() -> None:
    os.setsid()
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def press_ctrl_c(process: Any, terminal: int) -> None:
    os.write(terminal, b'\x03')


def terminate(process: Any, terminal: int) -> None:
    process.send_signal(signal.SIGTERM)


def press_ctrl_c_twice(process: Any, terminal: int) -> None:
    os.write(terminal, b'\x03')
    time.sleep(0.01)
    os.write(terminal, b'\x03')


@pytest.fixture(scope='module')
def barrier_arguments(potential: dict[str, Any], crystal: Path) -> tuple[str, ...]:
    return ('launch', 'barrier', str(crystal), '--hop', HOP, '--potential', 'morse', *SLOW)


def stopped_job(installation: Installation, status: int, said: str, expected: int) -> int:
    """Check that a launch has ended with all it had started; return its job."""
    assert status == expected, said
    assert 'Traceback' not in said
    assert 'is killed, and its job has been told to end.' in said
    chain = said.partition('Chain ')[2].partition('.')[0]
    seen = installation.json('status', chain)
    assert (seen['state'], [job['state'] for job in seen['jobs']]) == ('killed', ['killed'])
    listed = installation.call('process', 'list', program=('-m', 'aiida')).stdout
    assert 'Total results: 0' in listed, listed
    deadline = time.monotonic() + 60
    while engines(installation.folder) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not engines(installation.folder)
    pk: int = seen['jobs'][0]['pk']
    return pk


def test_interrupted_and_resumed(installation: Installation, barrier_arguments: tuple[str, ...]) -> None:
    job = stopped_job(installation, *launch_and_stop(installation, barrier_arguments, press_ctrl_c), 130)
    again = installation.call(*barrier_arguments)
    assert again.returncode == 0, again.stderr
    assert f'Goes on from job {job}, which was stopped' in again.stderr
    assert resumed_calls(installation) > 0


def test_terminated(installation: Installation, barrier_arguments: tuple[str, ...]) -> None:
    stopped_job(installation, *launch_and_stop(installation, (*barrier_arguments, '--no-cache'), terminate), 143)


def resumed_calls(installation: Installation) -> int:
    """Return how many evaluations the newest job has taken over from the ones before."""
    script = installation.folder / 'resumed.py'
    script.write_text(
        'from aiida.orm import CalcJobNode, QueryBuilder\n'
        "query = QueryBuilder().append(CalcJobNode, tag='job').order_by({'job': {'id': 'desc'}})\n"
        "print(query.first(flat=True).outputs.results['audit']['resumed_calls'])\n"
    )
    return int(installation.call('run', str(script), program=('-m', 'aiida')).stdout)


def test_second_signal_leaves_at_once(installation: Installation, barrier_arguments: tuple[str, ...]) -> None:
    status, said = launch_and_stop(installation, (*barrier_arguments, '--no-cache'), press_ctrl_c_twice)
    assert status == 130
    assert 'Traceback' not in said
    for process in engines(installation.folder):
        process.kill()
