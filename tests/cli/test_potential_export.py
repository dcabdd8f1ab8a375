"""A potential as a file: the bytes that were trained or imported, under a name that its package takes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from aiida_litraj.cli import main
from aiida_litraj.data import PotentialData

pytestmark = pytest.mark.usefixtures('aiida_profile_clean')
CONTENT = b'\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.' + bytes(range(256)) * 300


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def trained(here: Path) -> PotentialData:
    (here / 'seed_0.best').write_bytes(CONTENT)
    return PotentialData.from_file(here / 'seed_0.best', 'mace', ['Li', 'P', 'S'], label='mace seed_0/a').store()


def run(*arguments: Any) -> Any:
    return CliRunner().invoke(main, ['potential', 'export', *map(str, arguments)])


def test_file_has_the_bytes_and_is_named_for_its_package(trained: PotentialData, here: Path) -> None:
    said = run(trained.pk, '--json')
    assert said.exit_code == 0, said.output
    found = json.loads(said.output)
    assert found['file'] == 'mace_seed_0_a.model'
    assert (here / found['file']).read_bytes() == CONTENT
    assert found['sha256'] == hashlib.sha256(CONTENT).hexdigest()
    assert "MACECalculator('mace_seed_0_a.model'" in found['ase']
    assert sorted(path.name for path in here.iterdir()) == ['mace_seed_0_a.model', 'seed_0.best']


def test_same_file_again_is_fine_and_another_is_kept(trained: PotentialData, here: Path) -> None:
    assert run(trained.pk, '-o', 'a.model').exit_code == run(trained.pk, '-o', 'a.model').exit_code == 0
    (here / 'b.model').write_bytes(b'mine')
    said = run(trained.pk, '-o', 'b.model')
    assert said.exit_code == 1
    assert '--output b.model is there, with another content; take another name' in said.output
    assert (here / 'b.model').read_bytes() == b'mine'
    assert 'there is no folder nowhere' in run(trained.pk, '-o', 'nowhere/a.model').output


def test_packaged_potential_has_no_file() -> None:
    node = PotentialData.packaged('sevennet', '7net-0').store()
    said = run(node.pk)
    assert said.exit_code == 1
    assert "potential '7net-0' has no file: the package of sevennet carries it as 7net-0" in said.output
