"""What is said of formation energies: numbers beside a reference, what is left out, and what is warned of."""

from __future__ import annotations

from typing import Any

import pytest
from aiida.orm import Dict, Str

from aiida_litraj.calculations.functions.analyse_formation import POTENTIAL, RESULTS, analyse_formation, read_reference
from aiida_litraj.calculations.functions.place_on_line import place_on_line
from aiida_litraj.data import PotentialData
from tests.fixtures.crystals import compound

pytestmark = pytest.mark.usefixtures('aiida_profile_clean')

SETTINGS = {'end_members': None, 'reference_functional': 'PBEsol', 'volume_change_warned': 0.1}
ENERGIES_EV = {'Li2S': -12.0, 'P2S5': -40.0, 'beta': -37.8, 'gamma': -38.0, 'glass': -63.0}
"""Of one formula unit each; 3 Li2S + P2S5 are two Li3PS4: -38 of one, so gamma has no formation energy."""


def line() -> Dict:
    crystals = {
        'Li2S': compound(Li=2, S=1), 'P2S5': compound(P=2, S=5), 'beta': compound(Li=3, P=1, S=4),
        'gamma': compound(Li=3, P=1, S=4), 'glass': compound(Li=4, P=2, S=7), 'off': compound(Li=4, P=2, S=6),
    }  # fmt: skip
    return place_on_line(Dict(SETTINGS), **{f'crystal_{name}': node for name, node in crystals.items()})


def results(**changes: Any) -> Dict:
    """Return the account of relaxations: all converged in their volume, but for the changes."""
    items = {}
    for name, energy in ENERGIES_EV.items():
        items[name] = {
            'status': 'finished', 'converged': True, 'label': None, 'reason': None, 'energy_ev': energy,
            'volume_ang3': 100.0, 'volume_ratio': 1.0, **changes.get(name, {}),
        }  # fmt: skip
    return Dict({'items': items})


def dft(functional: str) -> PotentialData:
    return PotentialData.packaged('gpaw', 'gpaw', options={'functional': functional})


def analysed(potentials: dict[str, tuple[Dict, PotentialData]], **given: Any) -> dict[str, Any]:
    for name, (account, node) in potentials.items():
        given |= {f'{RESULTS}{name}': account, f'{POTENTIAL}{name}': node}
    return analyse_formation(line=line(), settings=Dict(SETTINGS), **given).get_dict()


def test_errors_by_hand() -> None:
    """The net has beta 0.08 eV lower (8 atoms) and the glass 0.13 eV higher (13 atoms): -10 and +10 meV an atom."""
    net = results(beta={'energy_ev': -37.88}, glass={'energy_ev': -62.87, 'volume_ang3': 104.0})
    found = analysed(
        {'net': (net, PotentialData.packaged('toy', 'morse')), 'dft': (results(), dft('PBEsol'))}, reference=Str('dft')
    )
    one = found['potentials']['net']
    assert one['differences_mev_per_atom'] == {
        'beta': pytest.approx(-10.0), 'gamma': pytest.approx(0.0), 'glass': pytest.approx(10.0)
    }  # fmt: skip
    assert one['rmse_formation_mev_per_atom'] == pytest.approx((200.0 / 3) ** 0.5)
    assert one['volumes_of_reference']['glass'] == pytest.approx(1.04)
    assert found['reference']['formation_energies_ev_per_atom']['beta'] == pytest.approx(0.2 / 8)
    # Li4P2S7 is 2 Li2S + P2S5: -64, and the crystal is 1 eV above.
    assert found['reference']['formation_energies_ev_per_atom']['glass'] == pytest.approx(1.0 / 13)
    assert found['reference']['source'] == 'PBEsol' and not found['warnings']
    assert set(found['refused']) == {'off'}


def test_published_numbers_as_reference() -> None:
    numbers = {'formation_energies_ev_per_atom': {'beta': 0.020, 'gamma': -0.001}, 'source': 'a paper'}
    net = results(beta={'energy_ev': -37.88})
    found = analysed({'net': (net, dft('PBE'))}, reference_energies=Dict(numbers))
    one = found['potentials']['net']
    assert one['differences_mev_per_atom'] == {'beta': pytest.approx(-5.0), 'gamma': pytest.approx(1.0)}
    assert one['same_order_of_polymorphs'] is True and one['volumes_of_reference'] == {}
    assert found['reference']['source'] == 'a paper'
    with pytest.raises(ValueError, match=r'reference_energies\.source is missing'):
        read_reference({'formation_energies_ev_per_atom': {'beta': 0.0}})


def test_order_of_polymorphs_that_differs() -> None:
    found = analysed(
        {'net': (results(beta={'energy_ev': -38.5}), dft('PBE')), 'dft': (results(), dft('PBEsol'))},
        reference=Str('dft'),
    )
    assert found['potentials']['net']['polymorphs'] == [['beta', 'gamma']]
    assert found['reference']['polymorphs'] == [['gamma', 'beta']]
    assert found['potentials']['net']['same_order_of_polymorphs'] is False


def test_what_did_not_converge_is_left_out() -> None:
    lost = {'converged': False, 'label': 'ERROR_NOT_CONVERGED', 'reason': 'residual force', 'status': 'finished'}
    found = analysed(
        {
            'net': (results(glass=lost), dft('PBE')),
            'other': (results(P2S5=lost), dft('PBE')),
            'dft': (results(), dft('PBEsol')),
        },
        reference=Str('dft'),
    )
    net, other = found['potentials']['net'], found['potentials']['other']
    assert net['left_out'] == {'glass': {'label': 'ERROR_NOT_CONVERGED', 'reason': 'residual force'}}
    assert net['n_compared'] == 2 and 'glass' not in net['formation_energies_ev_per_atom']
    assert other['formation_energies_ev_per_atom'] == {} and 'rmse_formation_mev_per_atom' not in other
    assert 'without P2S5' in other['reason']


@pytest.mark.parametrize(
    ('functional', 'words'),
    [('PBE', 'PBE has no dispersion forces'), ('vdW-DF2', 'dispersion forces, or one that the potential')],
)
def test_warnings(functional: str, words: str) -> None:
    swollen = results(P2S5={'volume_ratio': 1.16}, beta={'volume_ratio': 0.95})
    found = analysed({'dft': (swollen, dft(functional))}, reference=Str('dft'))
    wrong, grown = found['warnings']
    assert found['potentials']['dft']['volume_warned'] == {'P2S5': 1.16}
    assert f'the reference is of {functional}, the protocol wants PBEsol' in wrong
    assert 'P2S5 +16.0 %' in grown and words in grown and 'on P2S5 all formation energies rest' in grown


@pytest.mark.parametrize('points', [{'kpoint_mesh': '2 2 2'}, {'kpoint_spacing_per_ang': 0.3}])
def test_one_mesh_for_all_crystals_is_warned_of(points: dict[str, Any]) -> None:
    node = PotentialData.packaged('gpaw', 'gpaw', options={'functional': 'PBEsol', **points})
    said = analysed({'dft': (results(), node)}, reference=Str('dft'))['warnings']
    assert [words for words in said if 'kpoint_spacing_per_ang' in words] == said
    assert len(said) == ('kpoint_mesh' in points)
