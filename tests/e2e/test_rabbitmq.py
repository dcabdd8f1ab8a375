"""The throw-away RabbitMQ of the tests: lets tasks take their time, listens to nobody else, and leaves nothing."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.test_slurm import processes_of
from tests.fixtures import rabbitmq

pytestmark = [pytest.mark.slurm, pytest.mark.skipif(bool(rabbitmq.missing()), reason=rabbitmq.missing())]

ASK = 'application:get_env(rabbit, consumer_timeout).'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / 'broker'
    made.mkdir()
    return made


def test_server_is_there_for_us_alone_and_then_gone(folder: Path) -> None:
    with rabbitmq.broker(folder) as said:
        assert rabbitmq.greets(said['broker_port'])
        found = processes_of(folder)
        sockets = [each for process in found for each in process.net_connections() if each.status == 'LISTEN']
        assert said['broker_port'] in {each.laddr.port for each in sockets}
        assert {each.laddr.ip for each in sockets} <= {'127.0.0.1', '::1'}
        (server,) = [process for process in found if process.name() == 'beam.smp']
        control = [rabbitmq.SERVER.with_name('rabbitmqctl'), 'eval', ASK]
        done = subprocess.run(control, env=server.environ(), capture_output=True, text=True, check=False)
        assert done.stdout.strip() == '{ok,undefined}', done.stderr
    assert not processes_of(folder)
    assert not rabbitmq.greets(said['broker_port'])


def test_server_that_does_not_come_up_is_quoted_and_gone(folder: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(rabbitmq, 'CONFIGURATION', '[{rabbit, [{no end')
    with pytest.raises(RuntimeError, match=r'(?s)has ended at once\. It says:\n.*advanced'), rabbitmq.broker(folder):
        pass
    assert not processes_of(folder)
