"""A data set is verified, and deleted back to nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.cli.dataset.conftest import Call


def test_verify_knows_the_source(imported: Any, ask: Callable[..., Any], call: Call, folder: Path) -> None:
    found = ask('verify', 'own')
    assert found['ok'] and found['entries'] == 30 and len(found['checked']) == 3
    done = call('verify', 'own', '--source', folder / 'own.yaml')
    assert done.exit_code == 1 and 'no file of what was imported' in done.stdout


def test_verify_finds_what_was_tampered_with(call: Call, folder: Path, ask: Callable[..., Any]) -> None:
    from aiida.orm import QueryBuilder

    from aiida_litraj.data.frames import FramesData

    ask('import', folder / 'own_test.xyz', '--card', folder / 'own.yaml', '--name', 'tampered', '--workers', 0)
    query = QueryBuilder().append(FramesData, filters={'attributes.dataset': 'tampered', 'label': 'test/4'})
    query.one()[0].backend_entity.set_attribute('energy_ev', -1.0)
    done = call('verify', 'tampered')
    assert done.exit_code == 1 and 'test/4: its attributes have changed' in done.stdout


def test_delete_says_what_hangs_on_it_and_leaves_nothing(ask: Callable[..., Any], call: Call, folder: Path) -> None:
    from aiida.orm import Node, QueryBuilder

    from aiida_litraj.groups.dataset import DatasetGroup

    before = QueryBuilder().append(Node).count()
    source = folder / 'own_train.xyz'
    ask('import', source, '--card', folder / 'own.yaml', '--name', 'doomed', '--workers', 0, '--limit', 10)
    ask('select', 'doomed', '-n', 3, '--label', 'the chosen')
    said = call('delete', 'doomed', '--dry-run').stdout
    assert (
        '1 FramesData' in said and '1 select_entries' in said and 'the chosen' in said and 'Nothing was deleted' in said
    )
    assert call('delete', 'doomed', '--json').exit_code == 1
    done = ask('delete', 'doomed', '--force')
    assert done['others'] == {'select_entries': 1, 'FramesData': 1}
    # Entries, their import, the selection and its process, card and source.
    assert done['nodes'] == done['deleted'] == 10 + 1 + 2 + 2
    assert 'doomed' not in DatasetGroup.names() and not DatasetGroup.collection.find({'label': 'doomed/train'})
    # Only the criteria of the selection, which came from nowhere else, are left.
    assert QueryBuilder().append(Node).count() == before + 1
