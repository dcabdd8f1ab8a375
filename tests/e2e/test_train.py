"""Trainings with the real engine and its toy trainer: the truth is found, cuts change nothing, equals are reused."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from aiida.engine import run_get_node
from aiida.manage.caching import enable_caching
from aiida.orm import CalcJobNode

from aiida_litraj.calculations.train import TrainCalculation
from aiida_litraj.contract import files
from aiida_litraj.contract.train import CURVE
from aiida_litraj.data import FramesData, PotentialData
from aiida_litraj.groups import DatasetGroup
from aiida_litraj.groups.lineage import lineage, seen_by
from aiida_litraj.groups.select import Wish, select
from aiida_litraj.workflows.train import TrainBaseWorkChain
from tests.e2e.test_kill import engines
from tests.fixtures.training import labelled

LEARNING = {
    'batch_size': 4, 'epochs': 8, 'learning_rate': 0.05, 'architecture': {'cutoff_ang': 6.0},
    'loss': {'force_weight': 1.0},
}  # fmt: skip
CLOCK_S = 1.2
"""Of an engine that is to be cut off: its epochs take half a second each."""
KILLS = 3
DIGITS = 1e-12
"""That AiiDA keeps of a number in a dictionary."""


@pytest.fixture
def builder(engine_code: Any, computer: Any) -> Any:
    def make(train: FramesData, valid: FramesData, options: Any = None, protocol: str = 'fast', **keywords: Any) -> Any:
        numbers = {**LEARNING, **keywords.pop('parameters', {})}
        if protocol == 'fast-finetune':
            del numbers['architecture']
        return TrainBaseWorkChain.get_builder_from_protocol(
            engine_code, train, valid, trainer='toy', protocol=protocol, overrides={'parameters': numbers},
            computer=computer, options=options or {}, **keywords,
        )  # fmt: skip

    return make


def rms_of(frames: FramesData) -> float:
    """Return the root mean square of the components of the forces in meV/Ang."""
    return float(1000.0 * np.sqrt(np.square(frames.frames.forces).mean()))


def run(builder: Any) -> tuple[Any, Any]:
    outputs, node = run_get_node(builder)
    assert node.is_finished_ok, (node.exit_status, node.exit_message)
    return outputs, node


def test_from_entries_to_a_potential_and_back(builder: Any) -> None:
    """Chosen of a data set, learnt, gone on from: the forces are met, and each configuration is known."""
    pool = labelled(40, seed=4).store()
    DatasetGroup(label='pool', extras={'granularity': 'trajectory', 'name': 'pool'}).store().add_nodes([pool])
    parts = select('pool', Wish(24, seed=1, parts={'train': 0.7, 'valid': 0.3})).parts
    outputs, _ = run(builder(parts['train'], parts['valid'], seeds=[1, 2], held_out='materials'))
    assert set(outputs['potentials']) == set(outputs['curves']) == {'seed_1', 'seed_2'}
    first: PotentialData = outputs['potentials']['seed_1']
    item = outputs['results']['items']['seed_1']
    curve = {name: outputs['curves']['seed_1'].get_array(name) for name in CURVE}
    forces = curve['valid_force_mev_per_ang']
    assert forces[item['best_epoch'] - 1] == pytest.approx(item['valid_force_mev_per_ang'], rel=DIGITS)
    still = rms_of(parts['valid'])
    assert item['valid_force_mev_per_ang'] < 0.5 * still, 'below half of what no forces at all would be off'
    assert item['checked_force_mev_per_ang'] == pytest.approx(item['valid_force_mev_per_ang'], rel=0.02)
    assert (first.family, first.elements, first.cutoff_ang) == ('toy', ['Li'], 6.0)
    more = select('pool', Wish(8, seed=5)).parts['selected']
    learnt = set(more.entry_ids) | set(parts['train'].entry_ids)
    valid = labelled(3, seed=6)
    gone_on, _ = run(builder(more, valid, potential=first, protocol='fast-finetune', parameters={'epochs': 2}))
    second = gone_on['potentials']['seed_0']
    said = lineage(second)
    assert {one.entry_id for one in said.learnt} == learnt
    assert (said.parents, {one.node_uuid for one in said.learnt}) == ([first.uuid], {pool.uuid})
    index = pool.entry_ids.index(parts['train'].entry_ids[0])
    assert {one.uuid for one in seen_by(pool, index)} >= {first.uuid, second.uuid}
    assert second.citation.startswith('trained with toy from toy-seed_1-')


def test_words_of_a_trainer_that_died_are_kept(builder: Any) -> None:
    """The next launch goes on from what was learnt until then."""
    given = (labelled(8, seed=2).store(), labelled(3, seed=3).store())
    numbers = {'epochs': 4, 'native': {'fail_in_epoch': 3}}
    outputs, node = run_get_node(builder(*given, parameters=numbers))
    assert (node.exit_status, 'more in items/seed_0.log' in node.exit_message) == (312, True)
    assert outputs['results']['items']['seed_0']['n_epochs'] == 2
    (job,) = node.called_descendants
    said = job.outputs.retrieved.base.repository.get_object_content('items/seed_0.log')
    assert 'RuntimeError: told to fail in epoch 3' in said
    _, node = run_get_node(builder(*given, parameters=numbers))
    assert node.called_descendants[0].inputs.parent_folder.uuid == job.outputs.remote_folder.uuid


@pytest.mark.parametrize(('clock', 'status'), [('max_seconds', 400), ('max_item_seconds', 411)])
def test_training_that_was_cut_off_is_taken_up_and_then_reused(clock: str, status: int, builder: Any) -> None:
    """By the next launch, from scratch too: without a potential by which equal jobs could be told."""
    train, valid = labelled(8, seed=2).store(), labelled(3, seed=3).store()
    slow = {'epochs': 3, 'native': {'seconds_per_epoch': 0.5}}
    given = builder(train, valid, {clock: CLOCK_S}, parameters=slow).train
    cut, job = run_get_node(TrainCalculation, **given._inputs(prune=True))
    assert job.exit_status == status, job.exit_message
    assert status == 411 or 'potentials' not in cut, 'the next job has more'
    outputs, chain = run(builder(train, valid, parameters=slow))
    assert chain.called_descendants[0].inputs.parent_folder.uuid == job.outputs.remote_folder.uuid
    assert outputs['curves']['seed_0'].get_array('epoch').tolist() == [1, 2, 3]
    with enable_caching(identifier='aiida.calculations:litraj.train'):
        again, node = run(builder(train, valid, {'max_seconds': 1e4}, parameters=slow))
    (reused,) = [one for one in node.called_descendants if isinstance(one, CalcJobNode)]
    assert reused.base.caching.is_created_from_cache
    assert again['potentials']['seed_0'].sha256 == outputs['potentials']['seed_0'].sha256
    assert lineage(again['potentials']['seed_0']).learnt == lineage(outputs['potentials']['seed_0']).learnt


def kill_thrice(work: Path, ended: threading.Event, killed: list[int]) -> None:
    """Kill (9) the engine each time that it has made two more epochs, three times."""
    seen = 0
    while len(killed) < KILLS and not ended.wait(0.01):
        for engine in engines(work):
            with contextlib.suppress(psutil.Error, OSError):
                folder = Path(engine.cwd()) / files.CHECKPOINT
                epochs = max((int(path.stem) for path in folder.glob('*.training/[0-9]*.epoch')), default=0)
                if epochs >= seen + 2:
                    engine.kill()
                    seen = epochs
                    killed.append(epochs)


def test_killed_three_times_and_yet_one_training(builder: Any, computer: Any) -> None:
    """The chain restarts each time from the last epoch, and ends with the potential of an undisturbed one."""
    train, valid = labelled(8, seed=7).store(), labelled(3, seed=8).store()
    numbers = {'epochs': 12, 'native': {'seconds_per_epoch': 0.3}}
    ended, killed = threading.Event(), []
    killer = threading.Thread(target=kill_thrice, args=(Path(computer.get_workdir()), ended, killed))
    killer.start()
    try:
        outputs, chain = run(builder(train, valid, parameters=numbers))
    finally:
        ended.set()
        killer.join()
    jobs = sorted((node for node in chain.called if isinstance(node, CalcJobNode)), key=lambda node: node.pk)
    assert (len(killed), len(jobs)) == (KILLS, KILLS + 1)
    assert killed == sorted(set(killed)) and killed[-1] < 12
    assert outputs['curves']['seed_0'].get_array('epoch').tolist() == list(range(1, 13))
    assert outputs['results']['items']['seed_0']['n_epochs'] == 12
    whole, _ = run(builder(train, valid, parameters={'epochs': 12}))
    assert outputs['potentials']['seed_0'].sha256 == whole['potentials']['seed_0'].sha256
