"""Data sets fetched from an address, and told from each other by their files."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.cli.dataset.conftest import Call


def test_a_folder_to_fetch_into_is_made(ask: Callable[..., Any], folder: Path, tmp_path: Path) -> None:
    url = (folder / 'own_test.xyz').as_uri()
    done = ask('fetch', folder / 'own.yaml', '--url', url, '-o', f'{tmp_path}/new/')
    assert Path(done['path']) == tmp_path / 'new' / 'own_test.xyz' and Path(done['path']).is_file()
    done = ask('fetch', folder / 'own.yaml', '--url', url, '-o', f'{tmp_path}/name.xyz')
    assert Path(done['path']) == tmp_path / 'name.xyz'


def test_another_set_is_not_proposed_for_import(call: Call, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / 'a.zip', 'w') as archive:
        archive.writestr('nebDFT2k/nebDFT2k_index.csv', 'edge_id\n')
    done = call('fetch', 'MPLiTrj', '--url', (tmp_path / 'a.zip').as_uri(), '-o', f'{tmp_path}/new/')
    assert done.exit_code == 1 and 'is the set nebDFT2k by the names of the files in it, not MPLiTrj' in done.stderr
    assert '--card nebDFT2k' in done.stderr and 'Next' not in done.stdout
    done = call('import', tmp_path / 'a.zip', '--card', 'MPLiTrj')
    assert done.exit_code == 1 and 'is the set nebDFT2k' in done.stderr
    done = call('import', tmp_path / 'a.zip')
    assert done.exit_code == 1 and 'it is nebDFT2k: say so with --card nebDFT2k' in done.stderr
    (tmp_path / 'MPLiTraj_subsample_val.xyz').write_text('')
    done = call('import', tmp_path / 'MPLiTraj_subsample_val.xyz')
    assert done.exit_code == 1 and 'say so with --card MPLiTrj_subsample.' in done.stderr


def test_what_an_address_lacks_is_said(call: Call, ask: Callable[..., Any], tmp_path: Path) -> None:
    assert 'test_cifs.tar.gz' in call('show', 'OBELiX').stdout
    done = call('fetch', 'LiPS-25')
    assert 'lips-25.extxyz' in done.stderr and '--card LiPS-25' in done.stderr
    table = tmp_path / 'train.csv'
    table.write_text('ID,Cif ID\njqc,done\n')
    done = call('import', table, '--card', 'OBELiX')
    assert done.exit_code == 1 and 'but no structures: put train_cifs.tar.gz' in ' '.join(done.stderr.split())


def test_fetch_then_import(ask: Callable[..., Any], folder: Path, tmp_path: Path) -> None:
    done = ask('fetch', folder / 'own.yaml', '--url', (folder / 'own_test.xyz').as_uri(), '-o', tmp_path)
    assert Path(done['path']).read_bytes() == (folder / 'own_test.xyz').read_bytes()
    assert done['next'].startswith(f'aiida-litraj dataset import {done["path"]} --card')
