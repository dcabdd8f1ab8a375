"""The chain that compares settings, on springs that grow stiffer with the cutoff."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from aiida.engine import run_get_node
from aiida.orm import Float, InstalledCode, StructureData
from ase import Atoms

from aiida_litraj.analysis.frames import from_ase
from aiida_litraj.data.frames import FramesData
from aiida_litraj.workflows.backends import base
from aiida_litraj.workflows.convergence import ConvergenceWorkChain
from tests.fixtures.label_backend import SPRING_EV_PER_ANG2, SpringsBackend, SpringsWorkChain, springs_level


class CutoffWorkChain(SpringsWorkChain):
    """Knows at which cutoff it was asked."""

    @classmethod
    def define(cls, spec: Any) -> None:
        super().define(spec)
        spec.input('cutoff', valid_type=Float)


class CutoffBackend(SpringsBackend):
    """Forces are 1 + 10 / cutoff times those of springs; below 200 eV there is none, above 600 eV it refuses."""

    name = 'cutoff'

    def check(self, code: Any, symbols: Any, level: Any, settings: Any) -> None:
        if level.cutoff_ev > 600:
            raise ValueError(f'level.cutoff_ev = {level.cutoff_ev:g}: springs break')

    def process(self) -> Any:
        return CutoffWorkChain

    def inputs(self, code: Any, structure: StructureData, level: Any, settings: Any, *rest: Any, **more: Any) -> Any:
        given = super().inputs(code, structure, level, settings, {}, 0)
        return {
            **given,
            'cutoff': Float(level.cutoff_ev),
            **({'ending': given['ending'] * 0 + 342} if level.cutoff_ev < 200 else {}),
        }

    def outputs(self, node: Any) -> Any:
        return {**super().outputs(node), 'cutoff': node.inputs.cutoff}

    def read(self, nodes: Any) -> Any:
        label, factor = super().read(nodes), 1.0 + 10.0 / nodes['cutoff'].value
        return replace(label, energy=label.energy * factor, forces=label.forces * factor)


@pytest.fixture(autouse=True)
def springs(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = SimpleNamespace(name='cutoff', load=lambda: CutoffBackend)
    monkeypatch.setattr(base, 'entry_points', lambda group: [entry] if group == base.GROUP else [])


@pytest.fixture
def builder(computer: Any) -> Any:
    code = InstalledCode(
        label='springs', computer=computer, filepath_executable='/bin/true',
        default_calc_job_plugin='core.arithmetic.add',
    ).store()  # fmt: skip
    places = 5.0 * np.random.default_rng(0).random((3, 2, 3)) + np.array([[[0.0] * 3, [2.5] * 3]])
    images = [Atoms('Li2', positions=one, cell=9.0 * np.eye(3), pbc=True) for one in places]
    frames = FramesData.from_frames(from_ase(images), {'entry_ids': ['a', 'b', 'c']})

    def make(**grid: Any) -> Any:
        level = {key: value for key, value in springs_level().items() if key != 'kpoint_mesh'}
        return ConvergenceWorkChain.get_builder_from_protocol(
            code,
            frames,
            overrides={'grid': {'kpoint_spacings_per_ang': [], 'n_sample': 2, **grid}, 'level': level},
            settings={'endings': {}, 'lacking': []},
        )

    return make


def test_the_table_has_the_differences_to_the_finest(builder: Any) -> None:
    table, node = run_get_node(builder(cutoffs_ev=[200.0, 500.0]))
    assert node.is_finished_ok, node.exit_message
    assert table['sample'].n_frames == 2 and len(table['sample'].base.attributes.get('indices')) == 2
    rows = table['table']['series']['cutoff']
    assert [(row['cutoff_ev'], row['own'], row['finest']) for row in rows] == [
        (200.0, False, False),
        (300.0, True, False),
        (500.0, False, True),
    ]
    forces = np.concatenate([SPRING_EV_PER_ANG2 * atoms.positions for atoms in table['sample'].to_ase()])
    for row in rows:
        factor = 10.0 / row['cutoff_ev'] - 10.0 / 500.0
        assert row['n_frames'] == 2
        assert row['rmse_force_mev_per_ang'] == pytest.approx(1e3 * factor * np.sqrt(np.square(forces).mean()))
    assert rows[2]['rmse_force_mev_per_ang'] == 0.0
    assert sorted(table['frames']) == sorted(row['name'] for row in rows)


def test_a_setting_that_gives_no_label_leaves_the_others_compared(builder: Any) -> None:
    table, node = run_get_node(builder(cutoffs_ev=[100.0, 500.0], n_sample=1))
    assert node.exit_status == 501 and 'ev100' in node.exit_message
    rows = {row['cutoff_ev']: row for row in table['table']['series']['cutoff']}
    assert {cutoff: row['n_frames'] for cutoff, row in rows.items()} == {100.0: 0, 300.0: 1, 500.0: 1}
    assert '342' in rows[100.0]['reason'] and 'reason' not in rows[300.0]


def test_a_refused_setting_is_told_and_the_finest_of_the_others_compared_with(builder: Any) -> None:
    """Of a grid a child may refuse one level; the finest is then the finest that has labels."""
    table, node = run_get_node(builder(cutoffs_ev=[500.0, 800.0], n_sample=1))
    assert node.exit_status == 501, node.exit_message
    assert 'springs break' in node.exit_message and 'ev800' in node.exit_message
    rows = {row['cutoff_ev']: row for row in table['table']['series']['cutoff']}
    assert {cutoff: row['n_frames'] for cutoff, row in rows.items()} == {300.0: 1, 500.0: 1, 800.0: 0}
    assert [cutoff for cutoff, row in rows.items() if row['finest']] == [500.0]
    assert rows[800.0]['reason'] == 'refused: level.cutoff_ev = 800: springs break'
    assert rows[300.0]['rmse_force_mev_per_ang'] > 0.0
    assert len([one for one in node.called if one.process_label == 'LabelWorkChain']) == 2


def test_nothing_to_compare_is_refused(builder: Any) -> None:
    with pytest.raises(ValueError, match="nothing but the level's own"):
        builder(cutoffs_ev=[300.0])
    with pytest.raises(ValueError, match=r"every setting but the level's own is refused; .*springs break"):
        builder(cutoffs_ev=[700.0, 800.0])
    with pytest.raises(ValueError, match=r'grid\.n_sample'):
        builder(cutoffs_ev=[500.0], n_sample=0)


def test_configurations_that_cannot_be_labelled_are_not_drawn(builder: Any) -> None:
    """Of four two are faulty, so the sample of two are the others, whatever the seed draws first."""
    given = builder(cutoffs_ev=[500.0])
    images = given.frames.to_ase()
    images[0].positions[1] = images[0].positions[0]
    images[2].pbc = False
    given.frames = FramesData.from_frames(from_ase([*images, images[1]]), {'entry_ids': ['a', 'b', 'c', 'd']})
    table, node = run_get_node(given)
    assert node.is_finished_ok, node.exit_message
    assert table['sample'].base.attributes.get('indices') == [1, 3]
    assert table['sample'].base.attributes.get('entry_ids') == ['b', 'd']
    assert {row['n_frames'] for row in table['table']['series']['cutoff']} == {2}
