"""Labels of GPAW through AiiDA: exact numbers, physics, failures by their names, and workers killed on the way."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import psutil
import pytest
from aiida.engine import run_get_node, submit
from aiida.manage.caching import enable_caching
from aiida.orm import CalcFunctionNode, CalcJobNode, InstalledCode
from ase import Atoms
from ase.build import bulk

from aiida_litraj.analysis.frames import from_ase
from aiida_litraj.codes.profile import CACHED_DFT
from aiida_litraj.data.frames import FramesData
from aiida_litraj.groups.dataset import DatasetGroup
from aiida_litraj.workflows.label import LabelWorkChain

GPAW = shutil.which('gpaw') or ''
pytestmark = [pytest.mark.dft, pytest.mark.timeout(600), pytest.mark.skipif(not GPAW, reason='no GPAW here')]

STRUCTURES = Path(__file__).parents[2] / 'examples' / 'structures'
PATIENCE_S = 500
LI2S_ANG = 5.708
CUTOFF_EV = 250.0
"""Low, for the numbers are compared with those of the same cutoff."""
PHYSICS = ('mode', 'xc', 'kpts', 'occupations', 'spinpol', 'convergence', 'symmetry')
SCF_EV = 1e-6
"""What is left of an energy of some eV between one rank and two, whose sums are of another order."""
SCF_EV_PER_ANG = 2e-3
STEP_ANG = 0.02
"""A step along which the energy is differentiated: its error of the third order is far below that of the cycle."""
FORCE_EV_PER_ANG = 5e-3
"""Between a force and the slope of energies, each converged to 1e-5 eV: 1e-5 / 0.04, and the grid."""
STRAIN = 0.005
STRESS_SHARE = 0.02
BEFORE_GPAW = """export OMP_NUM_THREADS=1
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1"""
"""In the job's own script: a daemon keeps the environment of the test that has started it first."""
BY_HAND = """
import json, ase.io
from gpaw import GPAW, PW
atoms, level = ase.io.read("atoms.json"), json.load(open("level.json"))
atoms.calc = GPAW(
    mode=PW(level["cutoff"]), xc="PBE", kpts={"size": level["mesh"], "gamma": True}, txt=None,
    occupations={"name": "methfessel-paxton", "order": 0, "width": 0.05},
    convergence={"energy": 1e-7, "density": 1e-5, "eigenstates": 4e-9},
)
found = {"energy": atoms.get_potential_energy(force_consistent=True), "forces": atoms.get_forces().tolist()}
json.dump({**found, "stress": atoms.get_stress().tolist()}, open("found.json", "w"))
"""


@pytest.fixture
def gpaw(computer: Any) -> Any:
    """``gpaw(with_mpi)`` is the code."""

    def make(with_mpi: bool = False) -> InstalledCode:
        return InstalledCode(
            label=f'gpaw-{"mpi" if with_mpi else "serial"}', computer=computer, filepath_executable=GPAW,
            default_calc_job_plugin='ase.ase', with_mpi=with_mpi, prepend_text=BEFORE_GPAW,
        ).store()  # fmt: skip

    return make


def li2s(seed: int, ang: float = 0.05) -> Atoms:
    """Return the primitive cell of Li2S with its atoms off their sites."""
    atoms = bulk('Li2S', 'fluorite', a=LI2S_ANG)
    atoms.rattle(ang, seed=seed)
    atoms.info['seed'] = seed
    return atoms


def builder(code: Any, images: Sequence[Atoms], level: Any, **changes: Any) -> Any:
    return LabelWorkChain.get_builder_from_protocol(
        code, FramesData.from_frames(from_ase(images)), protocol='fast', overrides={'level': level}, **changes
    )


def jobs(node: Any) -> list[CalcJobNode]:
    return sorted((child for child in node.called if isinstance(child, CalcJobNode)), key=lambda job: job.pk)


def formula_of(job: CalcJobNode) -> str:
    return str(job.inputs.structure.get_formula())


def written(job: CalcJobNode) -> dict[str, Any]:
    """Return what GPAW's Python has written."""
    found: dict[str, Any] = json.loads(job.outputs.retrieved.base.repository.get_object_content('results.json'))
    return found


def by_hand(atoms: Atoms, cutoff: float, mesh: tuple[int, int, int], folder: Path) -> dict[str, Any]:
    """Return what GPAW says if a person calls it, on positions with all their digits."""
    ase.io.write(folder / 'atoms.json', atoms)
    (folder / 'level.json').write_text(json.dumps({'cutoff': cutoff, 'mesh': mesh}), encoding='utf-8')
    (folder / 'script.py').write_text(BY_HAND, encoding='utf-8')
    one_thread = os.environ | {'OMP_NUM_THREADS': '1'}
    subprocess.run([GPAW, 'python', 'script.py'], cwd=folder, env=one_thread, check=True, capture_output=True)
    found: dict[str, Any] = json.loads((folder / 'found.json').read_text(encoding='utf-8'))
    return found


