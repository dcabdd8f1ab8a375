"""Setting up in the profile that is loaded: what changes, what doesn't, and what is broken."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from aiida_litraj.cli import main

pytestmark = pytest.mark.usefixtures('aiida_profile_clean')


@pytest.fixture(autouse=True)
def computers(aiida_profile_clean: Any, aiida_localhost: Any) -> Any:
    """The localhost of the tests, so that nothing is written beside the profile of the tests."""
    return aiida_localhost


def run(*arguments: str) -> tuple[int, dict[str, Any]]:
    done = CliRunner().invoke(main, ['setup', *arguments, '--json'])
    return done.exit_code, json.loads(done.stdout)


def test_without_a_code_it_makes_only_profile_and_computer() -> None:
    status, content = run()
    assert (status, content['codes']) == (0, [])
    assert not content['profile']['created']
    assert 'Next, a code: aiida-litraj setup --name' in CliRunner().invoke(main, ['setup']).stdout


def test_other_shell_gives_another_code_and_says_so() -> None:
    arguments = ('--name', 'toy', '--engine-python', sys.executable)
    run(*arguments)
    done = CliRunner().invoke(main, ['setup', *arguments, '--prepend-text', 'ulimit -c 0'])
    assert 'engine, packages or settings have changed, the old code is now toy-old-' in done.stdout
    assert 'double_well, ideal_gas, morse, mueller_brown' in done.stdout


def test_other_options_are_said(tmp_path: Path) -> None:
    """They are no part of the code, which stays the same: of three, one is changed, one goes, and one comes."""
    path = tmp_path / 'toy.yml'
    code = {'name': 'toy', 'engine_python': sys.executable}

    def set_up(*arguments: str, **options: Any) -> Any:
        path.write_text(yaml.safe_dump({'codes': [{**code, 'options': options}]}))
        return CliRunner().invoke(main, ['setup', '--from', str(path), *arguments])

    first = set_up(max_wallclock_seconds=60, device='cpu', processes=2)
    assert 'now' not in first.stdout.split('Python')[0]
    said = set_up(max_wallclock_seconds=7200, device='cpu', queue_name='gpu').stdout
    assert 'the same, with other options of its jobs' in said and 'nothing has changed' not in said
    lines = [line.strip() for line in said.splitlines() if line.endswith(' now')]
    assert lines == [
        'max_wallclock_seconds: 60 before, 7200 now', 'processes: 2 before, nothing now',
        "queue_name: nothing before, 'gpu' now",
    ]  # fmt: skip
    made = json.loads(set_up('--json', max_wallclock_seconds=7200, device='cpu').stdout)['codes'][0]
    assert (made['state'], made['options_changed']) == ('same', {'queue_name': ['gpu', None]})
    assert 'nothing has changed' in set_up(max_wallclock_seconds=7200, device='cpu').stdout


def test_file_with_computers_and_codes(tmp_path: Path) -> None:
    path = tmp_path / 'here.yml'
    computer = {'label': 'here', 'work_dir': str(tmp_path / 'work'), 'poll_interval': 0}
    code = {
        'name': 'toy',
        'computer': 'here',
        'engine_python': sys.executable,
        'options': {'max_wallclock_seconds': 60},
    }
    path.write_text(yaml.safe_dump({'computers': [computer], 'codes': [code, {**code, 'name': 'other'}]}))
    status, first = run('--from', str(path))
    assert status == 0
    assert [(entry['name'], entry['state']) for entry in first['codes']] == [('toy', 'new'), ('other', 'new')]
    assert first['computers'][-1] == {'label': 'here', 'created': True, 'differs': [], 'corrected': []}
    _, again = run('--from', str(path))
    assert [entry['state'] for entry in again['codes']] == ['same', 'same']
    assert again['computers'][-1] == {'label': 'here', 'created': False, 'differs': [], 'corrected': []}


def test_computer_with_a_mistyped_name_is_corrected_until_a_job_has_run_there(tmp_path: Path) -> None:
    """The login fails, but by then the computer has its label."""
    from aiida.orm import RemoteData, load_computer

    path = tmp_path / 'far.yml'
    far = {
        'label': 'far', 'hostname': 'far.invalid', 'transport': 'core.ssh_async', 'scheduler': 'core.slurm',
        'work_dir': '/scratch/me',
    }  # fmt: skip
    code = {'name': 'toy', 'computer': 'far', 'engine_python': '/usr/bin/python3', 'account': 'mine'}

    def set_up(**fields: Any) -> dict[str, Any]:
        path.write_text(yaml.safe_dump({'computers': [{**far, **fields}]}))
        status, content = run('--from', str(path))
        assert status == 0
        return dict(content['computers'][-1])

    path.write_text(yaml.safe_dump({'computers': [far], 'codes': [code]}))
    status, _ = run('--from', str(path))
    assert status == 1
    pk = load_computer('far').pk
    right = {'hostname': 'near.invalid', 'work_dir': '/scratch/you'}
    changed = set_up(**right)
    assert changed['corrected'] == [
        "hostname is 'far.invalid', the file says 'near.invalid'",
        "work_dir is '/scratch/me', the file says '/scratch/you'",
    ]
    assert changed['differs'] == []
    found = load_computer('far')
    assert (found.pk, found.hostname, found.get_workdir()) == (pk, 'near.invalid', '/scratch/you')
    assert found.get_configuration()['host'] == 'near.invalid'  # which the transport goes by
    assert set_up(**right) == {'label': 'far', 'created': False, 'differs': [], 'corrected': []}
    set_up(**right, transport='core.local')
    assert (load_computer('far').transport_type, 'host' in load_computer('far').get_configuration()) == (
        'core.local', False,
    )  # fmt: skip
    set_up(**right)
    RemoteData(computer=load_computer('far'), remote_path='/scratch/you/1').store()
    again = set_up()
    assert (again['corrected'], len(again['differs'])) == ([], 2)
    assert load_computer('far').hostname == 'near.invalid'


def test_scheduler_of_a_file_counts_for_a_computer_without_jobs(tmp_path: Path) -> None:
    """An account wants a queue: it was refused for the scheduler that the computer had by mistake."""
    computer = {'label': 'here', 'work_dir': str(tmp_path / 'work'), 'poll_interval': 0}
    path = tmp_path / 'here.yml'
    path.write_text(yaml.safe_dump({'computers': [computer]}))
    run('--from', str(path))
    code = {'name': 'toy', 'computer': 'here', 'engine_python': sys.executable, 'account': 'mine'}
    path.write_text(yaml.safe_dump({'computers': [{**computer, 'scheduler': 'core.slurm'}], 'codes': [code]}))
    status, content = run('--from', str(path))
    assert status == 0, content
    assert content['computers'][-1]['corrected'] == ["scheduler is 'core.direct', the file says 'core.slurm'"]


@pytest.mark.parametrize(('field', 'value'), [('transport', 'core.shh'), ('scheduler', 'core.slrum')])
def test_plugin_that_is_not_there_is_named_with_those_that_are(tmp_path: Path, field: str, value: str) -> None:
    path = tmp_path / 'far.yml'
    path.write_text(yaml.safe_dump({'computers': [{'label': 'far', 'hostname': 'far', field: value}]}))
    status, content = run('--from', str(path))
    assert status == 1
    assert content['error']['message'] == f"the {field} {value!r} of the computer 'far' is not known"
    assert {'transport': 'core.ssh_async', 'scheduler': 'core.slurm'}[field] in content['error']['remedy']


@pytest.mark.parametrize(
    ('arguments', 'message', 'remedy'),
    [
        (('--name', 'sevennet', '--engine-python', sys.executable), "lacks the family 'sevennet'", 'install sevenn'),
        (('--name', 'a', '--engine-python', sys.executable, '--family', 'mace'), "family 'mace'", 'install mace-torch'),
        (('--name', 'a', '--engine-python', '/nowhere/python'), 'no Python at /nowhere/python', '--engine-python'),
        (('--name', 'a', '--installed', '/nowhere/litraj-engine'), 'no program /nowhere/litraj-engine', '--installed'),
        (('--name', 'a', '--engine-python', '/p', '--computer', 'nix'), "no computer 'nix'", 'verdi computer setup'),
        (('--name', 'a b', '--engine-python', '/p'), "'a b' cannot be the name of a code", 'Use letters'),
    ],
)
def test_what_is_broken_is_refused_with_a_remedy(arguments: tuple[str, ...], message: str, remedy: str) -> None:
    from aiida_litraj.codes.choose import list_codes

    status, content = run(*arguments)
    assert status == 1
    assert message in content['error']['message']
    assert remedy in content['error']['remedy']
    assert list_codes() == []


def test_environment_with_nothing_but_the_analytic_potentials_is_warned_of() -> None:
    done = CliRunner().invoke(main, ['setup', '--name', 'plain', '--engine-python', sys.executable])
    assert done.exit_code == 0
    assert 'Warning: no environment has a potential beyond the analytic ones' in done.stderr


def test_unknown_profile_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    done = CliRunner().invoke(main, ['--profile', 'nix', 'potential', 'list'])
    assert done.exit_code == 1
    assert "there is no AiiDA profile 'nix'" in done.stderr
    assert 'aiida-litraj --profile nix setup' in done.stderr


def test_profile_without_a_broker_cannot_submit(monkeypatch: pytest.MonkeyPatch) -> None:
    from aiida.manage import configuration

    from aiida_litraj.codes import SetupProblem
    from aiida_litraj.codes.daemon import ensure_daemon

    class Brokerless:
        name, process_control_backend = 'plain', None

    monkeypatch.setattr(configuration, 'get_profile', lambda: Brokerless)
    with pytest.raises(SetupProblem, match=r"profile 'plain' has no broker.*Launch without --daemon"):
        ensure_daemon()


def test_daemon_is_started_where_there_is_nothing_to_delete(
    aiida_profile: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A broker of aiida-core that starts after a full disk empties the folder that it is in: see docs, faults."""
    from aiida.manage import get_manager

    from aiida_litraj.codes.daemon import PATIENCE_S, ensure_daemon

    places = []
    client = 'aiida.engine.daemon.client.DaemonClient'
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(f'{client}.is_daemon_running', False)
    monkeypatch.setattr(f'{client}.start_daemon', lambda _, number, timeout: places.append((Path.cwd(), timeout)))
    monkeypatch.setattr(type(get_manager()), 'get_communicator', lambda _: None)
    assert ensure_daemon() == 'started'
    ((place, patience),) = places
    assert patience == PATIENCE_S  # of its own AiiDA has two seconds, which a busy machine exceeds
    assert place != tmp_path
    assert not list(place.iterdir())
    assert Path.cwd() == tmp_path


def test_broker_that_cannot_be_reached_is_told_before_anything_is_submitted(
    aiida_profile: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is asked for several times, since it may only just be starting."""
    from aiida.manage import get_manager

    from aiida_litraj.codes import SetupProblem
    from aiida_litraj.codes.daemon import BROKER_ATTEMPTS, ensure_daemon

    asked = []

    def silent(self: Any) -> None:
        asked.append(1)
        raise ConnectionError('not ready')

    monkeypatch.setattr('aiida.engine.daemon.client.DaemonClient.is_daemon_running', True)
    monkeypatch.setattr(type(get_manager()), 'get_communicator', silent)
    with pytest.raises(SetupProblem, match=r'nothing was submitted: the broker of the profile .* verdi status'):
        ensure_daemon()
    assert len(asked) == BROKER_ATTEMPTS
