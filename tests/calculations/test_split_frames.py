"""Parts of configurations leak nothing into each other, whatever is asked to be kept whole."""

from __future__ import annotations

from typing import Any

import pytest
from aiida.orm import Dict

from aiida_litraj.calculations.functions.split_frames import parts_of, read_split, split_frames
from aiida_litraj.calculations.functions.thin_frames import thin_frames
from aiida_litraj.calculations.held_out import HELD_OUT, check_held_out
from aiida_litraj.data import FramesData
from tests.fixtures.training import labelled, mixed

NUMBER = 24


def pool(**attributes: Any) -> FramesData:
    """Return configurations of six materials, with two trajectories of each."""
    known = {
        'material_ids': [f'm{index % 6}' for index in range(NUMBER)],
        'trajectory_ids': [f't{index % 12}' for index in range(NUMBER)],
    }
    return labelled(NUMBER, seed=4, **{**known, **attributes})


def split(held_out: str, seed: int = 0, fraction: float = 0.25) -> Any:
    return read_split({'valid_fraction': fraction, 'seed': seed, 'held_out': held_out})


@pytest.mark.parametrize('held_out', HELD_OUT)
@pytest.mark.parametrize('seed', range(5))
def test_parts_pass_the_check_of_a_training(held_out: str, seed: int, aiida_profile: Any) -> None:
    parts = parts_of(pool(), split(held_out, seed))
    check_held_out(parts['train'], parts['valid'], held_out, 'valid', 'train')
    names = [name for part in parts.values() for name in part.entry_ids]
    assert sorted(names) == sorted(pool().entry_ids)
    assert abs(parts['valid'].n_frames - NUMBER // 4) < 4, 'a material has four'


def test_weaker_parting_fails_the_stronger_check(aiida_profile: Any) -> None:
    """The check is no formality: of many seeds each way of parting tears what the next one keeps."""
    for held_out, stronger in (('frames', 'trajectories'), ('trajectories', 'materials')):
        torn = 0
        for seed in range(5):
            parts = parts_of(pool(), split(held_out, seed))
            try:
                check_held_out(parts['train'], parts['valid'], stronger, 'valid', 'train')
            except ValueError:
                torn += 1
        assert torn == 5


def test_same_seed_same_parts(aiida_profile: Any) -> None:
    first, again, other = (parts_of(pool(), split('frames', seed))['valid'].entry_ids for seed in (1, 1, 2))
    assert first == again != other


def test_parts_know_where_they_are_from(aiida_profile: Any) -> None:
    node = pool(dataset='pool').store()
    settings = {'valid_fraction': 0.25, 'seed': 0, 'held_out': 'materials'}
    made = split_frames(node, Dict(settings))
    part = made['valid']
    assert part.creator.inputs.frames.uuid == node.uuid
    assert part.base.attributes.get('dataset') == 'pool'
    for frame, entry_id, (uuid, index) in zip(part.frames, part.entry_ids, part.base.attributes.get('origins')):
        assert (uuid, node.entry_ids[index]) == (node.uuid, entry_id)
        assert frame.positions.tolist() == node.frames[index].positions.tolist()


@pytest.mark.parametrize('known', ['none', 'of some', 'not even materials'])
def test_trajectories_that_nobody_knows_are_not_torn(known: str, aiida_profile: Any) -> None:
    """They may be any of their material, which then stays whole; of the others only trajectories do."""
    some = [f't{index % 12}' if index % 6 < 4 else None for index in range(NUMBER)]
    node = pool(trajectory_ids=some if known == 'of some' else None)
    if known == 'not even materials':
        node = mixed(*(labelled(4, seed=seed, symbol=symbol) for seed, symbol in enumerate((3, 11, 19))))
        node = FramesData.from_frames(node.frames, {'entry_ids': node.entry_ids})
    torn = set()
    for seed in range(8):
        parts = parts_of(node, split('trajectories', seed, 0.3))
        check_held_out(parts['train'], parts['valid'], 'trajectories', 'valid', 'train')
        key = 'elements' if known == 'not even materials' else 'material_ids'
        one, two = (set(part.base.attributes.get(key)) for part in parts.values())
        torn |= one & two
    assert torn == ({'m0', 'm1', 'm2', 'm3'} if known == 'of some' else set())


def test_thinned_configurations_keep_where_they_are_from(aiida_profile: Any) -> None:
    node = pool(dataset='pool', splits=['train'] * NUMBER).store()
    thin = thin_frames(node, Dict({'max_frames': 5}))
    places = [index for _, index in thin.base.attributes.get('origins')]
    assert thin.base.attributes.get('origins') == [[node.uuid, index] for index in places] and places[-1] == NUMBER - 1
    for key in ('entry_ids', 'material_ids', 'trajectory_ids', 'splits'):
        assert thin.base.attributes.get(key) == [node.base.attributes.get(key)[index] for index in places]
    assert thin.base.attributes.get('dataset') == 'pool'
    with pytest.raises(ValueError, match='share 5 configurations'):
        moved = FramesData.from_frames(labelled(5, 9).frames, {'origins': thin.base.attributes.get('origins')})
        check_held_out(node, moved, 'frames', 'valid', 'train')


def test_every_element_is_learnt(aiida_profile: Any) -> None:
    """Of sodium there is one configuration: whatever the seed, it tells no best epoch."""
    pool = mixed(labelled(7, seed=4), labelled(1, seed=5, symbol=11))
    for seed in range(10):
        made = parts_of(pool, split('materials', seed, 0.5))
        assert made['train'].base.attributes.get('elements') == ['Li', 'Na']
        assert made['valid'].base.attributes.get('elements') == ['Li'] and 3 <= made['valid'].n_frames <= 4


def test_chemical_systems_stand_for_materials_that_nobody_knows(aiida_profile: Any) -> None:
    with pytest.raises(
        ValueError,
        match=r"24 configurations of one .* system \(Li\) cannot .*'trajectories' or 'frames'",
    ):
        parts_of(pool(material_ids=None), split('materials'))


BAD = {
    'fraction': ({'valid_fraction': 1.0}, r'split\.valid_fraction = 1\.0'),
    'seed': ({'seed': -1}, r'split\.seed = -1'),
    'kind': ({'held_out': 'hope'}, r"split\.held_out = 'hope' is not known; there are: materials"),
}


@pytest.mark.parametrize('case', BAD)
def test_refused(case: str) -> None:
    change, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        read_split({'valid_fraction': 0.1, 'seed': 0, 'held_out': 'frames', **change})
