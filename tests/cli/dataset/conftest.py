"""A small data set of a person, imported once for all that is asked of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ase.io import write
from click.testing import CliRunner, Result

from aiida_litraj.analysis.frames import to_ase
from aiida_litraj.cli import main
from tests.fixtures.sets import entry_frames

CARD = """
name: own
title: Configurations of my own
layout: plain
entry: configuration
licence: CC BY 4.0
level_of_theory: PBE, 520 eV
material: crystal
required: [energy, forces]
properties:
  em: {unit: eV, meaning: a barrier}
splits: {train: 20, test: 10}
"""
N_TRAIN, N_TEST = 20, 10
Call = Callable[..., Result]


@pytest.fixture(scope='package')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A card and two files, one of whose configurations lacks its energy."""
    made = tmp_path_factory.mktemp('own')
    (made / 'own.yaml').write_text(CARD)
    images = []
    for number in range(N_TRAIN + N_TEST):
        atoms = to_ase(entry_frames(number))[0]
        atoms.info.update(crystal=f'mp-{number % 5}', em=0.01 * number)
        images.append(atoms)
    bad = images[0].copy()
    write(made / 'own_train.xyz', [*images[:N_TRAIN], bad], format='extxyz')
    write(made / 'own_test.xyz', images[N_TRAIN:], format='extxyz')
    return made


@pytest.fixture(scope='package')
def call(aiida_profile: Any) -> Call:
    """Runs ``aiida-litraj dataset`` in the profile of the tests, emptied of the sets of others."""
    aiida_profile.reset_storage()
    return lambda *arguments: CliRunner().invoke(main, ['dataset', *map(str, arguments)])


@pytest.fixture(scope='package')
def ask(call: Call) -> Callable[..., Any]:
    def asked(*arguments: Any) -> Any:
        done = call(*arguments, '--json')
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    return asked


@pytest.fixture(scope='package')
def imported(ask: Callable[..., Any], folder: Path) -> Any:
    return ask(
        'import', folder / 'own_train.xyz', folder / 'own_test.xyz', '--card', folder / 'own.yaml', '--workers', 0
    )
