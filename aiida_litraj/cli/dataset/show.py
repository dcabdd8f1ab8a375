"""``aiida-litraj dataset list`` and ``show``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click

from ...report.words import counted
from ..console import emit_json, print_pairs, print_table
from ..errors import Refusal, refusals
from ..options import json_option
from .options import profile_if_any


@click.command('list', short_help='Sets that are stored or known.')
@json_option
def list_(as_json: bool) -> None:
    """List the stored data sets, and those known by their cards, for which no profile is needed.

    \b
    Example:
      aiida-litraj dataset list
    """
    missing = profile_if_any()
    with refusals():
        from ...datasets.card import known_cards

        known = known_cards()
        content = _stored_sets() if missing is None else []
        stored = {one['name'] for one in content}
        content += [
            {'name': card.name, 'stored': False, 'entries': card.n_entries or sum(n or 0 for n in card.splits.values()),
             'title': card.title, 'granularity': None, 'splits': dict(card.splits), 'url': card.url,
             'url_lacks': card.url_lacks}
            for card in known.values() if card.name not in stored
        ]  # fmt: skip
    if as_json:
        emit_json(content)
        return
    rows = [
        (
            one['name'],
            _state(one),
            f'{one["entries"]:,}' if one['entries'] or one['stored'] else None,
            ' '.join(f'{split} {number:,}' for split, number in one['splits'].items() if number),
            one['title'],
        )
        for one in content
    ]
    print_table(None, ('name', '', '>entries', 'splits', 'title'), rows)
    if missing is not None:
        click.echo(f'Stored sets are not shown: {missing}', err=True)
    click.echo('Next: aiida-litraj dataset fetch NAME, then aiida-litraj dataset import FILE')


def _stored_sets() -> list[dict[str, Any]]:
    from ...groups.dataset import DatasetGroup
    from ...groups.query import card_of, count

    groups = {name: DatasetGroup.of(name) for name in DatasetGroup.names()}
    return [
        {'name': name, 'stored': True, 'entries': count(name), 'title': group.description,
         'granularity': group.facts.get('granularity'),
         'splits': {one: count(f'{name}/{one}') for one in in_order(group.splits)},
         'url': card_of(name).get('url'), 'url_lacks': card_of(name).get('url_lacks')}
        for name, group in groups.items()
    ]  # fmt: skip


def _state(one: dict[str, Any]) -> str:
    if one['stored']:
        return 'stored'
    if one['url'] is None:
        return 'no address'
    return 'to fetch' if one['url_lacks'] is None else 'to fetch in part'


def in_order(splits: Iterable[str]) -> list[str]:
    """Return the names of splits as people say them: train, val, test, then others."""
    usual = ('train', 'val', 'test')
    return sorted(splits, key=lambda name: (usual.index(name) if name in usual else len(usual), name))


@click.command('show', short_help='What is in a set, in words or drawn.')
@click.argument('name')
@click.option('--plot', type=click.Path(dir_okay=False, path_type=Path), metavar='FILE', help='Picture: .png .svg .pdf')
@json_option
def show(name: str, plot: Path | None, as_json: bool) -> None:
    """Show the data set NAME, stored or known by its card; draw what is in it.

    \b
    Examples:
      aiida-litraj dataset show LiPS-25
      aiida-litraj dataset show LiPS-25 --plot lips25.png
    """
    missing = profile_if_any()
    with refusals():
        from ...datasets.card import load_card

        is_stored = missing is None and _is_stored(name)
        if not is_stored and missing is None and '/' not in name:
            _demand_known(name)
        content = _stored(name) if is_stored else {'name': name, 'stored': False, 'card': load_card(name).as_dict()}
        if plot is not None:
            if not is_stored:
                raise Refusal(
                    f'{name} is not stored: there is nothing to draw',
                    missing or f'Import it first: aiida-litraj dataset fetch {name}, then import what came',
                )
            content['plot'] = str(_draw(name, plot, content['card']))
    if as_json:
        emit_json(content)
        return
    _print(content)


def _is_stored(name: str) -> bool:
    from ...groups.dataset import DatasetGroup

    return name in DatasetGroup.names()


def _demand_known(name: str) -> None:
    """Refuse a name that is that of no stored set, no known one, and no card."""
    from ...codes.profile import load
    from ...datasets.card import known_cards
    from ...groups.dataset import DatasetGroup

    if name not in known_cards() and not Path(name).is_file():
        stored = ', '.join(DatasetGroup.names()) or 'none yet'
        raise Refusal(
            f'there is no data set {name!r}: stored in the profile {load()} are {stored}, known by their cards '
            f'{", ".join(known_cards())}',
            'Is it in another profile? Then: aiida-litraj -p PROFILE dataset show. Of a set of your own give the card',
        )


def _stored(name: str) -> dict[str, Any]:
    from ...groups.dataset import DatasetGroup
    from ...groups.labelled import levels_of
    from ...groups.notes import notes_on
    from ...groups.query import card_of, count

    group = DatasetGroup.of(name)
    return {
        'name': name,
        'stored': True,
        'pk': group.pk,
        'uuid': group.uuid,
        'entries': count(name),
        'nodes': group.count(),
        'granularity': group.facts.get('granularity'),
        'splits': {split: count(f'{name}/{split}') for split in in_order(group.splits)},
        'sources': group.facts.get('sources', {}),
        'remarks': notes_on(name),
        'levels': levels_of(name),
        'warnings': _warnings_on(name, levels_of(name)),
        'card': card_of(name),
    }


def _warnings_on(name: str, levels: Sequence[dict[str, Any]]) -> list[str]:
    """Return what a person should know before labels of a set are believed; nothing of what was imported."""
    from ...analysis.duplicates import duplicates_text
    from ...groups.duplicates import duplicates_in
    from ...groups.label_chains import chains_filling, progress_text
    from ...workflows.label_items import warning_of_level

    if not levels:
        return []
    said = [warning_of_level(one) for one in levels] + [_versions_text(one) for one in levels]
    said.append(duplicates_text(duplicates_in(name)))
    said += [progress_text(chain) for chain in chains_filling(name)]
    return list(dict.fromkeys(filter(None, said)))


def _versions_text(one: dict[str, Any]) -> str | None:
    """Return that labels of one level are of several versions of their code; which may differ, none is refused."""
    versions = one.get('versions', ())
    if len(versions) < 2:
        return None
    return (
        f'labels are of {len(versions)} versions of {one["code"]}: {", ".join(versions)}; compute a configuration with '
        'each of them to see that they agree'
    )


def _draw(name: str, path: Path, card: dict[str, Any]) -> Path:
    from ...groups.overview import read_overview
    from ...report.dataset import draw_overview, overview_caption
    from ...report.style import check_format, save_figure

    check_format(path)
    overview = read_overview(name)
    return save_figure(draw_overview(overview, overview_caption(name, overview, card.get('level_of_theory'))), path)


def level_text(one: dict[str, Any], every: Sequence[dict[str, Any]] = ()) -> str:
    """Return what labels are computed with in a line, and how many are, where there are others."""
    parts = [f'{one.get("functional", "?")}, {one["cutoff_ev"]:g} eV' if 'cutoff_ev' in one else one.get('functional')]
    spacing, mesh = one.get('kpoint_spacing_per_ang'), one.get('kpoint_mesh')
    parts.append(
        f'k-points {spacing:g} per Ang' if spacing else f'k-points {"x".join(map(str, mesh))}' if mesh else None
    )
    parts.append(' '.join(filter(None, [one.get('code'), ' and '.join(one.get('versions', ()))])))
    for key, words in (('setups', 'set-ups of {}'), ('pseudo_family', 'family {}')):
        parts.append(words.format(one[key]) if key in one else None)
    text = ', '.join(filter(None, parts))
    return f'{text}: {counted(one["n_labels"], "label")}' if len(every) > 1 else text


def _print(content: dict[str, Any]) -> None:
    card = content['card']
    splits = content.get('splits') or card.get('splits') or {}
    entries = content['entries'] if content['stored'] else card.get('n_entries')
    unknown = 'not known'
    print_pairs(
        [
            ('name', content['name']),
            ('title', card.get('title')),
            ('stored', f'{counted(content["nodes"], "node")}, group {content["pk"]}' if content['stored'] else 'no'),
            ('entries', f'{entries:,}' if entries else None),
            ('splits', ', '.join(f'{one} {number:,}' for one, number in splits.items() if number is not None) or None),
            ('granularity', content.get('granularity')),
            ('an entry is', card.get('entry')),
            *(
                (('level of theory', level_text(one, content['levels'])) for one in content['levels'])
                if content.get('levels')
                else [('level of theory', card.get('level_of_theory') or unknown)]
            ),
            ('licence', card.get('licence') or unknown),
            ('citation', card.get('citation') or unknown),
            ('doi', card.get('doi')),
            ('url', card.get('url') or unknown),
            ('not at the url' if card.get('url') else 'lacking', card.get('url_lacks')),
            *(('source', f'{source}, sha256 {sha256}') for source, sha256 in content.get('sources', {}).items()),
            ('notes', card.get('notes')),
            *(('remark', remark) for remark in content.get('remarks', ())),
        ]
    )
    if len(content.get('levels', ())) > 1:
        text = 'Warning: the levels are mixed: energies of two of them cannot be compared, nor trained on together'
        click.echo(click.style(text, fg='yellow'), err=True)
    for warning in content.get('warnings', ()):
        click.echo(click.style(f'Warning: {warning}', fg='yellow'), err=True)
    if card.get('properties'):
        rows = [(key, one.get('unit'), one['meaning']) for key, one in card['properties'].items()]
        print_table('Properties', ('name', 'unit', 'meaning'), rows)
    if 'plot' in content:
        click.echo(f'Picture: {content["plot"]}')
    if content['stored'] or card.get('url'):
        click.echo(f'Next: aiida-litraj dataset {"query" if content["stored"] else "fetch"} {content["name"]}')
    else:
        click.echo(f'Next: aiida-litraj dataset import FILE --card {content["name"]}')
