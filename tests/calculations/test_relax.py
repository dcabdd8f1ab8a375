"""What a job of relaxations is given: its files to the last number, and what is refused before it is made."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from aiida.orm import Dict, StructureData

from aiida_litraj.calculations.relax import RelaxCalculation
from aiida_litraj.contract import files, unpack_arrays
from aiida_litraj.contract.relax import RelaxJob
from aiida_litraj.data import PotentialData
from tests.fixtures.nodes import FCC_CONSTANT, Job, fcc, potential, rattled, relax_parameters

FCC_OPERATIONS = 48 * 4
"""Of the cubic cell: the point group, and four centrings."""


def test_job_file(prepare: Any, relax_inputs: Any, data_regression: Any) -> None:
    structures = {'off': rattled(), 'fcc_1': fcc()}
    _, folder = prepare(RelaxCalculation, relax_inputs(structures, relax_parameters('balanced'), processes=2))
    job = RelaxJob.model_validate_json((folder / files.JOB).read_bytes())
    data_regression.check(job.model_dump(mode='json'))


def test_arrays_are_those_of_the_structures(prepare: Any, relax_inputs: Any) -> None:
    structures = {'slab': slab(), 'off': rattled()}
    _, folder = prepare(RelaxCalculation, relax_inputs(structures, relax_parameters('ions')))
    arrays = unpack_arrays(folder / files.ARRAYS)
    assert len(arrays) == 4 * len(structures)
    for name, structure in structures.items():
        np.testing.assert_array_equal(arrays[f'{name}/positions'], [site.position for site in structure.sites])
        np.testing.assert_array_equal(arrays[f'{name}/cell'], structure.cell)
        np.testing.assert_array_equal(arrays[f'{name}/pbc'], structure.pbc)
    np.testing.assert_array_equal(arrays['slab/numbers'], [3, 16])


def test_symmetry_that_is_to_be_kept(prepare: Any, relax_inputs: Any) -> None:
    _, folder = prepare(RelaxCalculation, relax_inputs({'fcc': fcc()}, relax_parameters('symmetric')))
    arrays = unpack_arrays(folder / files.ARRAYS)
    assert arrays['fcc/rotations'].shape == (FCC_OPERATIONS, 3, 3)
    assert sorted(arrays['fcc/permutations'][7]) == [0, 1, 2, 3]
    assert np.abs(np.linalg.det(arrays['fcc/rotations'])).max() == pytest.approx(1.0)


def test_atoms_of_two_kinds_are_not_equal(prepare: Any, relax_inputs: Any) -> None:
    """Kinds of one element may differ in what a person knows of them."""
    structure = StructureData(cell=FCC_CONSTANT * np.eye(3))
    for number, site in enumerate(fcc().sites):
        structure.append_atom(position=site.position, symbols='Li', name='Li1' if number == 0 else 'Li2')
    _, folder = prepare(RelaxCalculation, relax_inputs({'fcc': structure}, relax_parameters('symmetric')))
    permutations = unpack_arrays(folder / files.ARRAYS)['fcc/permutations']
    assert len(permutations) == 48
    assert (permutations[:, 0] == 0).all()


def test_what_is_fetched(prepare: Any, relax_inputs: Any) -> None:
    info, _ = prepare(RelaxCalculation, relax_inputs())
    assert set(info.retrieve_list) == {'result.json', 'result.npz', 'progress.json', 'litraj.out', 'litraj.err'}
    assert info.retrieve_temporary_list == ['items']


def test_how_it_runs_is_not_in_the_hash_and_what_it_computes_is(instantiate: Any, relax_inputs: Any) -> None:
    variants = {
        'plain': relax_inputs(),
        'faster': relax_inputs(processes=2, device='cpu', max_seconds=9),
        'pressed': relax_inputs(parameters=relax_parameters(pressure_gpa=1.0)),
        'larger': relax_inputs({'fcc': fcc(3.8)}),
        'named': relax_inputs({'other': fcc()}),
    }
    hashes = {
        name: instantiate(RelaxCalculation, inputs).node.base.caching.compute_hash()
        for name, inputs in variants.items()
    }
    assert hashes['plain'] == hashes['faster']
    assert len(set(hashes.values())) == len(variants) - 1


def slab() -> StructureData:
    structure = StructureData(cell=6.0 * np.eye(3), pbc=(True, True, False))
    for symbol, place in (('Li', (0.0, 0.0, 2.0)), ('S', (3.0, 3.0, 4.0))):
        structure.append_atom(position=place, symbols=symbol)
    return structure


def of_two(place: tuple[float, float, float] = (2.0, 2.0, 2.0), **kind: Any) -> StructureData:
    structure = StructureData(cell=6.0 * np.eye(3))
    structure.append_atom(position=(0.0, 0.0, 0.0), symbols='Li')
    structure.append_atom(position=place, **(kind or {'symbols': 'Li'}))
    return structure


BAD: dict[str, tuple[Any, str]] = {
    'no structures': (lambda: {'structures': {}}, r'structures: none given; give at least one StructureData'),
    'name': (lambda: {'structures': {'Li.2': fcc()}}, r'structures\.Li\.2: the name may have letters'),
    'no atoms': (lambda: {'structures': {'x': StructureData(cell=np.eye(3))}}, r'structures\.x: it has no atoms'),
    'partly empty': (
        lambda: {'structures': {'x': of_two(symbols='Li', weights=0.5)}},
        r'structures\.x: sites that are shared or partly empty; give an ordered model',
    ),
    'shared': (
        lambda: {'structures': {'x': of_two(symbols=('Li', 'Na'), weights=(0.5, 0.5), name='M')}},
        r'structures\.x: sites that are shared or partly empty',
    ),
    'no element': (lambda: {'structures': {'x': of_two(symbols='X')}}, r'structures\.x: X is no element'),
    'two atoms on one place, across the boundary': (
        lambda: {'structures': {'x': of_two((5.9, 0.0, 0.0))}},
        r'structures\.x: atoms 0 and 1 are on one place \(0\.100 Ang apart\); remove one of them',
    ),
    'cell of a slab': (
        lambda: {'structures': {'x': slab()}},
        r'structures\.x: it is periodic in 2 directions only: set parameters\.cell to fixed',
    ),
    'symmetry of a slab': (
        lambda: {'structures': {'x': slab()}, 'parameters': relax_parameters('ions', symmetry_tolerance_ang=0.01)},
        r'structures\.x: it is periodic in 2 directions only: .* symmetry_tolerance_ang to null',
    ),
    'pressure on a fixed cell': (
        lambda: {'parameters': relax_parameters('ions', pressure_gpa=1.0)},
        r'pressure_gpa = 1 with a fixed cell has no effect: set cell to isotropic or full',
    ),
    'volume limits': (
        lambda: {'parameters': relax_parameters(volume_ratio_min=2.0)},
        r'volume_ratio_min = 2 must be below 1, volume_ratio_max = 8 above it',
    ),
    'parameter missing': (
        lambda: {'parameters': Dict({k: v for k, v in relax_parameters().get_dict().items() if k != 'cell'})},
        r'parameters\.cell is missing; get_builder_from_protocol gives a full set',
    ),
    'parameter unknown': (lambda: {'parameters': relax_parameters(fmax=1.0)}, r'fmax = 1\.0 is not known, but fmax_ev'),
    'element not covered': (
        lambda: {'potential': PotentialData.packaged('toy', 'morse', elements=['O'], label='oxides')},
        r"potential 'oxides' does not cover Li, only O; choose another potential",
    ),
}  # fmt: skip


@pytest.mark.parametrize('case', BAD)
def test_bad_input_is_refused_before_anything_is_stored(
    case: str, instantiate: Any, relax_inputs: Any, count_processes: Any
) -> None:
    change, message = BAD[case]
    inputs = relax_inputs() | change()
    before = count_processes()
    with pytest.raises(ValueError, match=message):
        instantiate(RelaxCalculation, inputs)
    assert count_processes() == before


def test_checkpoint_of_another_job_is_refused(instantiate: Any, relax_inputs: Any, job_node: Any) -> None:
    inputs = relax_inputs()
    earlier = job_node(inputs, Job(exit_status=400, outputs={}, task='relax'))
    parent = earlier.outputs.remote_folder
    for change, message in (
        ({'parameters': relax_parameters('balanced')}, f'parent_folder: job {earlier.pk} had other parameters'),
        ({'potential': potential('ideal_gas')}, f'parent_folder: job {earlier.pk} had other potential'),
        ({'structures': {'fcc': rattled()}}, f'job {earlier.pk} had another fcc among its structures'),
    ):
        with pytest.raises(ValueError, match=message):
            instantiate(RelaxCalculation, {**inputs, 'parent_folder': parent, **change})
    assert instantiate(RelaxCalculation, {**inputs, 'parent_folder': parent}).inputs.parent_folder == parent
