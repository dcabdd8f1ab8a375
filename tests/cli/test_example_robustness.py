"""The example of a robustness grid as ``verdi run`` runs it, and what the command line says of its chain."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Installation

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def test_example(installation: Installation, potential: dict[str, Any], tmp_path: Path) -> None:
    picture = tmp_path / 'grid.png'
    arguments = ('--atoms', '8', '--processes', '1', '--picture', str(picture))
    script = str(ROOT / 'examples' / '04_robustness_grid.py')
    done = installation.call('run', script, *arguments, program=('-m', 'aiida'))
    assert done.returncode == 0, f'{done.stdout}\n{done.stderr}'
    summary = json.loads(done.stdout.splitlines()[-1])
    assert picture.stat().st_size > 1000
    assert summary['n_replicas'] == 27
    assert summary['n_green'] + summary['n_pale'] + summary['n_white'] == len(summary['cells']) == 9
    # At 1,000 K nothing happens in 40 fs; at 3,000,000 K hardly one is left.
    coldest = [cell for cell in summary['cells'] if cell['temperature_k'] == 1000.0]
    assert [(cell['colour'], cell['contact_percent']) for cell in coldest] == [('green', 0.0)] * 3
    assert summary['n_survived'] < 27

    shown = installation.json('show', summary['uuid'])
    assert shown['summary']['potential']['n_survived'] == summary['n_survived']
    assert shown['potentials'] == {'potential': 'morse'}
    state = installation.json('status', summary['uuid'])
    assert state['result']['grids'] == shown['grids']
    drawn = installation.json('plot', summary['uuid'], '-o', 'grid.svg')
    text = (installation.folder / drawn['picture']).read_text(encoding='utf-8')
    assert f'morse: {summary["n_survived"]} of 27 replicas survive' in text
