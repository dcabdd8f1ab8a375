"""An installation of its own for the command line as a person has it: no profile, nothing but an interpreter."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ase.build import bulk

HOP = '0,1,0,0,0'
LATTICE_ANG = 4.0
"""Of the fcc crystal on which the Morse potential of the tests is at its minimum: nearest neighbours at 2.83 Ang."""


@dataclass(frozen=True)
class Installation:
    """Runs ``aiida-litraj`` as a process, with its own configuration folder and home."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith('AIIDA')}
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get('PATH', '')])
        own = {'AIIDA_PATH': str(self.folder / 'aiida'), 'HOME': str(self.folder), 'PATH': path, 'OMP_NUM_THREADS': '1'}
        return {**kept, **own}

    def call(self, *arguments: str, program: tuple[str, ...] = ('-m', 'aiida_litraj.cli')) -> Any:
        """Return the completed process of the program with these arguments."""
        return subprocess.run(
            [sys.executable, *program, *arguments],
            cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=240, check=False,
        )  # fmt: skip

    def json(self, *arguments: str) -> Any:
        """Return what the program prints with ``--json``; it must succeed and print nothing else."""
        done = self.call(*arguments, '--json')
        assert done.returncode == 0, f'{done.stdout}\n{done.stderr}'
        return json.loads(done.stdout)


@pytest.fixture(scope='session')
def crystal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An fcc crystal of lithium atoms."""
    path = tmp_path_factory.mktemp('crystals') / 'fcc.cif'
    bulk('Li', 'fcc', a=LATTICE_ANG, cubic=True).write(path)
    return path


@pytest.fixture(scope='session')
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    made = Installation(tmp_path_factory.mktemp('installation'))
    yield made
    if (made.folder / 'aiida').exists():
        made.call('daemon', 'stop', program=('-m', 'aiida'))


@pytest.fixture(scope='session')
def set_up(installation: Installation) -> dict[str, Any]:
    """What the first ``setup`` says."""
    content: dict[str, Any] = installation.json('setup', '--name', 'toy', '--engine-python', sys.executable)
    return content


@pytest.fixture(scope='session')
def potential(installation: Installation, set_up: dict[str, Any]) -> dict[str, Any]:
    content: dict[str, Any] = installation.json('potential', 'import', '--family', 'toy', '--name', 'morse')
    return content


@pytest.fixture(scope='session')
def barrier(installation: Installation, potential: dict[str, Any], crystal: Path) -> dict[str, Any]:
    """The barrier of a vacancy hop in the fcc crystal, launched in the foreground."""
    arguments = ('launch', 'barrier', str(crystal), '--hop', HOP, '--potential', 'morse', '--supercell-min', '8')
    content: dict[str, Any] = installation.json(*arguments, '--images', '5')
    return content
