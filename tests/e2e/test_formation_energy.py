"""Formation energies as AiiDA processes with the real engine; the Morse potential is blind to elements."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from aiida.engine import run_get_node
from aiida.manage.caching import enable_caching
from aiida.orm import StructureData

from aiida_litraj.workflows.formation_energy import FormationEnergyWorkChain
from tests.fixtures.nodes import FCC_CONSTANT, fcc_sites, potential

ENERGY_TOLERANCE_EV = 1e-4
"""Per atom: what the forces and stresses left by the protocol are worth."""
DEPTH_EV = 0.3
"""Of the Morse potential, by default."""


@pytest.fixture(autouse=True)
def cached() -> Iterator[None]:
    """Most tests relax the same crystals: only the first of them computes them."""
    with enable_caching():
        yield


def cubic(symbols: str, constant: float = FCC_CONSTANT + 0.05) -> StructureData:
    """Return atoms on the four sites of a cubic fcc cell, the symbols in the order of the sites."""
    structure = StructureData(cell=constant * np.eye(3))
    for symbol, place in zip(symbols.split(), fcc_sites(1, constant), strict=True):
        structure.append_atom(position=place.tolist(), symbols=symbol)
    return structure


def caesium_chloride(constant: float = 3.1) -> StructureData:
    structure = StructureData(cell=constant * np.eye(3))
    structure.append_atom(position=(0.0, 0.0, 0.0), symbols='Li')
    structure.append_atom(position=(constant / 2,) * 3, symbols='S')
    return structure


def crystals() -> dict[str, StructureData]:
    return {
        'Li': cubic('Li Li Li Li'), 'S': cubic('S S S S'), 'Li3S': cubic('S Li Li Li'), 'LiS_cubic': caesium_chloride(),
        'LiS_layered': cubic('Li Li S S'), 'LiP': cubic('Li Li P P'),
    }  # fmt: skip


@pytest.fixture
def builder(engine_code: Any, computer: Any) -> Any:
    def make(structures: Any = None, overrides: Any = None, **given: Any) -> Any:
        chosen = given.pop('potentials', None) or {'morse': potential('morse')}
        return FormationEnergyWorkChain.get_builder_from_protocol(
            {name: {'code': engine_code, 'potential': node} for name, node in chosen.items()},
            structures or crystals(), computer=computer, options={'processes': 1},
            overrides={'settings': {'end_members': ['Li', 'S']}, **(overrides or {})}, **given,
        )  # fmt: skip

    return make


def bcc_over_fcc() -> float:
    """Return by how much the Morse crystal is higher in bcc than in fcc in eV per atom, each at its best constant."""
    from aiida_litraj.engine.models.interface import Configuration
    from aiida_litraj.engine.models.toy import morse

    def lowest(sites: Any, low: float, high: float) -> float:
        from scipy.optimize import minimize_scalar

        def energy(a: float) -> float:
            cell, numbers = a * np.eye(3), np.full(len(sites), 3)
            return morse(Configuration(numbers, a * sites, cell, np.ones(3, dtype=bool))).energy / len(sites)

        return float(minimize_scalar(energy, bounds=(low, high), method='bounded', options={'xatol': 1e-8}).fun)

    bcc = np.array([[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]])
    return lowest(bcc, 2.6, 3.6) - lowest(fcc_sites(1, 1.0), 3.4, 4.2)


def test_known_formation_energies(builder: Any) -> None:
    """On fcc sites nothing is formed, whatever the elements; bcc sites cost what two lattice sums say."""
    outputs, node = run_get_node(builder())
    # One of six crystals is off the line: the others have their numbers, and the chain says so.
    assert node.exit_status == 501 and '5 of 6 crystals converged' in node.exit_message
    formation = outputs['formation'].get_dict()
    assert 'LiP has P, which neither of Li and S has' in formation['refused']['LiP']
    found = formation['potentials']['morse']
    formed, cost = found['formation_energies_ev_per_atom'], bcc_over_fcc()
    assert cost > 10 * ENERGY_TOLERANCE_EV
    for name in ('Li', 'S', 'Li3S', 'LiS_layered'):
        assert formed[name] == pytest.approx(0.0, abs=ENERGY_TOLERANCE_EV), name
    assert formed['LiS_cubic'] == pytest.approx(cost, abs=ENERGY_TOLERANCE_EV)
    assert found['polymorphs'] == [['LiS_layered', 'LiS_cubic']]
    assert found['above_hull_ev_per_atom']['LiS_cubic'] == pytest.approx(cost, abs=2 * ENERGY_TOLERANCE_EV)
    assert set(outputs['relaxed']['morse']) == {'Li', 'S', 'Li3S', 'LiS_cubic', 'LiS_layered'}
    volume = outputs['relaxed']['morse']['Li'].get_cell_volume() / 4
    assert found['volumes_ang3_per_atom']['Li'] == pytest.approx(volume, rel=1e-9)


def test_symmetry_is_kept(builder: Any) -> None:
    """Bcc sites fall to fcc where nothing holds them."""
    outputs, _ = run_get_node(builder())
    lengths = outputs['relaxed']['morse']['LiS_cubic'].cell_lengths
    np.testing.assert_allclose(lengths, lengths[0], rtol=1e-9)


def test_errors_beside_a_reference(builder: Any) -> None:
    """Twice the depth gives twice the energies: the error is the cost of bcc sites, in one crystal of three."""
    pair = {'morse': potential('morse'), 'deep': potential('morse', depth=2 * DEPTH_EV)}
    outputs, _ = run_get_node(builder(potentials=pair, reference='deep'))
    formation = outputs['formation'].get_dict()
    found, cost = formation['potentials']['morse'], 1000.0 * bcc_over_fcc()
    assert formation['reference']['name'] == 'deep'
    assert found['n_compared'] == 3
    assert found['differences_mev_per_atom']['LiS_cubic'] == pytest.approx(-cost, rel=0.01)
    assert found['rmse_formation_mev_per_atom'] == pytest.approx(cost / np.sqrt(3), rel=0.01)
    assert found['same_order_of_polymorphs'] is True
    assert found['volumes_of_reference']['S'] == pytest.approx(1.0, abs=1e-3)
    assert 'rmse_formation_mev_per_atom' not in formation['potentials']['deep']


def test_provenance(builder: Any) -> None:
    outputs, _ = run_get_node(builder())
    made = outputs['formation'].creator
    assert made.process_type == 'aiida.calculations:litraj.analyse_formation'
    given = made.base.links.get_incoming().nested()
    assert set(given) >= {'line', 'settings', 'results_morse', 'potential_morse'}
    assert given['results_morse'].creator.process_type == 'aiida.calculations:litraj.relax'
    assert given['line'].creator.process_type == 'aiida.calculations:litraj.place_on_line'


def test_without_an_end_member_no_numbers_and_why(builder: Any) -> None:
    outputs, node = run_get_node(builder(overrides={'relaxation': {'max_steps': 2}}))
    formation = outputs['formation'].get_dict()
    found = formation['potentials']['morse']
    # All that were relaxed failed alike, which is how the chain ends; that one more is off the line does not hide it.
    assert node.exit_status == 507 and 'GPa is left after 2 steps' in node.exit_message
    assert {'Li', 'S'} <= set(found['left_out'])
    assert {one['label'] for one in found['left_out'].values()} == {'ERROR_STRESS_LEFT'}
    assert found['formation_energies_ev_per_atom'] == {}
    assert 'there is nothing to compare the others with' in found['reason']
    assert any('no formation energies' in warning for warning in formation['warnings'])
