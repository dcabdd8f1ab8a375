"""``aiida-litraj dataset seen-by``: the potentials that have learnt a configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ..console import emit_json, print_table
from ..errors import refusals
from ..options import json_option, with_profile

if TYPE_CHECKING:
    from aiida.orm import Data

    from ...data.potential import PotentialData


@click.command('seen-by', short_help='The potentials that have learnt an entry.')
@click.argument('entry')
@click.option('--index', type=click.IntRange(0), metavar='N', help='Place in a node of many.  [default: any of them]')
@json_option
@with_profile
def seen_by_(entry: str, index: int | None, as_json: bool) -> None:
    """List the potentials that have learnt ENTRY, in their own training or in that of what they go on from.

    ENTRY is the name of a set with that of its entry, or the pk or uuid of configurations. The other way round is
    "potential lineage".

    \b
    Examples:
      aiida-litraj dataset seen-by LiPS-25/train_0042
      aiida-litraj dataset seen-by 1234 --index 7 --json
    """
    with refusals():
        found = potentials_of(entry, index)
    if as_json:
        emit_json(found)
        return
    if not found['potentials']:
        click.echo(f'No potential that is stored here has learnt {entry}.')
        return
    rows = [
        (one['label'], one['family'], (one['sha256'] or '')[:12], one['parent'] or 'nothing', one['pk'])
        for one in found['potentials']
    ]
    print_table(None, ('label', 'family', 'sha256', 'goes on from', '>pk'), rows)
    click.echo(f'All that one has seen: aiida-litraj potential lineage {found["potentials"][0]["pk"]}')


def potentials_of(entry: str, index: int | None) -> dict[str, Any]:
    """Return the entry and the potentials that have learnt it, as ``--json`` prints them.

    :raises Refusal: if there is no such node.
    :raises ValueError: if there is no such set or entry, or the node has not so many configurations.
    """
    from ...groups.lineage import seen_by

    node, place = _load(entry, index)
    potentials = [
        {
            'label': one.label, 'pk': one.pk, 'uuid': one.uuid, 'family': one.family, 'sha256': one.sha256,
            'parent': _parent(one),
        }
        for one in seen_by(node, place)
    ]  # fmt: skip
    return {'entry': entry, 'uuid': node.uuid, 'pk': node.pk, 'index': place, 'potentials': potentials}


def _parent(potential: PotentialData) -> str | None:
    """Return the label of what a potential goes on from, ``None`` if it began from scratch."""
    inputs = potential.creator.inputs if potential.creator is not None else ()
    return str(inputs.potential.label) if 'potential' in inputs else None


def _load(entry: str, index: int | None) -> tuple[Data, int | None]:
    """Return the node of an entry, and the place in it."""
    from aiida.orm import Data, load_node

    from ...groups.query import find_entry
    from ..errors import Refusal
    from ..processes import load_any

    if '/' in entry:
        if index is not None:
            raise click.UsageError(f'{entry} is one configuration: leave out --index')
        dataset, _, name = entry.partition('/')
        found = find_entry(dataset, name)
        node: Any = load_node(found.uuid)
        return node, found.index if 'entry_ids' in node.base.attributes else None
    node = load_any(entry)
    if not isinstance(node, Data):
        raise Refusal(
            f'node {entry} is a {type(node).__name__}, and no configuration',
            'Give SET/ENTRY, or the pk of an entry or of labelled configurations.',
        )
    number = node.base.attributes.get('n_frames', None)
    if index is not None and number is not None and index >= number:
        raise ValueError(f'--index {index}: node {entry} has {number} configurations, which count from 0')
    return node, index
