"""Names of files and words that a database does not take as they are."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from aiida.orm import QueryBuilder

from aiida_litraj.data import SourceData
from aiida_litraj.datasets.card import load_card
from aiida_litraj.datasets.ingest.names import printable
from aiida_litraj.datasets.ingest.run import import_dataset
from aiida_litraj.datasets.make import make
from aiida_litraj.groups.export import export
from aiida_litraj.groups.query import entries, find_entry
from aiida_litraj.groups.verify import verify


@pytest.mark.usefixtures('aiida_profile_clean')
@pytest.mark.parametrize('many', [False, True], ids=['file by file', 'together'])
@pytest.mark.parametrize('granularity', ['entry', 'trajectory'])
def test_names_of_files_that_are_no_text(granularity: Any, many: bool, tmp_path: Path) -> None:
    """Names in Latin-1, of which Python makes surrogates: all is stored, under names that differ as the files do."""
    content = (make('MPLiTrj', tmp_path, n=4, atoms=8) / 'MPLiTrj_train.xyz').read_bytes()
    names = [b'm\xfcller', b'm\xf6ller', *(b'\xe9 %d' % number for number in range(20 if many else 0))]
    folder = tmp_path / os.fsdecode(b'donn\xe9es')
    folder.mkdir()
    for name in names:
        (folder / os.fsdecode(name + b'.xyz')).write_bytes(content)
    (folder / os.fsdecode(b'\xff.cif')).write_text('nothing')
    card = load_card('MPLiTrj').model_copy(update={'layout': 'plain', 'name': 'own', 'splits': {}})
    report = import_dataset(folder, card, granularity=granularity, workers=0, chunk_size=5)

    found = list(entries('own', ['source_file']))
    number = report.stored // len(names)
    assert len(found) == report.stored == report.entries == number * len(names) > 0
    files = {name.decode('latin-1').encode('unicode_escape').decode() + '.xyz' for name in names}
    assert {one.facts['source_file'] for one in found} == files
    assert find_entry('own', r'm\xfcller/0').id == r'm\xfcller/0'
    assert [one.file for one in report.problems] == [r'\xff.cif'] and str(report.problems[0]).encode()
    assert QueryBuilder().append(SourceData, project='label').one() == [r'donn\xe9es']
    assert verify('own', [folder]).ok
    again = import_dataset(folder, card, granularity=granularity, workers=0)
    assert (again.stored, again.entries) == (0, report.entries)
    assert export('own', 'publisher', tmp_path / 'out').entries == report.entries


WORDS = {'half a character': '\ud800', 'a byte of Latin-1': 'a\udcfcb', 'NUL': 'a\0b'}


@pytest.mark.parametrize('text', WORDS.values(), ids=WORDS)
def test_words_can_be_stored(text: str) -> None:
    made = printable(text)
    assert made.encode() and '\0' not in made
    assert printable(made) == made
    assert printable('Müller 李') == 'Müller 李'
