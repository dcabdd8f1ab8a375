"""The engine that travels: complete, nothing more, and the same bytes every time."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import aiida_litraj
from aiida_litraj.codes.bundle import (
    ARCHIVE,
    EXECUTABLE,
    digest,
    engine_files,
    engine_sources,
    pack_archive,
    write_folder,
)
from aiida_litraj.contract.potential import ProbeReport

PACKAGE = Path(aiida_litraj.__file__).parent


def test_holds_contract_and_engine_and_nothing_of_aiida() -> None:
    files = engine_files()
    assert set(files) == {ARCHIVE, EXECUTABLE}
    assert files[EXECUTABLE].startswith(b'#!/bin/sh')
    with zipfile.ZipFile(io.BytesIO(files[ARCHIVE])) as archive:
        sources = {name: archive.read(name) for name in archive.namelist()}
    launcher = 'aiida_litraj/engine/launcher.sh'
    assert sources == {path: content for path, content in engine_sources().items() if path != launcher}
    assert {Path(path).parts[1] for path in sources} == {'__init__.py', 'contract', 'engine'}
    assert {'aiida_litraj/engine/cli.py', 'aiida_litraj/contract/neb.py'} <= set(sources)
    assert not [path for path in sources if '__pycache__' in path or path.endswith('.pyc')]
    assert not [path for path, content in sources.items() if b'import aiida\n' in content or b'from aiida ' in content]


def test_what_the_interpreter_leaves_behind_changes_nothing(tmp_path: Path) -> None:
    for name in ('one', 'two'):
        shutil.copytree(PACKAGE, tmp_path / name, ignore=shutil.ignore_patterns('__pycache__'))
    (tmp_path / 'two/engine/__pycache__').mkdir()
    (tmp_path / 'two/engine/__pycache__/cli.cpython-311.pyc').write_bytes(b'\0')
    (tmp_path / 'two/engine/.cli.py.swp').write_bytes(b'\0')
    one, two = (engine_files(tmp_path / name) for name in ('one', 'two'))
    assert digest(one) == digest(two)
    assert pack_archive(one) == pack_archive(two)
    (tmp_path / 'two/engine/cli.py').write_bytes(b'# another\n')
    assert digest(engine_files(tmp_path / 'two')) != digest(one)


def test_archive_unpacks_to_the_files() -> None:
    files = {EXECUTABLE: b'#!/bin/sh\n', 'aiida_litraj/__init__.py': b'x = 1\n'}
    with tarfile.open(fileobj=io.BytesIO(pack_archive(files))) as archive:
        found = {member.name: archive.extractfile(member).read() for member in archive.getmembers()}  # type: ignore[union-attr]
        modes = {member.name: member.mode for member in archive.getmembers()}
    assert found == files
    assert modes == {EXECUTABLE: 0o755, 'aiida_litraj/__init__.py': 0o644}


def test_runs_where_nothing_of_ours_is_installed(tmp_path: Path) -> None:
    """The folder alone answers a probe, called from inside as AiiDA does, by an interpreter that is told by name."""
    write_folder(engine_files(), tmp_path)
    environment = {'LITRAJ_PYTHON': sys.executable, 'PATH': '/usr/bin:/bin', 'HOME': str(tmp_path)}
    done = subprocess.run(
        [f'./{EXECUTABLE}', 'probe'], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    report = ProbeReport.model_validate_json(done.stdout)
    assert report.engine_version == aiida_litraj.__version__
    assert next(family for family in report.families if family.family == 'toy').available
