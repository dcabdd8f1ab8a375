"""The first of a person's way with a data set: from a card of a dozen lines and files to entries."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase.io import read, write

from aiida_litraj.analysis.frames import to_ase
from tests.cli.dataset.conftest import CARD, N_TEST, N_TRAIN, Call
from tests.fixtures.sets import entry_frames


def test_import_tells_what_it_left_out(imported: Any) -> None:
    assert imported['entries'] == imported['stored'] == N_TRAIN + N_TEST
    assert [(one['file'], one['line'] > 1) for one in imported['problems']] == [('own_train.xyz', True)]
    assert 'energy' in imported['problems'][0]['reason']


def test_importing_again_does_nothing(imported: Any, call: Call, folder: Path) -> None:
    done = call('import', folder / 'own_train.xyz', folder / 'own_test.xyz', '--card', folder / 'own.yaml')
    assert done.exit_code == 0 and 'nothing, all was there' in done.stdout and '30 entries' in done.stdout
    assert 'left out before  1' in done.stdout


def test_what_was_left_out_is_not_forgotten(
    imported: Any, ask: Callable[..., Any], call: Call, folder: Path, tmp_path: Path
) -> None:
    again = ask('import', folder / 'own_train.xyz', folder / 'own_test.xyz', '--card', folder / 'own.yaml')
    assert (again['left_out_before'], again['problems'], again['sources_before']) == (1, [], [])
    (remark,) = ask('show', 'own')['remarks']
    assert remark.startswith('1 entry was left out at import, the first: own_train.xyz:')
    assert ask('export', 'own', '-o', tmp_path)['notes'] == [remark]
    assert '1 entry was left out' in ' '.join(call('show', 'own').stdout.split())


def test_a_second_source_is_told_and_sound(ask: Callable[..., Any], call: Call, folder: Path, tmp_path: Path) -> None:
    other = tmp_path / 'more.xyz'
    write(other, read(folder / 'own_test.xyz', ':7'), format='extxyz')
    first = ask('import', other, '--card', folder / 'own.yaml', '--name', 'two', '--workers', 0)
    assert first['entries'] == 7 and first['sources_before'] == []
    card = ('--card', folder / 'own.yaml', '--name', 'two', '--workers', 0, '--limit', 4)
    train = tmp_path / 'own_train.xyz'
    write(train, read(folder / 'own_train.xyz', ':6'), format='extxyz')
    said = call('import', train, *card).stdout
    assert 'two: 11 entries' in said and 'adds a second source to two, which was read from more.xyz: now 11' in said
    assert 'the first 4 entries at most (--limit)' in said
    found = ask('verify', 'two')
    assert found['ok'] and 'splits that add up: train 4, and 7 without a split' in found['checked']


def test_strict_tells_up_to_ten_of_what_is_malformed(call: Call, folder: Path, tmp_path: Path) -> None:
    images = read(folder / 'own_test.xyz', ':1') * 12
    for one in images:
        one.calc = None
    write(tmp_path / 'bad.xyz', images, format='extxyz')
    done = call(
        'import', tmp_path / 'bad.xyz', '--card', folder / 'own.yaml', '--name', 'bad', '--strict', '--workers', 0
    )
    assert done.exit_code == 1 and '12 entries are malformed' in done.stderr
    assert done.stderr.count('has no energy') == 10 and 'and 2 more' in done.stderr


def test_import_without_a_card_says_how(call: Call, folder: Path) -> None:
    done = call('import', folder / 'own_train.xyz')
    assert 'Say which it is with --card' in done.stderr and 'nebDFT2k' in done.stderr


def test_labels_that_a_card_does_not_name_are_told(ask: Callable[..., Any], call: Call, tmp_path: Path) -> None:
    atoms = to_ase(entry_frames(0))[0]
    atoms.info['REF_energy'], atoms.info['energy_per_atom'] = -1.5, 'a word'
    atoms.arrays['REF_forces'] = np.ones((len(atoms), 3))
    atoms.calc = None
    write(tmp_path / 'a.xyz', atoms, format='extxyz')
    card = tmp_path / 'bare.yaml'
    card.write_text('name: bare\ntitle: a minimal card\n')
    (note,) = ask('import', tmp_path / 'a.xyz', '--card', card, '--workers', 0)['notes']
    assert 'a.xyz has REF_energy, REF_forces, which the card bare does not name' in note
    assert note.endswith('keys: {energy: REF_energy, forces: REF_forces}')
    card.write_text('name: bare2\ntitle: x\nkeys: {energy: REF_energy, forces: REF_forces}\n')
    assert ask('import', tmp_path / 'a.xyz', '--card', card, '--workers', 0)['notes'] == []
    card.write_text('name: bare3\ntitle: x\nrequired: [energy]\n')
    done = call('import', tmp_path / 'a.xyz', '--card', card, '--workers', 0)
    assert done.exit_code == 1 and 'REF_energy' in done.stderr and 'has no energy' in done.stderr


@pytest.mark.parametrize('granularity', ['entry', 'trajectory'])
def test_a_folder_of_many_files_is_stored_once_and_comes_back(
    ask: Callable[..., Any], granularity: str, tmp_path: Path
) -> None:
    from aiida.orm import ProcessNode, QueryBuilder

    places = [tmp_path / 'many' / f'run_{number % 3}' / f'{number // 3}.xyz' for number in range(60)]
    for number, place in enumerate(places):
        place.parent.mkdir(parents=True, exist_ok=True)
        atoms = to_ase(entry_frames(number))[0]
        atoms.info['crystal'] = f'mp-{number}'
        write(place, atoms, format='extxyz')
    name = f'many-{granularity}'
    (tmp_path / 'many.yaml').write_text(CARD.replace('own', name).replace('splits: {train: 20, test: 10}', ''))
    source, card = tmp_path / 'many', ('--card', tmp_path / 'many.yaml', '--workers', 0, '--granularity', granularity)
    assert ask('import', source, *card, '--limit', 25)['stored'] == 25
    done = ask('import', source, *card)
    assert (done['stored'], done['present'], done['problems']) == (35, 25, [])
    assert ask('import', source, *card)['stored'] == 0
    imports = QueryBuilder().append(ProcessNode, filters={'attributes.dataset': name}).count()
    assert imports == 2
    assert ask('query', name, '--id', 'run_2/7/0')['entries'][0]['source_file'] == 'run_2/7.xyz'
    made = Path(ask('export', name, '-o', tmp_path / 'out')['path'])
    for place in places:
        back = made / place.relative_to(source)
        np.testing.assert_array_equal(read(back).positions, read(place).positions)
