"""A band on GPAW under the daemon whose engine and whose worker are killed: numbers and entries of the unbroken one.

The hop is of hydrogen between two neighbours that are held: a well at each, a maximum half way by symmetry, and three
electrons in all, which is what makes it cheap. Spin is left out.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from aiida.engine import submit
from aiida.orm import CalcJobNode
from ase import Atoms
from ase.constraints import FixAtoms

from aiida_litraj.contract import files
from aiida_litraj.data.path import PathData
from aiida_litraj.groups.query import count
from aiida_litraj.workflows.dft_neb import DftNebWorkChain
from tests.e2e.test_kill import engines, workers
from tests.fixtures.engines import engine_in, needs

pytestmark = [pytest.mark.dft, needs('gpaw')]

BOND_ANG, APART_ANG = 1.0, 2.5
"""Where the ends start, some way above their wells at 0.83 Ang, and how far the neighbours are from each other."""
LEVEL = {
    'cutoff_ev': 200.0,
    'kpoint_mesh': [1, 1, 1],
    'kpoint_spacing_per_ang': None,
    'smearing': 'fermi-dirac',
    'smearing_width_ev': 0.2,
    'energy_convergence_ev': 1e-5,
    'density_convergence': 1e-5,
}
SCF_EV, SCF_ANG = 1e-4, 1e-3
"""Between two runs: positions follow forces that are known to the SCF tolerance."""
SYMMETRY_EV = 1e-3
HEAD_BYTES, ANSWER_BYTES = 48, 32 + 24 * 3
"""Of a journal: its head, and an answer for three atoms."""
PATIENCE_S = 280


def exchange() -> PathData:
    """The atom in the middle of three goes over from the first to the last, which are held."""
    images = []
    for way in (BOND_ANG, APART_ANG / 2, APART_ANG - BOND_ANG):
        places = [[1.5, 1.5, 1.0 + z] for z in (0.0, way, APART_ANG)]
        images.append(Atoms('H3', positions=places, cell=[3.0, 3.0, 5.2], pbc=True, constraint=FixAtoms([0, 2])))
    return PathData.from_images(images, mobile=1)


def answers(job: CalcJobNode) -> int:
    """How many answers of GPAW a job has on disk."""
    folder = Path(job.get_remote_workdir() or '') / files.CHECKPOINT
    sizes = [path.stat().st_size - HEAD_BYTES for path in folder.glob('*.journal')] if folder.is_dir() else []
    return sum(max(0, size) // ANSWER_BYTES for size in sizes)


def jobs(node: Any) -> list[CalcJobNode]:
    return sorted((one for one in node.called_descendants if isinstance(one, CalcJobNode)), key=lambda job: job.pk)


def kill(node: Any, after: int, targets: Callable[[], list[psutil.Process]]) -> None:
    """Kill once the newest job has so many answers of GPAW on disk."""
    deadline = time.monotonic() + PATIENCE_S
    while not (jobs(node) and answers(jobs(node)[-1]) >= after):
        assert not node.is_terminated, f'{node.exit_message}: it was through before it was killed'
        assert time.monotonic() < deadline, [(one.process_state, answers(one)) for one in jobs(node)]
        time.sleep(0.2)
    victims = targets()
    assert victims
    for victim in victims:
        with contextlib.suppress(psutil.NoSuchProcess):
            victim.kill()


@pytest.mark.timeout(3 * PATIENCE_S)
def test_a_band_killed_under_the_daemon_has_the_numbers_of_the_unbroken_one(
    started_daemon_client: Any, submit_and_await: Any, aiida_localhost: Any, tmp_path: Path
) -> None:
    def builder(dataset: str) -> Any:
        return DftNebWorkChain.get_builder_from_protocol(
            engine_in('gpaw', tmp_path),
            path=exchange(),
            dataset=dataset,
            name='exchange',
            protocol='fast',
            overrides={'level': LEVEL},
            jobs={'reference': {'options': {'processes': 1}, 'disable_cache': True}},
            computer=aiida_localhost,
        )

    unbroken = submit_and_await(builder('unbroken'), timeout=PATIENCE_S)
    assert unbroken.is_finished_ok, unbroken.exit_message
    expected, total = unbroken.outputs, unbroken.outputs.configurations.n_frames
    assert expected.barrier['converged']
    seconds = expected.results['audit']['wall_seconds']
    print(f'{total} evaluations in {seconds:.0f} s, {expected.barrier["barrier_ev"]:.3f} eV')
    assert expected.path.energies[0] == pytest.approx(expected.path.energies[2], abs=SYMMETRY_EV)
    assert expected.barrier['barrier_ev'] > 0.05

    node = submit(builder('killed'))
    kill(node, total // 3, lambda: engines(Path(jobs(node)[-1].get_remote_workdir()).parent))
    before = answers(jobs(node)[-1])
    kill(node, before + 2, lambda: workers(started_daemon_client))
    node = submit_and_await(node, timeout=PATIENCE_S)
    assert node.is_finished_ok, node.exit_message
    done = jobs(node)
    assert len(done) == 2, 'the engine that was killed has been gone on from, and no job was made twice'
    assert before <= done[-1].outputs.results['audit']['resumed_calls'] < total

    found = node.outputs
    assert found.barrier['n_steps'] == expected.barrier['n_steps']
    np.testing.assert_allclose(found.path.energies, expected.path.energies, atol=SCF_EV)
    np.testing.assert_allclose(found.path.get_positions(), expected.path.get_positions(), atol=SCF_ANG)
    kept, same = found.configurations, expected.configurations
    assert kept.n_frames == len(set(kept.entry_ids)) == count('killed') == count('unbroken') == total
    assert kept.entry_ids == same.entry_ids
    np.testing.assert_allclose(kept.frames.energies, same.frames.energies, atol=SCF_EV)
