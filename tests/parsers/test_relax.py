"""What is made of the files of a job of relaxations: one test for each way to end, on folders the engine left."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiida.orm import StructureData

from aiida_litraj.calculations.relax import RelaxCalculation
from aiida_litraj.contract import files, unpack_arrays
from aiida_litraj.contract.errors import BY_LABEL
from aiida_litraj.contract.units import EV_PER_ANG3_OF_GPA
from aiida_litraj.data import PotentialData
from aiida_litraj.parsers.relax import RelaxParser
from tests.fixtures.nodes import FCC_CONSTANT, fcc, potential, rattled, relax_parameters
from tests.parsers.folders import Parsed, edit_arrays, label_of, lose_result

NO_PRESSURE_ANG = 3.774633
"""Lattice constant at which the toy Morse crystal (fcc) has no pressure, by direct search."""
CONSTANT_TOLERANCE_ANG = 1e-3
"""A stress of 0.01 GPa, by the modulus of the crystal (some 20 GPa) and a third of that for a length, is 6e-4 Ang."""
BOTH = ('fcc', 'off')


@pytest.fixture
def both(relax_inputs: Any) -> dict[str, Any]:
    """Inputs of two crystals, one in too large a cell, one with its atoms off their sites."""
    return relax_inputs({'fcc': fcc(FCC_CONSTANT + 0.1), 'off': rattled()})


@pytest.fixture
def good(ran: Any, both: Any) -> Path:
    """The folder of a job whose two crystals converged."""
    return ran('relax', both, RelaxCalculation)


@pytest.fixture
def read(parse: Any) -> Callable[..., Parsed]:
    """``read(inputs, folder)`` is what the parser makes of it."""
    return lambda inputs, folder, exit_status=None: parse(inputs, folder, exit_status, RelaxParser)


def test_success(read: Any, both: Any, good: Path) -> None:
    """Both come to the crystal without pressure: its lattice constant is known, and all angles are right."""
    found = read(both, good)
    assert (found.status, label_of(found)) == (None, 'SUCCESS')
    assert set(found.nodes) == set(BOTH)
    raw = unpack_arrays(good / files.RESULT_ARRAYS)
    energies = []
    for name, structure in found.nodes.items():
        np.testing.assert_allclose(structure.cell_lengths, [NO_PRESSURE_ANG] * 3, atol=CONSTANT_TOLERANCE_ANG)
        np.testing.assert_allclose(structure.cell_angles, [90.0] * 3, atol=0.05)
        np.testing.assert_array_equal([site.position for site in structure.sites], raw[f'{name}/positions'])
        np.testing.assert_array_equal(structure.cell, raw[f'{name}/cell'])
        entry = found.results['items'][name]
        assert (entry['status'], entry['converged'], entry['label']) == ('finished', True, None)
        assert entry['fmax_ev_per_ang'] < 0.005
        assert entry['stress_left_gpa'] < 0.01
        assert entry['volume_ang3'] == pytest.approx(structure.get_cell_volume(), rel=1e-9)
        energies.append(entry['energy_ev'])
    assert energies[0] == pytest.approx(energies[1], abs=1e-4)
    audit = json.loads((good / files.RESULT).read_text())['audit']
    assert found.results['audit'] == audit
    assert audit['model_calls'] == sum(entry['model_calls'] for entry in found.results['items'].values())


def test_under_pressure(read: Any, relax_inputs: Any, ran: Any) -> None:
    inputs = relax_inputs({'fcc': fcc()}, relax_parameters(pressure_gpa=2.0, cell='isotropic'))
    folder = ran('pressed', inputs, RelaxCalculation)
    found = read(inputs, folder)
    lengths = found.nodes['fcc'].cell_lengths
    assert lengths[0] == pytest.approx(lengths[1], rel=1e-12)
    assert lengths[0] < NO_PRESSURE_ANG - 0.01
    stress = unpack_arrays(folder / files.RESULT_ARRAYS)['fcc/stress'] / EV_PER_ANG3_OF_GPA
    assert -np.trace(stress) / 3 == pytest.approx(2.0, abs=0.01)
    entry = found.results['items']['fcc']
    work = 2.0 * EV_PER_ANG3_OF_GPA * found.nodes['fcc'].get_cell_volume()
    assert entry['enthalpy_ev'] - entry['energy_ev'] == pytest.approx(work, rel=1e-9)


def with_kinds() -> StructureData:
    """Two kinds of one element, as a person may tell sites apart, in another order than that of their names."""
    structure = StructureData(cell=(FCC_CONSTANT + 0.05) * np.eye(3))
    for name, site in zip(('LiB', 'LiA', 'LiB', 'LiA'), fcc(FCC_CONSTANT + 0.05).sites):
        structure.append_atom(position=site.position, symbols='Li', name=name)
    structure.label = 'two sorts of lithium'
    return structure


def test_kinds_order_and_label_stay(read: Any, relax_inputs: Any, ran: Any) -> None:
    given = with_kinds()
    inputs = relax_inputs({'fcc': given}, relax_parameters('symmetric'))
    structure = read(inputs, ran('kinds', inputs, RelaxCalculation)).nodes['fcc']
    assert [site.kind_name for site in structure.sites] == ['LiB', 'LiA', 'LiB', 'LiA']
    assert [kind.name for kind in structure.kinds] == [kind.name for kind in given.kinds]
    assert structure.label == given.label


BY_ENGINE: dict[str, tuple[Callable[[Any], dict[str, Any]], str, set[str]]] = {
    'ERROR_NOT_CONVERGED': (
        lambda make: make({'off': rattled()}, relax_parameters(max_steps=1)),
        r'off: residual force .* after 1 steps', {'off'},
    ),
    'ERROR_STRESS_LEFT': (
        lambda make: make({'fcc': fcc(4.1)}, relax_parameters(max_steps=1)),
        r'fcc: a stress of .* GPa is left', {'fcc'},
    ),
    'ERROR_EXPLODED': (
        lambda make: make({'off': rattled()}, relax_parameters(max_force_ev_per_ang=0.01)),
        r'off: a force of .* above the limit 0\.01', set(),
    ),
    'ERROR_VOLUME': (
        lambda make: make({'fcc': fcc(4.4)}, relax_parameters(volume_ratio_min=0.95)),
        r'fcc: the volume is .* times that of the start, outside 0\.95 to 8', set(),
    ),
    'ERROR_PARTIAL': (
        lambda make: make({'fcc': fcc(NO_PRESSURE_ANG), 'off': rattled(ang=0.3)}, relax_parameters(max_steps=2)),
        r'1 of 2 structures converged', {'fcc', 'off'},
    ),
    'ERROR_NO_STRESS': (
        lambda make: make(evaluated_by=potential('double_well')),
        r'gives no stress, which the relaxation of a cell needs', set(),
    ),
    'ERROR_OUT_OF_TIME': (
        lambda make: make(max_seconds=1e-6), r'0 of 1 structures finished before the time ran out', set(),
    ),
    'ERROR_POTENTIAL_CHECKSUM': (
        lambda make: make(evaluated_by=PotentialData.packaged('toy', 'morse', sha256='0' * 64)), r'not 0{64}', set(),
    ),
}  # fmt: skip


@pytest.mark.parametrize('label', BY_ENGINE)
def test_engine_says_how_it_ended(label: str, read: Any, relax_inputs: Any, ran: Any) -> None:
    """Real runs; structures that came to an end are kept, also of those that did not converge."""
    make_inputs, message, nodes = BY_ENGINE[label]
    inputs = make_inputs(relax_inputs)
    found = read(inputs, ran(f'relax_{label}', inputs, RelaxCalculation))
    assert (found.status, label_of(found)) == (BY_LABEL[label].status, label)
    assert re.search(message, found.message), found.message
    assert set(found.nodes) == nodes
    assert set(found.results['items']) == set(inputs['structures'])


def test_killed_job_keeps_what_was_finished(read: Any, both: Any, good: Path) -> None:
    lose_result(good)
    (good / files.ITEMS / 'off.json').unlink()
    found = read(both, good)
    assert (found.status, set(found.nodes)) == (303, {'fcc'})
    statuses = {name: entry['status'] for name, entry in found.results['items'].items()}
    assert statuses == {'fcc': 'finished', 'off': 'unfinished'}


@pytest.mark.parametrize('status', [110, 120, 140])
def test_word_of_the_scheduler_stands(status: int, read: Any, both: Any, good: Path) -> None:
    lose_result(good)
    found = read(both, good, status)
    assert found.status is None
    assert (set(found.nodes), found.results['exit']['status']) == (set(BOTH), status)


INVALID: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    'positions missing': (lambda arrays: arrays.pop('off/positions'), r'off: positions missing, not \(4, 3\)'),
    'atoms missing': (
        lambda arrays: arrays.update({'off/positions': np.zeros((3, 3))}), r'off: positions \(3, 3\), not \(4, 3\)',
    ),
    'not finite': (lambda arrays: arrays['off/cell'].fill(np.nan), r'off: cell \(3, 3\), not \(3, 3\) and finite'),
    'all missing': (
        lambda arrays: [arrays.pop(key) for key in list(arrays) if key.startswith('off')], r'off: positions missing',
    ),
}  # fmt: skip


@pytest.mark.parametrize('case', INVALID)
def test_arrays_that_do_not_fit(case: str, read: Any, both: Any, good: Path) -> None:
    """The structures are then those that the engine had put aside one by one."""
    damage, message = INVALID[case]
    edit_arrays(good, damage)
    found = read(both, good)
    assert found.status == 306
    assert re.search(message, found.message), found.message
    assert set(found.nodes) == set(BOTH)
