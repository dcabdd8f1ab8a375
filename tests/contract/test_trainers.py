"""What the trainers of the engine cannot do: every line of it, by all of the names there are."""

from __future__ import annotations

from typing import Any

import pytest

from aiida_litraj.contract.trainers import not_offered
from aiida_litraj.engine.trainers.registry import _BUILTIN
from tests.engine.tasks.trainings import ARCHITECTURE, parameters

FOR = {'graph_pes': {'architecture': {**ARCHITECTURE, 'model': 'NequIP'}}}
REPLAY = {'set': 'known', 'weight': 0.5}
HUBER = {'kind': 'huber', 'huber_delta': 0.1}


@pytest.mark.parametrize('trainer', [*_BUILTIN, 'of_a_package'])
def test_plain_trainings_are_offered(trainer: str) -> None:
    assert not_offered(parameters(trainer=trainer, **FOR.get(trainer, {}))) == []
    assert not_offered(parameters(trainer=trainer, architecture=None)) == []


@pytest.mark.parametrize(
    ('changes', 'refused_by'),
    [
        ({'ema_decay': 0.99}, {'sevennet', 'graph_pes'}),
        ({'dtype': 'float64'}, {'sevennet'}),
        ({'replay': REPLAY}, {'sevennet', 'graph_pes', 'toy'}),
        ({'replay': REPLAY, 'loss': HUBER}, {'sevennet', 'mace', 'graph_pes', 'toy'}),
        ({'replay': {**REPLAY, 'weight': 1.0}, 'loss': HUBER}, {'sevennet', 'graph_pes', 'toy'}),
        ({'loss': {'energy_weight': 0.0}}, {'sevennet'}),
        ({'architecture': {**ARCHITECTURE, 'model': 'MACE'}}, {'sevennet', 'mace'}),
        ({'architecture': {**ARCHITECTURE, 'model': None}}, {'graph_pes'}),
        ({'architecture': {**ARCHITECTURE, 'model': 'Orb'}}, {'sevennet', 'mace', 'graph_pes'}),
        ({'architecture': {**ARCHITECTURE, 'model': 'PaiNN', 'lmax': 2}}, {'sevennet', 'mace', 'graph_pes'}),
    ],
)
def test_refused(changes: Any, refused_by: set[str]) -> None:
    found = {name: not_offered(parameters(trainer=name, **{**FOR.get(name, {}), **changes})) for name in _BUILTIN}
    assert {name for name, said in found.items() if said} == refused_by
    assert not_offered(parameters(trainer='of_a_package', **changes)) == []


def test_all_is_said_at_once() -> None:
    """The numbers of LiPS-25 are for MACE."""
    said = not_offered(parameters(trainer='sevennet', dtype='float64', ema_decay=0.99))
    assert said == [
        "dtype = 'float64': it trains in float32 only; take native",
        'ema_decay = 0.99: it has no moving average of the weights; set it to null',
    ]
