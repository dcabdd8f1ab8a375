"""``aiida-litraj dataset fetch``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from urllib.parse import unquote, urlsplit

import click

from ..console import emit_json, print_pairs
from ..errors import Refusal
from ..options import json_option
from .options import progress_bar


@click.command('fetch')
@click.argument('name')
@click.option('--url', metavar='URL', help="Another address than the card's: a mirror, or file:///...")
@click.option('-o', '--output', type=click.Path(path_type=Path), help="File or folder.  [default: the address's name]")
@click.option('--attempts', type=click.IntRange(1), default=8, show_default=True, help='Failures in a row to bear.')
@json_option
def fetch_(name: str, url: str | None, output: Path | None, attempts: int, as_json: bool) -> None:
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
        raise Refusal(f'the card of {card.name} knows no address', 'Give one with --url, or import a file you have.')
    file_name = unquote(Path(urlsplit(address).path).name) or f'{card.name}.zip'
    path = output or Path(file_name)
    if path.is_dir():
        path = path / file_name
    try:
        with progress_bar(as_json) as tell:
            done = fetch(address, path, sha256=card.sha256, attempts=attempts, progress=tell)
    except FetchError as error:
        raise Refusal(str(error), error.remedy) from error
    next_ = f'aiida-litraj dataset import {done.path}' + ('' if card.name == done.path.stem else f' --card {name}')
    if as_json:
        emit_json({**asdict(done), 'dataset': card.name, 'next': next_})
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
        ]
    )
    click.echo(f'\nNext: {next_}')
