"""A computer that is reached over ssh, with no daemon running: set up, probed, asked to load, and run on."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.cli.conftest import HOP, Installation

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


@pytest.fixture(scope='module')
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """An installation whose home has the way to the server in its ssh configuration."""
    home = tmp_path_factory.mktemp('home')
    program = [sys.executable, str(Path(__file__).with_name('ssh_server.py')), str(home)]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert int(server.stdout.readline()) > 0
        yield Installation(home)
        server.kill()


@pytest.fixture(scope='module')
def configuration(cluster: Installation) -> str:
    far = {'label': 'cluster', 'hostname': 'cluster', 'transport': 'core.ssh_async', 'scheduler': 'core.direct'}
    place = {'work_dir': str(cluster.folder / 'scratch'), 'poll_interval': 0, 'connection': {'safe_interval': 0}}
    code = {'name': 'far', 'computer': 'cluster', 'engine_python': sys.executable, 'families': ['toy']}
    path = cluster.folder / 'cluster.yml'
    path.write_text(yaml.safe_dump({'computers': [{**far, **place}], 'codes': [code]}))
    return str(path)


def test_from_setup_to_barrier_over_ssh(cluster: Installation, configuration: str, crystal: Path) -> None:
    first = cluster.json('setup', '--from', configuration)
    assert [computer['created'] for computer in first['computers'] if computer['label'] == 'cluster'] == [True]
    assert (first['codes'][0]['computer'], first['codes'][0]['state']) == ('cluster', 'new')
    again = cluster.json('setup', '--from', configuration)
    assert (again['codes'][0]['state'], again['codes'][0]['uuid']) == ('same', first['codes'][0]['uuid'])

    assert cluster.json('potential', 'import', '--family', 'toy', '--name', 'morse')['sha256']
    arguments = ('launch', 'barrier', str(crystal), '--hop', HOP, '--potential', 'morse', '--supercell-min', '8')
    barrier = cluster.json(*arguments, '--images', '5')
    assert barrier['converged']
    (job,) = cluster.json('status', barrier['uuid'])['jobs']
    assert (job['computer'], job['exit_status']) == ('cluster', 0)
    assert not list((cluster.folder / 'scratch').glob('litraj-probe-*'))


def test_machine_that_does_not_answer_is_named(cluster: Installation, configuration: str) -> None:
    path = cluster.folder / 'gone.yml'
    content = Path(configuration).read_text().replace('hostname: cluster', 'hostname: nowhere.invalid')
    path.write_text(content.replace('label: cluster', 'label: gone').replace('computer: cluster', 'computer: gone'))
    done = cluster.call('setup', '--from', str(path))
    assert done.returncode == 1
    assert "the computer 'gone' cannot be used" in done.stderr
    assert 'aiida-litraj doctor --computer gone --quick' in done.stderr
