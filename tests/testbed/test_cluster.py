"""Where a cluster cannot be brought up, that is said before anything is done."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.testbed import cluster


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    there = {name for name in cluster.PROGRAMS if not name.startswith(('slurm', 'maria'))}
    monkeypatch.setattr(cluster.shutil, 'which', lambda name, path=None: name if Path(name).name in there else None)
    assert cluster.main(['up']) == cluster.NO_PACKAGES
    assert capsys.readouterr().err.strip().endswith('--no-install-recommends mariadb-server slurm-wlm slurmdbd')


def test_only_root_brings_it_up(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(cluster.shutil, 'which', lambda name, path=None: name)
    monkeypatch.setattr(cluster.os, 'geteuid', lambda: 1000)
    assert cluster.main(['check']) == cluster.NO_ROOT
    assert 'run this as root' in capsys.readouterr().err


@pytest.mark.slurm
@pytest.mark.parametrize('right', ['setuid', 'setgid', 'sys_chroot'])
def test_right_that_a_container_takes_away_is_named(right: str) -> None:
    """Root without one of its capabilities, which the kernel enforces."""
    check = [sys.executable, cluster.__file__, 'check']
    able = subprocess.run(check, capture_output=True, text=True, check=False)
    if able.returncode:
        pytest.skip(able.stderr.strip())
    deprived = ['setpriv', f'--bounding-set=-{right}', *check]
    done = subprocess.run(deprived, capture_output=True, text=True, check=False)
    assert (done.returncode, 'PermissionError' in done.stderr) == (cluster.FORBIDDEN, True), done.stderr


def test_munged_that_refuses_is_quoted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refuses = [sys.executable, '-c', 'raise SystemExit("munged: Error: Keyfile is insecure")']
    monkeypatch.setattr(cluster, 'check_machine', lambda: None)
    monkeypatch.setattr(cluster, 'command_of', lambda it, daemon: refuses)
    monkeypatch.setattr(cluster, 'TRIAL', 'pass')
    monkeypatch.setattr(cluster.tempfile, 'tempdir', str(tmp_path))
    assert cluster.main(['check']) == cluster.FORBIDDEN
    assert 'munged will not run here' in (said := capsys.readouterr().err)
    assert said.strip().endswith('Keyfile is insecure')
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('name', ['with a blank', 'a' * 100, 'full'])
def test_folder_that_cannot_hold_a_cluster_is_left_as_it_is(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cluster, 'check_machine', lambda: None)
    (tmp_path / 'full').mkdir()
    (tmp_path / 'full' / 'thesis.tex').touch()
    before = sorted(tmp_path.rglob('*'))
    assert cluster.main(['up', str(tmp_path / name)]) == cluster.USAGE
    assert name in capsys.readouterr().err
    assert cluster.main(['down', str(tmp_path / name)]) == 0
    assert sorted(tmp_path.rglob('*')) == before


def test_number_that_another_process_has_been_given_is_none_of_ours(tmp_path: Path) -> None:
    made = cluster.Cluster(tmp_path, {}, made_privileges=False)
    (tmp_path / 'run').mkdir()
    own = cluster.os.getpid()
    made.pid_file('sshd').write_text(f'{own} {cluster.started(own)}')
    assert cluster.pid_of(made, 'sshd') == own
    made.pid_file('sshd').write_text(f'{own} {int(cluster.started(own) or 0) - 1}')
    assert cluster.pid_of(made, 'sshd') is None
