"""What is refused before anything is queued, and what fails alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from aiida.engine import run_get_node
from ase import Atoms

from aiida_litraj.workflows.label import LabelWorkChain
from tests.fixtures.label_backend import SpringsBackend, springs_level
from tests.fixtures.labelling import EDGE, Resumed, children, code_of, configuration, frames_of


def bad_images() -> dict[str, Atoms]:
    """Return configurations that nothing can label, by the reason."""
    images = {name: configuration(3) for name in ('one place', 'no volume', 'pbc = ', 'not finite', 'is X')}
    images['one place'].positions[2] = images['one place'].positions[0] + [EDGE, 0.05, 0.0]
    images['no volume'].cell[2] = images['no volume'].cell[1]
    images['pbc = '].pbc = (True, True, False)
    images['not finite'].positions[1, 1] = np.nan
    images['is X'].numbers[1] = 0
    return images


def test_configurations_that_cannot_be_labelled_are_named_and_the_others_are(inputs: Any) -> None:
    images = bad_images()
    frames = frames_of(*images.values(), configuration(2))
    _, node = run_get_node(LabelWorkChain, **inputs(frames))
    assert node.exit_status == 501
    items = list(node.outputs.report['items'].values())
    for item, words in zip(items, images, strict=False):
        assert item['label'] == 'ERROR_ITEM_INVALID'
        assert words in item['reason']
        assert item['attempts'] == 0
    assert items[-1]['status'] == 'labelled'
    assert len(children(node)) == 1


def test_element_that_the_code_lacks_fails_its_configurations_alone(inputs: Any) -> None:
    salt = configuration(3)
    salt.numbers[:] = (3, 3, 16)
    settings = {'endings': {}, 'lacking': ['S']}
    _, node = run_get_node(LabelWorkChain, **inputs(frames_of(salt, configuration(2)), settings=settings))
    assert node.outputs.report['items']['c00000']['label'] == 'ERROR_PSEUDO_MISSING'
    assert node.outputs.report['items']['c00001']['status'] == 'labelled'


@pytest.mark.parametrize(
    ('changes', 'words'),
    [
        ({'frames': 'bad'}, ['frames: none of 5 can be labelled', 'one place']),
        ({'backend': 'vasp'}, ["backend = 'vasp' is not known", 'springs']),
        ({'level': springs_level(cutoff_ev=-1.0)}, ['level.cutoff_ev = -1.0']),
        ({'settings': {'ending': {}}}, ['settings of springs.ending', 'is not known, but endings is']),
        ({'jobs': {'max_in_flight': 0}}, ['jobs.max_in_flight = 0', 'at least 1']),
        ({'jobs': {'computer': 'nowhere'}}, ["jobs.computer = 'nowhere'", 'verdi computer list']),
        ({'jobs': {'option': {}}}, ['jobs.option is not known']),
        ({'dataset': 'a/b'}, ["dataset = 'a/b'", 'without slashes']),
    ],
)
def test_bad_input_is_refused_before_anything_is_queued(
    changes: dict[str, Any], words: list[str], inputs: Any, count_processes: Any
) -> None:
    if changes.get('frames') == 'bad':
        changes = {'frames': frames_of(*bad_images().values())}
    given = {**inputs(frames_of(configuration(2))), **changes}
    before = count_processes()
    with pytest.raises(ValueError) as refused:
        run_get_node(LabelWorkChain, **given)
    for word in words:
        assert word in str(refused.value)
    assert count_processes() == before


def test_code_of_another_plugin_is_refused(computer: Any, inputs: Any) -> None:
    other = code_of(computer, 'litraj.neb')
    with pytest.raises(ValueError, match=r"of the plugin 'litraj.neb'; the back end springs takes core.arithmetic.add"):
        run_get_node(LabelWorkChain, **inputs(frames_of(configuration(2)), code=other))
    with pytest.raises(ValueError, match='which no back end takes; there are: springs'):
        LabelWorkChain.get_builder_from_protocol(other, frames_of(configuration(2)))


def test_inputs_that_the_codes_calculation_refuses_fail_their_configuration_alone(
    inputs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = SpringsBackend.inputs

    def without_ending(self: SpringsBackend, code: Any, structure: Any, *rest: Any) -> dict[str, Any]:
        made = make(self, code, structure, *rest)
        return made if len(structure.sites) == 2 else {'structure': structure}

    monkeypatch.setattr(SpringsBackend, 'inputs', without_ending)
    _, node = run_get_node(LabelWorkChain, **inputs(frames_of(configuration(3), configuration(2))))
    assert node.exit_status == 501
    assert 'ending' in node.outputs.report['items']['c00000']['reason']
    assert node.outputs.report['items']['c00001']['status'] == 'labelled'


def test_what_the_calculation_does_not_take_is_not_called_malformed(
    inputs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = frames_of(configuration(2))
    chain = Resumed(inputs(frames)).chain

    def submit(process: Any, **given: Any) -> None:
        raise ValueError('no resources of that kind')

    chain.submit = submit
    with chain._process_scope():
        chain.advance()
        ended = chain.finish()
    assert ended.status == 200
    assert 'does not take its inputs: no resources of that kind' in ended.message


def test_inputs_that_the_code_takes_for_no_configuration_are_refused_at_once(
    inputs: Any, monkeypatch: pytest.MonkeyPatch, count_processes: Any
) -> None:
    monkeypatch.setattr(SpringsBackend, 'inputs', lambda self, code, structure, *rest: {'structure': structure})
    before = count_processes()
    with pytest.raises(ValueError, match=r'the back end springs does not take its inputs: .*ending'):
        run_get_node(LabelWorkChain, **inputs(frames_of(configuration(2), configuration(3))))
    assert count_processes() == before
