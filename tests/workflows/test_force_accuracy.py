"""Force errors over stages: what is refused before anything runs, and analytic labels through the real chains."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from aiida.engine import run_get_node
from ase import Atoms

from aiida_litraj.analysis.frames import from_ase
from aiida_litraj.data import FramesData
from aiida_litraj.engine.models.interface import Configuration
from aiida_litraj.engine.models.toy import ToyEvaluator
from aiida_litraj.workflows.force_accuracy import ForceAccuracyWorkChain
from tests.fixtures.nodes import FCC_CONSTANT, fcc, fcc_sites, potential

DEEPER = {'depth': 0.36}
"""A Morse well a fifth deeper than the potential's: labels are exactly 1.2 times what the potential says."""
RATTLES = {'melt': 0.20, 'quench': 0.12, 'glass': 0.06}
ROUND_OFF = 1e-6


def snapshots(per_stage: int = 2, attributes: Any = None) -> FramesData:
    """Crystals with their atoms the further off their sites the hotter the stage, as a melt-quench leaves them."""
    generator, images = np.random.default_rng(3), []
    for number, (stage, ang) in enumerate(RATTLES.items()):
        for k in range(per_stage):
            positions = fcc_sites(1) + generator.normal(scale=ang, size=(4, 3))
            atoms = Atoms('Li4', positions=positions, cell=FCC_CONSTANT * np.eye(3), pbc=True)
            atoms.info = {'stage': stage, 'time_fs': 1e3 * (number * per_stage + k + 1)}
            images.append(atoms)
    return FramesData.from_frames(
        from_ase(images), {'sampled_from': 'melt-quench'} if attributes is None else attributes
    )


def exact(frames: FramesData, **options: float) -> list[Any]:
    """What the Morse potential says of each frame."""
    found = frames.frames
    every = [Configuration(one.numbers, one.positions, one.cells[0], one.pbc[0], stress=True) for one in found]
    return ToyEvaluator('morse', options).evaluate(every)


@pytest.fixture
def build(launcher_code: Any, computer: Any, toy_dft: Any) -> Any:
    """``build(overrides, **changes)`` is the builder for the Morse potential, with labels of the deeper one."""

    def make(
        overrides: Any = None, protocol: str = 'fast', code: Any = None, ceiling_ev: Any = None, **changes: Any
    ) -> Any:
        morse = {'code': code or launcher_code, 'potential': potential('morse')}
        given = {'potentials': {'morse': morse}, 'dft_code': toy_dft, **changes}
        if given['dft_code'] is not None:
            given['label'] = {'settings': {'options': DEEPER, 'ceiling_ev': ceiling_ev}}
        return ForceAccuracyWorkChain.get_builder_from_protocol(
            protocol=protocol, overrides=overrides, computer=computer, options={'processes': 1}, **given
        )

    return make


@pytest.mark.parametrize(
    ('protocol', 'most', 'functional', 'offsets'),
    [
        ('balanced', 20, 'PBE', 'least_squares'),
        ('lips25-2025', None, 'PBEsol', 'ridge'),
        ('fast', 6, 'PBE', 'least_squares'),
    ],
)
def test_builder_of_a_protocol(protocol: str, most: Any, functional: str, offsets: str, build: Any) -> None:
    builder = build(protocol=protocol, frames=snapshots())
    assert (builder.sample.get_dict(), builder.sample.label) == ({'max_frames': most}, protocol)
    assert builder.label.level['functional'] == functional
    settings = builder.evaluate.settings
    assert (settings['offsets'], settings['family']) == (offsets, 'stage')
    assert 'frames' not in builder.label and 'frames' not in builder.evaluate
    assert not builder._inputs(prune=True).get('melt_quench')


def test_builder_with_a_melt_quench(build: Any, launcher_code: Any) -> None:
    driver = {'code': launcher_code, 'potential': potential('morse')}
    builder = build(structure=fcc(), driver=driver, overrides={'melt_quench': {'schedule': {'n_snapshots': 6}}})
    assert builder.melt_quench.schedule['n_snapshots'] == 6
    assert builder.melt_quench.structure.get_formula() == 'Li4'
    assert builder.evaluate.settings['family'] == 'stage'
    assert builder.evaluate.settings['unit'] == 'frame'  # one trajectory, over which there would be no interval


