"""From nothing to a barrier and its picture, each step a process of its own, as a person types it."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import HOP, Installation

pytestmark = pytest.mark.e2e
KEYS = (
    'uuid', 'converged', 'barrier_ev', 'reverse_barrier_ev', 'reaction_energy_ev', 'range_ev', 'model_calls',
    'n_images', 'profile_ev', 'natoms', 'potential_sha256', 'warnings',
)  # fmt: skip
WAIT_SECONDS = 180
LOOK_SECONDS = 15


def test_nothing_works_before_setup_and_it_says_so(tmp_path: Path) -> None:
    done = Installation(tmp_path).call('potential', 'list')
    assert done.returncode == 1
    assert f'Error: there is no AiiDA profile yet (looked in {tmp_path / "aiida" / ".aiida"}).' in done.stderr
    assert 'Make one with: aiida-litraj setup.' in done.stderr
    assert 'export AIIDA_PATH=' in done.stderr


def test_setup_makes_profile_computer_and_code(installation: Installation, set_up: dict[str, Any]) -> None:
    assert set_up['profile']['created']
    assert set_up['profile']['folder'].startswith(str(installation.folder))
    assert set_up['profile']['write_ahead'] is True
    assert [computer['label'] for computer in set_up['computers']] == ['localhost']
    (code,) = set_up['codes']
    assert (code['name'], code['state'], code['hidden']) == ('toy', 'new', None)
    assert 'morse' in code['names']['toy']


def test_setup_again_changes_nothing(installation: Installation, set_up: dict[str, Any]) -> None:
    relative = os.path.relpath(sys.executable, installation.folder)
    for python in (sys.executable, relative):
        again = installation.json('setup', '--name', 'toy', '--engine-python', python)
        assert not again['profile']['created']
        assert (again['codes'][0]['state'], again['codes'][0]['uuid']) == ('same', set_up['codes'][0]['uuid'])


def test_setup_says_what_comes_next(installation: Installation, set_up: dict[str, Any]) -> None:
    done = installation.call('setup', '--name', 'toy', '--engine-python', sys.executable)
    assert 'nothing has changed' in done.stdout
    assert (
        'aiida-litraj potential import --family toy --name' in done.stdout
        or 'potentials of the family toy: morse' in done.stdout
    )


def test_importing_twice_gives_the_same_node(installation: Installation, potential: dict[str, Any]) -> None:
    again = installation.json('potential', 'import', '--family', 'toy', '--name', 'morse')
    assert (potential['created'], again['created']) == (True, False)
    assert again['uuid'] == potential['uuid']
    assert installation.json('potential', 'show', 'morse')['sha256'] == potential['sha256']
    # Others of the session may have imported theirs into the same installation.
    listed = installation.json('potential', 'list')
    assert [one['uuid'] for one in listed if one['name'] == 'morse'] == [potential['uuid']]


def test_barrier_has_all_that_is_promised(barrier: dict[str, Any], potential: dict[str, Any]) -> None:
    assert set(KEYS) <= set(barrier)
    assert barrier['converged']
    assert (barrier['natoms'], barrier['n_images']) == (31, 5)
    assert barrier['potential_sha256'] == potential['sha256']
    # Source and target are equivalent sites, and the path between them is symmetric.
    assert barrier['barrier_ev'] > 0.05
    assert barrier['reverse_barrier_ev'] == pytest.approx(barrier['barrier_ev'], abs=1e-3)
    assert barrier['reaction_energy_ev'] == pytest.approx(0.0, abs=1e-3)
    assert barrier['range_ev'] == pytest.approx(max(barrier['profile_ev']) - min(barrier['profile_ev']))


def test_show_repeats_it(installation: Installation, barrier: dict[str, Any]) -> None:
    assert installation.json('show', barrier['uuid']) == barrier
    assert installation.json('show', str(barrier['pk'])) == barrier
    shown = installation.call('show', str(barrier['pk'])).stdout
    assert f'{barrier["barrier_ev"]:.4f} eV' in shown
    assert shown.count('← saddle') == 1
    for text in ('Li, fcc', 'Li site 0 → 1, 2.828 Å, vacancy', '2x2x2', 'balanced', 'morse, sha256'):
        assert text in shown
    assert (barrier['formula'], barrier['structure'], barrier['potential']) == ('Li', 'fcc', 'morse')
    assert barrier['hop'] == {'source': 0, 'target': 1, 'offset': [0, 0, 0]}
    assert barrier['from_cache'] is False


@pytest.mark.parametrize('ending', ['png', 'svg'])
def test_plot_writes_the_picture(installation: Installation, barrier: dict[str, Any], ending: str) -> None:
    name = f'made/hop.{ending}'
    said = installation.json('plot', str(barrier['pk']), '-o', name)
    assert said == {'uuid': barrier['uuid'], 'picture': name}
    content = (installation.folder / name).read_bytes()
    if ending == 'svg':
        assert f'{barrier["barrier_ev"]:.3f} eV'.encode() in content
    else:
        assert content.startswith(b'\x89PNG')


def test_plot_refuses_another_format(installation: Installation, barrier: dict[str, Any]) -> None:
    done = installation.call('plot', str(barrier['pk']), '-o', 'hop.bmp')
    assert done.returncode == 1
    assert "hop.bmp ends in '.bmp': use one of .png, .svg, .pdf" in done.stderr


def test_status_of_what_has_ended_is_its_result(installation: Installation, barrier: dict[str, Any]) -> None:
    status = installation.json('status', str(barrier['pk']))
    assert status['finished']
    assert status['exit_status'] == 0
    assert status['result'] == barrier
    assert [job['state'] for job in status['jobs']] == ['finished']
    job = installation.call('status', str(status['jobs'][0]['pk']))
    assert 'litraj.neb' in job.stdout


def test_same_hop_again_comes_from_the_cache(
    installation: Installation, barrier: dict[str, Any], crystal: Path
) -> None:
    arguments = ('launch', 'barrier', str(crystal), '--hop', HOP, '--potential', 'morse', '--supercell-min', '8')
    again = installation.json(*arguments, '--images', '5')
    assert again['uuid'] != barrier['uuid']
    assert again['profile_ev'] == barrier['profile_ev']
    status = installation.json('status', again['uuid'])
    assert [job['from_cache'] for job in status['jobs']] == [True]
    assert again['from_cache']
    said = installation.call(*arguments, '--images', '5')
    assert 'From the cache: an equal job of before was found' in said.stdout
    assert said.stderr.startswith('Li site 0 → 1, 2.83 Å, supercell 2x2x2, 31 atoms, 5 images, protocol balanced')
    assert 'WARNING' not in said.stderr


def test_what_does_not_converge_is_shown_and_fails(
    installation: Installation, potential: dict[str, Any], crystal: Path
) -> None:
    arguments = ('launch', 'barrier', str(crystal), '--hop', HOP, '--potential', 'morse', '--supercell-min', '8')
    done = installation.call(*arguments, '--images', '3', '--override', 'parameters.band.max_steps=0', '--json')
    assert done.returncode == 1
    result = json.loads(done.stdout)
    assert not result['converged']
    assert result['exit_status'] == 500
    assert result['warnings'][0].startswith('not converged')


def test_daemon_takes_it_and_status_follows(installation: Installation, barrier: dict[str, Any], crystal: Path) -> None:
    # Between two looks at the job what its engine wrote stays to be read, however fast it was.
    installation.json('setup', '--poll-interval', str(LOOK_SECONDS))
    arguments = ('launch', 'barrier', str(crystal), '--hop', HOP, '--potential', 'morse', '--supercell-min', '8')
    done = installation.call(*arguments, '--images', '5', '--no-cache', '--daemon')
    assert done.returncode == 0, done.stderr
    assert 'Started the daemon.' in done.stdout
    pk = done.stdout.partition('Submitted chain ')[2].partition('.')[0]
    assert f'aiida-litraj status {pk}' in done.stdout
    deadline = time.monotonic() + WAIT_SECONDS
    seen = []
    while not (status := installation.json('status', pk))['finished']:
        assert time.monotonic() < deadline, status
        seen += [status['progress']['n_items']] if status['progress'] is not None else []
    assert seen
    assert set(seen) == {1}
    assert [job['from_cache'] for job in status['jobs']] == [False]
    assert status['result']['barrier_ev'] == pytest.approx(barrier['barrier_ev'], abs=1e-6)
