"""How a job ended follows from how its items did."""

from __future__ import annotations

import pytest

from aiida_litraj.contract import NebItemResult
from aiida_litraj.contract.verdict import judge

DONE = NebItemResult(id='done', status='finished', converged=True)
CUT = NebItemResult(id='cut', status='unfinished', converged=False, label='ERROR_OUT_OF_TIME', reason='clock')
SLOW = NebItemResult(id='slow', status='finished', converged=False, label='ERROR_NOT_CONVERGED', reason='100 steps')
MOVED = NebItemResult(id='moved', status='failed', converged=False, label='ERROR_ENDPOINT_MOVED', reason='elsewhere')
BROKEN = NebItemResult(id='broken', status='failed', converged=False, label='ERROR_ITEM_INVALID', reason='two on one')
CRASH = NebItemResult(id='crash', status='failed', converged=False, label='ERROR_ENGINE_CRASHED', reason='KeyError')


@pytest.mark.parametrize(
    ('items', 'label'),
    [
        ([DONE], 'SUCCESS'),
        ([DONE, DONE], 'SUCCESS'),
        ([DONE, CUT], 'ERROR_OUT_OF_TIME'),
        ([CRASH, CUT], 'ERROR_OUT_OF_TIME'),
        ([DONE, CRASH, SLOW], 'ERROR_ENGINE_CRASHED'),
        ([SLOW], 'ERROR_NOT_CONVERGED'),
        ([SLOW, SLOW], 'ERROR_NOT_CONVERGED'),
        ([BROKEN], 'ERROR_ITEM_INVALID'),
        ([SLOW, MOVED], 'ERROR_PARTIAL'),
        ([DONE, BROKEN], 'ERROR_PARTIAL'),
    ],
)
def test_the_exit_code_of_a_job(items: list[NebItemResult], label: str) -> None:
    assert judge(items, 'paths').label == label


def test_one_bad_path_among_many_is_counted_and_keeps_the_job_reusable() -> None:
    report = judge([DONE, BROKEN, DONE], 'paths')
    assert report.message == '2 of 3 paths converged'
    assert report.status >= 500
