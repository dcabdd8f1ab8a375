"""The walk along the links: order, what waits for what, time limits; and judgements that need no broken machine."""

from __future__ import annotations

import time
from typing import Any

import pytest

from aiida_litraj.codes.doctor import LINKS, Finding, Limits, chain, examine, polling, submission
from aiida_litraj.codes.doctor.case import Case
from aiida_litraj.codes.doctor.chain import Link
from aiida_litraj.codes.doctor.deadline import TooSlow, deadline
from aiida_litraj.codes.doctor.finding import Answer, broken, ok, unchecked, warning
from aiida_litraj.codes.doctor.job import Ended, gpu_lines
from aiida_litraj.contract.potential import FamilyReport, ProbeReport

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

    def test_code_that_is_not_there_is_named(self, aiida_profile_clean: Any) -> None:
        from aiida_litraj.codes import SetupProblem

        with pytest.raises(SetupProblem, match="no code 'nix'"):
            list(examine(None, codes=('nix',), quick=True))
