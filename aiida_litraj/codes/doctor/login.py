"""Is one let in, and left alone with what one types."""

from __future__ import annotations

import asyncio

from .case import Case
from .deadline import TooSlow
from .finding import Answer, broken, ok, warning
from .host import name_of, way_of

WORD = 'litraj-doctor'


def check(case: Case) -> Answer:
    """Log in by AiiDA's own transport, and have a word said."""
    case.login.open()
    error = case.login.error
    if error is not None:
        return _explain(case, error)
    # The name of the user, in words of their own so that nothing else is taken for it.
    status, stdout, stderr = case.login.run(f'echo {WORD} "$(id -un)" {WORD}')
    label = case.there.label
    if status != 0 or stdout.count(WORD) != 2:
        return broken(
            f'a command on {label} ends with {status}: {(stderr or stdout).strip()[-200:]}',
            'See whether the account may run commands there: its login shell, its quota, its start-up files',
        )
    before, user, after = stdout.split(WORD, 2)
    case.login.user = user.strip()
    extra = [line for text in (before, after, stderr) for line in text.strip().splitlines()]
    if extra:
        return warning(
            f'the start-up files on {label} print something at each login ({extra[0][:60]!r}), which AiiDA may take '
            'for an answer',
            'Let ~/.bashrc and ~/.bash_profile there print only in terminals: [[ $- == *i* ]] || return',
        )
    return ok(f'as {case.login.user}')


def _explain(case: Case, error: BaseException) -> Answer:
    label, text = case.there.label, str(error) or type(error).__name__
    if case.there.transport_type == 'core.local':
        return broken(f'no command runs on this machine: {text}', f'verdi computer test {label}')
    name = name_of(case)
    if type(error).__name__ in ('PermissionDenied', 'AuthenticationException') or 'permission denied' in text.lower():
        way = way_of(case)
        user = f' as {way.user}' if way is not None else ''
        return broken(
            f'{name} does not let one in{user}: none of the keys is accepted ({text})',
            f'ssh-copy-id {name}; does the key want a passphrase? ssh-add; is User in ~/.ssh/config right?',
        )
    if isinstance(error, (TooSlow, asyncio.TimeoutError)):
        return broken(f'the login on {name} does not end: {text}', f'See where it stops: ssh -v {name}')
    return broken(f'the login on {name} fails: {text}', f'See where it stops: ssh -v {name}')
