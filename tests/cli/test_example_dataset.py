"""The example of data sets as ``verdi run`` runs it."""

from __future__ import annotations

import itertools
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Installation
from tests.cli.test_examples import verdi_run

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
ENTRIES, SELECTED = 120, 25


def test_from_a_line_of_a_file_to_a_selection(
    installation: Installation, set_up: dict[str, Any], tmp_path: Path
) -> None:
    small = ('--entries', str(ENTRIES), '--name', 'example', '--folder', str(tmp_path))
    lines, first = verdi_run(installation, '03_dataset_provenance.py', *small)
    assert (first['entries'], first['stored'], first['selected']) == (ENTRIES, ENTRIES, SELECTED)
    assert first['import_per_s'] > 0

    with zipfile.ZipFile(tmp_path / 'example' / 'MPLiTrj.zip') as archive:
        file = next(name for name in archive.namelist() if name.endswith(first['source_file']))
        with archive.open(file) as stream:
            comment = next(itertools.islice(stream, first['source_line'], None)).decode()
    assert f' energy={first["energy_ev"]!r} ' in comment
    assert any(line.split() == ['selections', 'with', 'it', '1'] for line in lines)

    lines, again = verdi_run(installation, '03_dataset_provenance.py', *small)
    assert (again['entries'], again['stored'], again['entry']) == (ENTRIES, 0, first['entry'])
    assert again['import_per_s'] == first['import_per_s']
    assert any(line.split() == ['selections', 'with', 'it', '2'] for line in lines)
