"""From crystal and hop to a barrier: what is refused before anything is queued."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from aiida.orm import Node, QueryBuilder, StructureData

from aiida_litraj.contract.potential import FamilyReport, ProbeReport
from aiida_litraj.data import PotentialData
from aiida_litraj.workflows.barrier import BarrierWorkChain
from tests.fixtures.crystals import GEOMETRY, HOP, INTERSTICE, between, crystal
from tests.fixtures.nodes import fcc, potential


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
    'geometry unknown': (
        lambda: {'geometry': {**GEOMETRY, 'images': 5}}, r'geometry\.images = 5 is not known, but n_images is',
    ),
    'hop without a source': (lambda: {'hop': {'target': 1}}, r'hop\.source is missing'),
    'hop unknown': (lambda: {'hop': {**HOP, 'ofset': [0, 0, 0]}}, r'hop\.ofset = .* is not known, but offset is'),
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
    'section': ({'overrides': {'geometri': {}}}, r"override 'geometri' = {} is not known; there are: geometry"),
    'field': ({'overrides': {'geometry': {'images': 5}}}, r'geometry\.images = 5 is not known, but n_im'),
    'number': ({'overrides': {'geometry': {'n_images': 'five'}}}, r"geometry\.n_images = 'five'"),
    'parameter': ({'overrides': {'parameters': {'climb': True}}}, r'parameters\.climb = True is not known'),
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
