"""GPAW as a giver of labels, without GPAW: what it is asked, and what is read from what it leaves."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from aiida.common.folders import SandboxFolder
from aiida.common.links import LinkType
from aiida.engine import ProcessState
from aiida.orm import CalcJobNode, FolderData, InstalledCode, StructureData
from ase.build import bulk

from aiida_litraj.contract.level import Level
from aiida_litraj.workflows.backends.gpaw import GpawBackend, diagnose
from aiida_litraj.workflows.label import LabelWorkChain

pytest.importorskip('aiida_ase')
pytestmark = pytest.mark.usefixtures('aiida_profile')
TRACEBACK = 'Traceback (most recent call last):\n  File "aiida_script.py", line 9, in <module>\n'
UNCONVERGED = TRACEBACK + 'gpaw.KohnShamConvergenceError: Did not converge!\n\nSee text output.\n'
NO_SETUP = TRACEBACK + (
    'FileNotFoundError: Could not find required PAW dataset file "Li.PBE".\n\nYou need to set the GPAW_SETUP_PATH\n'
)
ABORTED = 'MPI_ABORT was invoked on rank 1\nmpirun has exited due to process rank 1\n'
NO_SLOTS = '-' * 70 + '\nThere are not enough slots available in the system to satisfy the 99\nslots\n' + '-' * 70
KILLED = ABORTED + 'mpirun noticed that process rank 0 with PID 0 exited on signal 9 (Killed).\n'
LOG = 'iter:   1 10:00:00   -11.1\niter:   2 10:00:01   -11.2\n'


@pytest.mark.parametrize(
    ('errors', 'label', 'words'),
    [
        (UNCONVERGED, 'ERROR_SCF_NOT_CONVERGED', 'did not converge in 2 steps'),
        (UNCONVERGED + ABORTED, 'ERROR_SCF_NOT_CONVERGED', 'in 2 steps'),
        (NO_SETUP, 'ERROR_SETUP_MISSING', 'no PAW set-up for Li: install'),
        (NO_SETUP + ABORTED, 'ERROR_SETUP_MISSING', 'GPAW_SETUP_PATH'),
        (NO_SLOTS, 'ERROR_MPI', 'not enough slots available'),
        ('/bin/bash: line 9: mpirun: command not found\n', 'ERROR_MPI', 'mpirun: command not found'),
        ('mpirun has detected an attempt to run as root.\n', 'ERROR_MPI', 'as root'),
        (TRACEBACK + 'MemoryError\n', 'ERROR_SCHEDULER_OUT_OF_MEMORY', 'MemoryError'),
        ('_aiidasubmit.sh: line 12:  4242 Killed    python\n', 'ERROR_SCHEDULER_OUT_OF_MEMORY', 'Killed'),
        ('slurmstepd: error: Detected 1 oom-kill event(s)\n', 'ERROR_SCHEDULER_OUT_OF_MEMORY', 'oom-kill'),
        (TRACEBACK + "ModuleNotFoundError: No module named 'gpaw'\n", 'ERROR_DFT_CRASHED', "No module named 'gpaw'"),
        (TRACEBACK + 'ValueError: odd\n' + ABORTED, 'ERROR_DFT_CRASHED', 'ValueError: odd'),
        (TRACEBACK + 'ValueError: odd\n' + KILLED, 'ERROR_DFT_CRASHED', 'ValueError: odd'),
        (KILLED, 'ERROR_SCHEDULER_OUT_OF_MEMORY', 'signal 9'),
        (TRACEBACK + 'numpy._ArrayMemoryError: 9 GiB\n' + KILLED, 'ERROR_SCHEDULER_OUT_OF_MEMORY', '9 GiB'),
        ('Segmentation fault\n', 'ERROR_DFT_CRASHED', 'last words: Segmentation fault'),
        ('', 'ERROR_DFT_CRASHED', 'last words: iter:   2'),
    ],
)
def test_failures_are_told_apart(errors: str, label: str, words: str) -> None:
    outcome = diagnose(LOG, errors)
    assert outcome.label == label
    assert words in outcome.reason
    assert outcome.retry == (label == 'ERROR_SCF_NOT_CONVERGED')


def level(protocol: str = 'balanced', **changes: Any) -> Level:
    return Level.model_validate({**LabelWorkChain.get_protocol_inputs(protocol)['level'], **changes})


SETTINGS = LabelWorkChain.get_protocol_inputs()['settings']['gpaw']


@pytest.fixture
def script(computer: Any) -> Any:
    """``script(level, ...)`` is the Python that a job runs, and the arguments before its name."""

    def make(
        level: Level, attempt: int = 0, executable: str = '/usr/bin/gpaw', with_mpi: bool = False, settings: Any = None
    ) -> tuple[str, list[str]]:
        from aiida.engine.utils import instantiate_process
        from aiida.manage import get_manager

        code = InstalledCode(
            label='gpaw', computer=computer, filepath_executable=executable, default_calc_job_plugin='ase.ase',
            with_mpi=with_mpi,
        ).store()  # fmt: skip
        structure = StructureData(ase=bulk('Li2S', 'fluorite', a=5.708))
        backend = GpawBackend()
        inputs = backend.inputs(code, structure, level, settings or SETTINGS, {}, attempt)
        process = instantiate_process(get_manager().get_runner(), backend.process(), **inputs)
        with SandboxFolder() as folder:
            info = process.prepare_for_submission(folder)
            with folder.open('aiida_script.py') as handle:
                return handle.read(), info.codes_info[0].cmdline_params

    return make


def called(script: str) -> Mapping[str, Any]:
    """Return the arguments that the script calls GPAW with."""
    found: list[dict[str, Any]] = []
    line = next(one for one in script.splitlines() if one.startswith('calculator ='))
    exec(line, {'custom_calculator': lambda **given: found.append(given), 'functional': lambda: 'made'})
    return found[0]


def test_script_asks_for_the_level_and_nothing_else(script: Any) -> None:
    text, _ = script(level('litraj-2025'))
    given = called(text)
    assert given['mode'] == {'name': 'pw', 'ecut': 520.0}
    assert given['kpts'] == {'size': [1, 1, 1], 'gamma': True}
    assert given['occupations'] == {'name': 'methfessel-paxton', 'order': 0, 'width': 0.1}
    assert (given['xc'], given['spinpol'], given['maxiter']) == ('PBE', False, 100)
    # 1e-5 eV of the cell, for each of its 22 electrons.
    assert given['convergence']['energy'] == pytest.approx(1e-5 / 22)
    assert 'forces' not in given['convergence']
    assert 'atoms.get_potential_energy(force_consistent=True)' in text
    assert "results['stress'] = atoms.get_stress()" in text
    assert 'get_stress' not in script(level(stress=False))[0]


def test_pbesol_goes_with_the_set_ups_that_there_are(script: Any) -> None:
    text, _ = script(level('lips25'))
    assert called(text)['xc'] == 'made'
    assert "XC('PBEsol')" in text
    assert "get_setup_name = lambda: 'PBE'" in text
    own, _ = script(level('lips25'), settings={**SETTINGS, 'setups': 'PBEsol'})
    assert called(own)['xc'] == 'PBEsol'


def test_later_attempts_are_safer_and_ask_for_the_same(script: Any) -> None:
    first, *later = [called(script(level(), attempt)[0]) for attempt in range(GpawBackend.n_attempts)]
    numerical = {'mixer', 'eigensolver', 'maxiter'}
    assert not numerical & (set(first) - {'maxiter'})
    for attempt, given in enumerate(later, start=1):
        assert given['maxiter'] == 100 * 2**attempt
        assert given['mixer']['beta'] < 0.05  # GPAW's own for a crystal
        assert {key: value for key, value in given.items() if key not in numerical} == {
            key: value for key, value in first.items() if key not in numerical
        }


@pytest.mark.parametrize(
    ('executable', 'before'),
    [('/usr/bin/gpaw', ['python']), ('/opt/env/bin/python3.11', ['-m', 'gpaw', 'python']), ('/opt/wrapper', [])],
)
def test_every_kind_of_executable_runs_the_script(executable: str, before: list[str], script: Any) -> None:
    assert script(level(), executable=executable)[1] == [*before, 'aiida_script.py']


def test_with_mpi_one_rank_alone_writes(script: Any) -> None:
    assert "with paropen('results.json'" in script(level(), with_mpi=True)[0]
    assert "with open('results.json'" in script(level())[0]


def ended(computer: Any, status: int, files: Mapping[str, str], **attributes: Any) -> CalcJobNode:
    """Return a job that has ended with a code of its parser, and what was retrieved of it."""
    node = CalcJobNode(computer=computer, process_type='aiida.calculations:ase.ase')
    node.set_option('resources', {'num_machines': 1})
    node.set_option('scheduler_stderr', '_scheduler-stderr.txt')
    node.set_option('scheduler_stdout', '_scheduler-stdout.txt')
    node.base.attributes.set_many(attributes)
    node.store()
    folder = FolderData()
    for name, text in files.items():
        folder.base.repository.put_object_from_filelike(io.BytesIO(text.encode()), name)
    folder.base.links.add_incoming(node, LinkType.CREATE, 'retrieved')
    folder.store()
    node.set_process_state(ProcessState.FINISHED)
    node.set_exit_status(status)
    return node


def test_numbers_are_read_to_the_last_bit(computer: Any) -> None:
    rng = np.random.default_rng(4)
    forces, stress, energy = rng.normal(size=(3, 3)), rng.normal(size=6), -11.285011114915708
    said = {
        'potential_energy': energy, 'energy_extrapolated': energy + 1e-15, 'forces': forces.tolist(),
        'stress': stress.tolist(), 'n_scf_steps': 15, 'version': '22.8.0', 'setups': {'Li': 'a', 'S': 'b'},
    }  # fmt: skip
    backend = GpawBackend()
    node = ended(computer, 0, {'results.json': json.dumps(said)})
    assert backend.outcome(node).label is None
    label = backend.read(backend.outputs(node))
    assert label.energy == energy
    np.testing.assert_array_equal(label.forces, forces)
    np.testing.assert_array_equal(label.stress, stress)
    assert label.extrapolated == energy + 1e-15
    assert (label.n_scf_steps, label.version, label.pseudopotentials['S']) == (15, '22.8.0', 'b')


@pytest.mark.parametrize('text', ['', '{', '{}', '{"potential_energy": 1.0}', '[]'])
def test_results_without_a_label_are_refused(text: str, computer: Any) -> None:
    backend = GpawBackend()
    node = ended(computer, 0, {'results.json': text})
    with pytest.raises(ValueError, match=r'results\.json holds no label'):
        backend.read(backend.outputs(node))


def test_scheduler_that_ended_the_job_is_heard_although_the_parser_says_300(tmp_path: Any) -> None:
    """Its own code, as aiida-core makes it of Slurm's accounting, is overruled by the parser of aiida-ase."""
    from aiida.orm import Computer

    slurm = Computer(
        label='queue', hostname='localhost', transport_type='core.local', scheduler_type='core.slurm',
        workdir=str(tmp_path),
    ).store()  # fmt: skip
    fields = ['AllocCPUS', 'State']
    told = {'retval': 0, 'stderr': '', 'stdout': '|'.join(fields) + '\n2|TIMEOUT\n'}
    files = {'_scheduler-stderr.txt': 'CANCELLED DUE TO TIME LIMIT\n', '_scheduler-stdout.txt': ''}
    node = ended(slurm, 300, files, detailed_job_info=told)
    assert GpawBackend().outcome(node).label == 'ERROR_SCHEDULER_OUT_OF_WALLTIME'


