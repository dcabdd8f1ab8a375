"""What a person should know of a stored set: what was left out of it, and of what its formulas are."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import PurePosixPath

from ase.data import atomic_numbers

from ..data.source import SourceData
from ..datasets.card import Card
from ..datasets.entry import Problem
from ..datasets.importers.registry import LAYOUTS, importer_of
from ..datasets.importers.xyz import SUFFIXES
from ..datasets.ingest.records import imports_of, is_malformed, recorded_problems
from .dataset import UNFINISHED, DatasetGroup
from .query import card_of, entries

_SYMBOL = re.compile('[A-Z][a-z]?')


def notes_on(dataset: str) -> list[str]:
    """Return what should be known of a set, each in a sentence.

    :raises ValueError: if there is no such set.
    """
    group = DatasetGroup.of(dataset)
    return [*unfinished_notes(group), *left_out_note(group), *composition_note(group.label)]


def unfinished_notes(group: DatasetGroup) -> list[str]:
    """Return of which sources an import has begun and not come to its end, and how far it was."""
    begun: dict[str, str] = group.whole.base.extras.get(UNFINISHED, {})
    return [
        f'an import of {label} has not come to its end: it is under way, or was broken off {_reached(group, sha256)}. '
        'Run it again, and it goes on'
        for sha256, label in begun.items()
    ]


def _reached(group: DatasetGroup, sha256: str) -> str:
    """Return up to where a source is stored, by the last record of it."""
    query = imports_of(group, ['attributes.part', 'attributes.file', 'attributes.end'])
    query.append(SourceData, with_outgoing='import', filters={'attributes.sha256': sha256}, project='*')
    last = query.order_by({'import': [{'id': 'desc'}]}).first()
    if last is None:
        return 'before anything of it was stored'
    part, file, (offset, number, _), source = last
    sizes = {one['name']: one['size'] for one in source.files}
    if part == file and file in sizes and file.endswith(SUFFIXES):
        return f'after entry {number:,} of {part}, at {offset:,} of {sizes[file]:,} bytes'
    splits = card_of(group.label).get('splits') or {}
    announced = next(
        (n for name, n in splits.items() if re.search(rf'(^|[_.-]){name}$', PurePosixPath(part).stem)), None
    )
    return f'after entry {number:,} of {part}' + (f', which by the card has {announced:,}' if announced else '')


def left_out(group: DatasetGroup) -> list[Problem]:
    """Return the entries that the imports of a set left out, and why."""
    return [one for one in recorded_problems(group) if is_malformed(one)]


def left_out_note(group: DatasetGroup) -> list[str]:
    """Return how many entries the imports of a set left out, with the first; empty if none."""
    problems = left_out(group)
    if not problems:
        return []
    were = 'entry was' if len(problems) == 1 else 'entries were'
    return [f'{len(problems):,} {were} left out at import, the first: {problems[0]}']


def composition_note(dataset: str) -> list[str]:
    """Return in how many entries the atoms of the structure lack elements that the material has; empty if in none."""
    card = card_of(dataset)
    if card.get('layout') not in LAYOUTS or not importer_of(Card.model_validate(card)).material_is_composition:
        return []
    number, lacking = 0, Counter[str]()
    differing = 0
    for one in entries(dataset, ['elements', 'material_id']):
        number += 1
        symbols = set(_SYMBOL.findall(one.facts['material_id'] or '')) & atomic_numbers.keys()
        missing = symbols - set(one.facts['elements'] or ())
        lacking.update(missing)
        differing += bool(missing)
    if not differing:
        return []
    which = ', '.join(f'{symbol} in {times:,}' for symbol, times in lacking.most_common(5))
    return [
        f'formula and elements, and queries by them, are of the atoms that the CIF gives, one for each site: of '
        f'{differing:,} of {number:,} entries they lack elements of the measured composition, which is the material '
        f'(the most frequent: {which})'
    ]
