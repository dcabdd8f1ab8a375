"""The benchmark of barriers before anything runs: numbers of the protocols, materials, the sample, what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from aiida.common.links import LinkType
from aiida.engine import ProcessState
from aiida.orm import CalcJobNode, Dict

from aiida_litraj.data import PathData, PotentialData
from aiida_litraj.workflows.neb_benchmark import NebBenchmarkWorkChain, ended_text, is_through_some
from aiida_litraj.workflows.neb_benchmark_inputs import covered, materials_of, reference_of, tight_sample
from tests.fixtures.nodes import chain, potential, vacancy_path


def optimised(ion: int = 0, n_images: int = 5, **changes: Any) -> PathData:
    """Return a path with energies; not stored."""
    path = vacancy_path(ion=ion, n_images=n_images)
    given = {
        'symbols': list(path.symbols), 'positions': path.get_positions(), 'cell': path.cell, 'pbc': path.pbc,
        'mobile': 0, 'energies': np.sin(np.linspace(0.0, np.pi, n_images)),
    }  # fmt: skip
    return PathData.from_arrays(**given | changes)


@pytest.fixture
def build(launcher_code: Any, computer: Any) -> Any:
    """``build(overrides, **changes)`` is the builder of a benchmark of the Morse potential on two hops."""

    def make(overrides: Any = None, **changes: Any) -> Any:
        given = {
            'potentials': {'morse': {'code': launcher_code, 'potential': potential('morse')}},
            'paths': {'one': vacancy_path(), 'two': vacancy_path(ion=2)},
            'references': {'one': optimised(), 'two': optimised(ion=2)},
        }
        return NebBenchmarkWorkChain.get_builder_from_protocol(
            **given | changes, overrides=overrides, computer=computer
        )

    return make


@pytest.mark.parametrize('protocol', NebBenchmarkWorkChain.get_available_protocols())
def test_builder_of_a_protocol(protocol: str, build: Any, data_regression: Any) -> None:
    builder = build(protocol=protocol)
    assert builder.parameters.label == builder.analysis.label == protocol
    names = [name for name in ('parameters', 'tight_parameters', 'analysis') if name in builder]
    data_regression.check({name: builder[name].get_dict() for name in names})


def test_the_sample_starts_from_the_same_images(build: Any) -> None:
    """Else the protocol's own error would be that of another start, or of another precision, as well."""
    builder = build(protocol='litraj-2025')
    for key in ('initial_path', 'dtype', 'hop_tolerance_ang'):
        assert builder.tight_parameters[key] == builder.parameters[key]
    assert builder.tight_parameters['band']['fmax_ev_per_ang'] < builder.parameters['band']['fmax_ev_per_ang']
    assert 'tight_parameters' not in build({'analysis': {'tight_sample': 0}})


def test_sample_is_spread_over_materials_and_grows_with_them() -> None:
    materials = {f'{material}{number}': material for material in 'abc' for number in range(4)}
    sample = tight_sample(materials, 6, 0)
    assert sorted(name[0] for name in sample) == ['a', 'a', 'b', 'b', 'c', 'c']
    assert tight_sample(materials, 100, 0) == sorted(materials)
    assert tight_sample(materials, 0, 0) == []
    assert tight_sample(dict(reversed(materials.items())), 6, 0) == sample


def test_material_of_a_hop() -> None:
    """What is said, else what the entry says, else the formula of the crystal, its vacancy filled again."""
    vacant = PathData.from_arrays(
        ['Li', 'Li', 'Li', 'S', 'S'], np.zeros((3, 5, 3)), 9.0 * np.eye(3), [True] * 3, mobile=0,
        labels={'mechanism': 'vacancy'},
    )  # fmt: skip
    entry = optimised()
    entry.base.attributes.set('material_id', 'mp-7')
    inputs = {
        'paths': {'a': vacant, 'b': vacancy_path(), 'c': vacant},
        'references': {'a': vacant, 'b': entry, 'c': vacant},
    }
    assert materials_of(inputs) == {'a': 'Li2S', 'b': 'mp-7', 'c': 'Li2S'}
    assert materials_of({**inputs, 'materials': Dict({'c': 'gamma'})})['c'] == 'gamma'


def test_hops_with_other_elements_are_left_out() -> None:
    chosen = PotentialData.packaged('toy', 'morse', elements=['Li'])
    salt = PathData.from_arrays(['Li', 'Cl'], np.zeros((3, 2, 3)), 9.0 * np.eye(3), [True] * 3)
    assert covered({'metal': vacancy_path(), 'salt': salt}, chosen) == (['metal'], {'salt': ['Cl']})


@pytest.mark.usefixtures('aiida_profile_clean')
def test_what_a_reference_is(computer: Any) -> None:
    entry = optimised()
    entry.base.attributes.set('dataset', 'nebDFT2k')
    assert reference_of([entry])['kind'] == 'data set'
    assert reference_of([optimised()])['kind'] == 'paths'
    for family, kind in (('toy', 'potential'), ('gpaw', 'dft')):
        chosen = (potential() if family == 'toy' else PotentialData.packaged(family, 'pbe')).store()
        said = reference_of([found_by(chosen, 'tight', computer)])
        assert (said['kind'], said['protocol'], said['uuid']) == (kind, 'tight', chosen.uuid)


