"""Do processes wait for nobody."""

from __future__ import annotations

from datetime import timedelta

from .case import Case
from .finding import Answer, ok, warning

LONG_MINUTES = 5
"""A worker that is there takes a process within seconds, unless all its slots are in use."""
SHOWN = 5


def check(case: Case) -> Answer:
    """Look for processes that stay Created, and for those that were paused."""
    from aiida.common import timezone
    from aiida.orm import ProcessNode, QueryBuilder

    since = timezone.now() - timedelta(minutes=LONG_MINUTES)
    alive = {'attributes.process_state': {'in': ['created', 'running', 'waiting']}}
    paused = QueryBuilder().append(ProcessNode, filters={**alive, 'attributes.paused': True}, project='id')
    created = QueryBuilder().append(
        ProcessNode, filters={'attributes.process_state': 'created', 'ctime': {'<': since}}, project='id'
    )
    stuck, stopped = created.all(flat=True), paused.all(flat=True)
    verdi, daemon = f'verdi -p {case.profile}', f'aiida-litraj -p {case.profile} daemon'
    if stuck:
        return warning(
            f'{_named(stuck)} Created for more than {LONG_MINUTES} minutes: no worker has taken them, or their tasks '
            'are lost',
            f'{daemon} stop; {verdi} process repair; {daemon} start',
            created=stuck,
        )
    if stopped:
        return warning(
            f'{_named(stopped)} paused, as after five attempts at a computer in vain',
            f'See why: {verdi} process report {stopped[0]}; then: {verdi} process play {" ".join(map(str, stopped))}',
            paused=stopped,
        )
    return ok('none is stuck or paused')


def _named(pks: list[int]) -> str:
    more = f' and {len(pks) - SHOWN} more' if len(pks) > SHOWN else ''
    noun, verb = ('process', 'is') if len(pks) == 1 else ('processes', 'are')
    return f'{noun} {", ".join(map(str, pks[:SHOWN]))}{more} {verb}'
