"""The process node of an import says what it is, to AiiDA and to people, and what was left out of the set."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiida.cmdline.commands.cmd_verdi import verdi
from aiida.manage.caching import enable_caching
from aiida.orm import CalcFunctionNode, Dict, Node, QueryBuilder
from aiida.tools import delete_nodes
from click.testing import CliRunner

from aiida_litraj.calculations.functions.import_entries import import_entries
from aiida_litraj.data import FramesData, SourceData
from aiida_litraj.datasets.ingest.records import is_malformed, recorded_problems
from aiida_litraj.datasets.ingest.run import Refused, import_dataset
from aiida_litraj.datasets.make import make, spoil
from aiida_litraj.groups import DatasetGroup
from aiida_litraj.groups.verify import verify

pytestmark = pytest.mark.usefixtures('aiida_profile_clean')


def records() -> list[CalcFunctionNode]:
    return QueryBuilder().append(CalcFunctionNode).order_by({CalcFunctionNode: 'id'}).all(flat=True)


def said(*words: object) -> str:
    """Return what a verdi command says."""
    ran = CliRunner().invoke(verdi, [str(word) for word in words])
    assert ran.exit_code == 0, ran.output
    return ran.output


def test_a_record_is_of_a_function_that_exists(tmp_path: Path) -> None:
    """It can be looked at like any process, and calling the function says how entries are imported."""
    import_dataset(make('LiPS-25', tmp_path, n=6), 'LiPS-25', workers=0, chunk_size=3)
    one = records()[0]
    assert one.process_class is import_entries
    assert (one.function_name, one.process_label) == ('import_entries', 'import_entries')
    assert one.is_finished_ok and one.is_sealed
    assert (one.get_source_code_file(), one.get_source_code_function()) == (None, None)
    for command in ('node', 'process'):
        text = said(command, 'show', one.pk)
        assert 'import_entries' in text and 'entry_2' in text and 'source' in text and 'card' in text
    assert not said('process', 'report', one.pk).strip()
    assert 'import_entries' in said('process', 'list', '--all')
    assert 'import_entries' in said('process', 'status', one.pk)
    assert 'FramesData' in said('node', 'show', one.outputs.entry_0.pk)
    with pytest.raises(NotImplementedError, match='call aiida-litraj dataset import'):
        import_entries(one.inputs.source, one.inputs.card)


def test_a_record_is_no_result_of_another_call(tmp_path: Path) -> None:
    """Chunks of a source have the same inputs: with the cache on, none is taken for the other."""
    import_dataset(make('LiPS-25', tmp_path, n=6), 'LiPS-25', workers=0, chunk_size=3)
    for one in records():
        one.base.caching.rehash()
        assert not one.base.caching.is_valid_cache
    with enable_caching(), pytest.raises(NotImplementedError):
        import_entries(one.inputs.source, one.inputs.card)
    assert QueryBuilder().append(FramesData).count() == 6


def lacking(folder: Path) -> Path:
    """Return a set that has the files of a path which the index does not name."""
    source = make('nebDFT2k', folder, n=4)
    spoil(source, 'file_without_row')
    return source


def test_problems_beside_the_chunks_are_on_record(tmp_path: Path) -> None:
    """Also those that an importer finds before it reads an entry, once, whatever is imported again."""
    source = lacking(tmp_path)
    report = import_dataset(source, 'nebDFT2k', workers=0, chunk_size=2, limit=1)
    group = DatasetGroup.of('nebDFT2k')
    assert report.problems and set(recorded_problems(group)) == set(report.problems)
    rest = import_dataset(source, 'nebDFT2k', workers=0, chunk_size=2)
    rows = [tuple(one) for node in records() for one in node.base.attributes.get('problems')]
    assert len(rows) == len(set(rows)) == len({*report.problems, *rest.problems})
    first = recorded_problems(group)[0]
    assert any(first.reason in note for note in verify('nebDFT2k', [source]).notes)

    delete_nodes([records()[0].pk], dry_run=False)
    import_dataset(source, 'nebDFT2k', workers=0, chunk_size=2)
    assert set(recorded_problems(group)) == {*report.problems, *rest.problems}


@pytest.mark.parametrize('kind', ['row_without_file', 'file_without_row', 'nan'])
def test_strict_after_a_lenient_import(kind: str, tmp_path: Path) -> None:
    """What was left out before is not passed over in silence; a whole set passes."""
    source = make('nebDFT2k', tmp_path, n=4)
    assert import_dataset(source, 'nebDFT2k', name='whole', workers=0).stored == 4
    assert import_dataset(source, 'nebDFT2k', name='whole', workers=0, strict=True).stored == 0
    spoil(source, kind)
    report = import_dataset(source, 'nebDFT2k', name='partial', workers=0)
    problem = min((one for one in report.problems if is_malformed(one)), key=lambda one: one.file)
    before = QueryBuilder().append(Node).count()
    with pytest.raises(Refused) as refused:
        import_dataset(source, 'nebDFT2k', name='partial', workers=0, strict=True)
    assert f'{problem.file}, line {problem.line}: {problem.reason}' in str(refused.value)
    assert QueryBuilder().append(Node).count() == before


def test_inputs_of_a_record(tmp_path: Path) -> None:
    import_dataset(make('LiPS-25', tmp_path, n=6), 'LiPS-25', workers=0, chunk_size=3)
    for one in records():
        assert isinstance(one.inputs.source, SourceData) and isinstance(one.inputs.card, Dict)
        assert one.inputs.card.uuid == DatasetGroup.of('LiPS-25').facts['card']
