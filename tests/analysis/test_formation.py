"""Formation energies on a line, worked by hand: places, energies, hull, errors, and what cancels."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from aiida_litraj.analysis.formation import compare, formation_energies, hull_of, make_line, polymorphs
from aiida_litraj.analysis.hull import energies_above_hull, lower_hull

TOLERANCE_EV = 1e-12
CRYSTALS = {
    'Li2S': {'Li': 8, 'S': 4},
    'Li7PS6': {'Li': 7, 'P': 1, 'S': 6},
    'Li3PS4_beta': {'Li': 12, 'P': 4, 'S': 16},
    'Li3PS4_gamma': {'Li': 6, 'P': 2, 'S': 8},
    'Li7P3S11': {'Li': 14, 'P': 6, 'S': 22},
    'LiPS3': {'Li': 2, 'P': 2, 'S': 6},
    'P2S5': {'P': 8, 'S': 20},
}
PERCENT_LI2S = {
    'Li2S': 100, 'Li7PS6': Fraction(175, 2), 'Li3PS4_beta': 75, 'Li3PS4_gamma': 75, 'Li7P3S11': 70, 'LiPS3': 50,
    'P2S5': 0,
}  # fmt: skip
"""As chemists name them: 75Li2S-25P2S5 is Li3PS4."""


def test_places_on_the_line() -> None:
    line = make_line(CRYSTALS)
    assert line.end_members == ('Li2S', 'P2S5') and not line.refused
    assert {name: 100 * place.mole_fraction for name, place in line.places.items()} == PERCENT_LI2S
    # gamma-Li3PS4: two formula units are 3 Li2S and 1 P2S5, nine of 16 atoms from the first
    assert line.places['Li3PS4_gamma'].amounts == (3, 1)
    assert line.places['Li3PS4_gamma'].atom_share == Fraction(9, 16)
    assert sorted(line.between) == ['Li3PS4_beta', 'Li3PS4_gamma', 'Li7P3S11', 'Li7PS6', 'LiPS3']


def test_off_the_line_is_refused_alone() -> None:
    line = make_line(
        {**CRYSTALS, 'Li4P2S6': {'Li': 8, 'P': 4, 'S': 12}, 'Li6PS5Cl': {'Li': 6, 'P': 1, 'S': 5, 'Cl': 1}}
    )
    assert set(line.refused) == {'Li4P2S6', 'Li6PS5Cl'} and set(line.places) == set(CRYSTALS)
    assert '1 Li2S + 1/2 P2S5 would have 7/2 S, it has 3' in line.refused['Li4P2S6']
    assert 'has Cl, which neither' in line.refused['Li6PS5Cl']


def test_beyond_an_end_member_is_refused() -> None:
    line = make_line(CRYSTALS, ('Li3PS4_gamma', 'P2S5'))
    assert set(line.refused) == {'Li2S', 'Li7PS6'}
    assert 'it would be 2/3 Li3PS4 - 1/3 P2S5' in line.refused['Li2S']


@pytest.mark.parametrize(
    ('crystals', 'ends', 'words'),
    [
        (CRYSTALS, ('Li2S', 'P4S10'), "there is no crystal 'P4S10'; there are: Li2S"),
        (CRYSTALS, ('Li3PS4_beta', 'Li3PS4_gamma'), 'are both Li3PS4'),
        ({'a': {'Li': 2, 'S': 1}, 'b': {'Li': 4, 'S': 2}}, None, 'all of one composition'),
        ({**CRYSTALS, 'other': {'Li': 2, 'S': 1}}, None, 'Li2S, other are all Li2S, an end of the line'),
        ({'a': {'Li': 2, 'S': 1}, 'b': {'P': 1}, 'c': {'O': 1}}, None, 'it cannot be told which line'),
    ],
)
def test_end_members_that_cannot_be(crystals: dict, ends: tuple[str, str] | None, words: str) -> None:
    with pytest.raises(ValueError, match=r'end_members') as refused:
        make_line(crystals, ends)
    assert words in str(refused.value)


def test_a_mechanical_mixture_has_no_formation_energy() -> None:
    line = make_line(CRYSTALS)
    of_unit = (-10.3, -37.1)
    energies = {
        name: float(place.amounts[0]) * of_unit[0] + float(place.amounts[1]) * of_unit[1]
        for name, place in line.places.items()
    }
    assert all(abs(value) < TOLERANCE_EV for value in formation_energies(line, energies).values())


def test_by_hand() -> None:
    """-80.7 eV of gamma-Li3PS4, 3 Li2S at -12 and 1 P2S5 at -40: (-80.7 + 36 + 40)/16."""
    line = make_line(CRYSTALS)
    formed = formation_energies(line, {'Li2S': 4 * -12.0, 'P2S5': 4 * -40.0, 'Li3PS4_gamma': -80.7})
    assert formed == {
        'Li2S': 0.0, 'Li3PS4_gamma': pytest.approx(-4.7 / 16, abs=TOLERANCE_EV), 'P2S5': 0.0
    }  # fmt: skip


def test_energies_of_elements_cancel_and_end_members_enter_linearly() -> None:
    line, generator = make_line(CRYSTALS), np.random.default_rng(3)
    energies = {name: -4.0 * place.n_atoms + generator.normal() for name, place in line.places.items()}
    formed = formation_energies(line, energies)
    offsets = {'Li': 12.5, 'P': -3.25, 'S': 7.0}
    moved = {
        name: energy + sum(number * offsets[symbol] for symbol, number in CRYSTALS[name].items())
        for name, energy in energies.items()
    }
    for name, value in formation_energies(line, moved).items():
        assert value == pytest.approx(formed[name], abs=TOLERANCE_EV)
    # An end member that is lower by 0.1 eV an atom lifts the others by the share of their atoms it stands for.
    lower = formation_energies(line, {**energies, 'Li2S': energies['Li2S'] - 0.1 * 12})
    for name in line.between:
        assert lower[name] - formed[name] == pytest.approx(0.1 * float(line.places[name].atom_share), abs=TOLERANCE_EV)


def test_without_an_end_member_there_is_no_number() -> None:
    with pytest.raises(ValueError, match='without P2S5 there is nothing to compare'):
        formation_energies(make_line(CRYSTALS), {'Li2S': -48.0, 'LiPS3': -45.0})


def test_hull_and_polymorphs_by_hand() -> None:
    """Shares of atoms 0.75 (Li7PS6), 0.5625 (Li3PS4), 0.5 (Li7P3S11), 0.3 (LiPS3); Li3PS4 is alone on the hull."""
    line = make_line(CRYSTALS)
    formed = {
        'Li2S': 0.0, 'Li7PS6': -0.10, 'Li3PS4_beta': -0.26, 'Li3PS4_gamma': -0.28, 'Li7P3S11': -0.2, 'LiPS3': -0.1,
        'P2S5': 0.0,
    }  # fmt: skip
    hull = hull_of(line, formed)
    assert hull.vertices == ('P2S5', 'Li3PS4_gamma', 'Li2S')
    expected = {
        'Li2S': 0.0, 'P2S5': 0.0, 'Li3PS4_gamma': 0.0, 'Li3PS4_beta': 0.02,
        'Li7PS6': -0.10 + 0.28 * 0.25 / 0.4375, 'Li7P3S11': -0.2 + 0.28 * 0.5 / 0.5625,
        'LiPS3': -0.1 + 0.28 * 0.3 / 0.5625,
    }  # fmt: skip
    assert hull.above_ev_per_atom == {name: pytest.approx(value, abs=TOLERANCE_EV) for name, value in expected.items()}
    assert polymorphs(line, formed) == [['Li3PS4_gamma', 'Li3PS4_beta']]


def test_hull_of_the_line_is_that_of_the_set() -> None:
    """Against the linear programme over all elements, which knows nothing of lines."""
    line, generator = make_line(CRYSTALS), np.random.default_rng(7)
    elements = ('Li', 'P', 'S')
    fractions = np.array([[one.get(symbol, 0) / sum(one.values()) for symbol in elements] for one in CRYSTALS.values()])
    for _ in range(20):
        formed = dict(zip(CRYSTALS, generator.uniform(-0.3, 0.1, len(CRYSTALS)), strict=True))
        formed |= {'Li2S': 0.0, 'P2S5': 0.0}
        known = energies_above_hull(fractions, np.array([formed[name] for name in CRYSTALS]))
        found = hull_of(line, formed).above_ev_per_atom
        np.testing.assert_allclose([found[name] for name in CRYSTALS], known, atol=1e-9)


def test_points_on_an_edge_are_no_corners() -> None:
    corners, heights = lower_hull(np.array([0.0, 1.0, 0.5, 0.25]), np.array([0.0, 0.0, -1.0, -0.5]))
    assert corners == [0, 2, 1]
    np.testing.assert_allclose(heights, 0.0, atol=TOLERANCE_EV)


def test_errors_leave_the_end_members_out() -> None:
    line = make_line(CRYSTALS)
    reference = {'Li2S': 0.0, 'P2S5': 0.0, 'LiPS3': -0.100, 'Li7P3S11': -0.200, 'Li7PS6': -0.05}
    formed = {'Li2S': 0.0, 'P2S5': 0.0, 'LiPS3': -0.103, 'Li7P3S11': -0.196, 'Li3PS4_beta': -0.25}
    found = compare(line, formed, reference)
    assert found is not None
    assert found.differences_mev_per_atom == {'Li7P3S11': pytest.approx(4.0), 'LiPS3': pytest.approx(-3.0)}
    assert found.rmse_mev_per_atom == pytest.approx(np.sqrt(12.5))
    assert found.mae_mev_per_atom == pytest.approx(3.5)
    assert compare(line, formed, {'Li2S': 0.0, 'P2S5': 0.0}) is None
