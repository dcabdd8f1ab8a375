"""What an import costs and what it drags in, each in a fresh interpreter, and the rules between the rooms."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BUDGET_S = 0.2
HAVE_AIIDA = importlib.util.find_spec('aiida') is not None


def _python(code: str) -> str:
    """Return what a fresh interpreter prints that runs ``code`` at the root of the repository."""
    done = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _loaded(module: str) -> set[str]:
    """Return the top-level packages in memory after ``module`` was imported in a fresh interpreter."""
    return set(
        json.loads(
            _python(f'import {module}, sys, json; print(json.dumps(sorted({{m.split(".")[0] for m in sys.modules}})))')
        )
    )


def test_importing_the_package_is_cheap_and_drags_nothing_in() -> None:
    timed = 'import time; start = time.perf_counter(); import aiida_litraj; print(time.perf_counter() - start)'
    # The shortest of three: the import's own cost, not the machine's load.
    assert min(float(_python(timed)) for _ in range(3)) < BUDGET_S
    assert not {'aiida', 'ase', 'matplotlib', 'numpy', 'pydantic', 'torch'} & _loaded('aiida_litraj')


@pytest.mark.parametrize('module', ['contract', 'engine.cli', 'engine.models', 'engine.tasks.neb'])
def test_the_engine_leaves_aiida_and_torch_absent(module: str) -> None:
    """Torch comes with the first potential that needs it, AiiDA never."""
    assert not {'aiida', 'ase', 'click', 'torch', 'yaml'} & _loaded(f'aiida_litraj.{module}')


def test_the_contract_needs_only_pydantic_and_numpy() -> None:
    assert not {'aiida', 'ase', 'matplotlib', 'scipy', 'torch'} & _loaded('aiida_litraj.contract')


@pytest.mark.skipif(not HAVE_AIIDA, reason='aiida-core is not installed here')
@pytest.mark.parametrize('layout', ['mplitrj', 'nebdft2k', 'mplitrj_raw', 'obelix', 'plain'])
def test_importers_of_data_sets_start_quickly(layout: str) -> None:
    """They run in processes of their own; ASE comes with the first file that needs it, AiiDA never."""
    assert not {'aiida', 'ase', 'scipy', 'torch'} & _loaded(f'aiida_litraj.datasets.importers.{layout}')


@pytest.mark.skipif(not HAVE_AIIDA, reason='aiida-core is not installed here')
@pytest.mark.parametrize('module', ['calculations.neb', 'parsers.neb', 'workflows.barrier', 'data.potential'])
def test_the_aiida_rooms_leave_torch_scipy_and_the_engine_absent(module: str) -> None:
    """Every command and every worker of a daemon imports them: scipy would make their start longer by a third."""
    listed = _python(f'import aiida_litraj.{module}, sys; print("\\n".join(sys.modules))').splitlines()
    assert not {'torch', 'scipy.interpolate', 'scipy.sparse', 'scipy.spatial'} & set(listed)
    assert [name for name in listed if name.startswith('aiida_litraj.engine')] == []


@pytest.mark.skipif(not HAVE_AIIDA, reason='aiida-core is not installed here')
def test_the_command_line_answers_without_loading_aiida() -> None:
    """Completion and ``--help`` should not take the seconds that aiida-core needs."""
    assert not {'aiida', 'matplotlib', 'torch'} & _loaded('aiida_litraj.cli')


def test_the_rooms_import_downwards_only() -> None:
    lint = shutil.which('lint-imports', path=sysconfig.get_path('scripts'))
    if lint is None:
        pytest.skip('import-linter is not installed here')
    done = subprocess.run([lint, '--no-cache'], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
