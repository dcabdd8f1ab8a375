"""The walk along the links: order, what waits for what, time limits; and judgements that need no broken machine."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from aiida_litraj.cli.doctor import _draw
from aiida_litraj.codes.doctor import LINKS, Finding, Limits, chain, examine, polling, submission
from aiida_litraj.codes.doctor.case import Case
from aiida_litraj.codes.doctor.chain import Link
from aiida_litraj.codes.doctor.deadline import TooSlow, deadline
from aiida_litraj.codes.doctor.finding import Answer, broken, ok, unchecked, warning
from aiida_litraj.codes.doctor.job import Ended, gpu_lines
from aiida_litraj.contract.potential import FamilyReport, ProbeReport
from tests.fixtures import rabbitmq

SHORT = Limits(answer_s=0.1, task_s=0.1, job_s=0.1)


def answers(monkeypatch: pytest.MonkeyPatch, *links: tuple[str, Any, tuple[str, ...]]) -> list[Finding]:
    """Return the findings of a chain of links of the profile, the first of which is its storage."""
    made = [Link(name, 'profile', check, needs) for name, check, needs in links]
    monkeypatch.setattr(chain, 'LINKS', tuple(made))
    findings: dict[tuple[str, str], Finding] = {}
    return list(chain._walk('profile', Case('p', SHORT), '', findings, lambda _: None))


def test_each_link_needs_only_earlier_ones() -> None:
    names = [link.name for link in LINKS]
    assert len(set(names)) == len(names)
    for place, link in enumerate(LINKS):
        assert set(link.needs) <= set(names[:place]), link


def test_what_waits_names_the_first_in_the_row(monkeypatch: pytest.MonkeyPatch) -> None:
    found = answers(
        monkeypatch,
        ('a', lambda _: broken('torn', 'mend it'), ()),
        ('b', lambda _: ok('well'), ('a',)),
        ('c', lambda _: ok('well'), ('b',)),
        ('d', lambda _: warning('worn', 'look after it'), ()),
        ('e', lambda _: unchecked('not wanted'), ('d',)),
        ('f', lambda _: ok('well'), ('e',)),
    )
    assert [(one.status, one.waits_for) for one in found] == [
        ('broken', None), ('not checked', 'a'), ('not checked', 'a'), ('warning', None), ('not checked', None),
        ('ok', None),
    ]  # fmt: skip


def test_findings_in_a_file_are_a_line_each_whatever_their_length(capsys: pytest.CaptureFixture[str]) -> None:
    """A table would fold them at a width that nobody sees, so that no search finds a path or a message whole."""
    long = f'/{"very/" * 60}long/path cannot be written:\n  no space left'
    found = [
        Finding('storage', '', ok('SQLite'), None), Finding('device', 'gpu', broken(long, 'make room'), None),
        Finding('job', 'toy', unchecked('waits for device'), 'device'),
    ]  # fmt: skip
    _draw(found)
    assert capsys.readouterr().out.splitlines()[:3] == [
        'ok           storage: SQLite', f'BROKEN       device of gpu: {" ".join(long.split())}',
        'not checked  job of toy: waits for device',
    ]  # fmt: skip


def test_check_that_hangs_and_one_that_trips_are_findings(monkeypatch: pytest.MonkeyPatch) -> None:
    def trip(_: Case) -> Answer:
        raise KeyError('oops')

    found = answers(monkeypatch, ('slow', lambda _: time.sleep(60), ()), ('odd', trip, ()))  # type: ignore[func-returns-value]
    assert [one.status for one in found] == ['broken', 'broken']
    assert 'no answer within 0.3 s' in found[0].answer.message
    assert "KeyError: 'oops'" in found[1].answer.message


def test_deadline_leaves_the_alarm_of_others_alone() -> None:
    with pytest.raises(TooSlow, match=r'within 0\.3 s'), deadline(0.3):
        with pytest.raises(TooSlow, match=r'within 0\.05 s'), deadline(0.05):
            time.sleep(5)
        time.sleep(5)


def report(**fields: Any) -> str:
    return ProbeReport(
        **{
            'engine_version': '0.1.0',
            'python_version': '3.11',
            'python': '/p',
            'platform': 'Linux',
            'devices': ['cpu'],
            'families': [FamilyReport(family='toy', available=True, package='numpy', version='2.0')],
            **fields,
        }
    ).model_dump_json()


class CodeOf:
    """Stands for a code with these options."""

    def __init__(self, **options: Any) -> None:
        self.label = 'c'
        self.base = type('Base', (), {'extras': {'litraj_options': options}})


GRES = {'custom_scheduler_commands': '#SBATCH --gres=gpu:1\n#SBATCH --exclude=n1'}
TWO = {'device': 'cuda', 'custom_scheduler_commands': '#SBATCH --gres=gpu:2080ti:2'}
SEEN = ['cpu', 'cuda:0 NVIDIA H200']


@pytest.mark.parametrize(
    ('options', 'devices', 'torch', 'status', 'said'),
    [
        ({}, ['cpu'], None, 'ok', 'processors, as asked for'),
        ({'device': 'cuda', **GRES}, SEEN, '2.13.0+cu130', 'ok', 'cuda:0 NVIDIA H200'),
        (
            GRES,
            ['cpu'],
            '2.13.0+cu130',
            'broken',
            'by --gres=gpu:1, and torch sees none on n7: torch 2.13.0+cu130 finds no driver',
        ),
        (GRES, ['cpu'], '2.13.0+cpu', 'broken', 'is a build without CUDA'),
        ({'device': 'cuda'}, ['cpu'], '2.13.0+cu130', 'broken', 'but the scheduler was asked for none'),
        ({'device': 'cuda'}, ['cpu'], None, 'broken', '/p has no torch'),
        ({'device': 'cuda:1', **GRES}, SEEN, '2.13.0+cu130', 'broken', 'torch sees 1 GPU(s)'),
        (TWO, SEEN, '2.13.0+cu130', 'broken', '2 GPUs were asked for, and torch sees 1 GPU(s)'),
        (TWO, [*SEEN, 'cuda:1 NVIDIA H200'], '2.13.0+cu130', 'ok', 'cuda:1 NVIDIA H200'),
        ({**TWO, 'gpus': 1}, SEEN, '2.13.0+cu130', 'ok', 'cuda:0 NVIDIA H200'),
        ({'device': 'cuda', 'gpus': 2}, SEEN, '2.13.0+cu130', 'broken', '2 GPUs were asked for'),
        ({**TWO, 'resources': {'num_machines': 2}}, SEEN, '2.13.0+cu130', 'broken', '2 GPUs were asked for'),
        ({'device': 'cpu', **GRES}, SEEN, '2.13.0+cu130', 'warning', 'computes on processors'),
    ],
)
def test_gpu_that_was_asked_for_and_what_torch_sees(
    options: dict[str, Any], devices: list[str], torch: str | None, status: str, said: str
) -> None:
    from aiida_litraj.codes.doctor import device

    packages = {} if torch is None else {'torch': torch}
    case = Case('p', SHORT, code=CodeOf(**options), ended=Ended(report(devices=devices, packages=packages), '', 'n7'))
    answer = device.check(case)
    assert (answer.status, said in answer.message) == (status, True), answer


def test_lines_that_ask_for_gpus() -> None:
    assert gpu_lines(GRES) == ['--gres=gpu:1']
    assert gpu_lines({}) == []
    asking = ['-G 1', '--gpus-per-node=1', '--gres=tmp:1,gpu:a100:2']
    naming = ['--exclude=gpu017', '--qos=gpu_long', '--constraint=nogpu', '--gres=tmp:1']
    commands = '\n'.join(f'#SBATCH {line}' for line in [*naming, *asking])
    assert gpu_lines({'custom_scheduler_commands': commands}) == asking


@pytest.mark.parametrize('kills', [True, False])
@pytest.mark.usefixtures('aiida_profile_clean')
def test_job_that_one_does_not_wait_for_leaves_nothing(monkeypatch: pytest.MonkeyPatch, kills: bool) -> None:
    """With Ctrl-C the job is cancelled and its folder goes; not below one that could not be cancelled."""
    from types import SimpleNamespace

    from aiida import engine

    from aiida_litraj.calculations import probe
    from aiida_litraj.codes.doctor import job

    done: list[str] = []

    def interrupt(*_: Any) -> bool:
        raise KeyboardInterrupt

    def kill(*_: Any) -> bool:
        done.append('killed')
        return kills

    monkeypatch.setattr(probe, 'probe_options', lambda *_: {})
    monkeypatch.setattr(engine, 'submit', lambda *_, **__: SimpleNamespace(pk=1))
    monkeypatch.setattr(job, 'wait_for_end', interrupt)
    monkeypatch.setattr(job, 'kill', kill)
    monkeypatch.setattr(job, '_clean', lambda *_: done.append('cleaned'))
    with pytest.raises(KeyboardInterrupt):
        job.check(Case('p', SHORT, computer=SimpleNamespace(), code=CodeOf()))  # type: ignore[arg-type]
    assert done == (['killed', 'cleaned'] if kills else ['killed'])


@pytest.mark.usefixtures('aiida_profile_clean')
class TestComputer:
    def case(self, aiida_localhost: Any, **options: Any) -> Case:
        return Case('p', SHORT, computer=aiida_localhost, code=CodeOf(**options))

    @pytest.mark.parametrize(('seconds', 'status'), [(0, 'warning'), (1, 'ok'), (3600, 'warning')])
    def test_intervals(self, aiida_localhost: Any, seconds: float, status: str) -> None:
        aiida_localhost.set_minimum_job_poll_interval(seconds)
        answer = polling.check(self.case(aiida_localhost))
        assert answer.status == status
        assert status == 'ok' or 'poll_interval: ' in str(answer.remedy)

    def test_slurm_is_asked_what_a_job_would_ask(self, aiida_profile_clean: Any) -> None:
        from aiida.orm import Computer

        computer = Computer('c', 'c', '', 'core.ssh_async', 'core.slurm', '/w').store()
        asked = {'queue_name': 'gpu', 'account': 'me', 'qos': 'low', 'max_wallclock_seconds': 7200, **GRES}
        header = submission.header(self.case(computer, **asked)).splitlines()
        assert header[0] == '#!/bin/bash'
        for line in ('--partition=gpu', '--account=me', '--qos=low', '--time=02:00:00', '--gres=gpu:1', '--nodes=1'):
            assert f'#SBATCH {line}' in header

    def test_processes_that_wait_for_nobody(self, aiida_profile_clean: Any) -> None:
        from datetime import timedelta

        from aiida.common import timezone
        from aiida.engine import ProcessState
        from aiida.orm import WorkChainNode

        from aiida_litraj.codes.doctor import processes

        assert processes.check(Case('p', SHORT)).status == 'ok'
        paused, lost = WorkChainNode(), WorkChainNode(ctime=timezone.now() - timedelta(hours=1))
        for node, state in ((paused, ProcessState.WAITING), (lost, ProcessState.CREATED)):
            node.set_process_state(state)
            node.store()
        paused.pause()
        answer = processes.check(Case('p', SHORT))
        assert (answer.status, answer.facts) == ('warning', {'created': [lost.pk]})
        assert 'process repair' in str(answer.remedy)
        lost.set_process_state(ProcessState.FINISHED)
        answer = processes.check(Case('p', SHORT))
        assert answer.facts == {'paused': [paused.pk]}
        assert f'verdi -p p process play {paused.pk}' in str(answer.remedy)

    def test_code_that_is_not_there_is_named_before_anything_is_submitted(
        self, aiida_profile_clean: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from aiida_litraj.codes import SetupProblem

        looked: list[str] = []
        for options in ({'codes': ('nix',)}, {'computers': ('nix',)}):
            with pytest.raises(SetupProblem, match=r"no (code|computer) 'nix'"):
                list(examine(None, **options, quick=True, say=looked.append))  # type: ignore[arg-type]
        assert looked == ['profile', 'storage'] * 2

    def test_heartbeat_that_does_not_end_is_killed(
        self, aiida_profile_clean: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from types import SimpleNamespace

        from aiida import engine

        from aiida_litraj.codes.doctor import tasks

        killed: list[Any] = []
        node = SimpleNamespace(pk=0, is_terminated=False, process_state='ProcessState.CREATED', is_excepted=False)
        monkeypatch.setattr(engine, 'submit', lambda *_, **__: node)
        monkeypatch.setattr(tasks, 'kill', lambda one, _: killed.append(one))
        monkeypatch.setattr(tasks, 'deaf', lambda *_: '')
        answer = tasks.check(Case(None, SHORT))
        assert (answer.status, killed) == ('broken', [node])
        assert 'still Created' in answer.message

    def test_scheduler_is_asked_for_ones_own_jobs(self, aiida_profile_clean: Any) -> None:
        from types import SimpleNamespace

        from aiida.orm import Computer

        from aiida_litraj.codes.doctor import scheduler

        asked: list[str] = []

        def run(command: str) -> tuple[int, str, str]:
            asked.append(command)
            return 0, '', ''

        computer = Computer('c', 'c', '', 'core.ssh_async', 'core.slurm', '/w').store()
        login: Any = SimpleNamespace(run=run, user='me')
        assert scheduler.check(Case('p', SHORT, computer=computer, session=login)).status == 'ok'
        assert 'squeue' in asked[1]
        assert '-ume' in asked[1].split()


@pytest.mark.parametrize(
    ('said', 'link', 'message'),
    [
        ('@@@\nHost key verification failed.\r\n', 'host_key', 'the host key of far is not in known_hosts'),
        ('me@far: Permission denied (publickey).', 'login', 'none of the keys is accepted'),
        ('ssh: connect to host far port 22: Connection refused', 'login', 'the login on far fails: ssh: connect to'),
    ],
)
@pytest.mark.usefixtures('aiida_profile_clean')
def test_ssh_itself_that_fails_is_no_command_that_does(
    monkeypatch: pytest.MonkeyPatch, said: str, link: str, message: str
) -> None:
    """With the backend ``openssh`` nothing connects before the first command."""
    from aiida.orm import Computer
    from aiida.transports.plugins.ssh_async import AsyncSshTransport

    from aiida_litraj.codes.doctor import host_key, login
    from aiida_litraj.codes.doctor.session import Session

    async def fail(*_: Any, **__: Any) -> tuple[int, str, str]:
        return 255, '', said

    computer = Computer('far', 'far', '', 'core.ssh_async', 'core.slurm', '/w').store()
    computer.configure(host='far', backend='openssh')
    monkeypatch.setattr(AsyncSshTransport, 'exec_command_wait_async', fail)
    monkeypatch.setattr(host_key, 'way_of', lambda _: None)
    monkeypatch.setattr(login, 'way_of', lambda _: None)
    session = Session(computer, 5)
    try:
        answer = {'host_key': host_key, 'login': login}[link].check(
            Case('p', SHORT, computer=computer, session=session)
        )
    finally:
        session.close()
    assert answer.status == 'broken'
    assert message in answer.message


@pytest.mark.slurm
@pytest.mark.timeout(300)
@pytest.mark.skipif(bool(rabbitmq.missing()), reason=rabbitmq.missing())
def test_rabbitmq_lets_one_in_or_names_what_is_wrong(
    tmp_path: Path, aiida_profile_clean: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from types import SimpleNamespace

    from aiida.manage import configuration

    from aiida_litraj.codes.doctor import broker as link

    def look(**changed: Any) -> Answer:
        control = {'backend': 'core.rabbitmq', 'config': {**config, **changed}}
        storage = {'backend': 'core.sqlite_dos', 'config': {}}
        profile = configuration.Profile('p', {'storage': storage, 'process_control': control})
        monkeypatch.setattr(configuration, 'get_config', lambda: SimpleNamespace(get_profile=lambda _: profile))
        return link.check(Case('p', Limits(answer_s=20)))

    with rabbitmq.broker(tmp_path) as config:
        assert look().status == 'ok'
        wrong = look(broker_password='hush')
        assert (wrong.status, "does not let 'guest' in: user or password" in wrong.message) == ('broken', True), wrong
        assert 'hush' not in f'{wrong.message}{wrong.remedy}'
        other = look(broker_virtual_host='nix')
        assert (other.status, "into the virtual host 'nix'" in other.message) == ('broken', True), other


def test_each_address_of_a_name_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where ``localhost`` is ::1 first, and the ssh server listens on 127.0.0.1 alone."""
    import socket
    import threading

    from aiida_litraj.codes.doctor import host

    with socket.create_server(('127.0.0.1', 0)) as server:
        port = server.getsockname()[1]

        def greet() -> None:
            client, _ = server.accept()
            with client:
                client.sendall(b'SSH-2.0-test\r\n')

        threading.Thread(target=greet, daemon=True).start()
        found = [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, '', ('::1', port, 0, 0)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, '', ('127.0.0.1', port)),
        ]
        monkeypatch.setattr(socket, 'getaddrinfo', lambda *_, **__: found)
        monkeypatch.setattr(host, 'name_of', lambda _: 'c')
        monkeypatch.setattr(host, 'way_of', lambda _: host.Way('c', port, True, False))
        answer = host.check(Case('p', Limits(answer_s=5)))
    assert answer.status == 'ok', answer


def test_note_that_a_full_disk_has_emptied_is_told_before_a_broker_reads_it(aiida_profile: Any) -> None:
    """aiida-core takes what is written there for a folder to delete; nothing stands for the one that it is in."""
    from aiida_litraj.codes.doctor import broker as link

    note = link.zeromq_layout(aiida_profile).sockets_file
    before = note.read_bytes() if note.exists() else None
    note.parent.mkdir(parents=True, exist_ok=True)
    try:
        note.write_bytes(b'')
        found = link.check(Case(aiida_profile.name, SHORT))
        assert found.status == 'broken'
        assert f'{note} is empty' in found.message
        assert f'rm {note}' in found.remedy
        note.write_text('/somewhere/else')
        assert 'is empty' not in link.check(Case(aiida_profile.name, SHORT)).message
    finally:
        note.unlink()
        if before is not None:
            note.write_bytes(before)
