"""Formation energies before anything runs: numbers of the protocols, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from aiida_litraj.data import PotentialData
from aiida_litraj.workflows.formation_energy import FormationEnergyWorkChain
from tests.fixtures.crystals import compound
from tests.fixtures.nodes import potential


def crystals(**more: Any) -> dict[str, Any]:
    return {
        'Li2S': compound(Li=2, S=1), 'Li3PS4': compound(Li=3, P=1, S=4), 'P2S5': compound(P=2, S=5), **more
    }  # fmt: skip


@pytest.fixture
def build(launcher_code: Any, computer: Any) -> Any:
    """``build(structures, **given)`` is the builder with the Morse potential."""

    def make(structures: Any = None, **given: Any) -> Any:
        chosen = {'morse': {'code': launcher_code, 'potential': potential('morse')}}
        return FormationEnergyWorkChain.get_builder_from_protocol(
            **{
                'potentials': chosen,
                'structures': crystals() if structures is None else structures,
                'computer': computer,
                **given,
            }
        )

    return make


@pytest.mark.parametrize('protocol', FormationEnergyWorkChain.get_available_protocols())
def test_builder_of_a_protocol(protocol: str, build: Any, data_regression: Any) -> None:
    builder = build(protocol=protocol)
    assert {builder[name].label for name in ('settings', 'relaxation')} == {protocol}
    data_regression.check({name: builder[name].get_dict() for name in ('settings', 'relaxation')})


def test_published_choices(build: Any) -> None:
    """What LiPS-25 tells: crystals are compared with PBEsol. Cell and ions relax; the symmetry is kept."""
    builder = build(protocol='lips25')
    assert builder.settings['reference_functional'] == 'PBEsol'
    assert builder.relaxation['cell'] == 'full' and builder.relaxation['symmetry_tolerance_ang'] is not None


NUMBERS = {'formation_energies_ev_per_atom': {'Li3PS4': -0.05}, 'source': 'a paper'}


@pytest.mark.parametrize(
    ('given', 'words'),
    [
        ({'structures': {}}, ['structures: none given']),
        ({'structures': {'a': {'Li': 1}, 'b': {'Li': 2}}}, ['end_members', 'all of one composition']),
        (
            {'structures': {'Li2S': {'Li': 2, 'S': 1}, 'P2S5': {'P': 2, 'S': 5}}},
            ['there is none between Li2S and P2S5', 'at least one crystal'],
        ),
        ({'overrides': {'settings': {'end_members': ['Li2S', 'S8']}}}, ["no crystal 'S8'", 'there are: Li2S']),
        ({'overrides': {'settings': {'end_members': ['Li2S']}}}, ['settings.end_members', 'names of two crystals']),
        ({'overrides': {'settings': {'end_member': ['Li2S']}}}, ['settings.end_member', 'end_members is']),
        ({'overrides': {'settings': {'volume_change_warned': 0.0}}}, ['volume_change_warned = 0.0']),
        ({'overrides': {'relaxation': {'fmax': 0.1}}}, ['parameters.fmax', 'is not known']),
        ({'protocol': 'lips'}, ["protocol 'lips' is not known", 'balanced, lips25']),
        ({'reference': 'dft'}, ["reference = 'dft' is none of the potentials", 'morse']),
        ({'reference': 'morse', 'reference_energies': NUMBERS}, ['reference and reference_energies: both']),
        ({'reference_energies': {'source': 'a paper'}}, ['reference_energies.formation_energies_ev_per_atom is miss']),
        (
            {'reference_energies': {**NUMBERS, 'formation_energies_ev_per_atom': {'Li3PO4': -0.05}}},
            ['formation_energies_ev_per_atom.Li3PO4', 'no crystal on the line is called so'],
        ),
        (
            {'reference_energies': {**NUMBERS, 'formation_energies_ev_per_atom': {'Li2S': -1.5, 'Li3PS4': -1.1}}},
            ['Li2S = -1.5', 'an end member is zero', 'settings.end_members'],
        ),
        ({'jobs': {'other': {}}}, ["jobs.other: no potential is called 'other'"]),
    ],
)
def test_bad_input_is_refused_before_anything_is_stored(
    given: dict[str, Any], words: list[str], build: Any, count_processes: Any
) -> None:
    before = count_processes()
    if 'structures' in given:
        given = {**given, 'structures': {name: compound(**counts) for name, counts in given['structures'].items()}}
    with pytest.raises(ValueError) as refused:
        build(**given)
    for word in words:
        assert word in str(refused.value)
    assert count_processes() == before


def test_an_element_that_is_not_covered_matters_only_on_the_line(build: Any, launcher_code: Any) -> None:
    sulfides = PotentialData.packaged('toy', 'morse', elements=['Li', 'P', 'S'])
    chosen = {'morse': {'code': launcher_code, 'potential': sulfides}}
    with_oxide = crystals(Li3PO4=compound(Li=3, P=1, O=4))
    assert set(build(with_oxide, potentials=chosen).structures) == set(with_oxide)
    no_phosphorus = PotentialData.packaged('toy', 'morse', elements=['Li', 'S'])
    with pytest.raises(ValueError, match=r'potentials\.morse: .*does not cover P'):
        build(potentials={'morse': {'code': launcher_code, 'potential': no_phosphorus}})