def test_li2s_and_li3ps4_through_the_daemon_are_what_gpaw_wrote(
    submit_and_await: Any, gpaw: Any, tmp_path: Path
) -> None:
    """PBE, 2x2x2 with Gamma, two ranks; the crystal of 16 atoms is most of the time."""
    read = ase.io.read(STRUCTURES / 'Li3PS4_gamma.cif')
    crystal = Atoms(read.numbers, positions=read.positions, cell=read.cell, pbc=True, info={'seed': 3})
    crystal.rattle(0.05, seed=3)
    images = [li2s(1), crystal]
    asked = builder(
        gpaw(with_mpi=True), images, {'kpoint_mesh': [2, 2, 2], 'cutoff_ev': CUTOFF_EV}, dataset='gpaw labels',
        options={'resources': {'num_machines': 1, 'num_mpiprocs_per_machine': 2}},
    )  # fmt: skip
    node = submit_and_await(asked, timeout=PATIENCE_S)
    assert node.exit_status == 0, node.exit_message
    for index, (job, atoms) in enumerate(zip(jobs(node), images, strict=True)):
        frame, said = node.outputs.labels[f'c{index:05d}'].frames, written(job)
        # To the last bit, not to the fourteen digits of AiiDA's dictionaries and structures.
        assert frame.energies[0] == said['potential_energy']
        np.testing.assert_array_equal(frame.forces, said['forces'])
        np.testing.assert_array_equal(frame.stresses[0], said['stress'])
        assert frame.info[0]['energy_extrapolated_ev'] == said['energy_extrapolated']
        np.testing.assert_array_equal(frame.positions, atoms.positions)
        assert np.abs(np.array(job.inputs.structure.get_ase().positions) - atoms.positions).max() < 1e-12
        assert node.outputs.report['items'][f'c{index:05d}']['n_scf_steps'] == said['n_scf_steps'] > 3
        # Atoms of a crystal do not fall together: PBE's Li2S and Li3PS4 are bound by some eV an atom.
        assert -8.0 < frame.energies[0] / len(atoms) < -2.0
    level = node.outputs.labels.c00000.base.attributes.get('level')
    assert (level['kpoint_mesh'], level['code'], len(level['pseudopotentials'])) == ([2, 2, 2], 'gpaw', 2)
    assert DatasetGroup.of('gpaw labels').count() == 2
    found = by_hand(images[0], CUTOFF_EV, (2, 2, 2), tmp_path)
    frame = node.outputs.labels.c00000.frames
    assert frame.energies[0] == pytest.approx(found['energy'], abs=100 * SCF_EV)
    np.testing.assert_allclose(frame.forces, found['forces'], rtol=0, atol=SCF_EV_PER_ANG)
    np.testing.assert_allclose(frame.stresses[0], found['stress'], rtol=0, atol=1e-4)


def test_forces_and_stress_are_slopes_of_the_energy(gpaw: Any) -> None:
    """Along a random direction of all atoms, and under a strain in a run whose cutoff is high enough for that."""
    start = li2s(5, 0.1)
    rng = np.random.default_rng(11)
    direction = rng.normal(size=start.positions.shape)
    direction /= np.linalg.norm(direction)
    tilt = rng.normal(size=(3, 3))
    tilt = (tilt + tilt.T) / np.linalg.norm(tilt + tilt.T)
    images = [start]
    for sign in (-1.0, 1.0):
        moved, strained = start.copy(), start.copy()
        moved.positions += sign * STEP_ANG * direction
        strained.set_cell(start.cell.array @ (np.eye(3) + sign * STRAIN * tilt), scale_atoms=True)
        images += [moved, strained]
    level = {'kpoint_mesh': [1, 1, 1], 'cutoff_ev': 700.0, 'energy_convergence_ev': 1e-6, 'density_convergence': 1e-5}
    _, node = run_get_node(builder(gpaw(), images, level, max_in_flight=2))
    assert node.exit_status == 0, node.exit_message
    frames = node.outputs.frames.frames
    energies = frames.energies
    slope = (energies[3] - energies[1]) / (2.0 * STEP_ANG)
    assert -(frames[0].forces * direction).sum() == pytest.approx(slope, abs=FORCE_EV_PER_ANG)
    xx, yy, zz, yz, xz, xy = frames.stresses[0]
    stress = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    strained = (energies[4] - energies[2]) / (2.0 * STRAIN)
    assert start.get_volume() * (stress * tilt).sum() == pytest.approx(strained, rel=STRESS_SHARE)
    assert abs(strained) > 0.1


