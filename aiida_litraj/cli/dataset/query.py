"""``aiida-litraj dataset query`` and ``select``."""

from __future__ import annotations

from itertools import islice
from typing import Any

import click

from ...report.words import counted
from ..console import emit_json, print_pairs, print_table
from ..errors import refusals
from ..options import json_option, with_profile
from .options import criteria_options

_COLUMNS = ('formula', 'n_atoms', 'split', 'material_id', 'energy_per_atom_ev', 'fmax_ev_per_ang')


@click.command('query', short_help='Find entries.')
@click.argument('name')
@criteria_options
@click.option('--id', 'entry_id', metavar='ID', help='The entry of this identifier; at once, whatever the size.')
@click.option('--limit', type=click.IntRange(1), default=20, show_default=True, help='Entries to print at most.')
@click.option('--count', 'only_count', is_flag=True, help='Print their number only.')
@click.option('--ids', 'only_ids', is_flag=True, help='Print identifiers only, all of them.')
@json_option
@with_profile
def query_(
    name: str,
    criteria: dict[str, Any],
    entry_id: str | None,
    limit: int,
    only_count: bool,
    only_ids: bool,
    as_json: bool,
) -> None:
    """Find entries of the set NAME, or of a split of it such as NAME/val.

    \b
    Examples:
      aiida-litraj dataset query MPLiTrj --elements Li-P-S --fmax 1: --count
      aiida-litraj dataset query nebDFT2k --split test --barrier :0.3 --ids
      aiida-litraj dataset query BVEL13k --where E_1D=:0.2 --limit 5
      aiida-litraj dataset query MPLiTrj --id train/17
    """
    with refusals():
        from ...groups.query import count, entries, find_entry

        if entry_id is not None:
            if criteria:
                raise click.UsageError('--id is one entry; it goes with no other criterion')
            one = find_entry(name, entry_id)
            found = [_row(one, _facts(one))]
        elif only_count:
            number = count(name, **criteria)
            emit_json({'dataset': name, 'count': number}) if as_json else click.echo(number)
            return
        elif only_ids:
            ids = (one.id for one in entries(name, **criteria))
            emit_json({'dataset': name, 'ids': list(ids)}) if as_json else [click.echo(one) for one in ids]
            return
        else:
            barrier = _barrier(name)
            asked = [f'properties.{one}' for one in criteria.get('properties', {})]
            columns = list(dict.fromkeys([*_COLUMNS, *([barrier] if barrier else []), *asked]))
            found = [_row(one, one.facts) for one in islice(entries(name, columns, **criteria), limit + 1)]
    more, found = len(found) > limit, found[:limit]
    if as_json:
        emit_json({'dataset': name, 'entries': found, 'more': more})
        return
    if not found:
        click.echo('No entry meets the criteria.')
        return
    if entry_id is not None:
        print_pairs(_pairs(found[0]))
        return
    keys = [key for key in found[0] if key not in ('uuid', 'index') and any(row.get(key) is not None for row in found)]
    numeric = {key for key in keys if isinstance(found[0].get(key), int | float)}
    headers = [('>' if key in numeric else '') + _header(key) for key in keys]
    print_table(None, headers, [[_text(row.get(key)) for key in keys] for row in found])
    if more:
        click.echo(f'The first {limit}; --limit N prints more, --count counts them.')


def _barrier(name: str) -> str | None:
    """Return the attribute that is the barrier, None if the set has none."""
    from ...groups.query import barrier_attribute

    try:
        return barrier_attribute(name)
    except ValueError:
        return None


def _facts(one: Any) -> dict[str, Any]:
    """Return what is known of an entry; of a path, how many images it has and the largest force on an atom in any."""
    import numpy as np
    from aiida.orm import load_node

    from ...groups.query import facts_of

    facts = facts_of(load_node(one.uuid), one.index)
    frames = one.frames()
    if frames.n_frames == 1 and 'range_ev' not in facts:
        return facts
    largest = None if frames.forces is None else float(np.sqrt(np.square(frames.forces).sum(axis=1)).max())
    return {**facts, 'n_images': frames.n_frames, 'fmax_ev_per_ang': largest if largest == largest else None}


_ABOUT = {
    'entry': 'entry', 'material_id': 'material', 'formula': 'formula', 'split': 'split', 'n_atoms': 'atoms',
    'n_images': 'images', 'energy_ev': 'energy (eV)', 'energy_per_atom_ev': 'energy (eV/atom)',
    'range_ev': 'highest minus lowest energy (eV)', 'fmax_ev_per_ang': 'largest force on an atom (eV/Å)',
    'mobile': 'moving atom',
}  # fmt: skip


