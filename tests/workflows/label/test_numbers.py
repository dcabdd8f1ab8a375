"""Labels are the numbers of the code on the configurations of the input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from aiida.engine import run_get_node

from aiida_litraj.contract.frames import Frames
from aiida_litraj.workflows import label_blocks
from aiida_litraj.workflows.label import LabelWorkChain
from tests.fixtures.label_backend import SPRING_EV_PER_ANG2, SpringsBackend
from tests.fixtures.labelling import configuration, frames_of


def test_labels_are_the_codes_numbers_on_the_inputs_configurations(inputs: Any) -> None:
    images = [configuration(n) for n in (2, 3, 4)]
    frames = frames_of(*images, entry_ids=['a', 'b', 'c'], material_ids=['m', None, 'm'])
    _, node = run_get_node(LabelWorkChain, **inputs(frames))
    assert node.exit_status == 0, node.exit_message
    assert sorted(node.outputs.labels) == ['c00000', 'c00001', 'c00002']
    for index, atoms in enumerate(images):
        label = node.outputs.labels[f'c{index:05d}']
        frame = label.frames
        np.testing.assert_array_equal(frame.positions, atoms.positions)  # not the structure's fourteen digits
        np.testing.assert_array_equal(frame.cells[0], atoms.cell.array)
        np.testing.assert_allclose(frame.forces, -SPRING_EV_PER_ANG2 * atoms.positions, rtol=0, atol=1e-12)
        np.testing.assert_array_equal(frame.arrays['site'], np.arange(len(atoms)))
        assert frame.info[0] == {'stage': f'stage {len(atoms)}', 'energy_extrapolated_ev': 1.0}
        facts = label.base.attributes.all
        assert (facts['entry_id'], facts['indices']) == ('abc'[index], [index])
        assert (facts['level']['kpoint_mesh'], facts['level']['code']) == ([2, 2, 2], 'springs')
        assert label.creator.process_label == 'collect_label'
    stacked = node.outputs.frames
    assert stacked.base.attributes.get('entry_ids') == ['a', 'b', 'c']
    assert stacked.base.attributes.get('material_ids') == ['m', None, 'm']
    assert stacked.base.attributes.get('indices') == [0, 1, 2]
    np.testing.assert_array_equal(
        stacked.frames.energies, [node.outputs.labels[key].frames.energies[0] for key in sorted(node.outputs.labels)]
    )
    report = node.outputs.report.get_dict()
    assert (report['n_total'], report['n_labelled'], report['backend']) == (3, 3, 'springs')
    assert {item['n_scf_steps'] for item in report['items'].values()} == {7}


def test_settings_are_those_of_all_configurations_together_and_are_in_the_level(
    inputs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def settled(self: SpringsBackend, settings: Any, level: Any, symbols: Any) -> dict[str, Any]:
        return {**settings, 'lacking': ['X', *sorted(symbols)]}

    monkeypatch.setattr(SpringsBackend, 'settled', settled)
    monkeypatch.setattr(SpringsBackend, 'beside_level', lambda self, settings, symbols: {'setups': settings['lacking']})
    salt = configuration(3)
    salt.numbers[:] = (3, 3, 16)
    _, node = run_get_node(LabelWorkChain, **inputs(frames_of(configuration(2), salt)))
    levels = [label.base.attributes.get('level') for label in dict(node.outputs.labels).values()]
    assert [level['setups'] for level in levels] == [['X', 'Li', 'S']] * 2
    assert node.outputs.frames.base.attributes.get('level')['setups'] == ['X', 'Li', 'S']


def test_each_label_has_its_own_split_and_trajectory(inputs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of which intervals and splits are made; also where they are put together block by block."""
    monkeypatch.setattr(label_blocks, 'BLOCK', 2)
    own = {'splits': ['train', None, 'test'], 'trajectory_ids': ['a', 'a', 'b']}
    _, node = run_get_node(LabelWorkChain, **inputs(frames_of(*[configuration(n) for n in (2, 3, 4)], **own)))
    gathered = node.outputs.frames.base.attributes.all
    for name, values in own.items():
        one = name.removesuffix('s')
        assert [
            node.outputs.labels[key].base.attributes.get(one, None) for key in sorted(node.outputs.labels)
        ] == values
        assert gathered[name] == values and one not in gathered


def test_configurations_are_parsed_once_for_all_items(inputs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = frames_of(*[configuration(2, seed) for seed in range(4)])
    parsed: list[int] = []
    whole = frames.frames.to_bytes()
    parse = Frames.from_bytes

    def counted(content: bytes) -> Frames:
        parsed.extend([1] * (content == whole))
        return parse(content)

    monkeypatch.setattr(Frames, 'from_bytes', counted)
    run_get_node(LabelWorkChain, **inputs(frames))
    assert len(parsed) <= 3  # not one for each step of each item


def test_numbers_that_are_not_finite_are_no_label(inputs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    read = SpringsBackend.read

    def spoilt(self: SpringsBackend, nodes: Any) -> Any:
        label = read(self, nodes)
        if len(label.forces) == 3:
            label.forces[1, 1] = np.nan
        return label

    monkeypatch.setattr(SpringsBackend, 'read', spoilt)
    _, node = run_get_node(LabelWorkChain, **inputs(frames_of(configuration(2), configuration(3))))
    assert node.exit_status == 501
    assert 'not finite' in node.outputs.report['items']['c00001']['reason']