@pytest.mark.parametrize('who', ['slurmstepd', 'slurmstepd-node1'])
def test_job_that_was_cancelled_is_lost_and_says_so(who: str, computer: Any) -> None:
    """AiiDA has no exit code for that; GPAW's log alone would say no more than that it ends in the middle."""
    words = f'{who}: error: *** JOB 12 ON node1 CANCELLED AT 2026-11-22T10:00:00 ***'
    node = ended(computer, 300, {'_scheduler-stderr.txt': f'{words}\n', 'aiida.out': 'iter:   3\n'})
    outcome = GpawBackend().outcome(node)
    assert (outcome.label, outcome.lost, outcome.retry) == ('ERROR_DFT_CRASHED', True, False)
    assert outcome.reason == f'it was cancelled: {words}'


@pytest.mark.parametrize(('state', 'lost'), [('CANCELLED by 1000', True), ('FAILED', False)])
def test_job_that_only_accounting_says_was_cancelled_is_lost(state: str, lost: bool, computer: Any) -> None:
    """The daemon of the node that writes of it into the job's log may have been cut off itself."""
    told = {'retval': 0, 'stderr': '', 'stdout': f'JobID|State|AllocCPUS|\n12|{state}|2|\n12.batch|CANCELLED|2|\n'}
    node = ended(computer, 300, {'_scheduler-stderr.txt': '', 'aiida.out': 'iter: 3\n'}, detailed_job_info=told)
    outcome = GpawBackend().outcome(node)
    assert outcome.lost is lost
    assert ('it was cancelled: CANCELLED in the accounting of Slurm' in (outcome.reason or '')) is lost


