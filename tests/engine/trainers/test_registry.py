"""Trainers by their names: of the project, of a plugin, and of one that is broken."""

from __future__ import annotations

import dataclasses
import importlib.metadata

import pytest

from aiida_litraj.contract import LitrajError
from aiida_litraj.engine.trainers import registry, toy

PLUGIN = dataclasses.replace(toy.TRAINER, name='plugin')
NO_TRAINER = object()


@pytest.fixture
def offered(monkeypatch: pytest.MonkeyPatch) -> None:
    here = __name__
    values = {'plugin': 'PLUGIN', 'wrong': 'NO_TRAINER', 'gone': 'NO_SUCH_THING', 'toy': 'PLUGIN'}
    points = [
        importlib.metadata.EntryPoint(name, f'{here}:{value}', registry.ENTRY_POINTS) for name, value in values.items()
    ]
    monkeypatch.setattr(registry.importlib.metadata, 'entry_points', lambda group: points)


def test_plugins(offered: None) -> None:
    assert registry.get_trainer('plugin').name == 'plugin'
    assert registry.get_trainer('toy') is toy.TRAINER  # a plugin cannot take the name of one of ours


@pytest.mark.parametrize(
    ('name', 'label', 'words'),
    [
        ('nowhere', 'ERROR_FAMILY_MISSING', 'litraj.trainers'),
        ('wrong', 'ERROR_ENVIRONMENT', 'it is a object, not a Trainer'),
        ('gone', 'ERROR_ENVIRONMENT', 'NO_SUCH_THING'),
    ],
)
def test_what_is_not_there_says_what_is_wrong(name: str, label: str, words: str, offered: None) -> None:
    with pytest.raises(LitrajError, match=words) as error:
        registry.get_trainer(name)
    assert error.value.code.label == label


def test_a_trainer_without_its_package(offered: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, 'version_of', lambda package: None)
    with pytest.raises(LitrajError, match='pip install numpy'):
        registry.get_trainer('toy')
