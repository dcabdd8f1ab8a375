"""From crystal and hop to a barrier: what is refused before anything is queued, and what the chain hands on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiida.common.links import LinkType
from aiida.engine import ProcessState
from aiida.orm import Dict, Node, QueryBuilder, StructureData, WorkChainNode

from aiida_litraj.contract.potential import FamilyReport, ProbeReport
from aiida_litraj.data import PathData, PotentialData
from aiida_litraj.workflows.barrier import ITEM, BarrierWorkChain
from aiida_litraj.workflows.neb import NebBaseWorkChain
from tests.fixtures.nodes import FCC_CONSTANT, fcc, fcc_sites, flat, neb_parameters, potential

HOP = {'source': 0, 'target': 1}
GEOMETRY = {'min_image_distance_ang': 7.5, 'n_images': 5, 'site_tolerance_ang': 0.5}
INTERSTICE = [0.5, 0.5, 0.5]


def crystal(*sites: tuple[str, tuple[float, float, float]], constant: float = 4.0) -> StructureData:
    structure = StructureData(cell=constant * np.eye(3))
    for symbol, place in sites:
        structure.append_atom(position=place, symbols=symbol)
    return structure


def oxide() -> StructureData:
    """Two lithium and one oxygen site."""
    return crystal(('Li', (0.0, 0.0, 0.0)), ('O', (2.0, 2.0, 2.0)), ('Li', (2.0, 0.0, 0.0)))


def partly_occupied() -> StructureData:
    structure = oxide()
    structure.append_atom(position=(0.0, 2.0, 0.0), symbols='Li', weights=0.5)
    return structure


def alloy() -> StructureData:
    structure = oxide()
    structure.append_atom(position=(0.0, 2.0, 0.0), symbols=('Li', 'Na'), weights=(0.25, 0.75))
    return structure


def unknown_element() -> StructureData:
    structure = oxide()
    structure.append_atom(position=(0.0, 2.0, 0.0), symbols='X')
    return structure


def between(first: list[str], last: list[str]) -> dict[str, Any]:
    """Two structures of three atoms, the first of which moves by 1.2 Ang."""
    places = [(0.0, 0.0, 0.0), (2.0, 2.0, 2.0), (0.0, 2.0, 0.0)]
    moved = [(1.2, 0.0, 0.0), *places[1:]]
    return {
        'structure': None,
        'hop': None,
        'initial_structure': crystal(*zip(first, places)),
        'final_structure': crystal(*zip(last, moved)),
    }


def made_of(*elements: str) -> PotentialData:
    return PotentialData.packaged('toy', 'morse', elements=elements, label='limited')


BAD: dict[str, tuple[Any, str]] = {
    'no mobile ion at the source': (
        lambda: {'structure': oxide(), 'hop': {'source': 1, 'target': 0}},
        r'hop\.source = 1: no mobile ion there but O; the Li sites are 0, 2',
    ),
    'source that is no site': (
        lambda: {'hop': {'source': 9, 'target': 0}},
        r'hop\.source = 9: the structure has only 4 sites, from 0; the Li sites are 0, 1, 2, 3',
    ),
    'no such element': (
        lambda: {'hop': {**HOP, 'mobile_element': 'Na'}}, r'hop\.source = 0: no mobile ion there but Li; .* has no Na',
    ),
    'target of another species': (
        lambda: {'structure': oxide(), 'hop': {'source': 0, 'target': 1}},
        r'hop\.target = 1: the target of a vacancy hop has to be a Li site, and it is O',
    ),
    'target that is no site': (
        lambda: {'hop': {'source': 0, 'target': 4}}, r'hop\.target = 4: .* Li site, and it is not one of 4 sites',
    ),
    'place for a vacancy hop': (
        lambda: {'hop': {'source': 0, 'target': INTERSTICE}},
        r"hop\.target = \[0\.5, 0\.5, 0\.5\]: .* index of a site .* 'interstitial'",
    ),
    'occupied place': (
        lambda: {'hop': {'source': 0, 'target': [0.02, 0.5, 0.5], 'mechanism': 'interstitial'}},
        r"hop\.target = \[0\.02, 0\.5, 0\.5\]: occupied by Li 0\.075 Ang away; choose an empty place",
    ),
    'site for an interstitial hop': (
        lambda: {'hop': {'source': 0, 'target': 1, 'mechanism': 'interstitial'}},
        r'hop\.target = 1: that site is occupied by Li; .* empty place in fractional coordinates',
    ),
    'source is target': (
        lambda: {'hop': {'source': 2, 'target': 2}},
        r'hop: source and target are the same site 2 with offset \[0, 0, 0\]; give another target',
    ),
    'source is target through the supercell': (
        lambda: {'hop': {'source': 0, 'target': 0, 'offset': [2, 0, 0]}},
        r'periodic image of the ion itself; raise geometry\.min_image_distance_ang = 7\.5 above 7\.540',
    ),
    'source is the empty place': (
        lambda: {'hop': {'source': 0, 'target': [0.01, 0, 0], 'mechanism': 'interstitial'}},
        r'hop: source and target are the same place, 0\.038 Ang apart',
    ),
    'ends of different composition': (
        lambda: between(['Li', 'O', 'Li'], ['Li', 'O', 'Na']),
        r'initial_structure and final_structure differ in composition: Li 2 and 1, Na 0 and 1; a hop keeps all atoms',
    ),
    'ends of different order': (
        lambda: between(['Li', 'O', 'Na'], ['Li', 'Na', 'O']),
        r'atoms in different order: number 1 is O in the one and Na in the other; sort them alike',
    ),
    'ends in different cells': (
        lambda: {
            **between(['Li', 'O', 'Na'], ['Li', 'O', 'Na']),
            'final_structure': crystal(('Li', (1.2, 0, 0)), ('O', (2, 2, 2)), ('Na', (0, 2, 0)), constant=4.1),
        },
        r'initial_structure and final_structure have different cells',
    ),
    'ends that are the same': (
        lambda: {
            **between(['Li', 'O', 'Na'], ['Li', 'O', 'Na']),
            'final_structure': between(['Li', 'O', 'Na'], ['Li'] * 3)['initial_structure'],
        },
        r'no ion moves by more than 0\.000 Ang, source and target are the same place; give a final_structure in which',
    ),
    'ends without a hop': (
        lambda: {**between(['Li', 'O', 'Na'], ['Li', 'O', 'Na']), 'final_structure': oxide()},
        r'differ in composition: Li 1 and 2, Na 1 and 0',
    ),
    'one end only': (
        lambda: {**between(['Li', 'O', 'Na'], ['Li', 'O', 'Na']), 'final_structure': None},
        r'final_structure: none given; a path between two structures needs both',
    ),
    'hop in two ways': (
        lambda: {**between(['Li', 'O', 'Na'], ['Li', 'O', 'Na']), 'structure': fcc(), 'hop': HOP},
        r'structure and initial_structure or final_structure: give the hop in one way only',
    ),
    'no hop': (lambda: {'hop': None}, r'hop: none given; with structure it names source and target'),
    'nothing': (lambda: {'hop': None, 'structure': None}, r'structure: none given; give structure and hop, or'),
    'two atoms on one place': (
        lambda: {'structure': crystal(('Li', (0, 0, 0)), ('Li', (2, 0, 0)), ('O', (2, 0, 3.9)))},
        r'structure: atoms 1 \(Li\) and 2 \(O\) are on one place \(0\.100 Ang apart, less than 0\.5 Ang\); remove one',
    ),
    'partial occupancy': (
        lambda: {'structure': partly_occupied()},
        r'structure: site 3 is partly occupied \(Li 0\.5\); make an ordered structure of it first',
    ),
    'shared site': (
        lambda: {'structure': alloy()}, r'structure: site 3 is partly occupied \(Li 0\.25, Na 0\.75\)',
    ),
    'unknown element': (
        lambda: {'structure': unknown_element()}, r"structure: site 3 is 'X', which is not an element; replace",
    ),
    'element the potential does not know': (
        lambda: {'structure': oxide(), 'hop': {'source': 0, 'target': 2}, 'potential': made_of('Li', 'P')},
        r"potential 'limited' does not cover O, only Li, P; choose another potential",
    ),
    'two images': (
        lambda: {'geometry': {**GEOMETRY, 'n_images': 2}},
        r'geometry\.n_images = 2: a path needs at least 3 images, both ends included',
    ),
    'no distance': (
        lambda: {'geometry': {**GEOMETRY, 'min_image_distance_ang': 0}}, r'geometry\.min_image_distance_ang = 0: ',
    ),
    'geometry unknown': (lambda: {'geometry': {**GEOMETRY, 'images': 5}}, r'geometry\.images: is not known'),
    'hop without a source': (lambda: {'hop': {'target': 1}}, r'hop\.source: is missing'),
    'hop unknown': (lambda: {'hop': {**HOP, 'ofset': [0, 0, 0]}}, r'hop\.ofset: is not known'),
    'offset of two numbers': (lambda: {'hop': {**HOP, 'offset': [0, 0]}}, r'hop\.offset'),
    'offset that is no whole number': (lambda: {'hop': {**HOP, 'offset': [0, 0, 0.5]}}, r'hop\.offset\.2 = 0\.5'),
    'mechanism': (lambda: {'hop': {**HOP, 'mechanism': 'exchange'}}, r"hop\.mechanism = 'exchange'"),
    'family that the environment lacks': (
        lambda: {'potential': PotentialData.packaged('sevennet', '7net-0')},
        r"lacks the potential family 'sevennet' \(it has: toy\); pip install sevenn there",
    ),
}  # fmt: skip
BAD_PROTOCOL = {
    'protocol': ({'protocol': 'quick'}, r"protocol 'quick' is not known; there are: balanced, tight"),
    'section': ({'overrides': {'geometri': {}}}, r"override 'geometri' is not known; there are: geometry, parameters"),
    'field': ({'overrides': {'geometry': {'images': 5}}}, r'geometry\.images: is not known'),
    'number': ({'overrides': {'geometry': {'n_images': 'five'}}}, r"geometry\.n_images = 'five'"),
    'parameter': ({'overrides': {'parameters': {'climb': True}}}, r'parameters\.climb: is not known'),
    'file': ({'overrides': Path('/nowhere.yaml')}, r'overrides /nowhere\.yaml'),
}  # fmt: skip
PROBED = ProbeReport(
    engine_version='0.1.0', python_version='3.11.0', python='/envs/x/bin/python', platform='Linux',
    families=[
        FamilyReport(family='toy', available=True, package='numpy', version='2.0'),
        FamilyReport(family='sevennet', available=False, package='sevenn'),
    ],
)  # fmt: skip


@pytest.fixture
def probed_code(launcher_code: Any) -> Any:
    """The code, and what is known of its environment for the time of one test."""
    launcher_code.base.extras.set('litraj_probe', PROBED.model_dump(mode='json'))
    yield launcher_code
    launcher_code.base.extras.delete('litraj_probe')


@pytest.fixture
def barrier_inputs(launcher_code: Any, computer: Any) -> Any:
    """``barrier_inputs(**changes)`` are inputs of the chain; a change to ``None`` takes an input away."""

    def make(**changes: Any) -> dict[str, Any]:
        given = {'structure': fcc(), 'hop': HOP, 'geometry': GEOMETRY, 'potential': potential('morse'), **changes}
        inputs = {key: Dict(value) if isinstance(value, dict) else value for key, value in given.items()}
        neb = {
            'code': launcher_code,
            'parameters': neb_parameters(),
            'metadata': {'computer': computer, 'options': {'processes': 1}},
        }
        return {**{key: value for key, value in inputs.items() if value is not None}, 'neb': {'neb': neb}}

    return make


def count_nodes() -> int:
    return int(QueryBuilder().append(Node).count())


@pytest.mark.parametrize('case', BAD)
def test_bad_input_is_refused_before_anything_is_stored(
    case: str, instantiate: Any, barrier_inputs: Any, probed_code: Any
) -> None:
    change, message = BAD[case]
    inputs = barrier_inputs(**change())
    before = count_nodes()
    with pytest.raises(ValueError, match=message):
        instantiate(BarrierWorkChain, inputs)
    assert count_nodes() == before


@pytest.mark.parametrize('case', BAD)
def test_bad_input_is_refused_with_the_builder(case: str, probed_code: Any) -> None:
    change, message = BAD[case]
    given = {'structure': fcc(), 'hop': HOP, 'potential': potential('morse'), **change()}
    overrides = {'geometry': {**GEOMETRY, **given.pop('geometry', {})}}
    before = count_nodes()
    with pytest.raises(ValueError, match=message):
        BarrierWorkChain.get_builder_from_protocol(probed_code, overrides=overrides, **given)
    assert count_nodes() == before


@pytest.mark.parametrize('case', BAD_PROTOCOL)
def test_bad_protocol_or_override_is_refused(case: str, launcher_code: Any) -> None:
    arguments, message = BAD_PROTOCOL[case]
    before = count_nodes()
    with pytest.raises(ValueError, match=message):
        BarrierWorkChain.get_builder_from_protocol(launcher_code, potential('morse'), fcc(), HOP, **arguments)
    assert count_nodes() == before


def test_bad_option_is_refused(instantiate: Any, barrier_inputs: Any) -> None:
    inputs = barrier_inputs()
    inputs['neb']['neb']['metadata']['options']['device'] = 'gpu'
    before = count_nodes()
    with pytest.raises(ValueError, match=r"metadata\.options\.device = 'gpu'"):
        instantiate(BarrierWorkChain, inputs)
    assert count_nodes() == before


@pytest.mark.parametrize('protocol', BarrierWorkChain.get_available_protocols())
def test_builder_of_a_protocol(protocol: str, launcher_code: Any, computer: Any, data_regression: Any) -> None:
    builder = BarrierWorkChain.get_builder_from_protocol(
        launcher_code, potential('morse'), fcc(), HOP, protocol=protocol, computer=computer, options={'device': 'cpu'}
    )
    assert {builder.geometry.label, builder.neb.neb.parameters.label} == {protocol}
    data_regression.check(
        {
            'structure': builder.structure.get_formula(),
            'hop': builder.hop.get_dict(),
            'geometry': builder.geometry.get_dict(),
            'potential': builder.potential.to_spec().model_dump(mode='json'),
            'code': builder.neb.neb.code.label,
            'computer': builder.neb.neb.metadata.computer.label,
            'options': {'device': builder.neb.neb.metadata.options['device']},
            'parameters': builder.neb.neb.parameters.get_dict(),
        }
    )


def test_two_structures_may_be_given_instead(launcher_code: Any) -> None:
    ends = {key: value for key, value in between(['Li', 'O', 'Na'], ['Li', 'O', 'Na']).items() if value is not None}
    builder = BarrierWorkChain.get_builder_from_protocol(
        launcher_code, potential('morse'), **ends, overrides={'geometry': GEOMETRY}
    )
    assert builder.initial_structure.uuid == ends['initial_structure'].uuid
    assert 'structure' not in builder._inputs(prune=True)
    assert builder.geometry['n_images'] == 5


def built(process: Any) -> PathData:
    process.build()
    path: PathData = process.ctx.path
    assert process.outputs['initial_path'].pk == path.pk
    return path


def test_path_of_a_vacancy_hop(instantiate: Any, barrier_inputs: Any) -> None:
    """Known by hand: 2 x 2 x 2 cells of four atoms less the one at the target, the ion going half a face diagonal."""
    path = built(instantiate(BarrierWorkChain, barrier_inputs(hop={'source': 0, 'target': 1, 'offset': [0, -1, 0]})))
    assert (path.n_images, path.natoms, path.mobile) == (5, 31, 0)
    half = FCC_CONSTANT / 2
    np.testing.assert_allclose(path.hop_displacement, [0.0, -half, half], atol=1e-12)
    np.testing.assert_allclose(path.cell, 2 * FCC_CONSTANT * np.eye(3))
    # the empty site is the copy of site 1 that the vector reaches: its image in the cell at y = 3/2 of the constant
    present = np.mod(path.get_positions()[0], 2 * FCC_CONSTANT)
    left = [site for site in fcc_sites(2) if np.linalg.norm(present - site, axis=1).min() > 1e-6]
    np.testing.assert_allclose(left, [[0.0, 3 * half, half]], atol=1e-9)
    assert path.creator.process_type == 'aiida.calculations:litraj.build_hop'
    assert path.labels['offset'] == [0, -1, 0]


def test_path_of_an_interstitial_hop(instantiate: Any, barrier_inputs: Any) -> None:
    hop = {'source': 0, 'target': INTERSTICE, 'mechanism': 'interstitial'}
    path = built(instantiate(BarrierWorkChain, barrier_inputs(hop=hop)))
    assert path.natoms == 32
    np.testing.assert_allclose(path.hop_displacement, np.full(3, FCC_CONSTANT / 2))


def test_path_between_two_structures(instantiate: Any, barrier_inputs: Any) -> None:
    path = built(instantiate(BarrierWorkChain, barrier_inputs(**between(['Li', 'O', 'Na'], ['Li', 'O', 'Na']))))
    assert (path.n_images, path.mobile, path.symbols) == (5, 0, ['Li', 'O', 'Na'])
    np.testing.assert_allclose(path.hop_displacement, [1.2, 0.0, 0.0])
    assert path.creator.process_type == 'aiida.calculations:litraj.build_path'


def optimised(initial: PathData) -> PathData:
    """A path with a symmetric profile of 0.3 eV."""
    shape = (initial.n_images, initial.natoms, 3)
    profile = 0.3 * np.sin(np.linspace(0.0, np.pi, initial.n_images)) ** 2
    return PathData.from_arrays(
        initial.symbols, initial.get_positions(), initial.cell, initial.pbc, initial.mobile, profile, np.zeros(shape),
        neb_forces=np.zeros(shape),
    )  # fmt: skip


def account(converged: bool) -> Dict:
    item = {
        'status': 'finished', 'converged': converged, 'label': None if converged else 'ERROR_NOT_CONVERGED',
        'reason': None if converged else 'residual force 0.2', 'n_steps': 4, 'fmax_ev_per_ang': 0.01, 'band_calls': 12,
        'endpoint_calls': 5, 'saddle_calls': 0, 'negative_modes': None,
    }  # fmt: skip
    return Dict({'items': {ITEM: item}, 'audit': {'potential': {'sha256': 'ab' * 32}, 'engine_version': '0.1.0'}})


class Ended:
    """A faked restarting chain."""

    def __init__(self, ended: int | ProcessState, outputs: dict[str, Any]) -> None:
        self.node = WorkChainNode(process_type='aiida.workflows:litraj.neb.base')
        self.node.set_process_label('NebBaseWorkChain')
        self.node.store()
        for label, value in flat(outputs):
            value.store()
            value.base.links.add_incoming(self.node, link_type=LinkType.RETURN, link_label=label)
        if isinstance(ended, ProcessState):
            self.node.set_process_state(ended)
        else:
            self.node.set_process_state(ProcessState.FINISHED)
            self.node.set_exit_status(ended)
            self.node.set_exit_message(f'message {ended}')


def test_barrier_of_a_converged_path(instantiate: Any, barrier_inputs: Any) -> None:
    process = instantiate(BarrierWorkChain, barrier_inputs())
    path = built(process)
    process.ctx.neb = Ended(0, {'results': account(True), 'paths': {ITEM: optimised(path)}}).node
    assert process.inspect() is None
    barrier = process.outputs['barrier']
    assert barrier['barrier_ev'] == pytest.approx(0.3, abs=1e-12)
    assert (barrier['converged'], barrier['model_calls'], barrier['potential_sha256']) == (True, 17, 'ab' * 32)
    assert barrier.creator.process_type == 'aiida.calculations:litraj.extract_barrier'
    assert process.outputs['path'].uuid == process.ctx.neb.outputs.paths[ITEM].uuid
    assert process.outputs['results'].uuid == process.ctx.neb.outputs.results.uuid


def test_barrier_of_a_path_that_did_not_converge_is_kept_with_a_warning(instantiate: Any, barrier_inputs: Any) -> None:
    process = instantiate(BarrierWorkChain, barrier_inputs())
    path = built(process)
    process.ctx.neb = Ended(500, {'results': account(False), 'paths': {ITEM: optimised(path)}}).node
    ended = process.inspect()
    assert (ended.status, ended.message) == (500, 'message 500')
    barrier = process.outputs['barrier']
    assert not barrier['converged']
    assert 'not converged: residual force 0.2' in barrier['warnings']


@pytest.mark.parametrize('status', [201, 303, 401, 402, 410, 501])  # one of each range, and aiida-core's own
def test_chain_that_failed_hands_its_code_on(status: int, instantiate: Any, barrier_inputs: Any) -> None:
    process = instantiate(BarrierWorkChain, barrier_inputs())
    process.ctx.neb = Ended(status, {'results': account(False)}).node
    ended = process.inspect()
    assert (ended.status, ended.message) == (status, f'message {status}')
    assert 'results' in process.outputs
    assert 'barrier' not in process.outputs


@pytest.mark.parametrize(('state', 'status'), [(ProcessState.EXCEPTED, 301), (ProcessState.KILLED, 302)])
def test_chain_that_did_not_finish(state: ProcessState, status: int, instantiate: Any, barrier_inputs: Any) -> None:
    process = instantiate(BarrierWorkChain, barrier_inputs())
    process.ctx.neb = Ended(state, {}).node
    assert process.inspect().status == status


def test_inputs_of_the_restarting_chain(instantiate: Any, barrier_inputs: Any, monkeypatch: Any) -> None:
    process = instantiate(BarrierWorkChain, barrier_inputs())
    path = built(process)
    submitted: dict[str, Any] = {}
    monkeypatch.setattr(process, 'submit', lambda chain, **inputs: submitted.update(chain=chain, **inputs) or path)
    process.run_neb()
    assert submitted['chain'] is NebBaseWorkChain
    assert submitted['neb'].paths == {ITEM: path}
    assert submitted['neb'].potential == process.inputs.potential
    assert submitted['neb'].parameters == process.inputs.neb.neb.parameters
    assert submitted['metadata'].call_link_label == 'neb'
