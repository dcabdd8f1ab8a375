"""Write the pages and schemas that follow from the code: JSON schemas, table of exit codes, tables of protocols.

``python docs/generate_reference.py`` writes them, ``--check`` only says which are out of date and exits with 1. Needs
what the contract needs, and PyYAML for the protocols; neither AiiDA nor torch.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from aiida_litraj.contract import TABLE, NebJob, NebResult, ProbeReport, Progress  # noqa: E402
from aiida_litraj.contract.evaluate import EvaluateJob, EvaluateResult  # noqa: E402
from aiida_litraj.contract.md import MdJob, MdResult  # noqa: E402
from aiida_litraj.contract.relax import RelaxJob, RelaxResult  # noqa: E402
from aiida_litraj.contract.train import TrainJob, TrainResult  # noqa: E402
from aiida_litraj.workflows.protocols.mixin import merge  # noqa: E402

SOURCE = ROOT / 'docs' / 'source'
PROTOCOLS = ROOT / 'aiida_litraj' / 'workflows' / 'protocols'

SCHEMAS = {
    'neb_job': NebJob,
    'neb_result': NebResult,
    'relax_job': RelaxJob,
    'relax_result': RelaxResult,
    'md_job': MdJob,
    'md_result': MdResult,
    'evaluate_job': EvaluateJob,
    'evaluate_result': EvaluateResult,
    'train_job': TrainJob,
    'train_result': TrainResult,
    'progress': Progress,
    'probe_report': ProbeReport,
}
RANGES = (
    (200, 'The input is at fault', 'Not reused by the cache; resubmitting the same input ends the same way.'),
    (300, 'The result cannot be read', 'Not reused by the cache.'),
    (310, 'The engine or its environment', 'Not reused by the cache; mend the environment and resubmit.'),
    (400, 'Cut off, can go on', 'Not reused by the cache; the restarting chain goes on from the checkpoint.'),
    (500, 'The physics said no', 'Valid results: outputs are attached, and the cache reuses them.'),
    (700, 'Usable, with a caveat', 'Valid results, reused by the cache.'),
)


def schema(model: Any) -> str:
    """Return the JSON schema of a contract model, laid out so that two versions can be compared by eye."""
    return json.dumps(model.model_json_schema(), indent=2, sort_keys=True) + '\n'


def exit_codes() -> str:
    """Return the table of exit codes as Markdown, by range."""
    lines: list[str] = []
    for start, title, meaning in reversed(RANGES):
        end = min((other for other, _, _ in RANGES if other > start), default=1000)
        rows = [code for code in TABLE if start <= code.status < end]
        if not rows:
            continue
        block = [f'## {title}', '', meaning, '', '| number | label | message |', '|---|---|---|']
        block += [f'| {code.status} | `{code.label}` | {code.message} |' for code in rows]
        lines = [*block, '', *lines]
    return '\n'.join(lines).rstrip() + '\n'


def _leaves(tree: Mapping[str, Any], prefix: str = '') -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        name = f'{prefix}.{key}' if prefix else str(key)
        if isinstance(value, Mapping):
            yield from _leaves(value, name)
        else:
            yield name, value


def _show(value: Any) -> str:
    words = {None: 'none', True: 'yes', False: 'no'}
    return words[value] if isinstance(value, bool) or value is None else str(value)


def protocols(path: Path) -> str:
    """Return the protocols of a file as Markdown: the values of the default, then where the others differ."""
    content = yaml.safe_load(path.read_text(encoding='utf-8'))
    base = dict(_leaves(content['default_inputs']))
    named: dict[str, dict[str, Any]] = {}
    lines = ['| protocol | what it is for |', '|---|---|']
    for name, differences in content['protocols'].items():
        differences = dict(differences)
        description = ' '.join(str(differences.pop('description')).split())
        mark = ' (default)' if name == content['default_protocol'] else ''
        lines.append(f'| `{name}`{mark} | {description} |')
        named[name] = dict(_leaves(merge(content['default_inputs'], differences)))
    keys = list(dict.fromkeys(key for values in named.values() for key in values))
    lines += ['', '| setting | ' + ' | '.join(f'`{name}`' for name in named) + ' |']
    lines.append('|---|' + '---|' * len(named))
    for key in keys:
        cells = [_show(values[key]) if key in values else '' for values in named.values()]
        cells = [f'**{cell}**' if cell and cell != _show(base.get(key)) else cell for cell in cells]
        lines.append(f'| `{key}` | ' + ' | '.join(cells) + ' |')
    return '\n'.join(lines) + '\n'


def generated() -> dict[Path, str]:
    """Return the content of every generated file, by path below ``docs/source``."""
    pages = {Path('reference/schemas') / f'{name}.json': schema(model) for name, model in SCHEMAS.items()}
    pages[Path('reference/exit_codes_table.md')] = exit_codes()
    for path in sorted(PROTOCOLS.glob('*.yaml')):
        pages[Path(f'topics/protocols_{path.stem}_table.md')] = protocols(path)
    return pages


def main() -> int:
    """Write the files, or with ``--check`` name those that are out of date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--check', action='store_true', help='change nothing, exit with 1 if a file is out of date')
    check = parser.parse_args().check
    stale = []
    for relative, text in generated().items():
        path = SOURCE / relative
        if path.is_file() and path.read_text(encoding='utf-8') == text:
            continue
        stale.append(str(relative))
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding='utf-8')
    if stale:
        print(('out of date: ' if check else 'written: ') + ', '.join(stale))
    return 1 if check and stale else 0


if __name__ == '__main__':
    sys.exit(main())
