"""Asking an environment what it can do, through the transport of its computer, before any job is queued there.

The engine is unpacked in a folder of its own under the computer's work directory, ``litraj-engine probe`` runs there
after the same lines of shell as a job, and the folder goes again. Only that process ever opens a potential.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import shlex
import tempfile
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from ..contract.potential import PotentialSpec, ProbeReport
from .asked import NOT_BROUGHT
from .bundle import EXECUTABLE, engine_files, pack_archive
from .choose import computer_of
from .environment import Environment
from .problems import SetupProblem
from .register import shipped_files

if TYPE_CHECKING:
    from aiida.orm import AbstractCode, Computer

_ARCHIVE, _SCRIPT, _POTENTIAL = 'upload.tar', 'probe.sh', 'potential.json'


@dataclass(frozen=True)
class _Answer:
    status: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class _Question:
    """What to run where: ``program`` is the engine, ``files`` what is unpacked beside it."""

    name: str
    script: str
    program: str
    files: Mapping[str, bytes]


def probe_environment(environment: Environment, computer: Computer) -> ProbeReport:
    """Return what the engine finds in an environment that has no code yet.

    :raises SetupProblem: if the engine can't run there; the remedy says what to install or correct.
    """
    installed = environment.installed is not None
    question = _Question(
        environment.name,
        environment.script,
        str(environment.installed) if installed else f'./{EXECUTABLE}',
        {} if installed else engine_files(),
    )
    return _probe(computer, question, environment.engine_python)


def probe_code(code: AbstractCode, spec: PotentialSpec | None = None, checkpoint: Path | None = None) -> ProbeReport:
    """Return what the engine of a code finds, after loading the potential if one is given.

    ``checkpoint`` is the file named by ``spec.file``. A potential that doesn't load is not an exception here: the
    report has ``error`` then.

    :raises SetupProblem: if the engine can't run.
    """
    from aiida.orm import InstalledCode

    installed = isinstance(code, InstalledCode)
    files = {} if installed else shipped_files(code)
    if spec is not None:
        files[_POTENTIAL] = spec.model_dump_json().encode()
        if checkpoint is not None and spec.file is not None:
            files[spec.file] = checkpoint.read_bytes()
    program = str(code.filepath_executable) if installed else f'./{code.filepath_executable}'
    return _probe(computer_of(code), _Question(code.label, code.prepend_text, program, files))


def _probe(computer: Computer, question: _Question, python: str | None = None) -> ProbeReport:
    lines = [computer.get_prepend_text(), question.script]
    command = f'{shlex.quote(question.program)} probe'
    if _POTENTIAL in question.files:
        command += f' --potential {_POTENTIAL}'
    script = '\n'.join([*(line for line in lines if line.strip()), f'exec {command}', ''])
    answer = ask_computer(computer, {**question.files, _SCRIPT: script.encode()})
    report = find_report(answer.stdout)
    if answer.status != 0 or report is None:
        raise _explain(answer, computer, question, python)
    return report


def ask_computer(computer: Computer, files: Mapping[str, bytes]) -> _Answer:
    """Unpack ``files`` on the computer, run the script among them there, and return what it said.

    By the asynchronous side of the transport: the blocking one of ssh wants the broker, which need not run yet.
    """
    try:
        return asyncio.run(_exchange(computer, files))
    except Exception as error:
        # Whatever a transport raises, from a name that doesn't resolve to a full disk, the job would meet it too.
        raise SetupProblem(
            f'the computer {computer.label!r} cannot be used: {error or type(error).__name__}',
            f'See which link is broken: aiida-litraj doctor --computer {computer.label} --quick',
        ) from error


async def _exchange(computer: Computer, files: Mapping[str, bytes]) -> _Answer:
    async with computer.get_transport() as transport:
        base = computer.get_workdir().format(username=await transport.whoami_async())
        folder = PurePosixPath(base) / f'litraj-probe-{uuid.uuid4()}'
        await transport.makedirs_async(str(folder), ignore_existing=True)
        try:
            with tempfile.TemporaryDirectory() as here:
                archive = Path(here, _ARCHIVE)
                archive.write_bytes(pack_archive(files))
                await transport.putfile_async(str(archive), str(folder / _ARCHIVE))
            command = f'tar xf {_ARCHIVE} && bash {_SCRIPT}'
            return _Answer(*await transport.exec_command_wait_async(command, workdir=str(folder)))
        finally:
            await transport.rmtree_async(str(folder))


def find_report(stdout: str) -> ProbeReport | None:
    """Return the report in the output, whatever the login scripts of the computer printed around it."""
    decoder = json.JSONDecoder()
    start = stdout.find('{')
    while start >= 0:
        with contextlib.suppress(ValueError):
            content, _ = decoder.raw_decode(stdout, start)
            return ProbeReport.model_validate(content)
        start = stdout.find('{', start + 1)
    return None


def explain_failure(code: AbstractCode, computer: Computer, stdout: str, stderr: str) -> SetupProblem:
    """Return what is wrong with the environment of a code whose engine, run as a job, has given no report."""
    from aiida.orm import InstalledCode

    named = re.search(r'^export LITRAJ_PYTHON="(.*)"$', code.prepend_text, re.MULTILINE)
    installed = isinstance(code, InstalledCode)
    program = str(code.filepath_executable) if installed else f'./{EXECUTABLE}'
    # A batch script goes on after a program that was not found, so that its exit status does not tell.
    status = 127 if 'not found' in stderr or 'Permission denied' in stderr else 1
    question = _Question(code.label, code.prepend_text, program, {})
    return _explain(_Answer(status, stdout, stderr), computer, question, None if installed or not named else named[1])


def _explain(answer: _Answer, computer: Computer, question: _Question, python: str | None) -> SetupProblem:
    """Return what is wrong with an environment in which the engine did not answer, and what to do."""
    said = answer.stderr.strip() or answer.stdout.strip()
    last = said.splitlines()[-1] if said else f'no output, exit status {answer.status}'
    program = python or 'the Python of the code'
    where = f'on the computer {computer.label!r}'
    not_brought = NOT_BROUGHT.search(answer.stderr)
    if not_brought is not None:
        before = answer.stderr[: not_brought.start()].strip().splitlines()
        reason = f': {before[-1]}' if before else ''
        return SetupProblem(
            f'{not_brought[1]} {where}{reason}',
            'See what there is: module avail, conda env list. What brings conda into the path of a batch job goes into '
            'prepend_text, which runs before: module load miniforge, or . /opt/conda/etc/profile.d/conda.sh',
        )
    if question.program.startswith('./') is False and answer.status in (126, 127):
        return SetupProblem(
            f'there is no program {question.program} that can be run {where}',
            'Give the absolute path of litraj-engine to --installed, or ship the engine: --engine-python PYTHON',
        )
    if answer.status in (126, 127) or 'No such file or directory' in last:
        return SetupProblem(
            f'there is no Python {program} that can be run {where}: {last}',
            'Give the path of the interpreter that has the potential to --engine-python, as it is on that computer.',
        )
    for module in ('pydantic', 'numpy'):
        if f"No module named '{module}'" in said or f'lacks {module}' in said:
            return SetupProblem(
                f'{program} {where} lacks {module}', f'Install it: {python or "python"} -m pip install {module}'
            )
    if 'SyntaxError' in said or 'requires Python' in said:
        return SetupProblem(f'{program} {where} is too old: {last}', 'The engine needs Python 3.10 or newer.')
    return SetupProblem(
        f'the engine of {question.name!r} does not run {where} (exit status {answer.status}): {last}',
        'Its last words are above; a missing module goes into --prepend-text (module load ...).',
    )
