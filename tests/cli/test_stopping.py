"""A launch that is stopped in the foreground ends all it has started, and the same launch goes on from there."""

from __future__ import annotations

import contextlib
import json
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
UNDER_WAY = 'residual force'
GRID = (
    'launch', 'robustness', '--potential', 'morse', '--protocol', 'quick', '--atoms', '96', '--processes', '1',
    '--temperatures', '1000,2000', '--pressures', '1e6', '--repeats', '2', '--duration', '0.12',
)  # fmt: skip
STEPS = 120
"""Of each of the four replicas."""
LONG_GRID = (*GRID[:-1], '4')
"""That long that its job does not end while nobody looks after it."""
STEPPING = r'replicas done, t\d_p\d_r\d: segment 1 of 1 step [1-9]'
PATIENCE_S = 180


def engines(folder: Path) -> list[psutil.Process]:
    """Return the engines and their workers that run below ``folder``."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if 'aiida_litraj.engine' in ' '.join(process.cmdline()) and folder in Path(process.cwd()).parents:
                found.append(process)
    return found


def launch_and_stop(
    installation: Installation, arguments: tuple[str, ...], stop: Any, words: str = UNDER_WAY
) -> tuple[int, str]:
    """Run the program on a terminal of its own, stop it once it has said ``words``, return exit status and output."""
    ours, theirs = pty.openpty()
    program = [sys.executable, '-m', 'aiida_litraj.cli', *arguments]
    with subprocess.Popen(
        program, stdin=theirs, stdout=theirs, stderr=theirs, cwd=installation.folder, preexec_fn=_own_terminal,
        env=installation.environment | {'TERM': 'xterm'},  # one that cannot draw has no bar to go by
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
            if not sent and re.search(words.encode(), said):
                sent = True
                stop(process, ours)
        status = process.wait(PATIENCE_S)
    os.close(ours)
    return status, re.sub(r'\x1b\[[0-9;?]*[A-Za-z]', '', said.decode(errors='replace'))


def _own_terminal() -> None:
    os.setsid()
    # As from a shell, also where these tests themselves run in the background, which ignores it.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def press_ctrl_c(process: Any, terminal: int) -> None:
    os.write(terminal, b'\x03')


def terminate(process: Any, terminal: int) -> None:
    process.send_signal(signal.SIGTERM)


def kill_with_nine(process: Any, terminal: int) -> None:
    process.kill()


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
    seen = installation.json('status', chain_of(said))
    *others, last = [job['state'] for job in seen['jobs']]
    assert (seen['state'], set(others) - {'finished'}, last) == ('killed', set(), 'killed')
    listed = installation.call('process', 'list', program=('-m', 'aiida')).stdout
    assert 'Total results: 0' in listed, listed
    deadline = time.monotonic() + 60
    while engines(installation.folder) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not engines(installation.folder)
    pk: int = seen['jobs'][-1]['pk']
    return pk


def chain_of(said: str) -> str:
    """Return the pk of the chain that a launch has named."""
    return re.findall(r'Chain (\d+)\. From elsewhere', said)[-1]


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


def test_grid_that_was_interrupted_gives_what_an_unbroken_one_does(
    installation: Installation, potential: dict[str, Any]
) -> None:
    """The same frames to the last bit, and no replica's steps made twice."""
    job = stopped_job(installation, *launch_and_stop(installation, GRID, press_ctrl_c, '[1-3] of 4 replicas done'), 130)
    again = installation.call(*GRID, '--json')
    assert again.returncode == 0, again.stderr
    assert f'Goes on from job {job}, which was stopped' in again.stderr
    unbroken = installation.json(*GRID, '--no-cache')
    grid = json.loads(again.stdout)
    assert grid['grids'] == unbroken['grids']
    resumed, whole = accounts(installation, grid['pk'], unbroken['pk'])
    assert resumed['frames'] == whole['frames']
    assert whole['resumed_calls'] == 0
    assert resumed['resumed_calls'] > STEPS
    # Each replica evaluates its start, and the one that was under way where it takes up.
    assert 4 * STEPS < whole['model_calls'] <= resumed['model_calls'] <= whole['model_calls'] + 1


def test_what_was_left_behind_is_ended_by_the_next_launch(
    installation: Installation, potential: dict[str, Any]
) -> None:
    """Its job, which runs on, too: then the next one has the machine and the checkpoint for itself."""
    status, said = launch_and_stop(installation, LONG_GRID, kill_with_nine, STEPPING)
    assert status == -9
    seen = installation.json('status', chain_of(said))
    assert (seen['state'], seen['left_behind'], seen['finished']) == ('waiting', True, False)
    status, again = launch_and_stop(installation, LONG_GRID, press_ctrl_c, STEPPING)
    assert f'Chain {chain_of(said)}, which a launch that was killed had left behind, is ended' in again
    assert f'Goes on from job {seen["jobs"][-1]["pk"]}, which was stopped' in re.sub(r'\s+', ' ', again)
    last = installation.json('status', chain_of(said))
    assert (last['state'], last['left_behind']) == ('killed', False)
    assert [row['state'] for row in last['replicas']] == ['stopped'] * 4
    stopped_job(installation, status, again, 130)  # and no engine is left


def accounts(installation: Installation, *chains: int) -> list[dict[str, Any]]:
    """Return the model calls of the anneals of grids, those taken over from jobs before, and a sum of all frames."""
    script = installation.folder / 'accounts.py'
    script.write_text(
        'import hashlib, json, sys\n'
        'from aiida.orm import CalcJobNode, load_node\n'
        'found = []\n'
        'for chain in sys.argv[1:]:\n'
        '    jobs = [one for one in load_node(int(chain)).called_descendants if isinstance(one, CalcJobNode)]\n'
        "    job = next(one for one in jobs if one.process_type.endswith('.md'))\n"
        '    total = hashlib.sha256()\n'
        '    for name in sorted(job.outputs.trajectories):\n'
        '        node = job.outputs.trajectories[name]\n'
        '        for array in sorted(node.get_arraynames()):\n'
        '            total.update(node.get_array(array).tobytes())\n'
        "    audit = job.outputs.results['audit']\n"
        "    calls = {key: audit[key] for key in ('model_calls', 'resumed_calls')}\n"
        "    found.append({**calls, 'frames': total.hexdigest()})\n"
        'print(json.dumps(found))\n'
    )
    done = installation.call('run', str(script), *map(str, chains), program=('-m', 'aiida'))
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found
