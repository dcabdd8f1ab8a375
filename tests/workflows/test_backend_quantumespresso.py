"""The back end of Quantum ESPRESSO without pw.x: its inputs, its refusals, and what it reads."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip('aiida_pseudo')
pytest.importorskip('aiida_quantumespresso')

from aiida.orm import InstalledCode, StructureData

from aiida_litraj.contract.level import Level
from aiida_litraj.workflows.backends.quantumespresso import (
    QuantumEspressoBackend,
    cutoff_rho_ry,
    outcome_of,
    parameters,
    read_label,
)
from aiida_litraj.workflows.label import LabelWorkChain
from tests.data.test_upf import second
from tests.fixtures.dft import frames_of, li2o

RYDBERG_EV = 13.605693122994
XML = """<espresso><general_info><creator NAME="PWSCF" VERSION="6.7MaX"/></general_info><output>
<convergence_info><scf_conv><convergence_achieved>{converged}</convergence_achieved><n_scf_steps>11</n_scf_steps>
</scf_conv></convergence_info>
<total_energy><etot>-3.5e1</etot><demet>{demet}</demet></total_energy>
<band_structure>{smearing}</band_structure>{forces}
<stress rank="2" dims="3 3">1e-3 4e-4 5e-4 4e-4 2e-3 6e-4 5e-4 6e-4 3e-3</stress></output></espresso>"""
FORCES = '<forces rank="2" dims="3 2">1e-3 2e-3 3e-3 -1e-3 -2e-3 -3e-3</forces>'


def level(**changes: Any) -> Level:
    values = LabelWorkChain.get_protocol_inputs('lips25')['level']
    return Level.model_validate({**values, **changes})


def xml(**changes: str) -> bytes:
    usual = {'converged': 'true', 'demet': '-1e-3', 'forces': FORCES, 'smearing': '<smearing>gaussian</smearing>'}
    return XML.format(**{**usual, **changes}).encode()


@pytest.fixture
def family(aiida_profile_clean: Any) -> Any:
    from aiida_pseudo.data.pseudo.upf import UpfData
    from aiida_pseudo.groups.family import PseudoPotentialFamily

    made = PseudoPotentialFamily(label='mine').store()
    for changes in ({}, {'element': 'O', 'kind': 'NC', 'functional': 'PBE'}):
        text = second(**changes)
        name = changes.get('element', 'Li')
        made.add_nodes([UpfData(io.BytesIO(text.encode()), filename=f'{name}.upf').store()])
    return made


@pytest.fixture
def code(aiida_profile_clean: Any, aiida_localhost: Any) -> InstalledCode:
    return InstalledCode(
        label='pw', computer=aiida_localhost, filepath_executable='/usr/bin/pw.x', with_mpi=False,
        default_calc_job_plugin='quantumespresso.pw',
    ).store()  # fmt: skip


def test_the_level_in_the_units_of_pw() -> None:
    found = parameters(level(cutoff_ev=40 * RYDBERG_EV, smearing_width_ev=0.1, energy_convergence_ev=1e-5), 355.0)
    system = found['SYSTEM']
    assert system['ecutwfc'] == pytest.approx(40.0) and system['ecutrho'] == 355.0
    assert (system['occupations'], system['smearing']) == ('smearing', 'gaussian')
    assert system['degauss'] == pytest.approx(0.1 / RYDBERG_EV)
    assert found['CONTROL'].items() >= {'calculation': 'scf', 'tprnfor': True, 'tstress': True}.items()
    assert found['ELECTRONS']['conv_thr'] == pytest.approx(1e-6 / RYDBERG_EV)
    fixed = parameters(level(smearing='fixed', smearing_width_ev=0.0), 355.0)['SYSTEM']
    assert fixed['occupations'] == 'fixed' and 'degauss' not in fixed and 'smearing' not in fixed


def test_the_cutoff_of_the_density(family: Any) -> None:
    backend, pseudos = QuantumEspressoBackend(), family.pseudos
    own = backend.settings({'pseudo_family': 'mine'})
    # What the hardest suggests; four times that of the wave functions if that is more.
    assert cutoff_rho_ry(own, level(), pseudos) == 355.0
    assert cutoff_rho_ry(own, level(cutoff_ev=100 * RYDBERG_EV), pseudos) == pytest.approx(400.0)
    said = backend.settings({'pseudo_family': 'mine', 'cutoff_rho_ev': 500 * RYDBERG_EV})
    assert cutoff_rho_ry(said, level(), pseudos) == pytest.approx(500.0)


def test_all_configurations_of_a_batch_have_one_cutoff_of_the_density(family: Any, code: InstalledCode) -> None:
    """Beside a hard element also a soft one alone has the cutoff of the hard one, and the label says so."""
    from aiida_pseudo.data.pseudo.upf import UpfData

    soft, hard = (StructureData(ase=li2o()[which]) for which in ([1], [0]))
    backend = QuantumEspressoBackend()
    given = {'pseudo_family': 'of two'}
    files = {'Li': second().replace('355.', '170.'), 'O': second(element='O')}
    made = type(family)(label='of two').store()
    made.add_nodes([UpfData(io.BytesIO(text.encode()), filename=f'{name}.upf').store() for name, text in files.items()])
    told = []
    for symbols in (['Li'], ['Li', 'O']):
        settled = backend.settled(given, level(), symbols)
        cutoffs = {
            backend.inputs(code, each, level(), settled, {}, 0)['pw']['parameters']['SYSTEM']['ecutrho']
            for each in ((soft, hard) if 'O' in symbols else (soft,))
        }
        (cutoff,) = cutoffs
        beside = backend.beside_level(settled, symbols)
        assert beside['cutoff_rho_ev'] == pytest.approx(cutoff * RYDBERG_EV)
        assert sorted(beside['pseudopotentials']) == symbols and beside['pseudo_family'] == 'of two'
        told.append(cutoff)
    assert told == [pytest.approx(170.0), pytest.approx(355.0)]
    assert backend.settled({**given, 'cutoff_rho_ev': 7e3}, level(), ['Li'])['cutoff_rho_ev'] == pytest.approx(7e3)


def test_inputs_of_the_chain(family: Any, code: InstalledCode) -> None:
    backend, structure = QuantumEspressoBackend(), StructureData(ase=li2o())
    inputs = backend.inputs(code, structure, level(kpoint_mesh=[2, 2, 2], kpoint_spacing_per_ang=None), {
        'pseudo_family': 'mine'}, {}, 0)  # fmt: skip
    assert inputs['kpoints'].get_kpoints_mesh() == ([2, 2, 2], [0.0, 0.0, 0.0])
    assert {kind: node.element for kind, node in inputs['pw']['pseudos'].items()} == {'Li': 'Li', 'O': 'O'}
    # The chain would ask for MPI of a code that was set up without.
    assert inputs['pw']['metadata']['options']['withmpi'] is False
    built = backend.process().get_builder()
    built._merge(inputs)  # every port knows its value


def test_walltime_does_not_change_what_pw_is_asked(family: Any, code: InstalledCode) -> None:
    """The chain puts its clock into the parameters, and so into the hash, unless it is there."""
    from aiida.engine.utils import instantiate_process
    from aiida.manage import get_manager

    backend, structure, asked = QuantumEspressoBackend(), StructureData(ase=li2o()).store(), []
    for walltime in (600, 3600):
        options = {'max_wallclock_seconds': walltime}
        inputs = backend.inputs(code, structure, level(), {'pseudo_family': 'mine'}, options, 0)
        chain = instantiate_process(get_manager().get_runner(), backend.process(), **inputs)
        with chain._process_scope():
            for step in ('setup', 'validate_parameters', 'validate_kpoints', 'validate_pseudos', 'prepare_process'):
                assert getattr(chain, step, lambda: None)() is None
        asked.append(chain.ctx.inputs.parameters)
    assert asked[0] == asked[1]
    assert asked[0]['CONTROL']['max_seconds'] == 1e7  # of pw.x itself: never


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        ({'max_walltime_seconds': 10}, ['jobs.options.max_walltime_seconds = 10', 'but max_wallclock_seconds is']),
        ({'resources': {'num_cores': 4}}, ["jobs.options = {'resources'", 'quantumespresso', 'num_cores']),
    ],
)
def test_options_that_the_job_does_not_take_are_refused(
    options: dict[str, Any], words: list[str], family: Any, code: InstalledCode
) -> None:
    bare = li2o()
    bare.symbols[:] = 'Li'  # the family's oxygen is of another functional
    given = {'settings': {'pseudo_family': 'mine'}, 'overrides': {'level': {'kpoint_mesh': [1, 1, 1]}}}
    with pytest.raises(ValueError) as refused:
        LabelWorkChain.get_builder_from_protocol(code, frames_of(bare), 'lips25', options=options, **given)
    for word in words:
        assert word in str(refused.value)


def test_jobs_below_a_chain_that_the_machine_failed_are_no_source_of_the_cache(code: InstalledCode) -> None:
    """pw.x that ran out of walltime ends with 400, which its plugin holds for a result; a clone bars its source."""
    from aiida.common.links import LinkType
    from aiida.engine import ProcessState
    from aiida.orm import CalcJobNode, WorkChainNode

    from aiida_litraj.workflows.label_jobs import bar_from_cache

    def job(chain: Any, status: int, **attributes: Any) -> CalcJobNode:
        node = CalcJobNode(computer=code.computer, process_type='aiida.calculations:quantumespresso.pw')
        node.base.links.add_incoming(code, LinkType.INPUT_CALC, 'code')
        node.base.links.add_incoming(chain, LinkType.CALL_CALC, 'iteration')
        node.base.attributes.set_many(attributes)
        node.store()
        node.set_process_state(ProcessState.FINISHED)
        node.set_exit_status(status)
        node.seal()
        return node

    chains = [WorkChainNode().store() for _ in range(4)]
    source, clone = job(chains[0], 400), job(chains[1], 400)
    good, other = job(chains[2], 0), job(chains[3], 400, asked='for something else')
    assert clone.base.caching.compute_hash() == source.base.caching.compute_hash()
    assert all(node.base.caching.is_valid_cache for node in (source, clone, good, other))
    chains[1].set_process_state(ProcessState.FINISHED)
    chains[1].seal()
    bar_from_cache(chains[1])
    assert [node.base.caching.is_valid_cache for node in (source, clone, good, other)] == [False, False, True, True]
    assert clone.base.caching._get_same_node().pk == good.pk


def test_refusals_before_anything_is_queued(family: Any, code: InstalledCode) -> None:
    backend, settings = QuantumEspressoBackend(), {'pseudo_family': 'mine'}
    with pytest.raises(ValueError, match="'PBEsol', but the pseudopotential of O in the family 'mine' is of 'PBE'"):
        backend.check(code, ['Li', 'O'], level(), settings)
    backend.check(code, ['Li'], level(), settings)
    with pytest.raises(ValueError, match=r"'other': there is none of that label \(there are: mine\).*setup-dft"):
        backend.check(code, ['Li'], level(), {'pseudo_family': 'other'})
    with pytest.raises(ValueError, match='four times'):
        backend.check(code, ['Li'], level(), {**settings, 'cutoff_rho_ev': 600.0})
    lacking = backend.lacking(code, ['Li', 'S'], settings)
    assert lacking.keys() == {'S'} and lacking['S'].label == 'ERROR_PSEUDO_MISSING'
    sulfide = li2o()
    sulfide.symbols[0] = 'S'
    with pytest.raises(ValueError, match=r"'mine' has none for S .*setup-dft"):
        LabelWorkChain.get_builder_from_protocol(code, frames_of(sulfide), 'lips25', settings=settings)


def test_numbers_of_the_xml_file() -> None:
    label = read_label(xml())
    hartree, bohr = 27.211386245988, 0.529177210903
    assert label.energy == pytest.approx(-35.0 * hartree, rel=1e-15)
    assert label.extrapolated == pytest.approx((-35.0 + 0.5e-3) * hartree, rel=1e-15)
    np.testing.assert_allclose(label.forces[0], np.array([1e-3, 2e-3, 3e-3]) * hartree / bohr)
    # Positive under compression in the file, positive under tension here; xx yy zz yz xz xy.
    wanted = -np.array([1e-3, 2e-3, 3e-3, 6e-4, 5e-4, 4e-4]) * hartree / bohr**3
    np.testing.assert_allclose(label.stress, wanted)
    assert (label.n_scf_steps, label.version) == (11, '6.7MaX')
    assert read_label(xml(smearing='')).extrapolated == pytest.approx(label.energy)


@pytest.mark.parametrize(
    ('content', 'told'),
    [
        (xml(converged='false'), 'did not converge'),
        (xml(forces=''), 'no forces'),
        (xml()[:200], 'damaged'),
        (b'<espresso/>', 'no output'),
    ],
)
def test_what_is_no_label_is_refused(content: bytes, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        read_label(content)


PERCENT = 30 * '%'
BLOCK = f' {PERCENT}\n     Error in routine  read_namelists (2):\n      no control\n {PERCENT}\n'


@pytest.mark.parametrize(
    ('status', 'stdout', 'stderr', 'label', 'told'),
    [
        (410, 'Program PWSCF\n estimated scf accuracy    <       1.0E-03 Ry', '', 'ERROR_SCF_NOT_CONVERGED', '1.4e-02'),
        (400, 'Program PWSCF', '', 'ERROR_SCHEDULER_OUT_OF_WALLTIME', 'ended so'),
        (305, '', '-----\nmpirun has detected an attempt to run as root.', 'ERROR_MPI', 'run as root'),
        (305, f'Program PWSCF\n{BLOCK}', 'mpirun noticed that', 'ERROR_DFT_CRASHED', 'Error in routine read_namelists'),
        (305, '', 'pw.x: cannot execute: required file not found', 'ERROR_DFT_CRASHED', 'cannot execute'),
        (305, '', '', 'ERROR_DFT_CRASHED', 'ended so'),
    ],
)
def test_how_a_calculation_ended(
    monkeypatch: pytest.MonkeyPatch, status: int, stdout: str, stderr: str, label: str, told: str
) -> None:
    from aiida_litraj.workflows.backends import quantumespresso

    texts = {'output_filename': stdout, 'scheduler_stderr': stderr, 'CRASH': ''}
    monkeypatch.setattr(quantumespresso, '_text', lambda job, name: texts[name])
    monkeypatch.setattr(quantumespresso, 'scheduler_verdict', lambda job: None)
    asked = SimpleNamespace(get_dict=lambda: {'ELECTRONS': {'conv_thr': 1e-8}})
    job: Any = SimpleNamespace(
        exit_status=status, exit_message='ended so', pk=1, exception=None, inputs=SimpleNamespace(parameters=asked)
    )
    found = outcome_of(job)
    assert found.label == label and told in found.reason and not found.retry
