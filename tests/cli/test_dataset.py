"""A person's way with a data set: from a card of a dozen lines to files to train on, and back to nothing."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase.io import read, write
from click.testing import CliRunner, Result

from aiida_litraj.analysis.frames import to_ase
from aiida_litraj.cli import main
from aiida_litraj.codes.problems import SetupProblem
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


@pytest.fixture(scope='module')
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


@pytest.fixture(scope='module')
def call(aiida_profile: Any) -> Call:
    """Runs ``aiida-litraj dataset`` in the profile of the tests, emptied of the sets of others."""
    aiida_profile.reset_storage()
    return lambda *arguments: CliRunner().invoke(main, ['dataset', *map(str, arguments)])


@pytest.fixture(scope='module')
def ask(call: Call) -> Callable[..., Any]:
    def asked(*arguments: Any) -> Any:
        done = call(*arguments, '--json')
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    return asked


@pytest.fixture(scope='module')
def imported(ask: Callable[..., Any], folder: Path) -> Any:
    return ask(
        'import', folder / 'own_train.xyz', folder / 'own_test.xyz', '--card', folder / 'own.yaml', '--workers', 0
    )


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


def test_list_and_show(imported: Any, ask: Callable[..., Any], call: Call, tmp_path: Path) -> None:
    mine = next(one for one in ask('list') if one['name'] == 'own')
    assert mine['stored'] and mine['entries'] == 30 and mine['splits'] == {'train': 20, 'test': 10}
    assert {'nebDFT2k', 'LiPS-25'} <= {one['name'] for one in ask('list')}
    picture = tmp_path / 'own.png'
    assert ask('show', 'own', '--plot', picture)['plot'] == str(picture)
    assert picture.read_bytes()[:4] == b'\x89PNG'
    assert 'CC BY 4.0' in call('show', 'own').stdout
    assert 'Next: aiida-litraj dataset fetch nebDFT2k' in call('show', 'nebDFT2k').stdout


def test_query(imported: Any, ask: Callable[..., Any], call: Call) -> None:
    assert ask('query', 'own', '--count')['count'] == 30
    assert ask('query', 'own/test', '--barrier', ':0.245', '--count')['count'] == 5
    assert ask('query', 'own', '--where', 'em=0.05', '--ids')['ids'] == ['train/5']
    assert ask('query', 'own', '--chemsys', 'P-S', '--material', 'mp-2', '--ids')['ids'] == ['train/2', 'train/17']
    one = ask('query', 'own', '--id', 'test/3')['entries'][0]
    assert one['source_file'] == 'own_test.xyz' and one['properties.em'] == pytest.approx(0.23)
    table = call('query', 'own', '--limit', 2).stdout
    assert 'train/0' in table and 'train/2' not in table and 'The first 2' in table


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (('query', 'other'), "there is no data set 'other' in the profile"),
        (('query', 'own', '--id', 'test/99'), "has no entry 'test/99'; its first is 'train/0'"),
        (('query', 'own', '--barrier', 'low'), "'low' is not a range: write LOW:HIGH"),
        (('query', 'own', '--where', 'em'), "--where 'em' does not parse"),
        (('select', 'own', '-n', '99'), '99 entries are wished for, but only 30 meet the criteria'),
        (('show', 'nebDFT2k', '--plot', 'a.png'), 'nebDFT2k is not stored: there is nothing to draw'),
        (('fetch', 'LiPS-25'), 'the card of LiPS-25 knows no address'),
        (('show', 'big'), "there is no data set 'big': stored in the profile"),
        (('fetch', 'LiPS-26'), 'no data set is called LiPS-26; known are'),
        (('export', 'own', '--fmax', '1e9:', '-o', 'nowhere'), 'no entry of own meets the criteria: widen them'),
        (('delete', 'own/test'), 'own/test is a split'),
        (('export', 'own', '--format', 'archive', '-o', '.'), '. exists: give another --output, or --force'),
    ],
)
def test_what_cannot_be_is_refused(imported: Any, call: Call, arguments: tuple[str, ...], message: str) -> None:
    done = call(*arguments)
    assert done.exit_code in (1, 2)
    assert message in ' '.join(done.stderr.split())


def test_import_without_a_card_says_how(call: Call, folder: Path) -> None:
    done = call('import', folder / 'own_train.xyz')
    assert 'Say which it is with --card' in done.stderr and 'nebDFT2k' in done.stderr


@pytest.mark.parametrize(
    ('kind', 'energy', 'forces'),
    [('extxyz-mace', 'REF_energy', 'REF_forces'), ('extxyz-sevennet', 'energy', 'forces')],
)
def test_export_for_training(
    imported: Any, ask: Callable[..., Any], tmp_path: Path, kind: str, energy: str, forces: str
) -> None:
    path = tmp_path / 'train.xyz'
    done = ask('export', 'own/train', '--format', kind, '-o', path)
    assert done['entries'] == done['configurations'] == N_TRAIN
    first = path.read_text().splitlines()[1]
    assert f'{energy}=' in first and f':{forces}:R:3' in first
    for number, atoms in enumerate(read(path, ':')):
        expected = entry_frames(number)
        ours = atoms.arrays[forces] if kind == 'extxyz-mace' else atoms.get_forces()
        np.testing.assert_array_equal(ours, np.round(expected.forces, 8))
        assert (atoms.info[energy] if kind == 'extxyz-mace' else atoms.get_potential_energy()) == expected.energies[0]


def test_export_as_published_reads_back_the_same(
    imported: Any, ask: Callable[..., Any], folder: Path, tmp_path: Path
) -> None:
    made = Path(ask('export', 'own', '-o', tmp_path)['path'])
    for name in ('own_train.xyz', 'own_test.xyz'):
        good = read(folder / name, ':')[:N_TRAIN]
        for there, back in zip(good, read(made / name, ':'), strict=True):
            np.testing.assert_array_equal(there.positions, back.positions)
            assert there.get_potential_energy() == back.get_potential_energy()
            assert there.info == back.info


def test_a_selection_is_exported_with_the_names_of_its_entries(
    imported: Any, ask: Callable[..., Any], tmp_path: Path
) -> None:
    made = ask('select', 'own', '-n', 6, '--strategy', 'stratified', '--part', 'train=0.5', '--part', 'val=0.5')
    assert made['selected'] == 6 and made['candidates'] == 30
    part = made['parts']['train']
    done = ask('export', part['pk'], '--format', 'extxyz-mace', '-o', tmp_path / 'part.xyz')
    assert done['configurations'] == part['frames']
    assert [atoms.info['entry_id'] for atoms in read(tmp_path / 'part.xyz', ':')] == part['ids']


def test_archive_holds_where_everything_came_from(imported: Any, ask: Callable[..., Any], tmp_path: Path) -> None:
    from aiida.tools.archive.implementations.sqlite_zip.main import ArchiveFormatSqlZip

    path = tmp_path / 'own.aiida'
    ask('export', 'own', '--format', 'archive', '-o', path)
    with ArchiveFormatSqlZip().open(path, 'r') as reader:
        query = reader.querybuilder().append(entity_type='data.litraj.source.SourceData.', tag='source')
        query.append(
            entity_type='process.calculation.calcfunction.CalcFunctionNode.', with_incoming='source', tag='made'
        )
        query.append(entity_type='data.litraj.frames.FramesData.', with_incoming='made')
        assert query.count() == 30


def test_an_archive_says_what_comes_along(imported: Any, ask: Callable[..., Any], call: Call, tmp_path: Path) -> None:
    done = ask('export', 'own', '--material', 'mp-2', '--format', 'archive', '-o', tmp_path / 'some.aiida')
    # Each of the two chunks comes whole, with its import; card and source once.
    assert (done['entries'], done['other_entries'], done['nodes']) == (6, 24, 30 + 2 + 2)
    whole = ask('export', 'own', '--format', 'archive', '-o', tmp_path / 'whole.aiida')
    assert (whole['entries'], whole['other_entries'], whole['nodes']) == (30, 0, 34)
    one = ask('select', 'own/test', '-n', 1)['parts']['selected']['pk']
    said = call('export', one, '--format', 'archive', '-o', tmp_path / 'one.aiida').stdout
    assert '9 entries more are in it than were asked for' in said
    assert 'REPORT' not in said


def test_rows_that_are_not_written_back_are_counted(ask: Callable[..., Any], tmp_path: Path) -> None:
    from aiida_litraj.datasets.make import make

    folder = make('OBELiX', tmp_path, n=60)
    rows = len((folder / 'train.csv').read_text().splitlines()) - 1
    stored = ask('import', folder, '--card', 'OBELiX', '--name', 'measured', '--workers', 0)['entries']
    last = ask('query', 'measured', '--limit', 1000)['entries'][-1]['entry']
    upto = ask('query', 'measured', '--id', last)['entries'][0]['source_line'] - 1
    assert stored < upto <= rows
    notes = ask('import', folder, '--card', 'OBELiX', '--name', 'measured', '--workers', 0)['notes']
    assert notes[0].startswith(f'train.csv: {rows - stored} of its {rows} rows have a conductivity but no structure')
    assert 'they lack elements of the measured composition' in notes[1]
    assert ask('show', 'measured')['remarks'] == notes[1:]
    (note,) = ask('export', 'measured', '-o', tmp_path / 'out')['notes']
    assert note.startswith(f'train.csv: {upto - stored} rows up to line {upto + 1} were no entries')
    assert ask('export', 'measured', '--split', 'train', '-o', tmp_path / 'part')['notes'] == []


def test_a_path_is_shown_in_short(ask: Callable[..., Any], call: Call, tmp_path: Path) -> None:
    from aiida_litraj.datasets.make import make

    folder = make('nebDFT2k', tmp_path, n=2)
    ask('import', folder, '--workers', 0)
    name = ask('query', 'nebDFT2k', '--ids')['ids'][0]
    images = read(folder / f'{name}_relaxed.xyz', ':')
    fmax = max(float(np.linalg.norm(image.get_forces(), axis=1).max()) for image in images)
    one = ask('query', 'nebDFT2k', '--id', name)['entries'][0]
    assert one['n_images'] == len(images) and one['fmax_ev_per_ang'] == pytest.approx(fmax)
    assert len(one['symbols']) == len(images[0])
    lines = {
        line[:34].strip(): line[34:].strip() for line in call('query', 'nebDFT2k', '--id', name).stdout.splitlines()
    }
    assert lines['images'] == str(len(images))
    assert lines['largest force on an atom (eV/Å)'] == f'{fmax:.4g}'
    assert lines['highest minus lowest energy (eV)'] == f'{one["range_ev"]:.4g}'
    assert not {'symbols', 'labels', 'pbc'} & set(lines)


def test_verify_knows_the_source(imported: Any, ask: Callable[..., Any], call: Call, folder: Path) -> None:
    found = ask('verify', 'own')
    assert found['ok'] and found['entries'] == 30 and len(found['checked']) == 3
    done = call('verify', 'own', '--source', folder / 'own.yaml')
    assert done.exit_code == 1 and 'no file of what was imported' in done.stdout


def test_verify_finds_what_was_tampered_with(call: Call, folder: Path, ask: Callable[..., Any]) -> None:
    from aiida.orm import QueryBuilder

    from aiida_litraj.data.frames import FramesData

    ask('import', folder / 'own_test.xyz', '--card', folder / 'own.yaml', '--name', 'tampered', '--workers', 0)
    query = QueryBuilder().append(FramesData, filters={'attributes.dataset': 'tampered', 'label': 'test/4'})
    query.one()[0].backend_entity.set_attribute('energy_ev', -1.0)
    done = call('verify', 'tampered')
    assert done.exit_code == 1 and 'test/4: its attributes have changed' in done.stdout


def test_delete_says_what_hangs_on_it_and_leaves_nothing(ask: Callable[..., Any], call: Call, folder: Path) -> None:
    from aiida.orm import Node, QueryBuilder

    from aiida_litraj.groups.dataset import DatasetGroup

    before = QueryBuilder().append(Node).count()
    source = folder / 'own_train.xyz'
    ask('import', source, '--card', folder / 'own.yaml', '--name', 'doomed', '--workers', 0, '--limit', 10)
    ask('select', 'doomed', '-n', 3, '--label', 'the chosen')
    said = call('delete', 'doomed', '--dry-run').stdout
    assert (
        '1 FramesData' in said and '1 select_entries' in said and 'the chosen' in said and 'Nothing was deleted' in said
    )
    assert call('delete', 'doomed', '--json').exit_code == 1
    done = ask('delete', 'doomed', '--force')
    assert done['others'] == {'select_entries': 1, 'FramesData': 1}
    # Entries, their import, the selection and its process, card and source.
    assert done['nodes'] == done['deleted'] == 10 + 1 + 2 + 2
    assert 'doomed' not in DatasetGroup.names() and not DatasetGroup.collection.find({'label': 'doomed/train'})
    # Only the criteria of the selection, which came from nowhere else, are left.
    assert QueryBuilder().append(Node).count() == before + 1


def test_a_folder_to_fetch_into_is_made(ask: Callable[..., Any], folder: Path, tmp_path: Path) -> None:
    url = (folder / 'own_test.xyz').as_uri()
    done = ask('fetch', folder / 'own.yaml', '--url', url, '-o', f'{tmp_path}/new/')
    assert Path(done['path']) == tmp_path / 'new' / 'own_test.xyz' and Path(done['path']).is_file()
    done = ask('fetch', folder / 'own.yaml', '--url', url, '-o', f'{tmp_path}/name.xyz')
    assert Path(done['path']) == tmp_path / 'name.xyz'


def test_another_set_is_not_proposed_for_import(call: Call, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / 'a.zip', 'w') as archive:
        archive.writestr('nebDFT2k/nebDFT2k_index.csv', 'edge_id\n')
    done = call('fetch', 'MPLiTrj', '--url', (tmp_path / 'a.zip').as_uri(), '-o', f'{tmp_path}/new/')
    assert done.exit_code == 1 and 'is the set nebDFT2k by the names of the files in it, not MPLiTrj' in done.stderr
    assert '--card nebDFT2k' in done.stderr and 'Next' not in done.stdout
    done = call('import', tmp_path / 'a.zip', '--card', 'MPLiTrj')
    assert done.exit_code == 1 and 'is the set nebDFT2k' in done.stderr
    done = call('import', tmp_path / 'a.zip')
    assert done.exit_code == 1 and 'it is nebDFT2k: say so with --card nebDFT2k' in done.stderr
    (tmp_path / 'MPLiTraj_subsample_val.xyz').write_text('')
    done = call('import', tmp_path / 'MPLiTraj_subsample_val.xyz')
    assert done.exit_code == 1 and 'say so with --card MPLiTrj_subsample.' in done.stderr


def test_what_an_address_lacks_is_said(call: Call, ask: Callable[..., Any], tmp_path: Path) -> None:
    assert 'test_cifs.tar.gz' in call('show', 'OBELiX').stdout
    done = call('fetch', 'LiPS-25')
    assert 'lips-25.extxyz' in done.stderr and '--card LiPS-25' in done.stderr
    table = tmp_path / 'train.csv'
    table.write_text('ID,Cif ID\njqc,done\n')
    done = call('import', table, '--card', 'OBELiX')
    assert done.exit_code == 1 and 'but no structures: put train_cifs.tar.gz' in ' '.join(done.stderr.split())


def test_known_sets_are_shown_without_a_profile(monkeypatch: pytest.MonkeyPatch, call: Call) -> None:
    def none(name: str | None) -> str:
        raise SetupProblem('there is no AiiDA profile yet', 'Make one')

    monkeypatch.setattr('aiida_litraj.codes.profile.load', none)
    done = call('list')
    assert done.exit_code == 0 and 'nebDFT2k' in done.stdout and 'no AiiDA profile yet' in done.stderr
    rows = {row['name']: row for row in json.loads(call('list', '--json').stdout)}
    assert not any(row['stored'] for row in rows.values())
    assert rows['LiPS-25']['url'] is None and rows['MPLiTrj']['url']
    states = {line.split()[0]: line for line in done.stdout.splitlines() if line.startswith(' ') and line.strip()}
    assert 'no address' in states['LiPS-25'] and 'to fetch in part' in states['OBELiX']
    assert call('show', 'nebDFT2k').exit_code == 0
    done = call('show', 'nebDFT2k', '--plot', 'a.png')
    assert done.exit_code == 1 and 'no AiiDA profile yet' in done.stderr
    done = CliRunner().invoke(main, ['-p', 'other', 'dataset', 'list'])
    assert done.exit_code == 1


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


def test_fetch_then_import(ask: Callable[..., Any], folder: Path, tmp_path: Path) -> None:
    done = ask('fetch', folder / 'own.yaml', '--url', (folder / 'own_test.xyz').as_uri(), '-o', tmp_path)
    assert Path(done['path']).read_bytes() == (folder / 'own_test.xyz').read_bytes()
    assert done['next'].startswith(f'aiida-litraj dataset import {done["path"]} --card')


def test_every_command_helps_with_an_example(call: Call) -> None:
    for name in ('fetch', 'import', 'list', 'show', 'verify', 'query', 'select', 'export', 'delete'):
        text = call(name, '--help').stdout
        assert f'aiida-litraj dataset {name}' in text.split('Example')[1] and '--json' in text


def test_what_is_drawn_of_bands_is_read_from_their_images(ask: Callable[..., Any], tmp_path: Path) -> None:
    from aiida_litraj.datasets.make import make
    from aiida_litraj.datasets.source import Source
    from aiida_litraj.groups.overview import read_overview
    from aiida_litraj.groups.read import stored_entries

    folder = make('MPLiTrj_raw', tmp_path, n=1)
    ask('import', folder, '--card', 'MPLiTrj_raw', '--workers', 0)
    shown = read_overview('MPLiTrj_raw')
    lowest = [
        float('nan') if entry.frames.energies is None else entry.frames.energies.min() / entry.frames.n_atoms(0)
        for entry in stored_entries('MPLiTrj_raw')
    ]
    assert shown.energies is not None and shown.of_bands
    np.testing.assert_allclose(shown.energies, lowest)
    assert np.isfinite(shown.energies).any() and shown.barrier_name == 'Highest minus lowest energy of the images'
    with Source.open(folder) as source:
        assert len(shown.energies) == sum(name.endswith(('.xyz', '.traj')) for name in source.members)


def test_conductivities_are_drawn_without_those_of_which_a_bound_is_known(
    ask: Callable[..., Any], tmp_path: Path
) -> None:
    from aiida_litraj.datasets.make import make
    from aiida_litraj.groups.overview import read_overview
    from aiida_litraj.groups.query import count

    ask('import', make('OBELiX', tmp_path, n=60), '--workers', 0)
    shown = read_overview('OBELiX')
    assert shown.conductivities is not None
    assert np.isfinite(shown.conductivities).sum() + shown.bounded == count('OBELiX')
    assert 0 < shown.bounded < count('OBELiX')
    above = ask('query', 'OBELiX', '--where', 'conductivity=1e-5:')['entries']
    assert above and all(one['properties.conductivity'] >= 1e-5 for one in above)
