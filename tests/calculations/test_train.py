"""What a job of trainings is given, what is in its hash, and what is refused before it is made."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from aiida.orm import Dict

from aiida_litraj.calculations.train import TrainCalculation
from aiida_litraj.contract import files, unpack_arrays
from aiida_litraj.contract.train import TrainJob
from aiida_litraj.data import FramesData, PotentialData
from tests.fixtures.nodes import potential
from tests.fixtures.training import labelled, spoiled, train_parameters, training

STRESSES = {'kind': 'mse', 'huber_delta': None, 'energy_weight': 1.0, 'force_weight': 1.0, 'stress_weight': 0.1}
REPLAY = {'set': 'known', 'weight': 0.5}
PACKAGED = 'of_a_package'
"""A trainer of which nothing is known here."""


def test_job_file_from_scratch(prepare: Any, train_inputs: Any, data_regression: Any) -> None:
    trainings = {'b': training(2), 'a': training(1)}
    info, folder = prepare(TrainCalculation, train_inputs(trainings))
    job = TrainJob.model_validate_json((folder / files.JOB).read_bytes())
    assert job.potential is None
    assert info.local_copy_list == []
    data_regression.check(job.model_dump(mode='json'))


def test_arrays_are_those_of_the_sets(prepare: Any, train_inputs: Any) -> None:
    """Each set is there once, however many trainings learn from it; stresses only where they are learnt."""
    sets = {'train.train': labelled(), 'valid.valid': labelled(3, seed=1)}
    trainings = {'a': training(1), 'b': training(2)}
    _, folder = prepare(TrainCalculation, train_inputs(trainings, train=sets['train.train'], valid=sets['valid.valid']))
    arrays = unpack_arrays(folder / files.ARRAYS)
    names = {'offsets', 'numbers', 'positions', 'cells', 'pbc', 'energies', 'forces'}
    assert set(arrays) == {f'{name}/{key}' for name in sets for key in names}
    for name, node in sets.items():
        for key in names:
            np.testing.assert_array_equal(arrays[f'{name}/{key}'], getattr(node.frames, key))


def test_stresses_go_along_where_they_are_learnt(prepare: Any, train_inputs: Any) -> None:
    node = labelled()
    _, folder = prepare(TrainCalculation, train_inputs(parameters=train_parameters(loss=STRESSES), train=node))
    arrays = unpack_arrays(folder / files.ARRAYS)
    np.testing.assert_array_equal(arrays['train.train/stresses'], node.frames.stresses)
    assert 'valid.valid/stresses' in arrays


def test_parent_and_what_it_knew_go_along(prepare: Any, train_inputs: Any) -> None:
    parameters, known = train_parameters('fast-finetune', trainer=PACKAGED, replay=REPLAY), labelled(2, seed=5)
    inputs = {**train_inputs(potential=potential(), parameters=parameters), 'replay_sets': {'known': known}}
    _, folder = prepare(TrainCalculation, inputs)
    job = TrainJob.model_validate_json((folder / files.JOB).read_bytes())
    assert job.potential is not None and job.potential.name == 'morse'
    np.testing.assert_array_equal(unpack_arrays(folder / files.ARRAYS)['replay.known/energies'], known.frames.energies)


def test_arrays_of_the_result_are_fetched_only_to_be_parsed(prepare: Any, train_inputs: Any) -> None:
    info, _ = prepare(TrainCalculation, train_inputs())
    logs = ('items/*.log', '.', 2)
    assert set(info.retrieve_list) == {'result.json', 'progress.json', 'litraj.out', 'litraj.err', logs}
    assert set(info.retrieve_temporary_list) == {'items', 'result.npz'}


def test_what_is_in_the_hash(instantiate: Any, train_inputs: Any) -> None:
    """Data and options are; how it runs, and what is said of the sets beside what they are, is not."""
    variants = {
        'plain': train_inputs(),
        'equal': train_inputs(),
        'elsewhere': train_inputs(device='cpu', max_seconds=9, checkpoint_seconds=1),
        'said': train_inputs(held_out='frames'),
        'seed': train_inputs({'a': training(2)}),
        'longer': train_inputs(parameters=train_parameters(epochs=5)),
        'other data': train_inputs(train=labelled(seed=9)),
        'going on': train_inputs(potential=potential()),
    }
    hashes = {
        name: instantiate(TrainCalculation, inputs).node.base.caching.compute_hash()
        for name, inputs in variants.items()
    }
    assert hashes['equal'] == hashes['elsewhere'] == hashes['said'] == hashes['plain']
    assert len(set(hashes.values())) == len(hashes) - 3


def of_one_material(number: int, seed: int, **attributes: Any) -> FramesData:
    return labelled(number, seed, material_ids=['x'] * number, **attributes)


def followed(seed: int, *names: str, material: str | None = 'x') -> FramesData:
    """Return frames of trajectories of these names."""
    materials = [material] * len(names)
    return labelled(len(names), seed, material_ids=materials, trajectory_ids=list(names))


def same_frames(seed: int) -> FramesData:
    """Return two configurations of their own, and the first one that is learnt, under another name."""
    from aiida_litraj.contract.frames import Frames

    frames = Frames.stack([labelled(2, seed).frames, labelled().frames[0]])
    names = [f's{index}' for index in range(3)]
    return FramesData.from_frames(frames, {'entry_ids': names, 'material_ids': names})


def nan(place: Any) -> Any:
    def change(values: Any) -> Any:
        values[place] = np.nan
        return values

    return change


SAME_ORIGIN = [['11111111-0000-0000-0000-000000000000', 3]]
BAD: dict[str, tuple[Any, str]] = {
    'no trainings': (lambda: {'trainings': {}}, r'trainings: none given; give at least one Dict under a name'),
    'name of a training': (lambda: {'trainings': {'a.1': training()}}, r'trainings\.a\.1: the name may have letters'),
    'training with a name of its own': (lambda: {'trainings': {'a': training(id='x')}}, r"a\.id = 'x' is not known"),
    'negative seed': (lambda: {'trainings': {'a': training(-1)}}, r'trainings\.a\.seed = -1: it should be greater'),
    'unknown set': (
        lambda: {'trainings': {'a': training(train='other')}},
        r"trainings\.a\.train = 'other' is not among the train_sets: train",
    ),
    'sets not in common': (
        lambda: {
            'trainings': {'a': training(), 'b': training(train='other')},
            'train_sets': {'train': labelled(), 'other': labelled(seed=2)},
        },
        r"trainings\.a\.train = 'train', but trainings\.b\.train = 'other': the trainings of a job have their sets in",
    ),
    'set of no training': (
        lambda: {'valid_sets': {'valid': labelled(3, 1), 'more': labelled(3, 2)}},
        r'valid_sets\.more: no training is of it, only of valid; leave it out',
    ),
    'no sets': (lambda: {'train_sets': {}}, r'train_sets|sets of configurations: none given'),
    'no forces': (
        lambda: {'train_sets': {'train': spoiled(labelled(), forces=None)}},
        r'train_sets\.train: 4 of 4 configurations have no forces to learn from; aiida-litraj launch label',
    ),
    'no energies': (
        lambda: {'valid_sets': {'valid': spoiled(labelled(3, 1), energies=None)}},
        r'valid_sets\.valid: 3 of 3 configurations have no energy to learn from',
    ),
    'forces of one atom missing': (
        lambda: {'train_sets': {'train': spoiled(labelled(), forces=nan((5, 1)))}},
        r'train_sets\.train: 1 of 4 configurations has no forces to learn from',
    ),
    'some energies missing': (
        lambda: {'train_sets': {'train': spoiled(labelled(), energies=nan([0, 3]))}},
        r'train_sets\.train: 2 of 4 configurations have no energy to learn from',
    ),
    'stresses missing': (
        lambda: {
            'parameters': train_parameters(loss=STRESSES),
            'valid_sets': {'valid': spoiled(labelled(3, 1), stresses=nan((1, 2)))},
        },
        r'valid_sets\.valid: 1 of 3 configurations has no stress, but parameters\.loss\.stress_weight is above 0: set',
    ),
    'what a potential said is no label': (
        lambda: {'train_sets': {'train': labelled(sampled_from='litraj.md')}},
        r'train_sets\.train: they were sampled from a litraj\.md and have what the potential said that drove it',
    ),
    'element that the parent does not know': (
        lambda: {
            'potential': PotentialData.packaged('toy', 'morse', elements=['Na'], label='salts'),
            'parameters': train_parameters('fast-finetune'),
        },
        r"potential 'salts' does not cover Li, only Na; choose another potential",
    ),
    'element to be judged by that is not learnt': (
        lambda: {'valid_sets': {'valid': labelled(2, 1, symbol=11)}},
        r'valid_sets\.valid: it has Na, which train_sets\.train has not: .*as --split-seed does.*--valid',
    ),
    'the same of a parent whose energies are fitted anew': (
        lambda: {
            'potential': potential(), 'parameters': train_parameters('fast-finetune'),
            'valid_sets': {'valid': labelled(2, 1, symbol=11)},
        },
        r'valid_sets\.valid: it has Na, which train_sets\.train has not',
    ),
    'one configuration': (
        lambda: {'train_sets': {'train': labelled(1)}, 'parameters': train_parameters(batch_size=1)},
        r'train_sets\.train: one configuration, from which nothing is learnt; give 2 or more',
    ),
    'batch larger than the set': (
        lambda: {'parameters': train_parameters(batch_size=5)},
        r'parameters\.batch_size = 5, but train_sets\.train has 4 configurations: take 4 or less',
    ),
    'judged by what is learnt': (
        lambda: {'valid_sets': {'valid': labelled()}, 'held_out': 'frames'},
        r'valid_sets\.valid and train_sets\.train share 4 configurations \(.* and 1 more\): what is learnt',
    ),
    'the same configuration by another name': (
        lambda: {'valid_sets': {'valid': same_frames(7)}, 'held_out': 'frames'},
        r'valid_sets\.valid and train_sets\.train share 1 configuration \([0-9a-f]{8}\): what is learnt cannot judge',
    ),
    'the same entry': (
        lambda: {'valid_sets': {'valid': labelled(2, 1, entry_ids=['e0_2', 'y'])}, 'held_out': 'frames'},
        r'valid_sets\.valid and train_sets\.train share 1 entry \(e0_2\): what is learnt cannot judge',
    ),
    'the same origin': (
        lambda: {
            'train_sets': {'train': labelled(2, entry_ids=None, origins=[*SAME_ORIGIN, ['0', 1]])},
            'valid_sets': {'valid': labelled(1, 1, entry_ids=None, origins=SAME_ORIGIN)},
            'held_out': 'frames',
        },
        r'valid_sets\.valid and train_sets\.train share 1 configuration \(11111111\[3\]\)',
    ),
    'the same material': (
        lambda: {'train_sets': {'train': of_one_material(2, 0)}, 'valid_sets': {'valid': of_one_material(2, 1)}},
        r'valid_sets\.valid and train_sets\.train share 1 material \(x\): .*say held_out = .trajectories. or .frames.',
    ),
    'materials that nobody knows': (
        lambda: {'valid_sets': {'valid': labelled(2, 1, material_ids=None)}},
        r'share 1 material \(of unknown name in Li\)',
    ),
    'the same trajectory': (
        lambda: {
            'train_sets': {'train': followed(0, 't', 't', 'u')}, 'valid_sets': {'valid': followed(1, 'u', 'v')},
            'held_out': 'trajectories',
        },
        r'share 1 trajectory \(u\): frames of one are nearly alike; .*say held_out = .frames.',
    ),
    'trajectories that nobody knows': (
        lambda: {
            'train_sets': {'train': followed(0, 't', 'u')}, 'valid_sets': {'valid': of_one_material(2, 1)},
            'held_out': 'trajectories',
        },
        r'share 1 material \(x\) with configurations whose trajectory is not known, .*give trajectory_ids, or',
    ),
    'one of the trajectories that nobody knows': (
        lambda: {
            'train_sets': {'train': labelled(2, 0, material_ids=['x', 'x'], trajectory_ids=['t', None])},
            'valid_sets': {'valid': followed(1, 'v')}, 'held_out': 'trajectories',
        },
        r'share 1 material \(x\) with configurations whose trajectory is not known',
    ),
    'neither trajectories nor materials': (
        lambda: {
            'train_sets': {'train': labelled(2, 0, material_ids=None)}, 'valid_sets': {'valid': followed(1, 'v')},
            'held_out': 'trajectories',
        },
        r'share 1 material \(of unknown name in Li\) with configurations whose trajectory is not known',
    ),
    'unknown claim': (lambda: {'held_out': 'hope'}, r"held_out = 'hope' is not known; there are: materials, traj"),
    'parent of another family': (
        lambda: {
            'potential': PotentialData.packaged('sevennet', '7net-0', label='7net-0'),
            'parameters': train_parameters('fast-finetune'),
        },
        r"parameters\.trainer = 'toy' cannot go on from the potential '7net-0' of the family sevennet: take",
    ),
    'architecture beside a parent': (
        lambda: {'potential': potential()},
        r"parameters\.architecture is given, but the potential 'morse' has its own: leave out one of both",
    ),
    'neither architecture nor parent': (
        lambda: {'parameters': train_parameters('fast-finetune')},
        r'parameters\.architecture is none, and there is no potential to go on from: give one of both',
    ),
    'energies of a parent that is none': (
        lambda: {'parameters': train_parameters(energy_references='parent')},
        r"parameters\.energy_references = 'parent', and there is no potential to go on from: take least_squares",
    ),
    'element without its energy': (
        lambda: {'parameters': train_parameters(energy_references='given', energy_references_ev={'S': -1.0})},
        r'parameters\.energy_references_ev has none for Li, which train_sets\.train has; give it',
    ),
    'nothing to forget': (
        lambda: {'parameters': train_parameters(trainer=PACKAGED, replay=REPLAY)},
        r'parameters\.replay: there is no potential that could forget; leave it out, or give one',
    ),
    'replay that is not there': (
        lambda: {
            'potential': potential(), 'parameters': train_parameters('fast-finetune', trainer=PACKAGED, replay=REPLAY),
        },
        r"parameters\.replay\.set = 'known', but replay_sets has none: give that one set",
    ),
    'replay that nobody wants': (
        lambda: {'replay_sets': {'known': labelled(2, 5)}, 'parameters': train_parameters(trainer=PACKAGED)},
        r'replay_sets\.known: parameters\.replay is none; set',
    ),
    'replay by a trainer of the engine': (
        lambda: {'potential': potential(), 'parameters': train_parameters('fast-finetune', replay=REPLAY)},
        r"trainer = 'toy' does not do what these ask for: parameters\.replay = \{'set': 'known', 'weight': 0\.5\}: it",
    ),
    'set of what was known for a trainer of the engine': (
        lambda: {'replay_sets': {'known': labelled(2, 5)}},
        r"replay_sets\.known: the trainer 'toy' does not offer replay, mace does; leave it out",
    ),
    'judged by what was known': (
        lambda: {
            'potential': potential(), 'parameters': train_parameters('fast-finetune', trainer=PACKAGED, replay=REPLAY),
            'replay_sets': {'known': labelled(3, seed=1)},
        },
        r'valid_sets\.valid and replay_sets\.known share 3 configurations',
    ),
    'parameter missing': (
        lambda: {'parameters': Dict({k: v for k, v in train_parameters().get_dict().items() if k != 'loss'})},
        r'parameters\.loss is missing; get_builder_from_protocol gives',
    ),
    'loss of two kinds': (
        lambda: {'parameters': train_parameters(loss={'huber_delta': 0.1})},
        r'parameters\.loss.*huber_delta = 0\.1 with kind mse: it goes with huber, and only so',
    ),
}  # fmt: skip


def test_more_than_one_gpu_is_refused(train_inputs: Any, instantiate: Any) -> None:
    inputs = train_inputs()
    inputs['metadata']['options']['gpus'] = 1
    instantiate(TrainCalculation, inputs)
    inputs['metadata']['options']['gpus'] = 2
    with pytest.raises(ValueError, match=r'metadata\.options\.gpus = 2: a training uses one GPU; leave it out'):
        instantiate(TrainCalculation, inputs)


@pytest.mark.parametrize('case', BAD)
def test_bad_input_is_refused(case: str, train_inputs: Any, instantiate: Any, count_processes: Any) -> None:
    change, message = BAD[case]
    before = count_processes()
    with pytest.raises(ValueError, match=message):
        instantiate(TrainCalculation, {**train_inputs(), **change()})
    assert count_processes() == before


GOOD: dict[str, Any] = {
    'trajectories of a known material': lambda: {
        'train_sets': {'train': followed(0, 't', 'u')}, 'valid_sets': {'valid': followed(1, 'v')},
        'held_out': 'trajectories',
    },
    'frames of a known trajectory': lambda: {
        'train_sets': {'train': followed(0, 't', 'u')}, 'valid_sets': {'valid': followed(1, 'u')}, 'held_out': 'frames',
    },
    'unknown trajectories of other materials': lambda: {
        'train_sets': {'train': labelled(2, 0)}, 'valid_sets': {'valid': followed(1, 'v')}, 'held_out': 'trajectories',
    },
    'known trajectories beside unknown ones of another material': lambda: {
        'train_sets': {'train': labelled(3, 0, material_ids=['x', 'x', 'y'], trajectory_ids=['t', 'u', None])},
        'valid_sets': {'valid': followed(1, 'v')}, 'held_out': 'trajectories',
    },
    'unknown materials of elements that the parent knows, with its energies': lambda: {
        'potential': potential(), 'parameters': train_parameters('fast-finetune', energy_references='parent'),
        'valid_sets': {'valid': labelled(2, 1, symbol=11, material_ids=None)},
    },
    'the same name in another data set': lambda: {
        'train_sets': {'train': labelled(2, 0, dataset='A', entry_ids=['1', '2'])},
        'valid_sets': {'valid': labelled(2, 1, dataset='B', entry_ids=['1', '2'])},
    },
}  # fmt: skip


@pytest.mark.parametrize('case', GOOD)
def test_what_is_held_out_is_taken(case: str, train_inputs: Any, instantiate: Any) -> None:
    process = instantiate(TrainCalculation, {**train_inputs(), **GOOD[case]()})
    assert process.node.is_stored