@pytest.mark.parametrize(
    ('attributes', 'unit'),
    [
        ({}, 'frame'),
        ({'trajectory_ids': ['a'] * 6, 'material_id': 'm'}, 'frame'),
        ({'trajectory_ids': ['a', 'a', 'b', 'b', 'c', 'c']}, 'auto'),
        ({'material_ids': ['m', 'm', 'm', 'n', 'n', 'n']}, 'auto'),
    ],
)
def test_intervals_are_over_what_there_are_several_of(attributes: Any, unit: str, build: Any) -> None:
    assert build(frames=snapshots(attributes=attributes)).evaluate.settings['unit'] == unit
    asked = {'evaluate': {'settings': {'unit': 'frame'}}}
    assert build(frames=snapshots(attributes=attributes), overrides=asked).evaluate.settings['unit'] == 'frame'


def test_bad_input_is_refused(build: Any, launcher_code: Any, count_processes: Any) -> None:
    before, driver = count_processes(), {'code': launcher_code, 'potential': potential('morse')}
    refusals: list[tuple[dict[str, Any], str]] = [
        ({}, 'frames and structure: none is given'),
        ({'frames': snapshots(), 'structure': fcc()}, 'frames and structure: both are given'),
        ({'structure': fcc()}, 'driver: none given'),
        ({'structure': fcc(), 'driver': driver, 'dft_code': None}, 'dft_code: none given'),
        ({'frames': snapshots(), 'dft_code': None}, 'they were sampled from a melt-quench'),
        ({'frames': snapshots(attributes={}), 'dft_code': None}, 'none of the 6 configurations has an energy'),
        ({'frames': snapshots(), 'overrides': {'sample': {'max_frames': 0}}}, r'sample\.max_frames = 0'),
        ({'frames': snapshots(), 'ensembles': {'all': ['morse', 'other']}}, "no potential is called 'other'"),
        ({'frames': snapshots(), 'ensembles': {'all': []}}, r'ensembles\.all = \[\]'),
        ({'frames': snapshots(), 'overrides': {'label': {'level': {'cutoff_ev': 0.0}}}}, r'level\.cutoff_ev = 0'),
    ]
    for changes, words in refusals:
        with pytest.raises(ValueError, match=words):
            build(**changes)
    assert count_processes() == before


def test_inputs_of_a_chain_are_checked_too(build: Any, instantiate: Any) -> None:
    inputs = build(frames=snapshots())._inputs(prune=True)
    with pytest.raises(ValueError, match='frames and melt_quench: none is given'):
        instantiate(ForceAccuracyWorkChain, {key: value for key, value in inputs.items() if key != 'frames'})
    with pytest.raises(ValueError, match='sampled from a melt-quench'):
        instantiate(ForceAccuracyWorkChain, {key: value for key, value in inputs.items() if key != 'label'})


@pytest.mark.e2e
def test_labels_that_are_a_fifth_larger(build: Any, engine_code: Any) -> None:
    """Known: the slope of the forces is 1/1.2 in every stage, and each error a sixth of the label."""
    frames = snapshots()
    outputs, node = run_get_node(build(frames=frames, code=engine_code, overrides={'sample': {'max_frames': None}}))
    assert node.is_finished_ok, (node.exit_status, node.exit_message)
    found = outputs['accuracy'].get_dict()
    assert (found['n_snapshots'], found['n_labelled'], found['failed']) == (6, 6, [])
    assert found['stages'] == ['melt', 'quench', 'glass']
    assert found['times_ps'] == pytest.approx([1, 2, 3, 4, 5, 6])
    labels = exact(frames, **DEEPER)
    rmse = np.array([np.sqrt(np.square(one.forces / 6).mean()) for one in labels])
    morse = found['potentials']['morse']
    assert morse['snapshots']['rmse_force_mev_per_ang'] == pytest.approx(1e3 * rmse, rel=ROUND_OFF)
    for number, stage in enumerate(found['stages']):
        block = morse['stages'][stage]
        assert block['n_frames'] == 2
        assert block['slope_force'] == pytest.approx(1 / 1.2, rel=ROUND_OFF)
        expected = 1e3 * np.sqrt(np.square(rmse[2 * number : 2 * number + 2]).mean())
        assert block['rmse_force_mev_per_ang'] == pytest.approx(expected, rel=ROUND_OFF)
    whole = morse['stages']['all']
    assert whole['rmse_force_mev_per_ang'] == pytest.approx(1e3 * np.sqrt(np.square(rmse).mean()), rel=ROUND_OFF)
    low, high = whole['rmse_force_mev_per_ang_interval']
    assert low < whole['rmse_force_mev_per_ang'] < high
    # Of one composition the offsets take the mean of the energy error away, and nothing else.
    short = np.array([one.energy / 6 / 4 for one in labels])
    expected = 1e3 * (short.mean() - short)
    assert morse['snapshots']['energy_error_mev_per_atom'] == pytest.approx(expected, abs=1e-3)
    assert whole['rmse_energy_mev_per_atom'] == pytest.approx(np.sqrt(np.square(expected).mean()), rel=1e-5)