@pytest.mark.parametrize('what', ['JOB 12', 'STEP 12.0'])
def test_walltime_without_accounting_is_not_lost(what: str, computer: Any) -> None:
    """Slurm's words alone tell: the same job again would run out of time again."""
    words = f'slurmstepd: error: *** {what} ON c1 CANCELLED AT 2026-11-22T10:00:00 DUE TO TIME LIMIT ***'
    outcome = GpawBackend().outcome(
        ended(computer, 300, {'_scheduler-stderr.txt': f'{words}\n', 'aiida.out': 'iter: 3\n'})
    )
    assert (outcome.label, outcome.lost, outcome.retry) == ('ERROR_SCHEDULER_OUT_OF_WALLTIME', False, False)


def test_job_that_was_cut_off_by_the_scheduler_keeps_its_code(computer: Any) -> None:
    outcome = GpawBackend().outcome(ended(computer, 120, {}))
    assert (outcome.label, outcome.retry) == ('ERROR_SCHEDULER_OUT_OF_WALLTIME', False)
    node_failed = GpawBackend().outcome(ended(computer, 140, {}))
    assert (node_failed.lost, node_failed.retry) == (True, False)


@pytest.mark.parametrize(
    ('log', 'errors', 'started'),
    [
        ('', TRACEBACK + "ModuleNotFoundError: No module named 'gpaw'\n", False),
        ('', 'python: error while loading shared libraries: libxc.so.9\n', False),
        ('', NO_SLOTS, False),
        (LOG, TRACEBACK + 'ValueError: odd\n', True),
        (LOG, UNCONVERGED, True),
    ],
)
def test_code_that_did_not_start_is_told_from_one_that_did(log: str, errors: str, started: bool) -> None:
    assert diagnose(log, errors).started is started