def _pairs(row: dict[str, Any]) -> list[tuple[str, Any]]:
    """Return an entry in short: its numbers in words with units, no vectors; --json has everything."""
    pairs = [(words, _text(row.get(key))) for key, words in _ABOUT.items()]
    pairs += [
        (key.removeprefix('properties.'), _text(value)) for key, value in row.items() if key.startswith('properties.')
    ]
    line = f', line {row["source_line"]}' if row.get('source_line') else ''
    index = f', configuration {row["index"]}' if row.get('index') else ''
    source = f'{row["source_file"]}{line}' if row.get('source_file') else None
    return [*pairs, ('read from', source), ('node', f'{row["uuid"]}{index}')]


def _row(one: Any, facts: dict[str, Any]) -> dict[str, Any]:
    return {'entry': one.id, **facts, 'uuid': one.uuid, 'index': one.index}


def _header(key: str) -> str:
    words = {
        'material_id': 'material', 'n_atoms': 'atoms', 'energy_per_atom_ev': 'eV/atom', 'fmax_ev_per_ang': 'fmax eV/Å',
        'energy_ev': 'eV', 'range_ev': 'barrier eV',
    }  # fmt: skip
    return words.get(key, key.removeprefix('properties.'))


def _text(value: Any) -> Any:
    if isinstance(value, list):
        return '-'.join(map(str, value))
    return f'{value:.4g}' if isinstance(value, float) else value


@click.command('select', short_help='Choose entries; the choice is a node.')
@click.argument('name')
@criteria_options
@click.option('-n', '--number', type=click.IntRange(1), help='How many entries; all that meet the criteria without.')
@click.option(
    '--strategy', type=click.Choice(['random', 'farthest', 'stratified']), default='random', show_default=True,
    help='At random, far from each other, or evenly over materials.',
)  # fmt: skip
@click.option('--seed', type=int, default=0, show_default=True, help='What chance begins with.')
@click.option(
    '--descriptor', type=click.Choice(['facts', 'radial']), default='facts', show_default=True,
    help='What farthest measures in: composition, energy, force; or the radial distribution.',
)  # fmt: skip
@click.option('--part', 'parts', metavar='NAME=F', multiple=True, help='Split without parting a material. Repeatable.')
@click.option('--label', metavar='TEXT', help='Label for the selection.')
@json_option
@with_profile
def select_(
    name: str,
    criteria: dict[str, Any],
    number: int | None,
    strategy: str,
    seed: int,
    descriptor: str,
    parts: tuple[str, ...],
    label: str | None,
    as_json: bool,
) -> None:
    """Choose entries of the set NAME; the selection is a node linked with each entry it was drawn from.

    \b
    Examples:
      aiida-litraj dataset select MPLiTrj -n 25 --elements Li-P-S
      aiida-litraj dataset select MPLiTrj/train -n 1000 --strategy farthest
      aiida-litraj dataset select LiPS-25 --part train=0.8 --part test=0.2
    """
    with refusals():
        from ...groups.select import Wish, select

        wish = Wish(number, strategy if number else 'all', seed, descriptor, _parts(parts))
        made = select(name, wish, **criteria)
        if label:
            for part, node in made.parts.items():
                node.label = label if len(made.parts) == 1 else f'{label} {part}'
    described = {
        part: {'uuid': node.uuid, 'pk': node.pk, 'label': node.label, 'frames': node.n_frames, 'ids': node.entry_ids}
        for part, node in made.parts.items()
    }
    if as_json:
        emit_json(
            {
                'dataset': name,
                'selected': sum(len(set(one['ids'])) for one in described.values()),
                'candidates': made.n_candidates,
                'parts': described,
                'process': made.process.pk,
                'notes': list(made.notes),
            }
        )
        return
    rows = [(part, one['frames'], one['pk'], ' '.join(one['ids'][:3]) + ' ...') for part, one in described.items()]
    print_table(
        f'Drawn from {counted(made.n_candidates, "entry")}', ('part', '>configurations', '>pk', 'entries'), rows
    )
    for note in made.notes:
        click.echo(note)
    first = next(iter(described.values()))['pk']
    click.echo(f'Next: aiida-litraj dataset export {first} --format extxyz-mace -o selection.xyz')


def _parts(texts: tuple[str, ...]) -> dict[str, float] | None:
    parts: dict[str, float] = {}
    for text in texts:
        part, _, fraction = text.partition('=')
        try:
            parts[part] = float(fraction)
        except ValueError:
            raise click.UsageError(f'--part {text!r} does not parse: write NAME=FRACTION, as train=0.8') from None
    return parts or None
