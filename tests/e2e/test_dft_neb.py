"""A reference and potentials on one hop, with analytic potentials whose barriers and paths are known of each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from aiida.engine import run_get_node
from aiida.orm import Bool, Str

from aiida_litraj.calculations.neb import NebCalculation
from aiida_litraj.groups.query import count, entries, find_entry
from aiida_litraj.workflows.barrier import straight_path
from aiida_litraj.workflows.dft_neb import DftNebWorkChain
from aiida_litraj.workflows.resume import resumed_from
from tests.fixtures.nodes import fcc, potential

DEPTH_EV, SHARE = 0.3, 0.8
"""The Morse potential's own depth, and that of the one beside it: all its energies are 0.8 of the reference's."""
BARRIER_EV, PATH_ANG = 2e-3, 5e-3
"""Of bands converged to 0.02 eV/Ang and 0.2 meV."""
TIGHT = {'protocol': 'tight'}
HOP = {'source': 0, 'target': 1}


@pytest.fixture
def builder(engine_code: Any, computer: Any) -> Any:
    """``builder(**inputs)``: the vacancy hop of an fcc crystal of 31 atoms, and a softer potential beside it."""
    soft = {'code': engine_code, 'potential': potential(depth=SHARE * DEPTH_EV)}

    def make(**inputs: Any) -> Any:
        given = {'structure': fcc(), 'hop': HOP, 'reference': potential(), 'potentials': {'soft': soft}, **inputs}
        return DftNebWorkChain.get_builder_from_protocol(
            engine_code,
            overrides={
                'geometry': {'min_image_distance_ang': 7.0, 'n_images': 5},
                'neb': TIGHT,
                'potential_neb': TIGHT,
            },
            options={'processes': 1},
            computer=computer,
            **given,
        )

    return make


def test_a_softer_potential_has_the_same_path_and_a_share_of_the_barrier(builder: Any) -> None:
    result, node = run_get_node(builder(dataset='toy paths', name='fcc_0_1'))
    assert node.is_finished_ok, node.exit_message
    reference, compared = result['barrier'].get_dict(), result['comparison']['soft'].get_dict()
    assert reference['barrier_ev'] > 0.1
    expected = (SHARE - 1.0) * reference['barrier_ev']
    assert compared['barrier_difference_ev'] == pytest.approx(expected, abs=BARRIER_EV)
    assert compared['range_difference_ev'] == pytest.approx(expected, abs=BARRIER_EV)
    np.testing.assert_allclose(
        compared['energy_differences_ev'], (SHARE - 1.0) * np.array(reference['profile_ev']), atol=BARRIER_EV
    )
    assert compared['path_error_ang'] < PATH_ANG
    assert compared['barrier_ev'] == result['barriers']['soft']['barrier_ev']

    # all that the reference evaluated is in the set, and nothing of the potential
    kept, calls = result['configurations'], result['results']['audit']['model_calls']
    assert kept.n_frames == len(kept.entry_ids) == count('toy paths') == calls
    last = find_entry('toy paths', f'fcc_0_1_band_{reference["n_steps"]:04d}_2').frames()
    assert float(last.energies[0]) == result['path'].energies[2]
    np.testing.assert_array_equal(last.forces, result['path'].image_forces[2])
    assert last.info[0] == {'path': 'fcc_0_1', 'stage': 'band', 'step': reference['n_steps'], 'image': 2}
    ends = list(entries('toy paths', columns=['properties.step'], properties={'stage': 'target'}))
    assert [entry.facts['properties.step'] for entry in ends] == list(range(len(ends)))

    # a second launch of the same finds the entries there
    _, again = run_get_node(builder(dataset='toy paths', name='fcc_0_1'))
    assert again.is_finished_ok, again.exit_message
    assert count('toy paths') == calls


def test_a_stopped_launch_is_gone_on_from(builder: Any, engine_code: Any, computer: Any) -> None:
    """Although each launch makes its reference anew, as it makes GPAW at the level of a protocol."""
    made = builder()
    path = straight_path(made)
    given = {'code': engine_code, 'potential': made.reference.potential, 'parameters': made.parameters}
    given |= {'paths': {'hop': path}, 'keep_configurations': Bool(True)}
    options = {'processes': 1, 'max_seconds': 1e-3}
    _, cut = run_get_node(NebCalculation, **given, metadata={'computer': computer, 'options': options})
    assert cut.exit_status == 400, cut.exit_message
    result, node = run_get_node(builder(reference=potential()))
    assert node.is_finished_ok, node.exit_message
    assert node.inputs.reference.potential.uuid != cut.inputs.potential.uuid
    jobs = [one for one in node.called_descendants if one.process_type == cut.process_type]
    assert cut.pk in [before.pk for before in map(resumed_from, jobs) if before is not None]
    assert result['barrier']['converged']


def test_the_reference_can_start_from_the_path_of_a_potential(builder: Any) -> None:
    straight, _ = run_get_node(builder())
    result, node = run_get_node(builder(start_from='soft'))
    assert node.is_finished_ok, node.exit_message
    assert node.inputs.parameters['initial_path'] == 'shift'
    assert result['barrier']['barrier_ev'] == pytest.approx(straight['barrier']['barrier_ev'], abs=BARRIER_EV)
    assert result['barrier']['n_steps'] < straight['barrier']['n_steps']
    first = next(one for one in node.called if one.base.links.get_incoming().first().link_label == 'neb_reference')
    assert first.inputs.neb.paths.hop.uuid == result['paths']['soft'].uuid


def test_a_potential_that_fails_leaves_the_reference_and_its_own_words(builder: Any, engine_code: Any) -> None:
    result, node = run_get_node(
        builder(potentials={'broken': {'code': engine_code, 'potential': potential(depth=1e9)}})
    )
    assert node.exit_status == 505
    assert 'broken' in node.exit_message
    assert result['barrier']['converged']
    assert 'comparison' not in result or not result['comparison']


def test_bad_input_is_refused_by_name(builder: Any, engine_code: Any) -> None:
    with pytest.raises(ValueError, match=r"start_from = 'hard': no potential is called so; there are: soft"):
        builder(start_from='hard')
    with pytest.raises(ValueError, match=r'potentials.reference: the name is that of the reference'):
        builder(potentials={'reference': {'code': engine_code, 'potential': potential()}})
    with pytest.raises(ValueError, match=r"jobs\.hard: no potential is called 'hard'; there are: reference, soft"):
        builder(jobs={'hard': {'options': {}}})
    with pytest.raises(ValueError, match=r"name = 'a b': it may have letters"):
        builder(name='a b')
    with pytest.raises(ValueError, match=r'hop: none given'):
        builder(hop=None)
    drawn = builder()
    drawn.start_from = Str('soft')
    with pytest.raises(ValueError, match=r"initial_path = 'idpp' draws the path anew"):
        run_get_node(drawn)
    from aiida_litraj.data import PotentialData

    wrong = PotentialData.packaged('gpaw', 'gpaw', options={'functional': 'PBE', 'cutof_ev': 300})
    with pytest.raises(ValueError, match=r'reference.potential.options.*cutof_ev'):
        builder(reference=wrong)
