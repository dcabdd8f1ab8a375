"""Files that describe computers and codes: what is wrong in them is named."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import aiida_litraj
from aiida_litraj.calculations.base import RUNTIME_OPTIONS
from aiida_litraj.codes import SetupProblem
from aiida_litraj.codes.computers import differences, ensure_computer, find_computer
from aiida_litraj.codes.configuration import read_configuration, settle_python
from aiida_litraj.codes.environment import Environment

TEMPLATES = Path(aiida_litraj.__file__).parent / 'cli' / 'templates'


@pytest.mark.usefixtures('aiida_profile_clean')
@pytest.mark.parametrize('name', sorted(path.stem for path in TEMPLATES.glob('*.yml')))
def test_template_can_be_set_up_as_it_is(name: str) -> None:
    for environment in read_configuration(TEMPLATES / f'{name}.yml').settled():
        assert environment.engine_python


@pytest.mark.usefixtures('aiida_profile_clean')
def test_template_of_a_cluster_asks_for_what_it_says() -> None:
    (gpu,) = read_configuration(TEMPLATES / 'slurm-gpu.yml').settled()
    assert gpu.families == ('sevennet',)
    assert gpu.script.splitlines() == [
        "module load cuda/12.4 || { echo 'litraj: the modules cuda/12.4 could not be loaded' >&2; exit 78; }",
        'export LITRAJ_PYTHON="/home/me/envs/sevennet/bin/python"',
    ]
    assert gpu.options == {
        'account': 'my-project',
        'queue_name': 'gpu',
        'max_wallclock_seconds': 43200,
        'max_memory_kb': 64 * 2**20,
        'resources': {'num_machines': 1, 'num_mpiprocs_per_machine': 1, 'num_cores_per_mpiproc': 8},
        'custom_scheduler_commands': '#SBATCH --gres=gpu:a100:1',
        'device': 'cuda',
    }


@pytest.mark.usefixtures('aiida_profile_clean')
@pytest.mark.parametrize('name', sorted(path.stem for path in TEMPLATES.glob('*.yml')))
def test_codes_of_a_template_are_where_it_says(name: str, tmp_path: Path) -> None:
    """On its computer, also where a code is a comment: one on another machine has an interpreter that is not there."""
    text = (TEMPLATES / f'{name}.yml').read_text()
    first = read_configuration(TEMPLATES / f'{name}.yml').settled()
    assert len(first) == 1  # the one family that anybody has to have
    path = tmp_path / 'all.yml'
    begin = text.find('  # - name: ')
    shown = text if begin < 0 else text[:begin] + re.sub(r'(?m)^  # ', '  ', text[begin:])
    path.write_text(shown)
    found = read_configuration(path).settled()
    assert len(found) == shown.count('  - name: ')
    assert {one.computer for one in found} == {first[0].computer}
    assert {str(one.options.get('queue_name')) for one in found} == {str(first[0].options.get('queue_name'))}


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
        ('codes: [{name: a, engine_pyhton: b}]', r"no field 'engine_pyhton'.*Did you mean 'engine_python'\?"),
        ('codes: [{name: a, engine_python: b, options: device}]', "options of the code 'a' is 'device'"),
        ('computers: [{label: a, hostnam: b}]', r"no field 'hostnam'.*Did you mean 'hostname'\?"),
        ('computers: [{label: a, scratch: /b, work_dir: /c}]', r'has a scratch \(/b\) and a work_dir \(/c\)'),
        ('computers: [{label: a, scratch: b}]', "scratch of the computer 'a' is a relative path, 'b/aiida'"),
        ('computers: [{label: a, gpus: {request: gress}}]', "in the computer 'a': gpus.request = 'gress'"),
        (
            'codes: [{name: a, conda: b, gpus: {conut: 2}}]',
            "in the code 'a': gpus.conut = 2 is not known, but count is",
        ),
        ('codes: [{name: a, conda: b, gpus: {count: 0}}]', 'gpus.count = 0'),
        (
            'codes: [{name: a, conda: b, gpus: {type: "a100\\n#SBATCH --x"}}]',
            'gpus.type = .*the name of a type is wanted',
        ),
        ('codes: [{name: a, conda: b, partition: "a; rm"}]', "partition = 'a; rm': one word is wanted"),
        ('codes: [{name: a, conda: b, walltime: soon}]', "walltime = 'soon': write a time as"),
        ('codes: [{name: a, conda: b, walltime: 30}]', 'walltime = 30'),
        ('codes: [{name: a, conda: b, walltime: 24:00}]', "walltime = '24:00': two parts may be"),
        ('codes: [{name: a, conda: b, walltime: "30:00"}]', "walltime = '30:00': two parts may be"),
        (
            'codes: [{name: a, conda: b, options: {max_wallclock_seconds: 24:00}}]',
            "options.max_wallclock_seconds of the code 'a' = '24:00' is no time",
        ),
        ('codes: [{name: a, conda: b, gpus: {type: "a100:2"}}]', "gpus.type = 'a100:2': the name of a type is wanted"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / 'cluster.yml'
    path.write_text(content)
    with pytest.raises(SetupProblem, match=message):
        read_configuration(path)


@pytest.mark.parametrize(
    ('written', 'seconds'),
    [('24:00:00', 86400), ('12:30:00', 45000), ('1-12:00:00', 129600), ('2-06:00', 194400), ('7200', 7200)],
)
def test_walltime_in_a_file_needs_no_quotes(tmp_path: Path, written: str, seconds: int) -> None:
    path = tmp_path / 'cluster.yml'
    path.write_text(
        f'codes:\n- {{name: a, conda: b, walltime: {written}}}\n'
        f'- {{name: b, conda: b, options: {{max_wallclock_seconds: {written}}}}}\n'
    )
    for environment in read_configuration(path).environments:
        assert environment.settled('core.slurm').options == {'max_wallclock_seconds': seconds}


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
            ({'label': 'a', 'poll_interval': '30s'}, "poll_interval of the computer 'a' is '30s'"),
            ({'label': 'a', 'poll_interval': -1}, "poll_interval of the computer 'a' is -1"),
            ({'label': 'a', 'mpiprocs_per_machine': '4'}, "mpiprocs_per_machine of the computer 'a' is '4'"),
            ({'label': 'a', 'mpiprocs_per_machine': 0}, "mpiprocs_per_machine of the computer 'a' is 0"),
            ({'label': 'a', 'connection': {'nix': 1}}, "the connection of the computer 'a' cannot be set"),
        ],
    )
    def test_what_is_wrong_is_named(self, entry: dict[str, Any], message: str) -> None:
        from aiida.orm import Computer

        with pytest.raises(SetupProblem, match=message):
            ensure_computer(entry)
        assert Computer.collection.count() == 0

    def test_one_that_exists_stays_as_it_is_and_what_differs_is_said(self, tmp_path: Path) -> None:
        ensure_computer({'label': 'here', 'work_dir': str(tmp_path), 'poll_interval': 3, 'prepend_text': 'true'})
        other = {'label': 'here', 'scratch': '/elsewhere', 'poll_interval': 5, 'prepend_text': 'true'}
        computer, created = ensure_computer(other)
        assert (created, computer.get_workdir()) == (False, str(tmp_path))
        assert differences(computer, other) == [f"work_dir is {str(tmp_path)!r}, the file says '/elsewhere/aiida'"]
        assert computer.get_minimum_job_poll_interval() == 5

    def test_option_that_no_job_has_is_named_before_anything_is_stored(self, tmp_path: Path) -> None:
        path = tmp_path / 'here.yml'
        path.write_text('computers: [{label: here}]\ncodes: [{name: a, engine_python: /p, options: {qeue_name: b}}]')
        with pytest.raises(SetupProblem, match=r"no field 'qeue_name'.*Did you mean 'queue_name'\?"):
            read_configuration(path).settled()

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


def code(**fields: Any) -> Environment:
    return Environment.read({'name': 'a', 'engine_python': '/p', **fields})


@pytest.mark.parametrize(
    ('gpus', 'lines'),
    [
        ({}, ['--gres=gpu:1']),
        ({'type': 'a100', 'count': 2}, ['--gres=gpu:a100:2']),
        ({'request': 'gpus', 'constraint': 'a100&nvlink'}, ['--gpus=1', '--constraint=a100&nvlink']),
        ({'request': 'gpus-per-task', 'type': 'h100'}, ['--ntasks=1', '--gpus-per-task=h100:1']),
        ({'request': 'gpus-per-node', 'count': 4}, ['--gpus-per-node=4']),
        ({'request': 'none', 'constraint': 'gpu'}, ['--constraint=gpu']),
    ],
)
def test_gpus_are_asked_for_as_the_site_wants_it(gpus: dict[str, Any], lines: list[str]) -> None:
    options = (
        code(gpus=gpus, options={'custom_scheduler_commands': '#SBATCH --exclude=n1'}).settled('core.slurm').options
    )
    said = options['custom_scheduler_commands'].splitlines()
    assert said == [f'#SBATCH {line}' for line in [*lines, '--exclude=n1']]
    assert options['device'] == 'cuda'


def test_gpus_of_a_machine_without_a_queue_are_a_matter_of_the_engine() -> None:
    assert code(gpus={'type': 'rtx'}).settled('core.direct').options == {'device': 'cuda'}


@pytest.mark.parametrize(
    ('written', 'seconds'), [('2h', 7200), ('90min', 5400), ('1-12:00:00', 129600), ('02:00:00', 7200)]
)
def test_walltime_as_people_write_it(written: str, seconds: int) -> None:
    assert code(walltime=written).settled('core.direct').options == {'max_wallclock_seconds': seconds}


@pytest.mark.parametrize(
    ('fields', 'scheduler', 'message'),
    [
        ({'partition': 'gpu'}, 'core.direct', "partition = 'gpu' of the code 'a' wants a queue"),
        ({'memory_gib': 4}, 'core.direct', "memory_gib = 4.0 of the code 'a' wants a queue"),
        ({'gpus': {'request': 'gres'}}, 'core.pbspro', r"asked for by '--gres=gpu:1'.* core.pbspro, not core.slurm"),
        ({'partition': 'a', 'options': {'queue_name': 'b'}}, 'core.slurm', r"options.queue_name = 'b', and 'a'"),
        (
            {'gpus': {}, 'options': {'custom_scheduler_commands': '#SBATCH --gres=gpu:1'}},
            'core.slurm',
            "GPUs of the code 'a' are asked for twice",
        ),
        (
            {'gpus': {}, 'options': {'custom_scheduler_commands': '#SBATCH -G 1'}},
            'core.slurm',
            "GPUs of the code 'a' are asked for twice",
        ),
        (
            {'gpus': {'constraint': 'a100'}, 'options': {'custom_scheduler_commands': '#SBATCH -C v100'}},
            'core.slurm',
            "constraints of the code 'a' are asked for twice",
        ),
        (
            {'gpus': {'request': 'gpus-per-task'}, 'options': {'custom_scheduler_commands': '#SBATCH --ntasks=4'}},
            'core.slurm',
            "numbers of tasks of the code 'a' are asked for twice",
        ),
        (
            {'gpus': {'request': 'gpus-per-task'}, 'options': {'resources': {'num_mpiprocs_per_machine': 4}}},
            'core.slurm',
            "gpus of the code 'a' are asked for by task, and options.resources ask for 4 processes",
        ),
    ],
)
def test_what_the_scheduler_has_not_or_is_said_twice_is_refused(
    fields: dict[str, Any], scheduler: str, message: str
) -> None:
    with pytest.raises(SetupProblem, match=message):
        code(**fields).settled(scheduler)


def test_names_of_modules_and_environments_cannot_reach_the_shell(tmp_path: Path) -> None:
    """A shell in whose path ``module`` and ``conda`` only say with which words they were called."""
    odd = ['cuda/12.4; touch ran', '$(touch ran)', "a'`touch ran`"]
    script = code(modules=odd, conda='env; touch ran').settled('core.direct').script
    stub = 'module() { printf "%s|" "$@"; }; conda() { [ "$1" = info ] && echo /nowhere || printf "%s|" "$@"; }\n'
    done = subprocess.run(['bash', '-c', stub + script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == '|'.join(['load', *odd, 'activate', 'env; touch ran', ''])
    assert not (tmp_path / 'ran').exists()


STUB = 'module() { [ "$2" = there ]; }; conda() { [ "$1" = info ] && echo /nowhere || [ "$2" = there ]; }\n'


@pytest.mark.parametrize(
    ('fields', 'said'),
    [
        ({'modules': 'gone', 'conda': 'there'}, 'the modules gone could not be loaded'),
        ({'modules': 'there', 'conda': 'my gone'}, 'the conda environment my gone could not be activated'),
    ],
)
def test_environment_that_is_not_there_ends_the_job(fields: dict[str, Any], said: str) -> None:
    """Or the engine would run in whatever Python there is, under the name of another."""
    from aiida_litraj.codes.asked import NOT_BROUGHT

    script = STUB + code(**fields).settled('core.direct').script + '\necho engine'
    done = subprocess.run(['bash', '-c', script], capture_output=True, text=True, check=False)
    found = NOT_BROUGHT.search(done.stderr)
    assert (done.returncode, done.stdout, found and found[1]) == (78, '', said)
    there = STUB + code(modules='there', conda='there').settled('core.direct').script + '\necho engine'
    assert subprocess.run(['bash', '-c', there], capture_output=True, text=True, check=True).stdout == 'engine\n'


def test_conda_is_brought_into_the_path_before_it_is_called(tmp_path: Path) -> None:
    bring = STUB.replace('conda()', 'later()') + 'eval "$(declare -f later | sed s/later/conda/)"'
    script = code(prepend_text=bring, conda='there').settled('core.direct').script + '\necho engine'
    done = subprocess.run(['bash', '-c', script], capture_output=True, text=True, check=True)
    assert done.stdout == 'engine\n'


def test_what_is_usual_on_a_computer_holds_for_its_codes(tmp_path: Path) -> None:
    path = tmp_path / 'cluster.yml'
    path.write_text(
        'computers:\n'
        '  - {label: far, hostname: far, transport: core.ssh_async, scheduler: core.slurm,\n'
        '     partition: gpu, account: me, gpus: {request: gpus, type: a100}}\n'
        'codes:\n'
        '  - {name: a, computer: far, engine_python: /p, account: you, gpus: {count: 2}}\n'
        '  - {name: b, computer: far, engine_python: /p}\n'
        '  - {name: c, engine_python: /p}\n'
    )
    first, second, third = read_configuration(path).environments
    assert first.settled('core.slurm').options == {
        **{'queue_name': 'gpu', 'account': 'you', 'device': 'cuda'},
        **({'gpus': 2} if 'gpus' in RUNTIME_OPTIONS else {}),
        'custom_scheduler_commands': '#SBATCH --gpus=a100:2',
    }
    assert second.settled('core.slurm').options == {'queue_name': 'gpu', 'account': 'me'}
    assert third.settled('core.direct').options == {}
