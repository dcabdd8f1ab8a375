"""The example of the benchmark as ``verdi run`` runs it: two real crystals, SevenNet-0 beside SevenNet-l3i5."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Installation
from tests.cli.test_examples import PYTHON, ROOT

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.sevennet,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not PYTHON.exists(), reason=f'no environment with sevenn at {PYTHON}'),
]


def test_example(tmp_path: Path) -> None:
    """The reference beside itself is off by its protocol alone, the other by more; and all is a set of its own."""
    quickstart = os.environ.get('LITRAJ_QUICKSTART')
    installation = Installation(Path(quickstart) if quickstart else tmp_path)
    installation.json('setup', '--name', 'sevennet', '--engine-python', str(PYTHON))
    for name in ('7net-0', '7net-l3i5'):
        installation.json('potential', 'import', '--family', 'sevennet', '--name', name)
    picture = tmp_path / 'benchmark.png'
    short = (
        '--hops', '1', '--no-mace', '--potentials', '7net-0', '7net-l3i5', '--tight-sample', '0', '--folder',
        str(tmp_path / 'results'), '--picture', str(picture),
    )  # fmt: skip
    script = str(ROOT / 'examples' / '10_benchmark_potentials.py')
    done = subprocess.run(
        [sys.executable, '-m', 'aiida', 'run', script, *short],
        cwd=installation.folder, env=installation.environment, capture_output=True, text=True, timeout=800, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f'{done.stdout}\n{done.stderr}'
    lines = done.stdout.splitlines()
    found = json.loads(lines[-1])
    assert (found['n_paths'], found['reference']) == (2, '7net-l3i5')
    same, other = found['potentials']['7net_l3i5'], found['potentials']['7net_0']
    assert (same['converged'], other['converged']) == (2, 2)
    assert same['mae_ev'] < 0.01 < other['mae_ev'] < 0.2
    # Images slide along a band that has converged: beside itself, too, it is off by a hundredth of an Angstrom.
    assert 0.0 < same['pa_mae_ang'] < 0.03 and 0.0 < other['pa_mae_ang'] < 0.03
    assert same['mae_ev_interval'] is None, 'two materials have none'
    assert list(found['potentials']) == ['7net_l3i5', '7net_0']
    assert any(line.startswith('The reference is 7net-l3i5, no DFT') for line in lines)
    assert picture.stat().st_size > 1000
    shown = installation.json('dataset', 'show', found['dataset'])
    assert 'a potential, no DFT' in json.dumps(shown)
