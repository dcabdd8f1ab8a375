"""What is made of the files of a job of evaluations, on folders that the engine left, whole and damaged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from aiida.orm import Dict

from aiida_litraj.calculations.evaluate import EvaluateCalculation
from aiida_litraj.contract.errors import BY_LABEL
from aiida_litraj.contract.frames import Frames
from aiida_litraj.data import FramesData, PotentialData
from aiida_litraj.parsers.evaluate import FAILED, EvaluateParser
from tests.fixtures.labels import crystal, labelled, some_labelled
from tests.fixtures.nodes import potential
from tests.parsers.folders import Parsed, edit, edit_arrays, label_of, lose_result

PARAMETERS = {'dtype': 'native', 'stress': True}


@pytest.fixture
def inputs(launcher_code: Any, computer: Any) -> Callable[..., dict[str, Any]]:
    """``inputs(frames, potential, parameters, options)`` are the inputs of a calculation."""

    def make(
        frames: dict[str, FramesData] | None = None, evaluated_by: Any = None, parameters: Any = None, **options: Any
    ) -> dict[str, Any]:
        return {
            'code': launcher_code,
            'frames': frames or {'many': some_labelled(4, entry_ids=['a', 'b', 'c', 'd']), 'one': some_labelled(1)},
            'potential': evaluated_by or potential(depth=0.5),
            'parameters': Dict(PARAMETERS | (parameters or {})),
            'metadata': {'computer': computer, 'options': {'processes': 1, **options}},
        }

    return make


@pytest.fixture
def read(parse: Any) -> Callable[..., Parsed]:
    return lambda given, folder, exit_status=None: parse(given, folder, exit_status, EvaluateParser)


def mixed() -> FramesData:
    """Two crystals of lithium, and one of atoms that are none between them."""
    return FramesData.from_frames(
        Frames.stack([labelled(crystal(0)), labelled(crystal(1, number=0)), labelled(crystal(2))])
    )


def test_predictions_are_the_configurations_with_the_numbers_of_the_potential(read: Any, inputs: Any, ran: Any) -> None:
    """Here the potential is the one that made the labels: both are the same to the last bit."""
    given = inputs()
    found = read(given, ran('evaluate', given, EvaluateCalculation))
    assert (found.status, label_of(found)) == (None, 'SUCCESS')
    assert set(found.nodes) == {'many', 'one'}
    for name, node in found.nodes.items():
        asked, said = given['frames'][name].frames, node.frames
        for field in ('offsets', 'numbers', 'positions', 'cells', 'pbc', 'energies', 'forces', 'stresses'):
            np.testing.assert_array_equal(getattr(said, field), getattr(asked, field), err_msg=field)
        assert said.info == [{}] * len(asked)
    assert found.nodes['many'].entry_ids == ['a', 'b', 'c', 'd']
    assert found.results['items']['many']['n_evaluated'] == 4
    assert found.results['audit']['model_calls'] == 5


def test_no_stress_no_column(read: Any, inputs: Any, ran: Any) -> None:
    given = inputs(parameters={'stress': False})
    found = read(given, ran('evaluate_no_stress', given, EvaluateCalculation))
    assert found.status is None
    assert found.nodes['many'].frames.stresses is None


def test_configuration_that_failed_has_its_reason(read: Any, inputs: Any, ran: Any) -> None:
    given = inputs({'some': mixed()})
    found = read(given, ran('evaluate_some', given, EvaluateCalculation))
    assert (found.status, label_of(found)) == (501, 'ERROR_PARTIAL')
    frames = found.nodes['some'].frames
    assert np.isfinite(frames.energies).tolist() == [True, False, True]
    assert [FAILED in info for info in frames.info] == [False, True, False]
    assert found.results['items']['some']['failures'][0]['frame'] == 1


BY_ENGINE = {
    'ERROR_ITEM_INVALID': lambda make: make({'a': FramesData.from_frames(labelled(crystal(0, number=0)))}),
    'ERROR_OUT_OF_TIME': lambda make: make(max_seconds=1e-6),
    'ERROR_POTENTIAL_CHECKSUM': lambda make: make(
        evaluated_by=PotentialData.packaged('toy', 'morse', sha256='0' * 64)
    ),
}  # fmt: skip


@pytest.mark.parametrize('label', BY_ENGINE)
def test_engine_says_how_it_ended(label: str, read: Any, inputs: Any, ran: Any) -> None:
    given = BY_ENGINE[label](inputs)
    found = read(given, ran(f'evaluate_{label}', given, EvaluateCalculation))
    assert (found.status, label_of(found)) == (BY_LABEL[label].status, label)
    assert not found.nodes


DAMAGE = {
    'too short': lambda folder: edit_arrays(folder, lambda a: a.update({'many/forces': a['many/forces'][:-1]})),
    'a force that is none': lambda folder: edit_arrays(folder, lambda a: a['many/forces'].__setitem__(0, np.nan)),
    'missing': lambda folder: edit_arrays(folder, lambda a: a.pop('one/energies')),
    'an energy lost': lambda folder: edit_arrays(folder, lambda a: a['many/energies'].__setitem__(0, np.nan)),
    'another number': lambda folder: edit(folder, lambda c: c['items'][0].update(n_evaluated=3)),
}


@pytest.mark.parametrize('damage', DAMAGE)
def test_arrays_that_do_not_match(damage: str, read: Any, inputs: Any, ran: Any) -> None:
    given = inputs()
    folder = ran('evaluate', given, EvaluateCalculation)
    DAMAGE[damage](folder)
    found = read(given, folder)
    assert found.status == BY_LABEL['ERROR_RESULT_ARRAYS'].status


def test_finished_blocks_of_a_lost_job_stay(read: Any, inputs: Any, ran: Any) -> None:
    given = inputs()
    folder = ran('evaluate', given, EvaluateCalculation)
    lose_result(folder)
    (folder / 'items' / 'one.json').unlink()
    found = read(given, folder)
    assert found.status == BY_LABEL['ERROR_RESULT_MISSING'].status
    assert set(found.nodes) == {'many'}
    assert found.results['items']['one']['status'] == 'unfinished'
