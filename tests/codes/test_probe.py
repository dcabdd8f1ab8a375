"""The probe runs through the transport of the computer, leaves nothing behind, and explains what is broken."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aiida_litraj.codes import SetupProblem
from aiida_litraj.codes.choose import computer_of
from aiida_litraj.codes.configuration import require_families
from aiida_litraj.codes.environment import Environment
from aiida_litraj.codes.probe import probe_code, probe_environment
from aiida_litraj.codes.register import register
from aiida_litraj.contract.potential import PotentialSpec

pytestmark = pytest.mark.usefixtures('aiida_profile_clean')


def left_in(computer: Any) -> list[Path]:
    return list(Path(computer.get_workdir()).glob('litraj-probe-*'))


def test_environment_and_code_say_the_same(environment: Any, aiida_localhost: Any) -> None:
    report = probe_environment(environment, aiida_localhost)
    code = register(environment, report).code
    assert probe_code(code) == report
    assert 'toy' in [family.family for family in report.families if family.available]
    assert left_in(computer_of(code)) == []


def test_potential_is_loaded_by_the_engine(environment: Any, aiida_localhost: Any) -> None:
    code = register(environment, probe_environment(environment, aiida_localhost)).code
    good = probe_code(code, PotentialSpec(family='toy', name='morse'))
    assert good.error is None
    assert good.potential is not None
    assert good.potential.sha256 is not None
    bad = probe_code(code, PotentialSpec(family='toy', name='morze'))
    assert 'morze' in str(bad.error)
    assert left_in(aiida_localhost) == []


def test_talkative_login_scripts_do_no_harm(environment: Any, aiida_localhost: Any) -> None:
    noisy = replace(environment, prepend_text='echo "Welcome to {the cluster}: {}"; echo "quota: { 1 TB }"')
    assert probe_environment(noisy, aiida_localhost).python == probe_environment(environment, aiida_localhost).python


@pytest.mark.parametrize(
    ('content', 'message', 'remedy'),
    [
        ('echo "No module named \'pydantic\'" >&2; exit 1', 'lacks pydantic', 'python -m pip install pydantic'),
        ('echo "ModuleNotFoundError: No module named \'numpy\'" >&2; exit 1', 'lacks numpy', 'pip install numpy'),
        ('echo "SyntaxError: invalid syntax" >&2; exit 1', 'is too old', 'Python 3.10 or newer'),
        ('echo "libcuda.so.1: cannot open" >&2; exit 1', 'libcuda.so.1: cannot open', 'module load'),
        ('exit 9', 'no output, exit status 9', ''),
        ('echo "{}"', 'does not run', ''),
    ],
)
def test_broken_environment_is_explained(
    aiida_localhost: Any, script: Any, content: str, message: str, remedy: str
) -> None:
    broken = Environment('broken', aiida_localhost.label, script(content))
    with pytest.raises(SetupProblem) as caught:
        probe_environment(broken, aiida_localhost)
    assert message in caught.value.message
    assert remedy in str(caught.value.remedy)
    assert left_in(aiida_localhost) == []


@pytest.mark.parametrize('field', ['engine_python', 'installed'])
def test_missing_program_is_named(aiida_localhost: Any, field: str) -> None:
    with pytest.raises(SetupProblem, match='/nowhere/program'):
        probe_environment(Environment('broken', aiida_localhost.label, **{field: '/nowhere/program'}), aiida_localhost)


def test_name_of_an_installed_engine_is_no_shell(aiida_localhost: Any, tmp_path: Path) -> None:
    odd = f'./engine; touch {tmp_path}/made'
    with pytest.raises(SetupProblem):
        probe_environment(Environment('odd', aiida_localhost.label, installed=odd), aiida_localhost)
    assert not (tmp_path / 'made').exists()


def test_unreachable_computer_is_named(aiida_computer: Any) -> None:
    computer = aiida_computer(label='closed', transport_type='core.local')
    computer.configure()
    computer.set_workdir('/proc/no/such/place')
    with pytest.raises(SetupProblem, match=r"the computer 'closed' cannot be used.*doctor --computer closed"):
        probe_environment(Environment('broken', 'closed', '/usr/bin/python3'), computer)


def test_family_that_is_meant_must_be_there(environment: Any, report: Any) -> None:
    require_families(environment, report)
    with pytest.raises(SetupProblem, match='/envs/toy/bin/python -m pip install sevenn'):
        require_families(replace(environment, name='sevennet'), report)
    with pytest.raises(SetupProblem, match="lacks the family 'sevennet'"):
        require_families(replace(environment, families=('toy', 'sevennet')), report)
    with pytest.raises(SetupProblem, match="knows no family 'nequip'"):
        require_families(replace(environment, families=('nequip',)), report)