@pytest.fixture
def code(computer: Any) -> InstalledCode:
    from aiida_litraj.calculations.validation import DFT_EXTRA

    made = InstalledCode(
        label='gpaw', computer=computer, filepath_executable='/usr/bin/gpaw', default_calc_job_plugin='ase.ase',
        with_mpi=False,
    ).store()  # fmt: skip
    made.base.extras.set(DFT_EXTRA, {'setups': {'PBE': ['Li', 'S']}})
    return made


def test_elements_without_set_ups_are_known_from_setting_up(code: InstalledCode) -> None:
    backend = GpawBackend()
    lacking = backend.lacking(code, ['Li', 'S', 'P'], SETTINGS)
    assert lacking.keys() == {'P'} and lacking['P'].label == 'ERROR_SETUP_MISSING'
    assert 'setup-dft' in lacking['P'].reason
    own = {**SETTINGS, 'setups': 'PBEsol'}  # those of one's own are not asked for when a code is set up
    assert backend.lacking(code, ['P'], own) == {}
    code.base.extras.clear()
    assert backend.lacking(code, ['P'], SETTINGS) == {}


def configurations(*names: str) -> Any:
    from aiida_litraj.analysis.frames import from_ase
    from aiida_litraj.data.frames import FramesData

    return FramesData.from_frames(from_ase([bulk(name, 'rocksalt', a=5.0) for name in names])).store()


def test_batch_without_set_ups_is_refused_at_once_and_one_that_has_some_is_not(code: InstalledCode) -> None:
    with pytest.raises(ValueError, match='no PAW set-up of PBE for P, as the code gpaw@'):
        LabelWorkChain.get_builder_from_protocol(code, configurations('LiP'))
    assert LabelWorkChain.get_builder_from_protocol(code, configurations('LiP', 'LiS')).code.pk == code.pk


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        ({'max_walltime_seconds': 10}, r'jobs\.options\.max_walltime_seconds = 10 .*but max_wallclock_seconds is'),
        ({'resources': {'num_cores': 4}}, r"jobs\.options = \{'resources'.*gpaw does not take"),
        ({'max_wallclock_seconds': 'long'}, r'gpaw does not take .*max_wallclock_seconds'),
    ],
)
def test_options_that_no_job_takes_are_refused_at_once(options: Any, words: str, code: InstalledCode) -> None:
    with pytest.raises(ValueError, match=words):
        LabelWorkChain.get_builder_from_protocol(code, configurations('LiS'), options=options)