def test_scf_that_does_not_converge_is_reported_beside_one_that_does_at_its_third_attempt(gpaw: Any) -> None:
    """Three steps, then six, then twelve: enough for helium, not for ions far off their sites."""
    helium = Atoms('He', cell=[4.0, 4.0, 4.0], pbc=True)
    level = {'kpoint_mesh': [1, 1, 1], 'cutoff_ev': 250.0, 'max_scf_steps': 3}
    code, images = gpaw(), [helium, li2s(1, 0.3)]
    _, node = run_get_node(builder(code, images, level, max_in_flight=2))
    assert node.exit_status == 501
    items = node.outputs.report['items']
    assert (items['c00000']['status'], items['c00000']['attempts']) == ('labelled', 3)
    assert (items['c00001']['label'], items['c00001']['attempts']) == ('ERROR_SCF_NOT_CONVERGED', 3)
    assert 'GPAW did not converge in 12 steps' in items['c00001']['reason']
    assert node.outputs.frames.base.attributes.get('indices') == [0]
    # What gets it there is not what the answer depends on.
    for formula in ('He', 'Li2S'):
        asked = [job.inputs.parameters['calculator']['args'] for job in jobs(node) if formula_of(job) == formula]
        assert len(asked) == 3
        for arguments in asked:
            assert {key: arguments[key] for key in PHYSICS} == {key: asked[0][key] for key in PHYSICS}
    # A second launch of the batch computes nothing twice, where the profile lets it.
    with ExitStack() as stack:
        for identifier in CACHED_DFT:
            stack.enter_context(enable_caching(identifier=identifier))
        _, again = run_get_node(builder(code, images, level, max_in_flight=2))
    assert again.exit_status == 501
    assert all(job.base.caching.is_created_from_cache for job in jobs(again))
    frames = [each.outputs.labels.c00000.frames for each in (node, again)]
    assert frames[0].to_bytes() == frames[1].to_bytes()


def test_set_up_that_is_missing_is_named_with_what_to_do(gpaw: Any, tmp_path: Path) -> None:
    options = {'prepend_text': f'export GPAW_SETUP_PATH={tmp_path}'}
    _, node = run_get_node(builder(gpaw(), [li2s(1)], {'kpoint_mesh': [1, 1, 1]}, options=options))
    assert node.exit_status == 340, node.exit_message
    assert 'no PAW set-up for Li: install' in node.exit_message
    assert 'GPAW_SETUP_PATH' in node.exit_message


def test_mpi_that_cannot_start_is_not_a_fault_of_the_configuration(gpaw: Any) -> None:
    options = {'mpirun_extra_params': ['--no-such-option-of-mpirun', '1']}
    _, node = run_get_node(builder(gpaw(with_mpi=True), [li2s(1)], {'kpoint_mesh': [1, 1, 1]}, options=options))
    assert node.exit_status == 341, node.exit_message
    assert jobs(node)[0].base.caching.is_valid_cache is False


def workers(client: Any) -> list[psutil.Process]:
    found = []
    for child in psutil.Process(client.get_daemon_pid()).children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if 'worker' in child.cmdline():
                found.append(child)
    return found


def test_labels_of_a_killed_worker_are_each_there_once(started_daemon_client: Any, gpaw: Any) -> None:
    """Killed as soon as the first label is there, and once more a second after the next."""
    level = {'kpoint_mesh': [1, 1, 1], 'cutoff_ev': 250.0}
    asked = builder(gpaw(), [li2s(seed, 0.05) for seed in range(4)], level, dataset='of killed workers')
    node = submit(asked)
    deadline, killed = time.monotonic() + PATIENCE_S, 0
    while not node.is_terminated:
        assert time.monotonic() < deadline, [(each.process_label, each.process_state) for each in node.called]
        collected = [each for each in node.called if each.process_label == 'collect_label' and each.is_finished_ok]
        if len(collected) > killed and killed < 2:
            time.sleep(killed)
            for worker in workers(started_daemon_client):
                with contextlib.suppress(psutil.NoSuchProcess):
                    os.kill(worker.pid, 9)
            killed += 1
        time.sleep(0.1)
    assert node.exit_status == 0, (node.process_state, node.exit_message, node.exception)
    assert killed == 2
    assert node.outputs.frames.n_frames == 4
    assert len([job for job in jobs(node) if job.is_terminated]) == 4
    collected = [each for each in node.called if isinstance(each, CalcFunctionNode) and each.is_finished_ok]
    assert [each.process_label for each in collected].count('collect_label') == 4
    assert DatasetGroup.of('of killed workers').count() == 4
