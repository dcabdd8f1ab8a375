"""What the options of a launch become: the inputs of the chain."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest
from ase.build import bulk
from click.testing import CliRunner

from aiida_litraj.cli import launching, main
from aiida_litraj.cli.launch import Request, collect_overrides, prepare
from aiida_litraj.codes.profile import CACHED

pytestmark = pytest.mark.usefixtures('aiida_profile_clean')


@pytest.fixture
def request_of_hop(tmp_path: Path) -> Request:
    bulk('Li', 'fcc', a=4.0, cubic=True).write(tmp_path / 'fcc.xyz')
    values: dict[str, Any] = dict.fromkeys(Request.__dataclass_fields__)
    given = {'structure': str(tmp_path / 'fcc.xyz'), 'potential': 'morse', 'mobile': 'Li', 'overrides': ()}
    return Request(**{**values, **given, 'hop': '0,1,0,0,0', 'verify_saddle': False})


@pytest.fixture(autouse=True)
def code(aiida_profile_clean: Any, aiida_localhost: Any) -> Any:
    """A code with options of its own, as a configuration file gives them."""
    from aiida_litraj.codes.environment import Environment
    from aiida_litraj.codes.register import register
    from aiida_litraj.contract.potential import FamilyReport, ProbeReport
    from aiida_litraj.data import PotentialData

    PotentialData.packaged('toy', 'morse').store()
    families = [FamilyReport(family='toy', available=True, package='numpy')]
    report = ProbeReport(engine_version='0', python_version='3', python='p', platform='l', families=families)
    environment = Environment(
        'toy', aiida_localhost.label, sys.executable, options={'queue_name': 'gpu', 'device': 'cuda'}
    )
    return register(environment, report).code


def test_vacancy_hop(request_of_hop: Request, code: Any, aiida_localhost: Any) -> None:
    asked = replace(request_of_hop, supercell_min=7.5, images=9)
    builder = prepare(asked, collect_overrides(asked))
    assert builder.hop.get_dict() == {
        'source': 0, 'target': 1, 'offset': [0, 0, 0], 'mechanism': 'vacancy', 'mobile_element': 'Li'
    }  # fmt: skip
    assert builder.structure.get_formula() == 'Li4'
    geometry = builder.geometry.get_dict()
    assert (geometry['min_image_distance_ang'], geometry['n_images']) == (7.5, 9)
    assert builder.potential.label == 'morse'
    assert builder.neb.neb.code.uuid == code.uuid
    assert builder.neb.neb.metadata.computer.uuid == aiida_localhost.uuid


def test_interstitial_hop(request_of_hop: Request) -> None:
    builder = prepare(replace(request_of_hop, hop='0,0.5,0.5,0.5', mechanism='interstitial'), {})
    assert builder.hop['mechanism'] == 'interstitial'
    assert builder.hop['target'] == [0.5, 0.5, 0.5]


def test_two_structures(request_of_hop: Request, tmp_path: Path) -> None:
    moved = bulk('Li', 'fcc', a=4.0, cubic=True).repeat(2)
    moved.write(tmp_path / 'start.xyz')
    moved.positions[0] += [0.9, 0.9, 0.0]
    moved.write(tmp_path / 'end.xyz')
    names = {'structure': str(tmp_path / 'start.xyz'), 'final': str(tmp_path / 'end.xyz'), 'hop': None}
    builder = prepare(replace(request_of_hop, **names), {})
    assert 'structure' not in builder
    assert builder.final_structure.sites[0].position == pytest.approx((0.9, 0.9, 0.0))
    assert builder.hop.get_dict() == {'mobile_element': 'Li'}


def test_options_of_the_code_give_way_to_those_of_the_launch(request_of_hop: Request) -> None:
    plain = prepare(request_of_hop, {}).neb.neb.metadata.options
    assert (plain['queue_name'], plain['device']) == ('gpu', 'cuda')
    asked = replace(request_of_hop, device='cpu', walltime=600, max_seconds=300.0, processes=2)
    options = prepare(asked, {}).neb.neb.metadata.options
    assert (options['queue_name'], options['device'], options['processes']) == ('gpu', 'cpu', 2)
    assert (options['max_wallclock_seconds'], options['max_seconds']) == (600, 300.0)


def test_saddle_check_is_asked_for(request_of_hop: Request) -> None:
    assert prepare(request_of_hop, {}).neb.neb.parameters['verify_saddle'] is None
    asked = prepare(replace(request_of_hop, verify_saddle=True), {}).neb.neb.parameters
    assert asked['verify_saddle']['n_modes'] >= 1


def test_hop_that_does_not_fit_the_mechanism_does_not_parse(request_of_hop: Request) -> None:
    with pytest.raises(click.UsageError, match="'0,1,0,0,0' is written as a vacancy hop"):
        prepare(replace(request_of_hop, mechanism='interstitial'), {})


class Taken:
    """Stands for running and submitting: keeps the builder it was given, and whether its job would be reused."""

    def __init__(self) -> None:
        self.builder: Any = None
        self.reuses: bool | None = None

    def __call__(self, builder: Any, as_json: bool) -> None:
        from aiida.manage.caching import get_use_cache

        self.builder, self.reuses = builder, get_use_cache(identifier=CACHED.replace('*', 'neb'))


@pytest.fixture
def launched(request_of_hop: Request, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that launches with further options, and what then became of it."""

    def launch_with(*options: str) -> tuple[Any, Taken]:
        taken = Taken()
        monkeypatch.setattr(launching, 'submit' if '--daemon' in options else 'run', taken)
        fixed = ('launch', 'barrier', request_of_hop.structure, '--hop', '0,1,0,0,0', '--potential', 'morse')
        return CliRunner().invoke(main, [*fixed, *options]), taken

    return launch_with


@pytest.fixture
def caching_profile(aiida_profile_clean: Any) -> Iterator[None]:
    """The profile as ``setup`` makes it."""
    from aiida.manage.configuration import get_config

    get_config().set_option('caching.enabled_for', [CACHED], scope=aiida_profile_clean.name)
    yield
    get_config().unset_option('caching.enabled_for', scope=aiida_profile_clean.name)


@pytest.mark.parametrize('mode', [(), ('--daemon',)])
def test_job_is_done_again_wherever_it_runs(launched: Any, mode: tuple[str, ...]) -> None:
    for option, disabled in ((('--no-cache',), True), ((), None)):
        done, taken = launched(*option, *mode)
        assert done.exit_code == 0, done.output
        assert taken.builder.neb.neb.metadata.get('disable_cache', None) is disabled


def test_reusing_here_is_for_this_launch_only(launched: Any) -> None:
    assert [launched(*option)[1].reuses for option in (('--cache',), ())] == [True, False]


def test_reusing_by_the_daemon_takes_a_profile_that_reuses(launched: Any) -> None:
    done, taken = launched('--cache', '--daemon')
    assert done.exit_code == 2
    assert f"config set --append caching.enabled_for '{CACHED}'" in done.stderr
    assert taken.builder is None


@pytest.mark.usefixtures('caching_profile')
def test_daemon_reuses_if_the_profile_does(launched: Any) -> None:
    done, taken = launched('--cache', '--daemon')
    assert (done.exit_code, taken.reuses) == (0, True)


def test_code_without_the_family_is_refused(request_of_hop: Request, code: Any) -> None:
    from aiida_litraj.data import PotentialData

    PotentialData.packaged('sevennet', '7net-0', sha256='ab' * 32).store()
    with pytest.raises(ValueError, match="lacks the potential family 'sevennet'"):
        prepare(replace(request_of_hop, potential='7net-0', code='toy'), {})
