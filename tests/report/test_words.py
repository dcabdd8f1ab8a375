"""Numbers and nouns that agree."""

from __future__ import annotations

import pytest

from aiida_litraj.report.words import counted


@pytest.mark.parametrize(
    ('number', 'noun', 'text'),
    [
        (0, 'crystal', '0 crystals'),
        (1, 'crystal', '1 crystal'),
        (2, 'entry', '2 entries'),
        (1, 'entry', '1 entry'),
        (12_000, 'configuration', '12,000 configurations'),
    ],
)
def test_noun_is_singular_where_it_is_one(number: int, noun: str, text: str) -> None:
    assert counted(number, noun) == text
