"""A report as files: one page that needs nothing else, or Markdown, comma-separated values or JSON."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Mapping, Set
from importlib import resources
from pathlib import Path
from typing import Any

from ...contract.arrays import write_atomic
from ..series import COLOURS
from ..style import BLUE, GREY, INK, PALE, RED
from .text import csv_files, markdown

FORMATS = ('html', 'md', 'csv', 'json')
_LIST = '.aiida-litraj-report'
"""In the folder: checksum and name of each table that the latest report has written there, as ``sha256sum`` does."""
_SCRIPTS = ('cells.js', 'table.js', 'plots.js', 'path3d.js', 'benchmark.js', 'page.js')
_STYLE = {'blue': BLUE, 'grey': GREY, 'ink': INK, 'pale': PALE, 'red': RED}


def write_report(model: Mapping[str, Any], folder: Path, kind: str = 'html') -> list[Path]:
    """Write the model of a report into a folder, made if need be, and return the files.

    Each file is the old or the new one, never half of one. Tables of an earlier report go, lest those of two be taken
    for one; what others have put there, or have changed since, stays.

    :raises ValueError: if the format is not known, or the folder is a file.
    """
    if kind not in FORMATS:
        raise ValueError(f'a report is written as {", ".join(FORMATS)}, not as {kind!r}')
    if folder.exists() and not folder.is_dir():
        raise ValueError(f'{folder} is a file: give a folder for the report, such as report/')
    contents = {
        'html': lambda: {'index.html': page(model)},
        'md': lambda: {'report.md': markdown(model)},
        'csv': lambda: dict(csv_files(model)),
        'json': lambda: {'report.json': json.dumps(model, allow_nan=False, ensure_ascii=False)},
    }[kind]()
    folder.mkdir(parents=True, exist_ok=True)
    encoded = {name: content.encode('utf-8') for name, content in contents.items()}
    if kind == 'csv':
        _write_tables(folder, encoded)
    else:
        write_atomic(folder / next(iter(encoded)), next(iter(encoded.values())))
    return [folder / name for name in contents]


def _write_tables(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write one file for each table, and remove those of an earlier report."""
    earlier = _listed(folder)
    new = {(hashlib.sha256(content).hexdigest(), name) for name, content in contents.items()}
    # Listed before they are there, old ones as well: after a kill half way the next report still knows them all.
    _keep_list(folder, earlier | new)
    for name, content in contents.items():
        write_atomic(folder / name, content)
    for checksum, name in earlier:
        path = folder / name
        if name not in contents and path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == checksum:
            path.unlink()
    _keep_list(folder, new)


def _listed(folder: Path) -> set[tuple[str, str]]:
    """Return checksums and names of the tables of earlier reports; a name that leads elsewhere is none of ours."""
    path = folder / _LIST
    lines = path.read_text(encoding='utf-8', errors='replace').splitlines() if path.is_file() else []
    found = {(checksum, name) for checksum, _, name in (line.partition('  ') for line in lines)}
    return {(checksum, name) for checksum, name in found if name.endswith('.csv') and Path(name).name == name}


def _keep_list(folder: Path, listed: Set[tuple[str, str]]) -> None:
    lines = [f'{checksum}  {name}\n' for checksum, name in sorted(listed, key=lambda one: one[1])]
    write_atomic(folder / _LIST, ''.join(lines).encode('utf-8'))


def page(model: Mapping[str, Any]) -> str:
    """Return the model as one page of HTML with all it needs inside, plots included.

    Its scripts are named by their checksums and nothing may be loaded from anywhere: what names and reasons of the
    graph contain can be shown, but neither run nor call out.
    """
    from plotly.offline import get_plotlyjs

    paths = {one['id']: one['benchmark']['paths'] for one in model['sections'] if one['benchmark']}
    rest = {
        **model,
        'sections': [
            {**one, 'benchmark': {**one['benchmark'], 'paths': sorted(map(int, one['benchmark']['paths']))}}
            if one['benchmark']
            else one
            for one in model['sections']
        ],
        'style': {**_STYLE, 'colours': COLOURS[1:]},
    }
    scripts = [_closed(get_plotlyjs()), _closed(f"'use strict';\n(() => {{\n{_joined()}\n}})();\n")]
    policy = '; '.join(
        [
            "default-src 'none'",
            # Plots on the graphics card are compiled by the page itself.
            f"script-src 'unsafe-eval' {' '.join(_checksum(script) for script in scripts)}",
            "style-src 'unsafe-inline'",
            'img-src data: blob:',
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )
    parts = {
        'policy': policy,
        'title': html.escape(str(model['title'])),
        'style': _asset('page.css'),
        'model': _data(rest),
        'paths': _data(paths),
        'plotly': scripts[0],
        'script': scripts[1],
    }
    # Split once: what one part holds is never taken for the place of another.
    pieces = _asset('page.html').split('%%')
    return ''.join(parts[piece] if number % 2 else piece for number, piece in enumerate(pieces))


def _asset(name: str) -> str:
    return (resources.files(__package__) / 'assets' / name).read_text(encoding='utf-8')


def _joined() -> str:
    return '\n'.join(_asset(name) for name in _SCRIPTS)


def _closed(script: str) -> str:
    """Return a script that cannot end the element it stands in."""
    return script.replace('</script', '<\\/script').replace('\r\n', '\n')


def _data(content: Any) -> str:
    """Return JSON that may stand in an element of HTML: it holds no sign that begins or ends one."""
    text = json.dumps(content, allow_nan=False, separators=(',', ':'), ensure_ascii=False)
    for sign in '<>&\u2028\u2029':
        text = text.replace(sign, f'\\u{ord(sign):04x}')
    return text


def _checksum(script: str) -> str:
    digest = hashlib.sha256(script.encode('utf-8')).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"
