"""Codes of electronic-structure programs, with shell scripts in their place."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aiida_litraj.codes import SetupProblem, dft
from aiida_litraj.codes.choose import list_codes
from aiida_litraj.codes.dft import DFT_EXTRA, DftRequest, choose_dft_code, is_there, probe_dft, register_dft
from aiida_litraj.codes.register import OPTIONS, register

STARTS = 'echo "     Program PWSCF v.{version} starts on 1Jan2026"'
GPAW = 'echo \'litraj: {"version": "22.8.0", "ranks": 1, "setups": {"PBE": ["Li", "S"]}}\''


@pytest.fixture
def program(tmp_path: Path) -> Any:
    """``program(name, lines)`` is the path of a shell script."""

    def write(name: str, lines: str) -> str:
        path = tmp_path / name
        path.write_text(f'#!/bin/sh\n{lines}\n')
        path.chmod(0o755)
        return str(path)

    return write


def test_a_program_is_run_once_and_its_code_made_once(
    aiida_profile_clean: Any, aiida_localhost: Any, program: Any
) -> None:
    request = DftRequest('pw', aiida_localhost.label, program('pw.x', STARTS.format(version='7.3')))
    assert not is_there(request)
    answer = probe_dft(request)
    assert (answer.version, answer.ranks, answer.executable) == ('7.3', 1, request.executable)
    made = register_dft(request, answer)
    code = made.code
    assert made.state == 'new' and code.full_label == f'pw@{aiida_localhost.label}'
    assert code.default_calc_job_plugin == 'quantumespresso.pw' and code.with_mpi is False
    assert 'export OMP_NUM_THREADS=1' in code.prepend_text and 'pw 7.3' in code.prepend_text
    assert code.base.extras.get(OPTIONS)['resources']['num_mpiprocs_per_machine'] == 1
    assert code.base.extras.get(DFT_EXTRA)['version'] == '7.3'
    assert is_there(request) and choose_dft_code(None).pk == code.pk
    assert list_codes() == []  # it is none of the engine's

    again = register_dft(request, probe_dft(request))
    assert again.state == 'same' and again.code.pk == code.pk

    # A new version is another code: no label of the old one is taken from the cache for one of the new.
    program('pw.x', STARTS.format(version='7.4'))
    newer = register_dft(request, probe_dft(request))
    assert newer.state == 'replaced' and newer.code.pk != code.pk
    assert newer.hidden_label.startswith('pw-old-') and code.is_hidden
    assert newer.code.base.caching._compute_hash() != code.base.caching._compute_hash()
    assert choose_dft_code('pw').pk == newer.code.pk


def test_gpaw_tells_its_set_ups(aiida_profile_clean: Any, aiida_localhost: Any, program: Any) -> None:
    request = DftRequest('gpaw', aiida_localhost.label, program('gpaw', GPAW))
    answer = probe_dft(request)
    assert answer.setups == {'PBE': ['Li', 'S']}
    assert register_dft(request, answer).code.default_calc_job_plugin == 'ase.ase'


def test_other_set_ups_of_the_same_version_are_another_code(
    aiida_profile_clean: Any, aiida_localhost: Any, program: Any, tmp_path: Path
) -> None:
    """A package in the place of GPAW says where its set-ups are; what is asked is what GPAW is asked."""
    own, installed, package = (tmp_path / name for name in ('own', 'installed', 'python/gpaw'))
    for folder in (own, installed, package):
        folder.mkdir(parents=True)
    (package / '__init__.py').write_text(f'__version__ = "22.8.0"\nsetup_paths = {[str(own), str(installed)]!r}\n')
    (package / 'mpi.py').write_text('class world:\n    rank, size = 0, 1\n')
    start = f'shift\nPYTHONPATH={package.parent} exec {sys.executable} "$@"'
    request = DftRequest('gpaw', aiida_localhost.label, program('gpaw', start))

    def asked() -> Any:
        return register_dft(request, probe_dft(request))

    (installed / 'Li.PBE.gz').write_bytes(b'one electron')
    (installed / 'S.LDA').write_bytes(b'six')
    first = asked()
    assert first.code.base.extras.get(DFT_EXTRA)['setups'] == {'PBE': ['Li'], 'LDA': ['S']}
    (installed / 'Li.dzp.basis').write_bytes(b'atomic orbitals')  # nothing to plane waves
    assert asked().state == 'same'
    (installed / 'Li.PBE.gz').write_bytes(b'3 electrons.')  # of the same size
    second = asked()
    assert second.state == 'replaced'
    (own / 'Li.PBE.gz').write_bytes(b'one electron')  # the first folder of the path wins
    assert asked().code.pk == first.code.pk
    hashes = {made.code.base.caching._compute_hash() for made in (first, second)}
    assert len(hashes) == 2


@pytest.mark.parametrize(
    ('lines', 'told'),
    [
        (None, 'there is no pw.x of Quantum ESPRESSO on the computer'),
        ('echo "pw.x: libmkl_core.so: cannot open shared object file" >&2; exit 127', r'does not start.*libmkl_core'),
        ('exit 3', 'no output'),
    ],
)
def test_what_does_not_start_makes_no_code(
    aiida_profile_clean: Any, aiida_localhost: Any, program: Any, lines: str | None, told: str
) -> None:
    path = '/nowhere/pw.x' if lines is None else program('pw.x', lines)
    with pytest.raises(SetupProblem, match=told) as problem:
        probe_dft(DftRequest('pw', aiida_localhost.label, path))
    assert '--pw' in str(problem.value.remedy)


def test_ranks_that_do_not_know_of_each_other_are_refused(
    aiida_profile_clean: Any, aiida_localhost: Any, program: Any
) -> None:
    """What an mpirun of another MPI starts runs as several programs of one rank."""
    aiida_localhost.set_mpirun_command(['env', 'RANKS={tot_num_mpiprocs}'])
    path = program('pw.x', STARTS.format(version='7.3'))
    with pytest.raises(SetupProblem, match='was started with 4 ranks and runs with 1'):
        probe_dft(DftRequest('pw', aiida_localhost.label, path, ranks=4))
    program('pw.x', f'{STARTS.format(version="7.3")}\necho "Parallel version (MPI), running on $RANKS processors"')
    answer = probe_dft(DftRequest('pw', aiida_localhost.label, path, ranks=4))
    made = register_dft(DftRequest('pw', aiida_localhost.label, path, ranks=4), answer)
    assert made.code.with_mpi is True
    assert made.code.base.extras.get(OPTIONS)['resources']['num_mpiprocs_per_machine'] == 4


def test_a_code_is_chosen_by_name_where_there_are_several(
    aiida_profile_clean: Any, aiida_localhost: Any, program: Any
) -> None:
    with pytest.raises(SetupProblem, match='no code that gives labels'):
        choose_dft_code(None)
    for kind, name, lines in (('pw', 'pw.x', STARTS.format(version='7.3')), ('gpaw', 'gpaw', GPAW)):
        request = DftRequest(kind, aiida_localhost.label, program(name, lines))
        register_dft(request, probe_dft(request))
    with pytest.raises(SetupProblem, match=r'several codes give labels: gpaw@.*, pw@'):
        choose_dft_code(None)
    assert choose_dft_code('gpaw').label == 'gpaw'
    with pytest.raises(SetupProblem, match="no code 'vasp'"):
        choose_dft_code('vasp')


def of_a_person(computer: Any, plugin: str, executable: str = '/usr/bin/true') -> Any:
    from aiida.orm import InstalledCode

    return InstalledCode(
        label='gpaw', computer=computer, filepath_executable=executable, default_calc_job_plugin=plugin
    ).store()


@pytest.mark.parametrize('plugin', ['ase.ase', 'core.arithmetic.add', 'litraj.neb'])
def test_code_of_somebody_else_keeps_its_label(
    aiida_profile_clean: Any, aiida_localhost: Any, program: Any, plugin: str
) -> None:
    other = of_a_person(aiida_localhost, plugin)
    request = DftRequest('gpaw', aiida_localhost.label, program('gpaw', GPAW))
    answer = probe_dft(request)
    with pytest.raises(SetupProblem, match=f"the name 'gpaw' is taken by the code gpaw@.*{plugin}") as problem:
        register_dft(request, answer)
    assert '--label gpaw-dft' in problem.value.remedy
    assert (other.label, other.is_hidden) == ('gpaw', False)
    made = register_dft(replace(request, label='gpaw-dft'), answer)
    assert (made.state, made.code.label) == ('new', 'gpaw-dft')


def test_label_of_what_is_no_code_is_free(aiida_profile_clean: Any, aiida_localhost: Any, program: Any) -> None:
    """The settings of a back end are a node of its name."""
    from aiida.orm import Dict

    Dict({}, label='gpaw').store()
    request = DftRequest('gpaw', aiida_localhost.label, program('gpaw', GPAW))
    assert register_dft(request, probe_dft(request)).state == 'new'


def test_engine_and_program_do_not_take_each_others_name(
    aiida_profile_clean: Any, environment: Any, report: Any, aiida_localhost: Any, program: Any
) -> None:
    request = DftRequest('gpaw', aiida_localhost.label, program('gpaw', GPAW))
    answer = probe_dft(request)
    made = register_dft(request, answer).code
    with pytest.raises(SetupProblem, match=r"'gpaw' is taken by the code gpaw@.* of the plugin ase\.ase") as problem:
        register(replace(environment, name='gpaw'), report)
    assert '--name gpaw-engine' in problem.value.remedy
    assert (made.label, made.is_hidden, choose_dft_code('gpaw').pk) == ('gpaw', False, made.pk)
    register(replace(environment, name='gpaw-engine'), report)
    with pytest.raises(SetupProblem, match=r"'gpaw-engine' is taken by the code gpaw-engine"):
        register_dft(replace(request, label='gpaw-engine'), answer)
    assert [code.label for code in list_codes()] == ['gpaw-engine']


def test_program_that_does_not_answer_is_stopped(
    aiida_profile_clean: Any, aiida_localhost: Any, program: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else this waits until the time of a test is over."""
    monkeypatch.setattr(dft, 'TIMEOUT_S', 1)
    with pytest.raises(SetupProblem, match=r'gave no answer on the computer .* within 1 s'):
        probe_dft(DftRequest('pw', aiida_localhost.label, program('pw.x', 'sleep 3600')))


def test_no_mpi_is_run_on_a_login_node(aiida_profile_clean: Any, tmp_path: Path, program: Any) -> None:
    from aiida.orm import Computer

    queue = Computer(
        label='queue', hostname='localhost', transport_type='core.local', scheduler_type='core.slurm',
        workdir=str(tmp_path / 'work'),
    ).store()  # fmt: skip
    queue.configure()
    queue.set_mpirun_command(['mpirun-that-is-not-there'])
    request = DftRequest('pw', queue.label, program('pw.x', STARTS.format(version='7.3')), ranks=32)
    answer = probe_dft(request)
    assert (answer.ranks, answer.mpi_tried) == (32, False)
    made = register_dft(request, answer).code
    assert made.with_mpi is True
    assert made.base.extras.get(OPTIONS)['resources']['num_mpiprocs_per_machine'] == 32
