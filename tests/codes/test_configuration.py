"""Files that describe computers and codes: what is wrong in them is named."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import aiida_litraj
from aiida_litraj.codes import SetupProblem
from aiida_litraj.codes.computers import ensure_computer, find_computer
from aiida_litraj.codes.configuration import read_configuration, settle_python
from aiida_litraj.codes.environment import Environment

TEMPLATE = Path(aiida_litraj.__file__).parent / 'cli' / 'templates' / 'cluster.yml'


def test_template_reads() -> None:
    read = read_configuration(TEMPLATE)
    assert [entry['label'] for entry in read.computers] == ['cluster']
    gpu, mace = read.environments
    assert gpu.families == ('sevennet',)
    assert gpu.options['device'] == 'cuda'
    assert gpu.script == 'module load cuda\nexport LITRAJ_PYTHON="/home/me/envs/sevennet/bin/python"'
    assert (mace.name, mace.computer) == ('mace', 'localhost')


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ('codes: [', 'cannot be read'),
        ('machines: []', "has 'machines' at its top"),
        ('just text', "has 'just text' at its top"),
        ('codes: {name: a}', '"codes" in .* is not a list'),
        ('codes: [{name: a, pyton: b}]', "no field 'pyton'"),
        ('codes: [{engine_python: b}]', 'a code has no name'),
        ('codes: [{name: a}]', "the code 'a' needs either a Python or an installed engine"),
        ('codes: [{name: a, engine_python: b, installed: c}]', "engine_python='b' and installed='c'"),
        ('codes: [{name: a b, engine_python: c}]', "'a b' cannot be the name of a code"),
        ('codes: [{name: a, engine_python: 3}]', "engine_python of the code 'a' is 3"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / 'cluster.yml'
    path.write_text(content)
    with pytest.raises(SetupProblem, match=message):
        read_configuration(path)


def test_home_is_expanded_on_the_computer_and_quotes_survive() -> None:
    assert (
        Environment('a', engine_python='~/my envs/bin/python').script
        == 'export LITRAJ_PYTHON="$HOME/my envs/bin/python"'
    )
    assert Environment('a', engine_python='/odd"`name').script == 'export LITRAJ_PYTHON="/odd\\"\\`name"'


@pytest.mark.parametrize(
    ('path', 'said'),
    [
        ('$PLACE/python', '/the place/python'),
        ('${PLACE}/python', '/the place/python'),
        ('~/python', '/home/me/python'),
        ('/a$(echo ran)/`echo ran`', '/a$(echo ran)/`echo ran`'),
        ('/a$((1+1))$', '/a$((1+1))$'),
        ('/a\\$(echo ran)', '/a\\$(echo ran)'),
        ('${PLACE:-$(echo ran)}', '${PLACE:-$(echo ran)}'),
        ('/a"; echo ran; "', '/a"; echo ran; "'),
    ],
)
def test_shell_expands_variables_in_a_path_and_nothing_else(path: str, said: str) -> None:
    script = Environment('a', engine_python=path).script + '\nprintf %s "$LITRAJ_PYTHON"'
    known = {'PLACE': '/the place', 'HOME': '/home/me', 'PATH': os.environ['PATH']}
    done = subprocess.run(['bash', '-c', script], env=known, capture_output=True, text=True, check=True)
    assert done.stdout == said


@pytest.mark.usefixtures('aiida_profile_clean')
class TestComputers:
    def test_made_once(self, tmp_path: Path) -> None:
        entry = {'label': 'here', 'work_dir': str(tmp_path), 'poll_interval': 0, 'prepend_text': 'true'}
        computer, created = ensure_computer(entry)
        again, created_again = ensure_computer(entry)
        assert (created, created_again) == (True, False)
        assert again.uuid == computer.uuid
        assert find_computer('here').get_minimum_job_poll_interval() == 0
        with computer.get_transport() as transport:
            assert transport.whoami()

    @pytest.mark.parametrize(
        ('entry', 'message'),
        [
            ({'label': 'a', 'hosts': 'b'}, "no field 'hosts'"),
            ({'hostname': 'b'}, 'a computer has no label'),
            ({'label': 'a', 'transport': 'core.ssh_async'}, "the computer 'a' has no hostname"),
            ({'label': 'a', 'scheduler': 'core.nix'}, "the scheduler 'core.nix' of the computer 'a' is not known"),
            ({'label': 'a', 'connection': {'nix': 1}}, "the connection of the computer 'a' cannot be set"),
        ],
    )
    def test_what_is_wrong_is_named(self, entry: dict[str, Any], message: str) -> None:
        with pytest.raises(SetupProblem, match=message):
            ensure_computer(entry)

    def test_unknown_computer_lists_those_there_are(self, aiida_localhost: Any) -> None:
        with pytest.raises(SetupProblem, match=rf"no computer 'nix' \(there are: {aiida_localhost.label}\)"):
            find_computer('nix')

    def test_python_of_a_virtual_environment_stays_a_link(self, aiida_localhost: Any, tmp_path: Path) -> None:
        link = tmp_path / 'python'
        link.symlink_to(sys.executable)
        relative = os.path.relpath(link)
        settled = settle_python(Environment('a', aiida_localhost.label, relative), aiida_localhost)
        assert settled.engine_python == str(link)

    def test_python_that_is_not_there_is_named(self, aiida_localhost: Any) -> None:
        with pytest.raises(SetupProblem, match='there is no Python at /nowhere/python'):
            settle_python(Environment('a', aiida_localhost.label, '/nowhere/python'), aiida_localhost)
