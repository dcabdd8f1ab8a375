"""Is the machine the one that it was."""

from __future__ import annotations

import asyncio

from .case import Case
from .finding import Answer, broken, ok
from .host import Way, name_of, way_of

UNKNOWN = ('HostKeyNotVerifiable', 'BadHostKeyException')
WORDS = ('host key', 'known_hosts')


def check(case: Case) -> Answer:
    """Log in, and look whether it is the key of the host that stands in the way."""
    case.login.open()
    error = case.login.error
    if error is None or not is_host_key(error):
        return ok('the key of the host is known')
    name = name_of(case)
    way = way_of(case)
    by_hand = f'Log in once by hand, and compare the fingerprint with that of the site: ssh {name}'
    if way is not None and not way.detour and _has_another(name, way, case.limits.answer_s):
        entry = way.host if way.port == 22 else f'[{way.host}]:{way.port}'
        return broken(
            f'{name} shows another host key than the one in known_hosts: it was installed anew, or is not the machine '
            'that it says',
            f"Ask the site; if it is so: ssh-keygen -R '{entry}' (with -f FILE for another known_hosts). {by_hand}",
        )
    return broken(f'the host key of {name} is not in known_hosts: {error}', by_hand)


def is_host_key(error: BaseException) -> bool:
    """Return whether a login failed because of the key of the host."""
    return type(error).__name__ in UNKNOWN or any(word in str(error).lower() for word in WORDS)


def _has_another(name: str, way: Way, seconds: float) -> bool:
    """Return whether known_hosts has a key for the host, which then is not the one that it shows."""
    import asyncssh

    async def known() -> int:
        options = await asyncssh.SSHClientConnectionOptions.construct(host=name, config=())
        files = options.known_hosts
        found = asyncssh.match_known_hosts(files, way.host, way.host, way.port) if files else ((),)
        return len(found[0])

    try:
        return asyncio.run(asyncio.wait_for(known(), seconds)) > 0
    except Exception:
        # No file, or one that cannot be read: then nothing is known.
        return False
