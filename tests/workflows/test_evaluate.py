"""Evaluations before anything runs: numbers of the protocols, what is refused, and what goes into a job."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from aiida.orm import Dict

from aiida_litraj.calculations.evaluate import EvaluateCalculation, covers_any
from aiida_litraj.contract import files, unpack_arrays
from aiida_litraj.contract.evaluate import EvaluateJob
from aiida_litraj.contract.frames import Frames
from aiida_litraj.data import FramesData, PotentialData
from aiida_litraj.workflows.evaluate import EvaluateBaseWorkChain, EvaluateWorkChain
from tests.fixtures.labels import crystal, labelled, some_labelled
from tests.fixtures.nodes import potential


@pytest.fixture
def build(launcher_code: Any, computer: Any) -> Any:
    def make(**changes: Any) -> Any:
        given = {
            'potentials': {'morse': {'code': launcher_code, 'potential': potential()}}, 'frames': some_labelled(3)
        }  # fmt: skip
        return EvaluateWorkChain.get_builder_from_protocol(**given | changes, computer=computer)

    return make


@pytest.mark.parametrize('protocol', EvaluateWorkChain.get_available_protocols())
def test_builder_of_a_protocol(protocol: str, build: Any) -> None:
    builder = build(protocol=protocol)
    assert {builder[name].label for name in ('parameters', 'settings')} == {protocol}
    assert builder.settings['offsets'] == {'balanced': 'least_squares', 'lips25-2025': 'ridge', 'raw': 'none'}[protocol]
    assert builder.parameters.get_dict() == {'dtype': 'native', 'stress': True}


def test_published_offsets(build: Any) -> None:
    """LiPS-25: ridge regression, alpha 1e-5."""
    settings = build(protocol='lips25-2025').settings
    assert (settings['offsets'], settings['ridge_alpha']) == ('ridge', 1e-5)


BAD: dict[str, tuple[dict[str, Any], str]] = {
    'protocol': ({'protocol': 'best'}, r"protocol 'best' is not known; there are: balanced"),
    'field': ({'overrides': {'settings': {'offset': 'none'}}}, r'settings\.offset .*is not known, but offsets is'),
    'value': ({'overrides': {'settings': {'confidence': 1.5}}}, r'settings\.confidence = 1\.5'),
    'no potential': ({'potentials': {}}, r'potentials: none given'),
    'job of none': ({'jobs': {'mors': {}}}, r"jobs\.mors: no potential is called 'mors'; there are: morse"),
    'option': ({'jobs': {'morse': {'options': {'devise': 'cpu'}}}}, r'devise.* is not known, but device is'),
    'packing': ({'jobs': {'morse': {'packing': {'max_jobs': 0}}}}, r'jobs\.morse\.packing\.max_jobs = 0'),
    'packing of two walltimes': (
        {'jobs': {'morse': {'packing': {'walltime_seconds': 60}, 'options': {'max_wallclock_seconds': 90}}}},
        r'jobs\.morse\.packing\.walltime_seconds = 60, but metadata\.options\.max_wallclock_seconds = 90',
    ),
    'empty packing': ({'jobs': {'morse': {'packing': {}}}}, r"packing = {}; give a dictionary such as {'max_jobs'"),
    'no packing': ({'jobs': {'morse': {'packing': 8}}}, r"packing = 8; give a dictionary such as {'max_jobs'"),
    'family': ({'overrides': {'settings': {'family': 'colour'}}}, r"settings\.family = 'colour'.*seed, stage"),
}  # fmt: skip


@pytest.mark.parametrize('case', BAD)
def test_refused(case: str, build: Any) -> None:
    changes, words = BAD[case]
    with pytest.raises(ValueError, match=words):
        build(**changes)


def test_configurations_without_labels_are_refused(build: Any, aiida_profile: Any) -> None:
    with pytest.raises(ValueError, match=r'none of the 1 configurations has an energy or forces.*launch label'):
        build(frames=FramesData.from_frames(crystal(0)))


def mixed() -> FramesData:
    return FramesData.from_frames(Frames.stack([labelled(crystal(0)), labelled(crystal(1, number=8))]))


def test_potential_that_covers_some_configurations_is_asked(build: Any, launcher_code: Any) -> None:
    lithium = PotentialData.packaged('toy', 'morse', elements=['Li'], label='lithium')
    sulfur = PotentialData.packaged('toy', 'morse', elements=['S'], label='sulfur')
    assert covers_any(lithium, mixed()) and not covers_any(sulfur, mixed())
    chosen = {name: {'code': launcher_code, 'potential': one} for name, one in (('a', lithium), ('b', sulfur))}
    assert set(build(potentials=chosen, frames=mixed()).potentials) == {'a', 'b'}
    with pytest.raises(ValueError, match=r"potential 'sulfur' does not cover Li, O, only S"):
        build(potentials={'b': chosen['b']}, frames=mixed())
    with pytest.raises(ValueError, match=r"frames\.x: potential 'sulfur' does not cover Li"):
        EvaluateBaseWorkChain.get_builder_from_protocol(launcher_code, {'x': some_labelled(1)}, sulfur)


def test_job_and_its_arrays(prepare: Any, launcher_code: Any, computer: Any) -> None:
    frames = mixed()
    lithium = PotentialData.packaged('toy', 'morse', elements=['Li'], label='lithium')
    info, folder = prepare(
        EvaluateCalculation,
        {
            'code': launcher_code, 'frames': {'x': frames}, 'potential': lithium,
            'parameters': Dict({'dtype': 'native', 'stress': False}), 'metadata': {'computer': computer},
        },
    )  # fmt: skip
    job = EvaluateJob.model_validate_json((folder / files.JOB).read_bytes())
    assert ([item.id for item in job.items], job.parameters.stress, job.elements) == (['x'], False, ['Li'])
    arrays, given = unpack_arrays(folder / files.ARRAYS), frames.frames
    assert set(arrays) == {f'x/{name}' for name in ('offsets', 'numbers', 'positions', 'cells', 'pbc')}
    for name in ('offsets', 'numbers', 'positions', 'cells', 'pbc'):
        np.testing.assert_array_equal(arrays[f'x/{name}'], getattr(given, name))
    assert files.RESULT_ARRAYS not in info.retrieve_list
    assert files.RESULT_ARRAYS in info.retrieve_temporary_list


@pytest.mark.parametrize(('elements', 'status'), [(['S'], 201), (['Li'], 200)])
def test_refusal_is_told_in_its_words_and_is_of_elements_only_where_some_lack(
    elements: list[str], status: int, build: Any, launcher_code: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from aiida.engine.utils import instantiate_process
    from aiida.manage import get_manager

    chosen = {
        name: {'code': launcher_code, 'potential': PotentialData.packaged('toy', 'morse', elements=of, label=name)}
        for name, of in (('tried', elements), ('other', ['Li']))
    }
    chain = instantiate_process(get_manager().get_runner(), build(potentials=chosen))

    def submit(process: Any, **inputs: Any) -> None:
        raise ValueError('the queue takes no such job')

    monkeypatch.setattr(chain, 'submit', submit)
    with chain._process_scope():
        chain.evaluate()
        found = chain.compare()
    assert (found.status, found.message) == (status, 'tried: the queue takes no such job')
