"""The example of force errors as ``verdi run`` runs it, and what the command line says of its chain."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ase.build import bulk

from tests.cli.conftest import LATTICE_ANG, Installation
from tests.fixtures.dft import needs_gpaw

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.dft, pytest.mark.e2e, pytest.mark.slow, needs_gpaw]


@pytest.mark.timeout(900)
def test_example(installation: Installation, potential: dict[str, Any], tmp_path: Path) -> None:
    """On four atoms of lithium, with the toy potential, which is far off: the numbers are those of the nodes."""
    installation.json('setup-dft', '--gpaw', 'gpaw')
    crystal, picture = tmp_path / 'fcc.xyz', tmp_path / 'accuracy.png'
    bulk('Li', 'fcc', a=LATTICE_ANG, cubic=True).write(crystal)
    arguments = (
        str(crystal),
        '--potential',
        'morse',
        '--cutoff',
        '150',
        '--temperature',
        '600',
        '--processes',
        '1',
        '--snapshots',
        '5',
    )
    script = str(ROOT / 'examples' / '07_force_accuracy.py')
    done = installation.call('run', script, *arguments, '--picture', str(picture), program=('-m', 'aiida'))
    assert done.returncode == 0, f'{done.stdout}\n{done.stderr}'
    summary = json.loads(done.stdout.splitlines()[-1])
    assert picture.stat().st_size > 1000
    assert (summary['labelled'], summary['snapshots']) == (5, 5)
    rmse, (low, high) = (summary[key]['morse'] for key in ('rmse_force_mev_per_ang', 'rmse_force_mev_per_ang_interval'))
    assert 1.0 < low < rmse < high
    assert summary['slope']['morse'] is not None

    shown = installation.json('show', summary['uuid'])
    assert shown['stages'] == ['melt', 'quench', 'glass']
    assert shown['potentials']['morse']['stages']['all']['rmse_force_mev_per_ang'] == rmse
    assert (shown['formula'], shown['labels']) == ('Li', {'morse': 'morse'})
    drawn = installation.json('plot', summary['uuid'], '-o', 'accuracy.svg')
    assert 'Forces on Li' in (installation.folder / drawn['picture']).read_text(encoding='utf-8')
