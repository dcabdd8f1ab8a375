"""Markdown and comma-separated values hold the numbers of the model, and nothing that a reader would run."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from pathlib import Path
from typing import Any

import pytest

from aiida_litraj.report.page.benchmark import benchmark_section
from aiida_litraj.report.page.tables import cell_text, column, estimate, flat, number_text, plain, table
from aiida_litraj.report.page.text import csv_files, markdown
from aiida_litraj.report.page.write import page, write_report
from tests.fixtures.benchmarks import Benchmark, MadeUp, benchmark
from tests.fixtures.pages import model, section


@pytest.fixture(scope='module')
def made() -> Benchmark:
    return benchmark(24)


@pytest.fixture(scope='module')
def whole(made: Benchmark) -> dict[str, Any]:
    found = benchmark_section(made.contents, made.leaderboard)
    found['benchmark']['paths'] = {}
    return model(section(found))


def read(content: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content)))


def test_leaderboard_as_values_for_scripts(made: Benchmark, whole: dict[str, Any]) -> None:
    files = dict(csv_files(whole))
    rows = {row['Potential']: row for row in read(files['chain-7-leaderboard-range.csv'])}
    for one in made.contents.values():
        mae = one['errors']['range']['converged_only']['mae_ev']
        row = rows[one['potential']['label']]
        assert float(row['MAE (eV)']) == mae['value']
        assert [float(row[f'MAE (eV): {end}']) for end in ('low', 'high')] == mae['interval']


def test_every_hop_of_every_potential_has_a_row(made: Benchmark, whole: dict[str, Any]) -> None:
    rows = read(dict(csv_files(whole))['chain-7-hops.csv'])
    assert len(rows) == 2 * len(made.names)
    for row in rows:
        one = next(one for one in made.contents.values() if one['potential']['label'] == row['potential'])
        hop = one['hops'][row['name']]
        assert row['converged'] == str(hop['converged'])
        assert (float(row['range_ev']) if row['range_ev'] else None) == pytest.approx(hop['range_ev'], abs=5e-5)


def test_markdown_has_every_table_and_each_row_as_many_cells(whole: dict[str, Any]) -> None:
    text = markdown(whole)
    assert text.startswith('# A report\n')
    for one in whole['sections'][0]['tables']:
        assert f'### {one["title"]}' in text
    good = next(line for line in text.splitlines() if line.startswith('| good potential |'))
    assert good.count(' | ') == len(whole['overview']['columns']) - 1
    numbers = whole['overview']['rows'][1 if whole['overview']['rows'][0][0] != 'good potential' else 0][1]
    assert f'{numbers["value"]:.3f} \\[{numbers["interval"][0]:.3f}, {numbers["interval"][1]:.3f}\\]' in good


def test_marks_of_names_are_no_marks() -> None:
    hostile = table('T', [column('|a|'), column('b')], [['x|y', '<b>'], ['[l](http://e.org)', '=1+1']])
    text = markdown(model(section(tables=[hostile])))
    assert '| x\\|y | \\<b\\> |' in text and '\\[l\\](http://e.org)' in text
    rows = read(dict(csv_files(model(section(tables=[hostile]))))['chain-7-t.csv'])
    assert rows[1]['b'] == "'=1+1"


def test_name_of_a_potential_in_a_head_is_no_formula() -> None:
    """Tables by group have a column of each potential, called after it."""
    named = benchmark(20, {'a': MadeUp('=HYPERLINK("http://e.org","x")'), 'b': MadeUp('-1')})
    found = benchmark_section(named.contents, named.leaderboard)
    files = dict(csv_files(model(section(found | {'benchmark': None}))))
    heads = [head for content in files.values() for head in next(csv.reader(io.StringIO(content)))]
    assert sum(head.startswith(("'=HYPERLINK", "'-1")) for head in heads) > 4
    assert [head for head in heads if head.startswith(('=', '-', '+', '@'))] == []


@pytest.mark.parametrize(
    ('value', 'digits', 'text'),
    [
        (None, 2, '–'), (0.0, None, '0'), (0.12345, 3, '0.123'), (0.0001, 3, '1.00e-04'), (12345, None, '12,345'),
        (12345.6, None, '12,346'), (True, None, 'yes'), ('word', 2, 'word'), (2.5e-9, None, '2.50e-09'),
        (-0.5, 2, '-0.50'),
    ],
)  # fmt: skip
def test_numbers_as_text(value: Any, digits: int | None, text: str) -> None:
    assert number_text(value, digits) == text


def test_cells_as_text() -> None:
    assert cell_text(estimate(0.5, 0.25, 1.0), 2) == '0.50 [0.25, 1.00]'
    assert cell_text(estimate(0.5), 2) == '0.50'
    assert estimate(None, 1, 2) is None
    assert flat({'a': {'b': 1, 'c': [1, 2]}, 'd': [{'e': None}]}) == [('a.b', 1), ('a.c', '1, 2'), ('d.0.e', None)]


def test_infinite_numbers_never_reach_json() -> None:
    content = plain({'a': float('inf'), 'b': [float('nan'), 1.0], 3: 'c'})
    assert content == {'a': None, 'b': [None, 1.0], '3': 'c'}
    with pytest.raises(ValueError, match='a row of 2 cells for 1 columns'):
        table('T', [column('a')], [[1, 2]])
    with pytest.raises(ValueError, match="not 'colour'"):
        column('a', 'colour')


def test_page_loads_nothing_and_ends_no_element_early(whole: dict[str, Any]) -> None:
    hostile = {**whole, 'title': '</title></script><!--'}
    written = page(hostile)
    assert written.count('</script>') == 4 and written.count('<script') == written.count('</script>')
    assert '<title>&lt;/title&gt;&lt;/script&gt;&lt;!--</title>' in written
    policy = written.split('http-equiv="Content-Security-Policy" content="')[1].split('"')[0]
    assert policy.startswith("default-src 'none'; script-src 'unsafe-eval' 'sha256-") and 'http' not in policy
    assert 'src=' not in written.split('<script type')[0]


@pytest.mark.parametrize('kind', ['html', 'md', 'csv', 'json'])
def test_files_of_each_format(kind: str, whole: dict[str, Any], tmp_path: Path) -> None:
    files = write_report(whole, tmp_path / 'a' / 'b', kind)
    assert all(path.stat().st_size > 100 for path in files)
    if kind == 'json':
        assert json.loads(files[0].read_text(encoding='utf-8')) == json.loads(json.dumps(whole))


def tables_of(*names: str) -> dict[str, Any]:
    """Return a model with a table of each name."""
    return model(section(tables=[table(name, [column('a')], [[name]]) for name in names]))


def test_tables_of_an_earlier_report_go_and_nothing_else(tmp_path: Path) -> None:
    """Else a reader takes the tables of two reports for those of one."""
    write_report(tables_of('One', 'Two', 'Three', 'Four'), tmp_path, 'csv')
    (tmp_path / 'chain-7-mine.csv').write_text('mine')
    (tmp_path / 'chain-7-three.csv').write_text('changed by hand')
    (tmp_path / 'index.html').write_text('a page')
    (written,) = write_report(tables_of('One'), tmp_path, 'csv')
    left = {path.name: path.read_text() for path in tmp_path.glob('[!.]*')}
    assert left == {
        'chain-7-one.csv': 'a\nOne\n', 'chain-7-mine.csv': 'mine', 'chain-7-three.csv': 'changed by hand',
        'index.html': 'a page',
    }  # fmt: skip
    assert written.name == 'chain-7-one.csv'


def test_list_of_an_earlier_report_removes_nothing_elsewhere(tmp_path: Path) -> None:
    """Whoever gave the folder may have written the list as well."""
    folder, content = tmp_path / 'report', 'x'
    folder.mkdir()
    named = ('../other.csv', str(tmp_path / 'far.csv'), 'notes.txt', 'far.csv')
    checksum = hashlib.sha256(content.encode()).hexdigest()
    (folder / '.aiida-litraj-report').write_text(''.join(f'{checksum}  {name}\n' for name in named))
    for name in named:
        (folder / name).write_text(content)
    write_report(tables_of('One'), folder, 'csv')
    assert {path.name for path in tmp_path.rglob('*') if path.is_file()} == {
        'other.csv', 'far.csv', 'notes.txt', 'chain-7-one.csv', '.aiida-litraj-report'
    }  # fmt: skip
    assert not (folder / 'far.csv').exists() and (tmp_path / 'far.csv').exists()


@pytest.mark.parametrize('kind', ['html', 'csv'])
def test_report_that_cannot_be_written_leaves_the_earlier_one_whole(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is full is met before the earlier file is touched; the next report then removes what is too many."""
    earlier = write_report(tables_of('One', 'Two'), tmp_path, kind)
    before = [path.read_bytes() for path in earlier]

    def full(path: int) -> None:
        raise OSError(28, 'No space left on device')

    with monkeypatch.context() as patch:
        patch.setattr('os.fsync', full)
        with pytest.raises(OSError, match='No space left'):
            write_report(tables_of('Three'), tmp_path, kind)
    assert [path.read_bytes() for path in earlier] == before
    write_report(tables_of('Four'), tmp_path, kind)
    assert [path.name for path in tmp_path.glob('[!.]*')] == [{'html': 'index.html', 'csv': 'chain-7-four.csv'}[kind]]


def test_folder_that_is_a_file_is_refused(whole: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / 'report'
    file.write_text('mine')
    with pytest.raises(ValueError, match='is a file: give a folder'):
        write_report(whole, file)
    with pytest.raises(ValueError, match="not as 'pdf'"):
        write_report(whole, tmp_path, 'pdf')
    assert file.read_text() == 'mine'
