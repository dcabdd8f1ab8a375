"""The card of a data set: what an entry is, where it comes from, on what terms, and what its numbers mean."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

EntryKind = Literal['configuration', 'path', 'structure', 'centroid']
FOLDER = 'cards'


class _Model(BaseModel):
    """Frozen, and refuses what it does not know."""

    model_config = ConfigDict(frozen=True, extra='forbid', allow_inf_nan=False)


class Keys(_Model):
    """Under which names the files hold energy, forces, stress and virial; empty if they don't."""

    energy: str | None = 'energy'
    forces: str | None = 'forces'
    stress: str | None = 'stress'
    virial: str | None = None


class Property(_Model):
    """A number or word that comes with an entry."""

    unit: str | None = None
    """Empty for a count, a ratio or a word."""
    meaning: str


class Card(_Model):
    """What a person wants to know of a data set and what its importer has to; ``None`` is "not known".

    :raises ValueError: on a field it does not know or one that is missing.
    """

    name: str = Field(pattern=r'^[A-Za-z0-9][A-Za-z0-9_.+-]*$')
    title: str
    layout: str = 'plain'
    """Name of the importer."""
    entry: EntryKind = 'configuration'
    licence: str | None = None
    citation: str | None = None
    doi: str | None = None
    url: str | None = None
    sha256: str | None = Field(default=None, pattern=r'^[0-9a-f]{64}$')
    """Of the file at ``url``."""
    url_lacks: str | None = None
    """What of the set is not in that file, and what to do about it."""
    size_bytes: int | None = Field(default=None, ge=0)
    """On disk, unpacked, as published; often rounded."""
    level_of_theory: str | None = None
    keys: Keys = Keys()
    required: tuple[Literal['energy', 'forces', 'stress'], ...] = ()
    """What an entry without which is refused as malformed."""
    identifier: str | None = None
    """Name of the file's own identifier; without one an entry is ``<split>/<running number>``."""
    material: str | None = None
    """Name under which the file says which material an entry belongs to."""
    properties: Mapping[str, Property] = {}
    splits: Mapping[str, int | None] = {}
    """Number of entries by split, as published."""
    n_entries: int | None = Field(default=None, ge=0)
    """Number of all entries, as published."""
    notes: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the card as plain numbers, words, lists and dictionaries."""
        return self.model_dump(mode='json')


def known_cards() -> dict[str, Card]:
    """Return the cards that come with the package, by the name of the set."""
    folder = resources.files(__package__) / FOLDER
    cards = [
        parse_card(entry.read_text(encoding='utf-8'), entry.name)
        for entry in folder.iterdir()
        if entry.name.endswith('.yaml')
    ]
    return {card.name: card for card in sorted(cards, key=lambda card: card.name.lower())}


def load_card(name_or_path: str | Path) -> Card:
    """Return the card of a known set by its name, or the one in a YAML file.

    :raises ValueError: naming the field that is wrong, or the known sets if there is neither such a set nor such a
        file.
    """
    path = Path(name_or_path)
    if path.suffix in {'.yaml', '.yml'} or path.is_file():
        try:
            return parse_card(path.read_text(encoding='utf-8'), str(path))
        except OSError as error:
            raise ValueError(f'the card {path} cannot be read: {error.strerror}') from error
    entry = resources.files(__package__) / FOLDER / f'{name_or_path}.yaml'
    if not entry.is_file():
        raise ValueError(
            f'no data set is called {name_or_path}; known are {", ".join(known_cards())}. '
            'For a set of your own give a card, a YAML file'
        )
    return parse_card(entry.read_text(encoding='utf-8'), entry.name)


def parse_card(text: str, name: str = 'card') -> Card:
    """Return the card in a YAML text; ``name`` is for messages.

    :raises ValueError: naming each field that is wrong.
    """
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f'{name} is not YAML: {error}') from error
    if not isinstance(content, dict):
        raise ValueError(f'{name} is not a card: it has no fields')
    try:
        return Card.model_validate(content)
    except ValidationError as error:
        wrong = '; '.join(_in_words('.'.join(map(str, one['loc'])), one['type'], one['msg']) for one in error.errors())
        raise ValueError(f'{name}: {wrong}') from error


def _in_words(place: str, kind: str, message: str) -> str:
    """Return what is wrong with one field of a card."""
    if kind != 'extra_forbidden':
        return f'{place}: {message}'
    above, _, _ = place.rpartition('.')
    fields = {'': Card.model_fields, 'keys': Keys.model_fields}.get(above, Property.model_fields)
    return f'{place} is no field of {above or "a card"}; there are {", ".join(fields)}'
