"""The table of exit codes keeps the rules of its ranges."""

from __future__ import annotations

import string

import pytest

from aiida_litraj.contract import TABLE, LitrajError

RESERVED = {301, 302, 401, 402}
"""Taken by ``BaseRestartWorkChain``."""


def test_numbers_and_labels_are_unique_and_outside_what_aiida_keeps() -> None:
    numbers = [code.status for code in TABLE]
    assert len(set(numbers)) == len(numbers)
    assert len({code.label for code in TABLE}) == len(TABLE)
    assert numbers == sorted(numbers)
    assert not RESERVED & set(numbers)
    assert min(numbers) >= 200  # below it aiida-core's own


@pytest.mark.parametrize('code', TABLE, ids=lambda code: code.label)
def test_only_what_the_physics_said_may_be_reused_by_the_cache(code) -> None:
    assert code.invalidates_cache == (200 <= code.status < 500)


@pytest.mark.parametrize('code', TABLE, ids=lambda code: code.label)
def test_a_message_needs_all_its_fields(code) -> None:
    fields = {name for _, name, _, _ in string.Formatter().parse(code.message) if name}
    error = LitrajError(code.label, **{name: f'<{name}>' for name in fields})
    assert error.code is code
    assert all(f'<{name}>' in str(error) for name in fields)
    if fields:
        with pytest.raises(KeyError):
            LitrajError(code.label)
