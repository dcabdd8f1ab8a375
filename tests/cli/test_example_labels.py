"""The example of DFT labels as ``verdi run`` runs it, and what the command line says of its chain."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Installation
from tests.fixtures.dft import li2o, needs_gpaw

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.dft, pytest.mark.e2e, pytest.mark.slow, needs_gpaw]


@pytest.mark.timeout(900)
def test_example(installation: Installation, potential: dict[str, Any], tmp_path: Path) -> None:
    """On a cell of three atoms, with the toy potential, which is far off: the numbers are those of the nodes."""
    made = installation.json('setup-dft', '--gpaw', 'gpaw')
    assert [code['label'] for code in made['codes']] == ['gpaw@localhost']
    assert 'Li' in made['codes'][0]['setups']['PBE']
    again = installation.json('setup-dft', '--gpaw', 'gpaw')
    assert again['codes'][0]['state'] == 'same' and again['codes'][0]['uuid'] == made['codes'][0]['uuid']

    crystal, picture = tmp_path / 'Li2O.xyz', tmp_path / 'labels.png'
    atoms = li2o()
    atoms.symbols[:] = 'Li'  # what the toy potential covers
    atoms.write(crystal)
    arguments = (
        str(crystal),
        '--potential',
        'morse',
        '--cutoff',
        '200',
        '--mesh',
        '1',
        '1',
        '1',
        '--picture',
        str(picture),
    )
    script = str(ROOT / 'examples' / '06_dft_labels.py')
    done = subprocess.run(
        [sys.executable, '-m', 'aiida', 'run', script, *arguments],
        cwd=installation.folder, env=installation.environment, capture_output=True, text=True, timeout=800, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f'{done.stdout}\n{done.stderr}'
    summary = json.loads(done.stdout.splitlines()[-1])
    assert picture.stat().st_size > 1000
    assert (summary['labelled'], summary['failed']) == (1, 0)
    assert summary['rmse_force_mev_per_ang']['morse'] > 1.0
    (low,) = [one for one in summary['warnings'] if one.startswith('level.cutoff_ev = 200 ')]
    assert f'Warning: {low}' in done.stdout.splitlines()
    assert f'Next: aiida-litraj show {summary["evaluation_pk"]}; ' in done.stdout

    shown = installation.json('show', summary['uuid'])
    assert shown['labelled'] == 1 and shown['items'][0]['status'] == 'labelled'
    assert shown['items'][0]['fmax_ev_per_ang'] > 0.0
    assert shown['level']['cutoff_ev'] == 200.0 and shown['backend'] == 'gpaw'
    drawn = installation.json('plot', summary['uuid'], '-o', 'labels.svg')
    assert '1 labelled configuration' in (installation.folder / drawn['picture']).read_text(encoding='utf-8')
