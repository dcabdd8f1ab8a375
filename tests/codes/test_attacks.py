"""What a set-up or a job's folder could smuggle in: code by a file's name, shell by a path, secrets into the graph."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from aiida_litraj.codes import SetupProblem
from aiida_litraj.codes.bundle import EXECUTABLE, engine_files, write_folder
from aiida_litraj.codes.computers import ensure_computer
from aiida_litraj.codes.environment import Environment
from tests.engine.tasks.replicas import Replica, crystal, hold, parameters, write_job

MODULES = ('numpy', 'pydantic', 'json', 'torch', 'sitecustomize', 'aiida_litraj')


@pytest.mark.parametrize('processes', [1, 2])
def test_engine_takes_no_file_of_the_job_for_a_module(processes: int, tmp_path: Path) -> None:
    """Nor do its workers; from Python 3.11 on."""
    if sys.version_info < (3, 11):
        pytest.skip('Python 3.10 cannot be told')
    replicas = {name: Replica(crystal(1), [hold(4.0)]) for name in 'ab'}
    folder = write_job(tmp_path / 'job', replicas, parameters(), runtime={'processes': processes})
    write_folder(engine_files(), folder)
    for name in MODULES:
        (folder / f'{name}.py').write_text(f'open({str(tmp_path / "canary")!r}, "a").write({name!r})\n')
    environment = {**os.environ, 'LITRAJ_PYTHON': sys.executable, 'PYTHONPATH': ''}
    ran = subprocess.run([f'./{EXECUTABLE}', 'run', 'job.json'], cwd=folder, env=environment, capture_output=True)
    assert ran.returncode == 0, ran.stderr
    assert not (tmp_path / 'canary').exists(), (tmp_path / 'canary').read_text()
    assert '"status": 0' in (folder / 'result.json').read_text()


@pytest.mark.parametrize('name', ['a\n', 'a\nb', '-rf', '../a', '$(touch canary)', 'a;b', 'ä', ''])
def test_name_of_a_code_is_a_plain_one(name: str) -> None:
    with pytest.raises(SetupProblem, match='cannot be the name of a code'):
        Environment(name, engine_python='python3')


@pytest.mark.parametrize(
    'path',
    [
        '$(touch canary)', '`touch canary`', '"; touch canary; "', '${x:-$(touch canary)}', '\\"; touch canary',
        '\n touch canary',
    ],
)  # fmt: skip
def test_path_of_an_interpreter_is_no_shell(path: str, tmp_path: Path) -> None:
    script = Environment('a', engine_python=path).script + '\nprintf %s "$LITRAJ_PYTHON"'
    said = subprocess.run(['bash', '-c', script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert list(tmp_path.iterdir()) == []
    assert said.stdout == path


@pytest.mark.parametrize(
    ('fields', 'named'),
    [
        ({'options': {'environment_variables': {'HF_TOKEN': 'hf_abc'}}}, 'options.environment_variables.HF_TOKEN'),
        ({'options': {'custom_scheduler_commands': 'export PGPASSWORD=abc'}}, 'custom_scheduler_commands, PGPASSWORD'),
        ({'prepend_text': 'module load cuda\nexport WANDB_API_KEY="abc"'}, 'prepend_text, WANDB_API_KEY'),
        ({'prepend_text': 'git clone https://me:abc@example.org/x'}, 'prepend_text, https'),
    ],
)
def test_secret_of_a_code_is_refused_by_name_and_not_repeated(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(SetupProblem) as caught:
        Environment('a', engine_python='python3', **fields)
    assert f"{named} of the code 'a' looks like a secret" in caught.value.message
    assert 'export' in caught.value.remedy
    assert '$(cat ~/.' in caught.value.remedy
    assert 'abc' not in str(caught.value)


@pytest.mark.parametrize(
    ('connection', 'named'),
    [
        ({'password': 'abc'}, 'connection.password'),
        ({'key_passphrase': 'abc'}, 'connection.key_passphrase'),
        ({'proxy_command': 'sshpass -p abc ssh -W %h:%p gate'}, 'connection.proxy_command, sshpass'),
    ],
)
@pytest.mark.usefixtures('aiida_profile')
def test_secret_of_a_connection_is_refused(connection: dict[str, str], named: str) -> None:
    from aiida.orm import Computer

    entry = {'label': 'cluster', 'hostname': 'h', 'transport': 'core.ssh', 'connection': connection}
    with pytest.raises(SetupProblem) as caught:
        ensure_computer(entry)
    assert f"{named} of the computer 'cluster' looks like a secret" in caught.value.message
    assert 'abc' not in str(caught.value)
    assert ['cluster'] not in [list(row) for row in Computer.collection.list_labels()]


@pytest.mark.parametrize(
    'fields',
    [
        {'prepend_text': 'export HF_TOKEN=$(cat ~/.hf_token)'},
        {'prepend_text': 'export HF_TOKEN="$OF_THE_SITE"'},
        {'prepend_text': 'git clone https://me:$TOKEN@example.org/x; sshpass -p "$PASS" ssh gate'},
        {'prepend_text': 'export HF_TOKEN_PATH=/home/me/.hf_token TOKENIZERS_PARALLELISM=false'},
        {'options': {'environment_variables': {'OMP_NUM_THREADS': '4', 'TOKENIZERS_PARALLELISM': 'false'}}},
        {'options': {'account': 'key_project', 'queue_name': 'secretariat'}},
    ],
)
def test_what_only_names_a_secret_is_taken(fields: dict[str, Any]) -> None:
    Environment('a', engine_python='python3', **fields)
