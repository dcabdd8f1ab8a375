"""How good a potential is on four hops, by hand, and what becomes of failures, refusals and of what is not finished."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from aiida.orm import Dict, QueryBuilder

from aiida_litraj.analysis.benchmark_numbers import BenchmarkSettings
from aiida_litraj.calculations.functions.compare_benchmark import compare_benchmark, describe_benchmark
from aiida_litraj.calculations.functions.rank_potentials import describe_ranking
from aiida_litraj.calculations.many_inputs import run_with_many_inputs
from aiida_litraj.data import PathData
from aiida_litraj.engine.failure import Failure
from aiida_litraj.engine.tasks.neb import failed
from tests.fixtures.nodes import chain, potential

pytestmark = pytest.mark.usefixtures('aiida_profile_clean')
REFERENCE = {'a1': 0.3, 'a2': 0.5, 'b1': 0.8, 'b2': 1.0}
"""eV: two hops each of two materials. A constant barrier is the median of the other: 0.9 for a, 0.4 for b."""
WELL = 0.05
"""eV: an image below the first one, which makes the barrier by range larger."""


def band(barrier: float, shift_ang: float = 0.0, well: float = 0.0) -> PathData:
    """Return a path of one ion of four that is shifted as a whole; not stored."""
    positions = np.zeros((4, 4, 3)) + np.arange(4)[None, :, None]
    positions[:, 0, 0] = np.linspace(0.0, 1.0, 4)
    energies = [0.0, -well, barrier, 0.0]
    return PathData.from_arrays(
        ['Li', 'Li', 'S', 'S'], positions + shift_ang * np.array([1.0, 0.0, 0.0]), 9.0 * np.eye(3), [True] * 3,
        mobile=0, energies=energies,
    )  # fmt: skip


def account(**items: Any) -> dict[str, Any]:
    """Return the account of paths: whether they converged, ``None`` for one that is not finished, or why it failed."""
    said = {
        name: {
            'status': 'unfinished' if converged is None else 'finished',
            'converged': bool(converged), 'label': None if converged else 'ERROR_NOT_CONVERGED', 'reason': None,
            'n_steps': 7, 'fmax_ev_per_ang': 0.05, 'band_calls': 20, 'endpoint_calls': 10, 'saddle_calls': 0,
        }
        for name, converged in items.items()
    }  # fmt: skip
    for name, label in items.items():
        if isinstance(label, str):
            said[name] = failed(name, Failure(label, 'a force of 1e9 eV/Ang')).model_dump(mode='json')
    audit = {'model_calls': 120, 'device': 'cpu', 'potential': {'name': 'morse', 'sha256': 'f' * 64}}
    return {'items': said, 'audit': audit, 'n_jobs': 2}


def nodes_of(predicted: dict[str, float], reference: dict[str, float] = REFERENCE) -> dict[str, Any]:
    """Return the paths of hops: of the reference, 0.3 Ang from it the start, and 0.1 Ang from it what was found."""
    nodes = {f'reference_{name}': band(value) for name, value in reference.items()}
    for name in reference:
        start = band(0.0, shift_ang=0.3)
        start.delete_array('energies')
        nodes[f'initial_{name}'] = start
    return nodes | {f'path_{name}': band(value, shift_ang=0.1) for name, value in predicted.items()}


def about(**changes: Any) -> dict[str, Any]:
    settings = BenchmarkSettings(threshold_ev=0.5, tight_sample=0).model_dump(mode='json')
    given = {
        'materials': {name: name[0] for name in REFERENCE}, 'settings': settings, 'reference': {'kind': 'paths'},
        'protocol': 'balanced', 'parameters': {}, 'not_covered': {},
    }  # fmt: skip
    return {**given, **changes}


FOUND = {'a1': 0.4, 'a2': 0.4, 'b1': 0.8}
"""Off by +0.1 and -0.1; the third is right by chance, as it did not converge; of the fourth there is no path."""


@pytest.fixture
def result(aiida_profile_clean: Any) -> dict[str, Any]:
    ended = account(a1=True, a2=True, b1=False, b2=False)
    return describe_benchmark(about(), ended, potential(), nodes_of(FOUND))


def test_errors_by_hand(result: dict[str, Any]) -> None:
    assert (result['n_paths'], result['n_converged'], result['n_unfinished'], result['n_materials']) == (4, 2, 0, 2)
    errors = result['errors']['range']
    assert errors['convergence_rate']['value'] == 0.5
    assert (errors['n_unconverged'], errors['n_without_barrier']) == (1, 1)
    assert errors['converged_only']['mae_ev']['value'] == pytest.approx(0.1)
    assert errors['converged_only']['mean_error_ev']['value'] == pytest.approx(0.0)
    charged = errors['charged']
    # |0.4 - 0.8| and |0.4 - 1.0| of the constant for the two that failed.
    assert charged['mae_ev_failed_as_constant']['value'] == pytest.approx((0.1 + 0.1 + 0.4 + 0.6) / 4)
    assert charged['path_error_ang_failed_as_initial']['value'] == pytest.approx((0.1 + 0.1 + 0.3 + 0.3) / 4)
    assert charged['median_error_ev_failed_as_infinite'] == {
        'value': None, 'interval': None, 'n_materials': 2, 'reason': 'the median is a failed path',
    }  # fmt: skip
    shares = {key: one['value'] for key, one in charged['share_within_failed_as_missed'].items()}
    assert (shares['0.05'], shares['0.2']) == (0.0, 0.5)
    assert errors['path_error_ang_converged_only']['value'] == pytest.approx(0.1)


def test_floors_and_groups_by_hand(result: dict[str, Any]) -> None:
    floors = result['floors']
    assert floors['constant']['mae_ev']['value'] == pytest.approx((0.6 + 0.4 + 0.4 + 0.6) / 4)
    assert floors['mae_over_constant']['value'] == pytest.approx((0.1 + 0.1) / (0.6 + 0.4))
    assert floors['initial']['path_error_ang']['value'] == pytest.approx(0.3)
    assert floors['initial']['barriers'] is None
    assert floors['share_closer_than_initial']['value'] == 0.5
    assert {name: one['n_paths'] for name, one in result['groups']['barriers'].items()} == {
        '0.25-0.5 eV': 2, '0.5-1 eV': 2,
    }  # fmt: skip
    assert list(result['groups']['anions']) == ['sulfide']


def test_nothing_infinite_is_left(result: dict[str, Any]) -> None:
    """A failed bad hop ranks before all others, at minus infinity: null, with what it means."""
    json.dumps(result, allow_nan=False)
    curve = result['classification']['failed_called_wrongly']['roc']
    assert curve['thresholds_ev'] == [None, None, 0.4]
    assert curve['thresholds_reason'].startswith('null is')
    assert curve['auc']['value'] == 0.0
    calls = result['classification']['failed_called_wrongly']['calls']
    assert (calls['good_called_good'], calls['bad_called_good']) == (2, 2)


def test_hops_say_where_they_are_from(result: dict[str, Any]) -> None:
    hop = result['hops']['a1']
    assert (hop['range_ev'], hop['reference_range_ev'], hop['material'], hop['formula']) == (0.4, 0.3, 'a', 'Li2S2')
    assert (hop['model_calls'], hop['converged'], hop['status']) == (30, True, 'finished')
    assert hop['path_uuid'] and hop['reference_uuid'] and hop['initial_uuid']
    lost = result['hops']['b2']
    assert (lost['path_uuid'], lost['range_ev'], lost['converged']) == (None, None, False)
    assert result['potential']['sha256'] == 'f' * 64 and result['cost']['n_jobs'] == 2


def test_two_definitions_of_the_barrier() -> None:
    """An image below the first one: the barrier by range is larger by its depth than that of the first image."""
    nodes = nodes_of({})
    nodes |= {f'path_{name}': band(value, 0.1, well=WELL) for name, value in REFERENCE.items()}
    found = describe_benchmark(about(), account(**dict.fromkeys(REFERENCE, True)), potential(), nodes)
    errors = {key: one['converged_only']['mae_ev']['value'] for key, one in found['errors'].items()}
    assert errors == pytest.approx({'range': WELL, 'forward': 0.0})


def test_what_is_not_finished_counts_for_nothing() -> None:
    """Numbers so far are those of the hops that are through: a job that was killed is no verdict."""
    found = describe_benchmark(
        about(), account(a1=True, a2=None, b1=True), potential(), nodes_of({'a1': 0.4, 'b1': 0.9})
    )
    assert (found['n_paths'], found['n_unfinished'], found['n_converged']) == (2, 2, 2)
    assert found['errors']['range']['convergence_rate']['value'] == 1.0
    assert found['hops']['a2']['status'] == found['hops']['b2']['status'] == 'unfinished'
    nothing = describe_benchmark(about(), account(), potential(), nodes_of({}))
    assert nothing['errors'] is None and nothing['n_paths'] == 0


def test_given_up_is_a_failure_where_that_is_a_verdict() -> None:
    """A force that explodes is the potential's; what its environment or its walltime did is nobody's."""
    ended = account(a1=True, a2=True, b1='ERROR_EXPLODED', b2='ERROR_EVALUATION')
    found = describe_benchmark(about(), ended, potential(), nodes_of({'a1': 0.4, 'a2': 0.4}))
    assert (found['n_paths'], found['n_converged'], found['n_unfinished']) == (3, 2, 1)
    assert [found['hops'][name]['status'] for name in ('b1', 'b2')] == ['failed', 'unfinished']
    assert found['hops']['b2']['label'] == 'ERROR_EVALUATION'
    errors = found['errors']['range']
    assert errors['convergence_rate']['value'] == pytest.approx(2 / 3)
    assert errors['n_without_barrier'] == 1
    # |0.4 - 0.8| of the constant for the one that exploded.
    assert errors['charged']['mae_ev_failed_as_constant']['value'] == pytest.approx((0.1 + 0.1 + 0.4) / 3)
    for label in ('ERROR_ENDPOINT_MOVED', 'ERROR_NON_FINITE', 'ERROR_EXPLODED'):
        nowhere = describe_benchmark(about(), account(**dict.fromkeys(REFERENCE, label)), potential(), nodes_of({}))
        assert (nowhere['n_paths'], nowhere['n_converged'], nowhere['n_unfinished']) == (4, 0, 0)
        charged = nowhere['errors']['range']['charged']['mae_ev_failed_as_constant']['value']
        assert charged == pytest.approx(nowhere['floors']['constant']['mae_ev']['value'])
    for label in ('ERROR_DEVICE_MEMORY', 'ERROR_ITEM_OUT_OF_TIME'):
        nobodys = describe_benchmark(about(), account(**dict.fromkeys(REFERENCE, label)), potential(), nodes_of({}))
        assert (nobodys['n_paths'], nobodys['n_unfinished']) == (0, 4)


def test_elements_that_are_not_covered_are_failures() -> None:
    lacking = {'b1': ['S'], 'b2': ['S']}
    found = describe_benchmark(
        about(not_covered=lacking), account(a1=True, a2=True), potential(), nodes_of({'a1': 0.4, 'a2': 0.4})
    )
    assert (found['n_paths'], found['n_converged'], found['n_unfinished']) == (4, 2, 0)
    assert found['errors']['range']['charged']['mae_ev_failed_as_constant']['value'] == pytest.approx(0.3)
    hop = found['hops']['b1']
    assert (hop['status'], hop['label']) == ('not covered', 'ERROR_ELEMENTS_NOT_COVERED')
    assert hop['reason'] == 'the potential does not cover S'


def test_one_material_has_no_constant() -> None:
    """Then failures can be charged with nothing, and it is said why."""
    one = about(materials=dict.fromkeys(REFERENCE, 'a'))
    found = describe_benchmark(one, account(a1=True, a2=True, b1=True, b2=False), potential(), nodes_of(FOUND))
    assert found['errors']['range']['charged'] is None
    assert 'leave no others' in found['floors']['constant']['mae_ev']['reason']
    ranking = describe_ranking({'one': found})
    assert ranking['by'] == 'mae_ev_converged_only' and ranking['ranking'] == ['one']


def test_protocols_own_error() -> None:
    """0.4 and 0.8 eV by the protocol, 0.38 and 0.83 converged tightly; a third exploded, a fourth ran out of memory."""
    nodes = nodes_of({**FOUND, 'b2': 1.0})
    nodes |= {f'tight_{name}': band(value) for name, value in {'a1': 0.38, 'b1': 0.83}.items()}
    nodes['results_tight'] = Dict(account(a1=True, b1=True, b2='ERROR_EXPLODED', a2='ERROR_DEVICE_MEMORY'))
    found = describe_benchmark(about(), account(**dict.fromkeys(REFERENCE, True)), potential(), nodes)
    error = found['protocol_error']
    assert (error['n_paths'], error['n_lost'], error['n_benchmark'], error['worst']) == (2, 1, 4, 'b1')
    assert error['mean_absolute_ev']['value'] == pytest.approx(0.025)
    assert found['cost']['tight_model_calls'] == 120


def test_a_hop_may_be_called_as_an_account_is() -> None:
    """Its tightly converged path is not to be taken for the account of all of them."""
    reference = {'results': 0.4, 'tight': 0.8}
    nodes = nodes_of(reference, reference) | {f'tight_{name}': band(value + 0.02) for name, value in reference.items()}
    every = account(results=True, tight=True)
    nodes['results_tight'] = Dict(every)
    found = describe_benchmark(about(materials={name: name for name in reference}), every, potential(), nodes)
    assert found['protocol_error']['n_paths'] == 2
    assert found['protocol_error']['mean_absolute_ev']['value'] == pytest.approx(0.02)
    assert found['cost']['tight_model_calls'] == 120


def test_barriers_of_bond_valences_are_a_floor() -> None:
    """``em_bvse`` of an entry is the barrier of the initial images, by range."""
    nodes = nodes_of(FOUND)
    for name, value in {'a1': 0.5, 'a2': 0.5, 'b1': 0.5, 'b2': 0.9}.items():
        nodes[f'initial_{name}'].base.attributes.set('labels', {'em_bvse': value})
    found = describe_benchmark(about(), account(**dict.fromkeys(REFERENCE, False)), potential(), nodes)
    assert found['floors']['initial']['barriers']['mae_ev']['value'] == pytest.approx((0.2 + 0.0 + 0.3 + 0.1) / 4)
    assert found['hops']['a1']['initial_range_ev'] == 0.5 and found['hops']['a1']['initial_forward_ev'] is None


def test_ranking_charges_failures() -> None:
    """One that fails where it is hard has the smaller error where it converged, and comes second."""
    every = account(**dict.fromkeys(REFERENCE, True))
    steady = describe_benchmark(about(), every, potential(), nodes_of({n: v - 0.2 for n, v in REFERENCE.items()}))
    picky = describe_benchmark(about(), account(a1=True, a2=True, b1=False, b2=False), potential(), nodes_of(FOUND))
    ranking = describe_ranking({'picky': picky, 'steady': steady})
    assert ranking['by'] == 'mae_ev_failed_as_constant'
    assert ranking['ranking'] == ['steady', 'picky']
    headlines = ranking['potentials']
    assert headlines['steady']['mae_ev_failed_as_constant']['value'] == pytest.approx(0.2)
    assert headlines['picky']['mae_ev_converged_only']['value'] == pytest.approx(0.1)
    ratio = ranking['mae_ratios']['picky']['steady']
    assert (ratio['value'], ratio['n_paths']) == (pytest.approx(0.5), 2)
    assert ranking['mae_ratios']['steady']['picky']['value'] == pytest.approx(2.0)
    json.dumps(ranking, allow_nan=False)


def test_who_is_not_through_comes_last() -> None:
    """0.02 eV on the one easy hop that it is through is no better than 0.2 eV on all of them."""
    every = account(**dict.fromkeys(REFERENCE, True))
    whole = {
        name: describe_benchmark(about(), every, potential(), nodes_of({n: v - off for n, v in REFERENCE.items()}))
        for name, off in (('steady', 0.2), ('worse', 0.3))
    }
    begun = describe_benchmark(about(), account(a1=True, b1=True), potential(), nodes_of({'a1': 0.32, 'b1': 0.82}))
    nothing = describe_benchmark(about(), account(), potential(), nodes_of({}))
    ranking = describe_ranking({'begun': begun, 'nothing': nothing, **whole})
    assert ranking['ranking'] == ['steady', 'worse', 'begun', 'nothing']
    assert ranking['unfinished'] == ['begun', 'nothing']
    assert 'those with unfinished hops come last' in ranking['by_words']
    assert describe_ranking(whole)['unfinished'] == [] and 'unfinished' not in describe_ranking(whole)['by_words']


def test_a_function_of_many_inputs_is_called_by_its_chain() -> None:
    """Its links are those that AiiDA's own engine makes, the call among them."""
    nodes = {name: node.store() for name, node in nodes_of(FOUND).items()}
    caller = chain('litraj.neb_benchmark')
    ended = Dict(account(a1=True, a2=True, b1=False, b2=False)).store()
    made, node = run_with_many_inputs(
        compare_benchmark, Dict(about()), (caller, 'compare_morse'), results=ended, potential=potential().store(),
        **nodes,
    )  # fmt: skip
    assert (node.caller.uuid, node.is_finished_ok, node.is_sealed) == (caller.uuid, True, True)
    assert set(node.inputs) == {'about', 'results', 'potential', *nodes}
    assert node.outputs.result.uuid == made['result'].uuid
    assert [link.link_label for link in caller.base.links.get_outgoing().all()] == ['compare_morse']
    assert made['result']['hops']['a1']['path_uuid'] == nodes['path_a1'].uuid
    assert QueryBuilder().append(type(node)).count() == 1
