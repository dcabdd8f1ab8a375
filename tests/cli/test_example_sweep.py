"""The example of a sweep as ``verdi run`` runs it: two tiny MACE from scratch on real labels, error against cost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Installation
from tests.cli.test_examples import ROOT

PYTHON = Path(os.environ.get('LITRAJ_MACE_PYTHON', ROOT / '.venv-mace' / 'bin' / 'python'))
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.mace,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not PYTHON.exists(), reason=f'no environment with mace at {PYTHON}'),
]


def test_example(tmp_path: Path) -> None:
    installation = Installation(tmp_path)
    installation.json('setup', '--name', 'mace', '--engine-python', str(PYTHON))
    picture = tmp_path / 'sweep.png'
    short = ('--channels', '2', '8', '--cutoffs', '4', '--epochs', '1', '--picture', str(picture))
    script = str(ROOT / 'examples' / '09_sweep_mace.py')
    done = subprocess.run(
        [sys.executable, '-m', 'aiida', 'run', script, *short],
        cwd=installation.folder, env=installation.environment, capture_output=True, text=True, timeout=800, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f'{done.stdout}\n{done.stderr}'
    lines = done.stdout.splitlines()
    found = json.loads(lines[-1])
    assert (found['n_train'], found['n_test'], found['held_out'], found['failed']) == (26, 5, 'materials', {})
    points = found['points']
    changed = {name: one['changes'] for name, one in points.items()}
    assert changed == {
        f'point_{number}': {'architecture.channels': channels, 'architecture.cutoff_ang': 4.0}
        for number, channels in enumerate((2, 8))
    }
    errors = {name: one['rmse_force_mev_per_ang']['mean'] for name, one in points.items()}
    uses = {name: one['seconds_per_evaluation']['mean'] for name, one in points.items()}
    assert min(errors.values()) > 50.0, 'an epoch of 26 configurations makes no potential'
    # On the front is who has the least error, and who costs least.
    assert {min(errors, key=errors.__getitem__), min(uses, key=uses.__getitem__)} == set(
        found['fronts']['seconds_per_evaluation']
    )
    assert found['warnings'][0].startswith('26 configurations make no usable potential')
    assert f'Warning: {found["warnings"][0]}' in lines
    assert f'Picture {picture}' in lines
    assert picture.stat().st_size > 1000
