"""What a data set is shown to be: list, query, pictures, and what cannot be asked."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase.io import read
from click.testing import CliRunner

from aiida_litraj.cli import main
from aiida_litraj.codes.problems import SetupProblem
from tests.cli.dataset.conftest import Call


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
