"""The program as a whole: quick to start, helpful, and honest in its exit status."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence

import click
import pytest
from click.testing import CliRunner

from aiida_litraj.cli import main
from aiida_litraj.cli.errors import Program, Refusal

COMMANDS = [
    ('setup',), ('potential',), ('potential', 'import'), ('potential', 'list'), ('potential', 'show'),
    ('potential', 'lineage'), ('potential', 'export'), ('launch',),
    ('hops',), ('doctor',),
    ('launch', 'barrier'), ('launch', 'neb'), ('launch', 'neb-benchmark'), ('launch', 'conductivity'),
    ('status',), ('show',), ('plot',), ('dataset',), ('usage',), ('clean',), ('report',),
    ('daemon',), ('daemon', 'start'), ('daemon', 'restart'), ('daemon', 'stop'), ('daemon', 'status'),
]  # fmt: skip
HEAVY = ('aiida', 'ase', 'matplotlib', 'numpy', 'pydantic', 'rich', 'scipy', 'torch')


def test_help_imports_nothing_heavy() -> None:
    program = (
        'import sys, click, aiida_litraj.cli.root as root\n'
        "print(root.main.get_help(click.Context(root.main, info_name='aiida-litraj')))\n"
        f'print([name for name in {HEAVY!r} if name in sys.modules])\n'
    )
    out = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True, check=True).stdout
    assert out.splitlines()[-1] == '[]'


@pytest.mark.parametrize('command', COMMANDS, ids=' '.join)
def test_every_command_helps(command: Sequence[str]) -> None:
    result = CliRunner().invoke(main, [*command, '--help'])
    assert result.exit_code == 0
    is_group = command in (('potential',), ('launch',), ('dataset',), ('daemon',))
    assert is_group or f'aiida-litraj {" ".join(command)}' in result.output.split('Example')[1]


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['lunch'], "No such command 'lunch'"),
        (['show'], "Missing argument 'PK'"),
        (['launch', 'barrier', 'a.cif'], "Missing option '--potential'"),
        (['setup', '--name', 'a'], "the code 'a' needs --engine-python"),
        (['setup', '--engine-python', 'b'], "--engine-python 'b' describes a code: give its name with --name"),
        (['setup', '--from', '/nowhere.yml'], "'/nowhere.yml' does not exist"),
    ],
)
def test_command_line_that_does_not_parse(arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stdout == ''
    as_json = CliRunner().invoke(main, [*arguments, '--json'])
    if '--json' not in as_json.stderr:  # a group or a command line that lacks the option altogether
        assert as_json.exit_code == 2
        assert message in json.loads(as_json.stdout)['error']['message']


def test_refusal_is_a_sentence_or_an_object() -> None:
    @click.group(cls=Program)
    def program() -> None:
        pass

    @program.command()
    @click.option('--json', 'as_json', is_flag=True)
    def refuse(as_json: bool) -> None:
        raise Refusal('the value is 3', 'Make it 4.', pk=7)

    said = CliRunner().invoke(program, ['refuse'])
    assert (said.exit_code, said.stdout, said.stderr) == (1, '', 'Error: the value is 3.\nMake it 4.\n')
    as_json = CliRunner().invoke(program, ['refuse', '--json'])
    assert as_json.exit_code == 1
    assert json.loads(as_json.stdout) == {
        'error': {'message': 'the value is 3', 'remedy': 'Make it 4.', 'exit_code': 1, 'pk': 7}
    }


def test_a_locked_database_is_a_sentence() -> None:
    @click.command()
    def locked() -> None:
        raise RuntimeError('(sqlite3.OperationalError) database is locked\n[SQL: INSERT INTO db_dblog ...]')

    program = Program('program', commands={'locked': locked})
    done = CliRunner().invoke(program, ['locked'])
    assert done.exit_code == 1
    assert done.stderr.startswith('Error: the database is locked.')
    assert 'aiida-litraj daemon stop' in done.stderr and 'INSERT' not in done.stderr


@pytest.mark.parametrize('arguments', [(), ('slurm-gpu',), ('slurm-cpu',), ('workstation',), ('local',)])
def test_template_is_printed_as_it_is(arguments: tuple[str, ...]) -> None:
    from pathlib import Path

    import aiida_litraj

    templates = Path(aiida_litraj.__file__).parent / 'cli' / 'templates'
    result = CliRunner().invoke(main, ['setup', '--template', *arguments])
    assert result.stdout == (templates / f'{(arguments or ("slurm-gpu",))[0]}.yml').read_text()
