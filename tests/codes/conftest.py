"""A code whose environment is the interpreter of the tests, which has the analytic potentials."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def environment(aiida_localhost: Any) -> Any:
    from aiida_litraj.codes.environment import Environment

    return Environment('toy', aiida_localhost.label, sys.executable)


@pytest.fixture
def report() -> Any:
    """What an environment with the analytic potentials only would say."""
    from aiida_litraj.contract.potential import FamilyReport, ProbeReport

    families = [
        FamilyReport(family='toy', available=True, package='numpy', version='2.0', names=['morse']),
        FamilyReport(family='sevennet', available=False, package='sevenn', error='no module named sevenn'),
    ]
    return ProbeReport(
        engine_version='0.1.0',
        python_version='3.11.0',
        python='/envs/toy/bin/python',
        platform='Linux',
        families=families,
    )


@pytest.fixture
def script(tmp_path: Path) -> Any:
    """Return a function that writes an executable shell script, to stand for a broken interpreter."""

    def write(content: str) -> str:
        path = tmp_path / 'python'
        path.write_text(f'#!/bin/sh\n{content}\n')
        path.chmod(0o755)
        return str(path)

    return write
