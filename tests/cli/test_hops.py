"""The sites of a crystal file and the hops between them, as a launch takes them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from aiida_litraj.cli import main
from aiida_litraj.cli.structures import read_crystal

CRYSTALS = Path(__file__).parents[2] / 'examples' / 'structures'


def test_hops_of_the_papers_example_are_listed_once() -> None:
    done = CliRunner().invoke(main, ['hops', str(CRYSTALS / 'Li3PO4_gamma.cif'), '--json'])
    content = json.loads(done.stdout)
    assert [site['site'] for site in content['sites']] == list(range(12))
    listed = {hop['hop']: hop['distance_ang'] for hop in content['hops']}
    assert listed['0,6,0,0,0'] == pytest.approx(3.017, abs=1e-3)
    assert listed['0,6,0,1,0'] == pytest.approx(3.054, abs=1e-3)
    assert {'0,9,0,0,0', '0,11,0,0,1'} <= set(listed)
    assert len(listed) == len(content['hops'])


def test_one_hop_of_each_length_is_shown_and_is_a_hop() -> None:
    done = CliRunner().invoke(main, ['hops', str(CRYSTALS / 'Li2S.cif'), '--max-distance', '3'])
    assert done.stdout.count('2.854') == 1
    assert '0,1,0,0,0' in done.stdout
    assert 'launch barrier' in done.stdout
    every = CliRunner().invoke(main, ['hops', str(CRYSTALS / 'Li2S.cif'), '--max-distance', '3', '--all'])
    assert every.stdout.count('2.854') == 24  # 8 sites of simple cubic, 6 neighbours each, both ways one


def test_sites_are_those_of_a_launch_not_of_the_lines_of_the_file() -> None:
    """A CIF with symmetry lists one line for many sites."""
    path = CRYSTALS / 'Li2S.cif'
    content = json.loads(CliRunner().invoke(main, ['hops', str(path), '--json']).stdout)
    crystal = read_crystal(path)
    assert [site['site'] for site in content['sites']] == [i for i, s in enumerate(crystal.symbols) if s == 'Li']


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['nowhere.cif'], 'nowhere.cif is not there'),
        ([str(CRYSTALS / 'Li2S.cif'), '--mobile', 'Na'], 'no Na but Li, S'),
    ],
)
def test_what_cannot_be_listed_is_refused(arguments: list[str], message: str) -> None:
    done = CliRunner().invoke(main, ['hops', *arguments])
    assert (done.exit_code, done.stdout) == (1, '')
    assert message in done.stderr
