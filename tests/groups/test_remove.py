"""What is deleted is what was looked at: not what came between, and nothing of another set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from aiida.manage import get_manager
from aiida.orm import Data, Group, Node, QueryBuilder

from aiida_litraj.datasets.ingest.lock import only_import
from aiida_litraj.datasets.ingest.run import import_dataset
from aiida_litraj.datasets.ingest.store import container_of
from aiida_litraj.datasets.make import make
from aiida_litraj.groups import DatasetGroup
from aiida_litraj.groups.query import count
from aiida_litraj.groups.remove import plan_removal, remove
from aiida_litraj.groups.select import Wish, select
from aiida_litraj.groups.verify import verify

pytestmark = pytest.mark.usefixtures('aiida_profile_clean')

N = 12


@pytest.fixture
def source(tmp_path: Path) -> Path:
    made = make('MPLiTrj', tmp_path, n=N, atoms=8, zipped=True)
    import_dataset(made, 'MPLiTrj', name='first', workers=0, chunk_size=5)
    return made


@pytest.mark.parametrize('granularity', ['entry', 'trajectory'])
def test_the_same_source_imported_meanwhile(granularity: Any, source: Path) -> None:
    plan = plan_removal('first')
    before = QueryBuilder().append(Node).count()
    assert len(plan.pks) == before
    import_dataset(source, 'MPLiTrj', name='second', workers=0, granularity=granularity)
    deleted = remove(plan)
    assert deleted == before - 1  # all but the source
    assert DatasetGroup.names() == ['second'] and count('second') == N
    assert verify('second', [source]).ok
    remove(plan_removal('second'))
    assert not QueryBuilder().append(Data).count() and not QueryBuilder().append(Group).count()


def test_more_than_was_planned_is_refused(source: Path) -> None:
    plan = plan_removal('first')
    select('first', Wish(number=2))
    before = QueryBuilder().append(Node).count()
    with pytest.raises(ValueError, match=r'2 nodes more hang on first than a moment ago, so nothing was deleted'):
        remove(plan)
    assert QueryBuilder().append(Node).count() == before and count('first') == N and verify('first').ok
    assert remove(plan_removal('first')) == before - 1  # all but the criteria of the selection


def test_not_beside_an_import(source: Path) -> None:
    plan = plan_removal('first')
    container = container_of(get_manager().get_profile_storage())
    with only_import(container), pytest.raises(RuntimeError, match='another import into this profile is under way'):
        remove(plan)
    assert verify('first', [source]).ok
