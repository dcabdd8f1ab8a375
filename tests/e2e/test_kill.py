"""Engines and daemon workers killed (9) at random moments: the chain ends with the numbers of an unbroken run.

``LITRAJ_KILLS`` and ``LITRAJ_SEED`` set how often and with which random numbers; the seed is printed. Half of the kills
hit engines and half workers, in random order.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from aiida.engine import submit
from aiida.orm import CalcJobNode, Log, ProcessNode, load_node

from aiida_litraj.contract import files, unpack_arrays
from aiida_litraj.workflows.neb import NebBaseWorkChain
from tests.fixtures.nodes import neb_parameters, potential, vacancy_path

KILLS = int(os.environ.get('LITRAJ_KILLS', '4'))
SEED = int(os.environ.get('LITRAJ_SEED', str(time.time_ns() % 1_000_000)))
SAME_EV = 1e-9
"""A resumed run repeats the unbroken one step for step."""
LONGEST_WAIT_S = 4.0
"""After an engine or a worker is there: from the start of the interpreter into the middle of its work."""
PATIENCE_S = 900


def engines(work: Path) -> list[psutil.Process]:
    """Return the engines that run in a folder below ``work``, and no other's."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if 'aiida_litraj.engine.cli' in process.cmdline() and work in Path(process.cwd()).parents:
                found.append(process)
    return found


def workers(client: Any) -> list[psutil.Process]:
    """Return the workers of the daemon of the tests."""
    found = []
    for child in psutil.Process(client.get_daemon_pid()).children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if 'worker' in child.cmdline():
                found.append(child)
    return found


def strike(name: str, chance: random.Random, work: Path, client: Any, node: ProcessNode) -> bool:
    """Kill an engine or a worker a random time after it is there; return whether one was met before the chain's end."""
    while not node.is_terminated:
        if engines(work) if name == 'engine' else workers(client):
            time.sleep(chance.uniform(0.0, LONGEST_WAIT_S))
            for target in engines(work) if name == 'engine' else workers(client):
                with contextlib.suppress(psutil.NoSuchProcess):
                    target.kill()
                    return True
        time.sleep(0.05)
    return False


@pytest.mark.slow
@pytest.mark.timeout(2 * PATIENCE_S)
def test_killed_at_random_moments(
    started_daemon_client: Any, engine_code: Any, computer: Any, neb_inputs: Any, unbroken: Any
) -> None:
    print(f'LITRAJ_SEED={SEED}')
    chance = random.Random(SEED)
    paths = {f'hop_{site}': vacancy_path(site=site) for site in (1, 2, 3, 6, 7, 9)}
    inputs = {**neb_inputs(paths, potential(), neb_parameters()), 'code': engine_code}
    reference = unpack_arrays(unbroken(inputs) / files.RESULT_ARRAYS)
    work = Path(computer.get_workdir())
    victims = list(itertools.islice(itertools.cycle(['engine', 'worker']), KILLS))
    chance.shuffle(victims)
    killed: list[str] = []
    deadline = time.monotonic() + PATIENCE_S
    while len(killed) < KILLS:
        node = submit(NebBaseWorkChain, neb=inputs)
        while not node.is_terminated:
            assert time.monotonic() < deadline, report(node, killed, started_daemon_client)
            if len(killed) < KILLS:
                victim = victims[len(killed)]
                killed += [victim] * strike(victim, chance, work, started_daemon_client, node)
            time.sleep(0.2)
        assert node.is_finished_ok, report(node, killed, started_daemon_client)
        check(node, paths, reference)
    print(f'killed: {killed}')
    assert killed == victims


def check(node: ProcessNode, paths: dict[str, Any], reference: dict[str, Any]) -> None:
    """Assert that the chain has the numbers of the unbroken run, and has computed no finished path again."""
    # A job whose worker was killed while it made it has no beginning; the rest in the order in which they were made.
    jobs = sorted(
        (job for job in node.called if isinstance(job, CalcJobNode) and job.is_terminated), key=lambda x: x.pk
    )
    for name in paths:
        np.testing.assert_allclose(node.outputs.paths[name].energies, reference[f'{name}/energies'], atol=SAME_EV)
        done_by = [job for job in jobs if 'paths' in job.outputs and name in job.outputs.paths]
        assert len(done_by) == 1, f'{name} was computed by {done_by}'
        later = jobs[jobs.index(done_by[0]) + 1 :]
        assert not [job for job in later if name in job.inputs.paths]


def report(node: ProcessNode, killed: list[str], client: Any) -> str:
    """Return what a person needs to find out what went wrong."""
    node = load_node(node.pk)
    jobs = [(child.pk, child.process_label, str(child.process_state), child.exit_message) for child in node.called]
    words = [entry.message for entry in Log.collection.get_logs_for(node)]
    log = Path(client.daemon_log_file).read_text(encoding='utf-8')[-4000:]
    return (
        f'seed {SEED}, killed {killed}, chain {node.process_state} {node.exit_message}, children {jobs}\n{words}\n{log}'
    )
