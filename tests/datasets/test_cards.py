"""Cards say what is known of a set and nothing else, and refuse what they do not understand."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiida_litraj.datasets.card import Card, known_cards, load_card, parse_card

NUMBERS = {
    'nebDFT2k': 1_681, 'MPLiTrj': 929_066, 'MPLiTrj_subsample': 118_024, 'BVEL13k': 12_807, 'nebBVSE122k': 122_421,
    'LiPS-25': 12_525,
}  # fmt: skip


def test_the_eight_cards_are_there_with_the_published_numbers() -> None:
    cards = known_cards()
    assert set(cards) == {*NUMBERS, 'MPLiTrj_raw', 'OBELiX'}
    for name, number in NUMBERS.items():
        assert cards[name].n_entries == number


@pytest.mark.parametrize('name', known_cards())
def test_a_card_is_whole(name: str) -> None:
    card = load_card(name)
    assert card.citation and card.level_of_theory and card.properties and card.name == name
    counts = [count for count in card.splits.values() if count is not None]
    if len(counts) == len(card.splits) > 0:
        assert sum(counts) == card.n_entries
    assert Card.model_validate(card.as_dict()) == card


def test_a_card_of_a_persons_own_is_a_dozen_lines(tmp_path: Path) -> None:
    path = tmp_path / 'mine.yaml'
    path.write_text(
        'name: mine\ntitle: My frames\nlevel_of_theory: PBE\nkeys: {energy: dft_energy, forces: dft_forces}\n'
    )
    card = load_card(path)
    assert card.layout == 'plain' and card.keys.energy == 'dft_energy' and card.licence is None


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('title: x\n', 'name: Field required'),
        ('name: x\ntitle: y\ncolour: red\n', 'colour is no field of a card; there are name, title, layout'),
        ('name: x\ntitle: y\nkeys: {force: F}\n', 'keys.force is no field of keys; there are energy, forces, stress'),
        ('name: x\ntitle: y\nentry: molecule\n', 'entry: Input should be'),
        ('name: x\ntitle: y\nsha256: abc\n', 'sha256: String should match'),
        ('name: a b\ntitle: y\n', 'name: String should match'),
        ('- a\n', 'has no fields'),
        ('a: [\n', 'is not YAML'),
    ],
)
def test_a_wrong_card_says_which_field(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_card(text)


def test_an_unknown_set_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='no data set is called MPLiTraj; known are BVEL13k, LiPS-25, MPLiTrj'):
        load_card('MPLiTraj')
    with pytest.raises(ValueError, match='cannot be read'):
        load_card(tmp_path / 'nothing.yaml')
