"""What a person types: overrides and options, and what doesn't parse."""

from __future__ import annotations

from typing import Any

import click
import pytest
from click.testing import CliRunner

from aiida_litraj.cli import main
from aiida_litraj.cli.launch import Request, collect_overrides
from aiida_litraj.cli.options import Walltime, parse_overrides
from aiida_litraj.cli.potential import _parse_options

LAUNCHES = ('barrier', 'barrier-check', 'label', 'robustness', 'train', 'dft-neb', 'evaluate')


@pytest.mark.parametrize('command', LAUNCHES)
@pytest.mark.parametrize(
    ('written', 'seconds'),
    [
        ('7200', 7200), ('45s', 45), ('10min', 600), ('2h', 7200), ('1d', 86400), ('12:00:00', 43200),
        ('1-12:00:00', 129600), ('1-02:30', 95400),
    ],
)  # fmt: skip
def test_walltime_as_people_write_it(command: str, written: str, seconds: int) -> None:
    """The same of every launch; by hand: 1-12:00:00 are 36 hours."""
    assert walltime_of(command).type.convert(written, None, None) == seconds


@pytest.mark.parametrize(
    ('written', 'said'),
    [
        ('soon', "'soon' is no time: write a time as 7200 (seconds), 30min"),
        ('24:00', "'24:00' is no time: two parts may be hours and minutes"),
        ('-5', "'-5' is no time"), ('1.5h', "'1.5h' is no time"), ('0h', "'0h' leaves a job no time"),
    ],
)  # fmt: skip
def test_walltime_that_is_none(written: str, said: str) -> None:
    done = CliRunner().invoke(main, ['launch', 'robustness', '--potential', 'a', '--walltime', written])
    assert done.exit_code == 2
    assert said in done.stderr and '--walltime' in done.stderr


def test_every_walltime_is_written_alike() -> None:
    group = main.get_command(click.Context(main), 'launch')
    assert isinstance(group, click.Group)
    names = group.list_commands(click.Context(group))
    found = [walltime_of(name) for name in names if walltime_of(name) is not None]
    assert len(found) >= len(LAUNCHES)
    assert {type(option.type) for option in found} == {Walltime}


def walltime_of(command: str) -> Any:
    group = main.get_command(click.Context(main), 'launch')
    assert isinstance(group, click.Group)
    made = group.get_command(click.Context(group), command)
    assert made is not None
    return next((option for option in made.params if option.name == 'walltime'), None)


@pytest.mark.parametrize(
    ('texts', 'expected'),
    [
        ((), {}),
        (('parameters.band.fmax_ev_per_ang=0.02',), {'parameters': {'band': {'fmax_ev_per_ang': 0.02}}}),
        (('parameters.band.fmax_ev_per_ang=2e-2',), {'parameters': {'band': {'fmax_ev_per_ang': 0.02}}}),
        (('parameters.initial_path=linear',), {'parameters': {'initial_path': 'linear'}}),
        (('parameters.band.climb=false', 'parameters.seed=3'), {'parameters': {'band': {'climb': False}, 'seed': 3}}),
        (('parameters.source.max_steps=null',), {'parameters': {'source': {'max_steps': None}}}),
        (('geometry={n_images: 9}',), {'geometry': {'n_images': 9}}),
    ],
)
def test_overrides(texts: tuple[str, ...], expected: dict[str, Any]) -> None:
    assert parse_overrides(texts) == expected


@pytest.mark.parametrize(
    ('texts', 'message'),
    [
        (('parameters.seed',), "'parameters.seed' does not parse"),
        (('=3',), "'=3' does not parse"),
        (('parameters..seed=3',), "'parameters..seed=3' does not parse"),
        (('parameters.seed=[1',), 'the value does not parse'),
        (('parameters.seed=1', 'parameters.seed=2'), 'parameters.seed is set twice'),
        (('parameters=1', 'parameters.seed=2'), "'parameters' is set to a value by another override"),
    ],
)
def test_override_that_does_not_parse_is_named(texts: tuple[str, ...], message: str) -> None:
    with pytest.raises(click.UsageError) as caught:
        parse_overrides(texts)
    assert message in caught.value.format_message()


def request(**changes: Any) -> Request:
    values: dict[str, Any] = dict.fromkeys(Request.__dataclass_fields__)
    return Request(**{**values, 'structure': 'a.cif', 'potential': 'p', 'mobile': 'Li', 'overrides': (), **changes})


def test_geometry_has_options_of_its_own() -> None:
    overrides = collect_overrides(request(supercell_min=9.5, images=5, overrides=('parameters.seed=1',)))
    assert overrides == {'geometry': {'min_image_distance_ang': 9.5, 'n_images': 5}, 'parameters': {'seed': 1}}


def test_option_and_override_of_one_number_exclude_each_other() -> None:
    with pytest.raises(click.UsageError, match=r'--images 5: geometry\.n_images is set twice'):
        collect_overrides(request(images=5, overrides=('geometry.n_images=7',)))


def test_options_of_a_family() -> None:
    assert _parse_options(('modal=PBE', 'height=0.4')) == {'modal': 'PBE', 'height': 0.4}
    with pytest.raises(click.UsageError, match=r"--option 'modal' does not parse"):
        _parse_options(('modal',))


def test_mesh_of_k_points_as_people_write_it() -> None:
    assert parse_overrides(('level.kpoint_mesh=2x2x1',)) == {'level': {'kpoint_mesh': [2, 2, 1]}}
    assert parse_overrides(('level.kpoint_mesh=[2, 2, 1]',)) == {'level': {'kpoint_mesh': [2, 2, 1]}}
    assert parse_overrides(('level.kpoint_mesh=null',)) == {'level': {'kpoint_mesh': None}}
    for wrong in ('[2, 2]', '2x2', '2', '0x1x1', '2x2xa', '[2, 2, 2.5]'):
        with pytest.raises(click.UsageError, match='three whole numbers, like 2x2x2'):
            parse_overrides((f'level.kpoint_mesh={wrong}',))
