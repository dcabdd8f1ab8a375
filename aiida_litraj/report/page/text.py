"""The model of a report as Markdown, for a paper or a repository, and as comma-separated values, for scripts."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from typing import Any

from .tables import NOTHING, cell_text

_POINTS = (
    'range_ev', 'forward_ev', 'path_error_ang', 'initial_path_error_ang', 'converged', 'status', 'label', 'reason',
    'n_steps', 'model_calls', 'path_uuid',
)  # fmt: skip
_HOP = (
    'name', 'material', 'formula', 'reference_range_ev', 'reference_forward_ev', 'initial_range_ev',
    'initial_forward_ev', 'reference_uuid', 'initial_uuid',
)  # fmt: skip
_MARKS = re.compile(r'([\\`*_{}\[\]<>|#&])')
_DANGEROUS = ('=', '+', '-', '@', '\t', '\r')
"""What begins a formula in a spreadsheet."""


def markdown(model: Mapping[str, Any]) -> str:
    """Return the model as one Markdown file: every table of it, and what chains and potentials there were."""
    lines = [f'# {_escaped(model["title"])}', '', f'Written {model["written"]} with {_versions(model)}.', '']
    for one in (model['overview'], model['potentials']):
        lines += _table(one, '##')
    for section in model['sections']:
        lines += [f'## {_escaped(section["title"])}', '']
        lines += [_escaped(text) + '\n' for text in (section['line'], section['problem']) if text]
        lines += [
            f'- {_escaped(name)}: {_escaped(cell_text(cell))}' for name, cell in section['pairs'] if cell is not None
        ]
        lines += [f'- Chain: pk {section["pk"]}, `verdi node show {section["uuid"]}`', '']
        lines += [f'**Warning:** {_escaped(text)}\n' for text in section['warnings']]
        for one in (*section['tables'], *section['provenance']):
            lines += _table(one, '###')
    return '\n'.join(lines).rstrip() + '\n'


def _versions(model: Mapping[str, Any]) -> str:
    return ', '.join(f'{name} {version}' for name, version in model['versions'].items())


def _table(one: Mapping[str, Any], heading: str) -> list[str]:
    if not one['rows']:
        return []
    words = f' ({one["definition"]})' if one.get('definition') else ''
    heads = [f'{head["name"]} ({head["unit"]})' if head['unit'] else head['name'] for head in one['columns']]
    flush = ['---' if head['kind'] in ('text', 'uuid') else '--:' for head in one['columns']]
    rows = [[cell_text(cell, head['digits']) for cell, head in zip(row, one['columns'])] for row in one['rows']]
    lines = [
        f'{heading} {_escaped(one["title"])}{words}',
        '',
        _row(heads),
        f'|{"|".join(flush)}|',
        *map(_row, rows),
        '',
    ]
    return [*lines, f'{_escaped(one["note"])}\n'] if one.get('note') else lines


def _row(cells: list[str]) -> str:
    return f'| {" | ".join(_escaped(cell) for cell in cells)} |'


def _escaped(text: str) -> str:
    """Return a text that Markdown shows as it is."""
    return _MARKS.sub(r'\\\1', ' '.join(str(text).split()))


def csv_files(model: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield name and content of one file for each table, and of one for all hops of each benchmark.

    An estimate is three columns: the number and both ends of its interval, with the digits it was computed with.
    """
    for one in (model['overview'], model['potentials']):
        if one['rows']:
            yield f'{_slug(one["title"])}.csv', _csv(*_columns(one))
    for section in model['sections']:
        taken: set[str] = set()
        for one in (*section['tables'], *section['provenance']):
            name = '-'.join(_slug(part) for part in (section['id'], one['title'], one.get('definition') or '') if part)
            while name in taken:
                name += '-more'
            taken.add(name)
            yield f'{name}.csv', _csv(*_columns(one))
        if section['benchmark'] is not None:
            yield f'{section["id"]}-hops.csv', _csv(*_hops(section['benchmark']))


def _columns(one: Mapping[str, Any]) -> tuple[list[str], Iterator[list[Any]]]:
    """Return heads and rows of a table."""
    heads = []
    for head in one['columns']:
        name = f'{head["name"]} ({head["unit"]})' if head['unit'] else head['name']
        heads += [name, f'{name}: low', f'{name}: high'] if head['kind'] == 'estimate' else [name]

    def rows() -> Iterator[list[Any]]:
        for row in one['rows']:
            cells: list[Any] = []
            for head, cell in zip(one['columns'], row):
                if head['kind'] != 'estimate':
                    cells.append(cell)
                elif isinstance(cell, Mapping):
                    cells += [cell['value'], *(cell.get('interval') or (None, None))]
                else:
                    cells += [cell, None, None]
            yield cells

    return heads, rows()


def _hops(points: Mapping[str, Any]) -> tuple[list[str], Iterator[list[Any]]]:
    """Return heads and rows of all hops: a row for each hop and potential."""

    def rows() -> Iterator[list[Any]]:
        for hop in range(len(points['name'])):
            for one in points['potentials']:
                yield [*(points[key][hop] for key in _HOP), one['called'], *(one[key][hop] for key in _POINTS)]

    return [*_HOP, 'potential', *_POINTS], rows()


def _csv(heads: list[str], rows: Iterator[list[Any]]) -> str:
    written = io.StringIO()
    out = csv.writer(written, lineterminator='\n')
    # A head can begin with the name of a potential, which anybody may have written.
    out.writerow([_inert(head) for head in heads])
    out.writerows([_inert(cell) for cell in row] for row in rows)
    return written.getvalue()


def _inert(cell: Any) -> Any:
    """Return a cell that no spreadsheet takes for a formula."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_DANGEROUS) and cell != NOTHING else cell


def _slug(text: str) -> str:
    return re.sub(r'[^a-z0-9]+', '-', text.lower()).strip('-')
