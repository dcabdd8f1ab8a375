"""``aiida-litraj dataset fetch``."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from urllib.parse import unquote, urlsplit

import click

from ..console import emit_json, print_pairs
from ..errors import Refusal
from ..options import json_option
from .options import progress_bar
from .sets import demand_set


@click.command('fetch', short_help='Download a set, resumed and checked.')
@click.argument('name')
@click.option('--url', metavar='URL', help="Another address than the card's: a mirror, or file:///...")
@click.option(
    '-o',
    '--output',
    type=click.Path(),
    help="File, or folder: one that exists or ends with a slash.  [default: the address's name]",
)
@click.option(
    '--attempts',
    type=click.IntRange(1),
    default=8,
    show_default=True,
    help='Failures in a row after which to give up; what comes whole but wrong is asked for three times at most.',
)
@json_option
def fetch_(name: str, url: str | None, output: str | None, attempts: int, as_json: bool) -> None:
    """Download the data set NAME, known to this package or described by a card, to a file.

    What has arrived stays: broken off, the same command goes on. In the end the size, the checksums inside a zip and
    that of the card are checked, as far as there are any.

    \b
    Examples:
      aiida-litraj dataset fetch BVEL13k
      aiida-litraj dataset fetch MPLiTrj --url https://mirror.example.org/MPLiTrj.zip -o /data/
      aiida-litraj dataset fetch my_card.yaml
    """
    from ...datasets.card import load_card
    from ...datasets.fetch import FetchError, fetch

    try:
        card = load_card(name)
    except ValueError as error:
        raise Refusal(str(error)) from error
    address = url or card.url
    if address is None:
        lacks = f'; it lacks {" ".join(card.url_lacks.split())}' if card.url_lacks else ''
        raise Refusal(
            f'the card of {card.name} knows no address{lacks}',
            f'Give one with --url, or import a file you have: aiida-litraj dataset import FILE --card {name}',
        )
    path = _place(output, unquote(Path(urlsplit(address).path).name) or f'{card.name}.zip')
    try:
        with progress_bar(as_json) as tell:
            done = fetch(address, path, sha256=card.sha256, attempts=attempts, progress=tell)
    except FetchError as error:
        raise Refusal(str(error), error.remedy) from error
    demand_set(done.path, card)
    lacks = card.url_lacks if url is None else None
    imported = done.path.parent if lacks else done.path
    next_ = f'aiida-litraj dataset import {imported}' + ('' if card.name == done.path.stem else f' --card {name}')
    if as_json:
        emit_json({**asdict(done), 'dataset': card.name, 'lacks': lacks, 'next': next_})
        return
    click.echo(f'{"Fetched" if done.new else "Already there:"} {done.path}')
    print_pairs(
        [
            ('size', f'{done.size_bytes:,} bytes'),
            ('sha256', done.sha256),
            ('resumed at', f'{done.resumed_at:,} bytes' if done.resumed_at else None),
            ('checked', '; '.join(done.checked) or 'nothing could be'),
            ('not checked', '; '.join(done.unchecked) or None),
            ('licence', card.licence or 'not known'),
            ('not in it', lacks),
        ]
    )
    click.echo(f'\nNext: {next_}' if lacks is None else f'\nNext, when all is in that folder: {next_}')


def _place(output: str | None, file_name: str) -> Path:
    """Return where to put a file of this name; a folder is one that is there or is written with a slash."""
    if output is None:
        return Path(file_name)
    path = Path(output)
    return path / file_name if output.endswith(('/', os.sep)) or path.is_dir() else path
