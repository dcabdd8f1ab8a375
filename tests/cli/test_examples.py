"""The examples as ``verdi run`` runs them, with the real potential on the small cell.

``LITRAJ_QUICKSTART`` is a folder in which ``examples/quickstart.sh`` has computed the same barrier for ``aiida`` there.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Installation

ROOT = Path(__file__).parents[2]
PYTHON = Path(os.environ.get('LITRAJ_SEVENNET_PYTHON', ROOT / '.venv-sevennet' / 'bin' / 'python'))
REFERENCE_EV = 0.5040  # this hop, this cell, this potential, converged to 0.02 eV/Ang
TOLERANCE_EV = 0.005  # what the protocol "balanced" promises

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.sevennet,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not PYTHON.exists(), reason=f'no environment with sevenn at {PYTHON}'),
]


def verdi_run(installation: Installation, name: str, *arguments: str) -> tuple[list[str], dict[str, Any]]:
    """Return the lines an example prints and the object in the last of them."""
    done = installation.call('run', str(ROOT / 'examples' / name), *arguments, program=('-m', 'aiida'))
    assert done.returncode == 0, f'{done.stdout}\n{done.stderr}'
    lines = done.stdout.splitlines()
    return lines, json.loads(lines[-1])


def test_examples(tmp_path: Path) -> None:
    quickstart = os.environ.get('LITRAJ_QUICKSTART')
    installation = Installation(Path(quickstart) if quickstart else tmp_path)
    code = installation.json('setup', '--name', 'sevennet', '--engine-python', str(PYTHON))['codes'][0]
    potential = installation.json('potential', 'import', '--family', 'sevennet', '--name', '7net-0')

    small = ('--supercell-min', '4.8', '--images', '5', '--picture', str(tmp_path / 'barrier.png'))
    lines, barrier = verdi_run(installation, '01_barrier_li3po4.py', *small)
    assert barrier['converged']
    assert barrier['barrier_ev'] == pytest.approx(REFERENCE_EV, abs=TOLERANCE_EV)
    assert (barrier['natoms'], barrier['n_images']) == (31, 5)
    assert f'Picture {tmp_path / "barrier.png"}' in lines
    assert (tmp_path / 'barrier.png').stat().st_size > 1000

    _, again = verdi_run(installation, '01_barrier_li3po4.py', *small)
    assert again['profile_ev'] == barrier['profile_ev']
    assert [job['from_cache'] for job in installation.json('status', again['uuid'])['jobs']] == [True]

    lines, origin = verdi_run(installation, '02_query_provenance.py', '--picture', str(tmp_path / 'graph.svg'))
    assert origin['uuid'] == again['uuid']
    assert (origin['potential'], origin['family'], origin['licence']) == ('7net-0', 'sevennet', 'MIT')
    assert origin['potential_sha256'] == origin['sha256_in_the_engine'] == potential['sha256']
    assert origin['engine_version'] == code['engine_version']
    assert origin['structure'] == 'Li3PO4_gamma'
    assert origin['n_below'] == (3 if quickstart else 2)
    _, none = verdi_run(installation, '02_query_provenance.py', '--below', '0.4', '--picture', str(tmp_path / 'a.svg'))
    assert none['n_below'] == 0
