"""The example of a conductivity as ``verdi run`` runs it, on the toy conductor."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Installation
from tests.cli.test_examples import verdi_run

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(600)]
KEYS = ('sigma_298_s_per_cm', 'sigma_298_low', 'sigma_298_high', 'activation_energy_ev')


def test_example(installation: Installation, set_up: object, tmp_path: Path) -> None:
    picture = tmp_path / 'sigma.png'
    short = ('--temperatures', '900,1400', '--repeats', '2', '--duration', '3', '--picture', str(picture))
    lines, found = verdi_run(installation, '05_conductivity.py', *short)
    low, sigma, high = (found[key] for key in ('sigma_298_low', 'sigma_298_s_per_cm', 'sigma_298_high'))
    assert 0.0 < low < sigma < high
    assert 0.1 < found['activation_energy_ev'] < 0.35  # the barrier of the toy is 0.2 eV
    assert any('two temperatures' in warning or 'through 2 temperatures' in warning for warning in found['warnings'])
    assert f'Picture {picture}' in lines
    assert picture.stat().st_size > 1000

    lines, nothing = verdi_run(
        installation, '05_conductivity.py', *short[2:], '--temperatures', '100', '--picture', str(picture)
    )
    assert [nothing[key] for key in KEYS] == [None] * 4
    assert nothing['warnings'][0].startswith('no conductivity at 298 K')