@pytest.mark.usefixtures('aiida_profile_clean')
def test_each_reference_is_what_it_is(computer: Any) -> None:
    """One path of a potential among a hundred of something else is said, and so is each protocol of it."""
    chosen = potential().store()
    made = [found_by(chosen, protocol, computer) for protocol in ('tight', 'balanced', 'tight')]
    both = reference_of(made)
    assert both['kind'] == 'several'
    assert both['label'] == (
        '2 of morse (protocol tight, a potential and no DFT), 1 of morse (protocol balanced, a potential and no DFT)'
    )
    assert [(one['protocol'], one['n_paths']) for one in both['parts']] == [('tight', 2), ('balanced', 1)]
    given = [optimised().store() for _ in range(3)]
    mixed = reference_of([made[0], *given])
    assert mixed['label'] == '3 of paths that were given, 1 of morse (protocol tight, a potential and no DFT)'
    entry = optimised()
    entry.base.attributes.set('dataset', 'nebDFT2k')
    among = reference_of([entry, made[0], given[0]])
    assert {one['kind'] for one in among['parts']} == {'data set', 'potential', 'paths'}
    assert 'a potential and no DFT' in among['label']
    assert reference_of([made[0], made[2]])['kind'] == 'potential'


def found_by(chosen: PotentialData, protocol: str, computer: Any) -> PathData:
    """Return a path that a job has optimised with a potential."""
    job = CalcJobNode(computer=computer, process_type='aiida.calculations:litraj.neb')
    for label, node in {'potential': chosen, 'parameters': Dict({}, label=protocol).store()}.items():
        job.base.links.add_incoming(node, link_type=LinkType.INPUT_CALC, link_label=label)
    path = optimised()
    path.base.links.add_incoming(job.store(), link_type=LinkType.CREATE, link_label='paths__hop')
    return path.store()


@pytest.mark.usefixtures('aiida_profile_clean')
def test_a_potential_that_fails_on_every_hop_is_judged() -> None:
    """A force that explodes everywhere is the worst that can be said of it; a crash says nothing."""
    for label, said in (('ERROR_EXPLODED', True), ('ERROR_EVALUATION', False)):
        entry = {'status': 'failed', 'converged': False, 'label': label}
        node = ended_with({'one': entry, 'two': {'status': 'unfinished', 'converged': False}})
        assert is_through_some(node) is said
    assert not is_through_some(ended_with({}))


@pytest.mark.usefixtures('aiida_profile_clean')
def test_a_chain_that_was_killed_is_said_to_be() -> None:
    node = ended_with({})
    node.set_process_state(ProcessState.KILLED)
    assert ended_text(node) == f'NebPackedWorkChain<{node.pk}> is killed'
    node.set_exit_message('nothing has come of it')
    assert ended_text(node) == 'nothing has come of it'


def ended_with(items: dict[str, Any]) -> Any:
    """Return the packed chain of a potential with that account."""
    node = chain('litraj.neb.packed', status=None)
    node.set_process_label('NebPackedWorkChain')
    results = Dict({'items': items}).store()
    results.backend_entity.add_incoming(node.backend_entity, LinkType.RETURN, 'results')
    return node


SALT = {'symbols': ['Cl'] * 31}
REFUSED: dict[str, tuple[Any, str]] = {
    'no hops': (lambda: {'paths': {}, 'references': {}}, 'paths: none given'),
    'no reference': (lambda: {'references': {'one': optimised()}}, r'paths\.two is given, but no references\.two'),
    'no path': (lambda: {'paths': {'one': vacancy_path()}}, r'references\.two is given, but no paths\.two'),
    'no energies': (
        lambda: {'references': {'one': vacancy_path(), 'two': optimised()}},
        r'references\.one: .*no energies',
    ),
    'other images': (
        lambda: {'references': {'one': optimised(n_images=7), 'two': optimised()}},
        r'references\.one has 7 images, paths\.one has 5',
    ),
    'other atoms': (
        lambda: {'references': {'one': optimised(**SALT), 'two': optimised()}},
        r'references\.one has other atoms',
    ),
    'other cell': (
        lambda: {'references': {'one': optimised(cell=8.0 * np.eye(3)), 'two': optimised()}},
        r'references\.one has another cell',
    ),
    'unknown material': (lambda: {'materials': {'three': 'Li'}}, r'materials\.three: no hop of that name'),
    'no potential': (lambda: {'potentials': {}}, 'potentials: none given'),
    'unknown protocol': (lambda: {'protocol': 'quick'}, "protocol 'quick' is not known"),
    'unknown setting': (
        lambda: {'overrides': {'analysis': {'treshold_ev': 1.0}}},
        'analysis.treshold_ev.*threshold_ev',
    ),
    'no threshold': (lambda: {'overrides': {'analysis': {'threshold_ev': 0.0}}}, r'analysis\.threshold_ev = 0\.0'),
    'falling edges': (lambda: {'overrides': {'analysis': {'barrier_edges_ev': [0.5, 0.2]}}}, 'edges have to rise'),
    'unknown option': (lambda: {'jobs': {'morse': {'options': {'devise': 'cpu'}}}}, r'devise.*but device is'),
    'empty packing': (lambda: {'jobs': {'morse': {'packing': {}}}}, r'jobs\.morse\.packing = \{\}'),
}


@pytest.mark.parametrize('case', REFUSED)
def test_bad_input_is_refused(case: str, build: Any, count_processes: Any) -> None:
    changes, message = REFUSED[case]
    before, given = count_processes(), changes()
    with pytest.raises(ValueError, match=message):
        build(**given)
    assert count_processes() == before


def test_a_potential_that_covers_no_hop_is_refused_only_alone(build: Any, launcher_code: Any, instantiate: Any) -> None:
    other = PotentialData.packaged('toy', 'morse', elements=['O'])
    chosen = {'oxides': {'code': launcher_code, 'potential': other}}
    with pytest.raises(ValueError, match='does not cover Li, only O'):
        build(potentials=chosen)
    both = build(potentials={**chosen, 'morse': {'code': launcher_code, 'potential': potential('morse')}})
    assert instantiate(NebBenchmarkWorkChain, both._inputs(prune=True)).node.is_stored