@pytest.mark.e2e
def test_snapshots_that_are_not_labelled_do_not_count(build: Any, engine_code: Any) -> None:
    """The hottest snapshot, highest in energy, does not converge: it is named, and the chain ends as the labels did."""
    frames = snapshots()
    labels = [one.energy for one in exact(frames, **DEEPER)]
    highest = int(np.argmax(labels))
    ceiling = float(np.sort(labels)[-2:].mean())
    everything = {'sample': {'max_frames': None}}
    outputs, node = run_get_node(build(frames=frames, code=engine_code, ceiling_ev=ceiling, overrides=everything))
    assert node.exit_status == 501
    found = outputs['accuracy'].get_dict()
    assert (found['n_snapshots'], found['n_labelled']) == (6, 5)
    assert [(one['index'], one['stage'], one['label']) for one in found['failed']] == [
        (highest, 'melt', 'ERROR_SCF_NOT_CONVERGED')
    ]
    assert found['potentials']['morse']['stages']['melt']['n_frames'] == 1
    assert found['warnings'][0] == '1 snapshot has no label and counts for nothing: above the ceiling'
    assert outputs['labelled'].n_frames == 5


@pytest.mark.e2e
def test_repeats_are_averaged_and_labels_taken_as_they_are(build: Any, engine_code: Any, computer: Any) -> None:
    """Known: wells a half and three quarters as deep have slopes of 0.5 and 0.75, in the mean 0.625."""
    frames = snapshots(attributes={})
    content, labels = frames.frames, exact(frames, depth=0.3)
    known = type(content)(
        **{
            **vars(content),
            'energies': np.array([one.energy for one in labels]),
            'forces': np.concatenate([one.forces for one in labels]),
        }
    )
    chosen = {
        name: {'code': engine_code, 'potential': potential('morse', depth=depth)}
        for name, depth in (('half', 0.15), ('more', 0.225))
    }
    builder = build(
        potentials=chosen, frames=FramesData.from_frames(known), dft_code=None, ensembles={'both': ['half', 'more']},
        overrides={'sample': {'max_frames': 4}},
    )  # fmt: skip
    outputs, node = run_get_node(builder)
    assert node.is_finished_ok, (node.exit_status, node.exit_message)
    found = outputs['accuracy'].get_dict()
    assert (found['n_snapshots'], found['n_labelled']) == (4, 4)
    assert 'report' not in outputs
    assert found['times_ps'] == pytest.approx([2, 3, 5, 6])
    slope = found['ensembles']['both']['stages']['all']['slope_force']
    assert (slope['mean'], slope['n']) == (pytest.approx(0.625), 2)
    assert slope['std'] == pytest.approx(0.25 / np.sqrt(2))
    made = outputs['accuracy'].creator.inputs.labelled
    assert made.creator.process_type == 'aiida.calculations:litraj.thin_frames'


@pytest.mark.e2e
def test_melt_quench_first(build: Any, engine_code: Any) -> None:
    driver = {'code': engine_code, 'potential': potential('morse')}
    schedule = {'melt_temperature_k': 600.0, 'end_temperature_k': 100.0, 'n_snapshots': 6}
    changes = {'melt_quench': {'schedule': schedule}, 'sample': {'max_frames': 4}}
    outputs, node = run_get_node(build(structure=fcc(), driver=driver, code=engine_code, overrides=changes))
    assert node.is_finished_ok, (node.exit_status, node.exit_message)
    found = outputs['accuracy'].get_dict()
    assert found['n_labelled'] == 4
    assert found['stages'] == ['melt', 'quench', 'glass']
    assert found['potentials']['morse']['stages']['all']['slope_force'] == pytest.approx(1 / 1.2, rel=1e-4)
    assert [child.process_label for child in node.called][:3] == [
        'MeltQuenchWorkChain', 'thin_frames', 'LabelWorkChain'
    ]  # fmt: skip
