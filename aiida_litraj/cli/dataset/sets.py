"""Which of the known sets a source is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import is_zipfile

from ..errors import Refusal, refusals

if TYPE_CHECKING:
    from ...datasets.card import Card


def card_of(path: Path) -> str:
    """Return the known set that a source is called after."""
    from ...datasets.card import known_cards

    known = known_cards()
    stem = path.name.partition('.')[0] if path.is_file() else path.resolve().name
    for name in known:
        if stem.lower().replace('mplitraj', 'mplitrj') == name.lower():
            return name
    # Files are called by their set and what they hold: MPLiTrj_train.xyz.
    begun = [name for name in known if stem.lower().replace('mplitraj', 'mplitrj').startswith(f'{name.lower()}_')]
    found = _set_within(path) or (max(begun, key=len) if begun else None)
    raise Refusal(
        f'{path.name} is not called like a known data set ({", ".join(known)})',
        f'By its name or those in it, it is {found}: say so with --card {found}.'
        if found
        else 'Say which it is with --card NAME, or describe your own with --card FILE.yaml.',
    )


def demand_set(path: Path, card: Card) -> None:
    """Refuse a zip or folder that holds the files of a known set of another layout than the card's."""
    from ...datasets.card import load_card

    found = _set_within(path)
    if found is not None and load_card(found).layout != card.layout:
        raise Refusal(
            f'{path} is the set {found} by the names of the files in it, not {card.name}',
            f'If it is the one you want: aiida-litraj dataset import {path} --card {found}',
        )


def _set_within(path: Path) -> str | None:
    from ...datasets.card import known_cards
    from ...datasets.source import Source, set_of

    if path.is_file() and not is_zipfile(path):
        return None
    with refusals(FileNotFoundError), Source.open(path) as source:
        return set_of(source, known_cards())
    return None
