"""Models of the wire: what is written is read back, what is not known is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from aiida_litraj.contract import (
    Audit,
    ExitReport,
    Model,
    NebItem,
    NebItemResult,
    NebJob,
    NebParameters,
    NebResult,
    PotentialReport,
    PotentialSpec,
    ProbeReport,
    Progress,
    Runtime,
)
from aiida_litraj.workflows.protocols.mixin import merge

PROTOCOLS = yaml.safe_load(
    (Path(__file__).parents[2] / 'aiida_litraj' / 'workflows' / 'protocols' / 'neb.yaml').read_text(encoding='utf-8')
)
SHA256 = 'ab' * 32


def parameters(protocol: str = 'balanced') -> dict[str, Any]:
    differences = {key: value for key, value in PROTOCOLS['protocols'][protocol].items() if key != 'description'}
    return dict(merge(PROTOCOLS['default_inputs'], differences)['parameters'])


def job() -> NebJob:
    return NebJob(
        potential=PotentialSpec(family='toy', name='morse', options={'depth': 0.3}),
        parameters=NebParameters(**parameters()),
        runtime=Runtime(device='cuda:1', processes=2, max_seconds=0.1 + 0.2),
        items=[NebItem(id='hop_0', mobile=0), NebItem(id='7.b', mobile=None)],
    )


def result() -> NebResult:
    report = PotentialReport(family='toy', name='morse', sha256=SHA256, dtypes=['float64'])
    audit = Audit(
        engine_version='0.1.0',
        schema_version=1,
        python_version='3.11.7',
        platform='Linux',
        packages={'numpy': '2.4.6'},
        potential=report,
        device='cpu',
        dtype='float64',
        kernels='plain',
        processes=1,
        seed=0,
        model_calls=168,
        resumed_calls=42,
        model_seconds=1 / 3,
        cpu_seconds=0.5,
        wall_seconds=0.7,
        peak_memory_mb=100.0,
        started_at='2026-11-21T00:00:00+00:00',
    )
    item = NebItemResult(
        id='hop_0', status='finished', converged=True, fmax_ev_per_ang=1e-17, hop_displacement_ang=(0.1, -3.0, 1 / 3)
    )
    return NebResult(exit=ExitReport(status=0, label='SUCCESS', message='all'), items=[item], audit=audit)


def probe() -> ProbeReport:
    return ProbeReport(engine_version='0.1.0', python_version='3.11.7', python='/usr/bin/python3', platform='Linux')


def progress() -> Progress:
    return Progress(
        task='neb',
        n_items=2,
        n_finished=1,
        n_converged=1,
        n_active=1,
        model_calls=12,
        wall_seconds=0.1,
        updated_at='2026-11-21T00:00:00+00:00',
        active=[{'id': 'hop_0', 'phase': 'band', 'step': 3, 'max_steps': 100}],
    )


MESSAGES = (job, result, probe, progress)


@pytest.mark.parametrize('make', MESSAGES, ids=lambda make: make.__name__)
def test_what_is_written_is_read_back_to_the_last_digit(make: Any) -> None:
    message = make()
    assert type(message).model_validate_json(message.model_dump_json()) == message
    assert type(message)(**json.loads(json.dumps(message.model_dump()))) == message


def _dictionaries(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if isinstance(tree, dict) else []
    children = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, child in children:
        found += _dictionaries(child, (*path, key))
    return found


@pytest.mark.parametrize('make', MESSAGES, ids=lambda make: make.__name__)
def test_an_unknown_field_is_refused_at_every_depth(make: Any) -> None:
    message = make()
    free_form = {'packages', 'options'}
    places = [path for path in _dictionaries(message.model_dump()) if not free_form & set(path)]
    assert places
    for path in places:
        content = json.loads(message.model_dump_json())
        place = content
        for key in path:
            place = place[key]
        place['colour'] = 'blue'
        with pytest.raises(ValidationError, match='colour'):
            type(message)(**content)


def test_messages_cannot_be_changed_after_the_fact() -> None:
    with pytest.raises(ValidationError, match='frozen'):
        job().items[0].mobile = 3  # type: ignore[misc]


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_numbers_that_are_not_finite_are_refused(value: float) -> None:
    content = parameters()
    content['max_force_ev_per_ang'] = value
    with pytest.raises(ValidationError, match='finite'):
        NebParameters(**content)


@pytest.mark.parametrize('protocol', list(PROTOCOLS['protocols']))
def test_a_protocol_resolves_every_number_of_the_science(protocol: str) -> None:
    content = parameters(protocol)
    assert NebParameters(**content).model_dump() == content
    defaults = [name for name, field in NebParameters.model_fields.items() if not field.is_required()]
    assert defaults == []


def test_an_older_reader_refuses_a_newer_schema() -> None:
    content = job().model_dump()
    content['schema_version'] = 2
    with pytest.raises(ValidationError, match='schema_version'):
        NebJob(**content)


def test_item_ids_that_would_leave_the_folder_or_collide_are_refused() -> None:
    for name in ('../up', 'a/b', '.hidden', '', 'a b'):
        with pytest.raises(ValidationError, match='id'):
            NebItem(id=name, mobile=None)
    with pytest.raises(ValidationError, match='more than once: hop_0'):
        NebJob(**{**job().model_dump(), 'items': [{'id': 'hop_0', 'mobile': 0}, {'id': 'hop_0', 'mobile': 1}]})


@pytest.mark.parametrize('given', [{}, {'name': 'a', 'file': 'a.pth'}])
def test_a_potential_is_a_name_or_a_file(given: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match='either a name or a file'):
        PotentialSpec(family='toy', **given)


@pytest.mark.parametrize('name', ['../a.pth', '/etc/passwd', '-rf', ''])
def test_the_file_of_a_potential_stays_in_the_folder_of_the_job(name: str) -> None:
    with pytest.raises(ValidationError, match='file'):
        PotentialSpec(family='toy', file=name)


@pytest.mark.parametrize('device', ['gpu', 'cuda:', 'cuda:x', 'cpu:0', 'CPU'])
def test_a_device_is_named_as_torch_names_it(device: str) -> None:
    with pytest.raises(ValidationError, match='device'):
        Runtime(device=device)


def test_every_model_forbids_extras() -> None:
    """A new model gets the rule by deriving from ``Model``; one that loosens it shows here."""

    def below(cls: type[Model]) -> list[type[Model]]:
        return [cls, *(leaf for child in cls.__subclasses__() for leaf in below(child))]

    for model in below(Model):
        assert model.model_config['extra'] == 'forbid', model
        assert model.model_config['frozen'], model
