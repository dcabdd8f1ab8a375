"""What a job of dynamics is given: its files to the last number, and what is refused before it is made."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from aiida.orm import ArrayData, Dict, StructureData

from aiida_litraj.calculations.md import MdCalculation
from aiida_litraj.contract import files, unpack_arrays
from aiida_litraj.contract.md import MdJob
from aiida_litraj.data import PotentialData
from tests.fixtures.nodes import FCC_CONSTANT, Job, fcc, md_parameters, of_lithium_6, potential, rattled, replica

RAMP = {'duration_fs': 50.0, 'temperature_k': 300.0, 'temperature_end_k': 600.0}
HELD = {'duration_fs': 100.0, 'temperature_k': 600.0}
PRESSED = {'duration_fs': 100.0, 'temperature_k': 300.0, 'pressure_gpa': 0.0}


def test_job_file(prepare: Any, md_inputs: Any, data_regression: Any) -> None:
    replicas = {'warm': replica('off', 7, RAMP, HELD), 'cold_1': replica()}
    structures = {'fcc': fcc(), 'off': rattled()}
    inputs = md_inputs(replicas, structures, md_parameters('nvt-langevin'), processes=2, checkpoint_seconds=5)
    _, folder = prepare(MdCalculation, inputs)
    job = MdJob.model_validate_json((folder / files.JOB).read_bytes())
    data_regression.check(job.model_dump(mode='json'))


def test_arrays_are_those_of_the_structures(prepare: Any, md_inputs: Any) -> None:
    """Each replica has its own copy, so that what comes of it depends on nothing else."""
    structures = {'fcc': fcc(), 'off': rattled()}
    replicas = {'a': replica('off'), 'b': replica('off', 2), 'c': replica()}
    _, folder = prepare(MdCalculation, md_inputs(replicas, structures))
    arrays = unpack_arrays(folder / files.ARRAYS)
    assert len(arrays) == 4 * len(replicas)
    for name, node in replicas.items():
        structure = structures[node['structure']]
        np.testing.assert_array_equal(arrays[f'{name}/positions'], [site.position for site in structure.sites])
        np.testing.assert_array_equal(arrays[f'{name}/cell'], structure.cell)
        np.testing.assert_array_equal(arrays[f'{name}/numbers'], [3] * 4)
        np.testing.assert_array_equal(arrays[f'{name}/pbc'], [True] * 3)


def test_frames_are_fetched_only_to_be_parsed(prepare: Any, md_inputs: Any) -> None:
    info, _ = prepare(MdCalculation, md_inputs())
    assert set(info.retrieve_list) == {'result.json', 'progress.json', 'litraj.out', 'litraj.err'}
    assert set(info.retrieve_temporary_list) == {'items', 'result.npz'}


def with_velocities(values: Any) -> ArrayData:
    return ArrayData({'velocities': np.asarray(values, dtype=float)})


def test_given_velocities(prepare: Any, md_inputs: Any) -> None:
    velocities = np.arange(12.0).reshape(4, 3) / 1e4
    inputs = md_inputs(parameters=md_parameters(initial_velocities='given'))
    _, folder = prepare(MdCalculation, {**inputs, 'velocities': {'fcc': with_velocities(velocities)}})
    np.testing.assert_array_equal(unpack_arrays(folder / files.ARRAYS)['cold/velocities'], velocities)


def test_what_is_in_the_hash(instantiate: Any, md_inputs: Any) -> None:
    """How it runs, what watches over it and what is kept of an unfinished one cannot change an answer."""
    monitors = {'x': Dict({'entry_point': 'litraj.hopeless', 'kwargs': {'stalled_seconds': 60.0}})}
    plain = md_inputs()
    variants = {
        'plain': plain,
        'equal': md_inputs(),
        'faster': md_inputs(processes=2, max_seconds=9, keep_unfinished=False, checkpoint_seconds=1),
        'watched': {**plain, 'monitors': monitors},
        'seed': md_inputs({'cold': replica(seed=2)}),
        'longer': md_inputs({'cold': replica('fcc', 1, HELD)}),
        'larger': md_inputs(structures={'fcc': fcc(3.8)}),
        'gentler': md_inputs(parameters=md_parameters('nve')),
        'named': md_inputs({'warm': replica()}),
    }
    hashes = {
        name: instantiate(MdCalculation, inputs).node.base.caching.compute_hash() for name, inputs in variants.items()
    }
    assert hashes['equal'] == hashes['faster'] == hashes['watched'] == hashes['plain']
    assert len({hashes[name] for name in ('plain', 'seed', 'longer', 'larger', 'gentler', 'named')}) == 6


def test_what_is_kept_of_unfinished_replicas_is_known_to_the_parser(instantiate: Any, md_inputs: Any) -> None:
    node = instantiate(MdCalculation, md_inputs(keep_unfinished=False)).node
    assert node.get_metadata_inputs()['metadata']['options']['keep_unfinished'] is False
    assert 'keep_unfinished' not in node.base.attributes.all


def slab() -> StructureData:
    structure = StructureData(cell=6.0 * np.eye(3), pbc=(True, True, False))
    for place in ((0.0, 0.0, 2.0), (3.0, 3.0, 4.0)):
        structure.append_atom(position=place, symbols='Li')
    return structure


def one_atom() -> StructureData:
    structure = StructureData(cell=5.0 * np.eye(3))
    structure.append_atom(position=(0.0, 0.0, 0.0), symbols='Li')
    return structure


def thin() -> StructureData:
    structure = StructureData(cell=np.diag([8.0, 8.0, 1.9]))
    for place in ((0.0, 0.0, 0.0), (4.0, 4.0, 0.5)):
        structure.append_atom(position=place, symbols='Li')
    return structure


def with_replica(**fields: Any) -> dict[str, Any]:
    return {'replicas': {'cold': Dict({**replica().get_dict(), **fields})}}


def with_segment(protocol: str = 'nvt', **fields: Any) -> dict[str, Any]:
    changed = {**replica().get_dict()['schedule'][0], **fields}
    return {**with_replica(schedule=[changed]), 'parameters': md_parameters(protocol)}


def without(name: str) -> Dict:
    return Dict({key: value for key, value in md_parameters().get_dict().items() if key != name})


BAD: dict[str, tuple[Any, str]] = {
    'grid of nothing': (lambda: {'replicas': {}}, r'replicas: none given; give at least one Dict under a name'),
    'no structures': (lambda: {'structures': {}}, r'structures: none given; give at least one StructureData'),
    'name of a replica': (
        lambda: {'replicas': {'300K.1': replica()}}, r'replicas\.300K\.1: the name may have letters, digits',
    ),
    'replica without a structure': (
        lambda: with_replica(structure='bcc'),
        r"replicas\.cold\.structure = 'bcc' is not among the structures: fcc",
    ),
    'replica that does not say its structure': (
        lambda: {'replicas': {'cold': Dict({'seed': 1, 'schedule': [HELD]})}}, r'replicas\.cold\.structure is missing',
    ),
    'replica with a name of its own': (lambda: with_replica(id='x'), r"replicas\.cold\.id = 'x' is not known"),
    'negative seed': (lambda: with_replica(seed=-1), r'replicas\.cold\.seed = -1: it should be greater than or equal'),
    'no schedule': (lambda: with_replica(schedule=[]), r'replicas\.cold\.schedule = \[\] is empty; give at least one'),
    'negative temperature': (
        lambda: with_segment(temperature_k=-300.0),
        r'replicas\.cold\.schedule\.0\.temperature_k = -300\.0: it should be greater than 0',
    ),
    'unknown field of a segment': (
        lambda: with_segment(temperature=1.0),
        r'replicas\.cold\.schedule\.0\.temperature = 1\.0 is not known, but temperature_k or temperature_end_k is',
    ),
    'duration of zero': (
        lambda: with_segment(duration_fs=0.0), r'schedule\.0\.duration_fs = 0\.0: it should be greater than 0',
    ),
    'broken number of steps': (
        lambda: with_segment(duration_fs=101.0),
        r'replicas\.cold\.schedule\[0\]\.duration_fs is 101 fs, no multiple of timestep_fs 2: take 100',
    ),
    'npt without a pressure': (
        lambda: with_segment('npt'), r'replicas\.cold\.schedule\[0\]\.pressure_gpa is missing: npt needs one',
    ),
    'pressure without npt': (
        lambda: with_segment(pressure_gpa=1.0),
        r'schedule\[0\]\.pressure_gpa is 1, which nvt cannot hold: leave it out, or set the ensemble to npt',
    ),
    'ramp without a thermostat': (
        lambda: with_segment('nve', temperature_end_k=900.0), r'temperature_end_k is 900, but nve has no thermostat',
    ),
    'unknown ensemble': (
        lambda: {'parameters': md_parameters(ensemble='nph')},
        r"parameters\.ensemble = 'nph': it should be 'nve', 'nvt' or 'npt'",
    ),
    'timestep 0': (
        lambda: {'parameters': md_parameters(timestep_fs=0.0)},
        r'parameters\.timestep_fs = 0\.0: it should be greater than 0',
    ),
    'ensemble without its thermostat': (
        lambda: {'parameters': md_parameters(thermostat=None)}, r'ensemble nvt needs a thermostat: give one',
    ),
    'parameter missing': (
        lambda: {'parameters': without('limits')}, r'parameters\.limits is missing; get_builder_from_protocol gives',
    ),
    'cell that is too thin': (
        lambda: {'structures': {'fcc': thin()}},
        r'structures\.fcc: the cell is 1\.900 Ang thin, less than twice contact_distance_ang \(1\): use a supercell',
    ),
    'too many neighbours within the cutoff': (
        lambda: {'potential': PotentialData.packaged('toy', 'morse', cutoff_ang=14.0)},
        r'structures\.fcc: 858 neighbours per atom within the cutoff of the potential \(14 Ang\), above '
        r'parameters\.limits\.max_neighbours = 500: give a larger cell, or raise the limit',
    ),
    'single atom': (lambda: {'structures': {'fcc': one_atom()}}, r'structures\.fcc: one atom has no temperature'),
    'pressure on a slab': (
        lambda: {**with_segment('npt', pressure_gpa=0.0), 'structures': {'fcc': slab()}},
        r'structures\.fcc: npt on a structure with pbc \[True, True, False\]',
    ),
    'element not covered': (
        lambda: {'potential': PotentialData.packaged('toy', 'morse', elements=['O'], label='oxides')},
        r"potential 'oxides' does not cover Li, only O; choose another potential",
    ),
    'velocities that nobody wants': (
        lambda: {'velocities': {'fcc': with_velocities(np.zeros((4, 3)))}},
        r'velocities\.fcc: parameters\.initial_velocities is maxwell-boltzmann; set it to given',
    ),
    'velocities missing': (
        lambda: {'parameters': md_parameters(initial_velocities='given')}, r'velocities\.fcc is missing',
    ),
    'velocities of other atoms': (
        lambda: {
            'parameters': md_parameters(initial_velocities='given'),
            'velocities': {'fcc': with_velocities(np.zeros((3, 3)))},
        },
        r'velocities\.fcc of shape \(3, 3\); give finite numbers of shape \(4, 3\)',
    ),
    'velocities under another name': (
        lambda: {
            'parameters': md_parameters(initial_velocities='given'), 'velocities': {'fcc': ArrayData(np.zeros(3))},
        },
        r'velocities\.fcc: node \w+ has no array velocities, only default',
    ),
    'velocities of no replica': (
        lambda: {
            'parameters': md_parameters(initial_velocities='given'),
            'velocities': {name: with_velocities(np.zeros((4, 3))) for name in ('fcc', 'bcc')},
        },
        r"velocities\.bcc: no replica starts from a structure called 'bcc', only from fcc",
    ),
    'isotope': (
        lambda: {'structures': {'fcc': of_lithium_6()}},
        r'structures\.fcc: the kind Li has a mass of 6\.015 u, Li has 6\.941: isotopes are not followed',
    ),
    'monitor unknown': (
        lambda: {'monitors': {'x': Dict({'entry_point': 'litraj.hopeless', 'kwargs': {'seconds': 1}})}},
        r"does not accept the keywords: \['seconds'\]",
    ),
    'option': (lambda: {'options': {'checkpoint_seconds': 0}}, r'metadata\.options\.checkpoint_seconds = 0'),
}  # fmt: skip


@pytest.mark.parametrize('case', BAD)
def test_bad_input_is_refused_before_anything_is_stored(
    case: str, instantiate: Any, md_inputs: Any, count_processes: Any
) -> None:
    change, message = BAD[case]
    changes = change()
    inputs = md_inputs(**changes.pop('options', {})) | changes
    before = count_processes()
    with pytest.raises(ValueError, match=message):
        instantiate(MdCalculation, inputs)
    assert count_processes() == before


def test_checkpoint_of_another_job_is_refused(instantiate: Any, md_inputs: Any, job_node: Any) -> None:
    inputs = md_inputs()
    earlier = job_node(inputs, Job(exit_status=400, outputs={}, task='md'))
    parent = earlier.outputs.remote_folder
    for change, message in (
        ({'parameters': md_parameters('nve')}, f'parent_folder: job {earlier.pk} had other parameters'),
        ({'potential': potential('ideal_gas')}, f'parent_folder: job {earlier.pk} had other potential'),
        ({'replicas': {'cold': replica(seed=2)}}, f'parent_folder: job {earlier.pk} had another cold among its rep'),
        ({'structures': {'fcc': fcc(FCC_CONSTANT + 0.1)}}, f'job {earlier.pk} had another fcc among its structures'),
    ):
        with pytest.raises(ValueError, match=message):
            instantiate(MdCalculation, {**inputs, 'parent_folder': parent, **change})
    assert instantiate(MdCalculation, {**inputs, 'parent_folder': parent}).inputs.parent_folder == parent
    other = job_node(inputs, Job(exit_status=400, outputs={}, task='neb')).outputs.remote_folder
    with pytest.raises(ValueError, match=r'is not the folder of a litraj\.md job'):
        instantiate(MdCalculation, {**inputs, 'parent_folder': other})


def test_checkpoint_that_cannot_be_had_is_refused(
    instantiate: Any, md_inputs: Any, job_node: Any, aiida_computer_local: Any
) -> None:
    inputs = md_inputs()
    earlier = job_node(inputs, Job(exit_status=400, outputs={}, task='md'))
    parent = earlier.outputs.remote_folder
    elsewhere = {**inputs['metadata'], 'computer': aiida_computer_local(label='elsewhere')}
    with pytest.raises(
        ValueError, match=f'parent_folder: job {earlier.pk} ran on localhost.* run on elsewhere: resume'
    ):
        instantiate(MdCalculation, {**inputs, 'parent_folder': parent, 'metadata': elsewhere})
    parent.base.extras.set(parent.KEY_EXTRA_CLEANED, True)
    with pytest.raises(ValueError, match=f'parent_folder: the folder of job {earlier.pk} has been cleaned'):
        instantiate(MdCalculation, {**inputs, 'parent_folder': parent})
