"""Labels of Quantum ESPRESSO: what pw.x wrote, and nothing else; and what becomes of those that it cannot make."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from aiida.engine import run_get_node

from aiida_litraj.workflows.label import LabelWorkChain
from tests.fixtures.dft import dft_code, frames_of, li2o, needs_pw, pseudo_family

pytestmark = [pytest.mark.dft, needs_pw]

HARTREE_J, BOHR_M, CHARGE_C = 4.3597447222071e-18, 0.529177210903e-10, 1.602176634e-19
"""CODATA 2018, as the constants.f90 of pw.x has them."""
HARTREE_EV = HARTREE_J / CHARGE_C
BOHR_ANG = 1e10 * BOHR_M
LEVEL = {'cutoff_ev': 400.0, 'kpoint_mesh': [1, 1, 1], 'energy_convergence_ev': 1e-7}
STEP_ANG, STRAIN = 0.01, 0.005
FORCE_EV_PER_ANG = 1e-3
"""pw.x takes the mean force away, which the finite basis of the density leaves: 0.2 meV/Ang here."""
STRESS_SHARE = 0.01
RHO_FACTOR = 10.0
"""Cutoff of the density over that of the wave functions: Li2O then has what its pseudopotentials suggest."""


def builder(computer: Any, *images: Any, settings: Any = None, **level: Any) -> Any:
    return LabelWorkChain.get_builder_from_protocol(
        dft_code('pw', computer),
        frames_of(*images),
        protocol='lips25',
        overrides={'level': {**LEVEL, **level}},
        settings={'pseudo_family': pseudo_family(), **(settings or {})},
        max_in_flight=2,
    )


def xml_of(node: Any) -> ElementTree.Element:
    retrieved = node.creator.inputs.retrieved
    return ElementTree.fromstring(retrieved.base.repository.get_object_content('data-file-schema.xml'))


@pytest.mark.timeout(600)
def test_labels_under_the_daemon_are_what_pw_wrote(submit_and_await: Any, aiida_localhost: Any) -> None:
    start = li2o(rattle=0.08, seed=1)
    forward, back = start.copy(), start.copy()
    forward.positions[0, 0] += STEP_ANG
    back.positions[0, 0] -= STEP_ANG
    sulfide = start.copy()
    sulfide.symbols[0] = 'S'
    images = (start, forward, sulfide, back)
    node = submit_and_await(builder(aiida_localhost, *images), timeout=500)

    # The sulfide has no pseudopotential: it alone has no label, and nothing was queued for it.
    assert node.exit_status == 501
    items = {item['index']: item for item in node.outputs.report['items'].values()}
    assert items[2]['label'] == 'ERROR_PSEUDO_MISSING' and items[2]['attempts'] == 0
    assert 'S' in items[2]['reason'] and 'PBEsol-paw' in items[2]['reason'] and 'setup-dft' in items[2]['reason']
    assert node.outputs.report['n_labelled'] == 3 and len(node.outputs.labels) == 3

    for label in node.outputs.labels.values():
        output, frame = xml_of(label).find('output'), label.frames
        energy = float(output.find('total_energy/etot').text) * HARTREE_EV
        forces = np.array(output.find('forces').text.split(), dtype=float).reshape(-1, 3) * HARTREE_EV / BOHR_ANG
        stress = np.array(output.find('stress').text.split(), dtype=float).reshape(3, 3) * -HARTREE_EV / BOHR_ANG**3
        assert frame.energies[0] == pytest.approx(energy, rel=1e-14)
        np.testing.assert_allclose(frame.forces, forces, rtol=1e-13)
        np.testing.assert_allclose(frame.stresses[0], stress[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]], rtol=1e-13)
    frames = {int(label.base.attributes.get('indices')[0]): label.frames for label in node.outputs.labels.values()}
    np.testing.assert_array_equal(frames[0].positions, start.positions)
    assert list(frames[0].numbers) == [8, 3, 3]

    slope = -(frames[1].energies[0] - frames[3].energies[0]) / (2 * STEP_ANG)
    assert frames[0].forces[0, 0] == pytest.approx(slope, abs=FORCE_EV_PER_ANG)
    assert abs(slope) > 0.1

    level = node.outputs.frames.base.attributes.get('level')
    assert level['code'] == 'quantumespresso' and level['version'] and set(level['pseudopotentials']) == {'Li', 'O'}


@pytest.mark.timeout(400)
def test_the_stress_is_the_slope_of_the_energy_over_the_strain(aiida_localhost: Any) -> None:
    """With cutoffs that go with the cell the plane waves stay the same ones, as the stress takes them to do."""
    frames = []
    for scale in (1.0 - STRAIN, 1.0, 1.0 + STRAIN):
        cutoff = 300.0 / scale**2
        _, node = run_get_node(
            builder(
                aiida_localhost, li2o(4.3 * scale), settings={'cutoff_rho_ev': RHO_FACTOR * cutoff}, cutoff_ev=cutoff
            )
        )
        assert node.is_finished_ok, node.exit_message
        frames.append(node.outputs.frames.frames)
    volumes = [abs(np.linalg.det(frame.cells[0])) for frame in frames]
    slope = (frames[2].energies[0] - frames[0].energies[0]) / (volumes[2] - volumes[0])
    stress = frames[1].stresses[0]
    assert stress[:3].mean() == pytest.approx(slope, rel=STRESS_SHARE)
    # Cubic, and far from rest: the sign says something.
    np.testing.assert_allclose(stress, [slope] * 3 + [0.0] * 3, atol=STRESS_SHARE * abs(slope))
    assert abs(slope) > 0.1


@pytest.mark.timeout(400)
def test_a_cycle_that_cannot_converge_is_no_label(aiida_localhost: Any) -> None:
    started = builder(aiida_localhost, li2o(), settings={'max_calculations': 2}, cutoff_ev=200.0, max_scf_steps=1)
    _, node = run_get_node(started)
    assert node.exit_status == 520
    assert 'labels' not in node.outputs and 'frames' not in node.outputs
    (item,) = node.outputs.report['items'].values()
    assert item['label'] == 'ERROR_SCF_NOT_CONVERGED'
    assert '2 calculations' in item['reason'] and 'asked for' in item['reason']


@pytest.mark.timeout(300)
def test_mpi_that_cannot_start_is_told(aiida_localhost: Any) -> None:
    """More ranks than the machine has, which Open MPI refuses."""
    started = builder(aiida_localhost, li2o(), cutoff_ev=200.0)
    code = dft_code('pw', aiida_localhost)
    from aiida.orm import InstalledCode

    started.code = InstalledCode(
        label='pw-mpi', computer=aiida_localhost, filepath_executable=str(code.filepath_executable), with_mpi=True,
        default_calc_job_plugin='quantumespresso.pw', prepend_text='unset OMPI_ALLOW_RUN_AS_ROOT',
    ).store()  # fmt: skip
    started.jobs = {'options': {'resources': {'num_machines': 1, 'num_mpiprocs_per_machine': 512}}}
    _, node = run_get_node(started)
    assert node.exit_status == 341, node.exit_message
