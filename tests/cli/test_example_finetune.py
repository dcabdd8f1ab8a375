"""The example of a fine-tuning as ``verdi run`` runs it: SevenNet-0 on 25 real labels, judged on another crystal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from ase.io import read

from tests.cli.conftest import Installation
from tests.cli.test_examples import PYTHON, ROOT

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.sevennet,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not PYTHON.exists(), reason=f'no environment with sevenn at {PYTHON}'),
]
LABELS = ROOT / 'examples' / 'data' / 'lips_pbe_gpaw.extxyz'
HELD_OUT = {'valid': 'Li4P2S6', 'test': 'Li7PS6'}


def test_example(tmp_path: Path) -> None:
    """One epoch over 25 configurations of three crystals: forces on another are better, and less too small."""
    quickstart = os.environ.get('LITRAJ_QUICKSTART')
    installation = Installation(Path(quickstart) if quickstart else tmp_path)
    installation.json('setup', '--name', 'sevennet', '--engine-python', str(PYTHON))
    installation.json('potential', 'import', '--family', 'sevennet', '--name', '7net-0')
    picture = tmp_path / 'finetune.png'
    short = (
        '--learn',
        '25',
        '--epochs',
        '1',
        '--batch-size',
        '2',
        '--learning-rate',
        '0.001',
        '--picture',
        str(picture),
    )
    script = str(ROOT / 'examples' / '08_finetune_sevennet.py')
    done = subprocess.run(
        [sys.executable, '-m', 'aiida', 'run', script, *short],
        cwd=installation.folder, env=installation.environment, capture_output=True, text=True, timeout=800, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f'{done.stdout}\n{done.stderr}'
    lines = done.stdout.splitlines()
    found = json.loads(lines[-1])
    assert (found['n_train'], found['n_valid'], found['n_test']) == (25, 5, 5)
    before, after = (found[f'rmse_force_{when}_mev_per_ang'] for when in ('before', 'after'))
    assert after < 0.85 * before
    low, high = found['ratio_force_interval']
    assert found['ratio_force'] == pytest.approx(after / before)
    assert low < after / before < high
    assert found['slope_force_before'] < 0.9, 'the forces of SevenNet-0 are too small on rattled sulfides'
    assert abs(1.0 - found['slope_force_after']) < abs(1.0 - found['slope_force_before'])
    assert f'Picture {picture}' in lines
    assert picture.stat().st_size > 1000

    # Of what was learnt nothing is of a crystal that judged.
    assert found['held_out'] == 'materials' and found['held_out_materials'] == [HELD_OUT['test']]
    lineage = installation.json('potential', 'lineage', found['potentials']['seed_0'])
    learnt = {one['material_id'] for one in lineage['learnt']}
    assert learnt == {str(atoms.info['material_id']) for atoms in read(LABELS, ':')} - set(HELD_OUT.values())
