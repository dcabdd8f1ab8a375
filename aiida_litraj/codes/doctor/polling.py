"""How often AiiDA looks at jobs, and how long it waits between two logins."""

from __future__ import annotations

from .case import Case
from .finding import Answer, ok, warning
from .host import way_of

LONG_POLL_S, LONG_LOGIN_S = 300.0, 60.0
SHORT_POLL_S = 5.0
"""Of a queue that many share; below, sites lock people out."""


def check(case: Case) -> Answer:
    """Judge the intervals of the scheduler and of the transport."""
    from aiida.orm import User

    computer = case.there
    poll = float(computer.get_minimum_job_poll_interval())
    authinfo = computer.get_authinfo(User.collection.get_default())
    safe = authinfo.get_auth_params().get('safe_interval')
    login = float(computer.get_transport_class()._DEFAULT_SAFE_OPEN_INTERVAL if safe is None else safe)
    text = f'looks at jobs every {poll:g} s, logs in at most every {login:g} s'
    facts = {'poll_interval': poll, 'safe_interval': login}
    poll_remedy = (
        f'Write poll_interval: {{}} to the entry of {computer.label} in a file for: aiida-litraj setup --from FILE'
    )
    login_remedy = f'verdi computer configure {computer.transport_type} {computer.label} --safe-interval {{}} -n'
    local, queued = computer.transport_type == 'core.local', computer.scheduler_type != 'core.direct'
    if poll > LONG_POLL_S:
        return warning(f'{text}: each job ends up to {poll:g} s late', poll_remedy.format(30), **facts)
    if login > LONG_LOGIN_S:
        return warning(f'{text}: each step of a job waits for that', login_remedy.format(10), **facts)
    if poll == 0 and local:
        return warning(f'{text}: that takes half of a processor', poll_remedy.format(1), **facts)
    if not local and queued and poll < SHORT_POLL_S:
        if _on_this_machine(case):
            return ok(text, **facts)
        return warning(f'{text}: sites dislike to be asked so often', poll_remedy.format(30), **facts)
    if not local and login == 0 and not _on_this_machine(case):
        return warning(f'{text}: sites may take that for an attack', login_remedy.format(10), **facts)
    return ok(text, **facts)


def _on_this_machine(case: Case) -> bool:
    way = way_of(case)
    return way is not None and way.host in ('127.0.0.1', '::1', 'localhost')
